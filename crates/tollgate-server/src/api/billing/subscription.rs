//! `GET /api/v1/billing/subscription` and its changes. Owns: their JSON. Must not know: how a change
//! is made.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use tollgate_domain::buying::{Candidates, TimingWish};
use tollgate_domain::catalog::{Allowance, Interval, PlanIndex};
use tollgate_domain::entitlement::{Resolution, SourceKind, forecast};
use tollgate_domain::ids::AccountId;
use tollgate_domain::payment::InvoiceStatus;
use tollgate_domain::subscription::{Subscription, SubscriptionState};
use tollgate_domain::{Catalog, Facts};

use super::{account, answer, caller, interval, plan, quantity, read};
use crate::api::client_address::Head;
use crate::api::error::ApiError;
use crate::api::explain::Source;
use crate::api::query::Query;
use crate::app::App;
use crate::billing::subscription::{Changed, PlanChange};

/// How an account stands: its plan and what it pays for.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = BillingSubscription)]
pub struct SubscriptionOut {
    /// The account.
    pub account_id: String,
    /// The plan in force.
    pub tier: String,
    /// Where it comes from.
    pub source: SourceOut,
    /// Stripe's status of the subscription; `none` without one.
    pub status: String,
    /// End of what has been paid.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub current_period_end: Option<String>,
    /// The subscription ends with that.
    pub cancel_at_period_end: bool,
    /// End of the trial.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub trial_ends_at: Option<String>,
    /// A payment has failed and the grace has not ended.
    pub in_grace_period: bool,
    /// End of that grace.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub grace_until: Option<String>,
    /// Keys of the features that are on.
    pub features: Vec<String>,
    /// The subscription itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subscription: Option<StripeOut>,
    /// The waiver in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waiver: Option<WaiverOut>,
    /// The boost level in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub boost: Option<BoostOut>,
    /// A change that is planned and not in effect.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pending_change: Option<PendingOut>,
    /// The revision this was made from.
    pub revision: u64,
}

/// Where a plan comes from.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[schema(as = BillingSource)]
pub struct SourceOut {
    /// `waiver`, `subscription`, `boost`, `grant` or `default`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Its id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
}

/// A subscription at Stripe.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = StripeSubscription)]
pub struct StripeOut {
    /// Stripe's id.
    pub id: String,
    /// Stripe's customer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub customer_id: Option<String>,
    /// Stripe's status.
    pub status: String,
    /// What it sells.
    pub items: Vec<ItemOut>,
    /// When it is to end, where an end is set.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub cancel_at: Option<String>,
    /// Collecting its invoices is paused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub collection_pause: Option<PauseOut>,
}

/// A pause of collecting the invoices of a subscription.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = CollectionPause)]
pub struct PauseOut {
    /// What becomes of invoices meanwhile: `keep_as_draft`, `mark_uncollectible` or `void`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub behavior: Option<String>,
    /// When collecting goes on by itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub resumes_at: Option<String>,
}

/// One item of it.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = StripeSubscriptionItem)]
pub struct ItemOut {
    /// Stripe's price.
    pub price_id: String,
    /// The plan it sells.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tier: Option<String>,
    /// How many.
    pub quantity: u64,
}

/// A waiver in force.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = BillingWaiver)]
pub struct WaiverOut {
    /// Its id.
    pub id: String,
    /// The plan it gives.
    pub tier: String,
    /// Its end.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub expires_at: Option<String>,
}

/// A boost level in force.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = BillingBoost)]
pub struct BoostOut {
    /// The plan it gives.
    pub tier: String,
    /// Until when it holds without new boosts.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub until: Option<String>,
}

/// A change that is not in effect yet.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = PendingChange)]
pub struct PendingOut {
    /// The plan it leads to; absent where it ends, and where its price is not known to sell one: what
    /// Stripe plans names prices by id, so one that the catalog knows by lookup key has to have been
    /// seen, or asked for with an API key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tier: Option<String>,
    /// Units of that plan; absent where the subscription ends.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quantity: Option<u64>,
    /// How often it will be paid, `month` or `year`; absent while that is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interval: Option<String>,
    /// The subscription ends with it.
    pub ends: bool,
    /// When it takes effect; or, where it awaits its payment, when it is given up.
    #[schema(format = DateTime)]
    pub at: String,
    /// It takes effect when it is paid.
    pub awaits_payment: bool,
    /// Where it can be paid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

/// A change of plan.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = SubscriptionChange)]
pub struct ChangeIn {
    /// The account; `communityId`, `tenantId` and `userId` mean the same.
    #[serde(alias = "communityId", alias = "tenantId", alias = "userId")]
    pub account_id: String,
    /// The plan wanted.
    pub tier: String,
    /// `auto` (at once when the total rises on the same interval, else at the period end),
    /// `immediate` or `period_end`.
    pub timing: Option<String>,
    /// `month` or `year`; the present one unless said.
    pub interval: Option<String>,
    /// Units; as many as now unless said.
    pub quantity: Option<u64>,
}

/// An end of a subscription.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = SubscriptionCancel)]
pub struct CancelIn {
    /// The account; `communityId`, `tenantId` and `userId` mean the same.
    #[serde(alias = "communityId", alias = "tenantId", alias = "userId")]
    pub account_id: String,
    /// At the end of what has been paid (default), or now.
    pub at_period_end: Option<bool>,
}

/// An end that is taken back, or a pause.
#[derive(Debug, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[schema(as = SubscriptionResume)]
pub struct ResumeIn {
    /// The account; `communityId`, `tenantId` and `userId` mean the same.
    #[serde(alias = "communityId", alias = "tenantId", alias = "userId")]
    pub account_id: String,
}

/// What a change would cost.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ChangePreview)]
pub struct PreviewOut<'a> {
    /// `immediate` or `period_end`: when it would take effect.
    pub timing: &'static str,
    /// That instant.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(format = DateTime)]
    pub effective_at: Option<String>,
    /// Minor units that would be billed with it.
    pub amount_due: i64,
    /// ISO 4217, lower case.
    pub currency: &'a str,
    /// What they consist of.
    pub lines: Vec<PreviewLineOut<'a>>,
}

/// One line of it.
#[derive(Debug, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "camelCase")]
#[schema(as = ChangePreviewLine)]
pub struct PreviewLineOut<'a> {
    /// In words.
    pub description: &'a str,
    /// Minor units; negative for what is given back.
    pub amount: i64,
}

/// `GET /api/v1/billing/subscription`
pub async fn show(State(app): State<Arc<App>>, request: Request) -> Result<Response, ApiError> {
    let caller = caller(&app, Head::of(&request)).await?;
    let mut query = Query::parse(request.uri().query());
    let account = query.account();
    let min_revision = query.number("minRevision").unwrap_or(0);
    query.finish()?;
    let account = account.ok_or_else(|| ApiError::field("accountId", "is missing"))?;
    caller.may_ask_about(account.as_str())?;
    standing(&app, &account, min_revision, None).await
}

/// `POST /api/v1/billing/subscription/change`
pub async fn change(State(app): State<Arc<App>>, request: Request) -> Result<Response, ApiError> {
    let caller = caller(&app, Head::of(&request)).await?;
    let asked: ChangeIn = read(&app, request.into_body()).await?;
    let account = account(&caller, &asked.account_id)?;
    let plan = plan(&asked.tier);
    let changed = app.change_plan(wanted(&asked, &account, &plan)?).await?;
    let pending = match changed {
        Changed::Nothing | Changed::InEffect => None,
        Changed::Scheduled(at) => Some(PendingOut::asked(&asked, plan, at.to_string())),
        Changed::AwaitsPayment { until, url } => {
            let change = PendingOut::asked(&asked, plan, until.to_string());
            Some(PendingOut { awaits_payment: true, url, ..change })
        }
    };
    standing(&app, &account, 0, pending).await
}

/// `POST /api/v1/billing/subscription/preview`
pub async fn preview(State(app): State<Arc<App>>, request: Request) -> Result<Response, ApiError> {
    let caller = caller(&app, Head::of(&request)).await?;
    let asked: ChangeIn = read(&app, request.into_body()).await?;
    let account = account(&caller, &asked.account_id)?;
    let plan = plan(&asked.tier);
    let cost = app.preview_change(wanted(&asked, &account, &plan)?).await?;
    let lines = cost.preview.lines.iter().map(|line| PreviewLineOut {
        description: &line.description,
        amount: line.amount.amount_minor,
    });
    answer(&PreviewOut {
        timing: cost.timing.as_str(),
        effective_at: cost.at.map(|at| at.to_string()),
        amount_due: cost.preview.due.amount_minor,
        currency: cost.preview.due.currency.as_str(),
        lines: lines.collect(),
    })
}

fn wanted<'a>(
    asked: &ChangeIn,
    account: &'a AccountId,
    plan: &'a str,
) -> Result<PlanChange<'a>, ApiError> {
    let timing = match asked.timing.as_deref() {
        None => TimingWish::Auto,
        Some(text) => TimingWish::parse(text)
            .ok_or_else(|| ApiError::field("timing", "must be auto, immediate or period_end"))?,
    };
    Ok(PlanChange {
        account,
        plan,
        interval: interval(asked.interval.as_deref())?,
        quantity: quantity(asked.quantity)?,
        timing,
    })
}

/// `POST /api/v1/billing/subscription/cancel`
pub async fn cancel(State(app): State<Arc<App>>, request: Request) -> Result<Response, ApiError> {
    let caller = caller(&app, Head::of(&request)).await?;
    let asked: CancelIn = read(&app, request.into_body()).await?;
    let account = account(&caller, &asked.account_id)?;
    app.cancel(&account, asked.at_period_end.unwrap_or(true)).await?;
    standing(&app, &account, 0, None).await
}

/// `POST /api/v1/billing/subscription/resume`
pub async fn resume(State(app): State<Arc<App>>, request: Request) -> Result<Response, ApiError> {
    let caller = caller(&app, Head::of(&request)).await?;
    let asked: ResumeIn = read(&app, request.into_body()).await?;
    let account = account(&caller, &asked.account_id)?;
    app.resume(&account).await?;
    standing(&app, &account, 0, None).await
}

/// How the account stands now, by what is committed.
async fn standing(
    app: &App,
    account: &AccountId,
    min_revision: u64,
    pending: Option<PendingOut>,
) -> Result<Response, ApiError> {
    let facts = app.engine.load(account, min_revision).await?;
    let now = app.clock.now();
    let resolution = app.engine.resolve_facts(&facts, now, now);
    answer(&shown(&facts, &app.config.catalog, &resolution, pending))
}

fn plan_id(catalog: &Catalog, plan: PlanIndex) -> String {
    catalog.plan(plan).map_or_else(String::new, |plan| plan.id.to_string())
}

fn shown(
    facts: &Facts,
    catalog: &Catalog,
    resolution: &Resolution,
    pending_change: Option<PendingOut>,
) -> SubscriptionOut {
    let base = Candidates::of(facts, catalog).plans.into_iter().next();
    let base = base.and_then(|id| facts.subscriptions.get(&id));
    let state = base.and_then(|one| one.state());
    let Source { kind, id } = Source::of(resolution);
    let on = |(key, allowance): (&tollgate_domain::ids::FeatureKey, &Allowance)| {
        matches!(allowance, Allowance::On).then(|| key.to_string())
    };
    let boost =
        resolution.considered.iter().find(|one| one.kind == SourceKind::Boost && one.counts());
    SubscriptionOut {
        account_id: facts.account.to_string(),
        tier: plan_id(catalog, resolution.plan),
        source: SourceOut { kind, id: id.map(str::to_owned) },
        status: state.map_or_else(|| "none".to_owned(), |state| state.status.as_str().to_owned()),
        current_period_end: state.and_then(SubscriptionState::period_end).map(|at| at.to_string()),
        cancel_at_period_end: state.is_some_and(|one| one.pending_end().is_some()),
        trial_ends_at: state.and_then(|one| one.trial_end).map(|at| at.to_string()),
        in_grace_period: resolution.in_grace,
        grace_until: resolution.grace_until.map(|at| at.to_string()),
        features: resolution.allowances.iter().filter_map(on).collect(),
        subscription: base.zip(state).map(|(one, state)| stripe_out(one, state, catalog)),
        waiver: facts.waiver_in_force(resolution.at).map(|(waiver, plan)| WaiverOut {
            id: waiver.id.to_string(),
            tier: plan.to_string(),
            expires_at: waiver.terms.expires_at.map(|at| at.to_string()),
        }),
        boost: boost.map(|boost| BoostOut {
            tier: boost.plan.map_or_else(String::new, |plan| plan_id(catalog, plan)),
            until: boost.until.map(|at| at.to_string()),
        }),
        pending_change: PendingOut::of(
            pending_change,
            base.and_then(|base| pending(facts, base, catalog)),
        ),
        revision: facts.revision,
    }
}

impl PendingOut {
    /// What was just asked for, as far as the question says it.
    fn asked(asked: &ChangeIn, tier: String, at: String) -> Self {
        let interval = asked.interval.as_deref().and_then(Interval::parse);
        Self {
            tier: Some(tier),
            quantity: asked.quantity,
            interval: interval.map(|every| every.as_str().to_owned()),
            ends: false,
            at,
            awaits_payment: false,
            url: None,
        }
    }

    /// What was just asked for, with what is known of the same change, else what is known.
    fn of(asked: Option<Self>, known: Option<Self>) -> Option<Self> {
        match (asked, known) {
            (Some(asked), Some(known))
                if (&asked.tier, asked.awaits_payment) == (&known.tier, known.awaits_payment) =>
            {
                Some(Self {
                    quantity: asked.quantity.or(known.quantity),
                    interval: asked.interval.or(known.interval),
                    ..asked
                })
            }
            (asked, known) => asked.or(known),
        }
    }
}

/// What is planned for a subscription, by what is known of it.
fn pending(facts: &Facts, subscription: &Subscription, catalog: &Catalog) -> Option<PendingOut> {
    let change = forecast::pending_change(facts, subscription, catalog)?;
    let invoice = subscription.state()?.latest_invoice.as_ref();
    let invoice = invoice.filter(|_| change.awaits_payment).and_then(|id| facts.invoices.get(id));
    let open = invoice.filter(|invoice| invoice.state.status == InvoiceStatus::Open);
    // Of a price that is not known the name alone tells, which may say anything.
    let recurring = change.interval.filter(|every| *every != Interval::OneTime);
    Some(PendingOut {
        tier: change.plan.map(|plan| plan_id(catalog, plan)),
        quantity: change.quantity,
        interval: recurring.map(|every| every.as_str().to_owned()),
        ends: change.ends,
        at: change.at.to_string(),
        awaits_payment: change.awaits_payment,
        url: open.and_then(|invoice| invoice.state.hosted_url.as_deref()).map(str::to_owned),
    })
}

fn stripe_out(
    subscription: &Subscription,
    state: &SubscriptionState,
    catalog: &Catalog,
) -> StripeOut {
    let items = subscription.items_of(state).iter().map(|item| ItemOut {
        price_id: item.price.to_string(),
        tier: match catalog.price_target(item.price_ref()) {
            Some(tollgate_domain::catalog::PriceTarget::Plan(plan)) => Some(plan_id(catalog, plan)),
            Some(_) | None => None,
        },
        quantity: item.quantity,
    });
    StripeOut {
        id: subscription.id.to_string(),
        customer_id: subscription.customer.as_ref().map(ToString::to_string),
        status: state.status.as_str().to_owned(),
        items: items.collect(),
        cancel_at: state.pending_end().map(|at| at.to_string()),
        collection_pause: state.collection_pause.as_ref().map(|pause| PauseOut {
            behavior: pause.behavior.as_deref().map(str::to_owned),
            resumes_at: pause.resumes_at.map(|at| at.to_string()),
        }),
    }
}
