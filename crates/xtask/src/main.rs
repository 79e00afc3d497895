//! The repository's own tasks: `cargo run -p xtask -- <task>`.
//!
//! Owns the checks that no compiler makes (`tidy`) and everything that is generated into the tree. Knows
//! the layout of the repository; must not be known by any other crate.

mod advisories;
mod dictionary;
mod generated;
mod lockfile;
mod sbom;
mod tidy;
mod tree;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::tidy::ratchet::Mode;
use crate::tree::Tree;

#[derive(Parser)]
#[command(about = "Tasks of the Tollgate repository")]
struct Cli {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand)]
enum Task {
    /// Check what no compiler checks: file headers, sizes, dependency walls, words, links
    Tidy {
        /// Lower the ratchet to what the tree has reached (it never rises)
        #[arg(long)]
        bless: bool,
    },
    /// Renew the files that the binary prints about itself
    Generate {
        /// Change nothing, fail when a file is not current
        #[arg(long)]
        check: bool,
        /// The binary to ask
        #[arg(long, default_value = "target/debug/tollgate")]
        binary: PathBuf,
    },
    /// Train the dictionary that raw bodies are squeezed with, and print what it is worth
    TrainDictionary(dictionary::Arguments),
    /// Compare the lock file with the dated snapshot of RustSec's advisories, or renew that
    Advisories(advisories::Arguments),
    /// Write the list of parts of the shipped binary, as CycloneDX
    Sbom(sbom::Arguments),
}

fn main() -> ExitCode {
    match run(Cli::parse().task) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(task: Task) -> anyhow::Result<ExitCode> {
    match task {
        Task::Tidy { bless } => run_tidy(if bless { Mode::Lower } else { Mode::Check }),
        Task::Generate { check, binary } => {
            generated::run(&tree::root(), &binary, check)?;
            Ok(ExitCode::SUCCESS)
        }
        Task::TrainDictionary(arguments) => {
            dictionary::run(&tree::root(), &arguments)?;
            Ok(ExitCode::SUCCESS)
        }
        Task::Advisories(arguments) => {
            advisories::run(&tree::root(), &arguments)?;
            Ok(ExitCode::SUCCESS)
        }
        Task::Sbom(arguments) => {
            sbom::run(&tree::root(), &arguments)?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn run_tidy(mode: Mode) -> anyhow::Result<ExitCode> {
    let tree = Tree::read(&tree::root())?;
    let findings = tidy::check(&tree, mode)?;
    for finding in &findings {
        eprintln!("{finding}");
    }
    if findings.is_empty() {
        println!("tidy: {} files, nothing found", tree.files.len());
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("tidy: {} to mend; CONTRIBUTING.md says why each rule exists", findings.len());
    Ok(ExitCode::FAILURE)
}
