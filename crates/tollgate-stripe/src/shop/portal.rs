//! The customer portal's configuration. Owns: what customers may do by themselves, as Stripe's
//! fields, and telling whether one is as it should be.

use serde_json::Value;
use tollgate_domain::ids::PriceId;

use super::{CATALOG, key, read_all};
use crate::client::{ApiPath, Fetched, Form, Operation, StripeClient, StripeError};

/// Most products customers can choose among; Stripe's own limit.
const PRODUCTS_MAX: usize = 10;
/// Most configurations read.
const PORTALS_READ_MAX: usize = 100;
/// A change to less takes effect at the end of the period, as the engine's own rule has it.
const LATER: [&str; 2] = ["decreasing_item_amount", "shortening_interval"];

/// A configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Portal {
    /// `bpc_…`
    pub id: String,
    /// Whether it can be used.
    pub active: bool,
    /// The catalog it was made for, when we made it.
    pub catalog: Option<String>,
    fields: Value,
}

/// A product customers can change to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortalProduct {
    /// Its id.
    pub id: String,
    /// Its prices.
    pub prices: Vec<PriceId>,
    /// Whether customers choose how many.
    pub quantity: PortalQuantity,
}

/// Whether customers choose a quantity in the portal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PortalQuantity {
    /// They do not.
    Fixed,
    /// From one to this many, or without bound.
    UpTo(Option<u64>),
}

/// The configuration that is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PortalWish {
    /// The catalog it is for.
    pub catalog: String,
    /// What customers can change to.
    pub products: Vec<PortalProduct>,
    /// Where they go back to; `None` leaves it as it is.
    pub return_url: Option<String>,
}

impl PortalWish {
    /// The products that fit in.
    fn fitting(&self) -> &[PortalProduct] {
        self.products.get(..PRODUCTS_MAX).unwrap_or(&self.products)
    }

    /// What customers may change about a subscription.
    fn allowed_updates(&self) -> &'static [&'static str] {
        let counted = |product: &PortalProduct| product.quantity != PortalQuantity::Fixed;
        if self.fitting().iter().any(counted) { &["price", "quantity"] } else { &["price"] }
    }

    /// Products that do not fit in.
    pub fn left_out(&self) -> usize {
        self.products.len().saturating_sub(PRODUCTS_MAX)
    }

    fn form(&self) -> Form {
        let mut form = Form::new()
            .with("features[invoice_history][enabled]", "true")
            .with("features[payment_method_update][enabled]", "true")
            .with("features[customer_update][enabled]", "true")
            .with("features[customer_update][allowed_updates][0]", "email")
            .with("features[customer_update][allowed_updates][1]", "address")
            .with("features[customer_update][allowed_updates][2]", "tax_id")
            .with("features[subscription_cancel][enabled]", "true")
            .with("features[subscription_cancel][mode]", "at_period_end");
        let update = "features[subscription_update]";
        let products = self.fitting();
        if products.is_empty() {
            form = form.with(format!("{update}[enabled]"), "false");
        } else {
            form = form
                .with(format!("{update}[enabled]"), "true")
                .with(format!("{update}[proration_behavior]"), "always_invoice");
            for (place, kind) in self.allowed_updates().iter().enumerate() {
                form = form.with(format!("{update}[default_allowed_updates][{place}]"), *kind);
            }
            for (place, kind) in LATER.iter().enumerate() {
                let name = format!("{update}[schedule_at_period_end][conditions][{place}][type]");
                form = form.with(name, *kind);
            }
        }
        for (place, product) in products.iter().enumerate() {
            let name = format!("{update}[products][{place}]");
            form = form.with(format!("{name}[product]"), &product.id);
            for (number, price) in product.prices.iter().enumerate() {
                form = form.with(format!("{name}[prices][{number}]"), price.as_str());
            }
            form = with_quantity(form, &format!("{name}[adjustable_quantity]"), product.quantity);
        }
        if let Some(url) = &self.return_url {
            form = form.with("default_return_url", url);
        }
        form.with_map("metadata", [(CATALOG, self.catalog.as_str())])
    }
}

impl Portal {
    fn read(value: Value) -> Option<Self> {
        Some(Self {
            id: value.get("id")?.as_str()?.to_owned(),
            active: value.get("active").and_then(Value::as_bool).unwrap_or(true),
            catalog: value
                .pointer("/metadata/tollgate_catalog")
                .and_then(Value::as_str)
                .map(str::to_owned),
            fields: value,
        })
    }

    /// Whether customers can do exactly what is wanted.
    pub fn is_as(&self, wish: &PortalWish) -> bool {
        let flag = |path: &str| self.fields.pointer(path).and_then(Value::as_bool) == Some(true);
        let word = |path: &str| self.fields.pointer(path).and_then(Value::as_str);
        let update = "/features/subscription_update";
        let url = word("/default_return_url");
        let base = self.active
            && flag("/features/invoice_history/enabled")
            && flag("/features/payment_method_update/enabled")
            && flag("/features/customer_update/enabled")
            && flag("/features/subscription_cancel/enabled")
            && word("/features/subscription_cancel/mode") == Some("at_period_end")
            && wish.return_url.as_deref().is_none_or(|wanted| url == Some(wanted));
        let products = wish.fitting();
        if products.is_empty() {
            return base && !flag(&format!("{update}/enabled"));
        }
        let words = |path: &str, field: Option<&str>| -> Vec<String> {
            let list = self.fields.pointer(path).and_then(Value::as_array);
            let word = |one: &Value| {
                field
                    .map_or(Some(one), |field| one.get(field))
                    .and_then(Value::as_str)
                    .map(str::to_owned)
            };
            let mut words: Vec<String> = list.into_iter().flatten().filter_map(word).collect();
            words.sort_unstable();
            words
        };
        base && flag(&format!("{update}/enabled"))
            && word(&format!("{update}/proration_behavior")) == Some("always_invoice")
            && words(&format!("{update}/default_allowed_updates"), None) == wish.allowed_updates()
            && words(&format!("{update}/schedule_at_period_end/conditions"), Some("type")) == LATER
            && self.products() == sorted(products)
    }

    /// What customers can change to, sorted.
    fn products(&self) -> Vec<Shown> {
        let path = "/features/subscription_update/products";
        let list = self.fields.pointer(path).and_then(Value::as_array);
        let mut products: Vec<Shown> = list
            .into_iter()
            .flatten()
            .filter_map(|one| {
                let product = one.get("product")?.as_str()?.to_owned();
                let prices = one.get("prices")?.as_array()?.iter();
                let mut prices: Vec<String> =
                    prices.filter_map(|price| price.as_str().map(str::to_owned)).collect();
                prices.sort_unstable();
                Some((product, prices, quantity_of(one)))
            })
            .collect();
        products.sort_unstable();
        products
    }
}

/// A product with its prices and quantity, to be compared.
type Shown = (String, Vec<String>, PortalQuantity);

fn sorted(products: &[PortalProduct]) -> Vec<Shown> {
    let mut products: Vec<Shown> = products
        .iter()
        .map(|product| {
            let prices = product.prices.iter().map(ToString::to_string);
            let mut prices: Vec<String> = prices.collect();
            prices.sort_unstable();
            (product.id.clone(), prices, product.quantity)
        })
        .collect();
    products.sort_unstable();
    products
}

fn with_quantity(form: Form, name: &str, quantity: PortalQuantity) -> Form {
    match quantity {
        PortalQuantity::Fixed => form.with(format!("{name}[enabled]"), "false"),
        PortalQuantity::UpTo(max) => {
            let form = form.with(format!("{name}[enabled]"), "true");
            let form = form.with(format!("{name}[minimum]"), "1");
            form.with_some(&format!("{name}[maximum]"), max.map(|max| max.to_string()).as_deref())
        }
    }
}

/// Whether customers choose how many of a product; shapes before 2025-07-30 say nothing of it.
fn quantity_of(product: &Value) -> PortalQuantity {
    let adjustable = product.get("adjustable_quantity");
    let enabled = adjustable.and_then(|one| one.get("enabled")).and_then(Value::as_bool);
    match enabled {
        Some(true) => {
            let maximum = adjustable.and_then(|one| one.get("maximum")).and_then(Value::as_u64);
            PortalQuantity::UpTo(maximum)
        }
        Some(false) | None => PortalQuantity::Fixed,
    }
}

/// Every configuration of the account.
pub async fn list_portals(client: &StripeClient) -> Result<Vec<Portal>, StripeError> {
    let operation = Operation::get("billing_portal.configurations.list");
    let path = ApiPath::new("/v1/billing_portal/configurations");
    // Stripe leaves the products out of a list unless asked.
    let form = Form::new().expand("data.features.subscription_update.products");
    let (items, _) = client.list(operation, &path, &form, PORTALS_READ_MAX).await?;
    let portals = read_all(&items)?.into_iter().map(Portal::read);
    portals.map(|portal| portal.ok_or_else(garbled)).collect()
}

fn garbled() -> StripeError {
    StripeError::Garbled { what: "this is no portal configuration", request_id: None }
}

fn read(fetched: &Fetched) -> Result<Portal, StripeError> {
    Portal::read(fetched.json()?).ok_or_else(garbled)
}

/// Makes a configuration. The key holds no nonce: until it shows up in a list, asking for the same
/// one gives the same one.
pub async fn create_portal(
    client: &StripeClient,
    wish: &PortalWish,
) -> Result<Portal, StripeError> {
    let form = wish.form();
    let key = key("portal", &form, "");
    let operation = Operation::post("billing_portal.configurations.create");
    let path = ApiPath::new("/v1/billing_portal/configurations");
    read(&client.call(operation, &path, &form, key.as_ref()).await?)
}

/// Makes a configuration what is wanted.
pub async fn update_portal(
    client: &StripeClient,
    id: &str,
    wish: &PortalWish,
    nonce: &str,
) -> Result<Portal, StripeError> {
    let form = wish.form().with("active", "true");
    let key = key("portal", &form, &format!("{id} {nonce}"));
    let operation = Operation::post("billing_portal.configurations.update");
    let path = ApiPath::new("/v1/billing_portal/configurations").id(id);
    read(&client.call(operation, &path, &form, key.as_ref()).await?)
}
