//! The scenarios: what Stripe tells of an account in the situations a billing engine meets.

use tollgate_domain::EventKind as E;
use tollgate_domain::payment::{AdjustmentKind, InvoiceStatus, PurchaseKind, SessionMode};

use crate::story::{Cs, Inv, Story, Sub};

mod purchases;

use purchases::{
    PAYMENT, async_payment_failed, confirmed_twice, expired_checkout, inquiry,
    refund_in_parts_and_one_failed,
};
pub(crate) use purchases::{async_payment, bought_in_two_lines, dispute, refund};

const BASIC: &str = "price_basic";
const PREMIUM: &str = "price_premium";

pub(crate) fn all() -> Vec<Story> {
    vec![
        checkout(),
        trial(),
        renewal(),
        upgrade(),
        downgrade(),
        cancel_and_think_again(),
        dunning_with_recovery(),
        dunning_to_cancellation(),
        dunning_to_unpaid_then_paid(),
        first_payment_fails(),
        refund(),
        refund_in_parts_and_one_failed(),
        dispute(),
        inquiry(),
        async_payment(),
        async_payment_failed(),
        bought_in_two_lines(),
        confirmed_twice(),
        expired_checkout(),
        pause_and_resume(),
        collection_paused(),
        two_subscriptions(),
        boosts(),
        boosts_named_by_the_checkout(),
        customer_deleted(),
        unknown_price(),
        paid_after_the_end(),
        told_by_invoices_alone(),
        upgrade_that_is_not_paid(),
        cut_lists(),
        planned_downgrade(),
        deleted_customer_and_no_more(),
    ]
}

/// What an endpoint sends that asks for checkouts, invoices and changes of subscriptions only.
fn told_by_invoices_alone() -> Story {
    let paid =
        Inv { status: InvoiceStatus::Paid, ..Inv::of("in_1", "sub_1", "subscription_create") };
    let renewal = Inv { attempts: 1, ..Inv::of("in_2", "sub_1", "subscription_cycle") };
    let ended = Sub { invoice: Some("in_2"), ..Sub::of("sub_1", "canceled", PREMIUM) };
    Story::of("told_by_invoices_alone")
        .invoice(E::InvoicePaid, &paid)
        .invoice_payment("inpay_1", "in_1", "pi_1")
        .session(E::CheckoutCompleted, &Cs::subscription("cs_1", "sub_1"))
        .later(30 * 86_400)
        .invoice(E::InvoicePaymentFailed, &renewal)
        .adjustment(
            E::RefundCreated,
            ("re_1", AdjustmentKind::Refund),
            ("pi_1", "ch_1"),
            3500,
            "succeeded",
        )
        .sub(E::SubscriptionDeleted, &ended)
}

fn upgrade_that_is_not_paid() -> Story {
    let basic = Sub { invoice: Some("in_1"), ..Sub::of("sub_1", "active", BASIC) };
    let dear = Sub { items: vec![(PREMIUM, 1)], invoice: Some("in_2"), ..basic };
    let first = Inv {
        status: InvoiceStatus::Paid,
        bills: &[(BASIC, 1)],
        ..Inv::of("in_1", "sub_1", "subscription_create")
    };
    let change = Inv {
        attempts: 1,
        bills: &[(BASIC, -1), (PREMIUM, 1)],
        ..Inv::of("in_2", "sub_1", "subscription_update")
    };
    Story::of("upgrade_that_is_not_paid")
        .sub(E::SubscriptionCreated, &basic)
        .invoice(E::InvoicePaid, &first)
        .later(100)
        .sub(E::SubscriptionUpdated, &dear)
        .invoice(E::InvoicePaymentFailed, &change)
        .sub(E::SubscriptionUpdated, &Sub { status: "past_due", ..dear })
        .later(86_400)
        .invoice(E::InvoicePaymentFailed, &Inv { attempts: 2, ..change })
}

fn cut_lists() -> Story {
    let whole = Sub { items: vec![(BASIC, 1), (PREMIUM, 1)], ..Sub::of("sub_1", "active", BASIC) };
    let cut = Sub { items_cut: true, cancel_at_period_end: true, ..whole.clone() };
    let paid = Inv {
        status: InvoiceStatus::Paid,
        bills: &[(BASIC, 1), (PREMIUM, 1)],
        ..Inv::of("in_1", "sub_1", "subscription_create")
    };
    Story::of("cut_lists")
        .sub(E::SubscriptionCreated, &whole)
        .invoice(E::InvoiceFinalized, &Inv { status: InvoiceStatus::Open, ..paid })
        .invoice(E::InvoicePaid, &Inv { cut: true, ..paid })
        .later(10)
        .sub(E::SubscriptionUpdated, &cut)
        .sub(E::SubscriptionUpdated, &Sub { collection_paused: true, ..cut })
        .later(10)
        .sub(E::SubscriptionUpdated, &Sub { items: vec![(PREMIUM, 1)], ..whole })
}

fn planned_downgrade() -> Story {
    let premium = Sub::of("sub_1", "active", PREMIUM);
    let basic = Sub { items: vec![(BASIC, 1)], month: 1, ..premium };
    Story::of("planned_downgrade")
        .sub(E::SubscriptionCreated, &premium)
        .later(10)
        .schedule(E::ScheduleCreated, "sub_sched_1", "sub_1", &[(PREMIUM, 0)], false)
        .schedule(E::ScheduleChanged, "sub_sched_1", "sub_1", &[(PREMIUM, 0), (BASIC, 1)], false)
        .later(30 * 86_400)
        .sub(E::SubscriptionUpdated, &basic)
        .schedule(E::ScheduleChanged, "sub_sched_1", "sub_1", &[(PREMIUM, 0), (BASIC, 1)], true)
}

fn deleted_customer_and_no_more() -> Story {
    let premium = Sub::of("sub_1", "active", PREMIUM);
    Story::of("deleted_customer_and_no_more")
        .customer(E::CustomerCreated, Some("a@example.org"))
        .sub(E::SubscriptionCreated, &premium)
        .later(50)
        .customer(E::CustomerUpdated, Some("b@example.org"))
        .customer(E::CustomerDeleted, None)
}

pub(crate) fn checkout() -> Story {
    let created = Sub { invoice: Some("in_1"), ..Sub::of("sub_1", "incomplete", PREMIUM) };
    let active = Sub { status: "active", ..created.clone() };
    let open = Inv::of("in_1", "sub_1", "subscription_create");
    let paid = Inv { status: InvoiceStatus::Paid, attempts: 1, ..open };
    Story::of("checkout")
        .sub(E::SubscriptionCreated, &created)
        .invoice(E::InvoiceFinalized, &open)
        .invoice(E::InvoicePaid, &paid)
        .invoice(E::InvoicePaymentSucceeded, &paid)
        .sub(E::SubscriptionUpdated, &active)
        .session(E::CheckoutCompleted, &Cs::subscription("cs_1", "sub_1"))
        .customer(E::CustomerUpdated, Some("billing@example.org"))
}

fn trial() -> Story {
    let trialing =
        Sub { trial: true, invoice: Some("in_1"), ..Sub::of("sub_1", "trialing", PREMIUM) };
    let active = Sub { status: "active", month: 1, invoice: Some("in_2"), ..trialing.clone() };
    let nothing = Inv {
        due: 0,
        status: InvoiceStatus::Paid,
        ..Inv::of("in_1", "sub_1", "subscription_create")
    };
    let open = Inv::of("in_2", "sub_1", "subscription_cycle");
    let paid = Inv { status: InvoiceStatus::Paid, ..open };
    Story::of("trial")
        .customer(E::CustomerCreated, Some("a@example.org"))
        .sub(E::SubscriptionCreated, &trialing)
        .invoice(E::InvoicePaid, &nothing)
        .later(4 * 86_400)
        .sub(E::SubscriptionTrialWillEnd, &trialing)
        .later(3 * 86_400)
        .sub(E::SubscriptionUpdated, &active)
        .invoice(E::InvoiceFinalized, &open)
        .invoice(E::InvoicePaid, &paid)
}

fn renewal() -> Story {
    let first = Sub { invoice: Some("in_1"), ..Sub::of("sub_1", "active", PREMIUM) };
    let second = Sub { month: 1, invoice: Some("in_2"), ..first.clone() };
    let open = Inv::of("in_2", "sub_1", "subscription_cycle");
    let paid = Inv { status: InvoiceStatus::Paid, ..open };
    Story::of("renewal")
        .sub(E::SubscriptionCreated, &first)
        .later(30 * 86_400)
        .sub(E::SubscriptionUpdated, &second)
        .invoice(E::InvoiceUpdated, &Inv { status: InvoiceStatus::Draft, ..open.clone() })
        .later(3_600)
        .invoice(E::InvoiceFinalized, &open)
        .invoice_payment("inpay_2", "in_2", "pi_2")
        .invoice(E::InvoicePaid, &paid)
}

fn upgrade() -> Story {
    let basic = Sub { invoice: Some("in_1"), ..Sub::of("sub_1", "active", BASIC) };
    let premium = Sub { items: vec![(PREMIUM, 1)], invoice: Some("in_2"), ..basic };
    let seats = Sub { items: vec![(PREMIUM, 3)], ..premium };
    let paid =
        Inv { status: InvoiceStatus::Paid, ..Inv::of("in_2", "sub_1", "subscription_update") };
    Story::of("upgrade")
        .sub(E::SubscriptionCreated, &basic)
        .later(100)
        .sub(E::SubscriptionPendingUpdateExpired, &basic)
        .sub(E::SubscriptionUpdated, &premium)
        .sub(E::SubscriptionPendingUpdateApplied, &premium)
        .invoice(E::InvoicePaid, &paid)
        .sub(E::SubscriptionUpdated, &seats)
}

fn downgrade() -> Story {
    let premium = Sub::of("sub_1", "active", PREMIUM);
    let basic = Sub { items: vec![(BASIC, 1)], month: 1, ..premium };
    let both = Sub { items: vec![(BASIC, 1), (PREMIUM, 1)], month: 1, ..premium };
    Story::of("downgrade")
        .sub(E::SubscriptionCreated, &premium)
        .later(30 * 86_400)
        .sub(E::SubscriptionUpdated, &both)
        .sub(E::SubscriptionUpdated, &basic)
        .sub(E::SubscriptionUpdated, &Sub { month: 2, ..basic.clone() })
}

fn cancel_and_think_again() -> Story {
    let active = Sub::of("sub_1", "active", PREMIUM);
    let ending = Sub { cancel_at_period_end: true, ..active.clone() };
    Story::of("cancel and think again")
        .sub(E::SubscriptionCreated, &active)
        .sub(E::SubscriptionUpdated, &ending)
        .sub(E::SubscriptionUpdated, &active)
        .sub(E::SubscriptionUpdated, &ending)
        .later(30 * 86_400)
        .sub(E::SubscriptionDeleted, &Sub { status: "canceled", ..ending })
}

fn dunning() -> (Sub, Inv) {
    (
        Sub { month: 1, invoice: Some("in_2"), ..Sub::of("sub_1", "active", PREMIUM) },
        Inv { attempts: 1, ..Inv::of("in_2", "sub_1", "subscription_cycle") },
    )
}

pub(crate) fn dunning_with_recovery() -> Story {
    let (active, failed) = dunning();
    let past_due = Sub { status: "past_due", ..active.clone() };
    let paid = Inv { status: InvoiceStatus::Paid, attempts: 3, ..failed };
    Story::of("dunning with recovery")
        .sub(E::SubscriptionCreated, &active)
        .invoice(E::InvoicePaymentFailed, &failed)
        .sub(E::SubscriptionUpdated, &past_due)
        .later(86_400)
        .invoice(E::InvoicePaymentActionRequired, &Inv { attempts: 2, ..failed.clone() })
        .invoice(E::InvoicePaymentFailed, &Inv { attempts: 2, ..failed })
        .later(86_400)
        .invoice(E::InvoicePaid, &paid)
        .sub(E::SubscriptionUpdated, &active)
}

pub(crate) fn dunning_to_cancellation() -> Story {
    let (active, failed) = dunning();
    let past_due = Sub { status: "past_due", ..active.clone() };
    let given_up = Inv { status: InvoiceStatus::Uncollectible, attempts: 3, ..failed };
    Story::of("dunning to cancellation")
        .sub(E::SubscriptionCreated, &active)
        .invoice(E::InvoicePaymentFailed, &failed)
        .sub(E::SubscriptionUpdated, &past_due)
        .later(86_400)
        .invoice(E::InvoicePaymentFailed, &Inv { attempts: 2, ..failed.clone() })
        .invoice(E::InvoicePaymentFailed, &Inv { attempts: 3, ..failed })
        .invoice(E::InvoiceMarkedUncollectible, &given_up)
        .sub(E::SubscriptionDeleted, &Sub { status: "canceled", ..past_due })
}

fn dunning_to_unpaid_then_paid() -> Story {
    let (active, failed) = dunning();
    Story::of("dunning to unpaid, then paid")
        .sub(E::SubscriptionUpdated, &active)
        .sub(E::SubscriptionUpdated, &Sub { status: "past_due", ..active.clone() })
        .invoice(E::InvoicePaymentFailed, &failed)
        .sub(E::SubscriptionUpdated, &Sub { status: "unpaid", ..active.clone() })
        .invoice(E::InvoicePaid, &Inv { status: InvoiceStatus::Paid, ..failed })
        .sub(E::SubscriptionUpdated, &active)
}

fn first_payment_fails() -> Story {
    let incomplete = Sub { invoice: Some("in_1"), ..Sub::of("sub_1", "incomplete", PREMIUM) };
    let open = Inv { attempts: 1, ..Inv::of("in_1", "sub_1", "subscription_create") };
    Story::of("first payment fails")
        .sub(E::SubscriptionCreated, &incomplete)
        .invoice(E::InvoicePaymentActionRequired, &open)
        .invoice(E::InvoicePaymentFailed, &open)
        .later(82_800)
        .sub(E::SubscriptionUpdated, &Sub { status: "incomplete_expired", ..incomplete })
        .invoice(E::InvoiceVoided, &Inv { status: InvoiceStatus::Void, ..open })
}

pub(crate) fn pause_and_resume() -> Story {
    let active = Sub::of("sub_1", "active", PREMIUM);
    let paused = Sub { status: "paused", ..active.clone() };
    Story::of("pause and resume")
        .sub(E::SubscriptionCreated, &active)
        .later(60)
        .sub(E::SubscriptionUpdated, &paused)
        .sub(E::SubscriptionPaused, &paused)
        .later(60)
        .sub(E::SubscriptionUpdated, &active)
        .sub(E::SubscriptionResumed, &active)
}

fn collection_paused() -> Story {
    let active = Sub::of("sub_1", "active", PREMIUM);
    Story::of("collection paused")
        .sub(E::SubscriptionCreated, &active)
        .sub(E::SubscriptionUpdated, &Sub { collection_paused: true, ..active.clone() })
        .sub(E::SubscriptionUpdated, &active)
}

fn two_subscriptions() -> Story {
    let one = Sub::of("sub_1", "active", BASIC);
    let two = Sub::of("sub_2", "active", PREMIUM);
    let paid = |id, subscription| Inv {
        status: InvoiceStatus::Paid,
        ..Inv::of(id, subscription, "subscription_create")
    };
    Story::of("two subscriptions")
        .session(E::CheckoutCompleted, &Cs::subscription("cs_1", "sub_1"))
        .sub(E::SubscriptionCreated, &one)
        .invoice(E::InvoicePaid, &paid("in_1", "sub_1"))
        .sub(E::SubscriptionCreated, &two)
        .invoice(E::InvoicePaid, &paid("in_2", "sub_2"))
        .later(60)
        .sub(E::SubscriptionDeleted, &Sub { status: "canceled", ..one })
        .sub(E::SubscriptionUpdated, &Sub { month: 1, ..two })
}

fn boosts() -> Story {
    let three =
        Sub { items: vec![("price_boost", 3)], ..Sub::of("sub_b", "active", "price_boost") };
    let five = Sub { items: vec![("price_boost", 5)], ..three };
    let session = Cs { kind: PurchaseKind::Boost, ..Cs::subscription("cs_b", "sub_b") };
    let paid = Inv {
        due: 897,
        status: InvoiceStatus::Paid,
        ..Inv::of("in_b", "sub_b", "subscription_create")
    };
    Story::of("boosts")
        .member("chani")
        .session(E::CheckoutCompleted, &session)
        .sub(E::SubscriptionCreated, &three)
        .invoice(E::InvoicePaid, &paid)
        .later(60)
        .sub(E::SubscriptionUpdated, &five)
        .later(60)
        .sub(E::SubscriptionDeleted, &Sub { status: "canceled", ..five })
}

/// The checkout names account and member, the subscription's metadata the account alone.
fn boosts_named_by_the_checkout() -> Story {
    let mut story = boosts();
    story.name = "boosts named by the checkout";
    for event in &mut story.events {
        if event.kind != E::CheckoutCompleted {
            event.claim.as_mut().unwrap().member = None;
        }
    }
    story
}

fn customer_deleted() -> Story {
    let active = Sub::of("sub_1", "active", BASIC);
    Story::of("customer deleted")
        .customer(E::CustomerCreated, Some("a@example.org"))
        .sub(E::SubscriptionCreated, &active)
        .customer(E::CustomerUpdated, Some("b@example.org"))
        .later(60)
        .sub(E::SubscriptionDeleted, &Sub { status: "canceled", ..active })
        .customer(E::CustomerDeleted, Some("b@example.org"))
}

fn unknown_price() -> Story {
    let foreign = Sub::of("sub_1", "active", "price_foreign");
    Story::of("unknown price")
        .sub(E::SubscriptionCreated, &foreign)
        .sub(
            E::SubscriptionUpdated,
            &Sub { items: vec![("price_foreign", 1), (BASIC, 1)], ..foreign.clone() },
        )
        .sub(E::SubscriptionUpdated, &Sub::of("sub_1", "active", BASIC))
        .session(E::CheckoutCompleted, &Cs::payment("cs_1", PurchaseKind::Badge, "pi_1", 1))
}

fn paid_after_the_end() -> Story {
    let (active, failed) = dunning();
    let canceled = Sub { status: "canceled", ..active.clone() };
    let manual = Inv {
        subscription: None,
        status: InvoiceStatus::Paid,
        ..Inv::of("in_9", "sub_1", "manual")
    };
    Story::of("paid after the end")
        .sub(E::SubscriptionCreated, &active)
        .invoice(E::InvoicePaymentFailed, &failed)
        .sub(E::SubscriptionDeleted, &canceled)
        .later(86_400)
        .invoice(E::InvoicePaid, &Inv { status: InvoiceStatus::Paid, ..failed })
        .sub(E::SubscriptionUpdated, &Sub { status: "active", ..canceled })
        .invoice(E::InvoicePaid, &manual)
}

/// One long life of an account, too long to try every order of.
pub(crate) fn long_life() -> Story {
    let (active, failed) = dunning();
    let past_due = Sub { status: "past_due", ..active.clone() };
    let first = Sub { month: 0, invoice: Some("in_1"), ..active.clone() };
    let other =
        Sub { items: vec![("price_boost", 2)], ..Sub::of("sub_b", "active", "price_boost") };
    let paid = |invoice: Inv| Inv { status: InvoiceStatus::Paid, ..invoice };
    Story::of("long life")
        .customer(E::CustomerCreated, Some("a@example.org"))
        .session(E::CheckoutCompleted, &Cs::subscription("cs_1", "sub_1"))
        .sub(E::SubscriptionCreated, &Sub { status: "incomplete", ..first.clone() })
        .sub(E::SubscriptionUpdated, &first)
        .invoice(E::InvoicePaid, &paid(Inv::of("in_1", "sub_1", "subscription_create")))
        .later(20)
        .session(E::CheckoutCompleted, &Cs::payment("cs_2", PurchaseKind::Badge, "pi_1", 499))
        .session(
            E::CheckoutCompleted,
            &Cs { mode: SessionMode::Setup, paid: true, ..Cs::subscription("cs_3", "sub_1") },
        )
        .sub(E::SubscriptionCreated, &other)
        .adjustment(E::RefundCreated, ("re_1", AdjustmentKind::Refund), PAYMENT, 499, "succeeded")
        .adjustment(
            E::ChargeRefunded,
            ("ch_1", AdjustmentKind::ChargeRefunds),
            PAYMENT,
            499,
            "full",
        )
        .later(30 * 86_400)
        .sub(E::SubscriptionUpdated, &active)
        .invoice(E::InvoicePaymentFailed, &failed)
        .sub(E::SubscriptionUpdated, &past_due)
        .invoice(E::InvoicePaymentFailed, &Inv { attempts: 2, ..failed.clone() })
        .invoice(E::InvoicePaid, &paid(failed))
        .sub(E::SubscriptionUpdated, &active)
        .sub(E::SubscriptionDeleted, &Sub { status: "canceled", ..other })
        .customer(E::CustomerDeleted, None)
        .sub(E::SubscriptionDeleted, &Sub { status: "canceled", ..active })
}
