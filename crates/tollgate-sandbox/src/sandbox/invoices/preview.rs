//! Previews: the invoice there would be. Owns: what a change or a new subscription would cost, told
//! without doing it. Must not know: how it is done.

use serde_json::Value;

use super::super::Sandbox;
use super::super::billing::Proration;
use super::super::billing::begin::line_of;
use super::super::error::ApiError;
use super::super::params::Params;
use super::super::route::Call;
use super::super::subscriptions::{items, terms};
use crate::object::customer::Customer;
use crate::object::invoice::{BillTo, Invoice, InvoiceTerms, Line};
use crate::object::invoice_item::InvoiceItem;
use crate::object::subscription::Subscription;

pub(super) const ACCEPTS: &str = "customer subscription currency preview_mode schedule \
    subscription_details{billing_cycle_anchor?{type} cancel_at cancel_at_period_end cancel_now \
    items[]{id deleted clear_usage price plan quantity metadata{*} \
    price_data{currency! product! unit_amount unit_amount_decimal tax_behavior \
    recurring{interval! interval_count}}} \
    proration_behavior proration_date trial_end start_date resume_at billing_mode{type} \
    default_tax_rates[]} \
    invoice_items[]{amount currency description price quantity unit_amount invoiceitem \
    discountable} discounts[]{coupon} automatic_tax{enabled}";

pub(super) fn create(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    let params = call.params;
    let subscription = sandbox.referred::<Subscription>(params, "subscription")?.cloned();
    let customer = match &subscription {
        Some(subscription) => subscription.customer.clone(),
        None => sandbox.must_refer::<Customer>(params, "customer")?.id.clone(),
    };
    // What is worked out here must leave no trace; so it is done to a copy.
    let mut copy = sandbox.clone();
    let invoice = copy.in_time_of(&customer, |copy| match &subscription {
        Some(subscription) => copy.preview_change(subscription, params),
        None => copy.preview_beginning(&customer, params),
    })?;
    Ok(invoice.show(call.version))
}

impl Sandbox {
    /// The next invoice of a subscription, after a change where one is described.
    fn preview_change(
        &mut self,
        subscription: &Subscription,
        params: &Params,
    ) -> Result<Invoice, ApiError> {
        let nothing = Params::empty();
        let details = params.get("subscription_details").unwrap_or(&nothing);
        let mut after = subscription.clone();
        self.read_items(details, &mut after)?;
        if let Some(end) = terms::trial_end(details, self.world.now)? {
            after.trial_end = Some(end);
        }
        let mut manner = items::manner(details)?;
        manner.new_period = terms::anchor(details)? == Some("now");
        let over = subscription.status == "canceled" || ends_before_next(subscription, details)?;
        let cost = self.cost_of_change(subscription, after, manner);
        let now_only = cost.bills && manner.proration == Proration::AlwaysInvoice;
        let mut lines: Vec<Line> = self.waiting(&subscription.customer, Some(&subscription.id));
        lines.extend(cost.parts.iter().map(line_of));
        if cost.restarts {
            lines.extend(self.world.period_lines(&cost.after, "preview"));
        } else if !now_only && !over {
            lines.extend(self.next_period_lines(&cost.after));
        }
        if lines.is_empty() {
            let message = "No upcoming invoices for customer";
            return Err(ApiError::invalid(message).code("invoice_upcoming_none"));
        }
        let at =
            if cost.bills { None } else { super::super::billing::end::end_of_period(&cost.after) };
        self.upcoming(Some(&cost.after), &subscription.customer, lines, at)
    }

    /// The first invoice of a subscription that is described.
    fn preview_beginning(&mut self, customer: &str, params: &Params) -> Result<Invoice, ApiError> {
        let nothing = Params::empty();
        let details = params.get("subscription_details").unwrap_or(&nothing);
        let given = details.list("items");
        if given.is_empty() {
            let lines = self.waiting(customer, None);
            if lines.is_empty() {
                let message = "No upcoming invoices for customer";
                return Err(ApiError::invalid(message).code("invoice_upcoming_none"));
            }
            return self.upcoming(None, customer, lines, None);
        }
        let items = self.new_items(&given)?;
        let mut new = super::super::billing::begin::NewSubscription::to(customer, items);
        new.trial_end = self.trial_of(details)?;
        let Some(paying) = self.copy::<Customer>(customer) else {
            return Err(ApiError::no_such("customer", customer, "customer"));
        };
        let begun = self.draw_up(&paying, new);
        let mut lines = self.first_lines(&begun);
        lines.extend(self.waiting(customer, None));
        self.upcoming(Some(&begun), customer, lines, None)
    }

    fn waiting(&self, customer: &str, subscription: Option<&str>) -> Vec<Line> {
        let items = self.world.objects.newest_first::<InvoiceItem>().into_iter().rev();
        items.filter(|item| Self::waits_for(item, customer, subscription)).map(line_of).collect()
    }

    /// The lines of the periods that come next.
    fn next_period_lines(&self, subscription: &Subscription) -> Vec<Line> {
        let mut next = subscription.clone();
        let first = super::super::billing::end::end_of_period(subscription);
        next.items.retain(|item| Some(item.period_end) == first);
        for item in &mut next.items {
            item.period_start = item.period_end;
            let anchor = next.billing_cycle_anchor;
            item.period_end =
                super::super::billing::end_after(&item.price, anchor, item.period_start);
        }
        self.world.period_lines(&next, "preview")
    }

    /// An invoice that is only shown.
    fn upcoming(
        &mut self,
        subscription: Option<&Subscription>,
        customer: &str,
        lines: Vec<Line>,
        at: Option<i64>,
    ) -> Result<Invoice, ApiError> {
        let Some(customer) = self.copy::<Customer>(customer) else {
            return Err(ApiError::no_such("customer", customer, "customer"));
        };
        let created = at.unwrap_or(self.world.now);
        let currency = lines.first().map(|line| line.price.currency.clone());
        let start = lines.iter().map(|line| line.period_start).min();
        let end = lines.iter().map(|line| line.period_end).max();
        let total: i64 = lines.iter().map(|line| line.amount_minor).fold(0, i64::saturating_add);
        let starting = customer.balance_minor;
        let terms = InvoiceTerms {
            starting_balance_minor: starting,
            ending_balance_minor: Some(super::super::billing::collect::balance_after(
                starting, total,
            )),
            test_clock: customer.test_clock.clone(),
            ..InvoiceTerms::default()
        };
        Ok(Invoice {
            id: self.world.new_long_id("upcoming_in_1"),
            number: format!("{}-{:04}", customer.invoice_prefix, customer.next_invoice_sequence),
            bill_to: BillTo { customer: customer.id, email: customer.email, name: customer.name },
            subscription: subscription.map(|one| one.id.clone()),
            subscription_metadata: subscription.map(|one| one.metadata.clone()).unwrap_or_default(),
            status: "draft",
            billing_reason: "upcoming",
            lines,
            currency: currency.unwrap_or_else(|| "usd".to_owned()),
            amount_paid_minor: 0,
            attempt_count: 0,
            attempted: false,
            next_payment_attempt: Some(created.saturating_add(self.settings.finalize_after_s)),
            created,
            finalized_at: None,
            paid_at: None,
            voided_at: None,
            uncollectible_at: None,
            period_start: start.unwrap_or(created),
            period_end: end.unwrap_or(created),
            payment: None,
            terms,
        })
    }
}

/// Whether a subscription ends before its next period begins, now or after a change.
fn ends_before_next(subscription: &Subscription, details: &Params) -> Result<bool, ApiError> {
    let wanted = details.boolean("cancel_at_period_end")?;
    let now = details.boolean("cancel_now")?.unwrap_or(false);
    let end = super::super::billing::end::end_of_period(subscription);
    let at = details.integer("cancel_at")?.or(subscription.cancel_at);
    let by_date = at.zip(end).is_some_and(|(at, end)| at <= end);
    Ok(now || wanted.unwrap_or(subscription.cancel_at_period_end || by_date))
}
