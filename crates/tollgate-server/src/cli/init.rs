//! `tollgate init`. Owns: the files a deployment begins with. Must not know: what settings mean.

use std::path::Path;

use clap::Args;
use tollgate_domain::catalog::{BUILTIN_NAMES, builtin_text};

use super::context::Context;
use super::dev_state::write_private;
use super::output::{FAINT, GOOD, NOTICE, STRONG, styled};
use super::{Ending, Outcome, Usage};

/// What to begin with. The catalog is chosen by the option every command has.
#[derive(Debug, Args)]
#[command(after_help = "tollgate init --catalog saas")]
pub(super) struct InitArgs {
    /// Write over files that are there
    #[arg(long)]
    force: bool,
}

const TOML: &str = "\
# Tollgate's configuration. Every setting, its default and its variable: `tollgate docs config`.
# `tollgate config check` finds mistakes, `tollgate config show` prints what is in force.
# Secrets belong into .env or the environment.

[catalog]
source = \"catalog.toml\"

[server]
# listen = \"127.0.0.1:8080\"
# metrics_listen = \"127.0.0.1:9480\"   # or \"api\": beside the API, or \"off\"

[database]
# url = \"sqlite:.tollgate/tollgate.db\"

[stripe]
# mode = \"test\"

# What each Stripe price sells, where the catalog does not say it: plan ids, badge, boost.
[stripe.price_map]
# premium = [\"price_…\", \"price_…\"]
";

const ENV: &str = "\
# Secrets of Tollgate. Keep this file readable by its owner only, and out of version control.

# Signing secret of the webhook endpoint (Stripe's dashboard, Webhooks); several separated by commas.
# STRIPE_WEBHOOK_SECRET=

# API key (Stripe's dashboard, Developers, API keys).
# STRIPE_SECRET_KEY=

# DATABASE_URL=postgres://user:password@host:5432/tollgate
";

pub(super) fn run(context: &Context, args: &InitArgs) -> Outcome {
    let name = context.sources.flags.catalog.as_deref().unwrap_or("sietch");
    let Some(catalog) = builtin_text(name) else {
        let known = BUILTIN_NAMES.join(", ");
        return Err(
            Usage(format!("there is no built-in catalog {name:?}; there are {known}")).into()
        );
    };
    let files: [(&str, &str, bool); 3] =
        [("tollgate.toml", TOML, false), ("catalog.toml", catalog, false), (".env", ENV, true)];
    let mut written = Vec::new();
    let mut kept = Vec::new();
    for (file, text, private) in files {
        let path = context.path(file);
        // An .env may hold the only copy of a secret, so it is never written over.
        if path.exists() && (private || !args.force) {
            kept.push(file);
            continue;
        }
        if private {
            write_private(&path, text)?;
        } else {
            std::fs::write(&path, text)?;
        }
        written.push(file);
    }
    let value = serde_json::json!({"catalog": name, "written": written, "kept": kept});
    context.output.either(&value, || told(context, &written, &kept))?;
    Ok(Ending::Done)
}

fn told(context: &Context, written: &[&str], kept: &[&str]) -> String {
    let mut lines: Vec<String> =
        written.iter().map(|file| format!("{} {file}", styled(GOOD, "written"))).collect();
    lines.extend(
        kept.iter().map(|file| format!("{} {file} (it was there)", styled(NOTICE, "kept   "))),
    );
    if !is_ignored(&context.path(".gitignore")) && context.path(".git").exists() {
        lines.push(styled(NOTICE, "add .env and .tollgate/ to .gitignore"));
    }
    lines.push(format!(
        "\nnext: put Stripe's secrets into {}, then {} and {}",
        styled(STRONG, ".env"),
        styled(STRONG, "tollgate config check"),
        styled(STRONG, "tollgate serve")
    ));
    lines.push(styled(FAINT, "or try it without Stripe: tollgate dev"));
    lines.join("\n")
}

fn is_ignored(gitignore: &Path) -> bool {
    let text = std::fs::read_to_string(gitignore).unwrap_or_default();
    text.lines().any(|line| line.trim().trim_start_matches('/') == ".env")
}
