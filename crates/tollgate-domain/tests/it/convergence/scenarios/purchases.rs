//! What is bought once: paid at once or later, and given back.

use tollgate_domain::EventKind as E;
use tollgate_domain::payment::{AdjustmentKind, PurchaseKind, SessionStatus};

use super::BASIC;
use crate::story::{Cs, Story, Sub};

pub(super) const PAYMENT: (&str, &str) = ("pi_1", "ch_1");

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

pub(super) fn refund_in_parts_and_one_failed() -> Story {
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

pub(super) fn inquiry() -> Story {
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
pub(super) fn confirmed_twice() -> Story {
    let claimed = Cs::grant("cs_1", "pro", "pi_1", 19_000);
    let lines = vec![("price_pro", 1)];
    Story::of("confirmed twice")
        .session(E::CheckoutCompleted, &Cs { paid: false, ..claimed.clone() })
        .session(E::CheckoutAsyncSucceeded, &claimed)
        .session(E::SessionFetched, &Cs { lines, ..claimed })
}

pub(super) fn async_payment_failed() -> Story {
    let unpaid = Cs { paid: false, ..Cs::payment("cs_1", PurchaseKind::Badge, "pi_1", 499) };
    let again = Cs { id: "cs_2", payment_intent: Some("pi_2"), paid: true, ..unpaid.clone() };
    Story::of("async payment failed")
        .session(E::CheckoutCompleted, &unpaid)
        .session(E::CheckoutAsyncFailed, &unpaid)
        .session(E::CheckoutCompleted, &again)
}

pub(super) fn expired_checkout() -> Story {
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
