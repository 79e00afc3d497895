//! Invoices over the API. Owns: making them by hand, changing, finalising, paying and closing them.
//! Must not know: what a payment does to a subscription.

use serde_json::{Value, json};

use super::Sandbox;
use super::billing::collect::Attempt;
use super::error::ApiError;
use super::page::{self, Span};
use super::params::Params;
use super::route::{Call, Route};
use crate::object::Object;
use crate::object::customer::Customer;
use crate::object::invoice::{Invoice, InvoiceTerms, Line};
use crate::object::invoice_item::InvoiceItem;
use crate::object::stored::Stored as _;
use crate::object::subscription::Subscription;
use crate::time::{DAY, HOUR};
use crate::world::billing::Draft;

mod preview;

/// What can be said of an invoice both when it is made and later.
macro_rules! common_fields {
    () => {
        "auto_advance collection_method days_until_due due_date description metadata{*} footer \
         default_payment_method statement_descriptor automatic_tax{enabled} \
         automatically_finalizes_at payment_settings{payment_method_types[]} "
    };
}

const CREATE: &str =
    concat!(common_fields!(), "customer subscription currency pending_invoice_items_behavior");

pub(super) const ROUTES: &[Route] = &[
    Route::post("/v1/invoices", CREATE, create),
    Route::list(
        "/v1/invoices",
        "customer subscription status collection_method created?{gt gte lt lte} \
         due_date?{gt gte lt lte}",
        list,
    ),
    Route::post("/v1/invoices/create_preview", preview::ACCEPTS, preview::create),
    Route::get("/v1/invoices/{invoice}", retrieve),
    Route::post("/v1/invoices/{invoice}", common_fields!(), update),
    Route::delete("/v1/invoices/{invoice}", "", delete),
    Route::list("/v1/invoices/{invoice}/lines", "", lines),
    Route::post("/v1/invoices/{invoice}/finalize", "auto_advance", finalize),
    Route::post(
        "/v1/invoices/{invoice}/pay",
        "payment_method source paid_out_of_band off_session forgive mandate",
        pay,
    ),
    Route::post("/v1/invoices/{invoice}/send", "", send),
    Route::post("/v1/invoices/{invoice}/void", "", void),
    Route::post("/v1/invoices/{invoice}/mark_uncollectible", "", mark_uncollectible),
];

fn retrieve(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    Ok(sandbox.named::<Invoice>(call.id())?.show(call.version))
}

fn list(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    let params = call.params;
    let status = params.choice("status", &["draft", "open", "paid", "uncollectible", "void"])?;
    let (created, due) = (Span::of(params, "created")?, Span::of(params, "due_date")?);
    let by_due = params.has("due_date");
    let (customer, subscription) = (params.text("customer"), params.text("subscription"));
    let method = params.choice("collection_method", &["charge_automatically", "send_invoice"])?;
    let mut found = sandbox.world.objects.newest_first::<Invoice>();
    found.retain(|invoice| {
        customer.is_none_or(|customer| invoice.bill_to.customer == customer)
            && subscription.is_none_or(|id| invoice.subscription.as_deref() == Some(id))
            && status.is_none_or(|status| invoice.status == status)
            && method.is_none_or(|method| invoice.collection_method() == method)
            && created.has(invoice.created)
            && (!by_due || invoice.terms.due_date.is_some_and(|at| due.has(at)))
    });
    page::objects(call, &found, Invoice::show)
}

fn lines(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    let invoice = sandbox.named::<Invoice>(call.id())?;
    let show = |line: &Line| line.show(invoice, call.version);
    page::page(call, "line_item", &invoice.lines, |line| line.id.as_str(), show)
}

fn create(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    let params = call.params;
    let subscription = sandbox.referred::<Subscription>(params, "subscription")?.cloned();
    let customer = match &subscription {
        Some(subscription) => subscription.customer.clone(),
        None => sandbox.must_refer::<Customer>(params, "customer")?.id.clone(),
    };
    let takes = params.choice("pending_invoice_items_behavior", &["include", "exclude"])?;
    let takes = takes == Some("include") || subscription.is_some();
    let id = sandbox.in_time_of(&customer, |sandbox| {
        let Some(customer) = sandbox.copy::<Customer>(&customer).filter(|one| !one.deleted) else {
            return Err(ApiError::no_such("customer", &customer, "customer"));
        };
        let id = sandbox.world.new_long_id("in_1");
        let of = subscription.as_ref().map(|one| one.id.as_str());
        let lines = if takes { sandbox.take_waiting(&customer.id, of, &id) } else { Vec::new() };
        if subscription.is_some() && lines.is_empty() {
            let message = "Nothing to invoice for subscription";
            return Err(ApiError::invalid(message).code("invoice_no_subscription_line_items"));
        }
        // Until it is told to advance, an invoice made by hand waits for its maker.
        let mut terms = InvoiceTerms {
            held: true,
            test_clock: customer.test_clock.clone(),
            ..InvoiceTerms::default()
        };
        sandbox.read_invoice_terms(params, &mut terms)?;
        let subscription = subscription.as_ref();
        sandbox.issue(
            Draft { id: id.clone(), subscription, billing_reason: "manual", lines, terms },
            customer,
        );
        Ok(id)
    })?;
    Ok(sandbox.named::<Invoice>(&id)?.show(call.version))
}

impl Sandbox {
    /// Writes what the parameters say into what is agreed about an invoice.
    fn read_invoice_terms(
        &self,
        params: &Params,
        terms: &mut InvoiceTerms,
    ) -> Result<(), ApiError> {
        let now = self.world.now;
        if let Some(advances) = params.boolean("auto_advance")? {
            terms.held = !advances;
            terms.finalizes_at = advances.then(|| now.saturating_add(HOUR));
        }
        let methods = ["charge_automatically", "send_invoice"];
        let method = params.choice("collection_method", &methods)?;
        let days = params.amount("days_until_due")?;
        let days = days.map(|days| now.saturating_add(days.saturating_mul(DAY)));
        let due = params.integer("due_date")?.or(days);
        match method {
            Some("send_invoice") if due.is_none() && terms.due_date.is_none() => {
                let message = "You must pass `days_until_due` or `due_date` when \
                               `collection_method` is `send_invoice`.";
                return Err(ApiError::invalid(message).param("days_until_due"));
            }
            Some("charge_automatically") => terms.due_date = None,
            _ => terms.due_date = due.or(terms.due_date),
        }
        if params.has("description") {
            terms.description = params.text("description").map(str::to_owned);
        }
        params.merge_metadata(&mut terms.metadata);
        Ok(())
    }
}

fn update(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    let before = sandbox.named::<Invoice>(call.id())?.clone();
    let mut after = before.clone();
    sandbox.read_invoice_terms(call.params, &mut after.terms)?;
    if before.status != "draft" {
        // A final invoice keeps what it says to the customer.
        after.terms.finalizes_at = None;
        after.terms.due_date = before.terms.due_date;
        after.terms.description.clone_from(&before.terms.description);
    }
    if after != before {
        let (before, after) = (Object::Invoice(before), Object::Invoice(after));
        sandbox.world.emit_change("invoice.updated", before, after);
    }
    retrieve(sandbox, call)
}

fn delete(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    let invoice = sandbox.named::<Invoice>(call.id())?.clone();
    expect_status(&invoice, &["draft"], "delete")?;
    let of_invoice = |item: &&InvoiceItem| item.invoice.as_deref() == Some(invoice.id.as_str());
    let items: Vec<InvoiceItem> =
        sandbox.world.objects.all::<InvoiceItem>().filter(of_invoice).cloned().collect();
    for item in items {
        sandbox.world.keep(InvoiceItem { invoice: None, ..item });
    }
    sandbox.world.emit("invoice.deleted", Object::Invoice(invoice));
    sandbox.world.objects.remove::<Invoice>(call.id());
    Ok(json!({"id": call.id(), "object": "invoice", "deleted": true}))
}

fn finalize(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    let mut invoice = sandbox.named::<Invoice>(call.id())?.clone();
    expect_status(&invoice, &["draft"], "finalize")?;
    if let Some(advances) = call.params.boolean("auto_advance")? {
        invoice.terms.held = !advances;
        sandbox.world.keep(invoice.clone());
    }
    in_time(sandbox, &invoice, |sandbox| sandbox.finalize_invoice(&invoice.id));
    retrieve(sandbox, call)
}

fn pay(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    let invoice = sandbox.named::<Invoice>(call.id())?.clone();
    if invoice.status == "paid" {
        let error = ApiError::invalid("Invoice is already paid");
        return Err(error.code("invoice_already_paid"));
    }
    expect_status(&invoice, &["draft", "open", "uncollectible"], "pay")?;
    let customer = invoice.bill_to.customer.as_str();
    let method = sandbox.own_method(customer, call.params, "payment_method")?;
    let outside = call.params.boolean("paid_out_of_band")?.unwrap_or(false);
    in_time(sandbox, &invoice, |sandbox| {
        sandbox.finalize_invoice(&invoice.id);
        if outside {
            sandbox.settle_outside(&invoice.id);
            return Ok(());
        }
        let method = method.as_ref().map(|method| method.id.as_str());
        sandbox.collect_invoice(&invoice.id, method, Attempt::Asked)
    })?;
    retrieve(sandbox, call)
}

fn send(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    let invoice = sandbox.named::<Invoice>(call.id())?.clone();
    expect_status(&invoice, &["draft", "open"], "send")?;
    if invoice.terms.due_date.is_none() {
        let message = "You can only manually send an invoice if its collection method is \
                       'send_invoice'.";
        return Err(ApiError::invalid(message));
    }
    in_time(sandbox, &invoice, |sandbox| sandbox.finalize_invoice(&invoice.id));
    let invoice = sandbox.named::<Invoice>(call.id())?.clone();
    sandbox.world.emit("invoice.sent", Object::Invoice(invoice));
    retrieve(sandbox, call)
}

fn void(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    let invoice = sandbox.named::<Invoice>(call.id())?.clone();
    expect_status(&invoice, &["open", "uncollectible"], "void")?;
    in_time(sandbox, &invoice, |sandbox| {
        sandbox.void_invoice(&invoice.id);
        sandbox.after_closing(&invoice.id);
    });
    retrieve(sandbox, call)
}

fn mark_uncollectible(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    let invoice = sandbox.named::<Invoice>(call.id())?.clone();
    expect_status(&invoice, &["open"], "mark as uncollectible")?;
    in_time(sandbox, &invoice, |sandbox| {
        sandbox.give_up_invoice(&invoice.id, "user_forgiven");
        sandbox.after_closing(&invoice.id);
    });
    retrieve(sandbox, call)
}

/// Does something at the time of an invoice's customer.
fn in_time<T>(sandbox: &mut Sandbox, invoice: &Invoice, act: impl FnOnce(&mut Sandbox) -> T) -> T {
    sandbox.in_time_of(&invoice.bill_to.customer, act)
}

/// Refuses to do something with an invoice that is not in one of these states.
fn expect_status(invoice: &Invoice, wanted: &[&str], what: &str) -> Result<(), ApiError> {
    if wanted.contains(&invoice.status) {
        return Ok(());
    }
    let message = format!(
        "You can only {what} an invoice that is {}. This invoice ({}) is {}.",
        super::params::listed(wanted),
        invoice.id(),
        invoice.status
    );
    Err(ApiError::invalid(message).code("invoice_not_editable"))
}
