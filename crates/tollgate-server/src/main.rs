//! The binary: hands the arguments and the environment to the command line, nothing else.

use std::process::ExitCode;

use tollgate_server::cli;
use tollgate_server::config::Environment;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::run(std::env::args_os(), Environment::of_process())
}
