//! Invoice items over the API. Owns: amounts that wait for an invoice, or join a draft. Must not
//! know: how they are billed.

use serde_json::{Value, json};

use super::Sandbox;
use super::billing::begin::line_of;
use super::error::ApiError;
use super::page::{self, Span};
use super::params::Params;
use super::prices;
use super::route::{Call, Route};
use super::subscriptions::items::quantity;
use crate::object::customer::Customer;
use crate::object::invoice::Invoice;
use crate::object::invoice_item::InvoiceItem;
use crate::object::price::{Price, Product};
use crate::object::subscription::Subscription;
use crate::object::{Metadata, Object};

const CREATE: &str = "customer! amount currency description price quantity unit_amount \
    unit_amount_decimal invoice subscription discountable metadata{*} period{start! end!} \
    pricing{price} price_data{currency! product! unit_amount unit_amount_decimal tax_behavior} \
    tax_rates[]";

const UPDATE: &str = "amount description quantity unit_amount discountable metadata{*} \
    period{start! end!}";

pub(super) const ROUTES: &[Route] = &[
    Route::post("/v1/invoiceitems", CREATE, create),
    Route::list("/v1/invoiceitems", "customer invoice pending created?{gt gte lt lte}", list),
    Route::get("/v1/invoiceitems/{item}", retrieve),
    Route::post("/v1/invoiceitems/{item}", UPDATE, update),
    Route::delete("/v1/invoiceitems/{item}", "", delete),
];

fn retrieve(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    Ok(sandbox.named::<InvoiceItem>(call.id())?.show(call.version))
}

fn list(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    let params = call.params;
    let (customer, invoice) = (params.text("customer"), params.text("invoice"));
    let (pending, span) = (params.boolean("pending")?, Span::of(params, "created")?);
    let mut found = sandbox.world.objects.newest_first::<InvoiceItem>();
    found.retain(|item| {
        customer.is_none_or(|customer| item.customer == customer)
            && invoice.is_none_or(|invoice| item.invoice.as_deref() == Some(invoice))
            && pending.is_none_or(|pending| item.invoice.is_none() == pending)
            && span.has(item.created)
    });
    page::objects(call, &found, InvoiceItem::show)
}

fn create(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    let customer = sandbox.must_refer::<Customer>(call.params, "customer")?.clone();
    let item = sandbox.in_time_of(&customer.id, |sandbox| {
        let item = sandbox.read_invoice_item(&customer, call.params)?;
        sandbox.join_draft(&item)?;
        sandbox.world.emit("invoiceitem.created", Object::InvoiceItem(item.clone()));
        Ok::<_, ApiError>(item)
    })?;
    Ok(item.show(call.version))
}

impl Sandbox {
    fn read_invoice_item(
        &mut self,
        customer: &Customer,
        params: &Params,
    ) -> Result<InvoiceItem, ApiError> {
        let subscription = self.referred::<Subscription>(params, "subscription")?;
        let subscription = subscription.map(|one| one.id.clone());
        let quantity = quantity(params)?.unwrap_or(1);
        let price = self.price_of_item(customer, params)?;
        let whole = price.unit_amount_minor.saturating_mul(i64::from(quantity));
        let now = self.world.now;
        let (start, end) = period(params, now)?;
        Ok(InvoiceItem {
            id: self.world.new_long_id("ii_1"),
            customer: customer.id.clone(),
            subscription,
            subscription_item: None,
            invoice: params.text("invoice").map(str::to_owned),
            amount_minor: params.integer("amount")?.unwrap_or(whole),
            description: params.text("description").unwrap_or(&price.product.name).to_owned(),
            price,
            quantity,
            period_start: start,
            period_end: end,
            proration: false,
            metadata: params.metadata(),
            created: now,
            test_clock: customer.test_clock.clone(),
        })
    }

    /// The price of an item: one that is there, one made for it, or one that stands for a plain
    /// amount and is not for sale.
    fn price_of_item(&mut self, customer: &Customer, params: &Params) -> Result<Price, ApiError> {
        let pricing = params.get("pricing").filter(|pricing| pricing.has("price"));
        if let Some(price) = self.referred::<Price>(pricing.unwrap_or(params), "price")? {
            return Ok(price.clone());
        }
        if let Some(data) = params.get("price_data") {
            let product = prices::product(self, data)?;
            return prices::make(self, product, data);
        }
        let amount = match params.integer("amount")? {
            Some(amount) => amount,
            None => prices::unit_amount(params)?,
        };
        let currency = match (&customer.currency, params.has("currency")) {
            (Some(currency), false) => currency.clone(),
            _ => prices::currency(params)?,
        };
        let name = params.text("description").unwrap_or("Invoice item").to_owned();
        let product = Product::named(self.world.new_short_id("prod_"), name, self.world.now);
        Ok(Price {
            id: self.world.new_long_id("price_1"),
            lookup_key: None,
            nickname: None,
            product: product.into(),
            currency,
            unit_amount_minor: amount,
            currency_options: std::collections::BTreeMap::new(),
            interval: None,
            interval_count: 1,
            trial_period_days: None,
            tax_behavior: "unspecified",
            metadata: Metadata::new(),
            active: false,
            created: self.world.now,
        })
    }

    /// An item that names an invoice becomes a line of it, if it is a draft.
    fn join_draft(&mut self, item: &InvoiceItem) -> Result<(), ApiError> {
        let Some(id) = &item.invoice else { return Ok(()) };
        let Some(before) = self.copy::<Invoice>(id) else {
            return Err(ApiError::no_such("invoice", id, "invoice"));
        };
        if before.status != "draft" {
            let message = "You can only add items to an invoice that is a draft.";
            let error = ApiError::invalid(message).code("invoice_not_editable");
            return Err(error.param("invoice"));
        }
        let mut after = before.clone();
        if after.lines.is_empty() {
            after.currency.clone_from(&item.price.currency);
        }
        after.lines.retain(|line| line.invoice_item.as_deref() != Some(item.id.as_str()));
        after.lines.push(line_of(item));
        let (before, after) = (Object::Invoice(before), Object::Invoice(after));
        self.world.emit_change("invoice.updated", before, after);
        Ok(())
    }
}

fn period(params: &Params, now: i64) -> Result<(i64, i64), ApiError> {
    let Some(period) = params.get("period") else { return Ok((now, now)) };
    Ok((period.integer("start")?.unwrap_or(now), period.integer("end")?.unwrap_or(now)))
}

fn update(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    let mut item = sandbox.named::<InvoiceItem>(call.id())?.clone();
    let params = call.params;
    if let Some(quantity) = quantity(params)? {
        item.quantity = quantity;
        item.amount_minor = item.price.unit_amount_minor.saturating_mul(i64::from(quantity));
    }
    if let Some(unit) = params.integer("unit_amount")? {
        item.amount_minor = unit.saturating_mul(i64::from(item.quantity));
    }
    item.amount_minor = params.integer("amount")?.unwrap_or(item.amount_minor);
    if let Some(description) = params.text("description") {
        description.clone_into(&mut item.description);
    }
    params.merge_metadata(&mut item.metadata);
    (item.period_start, item.period_end) = match params.get("period") {
        Some(_) => period(params, sandbox.world.now)?,
        None => (item.period_start, item.period_end),
    };
    sandbox.join_draft(&item)?;
    sandbox.world.keep(item);
    retrieve(sandbox, call)
}

fn delete(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    let item = sandbox.named::<InvoiceItem>(call.id())?.clone();
    if let Some(invoice) = &item.invoice
        && let Some(before) = sandbox.copy::<Invoice>(invoice)
    {
        if before.status != "draft" {
            let message = "You can only delete items of an invoice that is a draft.";
            return Err(ApiError::invalid(message).code("invoice_not_editable"));
        }
        let mut after = before.clone();
        after.lines.retain(|line| line.invoice_item.as_deref() != Some(item.id.as_str()));
        let (before, after) = (Object::Invoice(before), Object::Invoice(after));
        sandbox.world.emit_change("invoice.updated", before, after);
    }
    sandbox.world.emit("invoiceitem.deleted", Object::InvoiceItem(item));
    sandbox.world.objects.remove::<InvoiceItem>(call.id());
    Ok(json!({"id": call.id(), "object": "invoiceitem", "deleted": true}))
}
