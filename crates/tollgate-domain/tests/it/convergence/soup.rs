//! Soup: events no sane Stripe would send together, over few ids and few seconds, so that they
//! collide in every way. What converges here converges anywhere.

use proptest::prelude::*;
use proptest::sample::select;
use tollgate_domain::EventKind as E;
use tollgate_domain::payment::{AdjustmentKind, InvoiceStatus, PurchaseKind, SessionStatus};

use crate::story::{Cs, Inv, Story, Sub};

/// One event to come.
#[derive(Debug, Clone)]
enum Ingredient {
    Subscription(E, Sub),
    Invoice(E, Inv),
    Session(E, Cs),
    Adjustment(E, &'static str, AdjustmentKind, i64, &'static str),
    Customer(E, Option<&'static str>),
}

impl Ingredient {
    fn tell(&self, story: Story) -> Story {
        match self {
            Self::Subscription(kind, sub) => story.sub(*kind, sub),
            Self::Invoice(kind, invoice) => story.invoice(*kind, invoice),
            Self::Session(kind, session) => story.session(*kind, session),
            Self::Adjustment(kind, id, of, amount, status) => {
                story.adjustment(*kind, (id, *of), ("pi_1", "ch_1"), *amount, status)
            }
            Self::Customer(kind, email) => story.customer(*kind, *email),
        }
    }
}

/// A story of up to `events` ingredients, each with or without naming the owner.
pub(crate) fn soup(events: usize) -> impl Strategy<Value = Story> {
    let one = (ingredient(), 0..3i64, any::<bool>(), any::<u8>());
    (prop::collection::vec(one, 1..=events), any::<bool>()).prop_map(|(ingredients, member)| {
        let mut story = Story::of("soup");
        if member {
            story = story.member("chani");
        }
        let claims: Vec<bool> = ingredients.iter().map(|(_, _, claims, _)| *claims).collect();
        let masks: Vec<u8> = ingredients.iter().map(|(_, _, _, mask)| *mask).collect();
        for (ingredient, at, _, _) in ingredients {
            story = ingredient.tell(story.at(at));
        }
        story.claimed_by(&claims).covering(&masks)
    })
}

fn ingredient() -> impl Strategy<Value = Ingredient> {
    prop_oneof![subscription(), subscription(), invoice(), session(), adjustment(), customer()]
}

fn subscription() -> BoxedStrategy<Ingredient> {
    let kinds = [
        E::SubscriptionCreated,
        E::SubscriptionUpdated,
        E::SubscriptionUpdated,
        E::SubscriptionPaused,
        E::SubscriptionResumed,
        E::SubscriptionTrialWillEnd,
        E::SubscriptionDeleted,
        E::SubscriptionFetched,
        E::SubscriptionFetched,
    ];
    let statuses = [
        "incomplete",
        "trialing",
        "active",
        "past_due",
        "paused",
        "canceled",
        "incomplete_expired",
        "new",
    ];
    let prices = ["price_basic", "price_boost", "price_foreign"];
    (
        select(vec!["sub_1", "sub_2"]),
        select(kinds.to_vec()),
        select(statuses.to_vec()),
        select(prices.to_vec()),
        1..3u64,
        any::<bool>(),
    )
        .prop_map(|(id, kind, status, price, quantity, items_cut)| {
            let items = vec![(price, quantity), ("price_premium", 1)];
            let sub = Sub { items, items_cut, ..Sub::of(id, status, price) };
            Ingredient::Subscription(kind, sub)
        })
        .boxed()
}

fn invoice() -> BoxedStrategy<Ingredient> {
    let kinds = [
        E::InvoiceFinalized,
        E::InvoicePaid,
        E::InvoicePaymentFailed,
        E::InvoicePaymentActionRequired,
        E::InvoiceUpdated,
        E::InvoiceMarkedUncollectible,
        E::InvoiceFetched,
    ];
    let statuses = [
        InvoiceStatus::Draft,
        InvoiceStatus::Open,
        InvoiceStatus::Uncollectible,
        InvoiceStatus::Void,
        InvoiceStatus::Paid,
    ];
    let reasons = ["subscription_create", "subscription_cycle", "subscription_update"];
    (
        select(vec!["in_1", "in_2"]),
        select(kinds.to_vec()),
        select(statuses.to_vec()),
        select(reasons.to_vec()),
        0..4u32,
        0..2i64,
        any::<bool>(),
    )
        .prop_map(|(id, kind, status, reason, attempts, due, cut)| {
            let subscription = (id == "in_1").then_some("sub_1");
            let invoice =
                Inv { subscription, due, status, attempts, cut, ..Inv::of(id, "sub_1", reason) };
            Ingredient::Invoice(kind, invoice)
        })
        .boxed()
}

fn session() -> BoxedStrategy<Ingredient> {
    let kinds = [
        E::CheckoutCompleted,
        E::CheckoutAsyncSucceeded,
        E::CheckoutAsyncFailed,
        E::CheckoutExpired,
        E::SessionFetched,
    ];
    let statuses = [
        SessionStatus::Open,
        SessionStatus::Expired,
        SessionStatus::Complete,
        SessionStatus::Complete,
    ];
    (0..3usize, select(kinds.to_vec()), select(statuses.to_vec()), any::<(bool, bool)>())
        .prop_map(|(which, kind, status, (paid, lined))| {
            let session = match which {
                0 => Cs::payment("cs_1", PurchaseKind::Badge, "pi_1", 499),
                1 => Cs::grant("cs_2", "pro", "pi_1", 19_000),
                _ => Cs { kind: PurchaseKind::Boost, ..Cs::subscription("cs_3", "sub_1") },
            };
            let lines = match which {
                0 if lined => vec![("price_badge", 1)],
                1 if lined => vec![("price_pro", 1)],
                _ => Vec::new(),
            };
            let session = Cs { lines, status, paid, ..session };
            Ingredient::Session(kind, session)
        })
        .boxed()
}

fn adjustment() -> BoxedStrategy<Ingredient> {
    let told = [
        (E::RefundCreated, "re_1", AdjustmentKind::Refund, 250, "pending"),
        (E::RefundUpdated, "re_1", AdjustmentKind::Refund, 250, "succeeded"),
        (E::RefundCreated, "re_2", AdjustmentKind::Refund, 249, "succeeded"),
        (E::RefundFailed, "re_2", AdjustmentKind::Refund, 249, "failed"),
        (E::RefundFetched, "re_2", AdjustmentKind::Refund, 249, "succeeded"),
        (E::DisputeFetched, "dp_1", AdjustmentKind::Dispute, 499, "lost"),
        (E::ChargeRefunded, "ch_1", AdjustmentKind::ChargeRefunds, 250, "partial"),
        (E::ChargeRefunded, "ch_1", AdjustmentKind::ChargeRefunds, 499, "full"),
        (E::DisputeCreated, "dp_1", AdjustmentKind::Dispute, 499, "needs_response"),
        (E::DisputeClosed, "dp_1", AdjustmentKind::Dispute, 499, "lost"),
        (E::DisputeClosed, "dp_1", AdjustmentKind::Dispute, 499, "won"),
    ];
    select(told.to_vec())
        .prop_map(|(kind, id, of, amount, status)| {
            Ingredient::Adjustment(kind, id, of, amount, status)
        })
        .boxed()
}

fn customer() -> BoxedStrategy<Ingredient> {
    let kinds = [E::CustomerCreated, E::CustomerUpdated, E::CustomerFetched, E::CustomerDeleted];
    (select(kinds.to_vec()), select(vec![None, Some("a@example.org"), Some("b@example.org")]))
        .prop_map(|(kind, email)| Ingredient::Customer(kind, email))
        .boxed()
}
