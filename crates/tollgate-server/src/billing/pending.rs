//! Changes that wait for their payment. Owns: finding one that is asked for again, and taking one back.
//! Must not know: which change is wanted instead.
//!
//! Stripe makes such a change when its invoice is paid, and discards it when the invoice is void. So
//! the invoice is voided before anything else is asked for: there is never more than one that can be
//! paid, also if this process dies in between.

use serde_json::value::RawValue;
use tollgate_domain::buying::ChangeTiming;
use tollgate_stripe::client::Form;
use tollgate_stripe::client::invoice::ChangeInvoice;
use tollgate_stripe::client::subscription::Subscription;
use tollgate_stripe::fetched::FetchedKind;
use tollgate_stripe::{StripeClient, StripeError};

use super::BillingError;
use super::call::Subject;
use super::present::Present;
use super::subscription::{Changed, Planned};
use crate::app::App;

impl App {
    /// The change that is planned, where it waits for its payment already and can still be paid.
    pub(super) async fn waits_already(
        &self,
        stripe: &StripeClient,
        present: &Present,
        planned: &Planned<'_>,
    ) -> Result<Option<Changed>, BillingError> {
        let Some(pending) = &present.subscription.pending_update else { return Ok(None) };
        if planned.timing != ChangeTiming::Immediate
            || !pending.makes(planned.change())
            || !pending.changes_only(&planned.item.id, &present.subscription.items)
        {
            return Ok(None);
        }
        let invoice = pending_invoice(stripe, &present.subscription).await?;
        let until = pending.expires_at;
        Ok(invoice.map(|invoice| Changed::AwaitsPayment { until, url: invoice.url }))
    }

    /// Takes back a change that waits for its payment, by voiding its invoice. True where there was
    /// one: the subscription has to be read anew, for the invoice may have been paid meanwhile. A
    /// change of items that are not ours is refused to be touched.
    pub(super) async fn take_back_pending(
        &self,
        stripe: &StripeClient,
        present: &Present,
    ) -> Result<bool, BillingError> {
        let Some(pending) = &present.subscription.pending_update else { return Ok(false) };
        if !pending.changes_only(&present.item()?.id, &present.subscription.items) {
            present.as_whole()?;
        }
        let Some(invoice) = pending_invoice(stripe, &present.subscription).await? else {
            // Nothing is left to be paid, so the change cannot come.
            return Ok(false);
        };
        let account = &present.facts.account;
        let row = format!("{}.change", present.id);
        self.close_change(Subject { account, row: &row }).await?;
        let row = format!("{}.void", invoice.id);
        let subject = Subject { account, row: &row };
        let change = self.begin_change(subject, &Form::new()).await?;
        let done = stripe.void_invoice(&invoice.id, &change.key).await;
        self.end_change(&change, &done).await?;
        match done {
            Ok(fetched) => {
                if let Ok(object) = serde_json::from_slice::<&RawValue>(&fetched.body) {
                    self.apply(stripe, FetchedKind::Invoice, (object, &fetched), &[]).await?;
                }
                Ok(true)
            }
            Err(error @ StripeError::Refused { .. }) => {
                let (now, _) = stripe.subscription(&present.id).await?;
                let open = pending_invoice(stripe, &now).await?;
                if open.is_some_and(|open| open.id == invoice.id) {
                    return Err(error.into());
                }
                // Paid, or void by now.
                Ok(true)
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// The open invoice that a change which waits for its payment waits for; `None` where none is open.
async fn pending_invoice(
    stripe: &StripeClient,
    subscription: &Subscription,
) -> Result<Option<ChangeInvoice>, StripeError> {
    match &subscription.invoice {
        Some(newest) if newest.open && newest.bills_change => {
            Ok(Some(ChangeInvoice { id: newest.id.clone(), url: newest.url.clone() }))
        }
        // Newer than the change is an invoice made by hand, or none was shown.
        _ => stripe.open_change_invoice(&subscription.id).await,
    }
}
