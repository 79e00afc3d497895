//! The customer portal's page. Owns: what is written on it, and where its buttons lead. Must not
//! know: by which rules a customer may change anything.

use std::sync::Arc;

use askama::Template;
use axum::Form;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use http::StatusCode;
use serde::Deserialize;

use super::super::deed::{Deed, DeedError, PortalWord};
use super::super::stand::Stand;
use super::words;
use super::{go_to, page, refused};
use crate::object::payment_method::PaymentMethod;
use crate::object::subscription;
use crate::sandbox::{
    PageError, PortalChoice, PortalInvoice, PortalItem, PortalPage, PortalSubscription, Sandbox,
};

#[derive(Debug, Template)]
#[template(path = "portal.html")]
struct Portal {
    session: String,
    heading: String,
    headline: Option<String>,
    return_url: Option<String>,
    notice: Option<String>,
    notice_tone: &'static str,
    subscriptions: Vec<Subscription>,
    card: String,
    can_change_card: bool,
    invoices: Vec<Invoice>,
}

#[derive(Debug)]
struct Subscription {
    id: String,
    name: String,
    status: String,
    tone: &'static str,
    price: String,
    rhythm: String,
    next: Vec<String>,
    plans: Vec<Plan>,
    can_change_quantity: bool,
    price_id: String,
    quantity: u32,
    acts: Vec<Act>,
}

#[derive(Debug)]
struct Plan {
    name: String,
    price: String,
    rhythm: String,
    price_id: String,
    when: Option<&'static str>,
    now: bool,
}

/// One button.
#[derive(Debug)]
struct Act {
    act: &'static str,
    label: &'static str,
    danger: bool,
}

#[derive(Debug)]
struct Invoice {
    id: String,
    number: String,
    date: String,
    status: String,
    tone: &'static str,
    amount: String,
    payable: bool,
}

impl Portal {
    fn of(shown: &PortalPage, card: String, (notice, notice_tone): Notice) -> Self {
        Self {
            session: shown.session.clone(),
            heading: if shown.title == shown.customer {
                "Your billing".to_owned()
            } else {
                format!("Billing of {}", shown.title)
            },
            headline: shown.headline.clone(),
            return_url: shown.return_url.clone(),
            notice,
            notice_tone,
            subscriptions: shown.subscriptions.iter().map(Subscription::of).collect(),
            card,
            can_change_card: shown.can_change_payment_method,
            invoices: shown.invoices.iter().map(Invoice::of).collect(),
        }
    }
}

fn amount(item: &PortalItem) -> i64 {
    item.unit_amount_minor.saturating_mul(i64::from(item.quantity))
}

impl Subscription {
    fn of(one: &PortalSubscription) -> Self {
        let whole = one.items.iter().fold(0_i64, |sum, item| sum.saturating_add(amount(item)));
        let first = one.items.first();
        let names = one.items.iter().map(|item| match item.quantity {
            1 => item.name.clone(),
            count => format!("{count} × {}", item.name),
        });
        Self {
            id: one.id.clone(),
            name: names.collect::<Vec<_>>().join(", "),
            status: if one.cancel_at.is_some() {
                "ending".to_owned()
            } else {
                words::status(one.status)
            },
            tone: if one.cancel_at.is_some() { "warn" } else { words::tone(one.status) },
            price: first.map_or_else(String::new, |item| words::money(whole, &item.currency)),
            rhythm: first.map_or_else(String::new, |item| words::rhythm(item.interval, 1)),
            next: next(one),
            plans: one.choices.iter().map(Plan::of).collect(),
            can_change_quantity: one.items.len() == 1
                && !one.choices.is_empty()
                && one.items.iter().any(|item| item.quantity > 1),
            price_id: first.map_or_else(String::new, |item| item.price.clone()),
            quantity: first.map_or(1, |item| item.quantity),
            acts: acts(one),
        }
    }
}

/// What comes next, in words.
fn next(one: &PortalSubscription) -> Vec<String> {
    let mut lines = Vec::new();
    match (one.cancel_at, one.period_end) {
        (Some(end), _) => lines.push(format!("Ends on {}.", words::day(end))),
        (None, Some(end)) if one.status == "trialing" => {
            lines.push(format!("The trial ends on {}.", words::day(end)));
        }
        (None, Some(end)) if one.status == "active" => {
            lines.push(format!("Renews on {}.", words::day(end)));
        }
        (None, _) => {}
    }
    if let Some((at, name)) = &one.scheduled {
        lines.push(format!("Changes to {name} on {}.", words::day(*at)));
    }
    lines
}

fn acts(one: &PortalSubscription) -> Vec<Act> {
    let resume = if one.cancel_at.is_some() {
        "Keep the subscription"
    } else if one.scheduled.is_some() {
        "Keep the current plan"
    } else {
        "Resume"
    };
    let cancel = if one.cancels_now { "Cancel now" } else { "Cancel at the end of the period" };
    let all = [
        (one.can_resume, Act { act: "resume", label: resume, danger: false }),
        (one.can_pause, Act { act: "pause", label: "Pause", danger: false }),
        (one.can_cancel, Act { act: "cancel", label: cancel, danger: true }),
    ];
    all.into_iter().filter(|(can, _)| *can).map(|(_, act)| act).collect()
}

impl Plan {
    fn of(choice: &PortalChoice) -> Self {
        Self {
            name: choice.item.name.clone(),
            price: words::money(amount(&choice.item), &choice.item.currency),
            rhythm: words::rhythm(choice.item.interval, 1),
            price_id: choice.item.price.clone(),
            when: (choice.at_period_end && !choice.is_current).then_some("from the next period"),
            now: choice.is_current,
        }
    }
}

impl Invoice {
    fn of(one: &PortalInvoice) -> Self {
        Self {
            id: one.id.clone(),
            number: one.number.clone(),
            date: words::day(one.created),
            status: words::status(one.status),
            tone: words::tone(one.status),
            amount: words::money(one.amount_minor, &one.currency),
            payable: one.can_pay,
        }
    }
}

/// What is charged, in words: `visa ending in 4242`. Where the customer has chosen nothing, it is
/// what the newest subscription was bought with.
fn card(sandbox: &Sandbox, visit: &PortalPage) -> String {
    let of = |one: &PortalSubscription| {
        let found = sandbox.world.objects.get::<subscription::Subscription>(&one.id)?;
        found.payment_method.clone()
    };
    let bought_with = || visit.subscriptions.iter().find_map(of);
    let Some(id) = visit.payment_method.clone().or_else(bought_with) else {
        return "none yet".to_owned();
    };
    let shown = sandbox.world.objects.get::<PaymentMethod>(&id);
    let shown = shown.map(|method| method.show(crate::version::ApiVersion::default()));
    let text = |pointer: &str| {
        shown.as_ref().and_then(|shown| shown.pointer(pointer)?.as_str()).unwrap_or_default()
    };
    match (text("/card/brand"), text("/card/last4")) {
        ("", _) => text("/type").replace('_', " "),
        (brand, last) => format!("{brand} ending in {last}"),
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Told {
    done: Option<String>,
}

pub(super) async fn show(
    State(stand): State<Arc<Stand>>,
    Path(session): Path<String>,
    Query(told): Query<Told>,
) -> Response {
    shown(&stand, &session, |page| (done(told.done.as_deref(), page).map(str::to_owned), "good"))
}

/// What has just been done, in words.
fn done(act: Option<&str>, page: &PortalPage) -> Option<&'static str> {
    match act? {
        "change" if page.subscriptions.iter().any(|one| one.scheduled.is_some()) => {
            Some("The change is planned for the end of the period.")
        }
        "change" => Some("The change is made."),
        "cancel" if page.subscriptions.iter().any(|one| one.cancel_at.is_some()) => {
            Some("The subscription ends with the period that is paid.")
        }
        "cancel" => Some("The subscription is cancelled."),
        "resume" => Some("The subscription goes on as it was."),
        "pause" => Some("The subscription is paused."),
        "card" => Some("This card is charged from now on."),
        "pay" => Some("The invoice is paid."),
        _ => None,
    }
}

/// What is written above the page, and its tone.
type Notice = (Option<String>, &'static str);

fn shown(stand: &Stand, session: &str, notice: impl FnOnce(&PortalPage) -> Notice) -> Response {
    let found = stand.with(|sandbox| {
        let shown = sandbox.portal_page(session)?;
        let card = card(sandbox, &shown);
        Ok::<_, PageError>((shown, card))
    });
    match found {
        Ok((found, card)) => {
            let notice = notice(&found);
            page(StatusCode::OK, &Portal::of(&found, card, notice))
        }
        Err(error) => refused(&error),
    }
}

/// Somebody presses a button.
pub(super) async fn act(
    State(stand): State<Arc<Stand>>,
    Path(session): Path<String>,
    Form(act): Form<PortalWord>,
) -> Response {
    let done = act.act.clone();
    match stand.perform(Deed::Portal { session: session.clone(), act }, None) {
        Ok(_) => go_to(&leads(&stand, &session, &done)),
        Err(DeedError::Page(error @ PageError::Unknown { .. })) => refused(&error),
        // What cannot be done is said where it was tried.
        Err(error) => shown(&stand, &session, |_| (Some(error.to_string()), "bad")),
    }
}

/// A visit for one purpose leads away when that is done.
fn leads(stand: &Stand, session: &str, done: &str) -> String {
    let after = stand.with(|sandbox| sandbox.portal_page(session).ok()?.after_flow);
    after.unwrap_or_else(|| format!("/p/session/{session}?done={done}"))
}
