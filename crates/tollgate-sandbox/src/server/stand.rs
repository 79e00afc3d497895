//! What everything in the server shares. Owns: the sandbox behind its lock, kept at its clock's
//! time, and the way of new events to the courier and to those who listen. Must not know: routes.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, broadcast, watch};
use tokio::task::JoinSet;
use tollgate_domain::{Catalog, Timestamp};

use super::access::Accounts;
use super::clock::SandboxClock;
use super::courier::{Address, Courier, Outcome, Parcel};
use super::deed::{Deed, DeedError, Done, KeptCall};
use super::faults::Faults;
use super::journal::{Entry, Journal};
use super::plan::DeliveryPlan;
use super::post::Poster;
use crate::event::Happening;
use crate::object::customer::Customer;
use crate::pretty;
use crate::sandbox::{ApiReply, ApiRequest, Method, Sandbox, WebhookEndpoint};
use crate::thin::EventForm;

/// Events a slow listener may lag behind before it loses some.
const LISTENERS_LAG_MAX: usize = 1_024;
/// Longest time without looking at the clock.
const PAUSE_MAX: Duration = Duration::from_mins(1);

/// Everything the server is about.
#[derive(Debug)]
pub(crate) struct Stand {
    pub(crate) sandbox: Arc<Mutex<Sandbox>>,
    pub(crate) clock: SandboxClock,
    pub(crate) faults: Mutex<Faults>,
    /// Accounts beside this one.
    pub(crate) accounts: Mutex<Accounts>,
    pub(crate) courier: Mutex<Courier>,
    /// Where the server is, such as `http://127.0.0.1:12111`.
    pub(crate) site: String,
    /// Every new event, for `stripe listen`.
    pub(crate) news: broadcast::Sender<Happening>,
    catalog: Catalog,
    journal: Option<Mutex<Journal>>,
    poster: Poster,
    /// Something may be due.
    wake: Notify,
    /// Counts finished deliveries.
    progress: watch::Sender<u64>,
}

/// A lock is never held while something can fail, so a poisoned one is as good as any.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn address(sandbox: &Sandbox, endpoint: &WebhookEndpoint) -> Address {
    let version = endpoint.api_version.unwrap_or(sandbox.settings.default_version);
    Address { endpoint: endpoint.id.clone(), version }
}

impl Stand {
    pub(crate) fn new(
        (sandbox, catalog): (Sandbox, Catalog),
        clock: SandboxClock,
        journal: Option<Journal>,
        site: String,
    ) -> Self {
        let mut courier = Courier::default();
        // What a journal brought back was delivered in an earlier run.
        courier.first_unseen(sandbox.happenings().len());
        Self {
            sandbox: Arc::new(Mutex::new(sandbox)),
            clock,
            faults: Mutex::default(),
            accounts: Mutex::default(),
            courier: Mutex::new(courier),
            site,
            news: broadcast::channel(LISTENERS_LAG_MAX).0,
            catalog,
            journal: journal.map(Mutex::new),
            poster: Poster::new(),
            wake: Notify::new(),
            progress: watch::channel(0).0,
        }
    }

    /// Does something with the sandbox at its present; what happens by it is delivered. It is not
    /// kept in the journal.
    pub(crate) fn with<T>(&self, act: impl FnOnce(&mut Sandbox) -> T) -> T {
        let mut sandbox = lock(&self.sandbox);
        sandbox.advance_to(self.clock.now().unix_seconds());
        let done = act(&mut sandbox);
        self.collect(&mut sandbox, None);
        done
    }

    /// Answers a request of the API; what changes something is kept.
    pub(crate) fn answer(&self, request: &ApiRequest, params: &str) -> ApiReply {
        let mut sandbox = lock(&self.sandbox);
        let now = self.clock.now();
        sandbox.advance_to(now.unix_seconds());
        let requests = sandbox.world.requests;
        let reply = sandbox.call(request);
        if request.method != Method::Get {
            self.keep(now, requests, Deed::Call(KeptCall::of(request, params)));
        }
        self.collect(&mut sandbox, None);
        reply
    }

    /// Does a deed and keeps it. What happens by it is delivered, by a plan of its own if there is
    /// one.
    pub(crate) fn perform(
        &self,
        deed: Deed,
        plan: Option<DeliveryPlan>,
    ) -> Result<Done, DeedError> {
        let mut sandbox = lock(&self.sandbox);
        let now = self.clock.now();
        sandbox.advance_to(now.unix_seconds());
        let requests = sandbox.world.requests;
        let done = deed.perform(&mut sandbox, &self.catalog, now);
        if done.as_ref().map_or_else(DeedError::may_leave_traces, |_| true) {
            self.keep(now, requests, deed);
        }
        self.collect(&mut sandbox, plan);
        done
    }

    /// Moves the clock ahead: everything that becomes due happens and is delivered.
    pub(crate) fn advance(&self, by: Duration) -> Timestamp {
        let now = self.clock.advance(by);
        let mut sandbox = lock(&self.sandbox);
        sandbox.advance_to(now.unix_seconds());
        self.keep(now, sandbox.world.requests, Deed::Clock);
        self.collect(&mut sandbox, None);
        self.wake.notify_one();
        now
    }

    fn keep(&self, now: Timestamp, requests: u64, deed: Deed) {
        let Some(journal) = &self.journal else { return };
        let entry = Entry { at: now.millis(), ahead: self.clock.ahead_ms(), requests, deed };
        if let Err(error) = lock(journal).write(&entry) {
            tracing::error!(%error, "the sandbox's journal cannot be written");
        }
    }

    /// Hands what happened since the last time to the courier and to listeners.
    fn collect(&self, sandbox: &mut Sandbox, plan: Option<DeliveryPlan>) {
        let mut courier = lock(&self.courier);
        let Some(first) = courier.first_unseen(sandbox.happenings().len()) else { return };
        let usual = plan.map(|plan| std::mem::replace(&mut courier.plan, plan));
        self.twin(sandbox, &mut courier, first);
        let endpoints = sandbox.endpoints();
        for happening in sandbox.happenings().iter().skip(first) {
            for endpoint in endpoints.iter().filter(|one| one.wants(happening.kind())) {
                courier.take(happening, &address(sandbox, endpoint), sandbox.now());
            }
            // Nobody listening is fine.
            self.news.send(happening.clone()).ok();
        }
        let told: Vec<String> =
            sandbox.happenings().iter().skip(first).map(|one| one.id().to_owned()).collect();
        for event in told {
            if let Some(state) = courier.progress(&event) {
                sandbox.record_delivery(&event, state);
            }
        }
        if let Some(usual) = usual {
            courier.plan = usual;
        }
        self.wake.notify_one();
    }

    /// Some events are followed by twins, where the plan has it so.
    fn twin(&self, sandbox: &mut Sandbox, courier: &mut Courier, first: usize) {
        let told: Vec<String> = sandbox
            .happenings()
            .iter()
            .skip(first)
            .filter(|event| courier.plan.has_twin(event.kind(), event.id()))
            .map(|event| event.id().to_owned())
            .collect();
        let now = self.clock.now();
        for event in told {
            let deed = Deed::Twin { event };
            if deed.perform(sandbox, &self.catalog, now).is_ok() {
                self.keep(now, sandbox.world.requests, deed);
            }
        }
        courier.first_unseen(sandbox.happenings().len());
    }

    /// Sends an event once more, to one endpoint or to all that want it. `false` where there is no
    /// such event or endpoint.
    pub(crate) fn resend(&self, event: &str, endpoint: Option<&str>) -> bool {
        let sandbox = lock(&self.sandbox);
        let Some(happening) = sandbox.happenings().iter().find(|one| one.id() == event) else {
            return false;
        };
        let endpoints = sandbox.endpoints();
        let meant: Vec<Address> = endpoints
            .iter()
            .filter(|one| match endpoint {
                Some(id) => one.id == id,
                None => one.wants(happening.kind()),
            })
            .map(|one| address(&sandbox, one))
            .collect();
        let mut courier = lock(&self.courier);
        for address in &meant {
            courier.resend(happening, address, self.clock.now().millis());
        }
        self.wake.notify_one();
        !meant.is_empty()
    }

    /// A customer's id, by itself or by the account or member it stands for.
    pub(crate) fn customer(&self, named: &str) -> String {
        let says = |customer: &Customer, key: &str| customer.metadata.get(key).cloned();
        // A member's customer names the account too.
        let names = |customer: &&Customer| match says(customer, "member_id") {
            Some(member) => member == named,
            None => says(customer, "account_id").is_some_and(|account| account == named),
        };
        let sandbox = lock(&self.sandbox);
        let found = sandbox.world.objects.newest_first::<Customer>().into_iter().find(names);
        found.map_or_else(|| named.to_owned(), |customer| customer.id.clone())
    }

    /// Something changed that may make deliveries due.
    pub(crate) fn wake(&self) {
        self.wake.notify_one();
    }

    /// Waits until nothing is due and nothing under way.
    pub(crate) async fn settled(&self) {
        let mut progress = self.progress.subscribe();
        loop {
            self.with(|_| ());
            progress.borrow_and_update();
            if lock(&self.courier).is_settled(self.clock.now().millis()) {
                return;
            }
            if progress.changed().await.is_err() {
                return;
            }
        }
    }

    /// Delivers what is due until `stop`.
    pub(crate) async fn deliver(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        let mut moves = self.clock.moves();
        let mut under_way = JoinSet::new();
        loop {
            self.with(|_| ());
            while let Some(parcel) = self.next() {
                under_way.spawn(Arc::clone(&self).send(parcel));
            }
            self.progress.send_modify(|count| *count = count.wrapping_add(1));
            let pause = self.pause();
            tokio::select! {
                () = self.wake.notified() => {}
                Some(_) = under_way.join_next() => {}
                Ok(()) = moves.changed() => {}
                () = tokio::time::sleep(pause) => {}
                _ = stop.wait_for(|stopped| *stopped) => return,
            }
        }
    }

    fn next(&self) -> Option<Parcel> {
        lock(&self.courier).next(self.clock.now().millis())
    }

    /// How long nothing becomes due, as far as is known.
    fn pause(&self) -> Duration {
        if !self.clock.is_running() {
            return PAUSE_MAX;
        }
        let now = self.clock.now().millis();
        let timer = lock(&self.sandbox).next_due().map(|due| due.saturating_mul(1000));
        let parcel = lock(&self.courier).next_due_ms().filter(|due| *due > now);
        let next = timer.into_iter().chain(parcel).min();
        let wait = next.map(|next| next.saturating_sub(now).max(1));
        let wait = wait.and_then(|wait| u64::try_from(wait).ok());
        wait.map_or(PAUSE_MAX, |wait| Duration::from_millis(wait).min(PAUSE_MAX))
    }

    async fn send(self: Arc<Self>, parcel: Parcel) {
        let endpoint = lock(&self.sandbox)
            .endpoints()
            .into_iter()
            .find(|one| one.id == parcel.endpoint && one.enabled);
        let Some(endpoint) = endpoint else {
            lock(&self.courier).drop_parcel(&parcel);
            return;
        };
        let pending = lock(&self.courier).progress(parcel.happening.id());
        let pending = pending.map_or(1, |progress| progress.pending);
        let shown = match endpoint.form {
            EventForm::Snapshot => parcel.happening.show(parcel.version, pending),
            EventForm::Thin => parcel.happening.show_thin(),
        };
        let body = pretty::print(&shown);
        let now = self.clock.now();
        let outcome = self.poster.post(&endpoint.url, &endpoint.secret, body, now).await;
        self.finish(parcel, outcome);
    }

    fn finish(&self, parcel: Parcel, outcome: Outcome) {
        let event = parcel.happening.id().to_owned();
        let mut sandbox = lock(&self.sandbox);
        let mut courier = lock(&self.courier);
        courier.settle(parcel, self.clock.now().millis(), outcome);
        if let Some(progress) = courier.progress(&event) {
            sandbox.record_delivery(&event, progress);
        }
    }
}
