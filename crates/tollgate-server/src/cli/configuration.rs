//! `tollgate config`. Owns: telling faults, warnings and what is in force. Must not know: how values
//! are found and checked (`crate::config`).

use clap::Subcommand;
use serde_json::json;

use super::context::Context;
use super::output::{BAD, FAINT, GOOD, NOTICE, STRONG, styled};
use super::{Ending, Outcome};
use crate::config::settings::SECTIONS;
use crate::config::{Fault, Faults, Loaded, Origin, Shown};

/// What to do with the configuration.
#[derive(Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// Find every fault at once; exit code 3 when there is one
    Check,
    /// Show what is in force and where it came from, secrets masked
    Show {
        /// Leave out what nobody set
        #[arg(long)]
        changed: bool,
    },
}

pub(super) fn run(context: &Context, command: ConfigCommand) -> Outcome {
    let loaded = crate::config::load(&context.sources);
    match (command, loaded) {
        (ConfigCommand::Check, Ok(loaded)) => fine(context, &loaded),
        (ConfigCommand::Check, Err(faults)) => faulty(context, &faults),
        (ConfigCommand::Show { changed }, Ok(loaded)) => show(context, &loaded, changed),
        (ConfigCommand::Show { .. }, Err(faults)) => Err(faults.into()),
    }
}

fn told(fault: &Fault) -> serde_json::Value {
    json!({
        "origin": fault.origin.to_string(),
        "setting": fault.setting,
        "what": fault.trouble.what,
        "mend": fault.trouble.mend,
        "read": fault.read_on(),
    })
}

fn fine(context: &Context, loaded: &Loaded) -> Outcome {
    let value = json!({
        "ok": true,
        "faults": [],
        "warnings": loaded.warnings.iter().map(told).collect::<Vec<_>>(),
    });
    context.output.either(&value, || {
        let mut lines = vec![format!("{} the configuration has no fault", styled(GOOD, "✓"))];
        lines.extend(loaded.warnings.iter().map(|warning| {
            format!(
                "{} {}: {}\n  {}",
                styled(NOTICE, "!"),
                warning.origin,
                warning.trouble.what,
                warning.trouble.mend
            )
        }));
        let catalog = &loaded.config.catalog;
        lines.push(format!(
            "  catalog {}: {} plans, {} prices and products mapped",
            catalog.name,
            catalog.plans.len(),
            catalog.prices.len() + catalog.products.len()
        ));
        lines.join("\n")
    })?;
    Ok(Ending::Done)
}

fn faulty(context: &Context, faults: &Faults) -> Outcome {
    let value = json!({
        "ok": false,
        "faults": faults.0.iter().map(told).collect::<Vec<_>>(),
        "warnings": [],
    });
    context.output.either(&value, || {
        let blocks = faults.0.iter().map(|fault| {
            format!(
                "{} {}: {}\n  mend: {}\n  {}",
                styled(BAD, "✗"),
                styled(STRONG, &fault.origin),
                fault.trouble.what,
                fault.trouble.mend,
                styled(FAINT, fault.read_on())
            )
        });
        blocks.collect::<Vec<_>>().join("\n\n")
    })?;
    Ok(Ending::Found)
}

fn show(context: &Context, loaded: &Loaded, changed: bool) -> Outcome {
    // What does nothing is shown only to whoever has set it.
    let wanted = |one: &&Shown| (!changed && one.used) || one.origin != Origin::Default;
    let settings: Vec<&Shown> = loaded.shown.iter().filter(wanted).collect();
    let value: serde_json::Map<String, serde_json::Value> = settings
        .iter()
        .map(|one| {
            let origin = one.origin.to_string();
            let value = json!({"value": one.value, "origin": origin, "used": one.used});
            (one.key.to_owned(), value)
        })
        .collect();
    context.output.either(&value, || {
        let mut lines = Vec::new();
        for (section, _) in SECTIONS {
            let mut inside = settings
                .iter()
                .filter(|one| one.key.split_once('.').is_some_and(|(name, _)| name == *section))
                .peekable();
            if inside.peek().is_some() {
                lines.push(format!("\n{}", styled(STRONG, format_args!("[{section}]"))));
            }
            lines.extend(inside.map(|one| line(one)));
        }
        lines.join("\n").trim_start().to_owned()
    })?;
    Ok(Ending::Done)
}

fn line(one: &Shown) -> String {
    let name = one.key.split_once('.').map_or(one.key, |(_, name)| name);
    let value = one.value.as_deref().unwrap_or("(not set)");
    let unused = if one.used { "" } else { ", not used by this version" };
    format!("{name:<24} = {value:<32} {}", styled(FAINT, format_args!("{}{unused}", one.origin)))
}
