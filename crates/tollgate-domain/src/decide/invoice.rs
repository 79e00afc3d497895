//! Invoices. Owns: what invoice events do. Must not know: subscriptions; an invoice, paid or not,
//! never changes the state of one.

use super::{Draft, Primary, yes_no};
use crate::change::Change;
use crate::ids::{InvoiceId, ObjectId};
use crate::news::News;
use crate::observation::{EventKind, SeenInvoice, SeenInvoicePayment};
use crate::payment::{Invoice, InvoicePayment, InvoiceStatus};

pub(super) fn decide<'a>(draft: &mut Draft<'a>, seen: &'a SeenInvoice) -> Primary {
    let known = draft.facts.invoices.get(&seen.id);
    let failed = draft.observation.kind == EventKind::InvoicePaymentFailed;
    let shown = Invoice::seen(seen, draft.observation.customer.as_ref(), failed);
    let mut after = match known {
        Some(known) => known.merged(&shown),
        None => shown,
    };
    draft.meet_customer();
    pay(draft, &seen.id, &seen.payments);
    tell(draft, seen, &mut after);
    let applied = after.state.event == seen.state.event;
    if known != Some(&after) {
        draft.change(Change::SaveInvoice(after));
    }
    Primary::new(&seen.id, details(seen, applied))
}

/// Remembers which payments paid an invoice.
fn pay(draft: &mut Draft<'_>, invoice: &InvoiceId, payments: &[ObjectId]) {
    for payment in payments {
        let at = draft.observation.at;
        let shown = InvoicePayment { payment: payment.clone(), invoice: invoice.clone(), at };
        let known = draft.facts.invoice_payments.get(payment);
        let after = known.map_or_else(|| shown.clone(), |known| known.merged(&shown));
        if known != Some(&after) {
            draft.change(Change::SaveInvoicePayment(after));
        }
    }
}

/// Tells what the invoice has come to, and what this one observation proves of it.
fn tell(draft: &mut Draft<'_>, seen: &SeenInvoice, after: &mut Invoice) {
    let (kind, state) = (draft.observation.kind, &after.state);
    let acts = kind == EventKind::InvoicePaymentActionRequired;
    let graced = kind == EventKind::InvoicePaymentFailed && seen.is_renewal();
    let failed = after.failed_attempts.iter().map(|one| (true, News::AttemptFailed(one.attempt)));
    let reached = [
        (acts, News::ActionRequired(seen.state.attempt_count.max(1))),
        (state.status >= InvoiceStatus::Open, News::Finalized),
        (seen.state.status == InvoiceStatus::Uncollectible, News::Uncollectible),
        (state.status >= InvoiceStatus::Void, News::Settled),
        (state.status == InvoiceStatus::Paid && state.amount_paid_minor > 0, News::Paid),
    ];
    for (_, news) in
        reached.into_iter().chain(failed).chain([(graced, News::GraceStarted)]).filter(|one| one.0)
    {
        draft.tell(&mut after.told, news, &after.id, after.subscription.as_ref(), Some(&after.id));
    }
}

fn details(seen: &SeenInvoice, applied: bool) -> Vec<(&'static str, String)> {
    let state = &seen.state;
    let mut details = vec![
        ("amount_due", format!("{} {}", state.amount_due_minor, state.currency.as_str())),
        ("amount_paid", format!("{} {}", state.amount_paid_minor, state.currency.as_str())),
        ("applied", yes_no(applied)),
        ("attempt_count", state.attempt_count.to_string()),
    ];
    details
        .extend(state.billing_reason.as_ref().map(|reason| ("billing_reason", reason.to_string())));
    details.push(("status", state.status.as_str().to_owned()));
    details.extend(seen.subscription.as_ref().map(|id| ("subscription", id.to_string())));
    details
}

/// Since `basil` an invoice's payments come as objects of their own: refunds and disputes of them
/// concern the invoice.
pub(super) fn decide_payment(draft: &mut Draft<'_>, seen: &SeenInvoicePayment) -> Primary {
    pay(draft, &seen.invoice, &seen.payments);
    Primary::new(&seen.invoice, Vec::new())
}
