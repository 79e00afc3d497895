//! The scenarios: what Stripe tells of an account in the situations a billing engine meets.

use tollgate_domain::EventKind as E;
use tollgate_domain::payment::{
    AdjustmentKind, InvoiceStatus, PurchaseKind, SessionMode, SessionStatus,
};

use crate::story::{Cs, Inv, Story, Sub};

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

const PAYMENT: (&str, &str) = ("pi_1", "ch_1");

pub(crate) fn refund() -> Story {
    let badge = Cs::payment("cs_1", PurchaseKind::Badge, "pi_1", 499);
    let refund = ("re_1", AdjustmentKind::Refund);
    Story::of("refund")
        .member("stilgar")
        .session(E::CheckoutCompleted, &badge)
        .later(50)
        .adjustment(E::RefundCreated, refund, PAYMENT, 499, "pending")
        .adjustment(E::RefundUpdated, refund, PAYMENT, 499, "succeeded")
        .adjustment(
            E::ChargeRefunded,
            ("ch_1", AdjustmentKind::ChargeRefunds),
            PAYMENT,
            499,
            "full",
        )
}

fn refund_in_parts_and_one_failed() -> Story {
    let total = ("ch_1", AdjustmentKind::ChargeRefunds);
    Story::of("refund in parts and one failed")
        .session(E::CheckoutCompleted, &Cs::grant("cs_1", "pro", "pi_1", 19_000))
        .adjustment(E::RefundCreated, ("re_1", AdjustmentKind::Refund), PAYMENT, 9_000, "succeeded")
        .adjustment(E::ChargeRefunded, total, PAYMENT, 9_000, "partial")
        .adjustment(E::RefundCreated, ("re_2", AdjustmentKind::Refund), PAYMENT, 10_000, "pending")
        .adjustment(E::ChargeRefunded, total, PAYMENT, 19_000, "full")
        .adjustment(
            E::RefundUpdated,
            ("re_2", AdjustmentKind::Refund),
            PAYMENT,
            10_000,
            "succeeded",
        )
        .adjustment(E::RefundFailed, ("re_2", AdjustmentKind::Refund), PAYMENT, 10_000, "failed")
}

pub(crate) fn dispute() -> Story {
    let dispute = ("dp_1", AdjustmentKind::Dispute);
    Story::of("dispute")
        .session(E::CheckoutCompleted, &Cs::grant("cs_1", "pro", "pi_1", 19_000))
        .later(86_400)
        .adjustment(E::DisputeCreated, dispute, PAYMENT, 19_000, "needs_response")
        .adjustment(E::DisputeFundsWithdrawn, dispute, PAYMENT, 19_000, "needs_response")
        .adjustment(E::DisputeUpdated, dispute, PAYMENT, 19_000, "under_review")
        .later(86_400)
        .adjustment(E::DisputeClosed, dispute, PAYMENT, 19_000, "lost")
}

fn inquiry() -> Story {
    let dispute = ("dp_1", AdjustmentKind::Dispute);
    Story::of("inquiry")
        .session(E::CheckoutCompleted, &Cs::payment("cs_1", PurchaseKind::Badge, "pi_1", 499))
        .adjustment(E::DisputeCreated, dispute, PAYMENT, 499, "warning_needs_response")
        .adjustment(E::DisputeUpdated, dispute, PAYMENT, 499, "warning_under_review")
        .adjustment(E::DisputeClosed, dispute, PAYMENT, 499, "warning_closed")
}

pub(crate) fn async_payment() -> Story {
    let unpaid = Cs { paid: false, ..Cs::grant("cs_1", "pro", "pi_1", 19_000) };
    Story::of("async payment")
        .session(E::CheckoutCompleted, &unpaid)
        .later(3 * 86_400)
        .session(E::CheckoutAsyncSucceeded, &Cs { paid: true, ..unpaid })
        .adjustment(
            E::ChargeRefunded,
            ("ch_1", AdjustmentKind::ChargeRefunds),
            PAYMENT,
            100,
            "partial",
        )
}

/// The event carries no lines and claims a plan; the object, asked for, shows a badge beside it.
pub(crate) fn bought_in_two_lines() -> Story {
    let claimed = Cs::grant("cs_1", "pro", "pi_1", 19_499);
    let lines = vec![("price_pro", 1), ("price_badge", 1)];
    Story::of("bought in two lines")
        .session(E::CheckoutCompleted, &claimed)
        .session(E::SessionFetched, &Cs { lines, ..claimed })
        .adjustment(
            E::ChargeRefunded,
            ("ch_1", AdjustmentKind::ChargeRefunds),
            PAYMENT,
            19_499,
            "full",
        )
}

/// Confirmed by its amount first, by its line once that is known.
fn confirmed_twice() -> Story {
    let claimed = Cs::grant("cs_1", "pro", "pi_1", 19_000);
    let lines = vec![("price_pro", 1)];
    Story::of("confirmed twice")
        .session(E::CheckoutCompleted, &Cs { paid: false, ..claimed.clone() })
        .session(E::CheckoutAsyncSucceeded, &claimed)
        .session(E::SessionFetched, &Cs { lines, ..claimed })
}

fn async_payment_failed() -> Story {
    let unpaid = Cs { paid: false, ..Cs::payment("cs_1", PurchaseKind::Badge, "pi_1", 499) };
    let again = Cs { id: "cs_2", payment_intent: Some("pi_2"), paid: true, ..unpaid.clone() };
    Story::of("async payment failed")
        .session(E::CheckoutCompleted, &unpaid)
        .session(E::CheckoutAsyncFailed, &unpaid)
        .session(E::CheckoutCompleted, &again)
}

fn expired_checkout() -> Story {
    let open = Cs {
        status: SessionStatus::Expired,
        ..Cs::payment("cs_1", PurchaseKind::Badge, "pi_1", 499)
    };
    let trial = Cs { status: SessionStatus::Expired, ..Cs::subscription("cs_2", "sub_1") };
    Story::of("expired checkout")
        .session(E::CheckoutExpired, &Cs { paid: false, payment_intent: None, ..open })
        .session(E::CheckoutExpired, &Cs { subscription: None, ..trial })
        .session(E::CheckoutCompleted, &Cs::subscription("cs_3", "sub_1"))
        .sub(E::SubscriptionCreated, &Sub::of("sub_1", "active", BASIC))
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
