//! The billing portal over the API. Owns: its sessions and configurations. Must not know: what
//! customers do there.

use serde_json::Value;

use super::Sandbox;
use super::error::ApiError;
use super::page;
use super::pages::Page;
use super::params::Params;
use super::route::{Call, Route};
use super::subscriptions::items::quantity;
use crate::object::Object;
use crate::object::customer::Customer;
use crate::object::portal::{AfterFlow, Configuration, Flow, FlowItem, PortalSession};
use crate::object::subscription::Subscription;

pub(super) mod act;
mod configuration;
pub(super) mod visit;

const SESSION: &str = "customer! configuration return_url locale on_behalf_of \
    flow_data{type! after_completion{type! redirect{return_url!} \
    hosted_confirmation{custom_message}} subscription_cancel{subscription! \
    retention{type coupon_offer{coupon}}} subscription_pause{subscription!} \
    subscription_update{subscription!} \
    subscription_update_confirm{subscription! items[]{id! price quantity} \
    discounts[]{coupon promotion_code}}}";

pub(super) const ROUTES: &[Route] = &[
    Route::post("/v1/billing_portal/sessions", SESSION, create_session),
    Route::post("/v1/billing_portal/configurations", configuration::FIELDS, create),
    Route::list("/v1/billing_portal/configurations", "active is_default", list),
    Route::get("/v1/billing_portal/configurations/{configuration}", retrieve),
    Route::post(
        "/v1/billing_portal/configurations/{configuration}",
        configuration::CHANGES,
        update,
    ),
];

fn create_session(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    let params = call.params;
    let customer = sandbox.must_refer::<Customer>(params, "customer")?;
    if customer.deleted {
        return Err(ApiError::no_such("customer", &customer.id, "customer"));
    }
    let customer = customer.id.clone();
    let configuration = match sandbox.referred::<Configuration>(params, "configuration")? {
        Some(configuration) if !configuration.active => {
            let message = "The portal configuration is inactive.";
            return Err(ApiError::invalid(message).param("configuration"));
        }
        Some(configuration) => configuration.id.clone(),
        None => sandbox.default_configuration().id,
    };
    let flow = params.get("flow_data").map(|data| sandbox.read_flow(&customer, data));
    let id = sandbox.world.new_long_id("bps_1");
    let session = PortalSession {
        url: sandbox.page_url(Page::Portal, &id),
        id,
        customer,
        configuration,
        return_url: super::sessions::read::url(params, "return_url")?,
        locale: params.text("locale").map(str::to_owned),
        flow: flow.transpose()?,
        created: sandbox.world.now,
    };
    sandbox.world.emit("billing_portal.session.created", Object::PortalSession(session.clone()));
    Ok(session.show(call.version))
}

impl Sandbox {
    fn read_flow(&self, customer: &str, data: &Params) -> Result<(Flow, AfterFlow), ApiError> {
        let kinds = [
            "payment_method_update",
            "customer_update",
            "subscription_cancel",
            "subscription_pause",
            "subscription_update",
            "subscription_update_confirm",
        ];
        let kind = data.choice("type", &kinds)?.unwrap_or("customer_update");
        let details = || data.get(kind).ok_or_else(|| ApiError::missing_param(&data.path_of(kind)));
        let of = |details: &Params| self.own_subscription(customer, details);
        let flow = match kind {
            "payment_method_update" => Flow::PaymentMethodUpdate,
            "subscription_cancel" => Flow::SubscriptionCancel { subscription: of(details()?)? },
            "subscription_pause" => Flow::SubscriptionPause { subscription: of(details()?)? },
            "subscription_update" => Flow::SubscriptionUpdate { subscription: of(details()?)? },
            "subscription_update_confirm" => {
                let details = details()?;
                let items = details.list("items").into_iter().map(|item| {
                    Ok(FlowItem {
                        id: item.required("id")?.to_owned(),
                        price: item.text("price").map(str::to_owned),
                        quantity: quantity(item)?,
                    })
                });
                let items = items.collect::<Result<Vec<_>, ApiError>>()?;
                Flow::SubscriptionUpdateConfirm { subscription: of(details)?, items }
            }
            _ => Flow::CustomerUpdate,
        };
        Ok((flow, after_flow(data)?))
    }

    /// The subscription a flow is about, which must be the customer's.
    fn own_subscription(&self, customer: &str, details: &Params) -> Result<String, ApiError> {
        let subscription = self.must_refer::<Subscription>(details, "subscription")?;
        if subscription.customer == customer {
            return Ok(subscription.id.clone());
        }
        let path = details.path_of("subscription");
        Err(ApiError::no_such("subscription", &subscription.id, &path))
    }

    /// The configuration of sessions that name none. Until one is saved as such, customers can do
    /// everything, among all prices that are for sale.
    pub(super) fn default_configuration(&mut self) -> Configuration {
        let found = self.world.objects.all::<Configuration>().find(|one| one.is_default).cloned();
        found.unwrap_or_else(|| {
            let configuration = self.usual_configuration();
            self.world.keep(configuration.clone());
            configuration
        })
    }
}

fn after_flow(data: &Params) -> Result<AfterFlow, ApiError> {
    let Some(after) = data.get("after_completion") else { return Ok(AfterFlow::Homepage) };
    let kinds = ["hosted_confirmation", "portal_homepage", "redirect"];
    Ok(match after.choice("type", &kinds)? {
        Some("redirect") => {
            let redirect = after.get("redirect");
            let missing = || ApiError::missing_param(&after.path_of("redirect"));
            AfterFlow::Redirect(redirect.ok_or_else(missing)?.required("return_url")?.to_owned())
        }
        Some("hosted_confirmation") => {
            let message = after.get("hosted_confirmation");
            let message = message.and_then(|message| message.text("custom_message"));
            AfterFlow::Confirmation(message.map(str::to_owned))
        }
        _ => AfterFlow::Homepage,
    })
}

fn create(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    let mut configuration = sandbox.blank_configuration();
    configuration::read(sandbox, call.params, &mut configuration)?;
    let object = Object::PortalConfiguration(configuration.clone());
    sandbox.world.emit("billing_portal.configuration.created", object);
    Ok(configuration.show(call.version))
}

fn retrieve(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    Ok(sandbox.named::<Configuration>(call.id())?.show(call.version))
}

fn list(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    let active = call.params.boolean("active")?;
    let default = call.params.boolean("is_default")?;
    let mut found = sandbox.world.objects.newest_first::<Configuration>();
    found.retain(|one| {
        active.is_none_or(|active| one.active == active)
            && default.is_none_or(|default| one.is_default == default)
    });
    page::objects(call, &found, Configuration::show)
}

fn update(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    let before = sandbox.named::<Configuration>(call.id())?.clone();
    let mut after = before.clone();
    configuration::read(sandbox, call.params, &mut after)?;
    if let Some(active) = call.params.boolean("active")? {
        if before.is_default && !active {
            let message = "You cannot deactivate the default configuration.";
            return Err(ApiError::invalid(message).param("active"));
        }
        after.active = active;
    }
    after.updated = sandbox.world.now;
    let answer = after.show(call.version);
    let (before, after) = (Object::PortalConfiguration(before), Object::PortalConfiguration(after));
    sandbox.world.emit_change("billing_portal.configuration.updated", before, after);
    Ok(answer)
}
