//! Lives of accounts, for comparing what a part of the facts answers with what all of them do. Owns:
//! facts of every kind whose instants lie close together, so that they bear on each other. Must not
//! know: the store.

use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use tollgate_domain::change::Change;
use tollgate_domain::facts::Customer;
use tollgate_domain::ids::{
    AdjustmentId, CustomerId, EventId, FactId, FeatureKey, InvoiceId, PlanId, PriceId, SessionId,
    SubscriptionId,
};
use tollgate_domain::money::{Currency, Money};
use tollgate_domain::news::Told;
use tollgate_domain::operator_fact::{Effect, OperatorFact, OverrideEffect, Revocation, Terms};
use tollgate_domain::payment::{
    Adjustment, AdjustmentKind, FailedAttempt, Goods, Invoice, InvoiceLine, InvoiceLines,
    InvoicePayment, InvoiceState, InvoiceStatus, Purchase, PurchaseKind, Sale, SessionMode,
    SessionStatus,
};
use tollgate_domain::subscription::{
    LifecycleRank, Phase, PlannedItem, Schedule, ScheduleVersion, Subscription, SubscriptionItem,
    SubscriptionState, SubscriptionStatus, Version,
};

use crate::sample::{at, object};

const DAY: i64 = 86_400;
const PLANS: [&str; 3] = ["basic", "premium", "exclusive"];

/// A life of so many days: in most a subscription with many observations; invoices of it and of one of which
/// nothing else is known, with what paid and refunded them, purchases, operator facts, plans for later.
pub(crate) fn life(days: i64) -> impl Strategy<Value = Vec<Change>> {
    let parts = (option::of(told(days)), vec(billed(days), 0..14), vec(bought(days), 0..6));
    let own = (vec(given(days), 0..4), option::of(planned(days)), option::of(0..days * DAY));
    (parts, own).prop_map(|((told, billed, bought), (given, planned, deleted))| {
        let mut all = vec![Change::CreateAccount];
        all.extend(told.into_iter().flatten());
        let billed = billed.into_iter().enumerate();
        all.extend(billed.flat_map(|(number, billed)| of_invoice(number, billed)));
        let bought = bought.into_iter().enumerate();
        all.extend(bought.flat_map(|(number, bought)| of_purchase(number, bought)));
        let given = given.into_iter().enumerate();
        all.extend(given.map(|(number, given)| of_person(number, given)));
        all.extend(planned.map(Change::SaveSchedule));
        all.extend(deleted.filter(|second| second % 4 == 0).map(|second| {
            Change::SaveCustomer(Customer {
                own_claim: None,
                id: CustomerId::parse("cus_1").unwrap(),
                member: None,
                email: None,
                deleted_at: Some(at(second)),
                at: Some(at(second)),
                event: Some(event("cus_1")),
            })
        }));
        all
    })
}

fn event(id: &str) -> EventId {
    EventId::parse(&format!("evt_{id}")).unwrap()
}

fn usd(amount_minor: i64) -> Money {
    Money { amount_minor, currency: Currency::parse("usd").unwrap() }
}

/// The observations of one subscription.
fn told(days: i64) -> impl Strategy<Value = Vec<Change>> {
    let statuses = prop::sample::select(vec![
        "active",
        "active",
        "active",
        "past_due",
        "past_due",
        "unpaid",
        "trialing",
        "paused",
        "something_new",
        "incomplete",
    ]);
    let seen = (0..days * DAY, statuses, 0_u64..20, (any::<bool>(), 0_usize..3), any::<bool>());
    let ended = option::of(0..days * DAY);
    (vec(seen, 1..40), ended).prop_map(move |(seen, ended)| {
        let id = SubscriptionId::parse("sub_1").unwrap();
        let mut states = Vec::new();
        for (number, (second, status, boosts, (twice, apart), dated)) in
            seen.into_iter().enumerate()
        {
            states.push(state_of(number * 10, second, status, boosts, dated));
            if twice {
                // A tie of one second, or close to it.
                let close = second + i64::try_from(apart).unwrap();
                states.push(state_of(number * 10 + 1, close, "active", boosts + 1, dated));
            }
        }
        states.extend(ended.map(|second| state_of(9_999, second, "canceled", 0, false)));
        let customer = CustomerId::parse("cus_1").ok();
        let mut states = states.into_iter();
        let first = states.next().unwrap();
        let mut subscription = Subscription::first_seen(id.clone(), customer, None, first.clone());
        let mut all = vec![Change::AppendSubscriptionState(id.clone(), first)];
        for state in states {
            subscription.observe(state.clone());
            all.push(Change::AppendSubscriptionState(id.clone(), state));
        }
        all.push(Change::SaveSubscription(subscription));
        all
    })
}

/// The price of the plan that a subscription shows, one after the other.
const SHOWN: [&str; 3] =
    ["sietch_premium_monthly", "sietch_basic_monthly", "sietch_exclusive_monthly"];

fn state_of(
    number: usize,
    second: i64,
    status: &str,
    boosts: u64,
    dated: bool,
) -> SubscriptionState {
    let item = |key: &str, quantity| SubscriptionItem {
        price: PriceId::parse(&format!("price_{key}")).unwrap(),
        lookup_key: Some(key.into()),
        product: None,
        quantity,
        period_start: dated.then(|| at(second - 3 * DAY)),
        period_end: dated.then(|| at(second + 9 * DAY)),
    };
    SubscriptionState {
        version: Version {
            at: at(second),
            rank: LifecycleRank::Updated,
            event: event(&number.to_string()),
        },
        status: SubscriptionStatus::parse(status),
        items: vec![item(SHOWN[number / 10 % SHOWN.len()], 1), item("sietch_boost", boosts)],
        cancel_at_period_end: false,
        cancel_at: None,
        canceled_at: None,
        ended_at: None,
        trial_end: (status == "trialing").then(|| at(second + DAY)),
        collection_pause: None,
        billing_anchor: None,
        schedule: Some(object("sub_sched_1")),
        pending_update: None,
        items_cut: false,
        created: None,
        latest_invoice: InvoiceId::parse(&format!("in_{}", number / 10)).ok(),
        previous: None,
        covers: Vec::new(),
    }
}

/// One invoice.
#[derive(Debug, Clone, Copy)]
struct Billed {
    second: i64,
    status: InvoiceStatus,
    unknown: bool,
    change: bool,
    told: bool,
    failed_days: i64,
    span_days: i64,
    key: &'static str,
    gives_back: bool,
    refunded: bool,
    by_charge: bool,
    by_id: bool,
}

fn billed(days: i64) -> impl Strategy<Value = Billed> {
    let statuses = prop::sample::select(vec![
        InvoiceStatus::Paid,
        InvoiceStatus::Paid,
        InvoiceStatus::Paid,
        InvoiceStatus::Open,
        InvoiceStatus::Void,
        InvoiceStatus::Uncollectible,
    ]);
    let keys = prop::sample::select(vec![
        "sietch_basic_monthly",
        "sietch_exclusive_monthly",
        "sietch_boost",
        "of_another_product",
    ]);
    let spans = prop::sample::select(vec![1_i64, 7, 30]);
    let what = (any::<bool>(), any::<bool>(), 0_u8..8, any::<bool>(), any::<bool>());
    (0..days * DAY, statuses, keys, 0_i64..40, spans, what).prop_map(
        |(
            second,
            status,
            key,
            failed_days,
            span_days,
            (unknown, change, odd, gives_back, by_charge),
        )| {
            Billed {
                second,
                status,
                unknown,
                change,
                told: odd != 0,
                failed_days,
                span_days,
                key,
                gives_back: gives_back && odd == 1,
                refunded: odd == 2,
                by_charge,
                by_id: odd > 4,
            }
        },
    )
}

fn of_invoice(number: usize, billed: Billed) -> Vec<Change> {
    let id = InvoiceId::parse(&format!("in_{number}")).unwrap();
    let subscription = if billed.unknown { "sub_2" } else { "sub_1" };
    let seen = event(&format!("in_{number}"));
    let line = |amount_minor| InvoiceLine {
        price: PriceId::parse(&format!("price_{}", billed.key)).unwrap(),
        // Lines since 2025 name the price by its id alone.
        lookup_key: (!billed.by_id).then(|| billed.key.into()),
        product: None,
        quantity: 9,
        amount_minor,
        start: at(billed.second),
        end: at(billed.second + billed.span_days * DAY),
        proration: billed.change,
        item: Some(object(if billed.key == "sietch_boost" { "si_boost" } else { "si_plan" })),
    };
    let mut lines = vec![line(100)];
    lines.extend(billed.gives_back.then(|| line(-100)));
    let paid = billed.status == InvoiceStatus::Paid;
    let invoice = Invoice {
        id: id.clone(),
        subscription: SubscriptionId::parse(subscription).ok(),
        customer: CustomerId::parse("cus_1").ok(),
        lines: billed.told.then(|| InvoiceLines {
            at: at(billed.second),
            event: seen.clone(),
            status: InvoiceStatus::Open,
            cut: false,
            all: lines,
        }),
        state: InvoiceState {
            at: at(billed.second),
            event: seen,
            status: billed.status,
            amount_due_minor: 100,
            amount_paid_minor: 100,
            currency: Currency::parse("usd").unwrap(),
            attempt_count: 1,
            billing_reason: billed.change.then(|| "subscription_update".into()),
            collection_method: None,
            hosted_url: None,
            period_start: None,
            period_end: None,
            created: Some(at(billed.second - billed.failed_days * DAY)),
        },
        failed_attempts: vec![FailedAttempt {
            attempt: 1,
            at: at(billed.second - billed.failed_days * DAY / 2),
        }],
        paid_at: paid.then(|| at(billed.second)),
        told: Told::new(),
    };
    let payment = object(&format!("{}_{number}", if billed.by_charge { "ch" } else { "pi" }));
    let mut all = vec![
        Change::SaveInvoice(invoice),
        Change::SaveInvoicePayment(InvoicePayment {
            payment: payment.clone(),
            invoice: id,
            at: at(billed.second),
        }),
    ];
    if billed.refunded {
        let mut refund = refund(&format!("re_in_{number}"), billed.second + 2 * DAY);
        if billed.by_charge {
            refund.charge = Some(payment);
        } else {
            refund.payment_intent = Some(payment);
        }
        all.push(Change::SaveAdjustment(refund));
    }
    all
}

fn refund(id: &str, second: i64) -> Adjustment {
    Adjustment {
        id: AdjustmentId::parse(id).unwrap(),
        kind: AdjustmentKind::Refund,
        payment_intent: None,
        charge: None,
        amount: usd(100),
        status: "succeeded".into(),
        at: at(second),
        event: event(id),
        effective_at: Some(at(second)),
        told: Told::new(),
    }
}

/// One checkout: when, the days of a plan or a badge, how its money went.
type Bought = (i64, Option<u32>, &'static str, usize);

fn bought(days: i64) -> impl Strategy<Value = Bought> {
    let money = prop::sample::select(vec!["paid", "paid", "refunded", "failed", "none", "expired"]);
    (0..days * DAY, option::of(1_u32..40), money, 0..PLANS.len())
}

fn of_purchase(number: usize, (second, days, money, plan): Bought) -> Vec<Change> {
    let intent = object(&format!("pi_cs_{number}"));
    let plan = PlanId::parse(PLANS[plan]).unwrap();
    let paid = matches!(money, "paid" | "refunded");
    let goods = match days {
        Some(days) => Goods::Plan { plan, rank: 1, days },
        None => Goods::Badge,
    };
    let sale = Sale {
        line: None,
        goods,
        price: None,
        product: None,
        quantity: 1,
        amount: Some(usd(100)),
        catalog: "of-then".into(),
    };
    let expired = money == "expired";
    let purchase = Purchase {
        own_claim: None,
        id: SessionId::parse(&format!("cs_{number}")).unwrap(),
        mode: SessionMode::Payment,
        kind: PurchaseKind::Grant { claimed: None },
        names_owner: true,
        member: None,
        subscription: None,
        payment_intent: Some(intent.clone()),
        lines: Vec::new(),
        amounts: BTreeSet::new(),
        total: Some(usd(100)),
        status: if expired { SessionStatus::Expired } else { SessionStatus::Complete },
        paid_at: paid.then(|| at(second)),
        failed_at: (money == "failed").then(|| at(second)),
        event: event(&format!("cs_{number}")),
        sales: paid.then_some(sale).into_iter().collect(),
        told: Told::new(),
    };
    let mut all = vec![Change::SavePurchase(purchase)];
    if money == "refunded" {
        let mut refund = refund(&format!("re_cs_{number}"), second + 3 * DAY);
        refund.payment_intent = Some(intent);
        all.push(Change::SaveAdjustment(refund));
    }
    all
}

/// An operator fact: its kind, since when, until when, taken back when.
type Given = (u8, i64, Option<i64>, Option<i64>, usize);

fn given(days: i64) -> impl Strategy<Value = Given> {
    let span = || option::of(1..20 * DAY);
    (0_u8..4, 0..days * DAY, span(), span(), 0..PLANS.len())
}

fn of_person(number: usize, (kind, second, lasts, held, plan): Given) -> Change {
    let id = FactId::parse(&format!("own_{number}")).unwrap();
    let plan = PlanId::parse(PLANS[plan]).unwrap();
    let effect = match kind {
        0 => Effect::Waiver { plan },
        1 => Effect::Grant { plan },
        2 => Effect::Boost { member: None, count: 8 },
        _ => Effect::Override {
            feature: FeatureKey::parse("max_members").unwrap(),
            what: OverrideEffect::Limit(Some(7)),
        },
    };
    let terms = Terms {
        reason: "a partner of ours".to_owned(),
        granted_by: "ann".to_owned(),
        granted_at: at(second),
        expires_at: lasts.map(|lasts| at(second + lasts)),
        internal_notes: None,
    };
    let revocation =
        held.map(|held| Revocation { at: at(second + held), by: "ann".into(), reason: None });
    Change::SaveOperatorFact(OperatorFact { id, effect, terms, revocation, told: Told::new() })
}

fn planned(days: i64) -> impl Strategy<Value = Schedule> {
    (0..days * DAY, any::<bool>(), 0..40_i64, any::<bool>()).prop_map(
        |(second, over, in_days, cancels)| {
            let item = PlannedItem {
                price: PriceId::parse("price_sietch_basic_monthly").unwrap(),
                lookup_key: Some("sietch_basic_monthly".into()),
                product: None,
                interval: None,
                quantity: 1,
            };
            let start = at(second + in_days * DAY);
            Schedule {
                id: object("sub_sched_1"),
                subscription: SubscriptionId::parse("sub_1").ok(),
                version: ScheduleVersion { over, at: at(second), rank: 1, event: event("sched") },
                phases: vec![Phase { start, end: Some(start.plus_days(9)), items: vec![item] }],
                cancels,
                tied: false,
                prices: BTreeMap::new(),
            }
        },
    )
}

/// A life with so many facts of every kind that are all over: each day one of each.
pub(crate) fn over(count: usize) -> Vec<Change> {
    let id = SubscriptionId::parse("sub_1").unwrap();
    let mut all = vec![Change::CreateAccount];
    let day = |number: usize| i64::try_from(number).unwrap() * DAY;
    let first = state_of(0, 0, "active", 0, true);
    let mut subscription = Subscription::first_seen(id.clone(), None, None, first);
    for number in 0..count {
        let state = state_of(number, day(number), "active", 0, true);
        subscription.observe(state.clone());
        all.push(Change::AppendSubscriptionState(id.clone(), state));
        let odd = number % 2 == 0;
        let billed = Billed {
            second: day(number),
            status: InvoiceStatus::Paid,
            unknown: odd,
            change: false,
            told: true,
            failed_days: 0,
            span_days: 1,
            key: "sietch_basic_monthly",
            gives_back: false,
            refunded: odd,
            by_charge: odd,
            by_id: false,
        };
        all.extend(of_invoice(number, billed));
        all.extend(of_purchase(number, (day(number), odd.then_some(30), "refunded", 0)));
        let schedule = Schedule {
            id: object(&format!("sub_sched_{number}")),
            subscription: Some(id.clone()),
            version: ScheduleVersion {
                over: true,
                at: at(day(number)),
                rank: 1,
                event: event("sched"),
            },
            phases: Vec::new(),
            cancels: false,
            tied: false,
            prices: BTreeMap::new(),
        };
        all.push(Change::SaveSchedule(schedule));
    }
    all.push(Change::SaveSubscription(subscription));
    all
}
