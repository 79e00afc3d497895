//! `tollgate plan pull`. Owns: where the drafted catalog goes. Must not know: how it is drafted.

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use serde_json::json;
use tollgate_domain::catalog::draft::draft;
use tollgate_domain::catalog::parse::parse;
use tollgate_stripe::shop::fetch_stock;

use super::super::context::{Context, block_on};
use super::super::output::{FAINT, GOOD, NOTICE, STRONG, print_bytes, styled, table};
use super::super::{Ending, Outcome};

/// Where to write.
#[derive(Debug, Args)]
pub(in super::super) struct PullArgs {
    /// Write this file; `-` prints the text
    #[arg(default_value = "catalog.toml")]
    file: PathBuf,
    /// Write over the file that is there
    #[arg(long)]
    force: bool,
}

pub(super) fn run(context: &Context, args: &PullArgs) -> Outcome {
    block_on(pull(context, args))?
}

async fn pull(context: &Context, args: &PullArgs) -> Outcome {
    let config = context.load()?.config;
    let client = context.stripe(&config).await?;
    let stock = fetch_stock(&client).await.context("what is for sale cannot be read")?;
    let draft = draft(&stock);
    // A draft is always a catalog; should it not be, that is a defect and nothing is written.
    parse("pulled", "the draft", &draft.text).context("the draft is no catalog")?;
    if args.file.as_os_str() == "-" {
        print_bytes(draft.text.as_bytes());
        return Ok(Ending::Done);
    }
    let shown = args.file.display();
    let mut options = std::fs::OpenOptions::new();
    if args.force {
        options.write(true).create(true).truncate(true);
    } else {
        options.write(true).create_new(true);
    }
    let mut file = options.open(context.path(&args.file)).with_context(|| {
        format!("{shown} cannot be written (--force writes over a file that is there)")
    })?;
    file.write_all(draft.text.as_bytes()).with_context(|| format!("{shown} cannot be written"))?;
    let value = json!({
        "file": shown.to_string(),
        "plans": draft.plans.iter().map(|(product, plan)| json!({"product": product, "plan": plan})).collect::<Vec<_>>(),
        "leftOut": draft.left_out.iter().map(|(product, why)| json!({"product": product, "why": why})).collect::<Vec<_>>(),
    });
    context.output.either(&value, || {
        let plans = draft.plans.iter().map(|(product, plan)| vec![plan.clone(), product.clone()]);
        let mut parts = vec![
            format!("{} {shown}", styled(GOOD, "written")),
            table(&["plan", "product"], plans.collect()),
        ];
        if !draft.left_out.is_empty() {
            let rows = draft.left_out.iter().map(|(id, why)| vec![id.clone(), (*why).to_owned()]);
            let rows = table(&["product", "why"], rows.collect());
            parts.push(format!("{}\n{rows}", styled(NOTICE, "left out")));
        }
        parts.push(format!(
            "{} say what each plan gives, then {}",
            styled(FAINT, "next:"),
            styled(STRONG, format_args!("tollgate plan show --catalog {shown}"))
        ));
        parts.join("\n\n")
    })?;
    Ok(Ending::Done)
}
