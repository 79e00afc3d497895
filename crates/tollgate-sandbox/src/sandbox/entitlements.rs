//! Stripe's own entitlements over the API. Owns: features, which product has which, and what a
//! customer has by its subscriptions. Must not know: our catalog.

use serde_json::{Value, json};

use super::Sandbox;
use super::error::ApiError;
use super::page;
use super::route::{Call, Route};
use crate::object::customer::Customer;
use crate::object::entitlement::{Feature, ProductFeature, Summary};
use crate::object::price::Product;
use crate::object::subscription::Subscription;

pub(super) const ROUTES: &[Route] = &[
    Route::post("/v1/entitlements/features", "lookup_key! name! metadata{*}", create),
    Route::list("/v1/entitlements/features", "lookup_key archived", list),
    Route::get("/v1/entitlements/features/{feature}", retrieve),
    Route::post("/v1/entitlements/features/{feature}", "name active metadata{*}", update),
    Route::list("/v1/entitlements/active_entitlements", "customer!", list_active),
    Route::get("/v1/entitlements/active_entitlements/{entitlement}", retrieve_active),
    Route::post("/v1/products/{product}/features", "entitlement_feature!", attach),
    Route::list("/v1/products/{product}/features", "", list_attached),
    Route::get("/v1/products/{product}/features/{feature}", retrieve_attached),
    Route::delete("/v1/products/{product}/features/{feature}", "", detach),
];

fn create(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    let key = call.params.required("lookup_key")?;
    if sandbox.world.objects.all::<Feature>().any(|known| known.lookup_key == key) {
        let message = format!("A feature with the lookup key '{key}' already exists.");
        return Err(ApiError::invalid(message).code("resource_already_exists").param("lookup_key"));
    }
    let feature = Feature {
        id: sandbox.world.new_long_id("feat_test_"),
        lookup_key: key.to_owned(),
        name: call.params.required("name")?.to_owned(),
        active: true,
        metadata: call.params.metadata(),
        created: sandbox.world.now,
    };
    sandbox.world.keep(feature.clone());
    Ok(feature.show())
}

fn list(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    let key = call.params.text("lookup_key");
    let archived = call.params.boolean("archived")?.unwrap_or(false);
    let mut features = sandbox.world.objects.newest_first::<Feature>();
    features.retain(|feature| {
        key.is_none_or(|key| feature.lookup_key == key) && feature.active != archived
    });
    page::objects(call, &features, |feature, _| feature.show())
}

fn retrieve(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    Ok(sandbox.named::<Feature>(call.id())?.show())
}

fn update(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    let mut feature = sandbox.named::<Feature>(call.id())?.clone();
    if let Some(name) = call.params.text("name") {
        name.clone_into(&mut feature.name);
    }
    if let Some(active) = call.params.boolean("active")? {
        feature.active = active;
    }
    call.params.merge_metadata(&mut feature.metadata);
    let of = |known: &&ProductFeature| known.feature.id == feature.id;
    let copies: Vec<ProductFeature> = sandbox.world.objects.all().filter(of).cloned().collect();
    for copy in copies {
        sandbox.world.keep(ProductFeature { feature: feature.clone(), ..copy });
    }
    sandbox.world.keep(feature.clone());
    Ok(feature.show())
}

fn list_active(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    let customer = sandbox.must_refer::<Customer>(call.params, "customer")?;
    let entitlements = Summary::of(&customer.id, &sandbox.world.objects).entitlements();
    let id = |one: &Value| one.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
    let rows: Vec<(String, Value)> = entitlements.into_iter().map(|one| (id(&one), one)).collect();
    page::page(call, "active_entitlement", &rows, |(id, _)| id, |(_, one)| one.clone())
}

fn retrieve_active(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    let subscribers = sandbox.world.objects.all::<Subscription>().map(|one| one.customer.as_str());
    let mut entitlements = subscribers
        .flat_map(|customer| Summary::of(customer, &sandbox.world.objects).entitlements());
    let found = entitlements.find(|one| one.get("id").and_then(Value::as_str) == Some(call.id()));
    found.ok_or_else(|| ApiError::missing_resource("active_entitlement", call.id()))
}

impl Sandbox {
    /// Changes which features products have, and tells every customer's summary that changes by it.
    fn change_features(&mut self, change: impl FnOnce(&mut Self)) {
        let mut customers: Vec<String> =
            self.world.objects.all::<Subscription>().map(|one| one.customer.clone()).collect();
        customers.sort_unstable();
        customers.dedup();
        let objects = &self.world.objects;
        let had: Vec<Summary> = customers.iter().map(|one| Summary::of(one, objects)).collect();
        change(self);
        for summary in had {
            self.world.tell_features(summary);
        }
    }
}

fn attach(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    let product = sandbox.named::<Product>(call.id())?.id.clone();
    let feature = sandbox.must_refer::<Feature>(call.params, "entitlement_feature")?.clone();
    let same = |known: &ProductFeature| known.product == product && known.feature.id == feature.id;
    if sandbox.world.objects.all().any(same) {
        let message = "This feature is already attached to the product.";
        let error = ApiError::invalid(message).code("resource_already_exists");
        return Err(error.param("entitlement_feature"));
    }
    let id = sandbox.world.new_long_id("prodft_1");
    let created = sandbox.world.now;
    let attached = ProductFeature { id, product, feature, created };
    let shown = attached.show();
    sandbox.change_features(|sandbox| sandbox.world.keep(attached));
    Ok(shown)
}

fn list_attached(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    let product = sandbox.named::<Product>(call.id())?;
    let mut features = sandbox.world.objects.newest_first::<ProductFeature>();
    features.retain(|feature| feature.product == product.id);
    page::objects(call, &features, |feature, _| feature.show())
}

/// A feature of the product that the path names.
fn attached(sandbox: &Sandbox, call: &Call<'_>) -> Result<ProductFeature, ApiError> {
    let feature = sandbox.world.objects.get::<ProductFeature>(call.second_id());
    let feature = feature.filter(|feature| feature.product == call.id()).cloned();
    feature.ok_or_else(|| ApiError::missing_resource("product_feature", call.second_id()))
}

fn retrieve_attached(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    Ok(attached(sandbox, call)?.show())
}

fn detach(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    let feature = attached(sandbox, call)?;
    let id = feature.id;
    sandbox.change_features(|sandbox| sandbox.world.objects.remove::<ProductFeature>(&id));
    Ok(json!({"id": id, "object": "product_feature", "deleted": true}))
}
