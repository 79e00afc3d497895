//! Random invoices, purchases and what was given back of them.

use proptest::collection::{btree_set, vec};
use proptest::option;
use proptest::prelude::*;
use tollgate_domain::news::Told;
use tollgate_domain::payment::{
    Adjustment, AdjustmentKind, FailedAttempt, Goods, Invoice, InvoiceLine, InvoiceLines,
    InvoicePayment, InvoiceState, InvoiceStatus, Purchase, PurchaseKind, PurchaseLine, Sale,
    SessionMode, SessionStatus,
};

use super::subscription::planned;
use super::{
    adjustment_id, boxed_text, customer_id, event_id, instant, invoice_id, member_id, money,
    object_id, own_claim, plan_id, price_id, product_id, session_id, subscription_id, text,
};

pub(super) fn invoice_payment() -> impl Strategy<Value = InvoicePayment> {
    (object_id(), invoice_id(), instant()).prop_map(|(payment, invoice, at)| InvoicePayment {
        payment,
        invoice,
        at,
    })
}

fn lines() -> impl Strategy<Value = InvoiceLines> {
    let line =
        (planned(), any::<i64>(), (instant(), instant()), any::<bool>(), option::of(object_id()))
            .prop_map(|(sold, amount_minor, (start, end), proration, item)| InvoiceLine {
                price: sold.price,
                lookup_key: sold.lookup_key,
                product: None,
                quantity: sold.quantity,
                amount_minor,
                start,
                end,
                proration,
                item,
            });
    (instant(), event_id(), any::<bool>(), vec(line, 0..3)).prop_map(|(at, event, cut, all)| {
        InvoiceLines { at, event, status: InvoiceStatus::Open, cut, all }
    })
}

pub(crate) fn invoice() -> impl Strategy<Value = Invoice> {
    let statuses = prop::sample::select(vec![
        InvoiceStatus::Draft,
        InvoiceStatus::Open,
        InvoiceStatus::Uncollectible,
        InvoiceStatus::Void,
        InvoiceStatus::Paid,
    ]);
    let failed = (any::<u32>(), instant()).prop_map(|(attempt, at)| FailedAttempt { attempt, at });
    let maybe = || option::of(instant());
    (
        (invoice_id(), option::of(subscription_id()), instant(), event_id(), statuses),
        (any::<i64>(), money(), any::<u32>()),
        (boxed_text(), boxed_text(), boxed_text()),
        (maybe(), maybe(), maybe(), maybe()),
        (vec(failed, 0..4), option::of(customer_id()), option::of(lines())),
    )
        .prop_map(
            |(
                (id, subscription, at, event, status),
                sums,
                texts,
                times,
                (failed, customer, lines),
            )| {
                let state = InvoiceState {
                    at,
                    event,
                    status,
                    amount_due_minor: sums.0,
                    amount_paid_minor: sums.1.amount_minor,
                    currency: sums.1.currency,
                    attempt_count: sums.2,
                    billing_reason: texts.0,
                    collection_method: texts.1,
                    hosted_url: texts.2,
                    period_start: times.0,
                    period_end: times.1,
                    created: times.2,
                };
                let paid_at = times.3;
                Invoice {
                    id,
                    subscription,
                    customer,
                    state,
                    lines,
                    failed_attempts: failed,
                    paid_at,
                    told: Told::new(),
                }
            },
        )
}

fn line() -> impl Strategy<Value = PurchaseLine> {
    let names = (boxed_text(), option::of(product_id()));
    (text(), price_id(), names, any::<u64>(), option::of(money())).prop_map(
        |(id, price, (lookup_key, product), quantity, total)| PurchaseLine {
            id: id.into(),
            price,
            lookup_key,
            product,
            quantity,
            total,
        },
    )
}

fn sale() -> impl Strategy<Value = Sale> {
    let plan = (plan_id(), any::<u32>(), any::<u32>());
    let goods = prop_oneof![
        Just(Goods::Badge),
        plan.prop_map(|(plan, rank, days)| Goods::Plan { plan, rank, days }),
    ];
    let price = (option::of(price_id()), option::of(product_id()));
    (goods, boxed_text(), price, any::<u64>(), option::of(money()), text()).prop_map(
        |(goods, line, (price, product), quantity, amount, catalog)| Sale {
            line,
            goods,
            price,
            product,
            quantity,
            amount,
            catalog: catalog.into(),
        },
    )
}

pub(super) fn purchase() -> impl Strategy<Value = Purchase> {
    let modes = prop::sample::select(vec![
        SessionMode::Payment,
        SessionMode::Subscription,
        SessionMode::Setup,
    ]);
    let kinds = prop_oneof![
        Just(PurchaseKind::Badge),
        option::of(plan_id()).prop_map(|claimed| PurchaseKind::Grant { claimed }),
        Just(PurchaseKind::Boost),
        Just(PurchaseKind::Other),
    ];
    let statuses = prop::sample::select(vec![
        SessionStatus::Open,
        SessionStatus::Expired,
        SessionStatus::Complete,
    ]);
    (
        (session_id(), modes, kinds, statuses, event_id(), any::<bool>()),
        (option::of(member_id()), option::of(subscription_id()), option::of(object_id())),
        (vec(line(), 0..3), btree_set(money(), 0..3), option::of(money()), vec(sale(), 0..3)),
        (option::of(instant()), option::of(instant()), option::of(own_claim())),
    )
        .prop_map(|((id, mode, kind, status, event, names_owner), refs, sums, times)| {
            Purchase {
                own_claim: times.2,
                id,
                mode,
                kind,
                names_owner,
                member: refs.0,
                subscription: refs.1,
                payment_intent: refs.2,
                lines: sums.0,
                amounts: sums.1,
                total: sums.2,
                status,
                paid_at: times.0,
                failed_at: times.1,
                event,
                sales: sums.3,
                told: Told::new(),
            }
        })
}

pub(super) fn adjustment() -> impl Strategy<Value = Adjustment> {
    let kinds = prop::sample::select(vec![
        AdjustmentKind::Refund,
        AdjustmentKind::Dispute,
        AdjustmentKind::ChargeRefunds,
    ]);
    (
        (adjustment_id(), kinds, money(), text(), instant(), event_id()),
        (option::of(object_id()), option::of(object_id()), option::of(instant())),
    )
        .prop_map(|((id, kind, amount, status, at, event), refs)| Adjustment {
            id,
            kind,
            payment_intent: refs.0,
            charge: refs.1,
            amount,
            status: status.into(),
            at,
            event,
            effective_at: refs.2,
            told: Told::new(),
        })
}
