//! Changing a subscription: its plan, its end. Owns: the steps at Stripe and applying what comes of
//! them. Must not know: when a change takes effect (the domain's rule).

use tollgate_domain::Timestamp;
use tollgate_domain::buying::{ChangeTiming, Charge, KnownPrice, PlanWish, TimingWish};
use tollgate_domain::catalog::{Interval, PriceTarget};
use tollgate_domain::ids::AccountId;
use tollgate_domain::money::Money;
use tollgate_domain::subscription::SubscriptionStatus;
use tollgate_stripe::client::Form;
use tollgate_stripe::client::invoice::Preview;
use tollgate_stripe::client::schedule::change_at_end;
use tollgate_stripe::client::subscription::{
    Item, ItemChange, Subscription, change_now, end_at_no_instant, end_at_period_end,
};
use tollgate_stripe::{Fetched, StripeClient, StripeError};

use super::call::Subject;
use super::present::Present;
use super::{BillingError, new_id};
use crate::app::App;

/// A change of plan somebody asks for.
#[derive(Debug, Clone, Copy)]
pub struct PlanChange<'a> {
    /// Whose subscription.
    pub account: &'a AccountId,
    /// The plan wanted.
    pub plan: &'a str,
    /// How often it is to be paid; `None`: as the present one, where the plan is sold so.
    pub interval: Option<Interval>,
    /// How many units; `None`: as now.
    pub quantity: Option<u64>,
    /// When.
    pub timing: TimingWish,
}

/// What came of a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changed {
    /// It was so already.
    Nothing,
    /// It is in effect.
    InEffect,
    /// It takes effect at an instant.
    Scheduled(Timestamp),
    /// It takes effect when its invoice is paid, before an instant.
    AwaitsPayment {
        /// When it is given up.
        until: Timestamp,
        /// Where it can be paid.
        url: Option<String>,
    },
}

/// What a change would cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangeCost {
    /// When it would take effect by the rule.
    pub timing: ChangeTiming,
    /// At which instant.
    pub at: Option<Timestamp>,
    /// What would be billed then.
    pub preview: Preview,
}

/// A change with all that it needs.
pub(super) struct Planned<'p> {
    pub(super) item: &'p Item,
    price: KnownPrice,
    quantity: u64,
    pub(super) timing: ChangeTiming,
}

impl Planned<'_> {
    pub(super) fn change(&self) -> ItemChange<'_> {
        ItemChange { item: &self.item.id, price: self.price.id.as_str(), quantity: self.quantity }
    }

    fn is_so_already(&self) -> bool {
        self.item.price.id == self.price.id && self.item.quantity == self.quantity
    }
}

/// How often what was asked for may change under a change before it is given up.
const ROUNDS_MAX: u32 = 4;

fn charge(price: &KnownPrice, quantity: u64) -> Option<Charge> {
    Some(Charge { unit: price.unit?, quantity, interval: price.interval? })
}

impl App {
    /// Changes the plan of a subscription, now or at the period end. A change that waits for its
    /// payment is answered with again if it is what is asked for, else taken back first.
    pub async fn change_plan(&self, asked: PlanChange<'_>) -> Result<Changed, BillingError> {
        let stripe = self.billing()?;
        let _one_at_a_time = self.gates.enter(asked.account).await;
        for _ in 0..ROUNDS_MAX {
            let present = self.present(stripe, asked.account).await?;
            let planned = self.plan_change(stripe, &present, asked).await?;
            if let Some(waits) = self.waits_already(stripe, &present, &planned).await? {
                self.release(stripe, &present).await?;
                self.refresh(stripe, &present).await?;
                return Ok(waits);
            }
            // What the subscription is after that is read anew: it may have been paid meanwhile.
            if !self.take_back_pending(stripe, &present).await? {
                return self.make_change(stripe, &present, &planned).await;
            }
        }
        Err(BillingError::Contended)
    }

    async fn make_change(
        &self,
        stripe: &StripeClient,
        present: &Present,
        planned: &Planned<'_>,
    ) -> Result<Changed, BillingError> {
        if planned.is_so_already() {
            let known = present.facts.subscriptions.get(present.id.as_str());
            let waited = known.and_then(|known| known.state()?.pending_update.as_ref()).is_some();
            if present.subscription.schedule.is_none() && !waited {
                return Ok(Changed::Nothing);
            }
            // To stay on the present plan takes back what was to come.
            self.release(stripe, present).await?;
            self.refresh(stripe, present).await?;
            return Ok(Changed::InEffect);
        }
        match planned.timing {
            ChangeTiming::Immediate => self.change_at_once(stripe, present, planned).await,
            ChangeTiming::PeriodEnd => self.change_later(stripe, present, planned).await,
        }
    }

    /// What a change would cost, without making it.
    pub async fn preview_change(&self, asked: PlanChange<'_>) -> Result<ChangeCost, BillingError> {
        let stripe = self.billing()?;
        let present = self.present(stripe, asked.account).await?;
        let planned = self.plan_change(stripe, &present, asked).await?;
        if planned.is_so_already() {
            // It would take back at once what waits, and bill nothing.
            let due = Money { amount_minor: 0, currency: planned.price.currency };
            let preview = Preview { due, lines: Vec::new() };
            let at = Some(self.clock.now());
            return Ok(ChangeCost { timing: ChangeTiming::Immediate, at, preview });
        }
        let now = planned.timing == ChangeTiming::Immediate;
        // Nothing is made, so the key needs no row.
        let key = tollgate_stripe::client::IdempotencyKey::parse(&new_id("tollgate-preview"));
        let key = key.map_err(|_| BillingError::Contended)?;
        let preview = stripe.preview_change(&present.id, planned.change(), now, &key).await?;
        let at = if now { Some(self.clock.now()) } else { planned.item.period_end };
        Ok(ChangeCost { timing: planned.timing, at, preview })
    }

    /// Ends a subscription: at its period end, or now.
    pub async fn cancel(
        &self,
        account: &AccountId,
        at_period_end: bool,
    ) -> Result<(), BillingError> {
        let stripe = self.billing()?;
        let _one_at_a_time = self.gates.enter(account).await;
        let mut present = self.present(stripe, account).await?;
        present.as_whole()?;
        if self.take_back_pending(stripe, &present).await? {
            present = self.present(stripe, account).await?;
        }
        if at_period_end {
            if present.subscription.is_ending() {
                return self.refresh(stripe, &present).await;
            }
            self.release(stripe, &present).await?;
            return self.update(stripe, &present, &end_at_period_end(true)).await.map(|_| ());
        }
        let fetched = match stripe.cancel_subscription(&present.id).await {
            Ok(fetched) => fetched,
            // Ended by an earlier try of this call, or by somebody else: it is over.
            Err(error) if error.is_missing() => stripe.subscription(&present.id).await?.1,
            Err(error) => return Err(error.into()),
        };
        self.apply_subscription(stripe, &present.facts, &present.id, fetched).await.map(|_| ())
    }

    /// Takes an end back that has not come, or wakes a paused subscription.
    pub async fn resume(&self, account: &AccountId) -> Result<(), BillingError> {
        let stripe = self.billing()?;
        let _one_at_a_time = self.gates.enter(account).await;
        let present = self.present(stripe, account).await?;
        present.as_whole()?;
        let subscription = &present.subscription;
        if subscription.status == SubscriptionStatus::Paused {
            let row = format!("{}.resume", present.id);
            let change = self.begin_change(Subject { account, row: &row }, &Form::new()).await?;
            let done = stripe.resume_subscription(&present.id, &change.key).await;
            self.end_change(&change, &done).await?;
            let (_, fetched) = done?;
            let applied = self.apply_subscription(stripe, &present.facts, &present.id, fetched);
            return applied.await.map(|_| ());
        }
        let form = match (subscription.cancel_at_period_end, subscription.cancel_at) {
            (true, _) => end_at_period_end(false),
            (false, Some(_)) => end_at_no_instant(),
            (false, None) => return Err(BillingError::NothingToResume),
        };
        self.update(stripe, &present, &form).await.map(|_| ())
    }

    async fn plan_change<'p>(
        &self,
        stripe: &StripeClient,
        present: &'p Present,
        asked: PlanChange<'_>,
    ) -> Result<Planned<'p>, BillingError> {
        let catalog = &self.config.catalog;
        let item = present.item()?;
        let wish = self.recurring_wish(asked, item.price.interval)?;
        let price = self.price_of(stripe, wish).await?;
        if price.currency != item.price.currency {
            let refusal = tollgate_domain::buying::OfferRefusal::Currency {
                wanted: item.price.currency,
                found: price.currency,
            };
            return Err(BillingError::Offer(asked.plan.to_owned(), refusal));
        }
        // Seats go along to another plan sold by the unit; a plan that is not keeps a quantity only
        // where it has one already.
        let stays =
            catalog.price_target(item.price.price_ref()) == Some(PriceTarget::Plan(wish.index));
        let quantity = if stays && asked.quantity.is_none() {
            item.quantity.max(1)
        } else {
            let units = wish.plan.units(asked.quantity, Some(item.quantity));
            units.map_err(BillingError::offer(asked.plan))?
        };
        let wanted = charge(&price, quantity);
        let timing = match wanted {
            Some(wanted) => {
                ChangeTiming::of(asked.timing, charge(&item.price, item.quantity), wanted)
            }
            None if asked.timing == TimingWish::Immediate => ChangeTiming::Immediate,
            None => ChangeTiming::PeriodEnd,
        };
        let planned = Planned { item, price, quantity, timing };
        // A schedule says anew what all items are, and what it plans may be another product's.
        let later = timing == ChangeTiming::PeriodEnd && !planned.is_so_already();
        if later || present.subscription.schedule.is_some() {
            present.as_whole()?;
        }
        Ok(planned)
    }

    /// The plan wanted, at the interval asked for, else at the present one where it is sold so.
    fn recurring_wish<'c>(
        &'c self,
        asked: PlanChange<'_>,
        present: Option<Interval>,
    ) -> Result<PlanWish<'c>, BillingError> {
        let catalog = &self.config.catalog;
        let same = asked.interval.is_none().then(|| catalog.plan_wish(asked.plan, present).ok());
        let wish = match same.flatten() {
            Some(wish) => wish,
            None => catalog
                .plan_wish(asked.plan, asked.interval)
                .map_err(BillingError::offer(asked.plan))?,
        };
        if wish.interval == Interval::OneTime {
            let refusal = tollgate_domain::buying::OfferRefusal::NotSoldAt(Interval::Month);
            return Err(BillingError::Offer(asked.plan.to_owned(), refusal));
        }
        Ok(wish)
    }

    async fn change_at_once(
        &self,
        stripe: &StripeClient,
        present: &Present,
        planned: &Planned<'_>,
    ) -> Result<Changed, BillingError> {
        self.release(stripe, present).await?;
        let after = self.update(stripe, present, &change_now(planned.change())).await?;
        Ok(match after.pending_update {
            Some(pending) => {
                let url = after.invoice.and_then(|invoice| invoice.url);
                Changed::AwaitsPayment { until: pending.expires_at, url }
            }
            None => Changed::InEffect,
        })
    }

    async fn change_later(
        &self,
        stripe: &StripeClient,
        present: &Present,
        planned: &Planned<'_>,
    ) -> Result<Changed, BillingError> {
        let account = &present.facts.account;
        let schedule = if let Some(id) = &present.subscription.schedule {
            stripe.schedule(id).await?
        } else {
            let row = format!("{}.schedule", present.id);
            let form = Form::new().with("from_subscription", present.id.as_str());
            let change = self.begin_change(Subject { account, row: &row }, &form).await?;
            let done = stripe.create_schedule(&present.id, &change.key).await;
            self.end_change(&change, &done).await?;
            done?
        };
        let phase = schedule.present.ok_or(BillingError::NoSubscription)?;
        let coming = (planned.price.id.as_str(), planned.quantity);
        if !schedule.coming.iter().any(|(price, quantity)| (price.as_str(), *quantity) == coming) {
            let form = change_at_end(phase, &present.subscription.items, planned.change());
            let row = format!("{}.phases", schedule.id);
            let change = self.begin_change(Subject { account, row: &row }, &form).await?;
            let done = stripe.update_schedule(&schedule.id, &form, &change.key).await;
            self.end_change(&change, &done).await?;
            done?;
        }
        self.refresh(stripe, present).await?;
        Ok(Changed::Scheduled(phase.end))
    }

    /// Takes a subscription out of the schedule it is in, if it is in one.
    async fn release(&self, stripe: &StripeClient, present: &Present) -> Result<(), BillingError> {
        let Some(schedule) = &present.subscription.schedule else { return Ok(()) };
        // What else it plans may be another product's.
        present.as_whole()?;
        let row = format!("{schedule}.release");
        let subject = Subject { account: &present.facts.account, row: &row };
        let change = self.begin_change(subject, &Form::new()).await?;
        let done = stripe.release_schedule(schedule, &change.key).await;
        self.end_change(&change, &done).await?;
        match done {
            // Over already: what was wanted.
            Err(StripeError::Refused { .. }) => {
                let (now, _) = stripe.subscription(&present.id).await?;
                if now.schedule.is_some() { Err(BillingError::Contended) } else { Ok(()) }
            }
            done => Ok(done?),
        }
    }

    async fn update(
        &self,
        stripe: &StripeClient,
        present: &Present,
        form: &Form,
    ) -> Result<Subscription, BillingError> {
        let row = format!("{}.change", present.id);
        let subject = Subject { account: &present.facts.account, row: &row };
        let change = self.begin_change(subject, form).await?;
        let done = stripe.update_subscription(&present.id, form, &change.key).await;
        self.end_change(&change, &done).await?;
        let (subscription, fetched) = done?;
        self.apply_subscription(stripe, &present.facts, &present.id, fetched).await?;
        Ok(subscription)
    }

    /// Reads the subscription again and applies it.
    async fn refresh(&self, stripe: &StripeClient, present: &Present) -> Result<(), BillingError> {
        let fetched: Fetched = stripe.subscription(&present.id).await?.1;
        self.apply_subscription(stripe, &present.facts, &present.id, fetched).await.map(|_| ())
    }
}
