//! `tollgate docs`. Owns: the reference pages of the command line and of the errors, made from the
//! commands and the table of errors themselves.

use std::fmt::Write as _;

use clap::{Command, Subcommand};

use super::output::print_bytes;
use crate::api::error::ApiError;

/// Which page.
#[derive(Debug, Subcommand)]
pub(super) enum DocsCommand {
    /// docs/cli.md
    Cli,
    /// docs/configuration.md
    Config,
    /// The table in docs/errors.md
    Errors,
    /// docs/openapi.json
    Openapi,
}

pub(super) fn print(command: &DocsCommand) {
    let page = match command {
        DocsCommand::Cli => page(),
        DocsCommand::Config => crate::config::reference::page(),
        DocsCommand::Errors => errors(),
        DocsCommand::Openapi => crate::api::openapi::text(),
    };
    print_bytes(page.as_bytes());
}

const HEAD: &str =
    "<!-- Made by `tollgate docs cli`; change crates/tollgate-server/src/cli.rs instead. -->

# Command line

Every command takes `--json` (output for programs), `--config FILE` and `--catalog NAME|FILE`.
Colours are left out where `NO_COLOR` is set or no terminal reads.

Exit codes: 0 done, 1 failed, 2 wrong usage, 3 a check found something.
";

fn page() -> String {
    let mut page = HEAD.to_owned();
    let mut command = super::command_for_completions();
    command.build();
    for sub in told(&command) {
        write_command(&mut page, sub, "tollgate", 2);
    }
    page
}

/// The subcommands the page tells of; `help` says what `--help` does.
fn told(command: &Command) -> impl Iterator<Item = &Command> {
    command.get_subcommands().filter(|sub| !sub.is_hide_set() && sub.get_name() != "help")
}

/// One row per error; the anchors are what `type` in a problem document points at.
fn errors() -> String {
    let mut table = "| code | status | means | Retry-After |\n|---|---|---|---|\n".to_owned();
    for error in ApiError::all() {
        let (status, code, title) = error.row();
        let retry = if error.retry_after().is_some() { "yes" } else { "" };
        let status = status.as_u16();
        let _ = writeln!(table, "| <a id=\"{code}\"></a>`{code}` | {status} | {title} | {retry} |");
    }
    table
}

fn write_command(page: &mut String, command: &Command, parent: &str, level: usize) {
    let name = format!("{parent} {}", command.get_name());
    let _ = write!(page, "\n{} `{name}`\n", "#".repeat(level));
    if let Some(about) = command.get_long_about().or_else(|| command.get_about()) {
        let _ = write!(page, "\n{about}\n");
    }
    let children: Vec<&Command> = told(command).collect();
    if children.is_empty() {
        let usage = command.clone().bin_name(&name).render_usage().to_string();
        let usage = usage.trim_start_matches("Usage: ").trim().to_owned();
        let _ = write!(page, "\n```\n{usage}\n```\n\n");
        for argument in command.get_arguments() {
            write_argument(page, argument);
        }
    }
    for child in children {
        write_command(page, child, &name, level.saturating_add(1));
    }
    if let Some(after) = command.get_after_help() {
        let _ = write!(page, "\n```\n{}\n```\n", after.to_string().trim());
    }
}

fn write_argument(page: &mut String, argument: &clap::Arg) {
    let everywhere = ["config", "catalog", "json", "help", "version"];
    if argument.is_hide_set() || everywhere.contains(&argument.get_id().as_str()) {
        return;
    }
    let values = argument.get_value_names().unwrap_or_default();
    let values: Vec<String> = values.iter().map(|name| format!("<{name}>")).collect();
    let takes = argument.get_action().takes_values();
    let shown = match argument.get_long() {
        Some(long) if takes => format!("--{long} {}", values.join(" ")),
        Some(long) => format!("--{long}"),
        None => values.join(" "),
    };
    let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
    let defaults: Vec<String> = argument
        .get_default_values()
        .iter()
        .map(|value| value.to_string_lossy().into_owned())
        .collect();
    let default = if defaults.is_empty() || !takes {
        String::new()
    } else {
        format!(" (default {})", defaults.join(","))
    };
    let _ = writeln!(page, "- `{shown}`: {help}{default}");
}
