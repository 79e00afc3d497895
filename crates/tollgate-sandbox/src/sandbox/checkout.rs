//! Paying a checkout session, on the hosted page or by the private calls of Stripe's own command
//! line. Owns: what is on the page, and what comes of Pay, Fail and Pay later. Must not know: how
//! the page looks; how a subscription begins.

use serde_json::{Value, json};

use super::Sandbox;
use super::error::ApiError;
use super::pages::PageError;
use super::payment_methods::card_error;
use super::route::{Call, Route};
use crate::object::Object;
use crate::object::customer::Customer;
use crate::object::payment_intent::{PaymentIntent, Terms};
use crate::object::payment_method::PaymentMethod;
use crate::object::session::Session;
use crate::object::test_method::{self, Decline, VISA};
use crate::version::ApiVersion;

mod subscribe;

pub(super) const ROUTES: &[Route] = &[
    Route::get("/v1/payment_pages/{session}", show_page),
    Route::post(
        "/v1/payment_pages/{session}/confirm",
        "payment_method! expected_amount return_url eid key",
        confirm_page,
    ),
];

/// One thing on the page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageLine {
    /// The product's name.
    pub name: String,
    /// How many are bought.
    pub quantity: u32,
    /// What they cost together, in minor units.
    pub amount_minor: i64,
    /// How often that is paid: `month`, `year`, …; `None` for once.
    pub interval: Option<&'static str>,
    /// How many intervals make a period.
    pub interval_count: u32,
    /// The least and the most units the customer can choose; `None`: the number stands.
    pub adjustable: Option<(i64, i64)>,
}

/// What is on the page of a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CheckoutPage {
    /// The session.
    pub session: String,
    /// `open`, `complete` or `expired`.
    pub status: &'static str,
    /// `paid`, `unpaid` or `no_payment_required`.
    pub payment_status: &'static str,
    /// What is bought.
    pub lines: Vec<PageLine>,
    /// What is to be paid now, in minor units; 0 when a trial begins.
    pub amount_minor: i64,
    /// The currency of all amounts.
    pub currency: String,
    /// Whether it begins a subscription.
    pub subscribes: bool,
    /// When the trial ends that begins now, in Unix seconds.
    pub trial_end: Option<i64>,
    /// Who pays, as far as it is known.
    pub email: Option<String>,
    /// Whether it can be paid by a method that takes days.
    pub can_pay_later: bool,
    /// Where to go back to without paying.
    pub cancel_url: Option<String>,
    /// Where to go after paying.
    pub success_url: Option<String>,
    /// When it runs out, in Unix seconds.
    pub expires_at: i64,
}

/// What somebody does on the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CheckoutOutcome {
    /// Pays.
    Pay,
    /// Tries to pay with a card that is declined.
    Fail,
    /// Pays by a method whose money takes days.
    PayLater,
}

/// Where the page leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PageResult {
    /// Away, to this address; the session is complete.
    GoTo(String),
    /// Nowhere: the payment was declined for this reason, and another can be tried.
    Declined(String),
}

impl Sandbox {
    /// What is on the page of a session.
    pub fn checkout_page(&self, session: &str) -> Result<CheckoutPage, PageError> {
        let found = self.world.objects.get::<Session>(session);
        let session = found.ok_or_else(|| PageError::unknown(session))?;
        let lines = session.terms.lines.iter().map(|line| PageLine {
            name: line.price.product.name.clone(),
            quantity: line.quantity,
            amount_minor: line.amount_minor(),
            interval: line.price.interval,
            interval_count: line.price.interval_count,
            adjustable: line.adjustable,
        });
        Ok(CheckoutPage {
            session: session.id.clone(),
            status: session.status,
            payment_status: session.payment_status,
            lines: lines.collect(),
            amount_minor: session.amount_minor,
            currency: session.currency.clone(),
            subscribes: session.mode == "subscription",
            trial_end: self.trial_end(session),
            email: session.email.clone(),
            can_pay_later: session.mode == "payment",
            cancel_url: session.terms.cancel_url.clone(),
            success_url: session.success_url(),
            expires_at: session.expires_at,
        })
    }

    /// Somebody acts on the page of a session.
    pub fn complete_checkout(
        &mut self,
        session: &str,
        how: CheckoutOutcome,
    ) -> Result<PageResult, PageError> {
        let found = self.world.objects.get::<Session>(session).cloned();
        let session = found.ok_or_else(|| PageError::unknown(session))?;
        let test = match how {
            CheckoutOutcome::Pay => &VISA,
            CheckoutOutcome::Fail => &test_method::REFUSED,
            CheckoutOutcome::PayLater if session.mode == "subscription" => {
                let message = "A subscription cannot be paid later on this page.".to_owned();
                return Err(PageError::Refused { message });
            }
            CheckoutOutcome::PayLater => &test_method::SLOW_DEBIT,
        };
        let request = self.world.next_request_id();
        self.world.begin_request(&request, None, self.settings.default_version);
        let mut method = self.new_method(test);
        method.billing.email.clone_from(&session.email);
        method.billing.name.clone_from(&session.name);
        self.world.keep(method.clone());
        let done = self.pay_session(session, method);
        self.world.end_request(done.as_ref().map_or_else(|error| error.keeps, |_| true));
        match done {
            Ok(session) => Ok(PageResult::GoTo(session.success_url().unwrap_or_default())),
            Err(error) if error.kind == "card_error" => {
                Ok(PageResult::Declined(error.message.into_string()))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The money of a session that was paid later arrives, or does not.
    pub fn settle_later(&mut self, session: &str, succeeds: bool) -> Result<(), PageError> {
        let found = self.world.objects.get::<Session>(session);
        let known = found.ok_or_else(|| PageError::unknown(session))?;
        let intent = known.payment_intent.as_deref();
        let intent = intent.and_then(|id| self.world.objects.get::<PaymentIntent>(id));
        let Some(intent) = intent.filter(|intent| intent.status == "processing").cloned() else {
            let message = "There is no payment of this session that is on its way.".to_owned();
            return Err(PageError::Refused { message });
        };
        self.world.by_itself();
        self.settle_intent(intent, succeeds);
        Ok(())
    }

    /// A session is paid by a method.
    fn pay_session(
        &mut self,
        mut session: Session,
        method: PaymentMethod,
    ) -> Result<Session, ApiError> {
        if session.status != "open" {
            let message = format!(
                "This Checkout Session is no longer open: its status is {}.",
                session.status
            );
            return Err(ApiError::invalid(message).code("checkout_session_not_open"));
        }
        session.payment_method = method.test.kind;
        session.email = session.email.or_else(|| method.billing.email.clone());
        session.name = session.name.or_else(|| method.billing.name.clone());
        if session.mode == "subscription" {
            self.subscribe_by(&mut session, method)?;
        } else {
            self.buy_by(&mut session, method)?;
        }
        session.status = "complete";
        self.world.emit("checkout.session.completed", Object::Session(session.clone()));
        Ok(session)
    }

    /// Something is bought once. A declined payment stays as an attempt, and the session open.
    fn buy_by(&mut self, session: &mut Session, mut method: PaymentMethod) -> Result<(), ApiError> {
        if session.terms.customer_creation == Some("always") {
            self.customer_of(session)?;
        }
        let data = session.terms.payment.clone();
        if let Some(customer) = session.customer.as_deref().filter(|_| data.future_usage.is_some())
        {
            self.attach_method(&mut method, customer)?;
        }
        let known = session.payment_intent.as_deref();
        let known = known.and_then(|id| self.world.objects.get::<PaymentIntent>(id)).cloned();
        let fresh = known.is_none();
        let mut intent = known.unwrap_or_else(|| self.intent_of(session));
        intent.payment_method = Some(method.id);
        intent.terms.kinds = vec![method.test.kind];
        session.payment_intent = Some(intent.id.clone());
        if fresh {
            self.world.emit("payment_intent.created", Object::PaymentIntent(intent.clone()));
            self.world.keep(session.clone());
        }
        self.pay_intent(&mut intent, false)?;
        match intent.status {
            "processing" => session.payment_status = "unpaid",
            "requires_action" => {
                let decline: &Decline = &test_method::AUTHENTICATION;
                self.world.finish_action(&mut intent, Some(&test_method::AUTHENTICATION));
                return Err(card_error(decline));
            }
            _ => session.payment_status = "paid",
        }
        Ok(())
    }

    fn intent_of(&mut self, session: &Session) -> PaymentIntent {
        let data = session.terms.payment.clone();
        PaymentIntent {
            id: self.world.new_long_id("pi_3"),
            amount_minor: session.amount_minor,
            currency: session.currency.clone(),
            customer: session.customer.clone(),
            description: data.description,
            metadata: data.metadata,
            invoice: None,
            charge: None,
            payment_method: None,
            status: "requires_payment_method",
            decline: None,
            created: self.world.now,
            terms: Terms {
                manual_capture: data.manual_capture,
                receipt_email: data.receipt_email,
                future_usage: data.future_usage,
                shipping: data.shipping,
                statement_descriptor: data.statement_descriptor,
                ..Terms::default()
            },
        }
    }

    /// The customer of a session; made where there is none yet.
    fn customer_of(&mut self, session: &mut Session) -> Result<Customer, ApiError> {
        if let Some(id) = session.customer.as_deref() {
            return self.customer(id);
        }
        let mut customer = self.new_customer();
        customer.email.clone_from(&session.email);
        customer.name.clone_from(&session.name);
        self.world.emit("customer.created", Object::Customer(customer.clone()));
        session.customer = Some(customer.id.clone());
        Ok(customer)
    }

    /// When the trial that a session begins ends.
    fn trial_end(&self, session: &Session) -> Option<i64> {
        let data = &session.terms.subscription;
        let days = data.trial_days.map(|days| days.saturating_mul(crate::time::DAY));
        data.trial_end.or(days.map(|seconds| self.world.now.saturating_add(seconds)))
    }

    /// What was bought in a session is told of, when its money arrived or did not.
    pub(super) fn after_settling(&mut self, intent: &str, succeeds: bool) {
        let of = |session: &&Session| session.payment_intent.as_deref() == Some(intent);
        let Some(mut session) = self.world.objects.all::<Session>().find(of).cloned() else {
            return;
        };
        let kind = if succeeds {
            session.payment_status = "paid";
            "checkout.session.async_payment_succeeded"
        } else {
            "checkout.session.async_payment_failed"
        };
        self.world.emit(kind, Object::Session(session));
    }
}

impl Session {
    /// Where to go after paying, with the session's id in its place.
    fn success_url(&self) -> Option<String> {
        let url = self.terms.success_url.as_ref().or(self.terms.return_url.as_ref())?;
        Some(url.replace("{CHECKOUT_SESSION_ID}", &self.id))
    }
}

/// The page as the private call shows it: of it, the command line needs the call to succeed.
fn show_page(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    let session = sandbox.named::<Session>(call.id())?;
    Ok(page_of(session, call.version))
}

fn page_of(session: &Session, version: ApiVersion) -> Value {
    json!({
        "id": session.id.replacen("cs_test_", "ppage_1", 1),
        "object": "checkout.session",
        "session_id": session.id,
        "currency": session.currency,
        "customer": session.customer,
        "customer_email": session.email,
        "livemode": false,
        "line_items": session.show_lines(version).get("data"),
        "mode": session.mode,
        "payment_intent": session.payment_intent,
        "payment_method_types": [session.payment_method],
        "payment_status": session.payment_status,
        "state": if session.status == "open" { "active" } else { session.status },
        "status": session.status,
        "success_url": session.success_url(),
        "total_summary": {"due": session.amount_minor, "total": session.amount_minor},
        "url": session.terms.url,
    })
}

fn confirm_page(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    let session = sandbox.named::<Session>(call.id())?.clone();
    let expected = call.params.amount("expected_amount")?;
    if expected.is_some_and(|expected| expected != session.amount_minor) {
        let message = "The expected amount does not match the amount of the Checkout Session.";
        let error = ApiError::invalid(message).code("checkout_amount_mismatch");
        return Err(error.param("expected_amount"));
    }
    let method = sandbox.method_of(call.params, "payment_method")?;
    let method = method.ok_or_else(|| ApiError::missing_param("payment_method"))?;
    let session = sandbox.pay_session(session, method)?;
    Ok(page_of(&session, call.version))
}
