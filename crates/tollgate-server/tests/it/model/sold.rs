//! What was sold and paid for, and what it has to be worth at each moment.

use std::collections::{BTreeMap, BTreeSet};

use tollgate_domain::Facts;
use tollgate_domain::ids::{AccountId, SessionId};
use tollgate_domain::payment::{Goods, Sale};
use tollgate_domain::subscription::SubscriptionStatus;
use tollgate_sandbox::sandbox::{CustomerTruth, SubscriptionTruth};

use super::life::{Form, World};
use super::market::Era;
use super::truth;

/// The rank of the plan bought for a while.
const PREMIUM: u32 = 2;
/// The rank of the plan that is mapped later.
const EXCLUSIVE: u32 = 3;

/// What was sold once.
#[derive(Default)]
pub(super) struct Sold {
    /// Subscriptions that at some time were to the plan that is mapped later.
    unmapped: BTreeSet<String>,
    /// Prices of sessions.
    prices: BTreeMap<String, String>,
    /// What sessions were found to have sold before the catalog changed.
    recorded: BTreeMap<String, Vec<Goods>>,
}

impl Sold {
    pub(super) fn bought(&mut self, session: &str, price: &str) {
        self.prices.insert(session.to_owned(), price.to_owned());
    }

    pub(super) fn subscribed(&mut self, subscription: &str, plan: &str) {
        if plan == "exclusive" {
            self.unmapped.insert(subscription.to_owned());
        }
    }

    /// Compares what purchases gave with what they gave under earlier catalogs, and remembers it.
    fn compare(&mut self, facts: &Facts, into: &mut Vec<String>) {
        for (id, purchase) in facts.purchases.iter().filter(|(_, one)| !one.sales.is_empty()) {
            let goods: Vec<Goods> = purchase.sales.iter().map(|sale| sale.goods.clone()).collect();
            let before = self.recorded.entry(id.to_string()).or_insert_with(|| goods.clone());
            if *before != goods {
                into.push(format!("{id} sold {before:?}, and now {goods:?}"));
            }
        }
    }
}

impl World {
    pub(super) async fn facts(&self, account: &str) -> Facts {
        let account = AccountId::parse(account).expect("an id");
        let db = &self.app.app().engine.db;
        let window = tollgate_domain::facts::Window::ALL;
        tollgate_store::facts::load(db, &account, window).await.expect("facts are read")
    }

    /// The engine is started with another catalog. It takes nothing back that was sold, and what it
    /// maps now counts at once.
    pub(super) async fn change_catalog(&mut self, era: Era) {
        let mut wrong = Vec::new();
        let mut exclusive = Vec::new();
        for name in self.names() {
            let facts = self.facts(&name).await;
            self.sold.compare(&facts, &mut wrong);
            let price = self.market.monthly("exclusive");
            let has = facts.subscriptions.values().filter_map(|one| one.state()).any(|state| {
                let living = [SubscriptionStatus::Active, SubscriptionStatus::Trialing];
                let now = self.app.now();
                living.contains(&state.status)
                    && state.cancel_at.is_none_or(|at| at > now)
                    && state.items.iter().any(|item| {
                        item.price.as_str() == price && item.period_end.is_some_and(|end| end > now)
                    })
            });
            exclusive.extend(has.then_some(name));
        }
        let before = self.app.digest().await;
        self.market.era = era;
        self.restart().await;
        assert_eq!(self.app.digest().await, before, "a catalog changes no fact");
        for name in exclusive {
            let rank = self.rank(&name).await;
            if rank < EXCLUSIVE {
                let facts = self.facts(&name).await;
                let has = &facts.subscriptions;
                wrong.push(format!(
                    "{name} has exclusive, and rank {rank} once it is mapped at {}: {has:#?}",
                    self.app.now()
                ));
            }
            self.deeds.did("had what is mapped later");
        }
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        self.deeds.did("changed the catalog");
    }

    fn names(&self) -> Vec<String> {
        self.accounts.iter().map(|one| one.name.clone()).collect()
    }

    /// What must hold at each moment: what no catalog maps gives nothing; and where all that is
    /// known of subscriptions is how they are paid, nobody who paid is without a plan.
    pub(super) async fn watch(&mut self) {
        let pays = self.form == Form::NoSubscriptions;
        if !pays && self.market.era > Era::First {
            return;
        }
        let now = self.app.now().unix_seconds();
        for (name, truth) in truth::by_account(self) {
            let paid = pays && truth.subscriptions.iter().any(|one| self.is_paid(one, &truth, now));
            let exclusive = self.market.monthly("exclusive");
            let unmapped = self.market.era == Era::First
                && truth.subscriptions.iter().any(|one| one.items[0].price == exclusive);
            if !paid && !unmapped {
                continue;
            }
            let rank = self.rank(&name).await;
            assert!(!paid || rank > 0, "{name} paid and has no plan: {truth:#?}");
            assert!(!unmapped || rank != EXCLUSIVE, "{name} has what is not mapped");
            if paid {
                self.deeds.did("had what was paid, without news of subscriptions");
            }
        }
    }

    /// Whether a subscription's newest invoice was paid with money, and for a time that has not
    /// ended; not where it may have been paid for what is not mapped.
    fn is_paid(&self, one: &SubscriptionTruth, truth: &CustomerTruth, now: i64) -> bool {
        let item = &one.items[0];
        let newest =
            truth.invoices.iter().find(|invoice| Some(&invoice.id) == one.latest_invoice.as_ref());
        one.status == "active"
            && item.period.0 <= now
            && now < item.period.1
            && self.market.rank_of(&item.price).is_some()
            && (self.market.era > Era::First || !self.sold.unmapped.contains(&one.id))
            && newest.is_some_and(|newest| newest.status == "paid" && newest.amount_paid_minor > 0)
    }

    /// In the end every account has what it pays for and what it bought, and no more.
    pub(super) async fn misjudged(&mut self) -> Vec<String> {
        let mut wrong = Vec::new();
        for (name, truth) in truth::by_account(self) {
            let facts = self.facts(&name).await;
            self.sold.compare(&facts, &mut wrong);
            let mut bought = 0;
            for session in truth.sessions.iter().filter(|one| one.mode == "payment") {
                let paid = session.status == "complete" && session.payment_status == "paid";
                let id = SessionId::parse(&session.id).expect("an id");
                let sales = facts.purchases.get(&id).map_or(&[][..], |one| &one.sales[..]);
                match (paid, sales) {
                    (false, []) => {}
                    (true, [sale]) => self.judge(&session.id, sale, &mut wrong),
                    (paid, sales) => {
                        wrong.push(format!("{name} {} paid: {paid}, sold {sales:?}", session.id));
                    }
                }
                let intent = session.payment_intent.as_deref();
                let mut touched = truth.refunds.iter().chain(&truth.disputes);
                let untouched = touched.all(|one| Some(one.payment_intent.as_str()) != intent);
                if let [Sale { goods: Goods::Plan { days, .. }, .. }] = sales
                    && let Some(paid_at) = facts.purchases[&id].paid_at
                    && paid_at.plus_days(i64::from(*days)) > self.app.now()
                {
                    bought = bought.max(PREMIUM);
                    if untouched && self.rank(&name).await < PREMIUM {
                        wrong.push(format!("{name} bought premium in {}", session.id));
                    }
                }
            }
            let ranks = |statuses: &[&str]| {
                let having =
                    truth.subscriptions.iter().filter(|one| statuses.contains(&one.status));
                let ranks = having.filter_map(|one| self.market.rank_of(&one.items[0].price));
                ranks.max().unwrap_or(0)
            };
            let (least, most) =
                (ranks(&["active", "trialing"]), ranks(&["active", "trialing", "past_due"]));
            let rank = self.rank(&name).await;
            // What is past due may be what was not paid of a change: then what was paid before counts.
            if rank < least || (rank > most.max(bought) && most == least) {
                wrong.push(format!("{name} has rank {rank}, not {least} to {most}: {truth:#?}"));
            }
        }
        wrong
    }

    /// What was sold at a price was decided by a catalog that knew it, and lasts as that one said.
    fn judge(&self, session: &str, sale: &Sale, into: &mut Vec<String>) {
        let price = &self.sold.prices[session];
        let is_badge = *price == self.market.raised[1] || price.contains("badge");
        let raised = self.market.raised.contains(price);
        let right = match &sale.goods {
            Goods::Badge => is_badge,
            Goods::Plan { rank, days, .. } => {
                let days_now = Era::Renamed.grant_days();
                !is_badge
                    && *rank == PREMIUM
                    && (*days == days_now || (!raised && *days == Era::First.grant_days()))
            }
        };
        if !right {
            into.push(format!("{session} was sold at {price}, and sold {sale:?}"));
        }
    }
}
