//! Tests of `owner`: claims and links as a table.

use super::*;
use crate::ids::{AdjustmentId, CustomerId, EventId, InvoiceId, SubscriptionId};
use crate::money::{Currency, Money};
use crate::observation::{
    EventKind, SeenAdjustment, SeenCustomer, SeenInvoice, SeenInvoicePayment, SeenSubscription,
};
use crate::payment::{InvoiceState, InvoiceStatus};
use crate::subscription::{LifecycleRank, SubscriptionState, SubscriptionStatus, Version};
use crate::time::Timestamp;

/// `account` or `account/member`.
fn parts(text: &str) -> (AccountId, Option<MemberId>) {
    let (account, member) = text.split_once('/').map_or((text, None), |(a, m)| (a, Some(m)));
    (AccountId::parse(account).unwrap(), member.map(|member| MemberId::parse(member).unwrap()))
}

/// `none`, `account/member`, with ` not other` where a claim lost.
fn shown(owner: &Owner) -> String {
    let Owner::Found(found) = owner else { return "none".to_owned() };
    let mut text = found.account.to_string();
    if let Some(member) = &found.member {
        text = format!("{text}/{member}");
    }
    if let Some(lost) = &found.contradicted {
        text = format!("{text} not {lost}");
    }
    text
}

fn found(seen: Seen, claim: &str, links: &str) -> String {
    let object = |id: &str| ObjectId::parse(id).unwrap();
    let references = match &seen {
        Seen::Subscription(_) => vec!["sub_1", "cus_1"],
        Seen::Invoice(_) => vec!["in_1", "sub_1", "cus_1"],
        Seen::InvoicePayment(_) => vec!["inpay_1", "pi_1", "in_1"],
        Seen::Adjustment(_) => vec!["re_1", "pi_1", "ch_1", "cus_1"],
        Seen::Customer(_)
        | Seen::Session(_)
        | Seen::CatalogObject(_)
        | Seen::EntitlementSummary(_) => vec!["cus_1"],
    };
    let links: Vec<Link> = links
        .split_whitespace()
        .map(|link| {
            let (id, owner) = link.split_once('=').unwrap();
            let (account, member) = parts(owner);
            Link { object: object(id), account, member }
        })
        .collect();
    let observation = Observation {
        event: EventId::parse("evt_1").unwrap(),
        at: Timestamp::from_unix_seconds(0),
        kind: EventKind::SubscriptionUpdated,
        fetched: None,
        claim: Some(claim).filter(|claim| *claim != "-").map(|claim| {
            let (account, member) = parts(claim);
            OwnerClaim { account, member }
        }),
        references: references.into_iter().map(object).collect(),
        customer: Some(CustomerId::parse("cus_1").unwrap()),
        seen,
    };
    shown(&choose(&observation, |id| links.iter().find(|link| link.object == *id)))
}

fn version() -> Version {
    let event = EventId::parse("evt_1").unwrap();
    Version { at: Timestamp::from_unix_seconds(0), rank: LifecycleRank::Updated, event }
}

fn subscription() -> Seen {
    Seen::Subscription(SeenSubscription {
        id: SubscriptionId::parse("sub_1").unwrap(),
        state: SubscriptionState {
            version: version(),
            status: SubscriptionStatus::Active,
            items: Vec::new(),
            cancel_at_period_end: false,
            cancel_at: None,
            canceled_at: None,
            ended_at: None,
            trial_end: None,
            collection_paused: false,
            created: None,
            latest_invoice: None,
            previous: None,
            covers: Vec::new(),
        },
        items_cut: false,
    })
}

fn invoice(subscription: Option<&str>) -> Seen {
    Seen::Invoice(SeenInvoice {
        id: InvoiceId::parse("in_1").unwrap(),
        subscription: subscription.map(|id| SubscriptionId::parse(id).unwrap()),
        state: InvoiceState {
            at: version().at,
            event: version().event,
            status: InvoiceStatus::Open,
            amount_due_minor: 1,
            amount_paid_minor: 0,
            currency: Currency::parse("usd").unwrap(),
            attempt_count: 0,
            billing_reason: None,
            collection_method: None,
            hosted_url: None,
            period_start: None,
            period_end: None,
            created: None,
        },
        prices: Vec::new(),
        payments: Vec::new(),
    })
}

fn invoice_payment() -> Seen {
    Seen::InvoicePayment(SeenInvoicePayment {
        invoice: InvoiceId::parse("in_1").unwrap(),
        payments: Vec::new(),
    })
}

fn refund(payment_intent: Option<&str>) -> Seen {
    Seen::Adjustment(SeenAdjustment {
        id: AdjustmentId::parse("re_1").unwrap(),
        kind: AdjustmentKind::Refund,
        payment_intent: payment_intent.map(|id| ObjectId::parse(id).unwrap()),
        charge: None,
        amount: Money { amount_minor: 1, currency: Currency::parse("usd").unwrap() },
        status: "succeeded".into(),
    })
}

fn customer() -> Seen {
    let id = CustomerId::parse("cus_1").unwrap();
    Seen::Customer(SeenCustomer { id, email: None, deleted: false })
}

#[test]
fn metadata_names_the_owner_unless_a_link_says_otherwise() {
    for (claim, links, expected) in [
        ("-", "", "none"),
        ("a", "", "a"),
        ("a/m", "", "a/m"),
        ("-", "cus_1=a", "a"),
        ("-", "sub_1=a", "a"),
        ("a", "cus_1=a", "a"),
        ("a", "cus_1=a/m", "a/m"),
        ("a/n", "sub_1=a/m", "a/n"),
        ("b", "cus_1=a", "a not b"),
        ("b", "sub_1=a", "a not b"),
        // The most telling link wins, and a claim that agrees with it contradicts nothing.
        ("-", "sub_1=a cus_1=b", "a"),
        ("a", "sub_1=a cus_1=b", "a"),
        ("b", "sub_1=a cus_1=b", "a not b"),
    ] {
        assert_eq!(found(subscription(), claim, links), expected, "claim {claim}, links {links}");
    }
}

#[test]
fn a_members_own_customer_serves_several_accounts() {
    for (claim, links, expected) in [
        ("b/m", "cus_1=a/m", "b/m"),
        ("b/n", "cus_1=a/m", "a/m not b"),
        ("b", "cus_1=a/m", "a/m not b"),
        // The subscription itself belongs to one account for ever.
        ("b/m", "sub_1=a/m cus_1=a/m", "a/m not b"),
        ("-", "sub_1=b/m cus_1=a/m", "b/m"),
        ("-", "cus_1=a/m", "a/m"),
    ] {
        assert_eq!(found(subscription(), claim, links), expected, "claim {claim}, links {links}");
    }
}

#[test]
fn a_members_customer_alone_does_not_decide_over_what_belongs_to_another_object() {
    for (seen, links, expected) in [
        (invoice(Some("sub_1")), "cus_1=a/m", "none"),
        (invoice(Some("sub_1")), "sub_1=b/m cus_1=a/m", "b/m"),
        (invoice(None), "cus_1=a/m", "a/m"),
        (invoice(Some("sub_1")), "cus_1=a", "a"),
        (refund(Some("pi_1")), "cus_1=a/m", "none"),
        (refund(Some("pi_1")), "cus_1=a/m pi_1=b/m", "b/m"),
        (refund(None), "cus_1=a/m", "a/m"),
        (invoice_payment(), "in_1=a", "a"),
        (invoice_payment(), "", "none"),
        (customer(), "cus_1=a/m", "a/m"),
    ] {
        let text = format!("{seen:?}, links {links}");
        assert_eq!(found(seen, "-", links), expected, "{text}");
    }
}
