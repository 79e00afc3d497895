//! One row for every kind of fact. Owns: the names of the kinds, the key, the span of relevance and
//! the body of a row, and the way back. Must not know: statements.
//!
//! A body is the JSON of the domain's type. An observation of a subscription is a row of its own
//! whose id begins with the subscription's and goes on with its place in the order, so that a
//! range of ids is a span of time.

use std::borrow::Cow;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tollgate_domain::change::Change;
use tollgate_domain::facts::Relevance;
use tollgate_domain::subscription::{Subscription, SubscriptionState};
use tollgate_domain::{Facts, Finding, Timestamp};

use crate::error::StoreError;
use crate::prose;
use crate::wire::Key;

/// Kinds of rows. The names stand in statements and views.
pub(super) mod kind {
    pub(crate) const CUSTOMER: &str = "customer";
    pub(crate) const SUBSCRIPTION: &str = "subscription";
    /// An observation after which something is or may be due.
    pub(crate) const OBSERVATION_OPEN: &str = "observation_open";
    /// An observation by which nothing was due.
    pub(crate) const OBSERVATION_SETTLED: &str = "observation_settled";
    /// An observation that ends its subscription.
    pub(crate) const OBSERVATION_FINAL: &str = "observation_final";
    pub(crate) const SCHEDULE: &str = "schedule";
    pub(crate) const INVOICE: &str = "invoice";
    pub(crate) const INVOICE_PAYMENT: &str = "invoice_payment";
    pub(crate) const PURCHASE: &str = "purchase";
    pub(crate) const ADJUSTMENT: &str = "adjustment";
    pub(crate) const OPERATOR: &str = "operator";
    pub(crate) const FINDING: &str = "finding";
}

/// The greatest lengths of the spans of relevance of each class, in milliseconds: two days, a month or
/// so, a year or so, and any.
pub(super) const CLASS_MS: [i64; 4] =
    [2 * DAY_MS, 40 * DAY_MS, 400 * DAY_MS, Timestamp::MAX.millis() - Timestamp::MIN.millis()];
const DAY_MS: i64 = 86_400_000;

/// The class of a span: the first whose greatest length it does not exceed.
pub(super) fn class(span: Relevance) -> i64 {
    let length = span.until.millis().saturating_sub(span.from.millis());
    CLASS_MS.iter().take_while(|most| **most < length).zip(1..).last().map_or(0, |(_, class)| class)
}

/// A row to be written.
#[derive(Debug)]
pub(crate) struct FactRow<'a> {
    pub(crate) account: &'a str,
    pub(crate) kind: &'static str,
    pub(crate) id: Cow<'a, str>,
    pub(crate) reference: Option<&'a str>,
    pub(crate) relevance: Option<Relevance>,
    /// Of a paid invoice, when the first span begins that it was paid for.
    pub(crate) proves_from: Option<Timestamp>,
    pub(crate) body: String,
    /// The first one stays instead of the last.
    pub(crate) once: bool,
}

/// The body of a subscription's row: the fact, and what people want to see of it.
#[derive(Serialize)]
struct SubscriptionBody<'a> {
    fact: &'a Subscription,
    shown: Shown<'a>,
}

#[derive(Deserialize)]
struct StoredSubscription {
    fact: Subscription,
}

/// What the state says; for views, never read back.
#[derive(Default, Serialize)]
struct Shown<'a> {
    status: &'a str,
    current_period_start: Option<Timestamp>,
    current_period_end: Option<Timestamp>,
    cancel_at: Option<Timestamp>,
    ended_at: Option<Timestamp>,
    trial_end: Option<Timestamp>,
    uncertain: bool,
}

impl<'a> Shown<'a> {
    fn of(subscription: &'a Subscription) -> Self {
        let uncertain = subscription.is_uncertain();
        let Some(state) = subscription.state() else {
            return Self { uncertain, ..Self::default() };
        };
        Self {
            status: state.status.as_str(),
            current_period_start: state.period_start(),
            current_period_end: state.period_end(),
            cancel_at: state.pending_end(),
            ended_at: state.ended_at,
            trial_end: state.trial_end,
            uncertain,
        }
    }
}

/// The row that a change writes; `None` for one that writes none here.
pub(super) fn of<'a>(
    account: &'a str,
    change: &'a Change,
) -> Result<Option<FactRow<'a>>, StoreError> {
    let row = |kind, id: &'a str, reference, relevance, body| FactRow {
        account,
        kind,
        id: Cow::Borrowed(id),
        reference,
        relevance: Some(relevance),
        proves_from: None,
        body,
        once: false,
    };
    let by_reference = |kind, id, of, body| FactRow {
        relevance: None,
        ..row(kind, id, of, Relevance::ALWAYS, body)
    };
    Ok(Some(match change {
        Change::CreateAccount | Change::HandOver { .. } | Change::TakeOver { .. } => {
            return Ok(None);
        }
        Change::SaveCustomer(one) => {
            row(kind::CUSTOMER, one.id.as_str(), None, one.relevance(), encode(one)?)
        }
        Change::SaveSubscription(one) => {
            let body = encode(&SubscriptionBody { fact: one, shown: Shown::of(one) })?;
            row(kind::SUBSCRIPTION, one.id.as_str(), None, one.relevance(), body)
        }
        Change::AppendSubscriptionState(id, state) => observation(account, id.as_str(), state)?,
        Change::SaveSchedule(one) => {
            row(kind::SCHEDULE, one.id.as_str(), one.reference(), one.relevance(), encode(one)?)
        }
        Change::SaveInvoice(one) => {
            let (id, of) = (one.id.as_str(), one.reference());
            let invoice = row(kind::INVOICE, id, of, one.relevance(), encode(one)?);
            FactRow { proves_from: one.proves_from(), ..invoice }
        }
        Change::SaveInvoicePayment(one) => {
            let (id, of) = (one.payment.as_str(), Some(one.reference()));
            by_reference(kind::INVOICE_PAYMENT, id, of, encode(one)?)
        }
        Change::SavePurchase(one) => {
            row(kind::PURCHASE, one.id.as_str(), one.reference(), one.relevance(), encode(one)?)
        }
        Change::SaveAdjustment(one) => {
            by_reference(kind::ADJUSTMENT, one.id.as_str(), one.reference(), encode(one)?)
        }
        Change::SaveOperatorFact(one) => {
            row(kind::OPERATOR, one.id.as_str(), None, one.relevance(), encode(one)?)
        }
        Change::SaveFinding(one) => finding(account, one)?,
    }))
}

/// The row of an observation; only one that ends its subscription matters for ever.
fn observation<'a>(
    account: &'a str,
    subscription: &str,
    state: &SubscriptionState,
) -> Result<FactRow<'a>, StoreError> {
    let terminal = state.status.is_terminal();
    let span = Relevance { from: state.version.at, until: Timestamp::MAX };
    Ok(FactRow {
        account,
        kind: observation_kind(state),
        id: Cow::Owned(observation_id(subscription, state)),
        reference: None,
        relevance: terminal.then_some(span),
        proves_from: None,
        body: encode(state)?,
        once: true,
    })
}

/// The row of a finding; a closed one is found by its key only.
pub(crate) fn finding<'a>(account: &'a str, one: &Finding) -> Result<FactRow<'a>, StoreError> {
    let open = Relevance { from: one.since, until: Timestamp::MAX };
    Ok(FactRow {
        account,
        kind: kind::FINDING,
        id: Cow::Owned(prose::to_column(&one.key()).into_owned()),
        reference: None,
        relevance: one.closed_at.is_none().then_some(open),
        proves_from: None,
        body: encode(one)?,
        once: false,
    })
}

fn observation_kind(state: &SubscriptionState) -> &'static str {
    if state.status.is_terminal() {
        kind::OBSERVATION_FINAL
    } else if state.status.is_settled() {
        kind::OBSERVATION_SETTLED
    } else {
        kind::OBSERVATION_OPEN
    }
}

/// The id of an observation's row; ids sort as the observations do.
fn observation_id(subscription: &str, state: &SubscriptionState) -> String {
    let version = &state.version;
    let (rank, event) = (version.rank.as_i64(), version.event.as_str());
    format!("{subscription}/{}/{rank}/{event}", instant_key(version.at))
}

/// An instant as a part of an id: as many digits for every instant.
pub(super) fn instant_key(at: Timestamp) -> String {
    format!("{:015}", at.millis().saturating_sub(Timestamp::MIN.millis()))
}

/// Digits of [`instant_key`], for cutting an observation's id after its instant.
pub(super) const INSTANT_KEY_CHARS: i64 = 15;

/// A row that was read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StoredRow<'a> {
    pub(crate) account: &'a str,
    pub(crate) kind: &'a str,
    pub(crate) id: &'a str,
    pub(crate) body: &'a str,
}

impl StoredRow<'_> {
    /// Puts the fact where it belongs.
    pub(super) fn add_to(self, facts: &mut Facts) -> Result<(), StoreError> {
        match self.kind {
            kind::CUSTOMER => {
                let one: tollgate_domain::facts::Customer = self.fact()?;
                facts.customers.insert(one.id.clone(), one);
            }
            kind::SUBSCRIPTION => {
                let fact = self.subscription()?;
                let history = facts.subscriptions.remove(fact.id.as_str());
                let history = history.map(|known| known.history).unwrap_or_default();
                let one = Subscription { history, ..fact };
                facts.subscriptions.insert(one.id.clone(), one);
            }
            kind::OBSERVATION_OPEN | kind::OBSERVATION_SETTLED | kind::OBSERVATION_FINAL => {
                self.add_observation(facts)?;
            }
            kind::SCHEDULE => {
                let one: tollgate_domain::subscription::Schedule = self.fact()?;
                facts.schedules.insert(one.id.clone(), one);
            }
            kind::INVOICE => {
                let one: tollgate_domain::payment::Invoice = self.fact()?;
                facts.invoices.insert(one.id.clone(), one);
            }
            kind::INVOICE_PAYMENT => {
                let one: tollgate_domain::payment::InvoicePayment = self.fact()?;
                facts.invoice_payments.insert(one.payment.clone(), one);
            }
            kind::PURCHASE => {
                let one: tollgate_domain::payment::Purchase = self.fact()?;
                facts.purchases.insert(one.id.clone(), one);
            }
            kind::ADJUSTMENT => {
                let one: tollgate_domain::payment::Adjustment = self.fact()?;
                facts.adjustments.insert(one.id.clone(), one);
            }
            kind::OPERATOR => {
                let one: tollgate_domain::operator_fact::OperatorFact = self.fact()?;
                facts.operator_facts.insert(one.id.clone(), one);
            }
            kind::FINDING => {
                let one: Finding = self.fact()?;
                facts.findings.insert(one.key(), one);
            }
            _ => return Err(self.corrupt("this version does not know the kind".to_owned())),
        }
        Ok(())
    }

    /// A subscription, without the observations that are rows of their own.
    pub(super) fn subscription(self) -> Result<Subscription, StoreError> {
        self.fact().map(|StoredSubscription { fact }| fact)
    }

    fn add_observation(self, facts: &mut Facts) -> Result<(), StoreError> {
        let id = self.id.split('/').next().and_then(Key::read);
        let id: tollgate_domain::ids::SubscriptionId =
            id.ok_or_else(|| self.corrupt("its id names no subscription".to_owned()))?;
        let state: SubscriptionState = self.fact()?;
        let known = facts.subscriptions.entry(id);
        let known = known.or_insert_with_key(|id| Subscription::unobserved(id.clone()));
        known.remember(state);
        Ok(())
    }

    pub(crate) fn fact<T: DeserializeOwned>(self) -> Result<T, StoreError> {
        decode(self.body).map_err(|error| self.corrupt(error.to_string()))
    }

    fn corrupt(self, reason: String) -> StoreError {
        let id: String = self.id.chars().take(80).collect();
        let row = format!("{} {} {id}", self.account, self.kind);
        StoreError::Corrupt { table: "facts", row, reason }
    }
}

/// JSON without NUL in any text: PostgreSQL can hold the escape, but a view that reads such a
/// text fails.
pub(super) fn encode(value: &impl Serialize) -> Result<String, StoreError> {
    let json = serde_json::to_string(value)?;
    if !json.contains("\\u0000") && !json.contains("\\u001a") {
        return Ok(json);
    }
    let mut value: Value = serde_json::from_str(&json)?;
    map_texts(&mut value, &|text| prose::to_column(text).into_owned());
    Ok(serde_json::to_string(&value)?)
}

fn decode<T: DeserializeOwned>(json: &str) -> Result<T, serde_json::Error> {
    if !json.contains("\\u001a") {
        return serde_json::from_str(json);
    }
    let mut value: Value = serde_json::from_str(json)?;
    map_texts(&mut value, &|text| prose::from_column(text).into_owned());
    serde_json::from_value(value)
}

fn map_texts(value: &mut Value, map: &impl Fn(&str) -> String) {
    match value {
        Value::String(text) => *text = map(text),
        Value::Array(all) => all.iter_mut().for_each(|one| map_texts(one, map)),
        Value::Object(all) => all.values_mut().for_each(|one| map_texts(one, map)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
