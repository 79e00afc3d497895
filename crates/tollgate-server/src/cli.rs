//! The command line. Owns: commands, their arguments and their help, exit codes. Must not know: how a
//! command does its work (one file each beside this one).
//!
//! Exit codes: 0 done, 1 failed, 2 wrong usage, 3 a check found something.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

use crate::config::Environment;

mod asking;
mod at;
mod bench;
mod check;
mod configuration;
mod context;
mod dev;
mod dev_state;
mod docs;
mod doctor;
mod duplicates;
mod events;
mod findings;
mod http_client;
mod import;
mod init;
mod keys;
mod migrate;
mod output;
mod plan;
mod rebuild;
mod reconcile;
mod regrade;
mod relink;
mod sandbox;
mod serve;
mod setup;
mod state;
mod timeline;
mod trigger;
mod why;

use context::Context;
use output::{Output, print_bytes};

/// How a command ended when it did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ending {
    /// Exit code 0.
    Done,
    /// Exit code 3: a check found something.
    Found,
}

/// The arguments make no sense together; told like a mistake of typing, exit code 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Usage(String);

type Outcome = anyhow::Result<Ending>;

/// Billing and entitlements for Stripe: one binary that answers whether an account may use a
/// feature now, how much of it, and why.
#[derive(Debug, Parser)]
#[command(name = "tollgate", version, max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

/// What the process was started with.
struct Start {
    environment: Environment,
    /// The program's name as it was typed.
    program: String,
}

/// Options every command has.
#[derive(Debug, Clone, Args)]
struct Global {
    /// Read this file instead of ./tollgate.toml
    #[arg(long, global = true, value_name = "FILE", help_heading = "Everywhere")]
    config: Option<PathBuf>,
    /// Use this catalog: sietch, propiq, levels, saas, or a file
    #[arg(long, global = true, value_name = "NAME|FILE", help_heading = "Everywhere")]
    catalog: Option<String>,
    /// Print JSON for programs instead of text for people
    #[arg(long, global = true, help_heading = "Everywhere")]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run everything on this machine, with demo accounts and no Stripe account
    Dev(dev::DevArgs),
    /// Run the engine in production
    Serve(serve::ServeArgs),
    /// Write tollgate.toml, catalog.toml and .env to begin with
    Init(init::InitArgs),
    /// Make everything Tollgate needs in a Stripe account
    Setup {
        #[command(subcommand)]
        command: setup::SetupCommand,
    },
    /// Bring the database's schema up, show it, or take it back
    Migrate {
        #[command(subcommand)]
        command: migrate::MigrateCommand,
    },
    /// Ask whether an account may use a feature
    Check(check::CheckArgs),
    /// Explain an account's plan, or one feature of it, now or at any time
    Why(why::WhyArgs),
    /// Show an account's plans over time, past and forecast
    Timeline(timeline::TimelineArgs),
    /// Send realistic signed Stripe events to a running server
    Trigger(trigger::TriggerArgs),
    /// Run a stand-in for Stripe alone, or control the one that runs
    Sandbox(sandbox::SandboxArgs),
    /// Show plans, compare them with Stripe and bring Stripe up to them, try another catalog
    Plan {
        #[command(subcommand)]
        command: plan::PlanCommand,
    },
    /// Look into the inbox of Stripe's events, and replay them
    Events {
        #[command(subcommand)]
        command: events::EventsCommand,
    },
    /// Show what needs attention: paid and granting nothing, contradictory, stale, given up
    Findings(findings::FindingsArgs),
    /// Show accounts that pay twice, and end all but one of their subscriptions
    Duplicates(duplicates::DuplicatesArgs),
    /// Compare with Stripe and repair what differs
    Reconcile(reconcile::ReconcileArgs),
    /// Bring an existing Stripe account's customers, subscriptions and purchases in
    Import(import::ImportArgs),
    /// Decide past one-time purchases again by today's catalog
    Regrade(regrade::RegradeArgs),
    /// Give a Stripe object to another account, with all that belongs to it
    Relink(relink::RelinkArgs),
    /// Make, list, rotate and revoke API keys
    Keys {
        #[command(subcommand)]
        command: keys::KeysCommand,
    },
    /// Check the configuration, or show what is in force
    Config {
        #[command(subcommand)]
        command: configuration::ConfigCommand,
    },
    /// Look for everything that could be wrong with this installation
    Doctor(doctor::DoctorArgs),
    /// Measure this program on this machine, beside what it is to be compared with
    Bench(crate::bench::BenchArgs),
    /// Hash the facts of all accounts
    State {
        #[command(subcommand)]
        command: state::StateCommand,
    },
    /// Prove that facts, journals and the inbox agree, by building the facts again from the inbox
    Rebuild(rebuild::RebuildArgs),
    /// Print completions for a shell
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
    /// Print the reference pages
    #[command(hide = true)]
    Docs {
        #[command(subcommand)]
        command: docs::DocsCommand,
    },
}

/// The commands by what they are for, as the help shows them.
const GROUPS: [(&str, &[&str]); 5] = [
    ("Run", &["dev", "serve", "init", "setup", "migrate"]),
    ("Ask", &["check", "why", "timeline"]),
    ("Catalog", &["plan", "regrade"]),
    ("Stripe's events", &["trigger", "sandbox", "events", "reconcile", "import", "relink"]),
    (
        "Operate",
        &[
            "findings",
            "duplicates",
            "keys",
            "config",
            "doctor",
            "bench",
            "state",
            "rebuild",
            "completions",
        ],
    ),
];

/// The command line as clap knows it, with the commands grouped in the help.
fn command() -> clap::Command {
    let command = Cli::command();
    let groups = grouped(&command);
    let template = format!(
        "{{about-with-newline}}\n{{usage-heading}} {{usage}}\n{groups}\n{{options}}\n\n\
         Start with `tollgate dev`. `tollgate COMMAND --help` tells more of each command.\n"
    );
    command.help_template(template)
}

fn grouped(command: &clap::Command) -> String {
    use std::fmt::Write as _;

    let heading = *command.get_styles().get_header();
    let literal = *command.get_styles().get_literal();
    let mut text = String::new();
    for (group, names) in GROUPS {
        let _ = writeln!(text, "\n{heading}{group}:{heading:#}");
        for name in names {
            let about = command
                .find_subcommand(name)
                .and_then(clap::Command::get_about)
                .map(ToString::to_string)
                .unwrap_or_default();
            let _ = writeln!(text, "  {literal}{name:<12}{literal:#} {about}");
        }
    }
    text
}

/// Runs the command line and returns the exit code.
pub fn run(arguments: impl IntoIterator<Item = OsString>, environment: Environment) -> ExitCode {
    let arguments: Vec<OsString> = arguments.into_iter().collect();
    let program =
        arguments.first().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let cli = match parse(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version go to standard output and are no mistake.
            let code = if error.use_stderr() { 2 } else { 0 };
            let _ = error.print();
            return ExitCode::from(code);
        }
    };
    let output = Output::new(cli.global.json);
    match dispatch(cli, Start { environment, program }, output) {
        Ok(Ending::Done) => ExitCode::SUCCESS,
        Ok(Ending::Found) => ExitCode::from(3),
        Err(error) => {
            output.error(&error);
            ExitCode::from(if error.is::<Usage>() { 2 } else { 1 })
        }
    }
}

fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Cli, clap::Error> {
    let matches = command().try_get_matches_from(arguments)?;
    Cli::from_arg_matches(&matches)
}

fn dispatch(cli: Cli, start: Start, output: Output) -> Outcome {
    let context = Context::new(&cli.global, start, output)?;
    match cli.command {
        Command::Dev(args) => dev::run(&context, &args),
        Command::Serve(args) => serve::run(&context, &args),
        Command::Init(args) => init::run(&context, &args),
        Command::Setup { command } => setup::run(&context, &command),
        Command::Migrate { command } => migrate::run(&context, &command),
        Command::Check(args) => check::run(&context, &args),
        Command::Why(args) => why::run(&context, &args),
        Command::Timeline(args) => timeline::run(&context, &args),
        Command::Trigger(args) => trigger::run(&context, &args),
        Command::Sandbox(args) => sandbox::run(&context, &args),
        Command::Plan { command } => plan::run(&context, command),
        Command::Events { command } => events::run(&context, command),
        Command::Duplicates(args) => duplicates::run(&context, &args),
        Command::Findings(args) => findings::run(&context, &args),
        Command::Reconcile(args) => reconcile::run(&context, &args),
        Command::Import(args) => import::run(&context, &args),
        Command::Regrade(args) => regrade::run(&context, &args),
        Command::Relink(args) => relink::run(&context, &args),
        Command::Keys { command } => keys::run(&context, command),
        Command::Config { command } => configuration::run(&context, command),
        Command::Doctor(args) => doctor::run(&context, &args),
        Command::Bench(args) => bench::run(&context, &args),
        Command::State { command } => state::run(&context, &command),
        Command::Rebuild(args) => rebuild::run(&context, &args),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut command_for_completions(), "tollgate", &mut script);
            print_bytes(&script);
            Ok(Ending::Done)
        }
        Command::Docs { command } => {
            docs::print(&command);
            Ok(Ending::Done)
        }
    }
}

fn command_for_completions() -> clap::Command {
    Cli::command()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        command().debug_assert();
    }

    #[test]
    fn every_command_that_is_not_hidden_stands_in_one_group() {
        let grouped: Vec<&str> =
            GROUPS.iter().flat_map(|(_, names)| names.iter().copied()).collect();
        let command = Cli::command();
        let visible: Vec<&str> = command
            .get_subcommands()
            .filter(|one| !one.is_hide_set())
            .map(clap::Command::get_name)
            .collect();
        let sorted = |mut names: Vec<&str>| {
            names.sort_unstable();
            names.join(" ")
        };
        assert_eq!(sorted(grouped), sorted(visible));
    }

    #[test]
    fn arguments_that_make_no_sense_are_refused() {
        let refused = |line: &str| parse(line.split(' ').map(OsString::from)).is_err();
        for line in [
            "tollgate",
            "tollgate chek",
            "tollgate check",
            "tollgate check acme",
            "tollgate check ac<me weekly_digest",
            "tollgate check acme Weekly-Digest",
            "tollgate why acme --at yesterday",
            "tollgate serve --listen",
            "tollgate trigger --from-folder x",
            "tollgate keys create --name n --scopes everything",
        ] {
            assert!(refused(line), "{line}");
        }
        assert!(!refused("tollgate why acme weekly_digest --at +26h --json"));
    }
}
