//! Products over the API. Owns: making, changing, deleting and listing them. Must not know: who
//! buys them.

use serde_json::{Value, json};

use super::Sandbox;
use super::error::ApiError;
use super::page::{self, Span};
use super::params::Params;
use super::prices;
use super::route::{Call, Route};
use crate::object::Object;
use crate::object::price::{Price, Product};

/// What can be said of a product when it is made.
const CREATE: &str = "id name! active description images[] marketing_features[]{name!} \
     statement_descriptor tax_code unit_label url metadata{*} shippable type \
     default_price_data{currency! unit_amount unit_amount_decimal tax_behavior metadata{*} \
     recurring{interval! interval_count}}";

/// What can be changed of it.
const UPDATE: &str = "name active description images[] marketing_features[]{name!} \
     statement_descriptor tax_code unit_label url metadata{*} shippable default_price";

pub(super) const ROUTES: &[Route] = &[
    Route::post("/v1/products", CREATE, create),
    Route::list("/v1/products", "active ids[] url created?{gt gte lt lte} shippable", list),
    Route::get("/v1/products/{product}", retrieve),
    Route::post("/v1/products/{product}", UPDATE, update),
    Route::delete("/v1/products/{product}", "", delete),
];

fn create(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    let id = match call.params.text("id") {
        Some(id) if sandbox.world.objects.get::<Product>(id).is_some() => {
            let message = "Product already exists.";
            return Err(ApiError::invalid(message).code("resource_already_exists").param("id"));
        }
        Some(id) => id.to_owned(),
        None => sandbox.world.new_short_id("prod_"),
    };
    let name = call.params.required("name")?.to_owned();
    let mut product = Product::named(id, name, sandbox.world.now);
    fill(&mut product, call.params)?;
    sandbox.world.emit("product.created", Object::Product(product.clone()));
    if let Some(data) = call.params.get("default_price_data") {
        let price = prices::make(sandbox, product.clone(), data)?;
        product.default_price = Some(price.id);
        sandbox.change_product(&product);
    }
    Ok(product.show(call.version))
}

/// Writes what the parameters say into a product.
fn fill(product: &mut Product, params: &Params) -> Result<(), ApiError> {
    if let Some(name) = params.text("name") {
        name.clone_into(&mut product.name);
    }
    if let Some(active) = params.boolean("active")? {
        product.active = active;
    }
    params.write_text("description", &mut product.description);
    params.write_text("statement_descriptor", &mut product.statement_descriptor);
    params.write_text("tax_code", &mut product.tax_code);
    params.write_text("unit_label", &mut product.unit_label);
    params.write_text("url", &mut product.url);
    if params.has("images") {
        product.images = params.texts("images").into_iter().map(str::to_owned).collect();
    }
    if params.has("marketing_features") {
        let features = params.list("marketing_features");
        let names = features.iter().filter_map(|feature| feature.text("name"));
        product.marketing_features = names.map(str::to_owned).collect();
    }
    params.merge_metadata(&mut product.metadata);
    Ok(())
}

impl Sandbox {
    /// Makes a changed product the newest, wherever it is copied to, and tells of it.
    fn change_product(&mut self, product: &Product) {
        let Some(before) = self.world.objects.get::<Product>(&product.id).cloned() else { return };
        if before == *product {
            return;
        }
        let now = Object::Product(product.clone());
        self.world.emit_change("product.updated", Object::Product(before), now);
        let of = |price: &&Price| price.product.id == product.id;
        let copies: Vec<Price> = self.world.objects.all::<Price>().filter(of).cloned().collect();
        let product = std::sync::Arc::new(product.clone());
        for price in copies {
            self.keep_price(Price { product: product.clone(), ..price });
        }
    }
}

fn list(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    let span = Span::of(call.params, "created")?;
    let (active, ids) = (call.params.boolean("active")?, call.params.texts("ids"));
    let url = call.params.text("url");
    let mut products = sandbox.world.objects.newest_first::<Product>();
    products.retain(|product| {
        span.has(product.created)
            && active.is_none_or(|active| product.active == active)
            && (ids.is_empty() || ids.contains(&product.id.as_str()))
            && url.is_none_or(|url| product.url.as_deref() == Some(url))
    });
    page::objects(call, &products, Product::show)
}

fn retrieve(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    Ok(sandbox.named::<Product>(call.id())?.show(call.version))
}

fn update(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    let mut product = sandbox.named::<Product>(call.id())?.clone();
    let before = product.clone();
    if call.params.unsets("default_price") {
        product.default_price = None;
    }
    if let Some(price) = sandbox.referred::<Price>(call.params, "default_price")? {
        if price.product.id != product.id {
            let message = "The price specified does not belong to this product.";
            return Err(ApiError::invalid(message).param("default_price"));
        }
        product.default_price = Some(price.id.clone());
    }
    fill(&mut product, call.params)?;
    if product != before {
        product.updated = sandbox.world.now;
    }
    sandbox.change_product(&product);
    Ok(product.show(call.version))
}

fn delete(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    let product = sandbox.named::<Product>(call.id())?.clone();
    if sandbox.world.objects.all::<Price>().any(|price| price.product.id == product.id) {
        let message = "This product cannot be deleted because it has one or more user-created \
                       prices.";
        return Err(ApiError::invalid(message));
    }
    let id = product.id.clone();
    sandbox.world.emit("product.deleted", Object::Product(product));
    sandbox.world.objects.remove::<Product>(&id);
    Ok(json!({"id": id, "object": "product", "deleted": true}))
}
