//! Scenarios for tests: an account's facts as a few lines of text, and outcomes as one line.
//!
//! Times are spans since the beginning of 2026: `30d`, `1d2h`, `3d1ms`, `-1h`. One fact per line:
//!
//! ```text
//! catalog levels                                  (first line; sietch where absent)
//! unknown                                         (the account does not exist)
//! customer c deleted=5d
//! sub s1 premium active @0d cancel_at=20d period=0d..30d trial=7d quits customer=c
//! sub s1 premium active @0d pause=9d latest=i1    (collecting is paused to the ninth day)
//! sub s2 basic,boost*3 past_due @1d               (the same id again: one more observation)
//! sub s2 basic active @1d cut                     (there are more items)
//! plan p s1 basic:30d..60d,premium:60d..90d @5d cancels over
//! invoice i1 s1 open fails=3d,5d created=3d reason=subscription_update
//! invoice i1 s1 paid @6d fails=3d customer=c
//! invoice i1 s1 paid @6d for=si1/premium*2:0d..30d,-si1/basic:10d..30d   (lines; - is given back)
//! pays c1 i1                                      (the payment that refunds name by c1)
//! waiver w1 enterprise @0d until=5d revoked=3d
//! grant g1 pro @0d until=5d
//! boosts b1 3 @0d until=5d
//! override o1 white_label on|off|limit=5|unlimited @0d until=5d
//! buy c1 pro paid=3d failed=4d amount=19000 price=price_pro,price_trial*2 subtotal=100 currency=eur
//! buy c1 - paid=3d product=prod_pro names_owner   (no claim; a line of an unknown price)
//! buy c1 badge paid=3d amount=499 wearer          (a member is named)
//! buy c1 - paid=3d subscription of=s1             (the checkout of a subscription)
//! refund r1 c1 500 succeeded @4d                  (also dispute, charge)
//! ```

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::LazyLock;

use self::billing::planned;
use super::{Resolution, Standing};
use crate::catalog::parse::parse;
use crate::catalog::{BUILTIN_NAMES, Catalog, builtin, builtin_text};
use crate::change::Change;
use crate::facts::{Customer, Facts};
use crate::ids::{
    AccountId, AdjustmentId, CustomerId, EventId, FactId, FeatureKey, InvoiceId, MemberId,
    ObjectId, PlanId, PriceId, ProductId, SessionId, SubscriptionId,
};
use crate::money::{Currency, Money};
use crate::news::Told;
use crate::operator_fact::{Effect, OperatorFact, OverrideEffect, Revocation, Terms};
use crate::payment::{
    Adjustment, AdjustmentKind, InvoicePayment, Purchase, PurchaseKind, PurchaseLine, SessionMode,
    SessionStatus,
};
use crate::subscription::{
    CollectionPause, LifecycleRank, PendingUpdate, Subscription, SubscriptionItem,
    SubscriptionState, SubscriptionStatus, Version,
};
use crate::time::Timestamp;

mod billing;

const UNITS: [(&str, i64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// The beginning of every scenario.
pub(crate) fn zero() -> Timestamp {
    Timestamp::parse("2026-01-01T00:00:00Z").unwrap()
}

/// Reads a time such as `1d2h`.
pub(crate) fn time(text: &str) -> Timestamp {
    let (sign, mut rest) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let mut millis = 0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap();
        let (number, after) = rest.split_at(digits);
        let letters = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let (unit, after) = after.split_at(letters);
        let (_, factor) = UNITS.iter().find(|(name, _)| *name == unit).unwrap();
        millis += number.parse::<i64>().unwrap() * factor;
        rest = after;
    }
    zero().plus_ms(sign * millis)
}

/// The text of a time, as [`time`] reads it.
pub(crate) fn text(at: Timestamp) -> String {
    let mut millis = at.millis() - zero().millis();
    let mut text = if millis < 0 { "-".to_owned() } else { String::new() };
    millis = millis.abs();
    if millis == 0 {
        return "0d".to_owned();
    }
    for (unit, factor) in UNITS {
        if millis >= factor {
            write!(text, "{}{unit}", millis / factor).unwrap();
            millis %= factor;
        }
    }
    text
}

/// An outcome as one line, such as `premium by subscription s1 in grace until 4d`.
pub(crate) fn outcome(resolution: &Resolution, catalog: &Catalog) -> String {
    let plan = catalog.plan(resolution.plan).unwrap();
    let mut line = format!("{} by {}", plan.id, resolution.source.as_str());
    if let Some(id) = &resolution.source_id {
        write!(line, " {id}").unwrap();
    }
    if resolution.in_grace {
        assert!(resolution.grace_until >= resolution.valid_until, "grace ends with validity");
        line.push_str(" in grace");
    }
    match resolution.valid_until {
        Some(until) => write!(line, " until {}", text(until)).unwrap(),
        None => line.push_str(" always"),
    }
    line
}

/// How each source stands, such as `sub s1: past_due`.
pub(crate) fn standings(resolution: &Resolution) -> Vec<String> {
    resolution
        .considered
        .iter()
        .map(|source| {
            let standing = match source.standing {
                Standing::InForce => "in_force",
                Standing::InGrace => "in_grace",
                Standing::NotInForce(absence) => absence.as_str(),
            };
            let id = source.id.as_deref().unwrap_or("-");
            format!("{} {id}: {standing}", source.kind.as_str())
        })
        .collect()
}

/// Each built-in catalog with `price_PLAN` selling each plan, and `price_boost` boosts.
static CATALOGS: LazyLock<Vec<Catalog>> =
    LazyLock::new(|| BUILTIN_NAMES.into_iter().map(with_test_prices).collect());

fn with_test_prices(name: &str) -> Catalog {
    with_prices(builtin(name).unwrap())
}

fn with_prices(catalog: Catalog) -> Catalog {
    let mut prices: Vec<(String, Vec<String>)> = catalog
        .plans
        .iter()
        .map(|plan| (plan.id.to_string(), vec![format!("price_{}", plan.id)]))
        .collect();
    if catalog.boost.is_some() {
        prices.push(("boost".to_owned(), vec!["price_boost".to_owned()]));
    }
    catalog.with_prices(&prices).unwrap()
}

/// The catalog `sietch` with one more setting in its first section.
pub(crate) fn sietch_with(setting: &str) -> Catalog {
    let text = builtin_text("sietch").unwrap();
    let text = text.replacen("\n[catalog]\n", &format!("\n[catalog]\n{setting}\n"), 1);
    with_prices(parse("sietch", "test.toml", &text).unwrap())
}

/// A scenario's catalog and facts.
pub(crate) fn read(scenario: &str) -> (Catalog, Facts) {
    let mut catalog_name = "sietch";
    let mut facts = Facts::unknown(AccountId::parse("acme").unwrap());
    facts.known = true;
    facts.revision = 1;
    for (number, line) in scenario.lines().map(str::trim).enumerate() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let line = Line::of(&words, number);
        match words.as_slice() {
            [] => {}
            ["catalog", name] => catalog_name = *name,
            ["unknown"] => facts.known = false,
            ["sub", id, items, status, ..] => line.observe(&mut facts, id, items, status),
            ["invoice", id, subscription, status, ..] => {
                let invoice = line.invoice(id, subscription, status);
                facts.invoices.insert(invoice.id.clone(), invoice);
            }
            ["customer", id, ..] => line.customer(&mut facts, id),
            ["plan", id, subscription, phases, ..] => {
                facts.apply(&Change::SaveSchedule(line.schedule(id, subscription, phases)));
            }
            ["pays", payment, invoice, ..] => {
                facts.apply(&Change::SaveInvoicePayment(InvoicePayment {
                    payment: ObjectId::parse(&format!("pi_{payment}")).unwrap(),
                    invoice: InvoiceId::parse(invoice).unwrap(),
                    at: line.at,
                }));
            }
            ["waiver", id, plan, ..] => {
                let plan = PlanId::parse(plan).unwrap();
                facts.apply(&line.given(id, Effect::Waiver { plan }));
            }
            ["grant", id, plan, ..] => {
                let plan = PlanId::parse(plan).unwrap();
                facts.apply(&line.given(id, Effect::Grant { plan }));
            }
            ["boosts", id, count, ..] => {
                let count = count.parse().unwrap();
                facts.apply(&line.given(id, Effect::Boost { member: None, count }));
            }
            ["override", id, feature, what, ..] => {
                facts.apply(&line.given(id, line.set_override(feature, what)));
            }
            ["buy", id, plan, ..] => {
                let purchase = line.purchase(id, plan);
                facts.purchases.insert(purchase.id.clone(), purchase);
            }
            [kind @ ("refund" | "dispute" | "charge"), id, purchase, amount, status, ..] => {
                let one = line.adjustment(kind, id, purchase, amount.parse().unwrap(), status);
                facts.adjustments.insert(one.id.clone(), one);
            }
            other => panic!("what is {other:?}?"),
        }
    }
    let catalog = CATALOGS.iter().find(|catalog| catalog.name == catalog_name).unwrap();
    (catalog.clone(), facts)
}

/// The `key=value` words, the flags and the `@time` of a line.
struct Line<'l> {
    values: BTreeMap<&'l str, &'l str>,
    flags: Vec<&'l str>,
    at: Timestamp,
    number: usize,
}

impl<'l> Line<'l> {
    fn of(words: &[&'l str], number: usize) -> Self {
        let values = words.iter().filter_map(|word| word.split_once('=')).collect();
        let at = words.iter().find_map(|word| word.strip_prefix('@')).map_or(zero(), time);
        Self { values, flags: words.to_vec(), at, number }
    }

    fn time(&self, key: &str) -> Option<Timestamp> {
        self.values.get(key).map(|value| time(value))
    }

    fn has(&self, flag: &str) -> bool {
        self.flags.contains(&flag)
    }

    fn event(&self) -> EventId {
        EventId::parse(&format!("evt_{:03}", self.number)).unwrap()
    }

    fn observe(&self, facts: &mut Facts, id: &str, items: &str, status: &str) {
        let period = self.values.get("period").and_then(|period| period.split_once(".."));
        let item = |item: &str| {
            let (what, quantity) = item.split_once('*').unwrap_or((item, "1"));
            SubscriptionItem {
                price: PriceId::parse(&format!("price_{what}")).unwrap(),
                lookup_key: None,
                product: None,
                quantity: quantity.parse().unwrap(),
                period_start: period.map(|(start, _)| time(start)),
                period_end: period.map(|(_, end)| time(end)),
            }
        };
        let status = SubscriptionStatus::parse(status);
        let deleted = status == SubscriptionStatus::Canceled;
        let rank = if deleted { LifecycleRank::Deleted } else { LifecycleRank::Updated };
        let state = SubscriptionState {
            version: Version { at: self.at, rank, event: self.event() },
            status,
            items: items.split(',').map(item).collect(),
            cancel_at_period_end: self.has("quits"),
            cancel_at: self.time("cancel_at"),
            canceled_at: None,
            ended_at: self.time("ended"),
            trial_end: self.time("trial"),
            collection_pause: self.pause(),
            billing_anchor: self.time("anchor"),
            schedule: self.values.get("schedule").map(|id| ObjectId::parse(id).unwrap()),
            pending_update: self
                .time("pending")
                .map(|expires_at| PendingUpdate { items: planned(self.values["to"]), expires_at }),
            items_cut: self.has("cut"),
            created: None,
            latest_invoice: self.values.get("latest").map(|id| InvoiceId::parse(id).unwrap()),
            previous: None,
            covers: Vec::new(),
        };
        let id = SubscriptionId::parse(id).unwrap();
        let customer = self.values.get("customer").map(|id| CustomerId::parse(id).unwrap());
        let known = facts
            .subscriptions
            .entry(id.clone())
            .or_insert_with(|| Subscription::first_seen(id, customer, None, state.clone()));
        known.observe(state.clone());
        known.remember(state);
    }

    fn pause(&self) -> Option<CollectionPause> {
        let resumes = self.values.get("pause")?;
        let resumes_at = (*resumes != "open").then(|| time(resumes));
        Some(CollectionPause { behavior: Some("void".into()), resumes_at })
    }

    fn customer(&self, facts: &mut Facts, id: &str) {
        let customer = Customer {
            own_claim: None,
            id: CustomerId::parse(id).unwrap(),
            member: None,
            email: None,
            deleted_at: self.time("deleted"),
            at: None,
            event: None,
        };
        facts.apply(&Change::SaveCustomer(customer));
    }

    fn given(&self, id: &str, effect: Effect) -> Change {
        let revoked = self.time("revoked");
        Change::SaveOperatorFact(OperatorFact {
            id: FactId::parse(id).unwrap(),
            effect,
            terms: Terms {
                reason: "a partner".to_owned(),
                granted_by: "ann".to_owned(),
                granted_at: self.at,
                expires_at: self.time("until"),
                internal_notes: None,
            },
            revocation: revoked.map(|at| Revocation { at, by: "ann".to_owned(), reason: None }),
            told: Told::new(),
        })
    }

    fn set_override(&self, feature: &str, what: &str) -> Effect {
        let feature = FeatureKey::parse(feature).unwrap();
        let what = match what {
            "on" => OverrideEffect::On,
            "off" => OverrideEffect::Off,
            "unlimited" => OverrideEffect::Limit(None),
            _ => OverrideEffect::Limit(Some(self.values["limit"].parse().unwrap())),
        };
        Effect::Override { feature, what }
    }

    fn money(&self, key: &str) -> Option<Money> {
        let currency = Currency::parse(self.values.get("currency").unwrap_or(&"usd")).unwrap();
        let amount_minor = self.values.get(key)?.parse().unwrap();
        Some(Money { amount_minor, currency })
    }

    fn purchase(&self, id: &str, plan: &str) -> Purchase {
        let paid_at = self.time("paid");
        Purchase {
            own_claim: None,
            id: SessionId::parse(id).unwrap(),
            mode: if self.has("subscription") {
                SessionMode::Subscription
            } else {
                SessionMode::Payment
            },
            kind: match plan {
                "badge" => PurchaseKind::Badge,
                "-" => PurchaseKind::Other,
                plan => PurchaseKind::Grant { claimed: PlanId::parse(plan).ok() },
            },
            names_owner: self.has("names_owner"),
            member: self.has("wearer").then(|| MemberId::parse("m").unwrap()),
            subscription: self.values.get("of").map(|id| SubscriptionId::parse(id).unwrap()),
            payment_intent: Some(ObjectId::parse(&format!("pi_{id}")).unwrap()),
            lines: self.lines(),
            amounts: ["subtotal", "amount"].into_iter().filter_map(|key| self.money(key)).collect(),
            total: self.money("amount"),
            status: SessionStatus::Complete,
            paid_at,
            failed_at: self.time("failed"),
            event: self.event(),
            sales: Vec::new(),
            told: Told::new(),
        }
    }

    fn lines(&self) -> Vec<PurchaseLine> {
        let line = |(place, (what, product)): (usize, (&str, Option<ProductId>))| {
            let (price, quantity) = what.split_once('*').unwrap_or((what, "1"));
            PurchaseLine {
                id: format!("li_{place}").into(),
                price: PriceId::parse(price).unwrap(),
                lookup_key: None,
                product,
                quantity: quantity.parse().unwrap(),
                total: None,
            }
        };
        let prices = self.values.get("price").into_iter().flat_map(|prices| prices.split(','));
        let products = self.values.get("product").map(|id| ProductId::parse(id).unwrap());
        let named = prices.map(|price| (price, None));
        let unnamed = products.map(|product| ("price_negotiated", Some(product)));
        named.chain(unnamed).enumerate().map(line).collect()
    }

    fn adjustment(
        &self,
        kind: &str,
        id: &str,
        purchase: &str,
        amount_minor: i64,
        status: &str,
    ) -> Adjustment {
        let kind = match kind {
            "refund" => AdjustmentKind::Refund,
            "dispute" => AdjustmentKind::Dispute,
            _ => AdjustmentKind::ChargeRefunds,
        };
        let currency = Currency::parse(self.values.get("currency").unwrap_or(&"usd")).unwrap();
        Adjustment {
            id: AdjustmentId::parse(id).unwrap(),
            kind,
            payment_intent: Some(ObjectId::parse(&format!("pi_{purchase}")).unwrap()),
            charge: None,
            amount: Money { amount_minor, currency },
            status: status.into(),
            at: self.at,
            event: self.event(),
            effective_at: self.time("effective"),
            told: Told::new(),
        }
    }
}

#[test]
fn times_go_there_and_back() {
    for sample in ["0d", "1d", "1d2h", "3d1ms", "-1h", "2h5m7s", "-1d23h59m59s999ms"] {
        assert_eq!(text(time(sample)), sample);
    }
}
