//! Who pays. Owns: finding the customer of an account or member, and making one where there is
//! none. Must not know: what is bought.

use std::collections::HashMap;

use tollgate_domain::buying::managed::sells;
use tollgate_domain::facts::Customer;
use tollgate_domain::ids::{AccountId, CustomerId, MemberId, ObjectId};
use tollgate_domain::{Catalog, Facts, Timestamp};
use tollgate_store::connected_objects;
use tollgate_store::customer_claims::{self, Claimant};
use tollgate_stripe::client::customer::new_customer;
use tollgate_stripe::client::{Form, IdempotencyKey, Mark};
use tollgate_stripe::{StripeClient, StripeError};

use super::call::{Made, Making, Subject};
use super::{BillingError, new_id};
use crate::app::App;

/// How often a claim may change hands before it is given up.
const ROUNDS_MAX: u32 = 4;

/// Somebody who buys.
#[derive(Debug, Clone, Copy)]
pub struct Buyer<'a> {
    /// The account.
    pub account: &'a AccountId,
    /// The member; `None`: the account itself.
    pub member: Option<&'a MemberId>,
    /// For receipts, where it is known.
    pub email: Option<&'a str>,
}

impl<'a> Buyer<'a> {
    pub(crate) const fn claimant(&self) -> Claimant<'a> {
        Claimant { account: self.account, member: self.member }
    }
}

/// The customer the facts know: the one of a live subscription to something of the catalog first,
/// then the latest seen. Those of connected accounts are left out.
fn known(
    facts: &Facts,
    catalog: &Catalog,
    member: Option<&MemberId>,
    connected: &HashMap<ObjectId, String>,
) -> Option<CustomerId> {
    let pays = |customer: &CustomerId| {
        facts.subscriptions.values().any(|subscription| {
            subscription.customer.as_ref() == Some(customer)
                && subscription.state().is_some_and(|state| !state.status.is_terminal())
                && sells(subscription, catalog, |_| true)
        })
    };
    let own = of_buyer(facts, member)
        .filter(|customer| !connected.keys().any(|one| one.as_str() == customer.id.as_str()));
    let best = own.max_by_key(|customer| (pays(&customer.id), customer.at, &customer.id));
    best.map(|customer| customer.id.clone())
}

fn of_buyer<'f>(
    facts: &'f Facts,
    member: Option<&'f MemberId>,
) -> impl Iterator<Item = &'f Customer> {
    let all = facts.customers.values();
    all.filter(move |customer| customer.deleted_at.is_none() && customer.member.as_ref() == member)
}

struct NewCustomer<'a> {
    stripe: &'a StripeClient,
    buyer: Buyer<'a>,
    claim: &'a str,
}

impl Making for NewCustomer<'_> {
    type Shown = CustomerId;

    fn form(&self) -> Form {
        let Buyer { account, member, email } = self.buyer;
        new_customer(Mark { account, member, row: self.claim }, email)
    }

    async fn make(
        &self,
        form: &Form,
        key: &IdempotencyKey,
    ) -> Result<(String, CustomerId), StripeError> {
        let (customer, _) = self.stripe.create_customer(form, key).await?;
        Ok((customer.to_string(), customer))
    }

    async fn look(&self, between: (Timestamp, Timestamp)) -> Result<Option<String>, StripeError> {
        let found = self.stripe.find_customer_for(self.claim, between).await?;
        Ok(found.map(|customer| customer.to_string()))
    }
}

impl App {
    /// The buyer's customer; made now where there is none. `gone` is one that Stripe does not know
    /// any more.
    pub(crate) async fn customer(
        &self,
        stripe: &StripeClient,
        facts: &Facts,
        buyer: Buyer<'_>,
        gone: Option<&CustomerId>,
    ) -> Result<CustomerId, BillingError> {
        let known = self.known_customer(facts, buyer.member).await?;
        if let Some(known) = known.filter(|known| Some(known) != gone) {
            return Ok(known);
        }
        let db = &self.engine.db;
        let deleted = |customer: &CustomerId| {
            Some(customer) == gone
                || facts.customers.get(customer).is_some_and(|one| one.deleted_at.is_some())
        };
        for _ in 0..ROUNDS_MAX {
            let now = self.clock.now();
            let claim = customer_claims::claim(db, buyer.claimant(), &new_id("cl"), now).await?;
            match claim.customer {
                Some(customer) if deleted(&customer) => {
                    let ids = (claim.id.as_str(), new_id("cl"));
                    let ids = (ids.0, ids.1.as_str());
                    customer_claims::replace(db, buyer.claimant(), ids, now).await?;
                    continue;
                }
                Some(customer) => return Ok(customer),
                None => {}
            }
            let subject = Subject { account: buyer.account, row: &claim.id };
            let making = NewCustomer { stripe, buyer, claim: &claim.id };
            let customer = match self.make_once(subject, &making).await? {
                Made::Now(customer) => customer,
                Made::Before(id) => CustomerId::parse(&id).map_err(|_| BillingError::Contended)?,
            };
            customer_claims::settle(db, buyer.claimant(), &claim.id, &customer).await?;
            // Read back: should two have come from two claims, all take the one that is kept.
        }
        Err(BillingError::Contended)
    }

    /// The customer of our own Stripe account the facts know. A buyer known in a connected account
    /// alone is refused: whoever pays there must not become a customer here unasked.
    async fn known_customer(
        &self,
        facts: &Facts,
        member: Option<&MemberId>,
    ) -> Result<Option<CustomerId>, BillingError> {
        let ids = of_buyer(facts, member).filter_map(|one| ObjectId::parse(one.id.as_str()).ok());
        let ids: Vec<ObjectId> = ids.collect();
        let connected = connected_objects::find(&self.engine.db, &ids).await?;
        let known = known(facts, &self.config.catalog, member, &connected);
        match (known, connected.into_values().next()) {
            (None, Some(account)) => Err(BillingError::OfConnected(account)),
            (known, _) => Ok(known),
        }
    }

    /// The account's customer, if there is one: in the facts, or made and not yet told of.
    pub(crate) async fn find_customer(
        &self,
        facts: &Facts,
    ) -> Result<Option<CustomerId>, BillingError> {
        if let Some(known) = self.known_customer(facts, None).await? {
            return Ok(Some(known));
        }
        let who = Claimant { account: &facts.account, member: None };
        let claim = customer_claims::find(&self.engine.db, who).await?;
        Ok(claim.and_then(|claim| claim.customer))
    }
}
