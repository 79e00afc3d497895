//! The hosted checkout page. Owns: what is written on it and where its buttons lead. Must not know:
//! what paying does.

use std::sync::Arc;

use askama::Template;
use axum::Form;
use axum::extract::{Path, State};
use axum::response::Response;
use http::StatusCode;
use serde::Deserialize;

use super::super::deed::{CheckoutWord, Deed, DeedError, Done};
use super::super::stand::Stand;
use super::words;
use super::{go_to, page, refused};
use crate::sandbox::{CheckoutPage, PageError, PageLine, PageResult};

#[derive(Debug, Template)]
#[template(path = "checkout.html")]
struct Checkout {
    session: String,
    heading: String,
    total: String,
    rhythm: Option<String>,
    trial: Option<String>,
    lines: Vec<Line>,
    due_today: String,
    email: Option<String>,
    open: bool,
    closed: &'static str,
    pay_label: String,
    can_pay_later: bool,
    fault: Option<String>,
    cancel_url: Option<String>,
    success_url: Option<String>,
}

#[derive(Debug)]
struct Line {
    name: String,
    amount: String,
    detail: Option<String>,
}

impl Checkout {
    fn of(shown: &CheckoutPage, fault: Option<String>) -> Self {
        let money = |amount| words::money(amount, &shown.currency);
        let whole =
            shown.lines.iter().fold(0_i64, |sum, line| sum.saturating_add(line.amount_minor));
        let first = shown.lines.first();
        let rhythm = first.map(|line| words::rhythm(line.interval, line.interval_count));
        let name = first.map_or("your order", |line| line.name.as_str());
        let trial = shown.trial_end.map(|end| format!("Free until {}", words::day(end)));
        Self {
            session: shown.session.clone(),
            heading: if shown.subscribes {
                format!("Subscribe to {name}")
            } else {
                name.to_owned()
            },
            total: money(whole),
            rhythm: rhythm.filter(|rhythm| !rhythm.is_empty()),
            lines: shown.lines.iter().map(|line| Line::of(line, &shown.currency)).collect(),
            due_today: money(shown.amount_minor),
            email: shown.email.clone(),
            open: shown.status == "open",
            closed: match (shown.status, shown.payment_status) {
                ("expired", _) => "This page has run out",
                (_, "unpaid") => "The payment is on its way",
                _ => "Paid",
            },
            pay_label: if trial.is_some() {
                "Pay nothing today and start the trial".to_owned()
            } else {
                format!("Pay {}", money(shown.amount_minor))
            },
            trial,
            can_pay_later: shown.can_pay_later,
            fault,
            cancel_url: shown.cancel_url.clone(),
            success_url: shown.success_url.clone().filter(|_| shown.status == "complete"),
        }
    }
}

impl Line {
    fn of(line: &PageLine, currency: &str) -> Self {
        let rhythm = words::rhythm(line.interval, line.interval_count);
        let detail = match (line.quantity, rhythm.as_str()) {
            (1, "") => None,
            (1, rhythm) => Some(format!("billed {rhythm}")),
            (count, "") => Some(format!("quantity {count}")),
            (count, rhythm) => Some(format!("quantity {count}, billed {rhythm}")),
        };
        Self { name: line.name.clone(), amount: words::money(line.amount_minor, currency), detail }
    }
}

pub(super) async fn show(State(stand): State<Arc<Stand>>, Path(session): Path<String>) -> Response {
    shown(&stand, &session, None)
}

fn shown(stand: &Stand, session: &str, fault: Option<String>) -> Response {
    match stand.with(|sandbox| sandbox.checkout_page(session)) {
        Ok(found) => page(StatusCode::OK, &Checkout::of(&found, fault)),
        Err(error) => refused(&error),
    }
}

#[derive(Debug, Deserialize)]
pub(super) struct Pressed {
    outcome: CheckoutWord,
}

/// Somebody presses a button.
pub(super) async fn act(
    State(stand): State<Arc<Stand>>,
    Path(session): Path<String>,
    Form(pressed): Form<Pressed>,
) -> Response {
    let deed = Deed::Checkout { session: session.clone(), outcome: pressed.outcome };
    match stand.perform(deed, None) {
        Ok(Done::Page(PageResult::GoTo(url))) if !url.is_empty() => go_to(&url),
        Ok(Done::Page(PageResult::Declined(why))) => shown(&stand, &session, Some(why)),
        // Without a way back the page itself says that all is done.
        Ok(_) => go_to(&format!("/c/pay/{session}")),
        Err(DeedError::Page(error)) => refused(&error),
        Err(error) => refused(&PageError::Refused { message: error.to_string() }),
    }
}
