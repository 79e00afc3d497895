//! Portal configurations. Owns: what customers may do, read from parameters, and what they may do
//! when nobody said. Must not know: sessions.

use super::super::Sandbox;
use super::super::billing::Proration;
use super::super::error::ApiError;
use super::super::params::Params;
use crate::object::Metadata;
use crate::object::portal::{Configuration, PortalCancel, PortalProduct, PortalUpdate};
use crate::object::price::{Price, Product};
use crate::offer;

macro_rules! fields {
    () => {
        "name default_return_url metadata{*} login_page{enabled!} \
         business_profile{headline privacy_policy_url terms_of_service_url} "
    };
}

macro_rules! features {
    () => {
        "{customer_update{enabled allowed_updates[]} invoice_history{enabled!} \
         payment_method_update{enabled! payment_method_configuration} \
         subscription_cancel{enabled mode proration_behavior \
         cancellation_reason{enabled! options[]}} \
         subscription_pause{enabled duration{type interval_options[]{interval interval_count}}} \
         subscription_update{enabled default_allowed_updates[] proration_behavior \
         billing_cycle_anchor trial_update_behavior \
         products[]{product! prices[] adjustable_quantity{enabled! minimum maximum}} \
         schedule_at_period_end{conditions[]{type!}}}} "
    };
}

/// What can be said of a configuration when it is made.
pub(super) const FIELDS: &str = concat!(fields!(), "features!", features!());

/// What can be changed of it.
pub(super) const CHANGES: &str = concat!(fields!(), "active features", features!());

impl Sandbox {
    /// A configuration in which customers can do nothing yet.
    pub(super) fn blank_configuration(&mut self) -> Configuration {
        let now = self.world.now;
        Configuration {
            id: self.world.new_long_id("bpc_1"),
            name: None,
            active: true,
            is_default: false,
            headline: None,
            privacy_policy_url: None,
            terms_of_service_url: None,
            default_return_url: None,
            login_page: false,
            customer_update: Vec::new(),
            invoice_history: false,
            payment_method_update: false,
            cancel: PortalCancel {
                enabled: false,
                mode: "at_period_end",
                proration_behavior: "none",
                reasons: None,
            },
            pause: false,
            update: PortalUpdate {
                enabled: false,
                allowed: Vec::new(),
                products: Vec::new(),
                proration_behavior: "none",
                at_period_end: Vec::new(),
                trial: "end_trial",
            },
            metadata: Metadata::new(),
            created: now,
            updated: now,
        }
    }

    /// The configuration nobody had to make: every plan, downgrades at the end of the period.
    pub(super) fn usual_configuration(&mut self) -> Configuration {
        let blank = self.blank_configuration();
        let prices = self.world.objects.all::<Price>();
        let mut products: Vec<PortalProduct> = Vec::new();
        let plans = prices
            .filter(|price| price.active && price.interval.is_some() && !offer::is_extra(price));
        for price in plans {
            let found = products.iter_mut().find(|one| one.product == price.product.id);
            match found {
                Some(found) => found.prices.push(price.id.clone()),
                None => products.push(PortalProduct {
                    product: price.product.id.clone(),
                    prices: vec![price.id.clone()],
                    quantity: None,
                }),
            }
        }
        Configuration {
            is_default: true,
            customer_update: vec!["email".to_owned(), "address".to_owned()],
            invoice_history: true,
            payment_method_update: true,
            cancel: PortalCancel { enabled: true, ..blank.cancel },
            pause: true,
            update: PortalUpdate {
                enabled: true,
                allowed: vec!["price".to_owned(), "quantity".to_owned()],
                products,
                proration_behavior: "always_invoice",
                at_period_end: vec![
                    "decreasing_item_amount".to_owned(),
                    "shortening_interval".to_owned(),
                ],
                trial: "end_trial",
            },
            ..blank
        }
    }
}

/// Writes what the parameters say into a configuration.
pub(super) fn read(
    sandbox: &Sandbox,
    params: &Params,
    configuration: &mut Configuration,
) -> Result<(), ApiError> {
    params.write_text("name", &mut configuration.name);
    params.write_text("default_return_url", &mut configuration.default_return_url);
    params.merge_metadata(&mut configuration.metadata);
    if let Some(page) = params.get("login_page") {
        configuration.login_page = page.boolean("enabled")?.unwrap_or(false);
    }
    if let Some(profile) = params.get("business_profile") {
        profile.write_text("headline", &mut configuration.headline);
        profile.write_text("privacy_policy_url", &mut configuration.privacy_policy_url);
        profile.write_text("terms_of_service_url", &mut configuration.terms_of_service_url);
    }
    let Some(features) = params.get("features") else { return Ok(()) };
    if let Some(update) = features.get("customer_update") {
        let allowed = texts(update, "allowed_updates");
        let enabled = update.boolean("enabled")?.unwrap_or(!allowed.is_empty());
        configuration.customer_update = if enabled { allowed } else { Vec::new() };
    }
    for (name, field) in [
        ("invoice_history", &mut configuration.invoice_history),
        ("payment_method_update", &mut configuration.payment_method_update),
        ("subscription_pause", &mut configuration.pause),
    ] {
        if let Some(feature) = features.get(name) {
            *field = feature.boolean("enabled")?.unwrap_or(*field);
        }
    }
    if let Some(cancel) = features.get("subscription_cancel") {
        read_cancel(cancel, &mut configuration.cancel)?;
    }
    if let Some(update) = features.get("subscription_update") {
        read_update(sandbox, update, &mut configuration.update)?;
    }
    Ok(())
}

fn texts(params: &Params, name: &str) -> Vec<String> {
    params.texts(name).into_iter().filter(|text| !text.is_empty()).map(str::to_owned).collect()
}

fn read_cancel(params: &Params, cancel: &mut PortalCancel) -> Result<(), ApiError> {
    cancel.enabled = params.boolean("enabled")?.unwrap_or(cancel.enabled);
    let mode = params.choice("mode", &["at_period_end", "immediately"])?;
    cancel.mode = mode.unwrap_or(cancel.mode);
    let proration = params.choice("proration_behavior", &Proration::WORDS)?;
    cancel.proration_behavior = proration.unwrap_or(cancel.proration_behavior);
    if let Some(reason) = params.get("cancellation_reason") {
        let asks = reason.boolean("enabled")?.unwrap_or(false);
        cancel.reasons = asks.then(|| texts(reason, "options"));
    }
    Ok(())
}

fn read_update(
    sandbox: &Sandbox,
    params: &Params,
    update: &mut PortalUpdate,
) -> Result<(), ApiError> {
    update.enabled = params.boolean("enabled")?.unwrap_or(update.enabled);
    if params.has("default_allowed_updates") {
        update.allowed = texts(params, "default_allowed_updates");
    }
    let proration = params.choice("proration_behavior", &Proration::WORDS)?;
    update.proration_behavior = proration.unwrap_or(update.proration_behavior);
    let trial = params.choice("trial_update_behavior", &["continue_trial", "end_trial"])?;
    update.trial = trial.unwrap_or(update.trial);
    if params.has("products") {
        let products = params.list("products");
        let products = products.into_iter().map(|product| read_product(sandbox, product));
        update.products = products.collect::<Result<_, _>>()?;
    }
    if let Some(schedule) = params.get("schedule_at_period_end") {
        let words = ["decreasing_item_amount", "shortening_interval"];
        let kinds = schedule.list("conditions");
        let kinds = kinds.into_iter().map(|kind| kind.choice("type", &words));
        let kinds = kinds.collect::<Result<Vec<_>, _>>()?;
        update.at_period_end = kinds.into_iter().flatten().map(str::to_owned).collect();
    }
    Ok(())
}

fn read_product(sandbox: &Sandbox, params: &Params) -> Result<PortalProduct, ApiError> {
    let product = sandbox.must_refer::<Product>(params, "product")?.id.clone();
    let prices = texts(params, "prices");
    for id in &prices {
        let price = sandbox.world.objects.get::<Price>(id);
        if price.is_none_or(|price| price.product.id != product) {
            return Err(ApiError::no_such("price", id, &params.path_of("prices")));
        }
    }
    let adjustable = params.get("adjustable_quantity");
    let quantity = match adjustable {
        Some(given) if given.boolean("enabled")?.unwrap_or(false) => {
            let small = |count: i64| u32::try_from(count).unwrap_or(u32::MAX);
            let minimum = given.amount("minimum")?.map_or(1, small);
            Some((minimum, given.amount("maximum")?.map(small)))
        }
        _ => None,
    };
    Ok(PortalProduct { product, prices, quantity })
}
