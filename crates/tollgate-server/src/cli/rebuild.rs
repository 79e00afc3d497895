//! `tollgate rebuild`. Owns: its arguments and the report. Must not know: how anything is rebuilt.

use std::fmt::Write as _;

use anyhow::Context as _;
use clap::Args;

use super::context::{Context, block_on};
use super::output::{BAD, FAINT, GOOD, STRONG, one_line, styled};
use super::serve::Signals;
use super::{Ending, Outcome};
use crate::rebuild::{self, Report};

/// What to rebuild.
#[derive(Debug, Args)]
#[command(
    after_help = "Folds the inbox, and what people gave, linked and verified, into an empty database, by \
                  the functions that worked on it then, and compares: facts, journals and the inbox must \
                  agree. The database is read and not changed; a running server is not disturbed. A copy \
                  of it and what is rebuilt are files in the folder for temporary files (TMPDIR), together \
                  about twice as large as the database, and are removed at the end.\n\n\
                  Nothing else is rebuilt: facts that differ are repaired by `tollgate events replay` and \
                  `tollgate reconcile`.\n\n\
                  Exit code 3 when something differs."
)]
pub(super) struct RebuildArgs {
    /// Compare what is rebuilt with the database, and drop it
    #[arg(long, required = true)]
    verify: bool,
}

pub(super) fn run(context: &Context, args: &RebuildArgs) -> Outcome {
    debug_assert!(args.verify, "the arguments were checked");
    let report = block_on(verify(context))??;
    context.output.either(&report, || shown(&report))?;
    Ok(if report.equal { Ending::Done } else { Ending::Found })
}

async fn verify(context: &Context) -> anyhow::Result<Report> {
    let config = context.load_for_data()?;
    let database = context.open(&config).await?;
    let mut signals = Signals::listen()?;
    // The files go with the rebuild when that is given up.
    let done = tokio::select! {
        done = rebuild::verify(config, &context.clock, &database) => done.with_context(|| {
            let place = std::env::temp_dir();
            format!("the rebuild in {} (TMPDIR names another place)", place.display())
        }),
        () = signals.end() => Err(anyhow::anyhow!("interrupted: nothing was changed, the files are removed")),
    };
    database.close().await;
    done
}

/// The report for people.
fn shown(report: &Report) -> String {
    let mut text = format!(
        "{} events and {} acts of people folded; {} accounts and {} journal entries compared\n",
        report.events, report.acts, report.accounts, report.journal_entries
    );
    let _ = writeln!(text, "database {}\nrebuilt  {}", report.digest, report.rebuilt_digest);
    for (count, what) in [
        (report.open_events, "events are still to be worked on here, and rebuilt already"),
        (report.sold_by_another_catalog, "purchases were sold by another catalog: not compared"),
        (
            report.taken_as_they_are,
            "operator facts name what the catalog has no more: taken as they are",
        ),
        (
            report.earlier_emails,
            "earlier verified e-mails are not kept: nothing is matched with them",
        ),
    ] {
        if count > 0 {
            let _ = writeln!(text, "{}", styled(FAINT, format_args!("{count} {what}")));
        }
    }
    if report.equal {
        text.push_str(&styled(GOOD, "facts, journals and the inbox agree"));
        return text;
    }
    for one in &report.differences {
        let _ = writeln!(text, "\n{}", styled(STRONG, one_line(&one.account_id)));
        for line in &one.what {
            let _ = writeln!(text, "  {}", one_line(line));
        }
    }
    let listed = u64::try_from(report.differences.len()).unwrap_or(u64::MAX);
    if report.differing > listed {
        let _ = writeln!(text, "\nand {} more accounts", report.differing - listed);
    }
    let _ = write!(text, "\n{}", styled(BAD, format_args!("{} accounts differ", report.differing)));
    text
}
