//! Buying a plan. Owns: the one pending purchase of an account and the session it is paid in. Must
//! not know: what becomes of a paid session (its events say).

use sha2::{Digest as _, Sha256};
use tollgate_domain::Facts;
use tollgate_domain::Timestamp;
use tollgate_domain::buying::managed::sells;
use tollgate_domain::buying::{KnownPrice, PlanWish};
use tollgate_domain::catalog::{CheckoutTerms, CheckoutWish, Interval, PriceTarget};
use tollgate_domain::ids::{AccountId, CustomerId, SessionId, SubscriptionId};
use tollgate_domain::payment::SessionStatus;
use tollgate_store::checkout_attempts::{self, Attempt, AttemptSession, AttemptStatus, NewAttempt};
use tollgate_store::{StoreError, facts, stripe_requests};
use tollgate_stripe::client::checkout::{
    ADJUSTABLE_MAX, NewLine, NewSession, PaymentMode, Session, SessionState,
};
use tollgate_stripe::client::{Form, IdempotencyKey, Mark};
use tollgate_stripe::{StripeClient, StripeError};

use super::call::{Made, Making, Subject};
use super::customer::Buyer;
use super::present::Found;
use super::{BillingError, new_id};
use crate::app::App;

/// How long a session can be paid. Less than Stripe's most by the time a key is used again.
const PAYABLE_HOURS: i64 = 23;
/// A session that ends sooner than this is not handed out any more.
const SPARE_MS: i64 = 60_000;
/// Subscriptions of one account that are looked at for a trial; Stripe allows 500 of a customer.
const SUBSCRIPTIONS_MAX: u32 = 1_000;
/// How often the rows of a purchase may change under it before it is given up.
const ROUNDS_MAX: u32 = 6;
/// The kind of purchase that plans are; there is one pending of each kind.
const KIND: &str = "plan";

/// A plan somebody asks to buy.
#[derive(Debug, Clone, Copy)]
pub struct PlanPurchase<'a> {
    /// Who.
    pub buyer: Buyer<'a>,
    /// The plan's id.
    pub plan: &'a str,
    /// How often it is to be paid; `None`: as the catalog says first.
    pub interval: Option<Interval>,
    /// How many units, for a plan sold by the unit; `None`: one.
    pub quantity: Option<u64>,
    /// What is bought with it.
    pub add_ons: &'a [AddOn],
    /// What the page asks for and offers, where the catalog is not to decide.
    pub terms: &'a CheckoutWish,
    /// Where to go after paying.
    pub success_url: &'a str,
    /// Where to go instead.
    pub cancel_url: &'a str,
}

/// Something that is bought with a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AddOn {
    /// Its name in the catalog.
    pub name: String,
    /// What it sells.
    pub target: PriceTarget,
    /// How many units.
    pub quantity: u64,
}

/// A purchase whose plan, price and customer are known.
struct Prepared<'a> {
    purchase: PlanPurchase<'a>,
    wish: PlanWish<'a>,
    units: u64,
    price: &'a KnownPrice,
    add_ons: &'a [(KnownPrice, u64)],
    terms: &'a CheckoutTerms,
    customer: &'a CustomerId,
    trial_days: u32,
}

impl Prepared<'_> {
    fn is_recurring(&self) -> bool {
        self.wish.interval != Interval::OneTime
    }

    fn mode(&self) -> PaymentMode {
        match self.wish.interval {
            Interval::OneTime => PaymentMode::Once,
            Interval::Month | Interval::Year => {
                PaymentMode::Subscription { trial_days: self.trial_days }
            }
        }
    }

    /// Hash of all that the purchase consists of: all that Stripe is told of it, but for its row and
    /// its time.
    fn fingerprint(&self) -> String {
        let form = self.form("any", Timestamp::MIN);
        hex::encode(Sha256::digest(form.encoded()))
    }

    fn lines(&self) -> Vec<NewLine<'_>> {
        let plan = self.wish.plan;
        let most = plan.units_max().unwrap_or(ADJUSTABLE_MAX);
        let adjustable = self.terms.adjustable_quantity && plan.is_per_unit();
        let mut lines = vec![NewLine {
            price: self.price.id.as_str(),
            quantity: self.units,
            adjustable: adjustable.then_some((1, most)),
        }];
        lines.extend(self.add_ons.iter().map(|(price, quantity)| NewLine {
            price: price.id.as_str(),
            quantity: *quantity,
            adjustable: None,
        }));
        lines
    }

    fn form(&self, attempt: &str, now: Timestamp) -> Form {
        let Buyer { account, member, .. } = self.purchase.buyer;
        NewSession {
            mark: Mark { account, member, row: attempt },
            customer: self.customer,
            lines: self.lines(),
            terms: self.terms,
            mode: self.mode(),
            kind: match self.wish.interval {
                Interval::OneTime => "grant",
                Interval::Month | Interval::Year => "subscription",
            },
            plan: Some(self.wish.plan.id.as_str()),
            success_url: self.purchase.success_url,
            cancel_url: self.purchase.cancel_url,
            expires_at: now.plus_hours(PAYABLE_HOURS),
        }
        .form()
    }
}

struct SessionMaking<'a> {
    stripe: &'a StripeClient,
    row: &'a str,
    form: Form,
}

impl Making for SessionMaking<'_> {
    type Shown = Session;

    fn form(&self) -> Form {
        self.form.clone()
    }

    async fn make(
        &self,
        form: &Form,
        key: &IdempotencyKey,
    ) -> Result<(String, Session), StripeError> {
        let session = self.stripe.create_session(form, key).await?;
        Ok((session.id.to_string(), session))
    }

    async fn look(&self, _: (Timestamp, Timestamp)) -> Result<Option<String>, StripeError> {
        let Some(customer) = self.form.get("customer") else { return Ok(None) };
        let found = self.stripe.find_session_for(self.row, customer).await?;
        Ok(found.map(|session| session.to_string()))
    }
}

impl App {
    /// The session in which a plan is paid: the pending one for the same purchase, else a new one
    /// in the place of any other.
    pub async fn checkout(
        &self,
        purchase: PlanPurchase<'_>,
    ) -> Result<AttemptSession, BillingError> {
        let stripe = self.billing()?;
        for (name, url) in
            [("successUrl", purchase.success_url), ("cancelUrl", purchase.cancel_url)]
        {
            let allowed = self.config.redirects.check(url);
            allowed.map_err(|_| BillingError::RedirectNotAllowed(name))?;
        }
        let wish = self.config.catalog.plan_wish(purchase.plan, purchase.interval);
        let wish = wish.map_err(BillingError::offer(purchase.plan))?;
        let units = wish.plan.units(purchase.quantity, None);
        let units = units.map_err(BillingError::offer(purchase.plan))?;
        let _one_at_a_time = self.gates.enter(purchase.buyer.account).await;
        let mut facts = self.engine.load(purchase.buyer.account, 0).await?;
        let recurring = wish.interval != Interval::OneTime;
        if recurring {
            facts = match self.find_present(stripe, facts).await? {
                Found::Ours(present) => {
                    let existing = self.existing(stripe, &present).await?;
                    return Err(BillingError::AlreadySubscribed(Box::new(existing)));
                }
                // Another product's subscriptions are nobody's business here.
                Found::Others(facts) | Found::Nothing(facts) => facts,
            };
        }
        let terms = self.config.catalog.checkout.with(purchase.terms);
        let mut gone: Option<CustomerId> = None;
        loop {
            let price = self.price_of(stripe, wish).await?;
            let customer = self.customer(stripe, &facts, purchase.buyer, gone.as_ref()).await?;
            let trial_days = self.trial_days(&facts.account, wish).await?;
            let add_ons = self.add_on_prices(stripe, purchase.add_ons, wish.interval).await?;
            let (price, customer, add_ons) = (&price, &customer, add_ons.as_slice());
            let prepared = Prepared {
                purchase,
                wish,
                units,
                price,
                add_ons,
                terms: &terms,
                customer,
                trial_days,
            };
            match self.pending(stripe, &facts, &prepared).await {
                Err(BillingError::Refused { code, param, .. }) if code == "resource_missing" => {
                    let param = param.unwrap_or_default();
                    if param == "customer" && gone.is_none() {
                        gone = Some(customer.clone());
                    } else if param.contains("price") {
                        self.prices.forget(PriceTarget::Plan(wish.index));
                        for add_on in purchase.add_ons {
                            self.prices.forget(add_on.target);
                        }
                        return Err(BillingError::price_gone(purchase.plan, wish.interval));
                    } else {
                        return Err(BillingError::NoCustomer);
                    }
                }
                done => return done,
            }
        }
    }

    /// The prices of add-ons, with their units. They are paid as often as the plan.
    async fn add_on_prices(
        &self,
        stripe: &StripeClient,
        add_ons: &[AddOn],
        interval: Interval,
    ) -> Result<Vec<(KnownPrice, u64)>, BillingError> {
        let mut prices = Vec::with_capacity(add_ons.len());
        for AddOn { name, target, quantity } in add_ons {
            let sold = (name.as_str(), *target);
            prices.push((self.price_of_add_on(stripe, sold, interval).await?, *quantity));
        }
        Ok(prices)
    }

    /// Days of trial: for those who have had nothing of the catalog by subscription yet.
    async fn trial_days(&self, account: &AccountId, wish: PlanWish<'_>) -> Result<u32, StoreError> {
        if wish.interval == Interval::OneTime || wish.plan.trial_days == 0 {
            return Ok(0);
        }
        let db = &self.engine.db;
        let all = facts::list_subscriptions(db, account, SUBSCRIPTIONS_MAX).await?;
        let had = all.iter().any(|one| sells(one, &self.config.catalog, |_| true));
        Ok(if had { 0 } else { wish.plan.trial_days })
    }

    async fn pending(
        &self,
        stripe: &StripeClient,
        facts: &Facts,
        prepared: &Prepared<'_>,
    ) -> Result<AttemptSession, BillingError> {
        let fingerprint = prepared.fingerprint();
        for _ in 0..ROUNDS_MAX {
            let now = self.clock.now();
            let id = new_id("ca");
            let who = prepared.purchase.buyer.claimant();
            let new = NewAttempt { id: &id, who, kind: KIND, fingerprint: &fingerprint };
            let begun = checkout_attempts::begin(&self.engine.db, &new, now).await?;
            let Some(attempt) = begun else { continue };
            if let Some((over, started)) = self.over(&attempt, &facts.account, now).await? {
                checkout_attempts::close(&self.engine.db, &attempt, over, now).await?;
                if prepared.is_recurring() {
                    self.refuse_second(stripe, facts, started).await?;
                }
                continue;
            }
            if attempt.fingerprint != fingerprint {
                self.make_room(stripe, facts, &attempt, prepared).await?;
                continue;
            }
            if let Some(session) = attempt.session {
                return Ok(session);
            }
            let form = prepared.form(&attempt.id, now);
            self.make_session(stripe, &attempt, form).await?;
            // Read back: whoever settled it first decided.
        }
        Err(BillingError::Contended)
    }

    /// Makes, or finds, the session of a purchase that has none yet.
    async fn make_session(
        &self,
        stripe: &StripeClient,
        attempt: &Attempt,
        form: Form,
    ) -> Result<(), BillingError> {
        let subject = Subject { account: &attempt.account, row: &attempt.id };
        // Written down first: who finds that it was sent finds what was sent.
        stripe_requests::note(&self.engine.db, subject.account, subject.row, &form.encoded())
            .await?;
        if !checkout_attempts::send(&self.engine.db, attempt, self.clock.now()).await? {
            return Ok(());
        }
        let making = SessionMaking { stripe, row: &attempt.id, form };
        let session = match self.make_once(subject, &making).await? {
            Made::Now(session) => session,
            Made::Before(id) => {
                let id = SessionId::parse(&id).map_err(|_| BillingError::Contended)?;
                stripe.session(&id).await?.0
            }
        };
        let row = AttemptSession {
            id: session.id,
            url: session.url.unwrap_or_default(),
            expires_at: session.expires_at,
        };
        checkout_attempts::settle(&self.engine.db, attempt, &row).await?;
        Ok(())
    }

    /// Ends another pending purchase, so that not two can be paid.
    async fn make_room(
        &self,
        stripe: &StripeClient,
        facts: &Facts,
        attempt: &Attempt,
        prepared: &Prepared<'_>,
    ) -> Result<(), BillingError> {
        let db = &self.engine.db;
        let now = self.clock.now();
        let Some(session) = &attempt.session else {
            if checkout_attempts::close_unsent(db, attempt, now).await? {
                return Ok(());
            }
            // Its session may exist: go on with it as it was written down, to know.
            let request = stripe_requests::find(db, &attempt.account, &attempt.id).await?;
            let Some(request) = request else { return Ok(()) };
            let form = Form::from_encoded(&request.form);
            return match self.make_session(stripe, attempt, form).await {
                Err(BillingError::Refused { .. }) => {
                    checkout_attempts::close(db, attempt, AttemptStatus::Replaced, now).await?;
                    Ok(())
                }
                done => done,
            };
        };
        let row = format!("{}.expire", attempt.id);
        let subject = Subject { account: &attempt.account, row: &row };
        let change = self.begin_change(subject, &Form::new()).await?;
        let done = stripe.expire_session(&session.id, &change.key).await;
        self.end_change(&change, &done).await?;
        let status = match done {
            Ok(_) => AttemptStatus::Replaced,
            Err(StripeError::Refused { .. }) => {
                // Not open any more: it was paid, or it ran out.
                let (session, fetched) = stripe.session(&session.id).await?;
                match session.state {
                    SessionState::Expired => AttemptStatus::Expired,
                    SessionState::Open => return Err(BillingError::Contended),
                    SessionState::Complete => {
                        self.apply_session(stripe, facts, &session, &fetched).await?;
                        checkout_attempts::close(db, attempt, AttemptStatus::Complete, now).await?;
                        if prepared.is_recurring() {
                            self.refuse_subscribed(stripe, &facts.account).await?;
                        }
                        return Ok(());
                    }
                }
            }
            Err(error) => return Err(error.into()),
        };
        checkout_attempts::close(db, attempt, status, now).await?;
        Ok(())
    }

    /// Whether a pending purchase is over by what we know, how it ended, and the subscription it
    /// started.
    async fn over(
        &self,
        attempt: &Attempt,
        account: &AccountId,
        now: Timestamp,
    ) -> Result<Option<(AttemptStatus, Option<SubscriptionId>)>, BillingError> {
        let Some(session) = &attempt.session else { return Ok(None) };
        let known = facts::find_purchase(&self.engine.db, account, &session.id).await?;
        if let Some(purchase) = known {
            match purchase.status {
                SessionStatus::Complete => {
                    return Ok(Some((AttemptStatus::Complete, purchase.subscription)));
                }
                SessionStatus::Expired => return Ok(Some((AttemptStatus::Expired, None))),
                SessionStatus::Open => {}
            }
        }
        let ends = session.url.is_empty() || session.expires_at <= now.plus_ms(SPARE_MS);
        Ok(ends.then_some((AttemptStatus::Expired, None)))
    }

    /// Refuses to sell again what was paid a moment ago: the session is known to be complete, and the
    /// news of the subscription it started has not come yet.
    async fn refuse_second(
        &self,
        stripe: &StripeClient,
        facts: &Facts,
        started: Option<SubscriptionId>,
    ) -> Result<(), BillingError> {
        let Some(id) = started.filter(|id| !facts.subscriptions.contains_key(id)) else {
            return Ok(());
        };
        let (_, fetched) = match stripe.subscription(&id).await {
            Err(error) if error.is_missing() && !error.is_wrong_mode() => return Ok(()),
            read => read?,
        };
        self.apply_subscription(stripe, facts, &id, fetched).await?;
        self.refuse_subscribed(stripe, &facts.account).await
    }

    /// Refuses to sell another plan by subscription where by now one is known, with the ways on from it.
    async fn refuse_subscribed(
        &self,
        stripe: &StripeClient,
        account: &AccountId,
    ) -> Result<(), BillingError> {
        let facts = self.engine.load(account, 0).await?;
        match self.find_present(stripe, facts).await? {
            Found::Ours(present) => {
                let existing = self.existing(stripe, &present).await?;
                Err(BillingError::AlreadySubscribed(Box::new(existing)))
            }
            Found::Others(_) | Found::Nothing(_) => Ok(()),
        }
    }
}
