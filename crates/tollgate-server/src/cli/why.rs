//! `tollgate why`. Owns: the explanation for people: who won, what else was considered, until when,
//! and who caused it. Must not know: the rules it explains.

use clap::Args;
use tollgate_domain::catalog::{Allowance, Interval, Limit};
use tollgate_domain::entitlement::forecast::PendingChange;
use tollgate_domain::entitlement::{
    Considered, OverrideConsidered, Resolution, SourceKind, Standing,
};
use tollgate_domain::ids::{AccountId, FeatureKey, SubscriptionId};
use tollgate_domain::{Catalog, Finding, Timestamp};

use super::asking::Asking;
use super::at::{self, At};
use super::context::{Context, block_on};
use super::output::{BAD, FAINT, GOOD, NOTICE, STRONG, print_json, print_line, styled};
use super::{Ending, Outcome};
use crate::api::checks::{self, CheckIn};
use crate::api::explain::Trace;

/// What is to be explained.
#[derive(Debug, Args)]
#[command(after_help = "tollgate why acme\n\
    tollgate why acme weekly_digest\n\
    tollgate why acme --at +26h                    what today's facts will mean then\n\
    tollgate why acme --at 2026-11-01T00:00:00Z    what was known and in force then")]
pub(super) struct WhyArgs {
    /// The account, as the application calls it
    #[arg(value_parser = |text: &str| AccountId::parse(text))]
    account: AccountId,
    /// One feature; without it the plan is explained
    #[arg(value_parser = |text: &str| FeatureKey::parse(text))]
    feature: Option<FeatureKey>,
    /// Explain as of this time: 2026-11-21T10:00:00Z, +26h, -2d
    #[arg(long, value_parser = at::parse, value_name = "TIME", allow_hyphen_values = true)]
    at: Option<At>,
}

pub(super) fn run(context: &Context, args: &WhyArgs) -> Outcome {
    block_on(explain(context, args))?
}

async fn explain(context: &Context, args: &WhyArgs) -> Outcome {
    let asking = Asking::open(context).await?;
    let resolved = asking.resolve(&args.account, args.at).await?;
    let catalog = &asking.config.catalog;
    let story = Story {
        catalog,
        account: &args.account,
        resolution: &resolved.resolution,
        findings: &resolved.findings,
        planned: &resolved.planned,
        at: resolved.at,
        now: asking.now,
    };
    let Some(feature) = &args.feature else {
        return story.tell_plan(context);
    };
    let answer = asking.answer(&args.account, &resolved, feature, 1).await?;
    if context.output.is_json() {
        let question = CheckIn {
            account_id: args.account.as_str().into(),
            feature: feature.as_str().into(),
            requested_usage: None,
            consume: false,
            min_revision: None,
            at: None,
            explain: true,
        };
        let reply = checks::render(catalog, &resolved.resolution, &answer, &question)?;
        print_json(&serde_json::from_slice::<serde_json::Value>(&reply)?)?;
        return Ok(Ending::Done);
    }
    let verdict =
        if answer.can_access { styled(GOOD, "may use") } else { styled(BAD, "may not use") };
    print_line(format_args!(
        "{} {verdict} {} {}",
        styled(STRONG, &args.account),
        styled(STRONG, feature),
        story.when()
    ));
    print_line(format_args!("  {} {}", answer.message, styled(FAINT, answer.reason.as_str())));
    if let Some(plan) = answer.required_plan.and_then(|index| catalog.plan(index)) {
        let link = catalog.upgrade_link(plan, &args.account);
        let link = link.map_or_else(String::new, |link| format!(": {link}"));
        print_line(format_args!("  {} has it{link}", plan.name));
    }
    print_line("");
    print_line(story.text());
    Ok(Ending::Done)
}

/// One resolution, to be told.
struct Story<'a> {
    catalog: &'a Catalog,
    account: &'a AccountId,
    resolution: &'a Resolution,
    findings: &'a [Finding],
    planned: &'a [(SubscriptionId, PendingChange)],
    at: Timestamp,
    now: Timestamp,
}

impl Story<'_> {
    fn tell_plan(&self, context: &Context) -> Outcome {
        let plan = self.catalog.plan(self.resolution.plan);
        if context.output.is_json() {
            print_json(&serde_json::json!({
                "accountId": self.account.as_str(),
                "known": self.resolution.known,
                "tier": plan.map(|plan| plan.id.as_str()),
                "source": {
                    "type": self.resolution.source.as_str(),
                    "id": self.resolution.source_id,
                },
                "inGracePeriod": self.resolution.in_grace,
                "graceUntil": self.resolution.grace_until.map(|at| at.to_string()),
                "validUntil": self.resolution.valid_until.map(|at| at.to_string()),
                "revision": self.resolution.revision,
                "planned": self.planned.iter().map(|(id, change)| serde_json::json!({
                    "subscription": id.as_str(),
                    "tier": change.plan.and_then(|plan| self.catalog.plan(plan)).map(|plan| plan.id.as_str()),
                    "quantity": change.quantity,
                    "interval": change.interval.map(Interval::as_str),
                    "ends": change.ends,
                    "at": change.at.to_string(),
                    "awaitsPayment": change.awaits_payment,
                })).collect::<Vec<_>>(),
                "trace": Trace::of(self.resolution, self.catalog),
                "findings": self.findings.iter().map(|one| serde_json::json!({
                    "code": one.code.as_str(),
                    "subject": one.subject,
                    "since": one.since.to_string(),
                    "detail": one.detail,
                    "meaning": one.code.meaning(),
                    "remedy": one.code.remedy(),
                })).collect::<Vec<_>>(),
            }))?;
        } else {
            let name = plan.map_or("no plan", |plan| plan.name.as_str());
            print_line(format_args!(
                "{} is on {} {}",
                styled(STRONG, self.account),
                styled(STRONG, name),
                self.when()
            ));
            print_line(self.text());
        }
        Ok(Ending::Done)
    }

    /// `now`, or the instant with its distance.
    fn when(&self) -> String {
        if self.at == self.now {
            return "now".to_owned();
        }
        let tense = if self.at > self.now { "forecast" } else { "as it was" };
        let distance = at::relative(self.at, self.now);
        format!("at {} {}", self.at, styled(FAINT, format_args!("({distance}, {tense})")))
    }

    /// Everything considered, the winner first.
    fn text(&self) -> String {
        let mut lines = Vec::new();
        if !self.resolution.known {
            lines.push(styled(
                NOTICE,
                "  nothing is known of this account; the default plan applies",
            ));
        }
        for (place, considered) in self.resolution.considered.iter().enumerate() {
            lines.push(self.source_line(considered, place == 0));
            lines.extend(self.source_details(considered));
        }
        if !self.resolution.counted.is_empty() {
            lines.push(format!("\n  {}", styled(STRONG, "Limits by the unit")));
            let counted = self.resolution.counted.iter();
            lines.extend(counted.map(|(key, counted)| format!("      {key}  {counted}")));
        }
        if !self.resolution.overrides.is_empty() {
            lines.push(format!("\n  {}", styled(STRONG, "Overrides")));
            lines.extend(self.resolution.overrides.iter().flat_map(|one| self.override_lines(one)));
        }
        if !self.planned.is_empty() {
            lines.push(format!("\n  {}", styled(STRONG, "Planned")));
            lines.extend(self.planned.iter().map(|(id, change)| self.planned_line(id, change)));
        }
        if !self.findings.is_empty() {
            lines.push(format!("\n  {}", styled(STRONG, "Needs attention")));
            lines.extend(self.findings.iter().flat_map(|one| self.finding_lines(one)));
        }
        lines.push(String::new());
        let certain = self.planned.iter().filter(|(_, change)| !change.awaits_payment);
        let ends = self.resolution.valid_until.into_iter().chain(certain.map(|(_, one)| one.at));
        lines.push(match ends.min() {
            Some(end) => format!("  holds until {}", self.instant(end)),
            None => "  holds until something happens".to_owned(),
        });
        let catalog = &self.catalog;
        let version = catalog.version.get(..12).unwrap_or(&catalog.version);
        let revision = self.resolution.revision;
        let from = format!("revision {revision}, catalog {} {version}", catalog.name);
        lines.push(styled(FAINT, format_args!("  from {from}")));
        lines.join("\n")
    }

    fn source_line(&self, considered: &Considered, won: bool) -> String {
        let mark = match (&considered.standing, won) {
            (_, true) => styled(GOOD, "✓"),
            (Standing::NotInForce(_), false) => styled(BAD, "✗"),
            (Standing::InForce | Standing::InGrace, false) => styled(FAINT, "·"),
        };
        let plan = considered.plan.and_then(|index| self.catalog.plan(index));
        let offer = match plan {
            Some(plan) => format!("{} (rank {})", plan.name, plan.rank),
            None => "no known plan".to_owned(),
        };
        let standing = match (&considered.standing, won) {
            (Standing::InForce, true) => styled(GOOD, "decides"),
            (Standing::InGrace, true) => styled(NOTICE, "decides, in grace"),
            (Standing::InForce, false) => "in force, but outranked".to_owned(),
            (Standing::InGrace, false) => "in grace, but outranked".to_owned(),
            (Standing::NotInForce(why), _) => styled(BAD, why.as_str().replace('_', " ")),
        };
        let name = match &considered.id {
            Some(id) => format!("{} {}", source_name(considered.kind), styled(FAINT, id)),
            None => source_name(considered.kind).to_owned(),
        };
        format!("\n  {mark} {name}: {} · {standing}", styled(STRONG, offer))
    }

    fn source_details(&self, considered: &Considered) -> Vec<String> {
        let mut lines = Vec::new();
        if !considered.note.is_empty() {
            lines.push(format!("      {}", considered.note));
        }
        if let Some(since) = considered.since {
            lines.push(format!("      since  {}", self.instant(since)));
        }
        if let Some(until) = considered.until {
            lines.push(format!("      until  {}", self.instant(until)));
        }
        if let Some(cause) = &considered.cause {
            lines.push(format!("      cause  {cause}"));
        }
        lines
    }

    fn planned_line(&self, id: &SubscriptionId, change: &PendingChange) -> String {
        let what = match change.plan.and_then(|plan| self.catalog.plan(plan)) {
            Some(plan) => {
                let units = change.quantity.filter(|units| *units != 1);
                let units = units.map_or_else(String::new, |units| format!(" x {units}"));
                let every = change.interval.map(Interval::word);
                let every = every.map_or_else(String::new, |every| format!(" {every}"));
                format!("{}{units}{every}", plan.name)
            }
            None if change.ends => "ends".to_owned(),
            None => "no known plan".to_owned(),
        };
        let when = if change.awaits_payment { "once it is paid, until" } else { "from" };
        let when = if change.ends { "at" } else { when };
        format!("      {what} {when} {} {}", self.instant(change.at), styled(FAINT, id))
    }

    fn override_lines(&self, one: &OverrideConsidered) -> Vec<String> {
        let sets = match one.sets {
            None => "off".to_owned(),
            Some(Allowance::On) => "on".to_owned(),
            Some(Allowance::Limit(Limit::Unlimited)) => "unlimited".to_owned(),
            Some(Allowance::Limit(Limit::Count(limit))) => format!("limit {limit}"),
            Some(Allowance::PerUnit(per_unit)) => format!("{} per unit", per_unit.each),
        };
        let (mark, standing) = match &one.standing {
            Standing::InForce | Standing::InGrace => (styled(GOOD, "✓"), styled(GOOD, "in force")),
            Standing::NotInForce(why) => {
                (styled(BAD, "✗"), styled(BAD, why.as_str().replace('_', " ")))
            }
        };
        let id = styled(FAINT, &one.id);
        let mut lines = vec![format!("  {mark} {} {sets} · {standing} {id}", one.feature)];
        lines.push(format!("      cause  {}", one.cause));
        if let Some(until) = one.until {
            lines.push(format!("      until  {}", self.instant(until)));
        }
        lines
    }

    fn finding_lines(&self, one: &Finding) -> [String; 3] {
        [
            format!(
                "  {} {} {}",
                styled(NOTICE, "!"),
                styled(NOTICE, one.code.as_str()),
                one.subject
            ),
            format!(
                "      {} ({}), since {}",
                one.code.meaning(),
                one.detail,
                self.instant(one.since)
            ),
            format!("      {}", styled(FAINT, format_args!("do: {}", one.code.remedy()))),
        ]
    }

    fn instant(&self, instant: Timestamp) -> String {
        format!(
            "{instant} {}",
            styled(FAINT, format_args!("({})", at::relative(instant, self.now)))
        )
    }
}

const fn source_name(kind: SourceKind) -> &'static str {
    match kind {
        SourceKind::Waiver => "waiver",
        SourceKind::Subscription => "subscription",
        SourceKind::Boost => "boosts",
        SourceKind::Grant => "grant",
        SourceKind::Default => "default plan",
    }
}
