//! Test clocks over the API. Owns: the time of the customers that go by a clock of their own, and
//! moving it. Must not know: what becomes due.

use serde_json::{Value, json};

use super::Sandbox;
use super::error::ApiError;
use super::page;
use super::route::{Call, Route};
use crate::object::Object;
use crate::object::customer::Customer;
use crate::object::subscription::Subscription;
use crate::object::test_clock::TestClock;
use crate::time::DAY;

/// How far a clock may be moved at once, in seconds: two years, as with yearly periods.
const FARTHEST: i64 = 732 * DAY;

pub(super) const ROUTES: &[Route] = &[
    Route::post("/v1/test_helpers/test_clocks", "frozen_time! name", create),
    Route::list("/v1/test_helpers/test_clocks", "", list),
    Route::get("/v1/test_helpers/test_clocks/{test_clock}", retrieve),
    Route::post("/v1/test_helpers/test_clocks/{test_clock}/advance", "frozen_time!", advance),
    Route::delete("/v1/test_helpers/test_clocks/{test_clock}", "", delete),
];

fn create(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    let clock = TestClock {
        id: sandbox.world.new_long_id("clock_1"),
        name: call.params.text("name").map(str::to_owned),
        created: sandbox.world.now,
        frozen_time: call.params.amount("frozen_time")?.unwrap_or_default(),
        status: "ready",
    };
    sandbox.world.emit("test_helpers.test_clock.created", Object::TestClock(clock.clone()));
    Ok(clock.show())
}

fn list(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    let clocks = sandbox.world.objects.newest_first::<TestClock>();
    page::objects(call, &clocks, |clock: &TestClock, _| clock.show())
}

fn retrieve(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    Ok(sandbox.named::<TestClock>(call.id())?.show())
}

fn advance(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    let mut clock = sandbox.named::<TestClock>(call.id())?.clone();
    let to = call.params.amount("frozen_time")?.unwrap_or_default();
    let refused = |message: &str| Err(ApiError::invalid(message).param("frozen_time"));
    if to <= clock.frozen_time {
        return refused("A test clock can only be advanced to a time after its frozen time.");
    }
    if to.saturating_sub(clock.frozen_time) > FARTHEST {
        return refused("A test clock can be advanced by at most two years at once.");
    }
    let from = std::mem::replace(&mut clock.frozen_time, to);
    clock.status = "advancing";
    let answer = clock.show();
    sandbox.world.emit("test_helpers.test_clock.advancing", Object::TestClock(clock.clone()));
    sandbox.run_clock(&clock.id, (from, to));
    clock.status = "ready";
    sandbox.world.emit("test_helpers.test_clock.ready", Object::TestClock(clock));
    Ok(answer)
}

fn delete(sandbox: &mut Sandbox, call: &Call<'_>) -> Result<Value, ApiError> {
    let clock = sandbox.named::<TestClock>(call.id())?.clone();
    let of_clock = |customer: &&Customer| customer.test_clock.as_deref() == Some(call.id());
    let customers: Vec<Customer> =
        sandbox.world.objects.all::<Customer>().filter(of_clock).cloned().collect();
    for customer in customers {
        let own = sandbox.world.objects.all::<Subscription>();
        let own = own.filter(|one| one.customer == customer.id).map(|one| one.id.clone());
        for subscription in own.collect::<Vec<String>>() {
            sandbox.world.objects.remove::<Subscription>(&subscription);
        }
        sandbox.world.keep(Customer { deleted: true, ..customer });
    }
    sandbox.world.emit("test_helpers.test_clock.deleted", Object::TestClock(clock));
    sandbox.world.objects.remove::<TestClock>(call.id());
    Ok(json!({"id": call.id(), "object": "test_helpers.test_clock", "deleted": true}))
}

impl Sandbox {
    /// Whether what goes by a clock, or by none, becomes due as time passes just now.
    pub(super) fn ticks(&self, clock: Option<&str>) -> bool {
        self.moving.as_deref() == clock
    }

    /// Everything of a clock's customers that becomes due between two instants happens.
    fn run_clock(&mut self, clock: &str, (from, to): (i64, i64)) {
        let left = std::mem::replace(&mut self.world.now, from);
        self.moving = Some(clock.to_owned());
        self.advance_to(to);
        self.moving = None;
        self.world.now = left;
    }

    /// Does something at the time of a customer, who may go by a test clock.
    pub(super) fn in_time_of<T>(&mut self, customer: &str, act: impl FnOnce(&mut Self) -> T) -> T {
        let clock = self.world.objects.get::<Customer>(customer);
        let clock = clock.and_then(|customer| customer.test_clock.as_deref());
        let clock = clock.and_then(|id| self.world.objects.get::<TestClock>(id));
        let now = clock.map_or(self.world.now, |clock| clock.frozen_time);
        let left = std::mem::replace(&mut self.world.now, now);
        let done = act(self);
        self.world.now = left;
        done
    }
}
