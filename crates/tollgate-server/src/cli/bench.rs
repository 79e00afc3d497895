//! `tollgate bench`. Owns: showing what is being measured and what was found. Must not know: how it
//! is measured.

use super::context::Context;
use super::output::{FAINT, print_note, styled};
use super::{Ending, Outcome};
use crate::bench::{self, BenchArgs, Subject};

pub(super) fn run(context: &Context, args: &BenchArgs) -> Outcome {
    if args.subject == Subject::Hello {
        bench::serve_hello(args)?;
        return Ok(Ending::Done);
    }
    let report = bench::run(args, &|text| print_note(styled(FAINT, text)))?;
    context.output.either(&report, || report.to_string())?;
    Ok(Ending::Done)
}
