//! `tollgate findings`. Owns: listing what an operator must hear of. Must not know: when a finding
//! is due.

use clap::Args;
use tollgate_domain::FindingCode;
use tollgate_domain::ids::AccountId;
use tollgate_store::Db;
use tollgate_store::findings::{self, FindingFilter, ListedFinding};

use super::context::{Context, block_on};
use super::output::{FAINT, NOTICE, STRONG, styled};
use super::{Ending, Outcome};
use crate::api::admin::findings::FindingOut;

/// Findings read at once.
const PAGE: u32 = 100;
/// Most findings shown.
const FINDINGS_MAX: usize = 1_000;

/// Which findings.
#[derive(Debug, Args)]
#[command(after_help = "tollgate findings\n\
    tollgate findings --account acme\n\
    tollgate findings --code price_unknown --json\n\n\
    Exit code 3 when a finding is open.")]
pub(super) struct FindingsArgs {
    /// Of this account only
    #[arg(long, value_name = "ACCOUNT", value_parser = |text: &str| AccountId::parse(text))]
    account: Option<AccountId>,
    /// Of this code only, such as price_unknown
    #[arg(long, value_name = "CODE", value_parser = |text: &str| FindingCode::parse(text))]
    code: Option<FindingCode>,
    /// Also those whose cause is gone
    #[arg(long)]
    all: bool,
}

pub(super) fn run(context: &Context, args: &FindingsArgs) -> Outcome {
    let filter = FindingFilter {
        code: args.code,
        account: args.account.clone(),
        open: true,
        closed: args.all,
        after: None,
    };
    let found = block_on(async {
        let config = context.load_for_data()?;
        let db = context.open(&config).await?;
        let found = list(&db, filter).await;
        db.close().await;
        found
    })??;
    let open = found.iter().any(|one| one.finding.closed_at.is_none());
    let shown: Vec<FindingOut> = found.into_iter().map(FindingOut::from).collect();
    context.output.either(&serde_json::json!({"data": shown}), || text(&shown))?;
    Ok(if open { Ending::Found } else { Ending::Done })
}

/// Every finding of a filter, at most [`FINDINGS_MAX`].
pub(super) async fn list(db: &Db, mut filter: FindingFilter) -> anyhow::Result<Vec<ListedFinding>> {
    let mut all: Vec<ListedFinding> = Vec::new();
    while all.len() < FINDINGS_MAX {
        let page = findings::list(db, &filter, PAGE).await?;
        let Some(last) = page.last() else { break };
        filter.after = Some(last.place());
        all.extend(page);
    }
    all.truncate(FINDINGS_MAX);
    Ok(all)
}

fn text(found: &[FindingOut]) -> String {
    if found.is_empty() {
        return "nothing found".to_owned();
    }
    found.iter().map(paragraph).collect::<Vec<_>>().join("\n\n")
}

fn paragraph(one: &FindingOut) -> String {
    let whose = one.account_id.as_deref().unwrap_or("no account");
    let state = match &one.closed_at {
        Some(at) => format!("closed {at}"),
        None => format!("open since {}", one.since),
    };
    format!(
        "{}  {} of {}  {}\n  {} {}\n  {}",
        styled(NOTICE, one.code),
        styled(STRONG, &one.subject),
        styled(STRONG, whose),
        styled(FAINT, state),
        one.meaning,
        styled(FAINT, format_args!("({})", one.detail)),
        styled(FAINT, format_args!("do: {}", one.remedy)),
    )
}
