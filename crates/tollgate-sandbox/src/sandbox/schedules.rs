//! Subscription schedules over the API. Owns: reading phases, beginning from a subscription,
//! changing, releasing and cancelling. Must not know: what a phase does when it begins.

use serde_json::Value;

use super::Sandbox;
use super::billing::end::is_over;
use super::billing::{Proration, end_after};
use super::error::ApiError;
use super::page::{self, Span};
use super::params::Params;
use super::route::{Call, Route};
use crate::object::customer::Customer;
use crate::object::schedule::{Phase, PhaseItem, Schedule};
use crate::object::subscription::Subscription;
use crate::time::shifted;

/// What can be said of phases and what comes after them.
macro_rules! common_fields {
    () => {
        "end_behavior metadata{*} proration_behavior \
         default_settings{billing_cycle_anchor collection_method default_payment_method \
         description invoice_settings{days_until_due}} \
         phases[]{start_date end_date iterations duration{interval! interval_count} \
         items[]{price plan quantity metadata{*} price_data{currency! product! unit_amount \
         unit_amount_decimal tax_behavior recurring{interval! interval_count}}} \
         proration_behavior trial trial_end metadata{*} collection_method currency description \
         billing_cycle_anchor default_payment_method} "
    };
}

const CREATE: &str = concat!(
    common_fields!(),
    "customer from_subscription start_date billing_mode{type flexible{proration_discounts}}"
);

pub(super) const ROUTES: &[Route] = &[
    Route::post("/v1/subscription_schedules", CREATE, create),
    Route::list(
        "/v1/subscription_schedules",
        "customer scheduled created?{gt gte lt lte} canceled_at?{gt gte lt lte} \
         completed_at?{gt gte lt lte} released_at?{gt gte lt lte}",
        list,
    ),
    Route::get("/v1/subscription_schedules/{schedule}", retrieve),
    Route::post("/v1/subscription_schedules/{schedule}", common_fields!(), update),
    Route::post("/v1/subscription_schedules/{schedule}/release", "preserve_cancel_date", release),
    Route::post("/v1/subscription_schedules/{schedule}/cancel", "invoice_now prorate", cancel),
];

/// The most phases that are still to come.
const MOST_PHASES: usize = 10;

fn retrieve(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    Ok(sandbox.named::<Schedule>(call.id())?.show(call.version))
}

fn list(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    let params = call.params;
    let (customer, scheduled) = (params.text("customer"), params.boolean("scheduled")?);
    let span = |name: &str| Ok::<_, ApiError>((params.has(name), Span::of(params, name)?));
    let (created, canceled) = (span("created")?, span("canceled_at")?);
    let (completed, released) = (span("completed_at")?, span("released_at")?);
    let fits =
        |(given, span): (bool, Span), at: Option<i64>| !given || at.is_some_and(|at| span.has(at));
    let mut found = sandbox.world.objects.newest_first::<Schedule>();
    found.retain(|schedule| {
        customer.is_none_or(|customer| schedule.customer == customer)
            && scheduled.is_none_or(|wanted| (schedule.status == "not_started") == wanted)
            && fits(created, Some(schedule.created))
            && fits(canceled, schedule.canceled_at)
            && fits(completed, schedule.completed_at)
            && fits(released, schedule.released_at)
    });
    page::objects(call, &found, Schedule::show)
}

fn create(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    let params = call.params;
    let id = if params.has("from_subscription") {
        let one = sandbox.must_refer::<Subscription>(params, "from_subscription")?.clone();
        if params.children().iter().any(|(name, _)| name == "phases" || name == "customer") {
            let message = "You cannot set `phases` or `customer` together with \
                           `from_subscription`.";
            return Err(ApiError::invalid(message).param("from_subscription"));
        }
        sandbox.in_time_of(&one.customer, |sandbox| sandbox.schedule_from(&one))?
    } else {
        let customer = sandbox.must_refer::<Customer>(params, "customer")?.clone();
        sandbox.in_time_of(&customer.id, |sandbox| sandbox.schedule_anew(&customer, params))?
    };
    Ok(sandbox.named::<Schedule>(&id)?.show(call.version))
}

impl Sandbox {
    fn blank_schedule(&mut self, customer: &str) -> Schedule {
        Schedule {
            id: self.world.new_long_id("sub_sched_1"),
            customer: customer.to_owned(),
            subscription: None,
            status: "not_started",
            phases: Vec::new(),
            current: None,
            end_behavior: "release",
            created: self.world.now,
            canceled_at: None,
            completed_at: None,
            released_at: None,
            released_subscription: None,
            metadata: crate::object::Metadata::new(),
            test_clock: None,
        }
    }

    /// A schedule takes over a subscription: its running period is the first phase. Returns the
    /// schedule's id.
    pub(super) fn schedule_from(&mut self, one: &Subscription) -> Result<String, ApiError> {
        if is_over(one) {
            let message = "You cannot create a schedule from a subscription that is over.";
            return Err(ApiError::invalid(message).param("from_subscription"));
        }
        if one.terms.schedule.is_some() {
            let message = format!(
                "You cannot migrate a subscription that is already attached to a schedule: {}",
                one.id
            );
            return Err(ApiError::invalid(message).param("from_subscription"));
        }
        let items = one.items.iter().map(|item| PhaseItem {
            price: item.price.clone(),
            quantity: item.quantity,
            metadata: item.metadata.clone(),
        });
        let phase = Phase {
            start: one.items.iter().map(|item| item.period_start).min().unwrap_or(one.created),
            end: Self::period_end_of(one).unwrap_or(self.world.now),
            items: items.collect(),
            proration_behavior: "create_prorations",
            trial_end: one.trial_end.filter(|_| one.status == "trialing"),
            metadata: one.metadata.clone(),
        };
        let mut schedule = self.blank_schedule(&one.customer);
        schedule.subscription = Some(one.id.clone());
        schedule.status = "active";
        schedule.phases = vec![phase];
        schedule.current = Some(0);
        schedule.test_clock.clone_from(&one.terms.test_clock);
        let id = schedule.id.clone();
        self.tell_schedule(schedule);
        let mut after = one.clone();
        after.terms.schedule = Some(id.clone());
        self.write(one, after);
        Ok(id)
    }

    fn schedule_anew(&mut self, customer: &Customer, params: &Params) -> Result<String, ApiError> {
        let now = self.world.now;
        let start = match params.text("start_date") {
            None => return Err(ApiError::missing_param("start_date")),
            Some("now") => now,
            Some(_) => params.integer("start_date")?.unwrap_or(now),
        };
        let mut schedule = self.blank_schedule(&customer.id);
        schedule.test_clock.clone_from(&customer.test_clock);
        schedule.phases = self.read_phases(params, start)?;
        if schedule.phases.is_empty() {
            return Err(ApiError::missing_param("phases"));
        }
        read_ending(params, &mut schedule)?;
        params.merge_metadata(&mut schedule.metadata);
        let id = schedule.id.clone();
        self.tell_schedule(schedule);
        if start <= now {
            self.step_schedule(&id);
        }
        Ok(id)
    }

    /// The phases of a request, one after the other from `start`.
    fn read_phases(&mut self, params: &Params, start: i64) -> Result<Vec<Phase>, ApiError> {
        let mut from = start;
        let mut phases = Vec::new();
        for given in params.list("phases") {
            let phase = self.read_phase(given, from)?;
            from = phase.end;
            phases.push(phase);
        }
        if phases.len() > MOST_PHASES {
            let message = format!("A schedule can have at most {MOST_PHASES} phases.");
            return Err(ApiError::invalid(message).param("phases"));
        }
        Ok(phases)
    }

    fn read_phase(&mut self, params: &Params, from: i64) -> Result<Phase, ApiError> {
        let now = self.world.now;
        let instant = |name: &str| {
            if params.text(name) == Some("now") { Ok(Some(now)) } else { params.integer(name) }
        };
        let start = instant("start_date")?.unwrap_or(from);
        let mut items = Vec::new();
        for given in params.list("items") {
            let item = self.new_items(&[given])?;
            items.extend(item.into_iter().map(|item| PhaseItem {
                price: item.price,
                quantity: item.quantity,
                metadata: item.metadata,
            }));
        }
        let Some(first) = items.first() else {
            return Err(ApiError::missing_param(&params.path_of("items")));
        };
        let iterations = params.amount("iterations")?.unwrap_or(1).max(1);
        let mut end = start;
        for _ in 0..iterations.min(120) {
            end = end_after(&first.price, start, end);
        }
        if let Some(duration) = params.get("duration") {
            let interval = duration.choice("interval", &["day", "week", "month", "year"])?;
            let count = duration.amount("interval_count")?.unwrap_or(1);
            end = shifted(start, interval.unwrap_or("month"), count);
        }
        let end = instant("end_date")?.unwrap_or(end);
        if end <= start {
            let message = "The end date of a phase must be after its start date.";
            return Err(ApiError::invalid(message).param(params.path_of("end_date")));
        }
        let words = Proration::WORDS;
        let trial = params.boolean("trial")?.unwrap_or(false);
        Ok(Phase {
            start,
            end,
            items,
            proration_behavior: params.choice("proration_behavior", &words)?.unwrap_or(words[0]),
            trial_end: params.integer("trial_end")?.or(trial.then_some(end)),
            metadata: params.metadata(),
        })
    }
}

fn read_ending(params: &Params, schedule: &mut Schedule) -> Result<(), ApiError> {
    if let Some(behavior) = params.choice("end_behavior", &["release", "cancel"])? {
        schedule.end_behavior = behavior;
    }
    Ok(())
}

/// The schedule the path names, which must have something left to do.
fn live(sandbox: &Sandbox, call: &Call<'_>, what: &str) -> Result<Schedule, ApiError> {
    let schedule = sandbox.named::<Schedule>(call.id())?;
    if schedule.is_live() {
        return Ok(schedule.clone());
    }
    let message = format!(
        "You cannot {what} a subscription schedule that is currently in the `{}` status. It must \
         be `not_started` or `active`.",
        schedule.status
    );
    Err(ApiError::invalid(message))
}

fn update(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    let schedule = live(sandbox, call, "update")?;
    let customer = schedule.customer.clone();
    sandbox.in_time_of(&customer, |sandbox| sandbox.update_schedule(schedule, call.params))?;
    retrieve(sandbox, call)
}

impl Sandbox {
    fn update_schedule(&mut self, mut schedule: Schedule, params: &Params) -> Result<(), ApiError> {
        let now = self.world.now;
        read_ending(params, &mut schedule)?;
        params.merge_metadata(&mut schedule.metadata);
        if params.has("phases") {
            let start = schedule.phases.first().map_or(now, |phase| phase.start);
            let phases = self.read_phases(params, start)?;
            let current = phases.iter().rposition(|phase| phase.start <= now);
            if schedule.status == "active" && current.is_none() {
                let message = "The first phase must be the one that is running, or one before it.";
                return Err(ApiError::invalid(message).param("phases"));
            }
            if phases.last().is_none_or(|phase| phase.end <= now) {
                let message = "The last phase must end in the future.";
                return Err(ApiError::invalid(message).param("phases"));
            }
            schedule.phases = phases;
            if schedule.status == "active" {
                schedule.current = current;
            }
        }
        let id = schedule.id.clone();
        self.tell_schedule(schedule);
        self.follow_phase(&id)
    }

    /// The subscription of a schedule holds what its running phase says.
    fn follow_phase(&mut self, id: &str) -> Result<(), ApiError> {
        let Some(schedule) = self.copy::<Schedule>(id) else { return Ok(()) };
        let Some(phase) = schedule.current_phase() else { return Ok(()) };
        let before = schedule.subscription.as_deref().and_then(|id| self.copy::<Subscription>(id));
        let Some(before) = before else { return Ok(()) };
        let mut after = before.clone();
        after.items = self.items_of(phase, &before.items);
        let manner = super::billing::change::Manner {
            proration: Proration::of(phase.proration_behavior),
            ..Default::default()
        };
        self.change_subscription(&before, after, manner).map(drop)
    }

    /// A schedule lets its subscription go, which goes on as it is.
    pub(super) fn release_schedule(&mut self, schedule: &Schedule) {
        let before = schedule.subscription.as_deref().and_then(|id| self.copy::<Subscription>(id));
        self.close_schedule(&schedule.id, "released");
        if let Some(before) = before {
            let mut after = before.clone();
            after.terms.schedule = None;
            self.write(&before, after);
        }
    }
}

fn release(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    let schedule = live(sandbox, call, "release")?;
    let customer = schedule.customer.clone();
    sandbox.in_time_of(&customer, |sandbox| sandbox.release_schedule(&schedule));
    retrieve(sandbox, call)
}

fn cancel(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    let schedule = live(sandbox, call, "cancel")?;
    let prorates = call.params.boolean("prorate")?.unwrap_or(true);
    let bills = call.params.boolean("invoice_now")?.unwrap_or(true);
    sandbox.in_time_of(&schedule.customer, |sandbox| {
        sandbox.close_schedule(&schedule.id, "canceled");
        if let Some(subscription) = &schedule.subscription {
            sandbox.cancel_now(subscription, prorates, bills);
        }
    });
    retrieve(sandbox, call)
}
