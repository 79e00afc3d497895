//! The billing portal: configurations and sessions, what its page shows, and what people do there.

use serde_json::Value;

use super::subscriptions::{
    ELITE, PREMIUM, PREMIUM_YEARLY, fetched, item, latest_invoice, updated, with_subscription,
};
use super::{START, ids, kinds, ok, refused, text};
use crate::sandbox::{Card, PageError, PortalAct, Sandbox};
use crate::time::{DAY, HOUR, shifted};

/// A visit of a customer, with the configuration everybody has.
fn visit(sandbox: &mut Sandbox, customer: &str) -> String {
    let form = format!("customer={customer}&return_url=https://app.example/billing");
    text(&ok(sandbox, "POST /v1/billing_portal/sessions", &form), "id")
}

fn change(subscription: &str, price: &str) -> PortalAct {
    PortalAct::ChangePrice {
        subscription: subscription.to_owned(),
        price: price.to_owned(),
        quantity: None,
    }
}

#[test]
fn the_page_shows_what_is_held_and_what_it_can_become() {
    let (mut sandbox, customer, id) = with_subscription();
    let session = visit(&mut sandbox, &customer);
    let page = sandbox.portal_page(&session).unwrap();
    assert_eq!(page.return_url.as_deref(), Some("https://app.example/billing"));
    assert_eq!((page.customer.as_str(), page.title.as_str()), (customer.as_str(), "a@b.example"));
    let [held] = page.subscriptions.as_slice() else { panic!("{page:?}") };
    assert_eq!((held.id.as_str(), held.status, held.can_cancel), (id.as_str(), "active", true));
    assert!(held.can_pause && !held.can_resume && !held.cancels_now);
    let current: Vec<_> = held.choices.iter().filter(|choice| choice.is_current).collect();
    assert_eq!(current.len(), 1);
    let of = |price: &str| held.choices.iter().find(|choice| choice.item.price == price).unwrap();
    assert!(!of(ELITE).at_period_end && !of(PREMIUM_YEARLY).at_period_end);
    assert_eq!(page.invoices.len(), 1);
    assert!(!page.invoices[0].can_pay);
    assert!(matches!(sandbox.portal_page("bps_none"), Err(PageError::Unknown { .. })));
}

#[test]
fn plans_and_extras_are_not_exchanged_for_each_other() {
    let boost = "price_sietch_boost_monthly";
    let (mut sandbox, customer, _) = with_subscription();
    let form = format!("customer={customer}&items[0][price]={boost}&items[0][quantity]=3");
    let boosts = text(&ok(&mut sandbox, "POST /v1/subscriptions", &form), "id");
    let session = visit(&mut sandbox, &customer);
    for one in sandbox.portal_page(&session).unwrap().subscriptions {
        assert!(one.choices.iter().all(|choice| choice.item.price != boost));
        assert_eq!(one.choices.is_empty(), one.id == boosts);
    }
}

#[test]
fn the_card_shown_is_the_one_that_is_charged() {
    let (mut sandbox, customer, id) = with_subscription();
    let form = format!("customer={customer}");
    let attach = "POST /v1/payment_methods/pm_card_mastercard/attach";
    let card = text(&ok(&mut sandbox, attach, &form), "id");
    let own = format!("default_payment_method={card}");
    ok(&mut sandbox, &format!("POST /v1/subscriptions/{id}"), &own);
    let session = visit(&mut sandbox, &customer);
    assert_eq!(sandbox.portal_page(&session).unwrap().payment_method, Some(card));
}

#[test]
fn an_upgrade_is_at_once_and_a_downgrade_at_the_end_of_the_period() {
    let (mut sandbox, customer, id) = with_subscription();
    let session = visit(&mut sandbox, &customer);
    sandbox.advance_to(START + 3 * DAY);
    sandbox.portal_act(&session, &change(&id, ELITE)).unwrap();
    assert_eq!(text(&fetched(&mut sandbox, &id), "items.data.0.price.id"), ELITE);
    assert_eq!(text(&latest_invoice(&mut sandbox, &id), "status"), "paid");
    assert!(sandbox.happenings().last().unwrap().cause.is_some());
    sandbox.portal_act(&session, &change(&id, PREMIUM)).unwrap();
    let held = fetched(&mut sandbox, &id);
    assert_eq!(text(&held, "items.data.0.price.id"), ELITE);
    let end = shifted(START, "month", 1);
    let page = sandbox.portal_page(&session).unwrap();
    let (at, name) = page.subscriptions[0].scheduled.clone().unwrap();
    assert_eq!((at, name.is_empty(), page.subscriptions[0].can_resume), (end, false, true));
    let mut stays = sandbox.clone();
    let resume = PortalAct::Resume { subscription: id.clone() };
    stays.portal_act(&session, &resume).unwrap();
    stays.advance_to(end + HOUR);
    assert_eq!(text(&fetched(&mut stays, &id), "items.data.0.price.id"), ELITE);
    sandbox.advance_to(end - 1);
    assert_eq!(text(&fetched(&mut sandbox, &id), "items.data.0.price.id"), ELITE);
    sandbox.advance_to(end);
    assert_eq!(text(&fetched(&mut sandbox, &id), "items.data.0.price.id"), PREMIUM);
    sandbox.advance_to(end + HOUR);
    let invoice = latest_invoice(&mut sandbox, &id);
    assert_eq!(invoice["lines"]["data"].as_array().unwrap().len(), 1);
}

#[test]
fn an_upgrade_that_is_declined_changes_nothing() {
    let (mut sandbox, customer, id) = with_subscription();
    let session = visit(&mut sandbox, &customer);
    sandbox.portal_act(&session, &PortalAct::UseCard(Card::Declined)).unwrap();
    let before = (sandbox.truth(), sandbox.happenings().len());
    let error = sandbox.portal_act(&session, &change(&id, ELITE)).unwrap_err();
    assert!(matches!(error, PageError::Declined { .. }), "{error:?}");
    assert_eq!((sandbox.truth(), sandbox.happenings().len()), before);
}

#[test]
fn cancelling_resuming_and_pausing_follow_the_configuration() {
    let (mut sandbox, customer, id) = with_subscription();
    let session = visit(&mut sandbox, &customer);
    let subscription = id.clone();
    let (cancel, resume, pause) = (
        PortalAct::Cancel { subscription: subscription.clone() },
        PortalAct::Resume { subscription: subscription.clone() },
        PortalAct::Pause { subscription },
    );
    sandbox.portal_act(&session, &cancel).unwrap();
    let later = fetched(&mut sandbox, &id);
    assert_eq!(
        (&later["cancel_at_period_end"], &later["cancel_at"]),
        (&true.into(), &shifted(START, "month", 1).into())
    );
    assert!(!sandbox.portal_page(&session).unwrap().subscriptions[0].can_cancel);
    sandbox.portal_act(&session, &resume).unwrap();
    assert_eq!(fetched(&mut sandbox, &id)["cancel_at_period_end"], false);
    sandbox.portal_act(&session, &pause).unwrap();
    assert_eq!(text(&fetched(&mut sandbox, &id), "status"), "paused");
    sandbox.portal_act(&session, &resume).unwrap();
    assert_eq!(text(&fetched(&mut sandbox, &id), "status"), "active");

    let features = "features[subscription_cancel][enabled]=true\
         &features[subscription_cancel][mode]=immediately";
    let own = ok(&mut sandbox, "POST /v1/billing_portal/configurations", features);
    let form = format!("customer={customer}&configuration={}", text(&own, "id"));
    let strict = text(&ok(&mut sandbox, "POST /v1/billing_portal/sessions", &form), "id");
    for refused in [pause, change(&id, ELITE), PortalAct::UseCard(Card::Good)] {
        let error = sandbox.portal_act(&strict, &refused).unwrap_err();
        assert!(matches!(error, PageError::Refused { .. }), "{refused:?}: {error:?}");
    }
    sandbox.portal_act(&strict, &cancel).unwrap();
    assert_eq!(text(&fetched(&mut sandbox, &id), "status"), "canceled");
    assert!(sandbox.portal_page(&strict).unwrap().subscriptions.is_empty());
}

#[test]
fn an_overdue_invoice_is_paid_with_another_card() {
    let (mut sandbox, customer, id) = with_subscription();
    let session = visit(&mut sandbox, &customer);
    sandbox.portal_act(&session, &PortalAct::UseCard(Card::Declined)).unwrap();
    sandbox.advance_to(shifted(START, "month", 1) + HOUR);
    assert_eq!(text(&fetched(&mut sandbox, &id), "status"), "past_due");
    let page = sandbox.portal_page(&session).unwrap();
    let open = page.invoices.iter().find(|invoice| invoice.can_pay).unwrap().id.clone();
    let pay = PortalAct::PayInvoice { invoice: open };
    let error = sandbox.portal_act(&session, &pay).unwrap_err();
    assert!(matches!(error, PageError::Declined { keeps: true, .. }), "{error:?}");
    assert!(kinds(&sandbox, 0).iter().filter(|kind| **kind == "charge.failed").count() >= 2);
    sandbox.portal_act(&session, &PortalAct::UseCard(Card::Good)).unwrap();
    sandbox.portal_act(&session, &pay).unwrap();
    assert_eq!(text(&fetched(&mut sandbox, &id), "status"), "active");
}

#[test]
fn nobody_acts_on_what_belongs_to_others() {
    let (mut sandbox, customer, id) = with_subscription();
    let stranger = text(&ok(&mut sandbox, "POST /v1/customers", "name=Other"), "id");
    let session = visit(&mut sandbox, &stranger);
    let invoice = text(&latest_invoice(&mut sandbox, &id), "id");
    for act in [
        change(&id, ELITE),
        PortalAct::Cancel { subscription: id.clone() },
        PortalAct::PayInvoice { invoice },
    ] {
        let error = sandbox.portal_act(&session, &act).unwrap_err();
        assert!(matches!(error, PageError::Unknown { .. }), "{act:?}");
    }
    let form = format!(
        "customer={stranger}&flow_data[type]=subscription_cancel\
         &flow_data[subscription_cancel][subscription]={id}"
    );
    let error = refused(&mut sandbox, "POST /v1/billing_portal/sessions", &form);
    let param = "flow_data[subscription_cancel][subscription]";
    assert_eq!(error, (400, format!("resource_missing/{param}")));
    assert!(sandbox.portal_page(&session).unwrap().subscriptions.is_empty());
    ok(&mut sandbox, &format!("DELETE /v1/customers/{customer}"), "");
}

#[test]
fn sessions_show_their_flow_and_lead_to_the_page() {
    let (mut sandbox, customer, id) = with_subscription();
    sandbox.set_pages_base("http://127.0.0.1:4242");
    let item = item(&fetched(&mut sandbox, &id));
    let flow = format!(
        "customer={customer}&flow_data[type]=subscription_update_confirm\
         &flow_data[subscription_update_confirm][subscription]={id}\
         &flow_data[subscription_update_confirm][items][0][id]={item}\
         &flow_data[subscription_update_confirm][items][0][price]={ELITE}\
         &flow_data[after_completion][type]=redirect\
         &flow_data[after_completion][redirect][return_url]=https://app.example/done"
    );
    let session = ok(&mut sandbox, "POST /v1/billing_portal/sessions", &flow);
    let url = format!("http://127.0.0.1:4242/p/session/{}", text(&session, "id"));
    assert_eq!(text(&session, "url"), url);
    assert_eq!(text(&session, "flow.subscription_update_confirm.items.0.price"), ELITE);
    let page = sandbox.portal_page(&text(&session, "id")).unwrap();
    assert_eq!(page.flow, Some("subscription_update_confirm"));
    assert_eq!(page.after_flow.as_deref(), Some("https://app.example/done"));
    let error = refused(
        &mut sandbox,
        "POST /v1/billing_portal/sessions",
        &format!("customer={customer}&flow_data[type]=subscription_cancel"),
    );
    assert_eq!(error, (400, "parameter_missing/flow_data[subscription_cancel]".to_owned()));
}

#[test]
fn configurations_are_made_changed_and_listed() {
    let (mut sandbox, customer, _) = with_subscription();
    let line = "POST /v1/billing_portal/configurations";
    let product = |sandbox: &mut Sandbox, price: &str| -> Value {
        ok(sandbox, &format!("GET /v1/prices/{price}"), "")["product"].clone()
    };
    let premium = product(&mut sandbox, PREMIUM).as_str().unwrap().to_owned();
    let update = "features[subscription_update]";
    let form = format!(
        "name=Ours&default_return_url=https://app.example&metadata[tollgate]=1\
         &business_profile[headline]=Spice&features[invoice_history][enabled]=true\
         &{update}[enabled]=true&{update}[default_allowed_updates][0]=price\
         &{update}[products][0][product]={premium}&{update}[products][0][prices][0]={PREMIUM}\
         &{update}[proration_behavior]=always_invoice\
         &{update}[schedule_at_period_end][conditions][0][type]=decreasing_item_amount"
    );
    let made = ok(&mut sandbox, line, &form);
    assert_eq!(text(&made, "business_profile.headline"), "Spice");
    assert_eq!(text(&made, "features.subscription_update.products.0.prices.0"), PREMIUM);
    assert_eq!(
        text(&made, "features.subscription_update.schedule_at_period_end.conditions.0.type"),
        "decreasing_item_amount"
    );
    assert_eq!(made["features"]["subscription_cancel"]["enabled"], false);
    let wrong = form.replace(PREMIUM, ELITE);
    let error = refused(&mut sandbox, line, &wrong);
    assert_eq!(error, (400, format!("resource_missing/{update}[products][0][prices]")));
    let missing = refused(&mut sandbox, line, "name=Nothing");
    assert_eq!(missing, (400, "parameter_missing/features".to_owned()));
    let id = text(&made, "id");
    let path = format!("/v1/billing_portal/configurations/{id}");
    let off = ok(&mut sandbox, &format!("POST {path}"), "active=false");
    assert_eq!(off["active"], false);
    assert_eq!(text(&off, "features.subscription_update.products.0.prices.0"), PREMIUM);
    let error = refused(
        &mut sandbox,
        "POST /v1/billing_portal/sessions",
        &format!("customer={customer}&configuration={id}"),
    );
    assert_eq!(error, (400, "invalid_request_error/configuration".to_owned()));
    visit(&mut sandbox, &customer);
    let list = "GET /v1/billing_portal/configurations";
    assert_eq!(ids(&ok(&mut sandbox, list, "active=true")).len(), 1);
    assert_eq!(ids(&ok(&mut sandbox, list, "")).len(), 2);
    let told = kinds(&sandbox, 0);
    assert!(told.contains(&"billing_portal.configuration.created"));
    assert!(told.contains(&"billing_portal.configuration.updated"));
    assert!(told.contains(&"billing_portal.session.created"));
}

#[test]
fn a_trial_can_go_on_or_end_with_a_change() {
    let (mut sandbox, customer, id) = with_subscription();
    updated(&mut sandbox, &id, &format!("trial_end={}", START + 10 * DAY));
    assert_eq!(text(&fetched(&mut sandbox, &id), "status"), "trialing");
    let session = visit(&mut sandbox, &customer);
    sandbox.portal_act(&session, &change(&id, ELITE)).unwrap();
    let ended = fetched(&mut sandbox, &id);
    assert_eq!(text(&ended, "status"), "active");
    assert_eq!(text(&ended, "items.data.0.price.id"), ELITE);
}
