//! Asking for one object. Owns: where each kind is found and what has to be asked for to have all of
//! it. Must not know: why it is asked for, what is done with it.

use serde_json::Value;
use serde_json::value::RawValue;
use tollgate_domain::Timestamp;
use tollgate_domain::ids::{CustomerId, SubscriptionId};
use tollgate_stripe::client::subscription::EXPAND_PLANNED;
use tollgate_stripe::client::{
    ApiPath, Cursor, Form, Operation, Refusal, StripeClient, StripeError,
};
use tollgate_stripe::fetched::FetchedKind;

/// Most items of a subscription or lines of a session or invoice that are read; Stripe allows 20
/// items and 100 lines by default.
const ITEMS_MAX: usize = 1_000;

/// What Stripe answers.
#[derive(Debug)]
pub enum Answer {
    /// The object.
    Shown {
        /// As it came, with lists that were cut made whole.
        object: Box<RawValue>,
        /// Stripe's clock.
        at: Timestamp,
    },
    /// It does not know such an object (any more).
    Gone,
}

/// Asks for one object.
pub async fn ask(
    client: &StripeClient,
    kind: FetchedKind,
    id: &str,
) -> Result<Answer, StripeError> {
    let (operation, path, form) = place(kind, id);
    let fetched = match client.call(operation, &path, &form, None).await {
        Ok(fetched) => fetched,
        Err(StripeError::Refused { refusal }) if is_missing(&refusal) => return Ok(Answer::Gone),
        Err(error) => return Err(error),
    };
    let object: Box<RawValue> = fetched.json()?;
    let object = match kind {
        FetchedKind::Subscription => {
            let operation = Operation::get("subscription_items.list");
            let filter = Form::new().with("subscription", id);
            let rest = Rest {
                field: "items",
                operation,
                path: ApiPath::new("/v1/subscription_items"),
                filter,
            };
            whole(client, rest, object).await?
        }
        FetchedKind::Session => {
            let operation = Operation::get("checkout.sessions.line_items");
            let path = ApiPath::new("/v1/checkout/sessions").id(id).then("/line_items");
            let rest = Rest { field: "line_items", operation, path, filter: Form::new() };
            whole(client, rest, object).await?
        }
        FetchedKind::Invoice => {
            let operation = Operation::get("invoices.list_lines");
            let path = ApiPath::new("/v1/invoices").id(id).then("/lines");
            let rest = Rest { field: "lines", operation, path, filter: Form::new() };
            whole(client, rest, object).await?
        }
        FetchedKind::Customer
        | FetchedKind::Refund
        | FetchedKind::Dispute
        | FetchedKind::Charge
        | FetchedKind::InvoicePayment => object,
    };
    Ok(Answer::Shown { object, at: fetched.date })
}

/// Whether a customer that is there has no such subscription, neither a living one nor one that is
/// over; then Stripe's time of that answer. `None` where the customer is not there either, or has
/// it.
pub async fn lacks(
    client: &StripeClient,
    customer: &CustomerId,
    subscription: &SubscriptionId,
) -> Result<Option<Timestamp>, StripeError> {
    if matches!(ask(client, FetchedKind::Customer, customer.as_str()).await?, Answer::Gone) {
        return Ok(None);
    }
    let filter = Form::new().with("customer", customer.as_str()).with("status", "all");
    let (operation, path) =
        (Operation::get("subscriptions.list"), ApiPath::new("/v1/subscriptions"));
    let mut cursor = Cursor::Newest;
    loop {
        let page = client.page(operation, &path, &filter, &cursor).await?;
        let ids = page.items.iter().filter_map(|item| serde_json::from_str(item.get()).ok());
        if ids.into_iter().any(|Identified { id }| id == subscription.as_str()) {
            return Ok(None);
        }
        match page.last_id() {
            Some(last) if page.has_more => cursor = Cursor::After(last),
            _ => return Ok(Some(page.date)),
        }
    }
}

#[derive(serde::Deserialize)]
struct Identified {
    id: String,
}

/// The object is not there; any other 404 (a path, a feature of the account) says nothing of it.
fn is_missing(refusal: &Refusal) -> bool {
    refusal.status == 404 && refusal.code.as_deref() == Some("resource_missing")
}

fn place(kind: FetchedKind, id: &str) -> (Operation, ApiPath, Form) {
    let of = |name, fixed| (Operation::get(name), ApiPath::new(fixed).id(id), Form::new());
    match kind {
        FetchedKind::Customer => of("customers.retrieve", "/v1/customers"),
        FetchedKind::Subscription => {
            // What is planned for it is shown by its id alone.
            let (operation, path, form) = of("subscriptions.retrieve", "/v1/subscriptions");
            (operation, path, form.expand(EXPAND_PLANNED))
        }
        FetchedKind::Session => {
            // The lines prove what was sold, and events do not carry them.
            let (operation, path, form) = of("checkout.sessions.retrieve", "/v1/checkout/sessions");
            (operation, path, form.expand("line_items"))
        }
        FetchedKind::Invoice => {
            // Which payments paid it leads refunds and disputes to it.
            let (operation, path, form) = of("invoices.retrieve", "/v1/invoices");
            (operation, path, form.expand("payments"))
        }
        FetchedKind::Refund => of("refunds.retrieve", "/v1/refunds"),
        FetchedKind::Dispute => of("disputes.retrieve", "/v1/disputes"),
        FetchedKind::Charge => of("charges.retrieve", "/v1/charges"),
        FetchedKind::InvoicePayment => of("invoice_payments.retrieve", "/v1/invoice_payments"),
    }
}

/// Where the rest of a list inside of an object is found.
struct Rest {
    /// The object's field that has the list.
    field: &'static str,
    operation: Operation,
    path: ApiPath,
    filter: Form,
}

/// A subscription shows its first items only, a session and an invoice their first lines; the others have a list of
/// their own.
async fn whole(
    client: &StripeClient,
    rest: Rest,
    object: Box<RawValue>,
) -> Result<Box<RawValue>, StripeError> {
    let garbled = || StripeError::Garbled { what: "the object has no such list", request_id: None };
    let mut read: Value = serde_json::from_str(object.get()).map_err(|_| garbled())?;
    let list = read.get_mut(rest.field).and_then(Value::as_object_mut);
    let Some(list) = list.filter(|list| list.get("has_more") == Some(&Value::Bool(true))) else {
        return Ok(object);
    };
    let (items, more) = client.list(rest.operation, &rest.path, &rest.filter, ITEMS_MAX).await?;
    let items = items.iter().map(|item| serde_json::from_str(item.get()));
    let items: Vec<Value> = items.collect::<Result<_, _>>().map_err(|_| garbled())?;
    list.insert("data".to_owned(), Value::Array(items));
    list.insert("has_more".to_owned(), Value::Bool(more));
    RawValue::from_string(read.to_string()).map_err(|_| garbled())
}
