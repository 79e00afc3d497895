//! What every request and every worker can reach. Owns: how the parts are put together. Must not
//! know: what a part does inside, how the engine starts and stops (see `run`).

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tollgate_domain::catalog::FeatureKind;
use tollgate_store::Db;
use tollgate_stripe::{SigningSecret, StripeClient};

use crate::api::auth::{Caller, KeyTable, Reach};
use crate::api::body::BodyBudget;
use crate::api::client_address::Head;
use crate::api::cors::Cors;
use crate::api::error::ApiError;
use crate::api::limits::{Class, Limits};
use crate::billing::gate::Gates;
use crate::billing::prices::PriceCache;
use crate::cache::EntitlementCache;
use crate::clock::Clock;
use crate::config::{Config, Livemode};
use crate::engine::{Engine, EngineParts};
use crate::episodes::Episodes;
use crate::findings::FindingCounts;
use crate::intake::{Intake, IntakeParts, Queue};
use crate::listener::{Admission, ConnectionCount};
use crate::metrics::{Metrics, ReasonLabel};
use crate::readiness::Readiness;
use crate::scope::Scope;
use crate::stripe::{self, DatabaseGuard, StripeContact};
use crate::supervisor::{OnTurn, Supervisor};

/// Everything a request can reach.
#[derive(Debug)]
pub struct App {
    /// The checked configuration.
    pub config: Config,
    /// The present.
    pub clock: Clock,
    /// Reads.
    pub engine: Engine,
    /// Writes.
    pub intake: Arc<Intake>,
    /// The queue in front of the writes.
    pub queue: Queue,
    /// Live API keys.
    pub keys: KeyTable,
    /// Secrets of webhook signatures.
    pub secrets: Vec<SigningSecret>,
    /// Counters.
    pub metrics: Arc<Metrics>,
    /// Cross-origin rules.
    pub cors: Cors,
    /// Calls to Stripe; `None` without a key.
    pub stripe: Option<StripeClient>,
    /// Whether the key opens the account the data belongs to.
    pub stripe_guard: DatabaseGuard,
    /// Stripe's prices as they were last read.
    pub prices: PriceCache,
    /// Counts of open findings.
    pub findings: FindingCounts,
    /// Who is buying or changing something now.
    pub gates: Gates,
    /// Watches over background tasks.
    pub supervisor: Supervisor,
    /// Memory for the bodies of requests.
    pub bodies: BodyBudget,
    /// Whether the database can be used.
    pub readiness: Readiness,
    /// Whether Stripe can be reached.
    pub stripe_contact: StripeContact,
    /// Connections that were not admitted.
    connections_refused: Episodes,
    /// Deliveries that were not acknowledged.
    pub webhooks_refused: Episodes,
    /// Requests that could not be answered for want of the database.
    pub requests_failed: Episodes,
    /// Open connections.
    pub connections: ConnectionCount,
    /// Who has asked how often.
    pub(crate) limits: Limits,
    features: HashMap<String, (usize, FeatureKind)>,
    stopping: AtomicBool,
}

impl App {
    /// The caller behind a request, if it has the scope and may ask about so many accounts.
    pub async fn authenticate(
        &self,
        head: Head<'_>,
        scope: Scope,
        reach: Reach,
    ) -> Result<Arc<Caller>, ApiError> {
        let now = self.clock.now();
        // Read only where it is needed: most requests have a key that is known.
        let client = || head.client(&self.config);
        let strange = || self.may_not_fail(Class::Unauthorized, client());
        let db = &self.engine.db;
        let found = self.keys.authenticate(head.headers, scope, db, now, strange).await;
        let caller = found.map_err(|error| {
            let unauthorized = matches!(error, ApiError::KeyMissing | ApiError::KeyInvalid);
            if unauthorized { self.failed(Class::Unauthorized, client(), error) } else { error }
        })?;
        if reach == Reach::All {
            caller.may_ask_about_all()?;
        }
        self.keys.note_used(&caller, now);
        Ok(caller)
    }

    /// Where a feature stands in the catalog, and its kind.
    pub fn feature_position(&self, key: &str) -> Option<(usize, FeatureKind)> {
        self.features.get(key).copied()
    }

    /// Says that the engine is stopping: it is not ready any more.
    pub fn begin_to_stop(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    /// Whether the engine is stopping.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }
}

impl App {
    /// Puts the parts together. Nothing runs yet: see [`crate::run`], and [`Queue::write`] for
    /// whoever needs no more than the queue.
    pub fn build(config: Config, clock: Clock, db: Db, on_turn: Option<OnTurn>) -> Arc<Self> {
        let secrets = config.signing_secrets();
        let catalog = Arc::new(config.catalog.clone());
        let metrics = Arc::new(Metrics::new());
        let cache = Arc::new(EntitlementCache::new(config.cache.accounts_max));
        let mut limits = config.intake.clone();
        if config.database_url.is_sqlite() {
            limits.writers = 1;
        }
        let stripe_guard = DatabaseGuard::new(db.clone(), &config.catalog);
        let stripe_contact = StripeContact::default();
        let stripe = stripe::client(&config.stripe, &metrics, &stripe_guard, &stripe_contact);
        let intake = Arc::new(Intake::new(IntakeParts {
            db: db.clone(),
            catalog: Arc::clone(&catalog),
            clock: clock.clone(),
            cache: Arc::clone(&cache),
            metrics: Arc::clone(&metrics),
            limits,
            workers: config.workers.clone(),
            instance: format!("{}-{:08x}", std::process::id(), fastrand::u32(..)),
            asks: stripe.is_some(),
            match_email: config.match_email,
            livemode: config.stripe.mode.map(|mode| mode == Livemode::Live),
        }));
        let supervisor = Supervisor::new(Arc::clone(&metrics), on_turn);
        let queue = Queue::new(&intake);
        let features = catalog.features.values().enumerate();
        let features = features.map(|(at, f)| (f.key.to_string(), (at, f.kind))).collect();
        let engine = Engine::new(EngineParts {
            db,
            catalog,
            clock: clock.clone(),
            cache,
            metrics: Arc::clone(&metrics),
        });
        Arc::new(Self {
            supervisor,
            cors: Cors::new(&config.http.cors_origins),
            limits: Limits::new(&config.rate),
            keys: KeyTable::default(),
            stripe,
            stripe_guard,
            prices: PriceCache::default(),
            findings: FindingCounts::default(),
            gates: Gates::default(),
            readiness: Readiness::default(),
            stripe_contact,
            connections_refused: Episodes::new("connections are refused"),
            webhooks_refused: Episodes::new("webhooks are refused"),
            requests_failed: Episodes::new("requests cannot be answered"),
            connections: ConnectionCount::default(),
            bodies: BodyBudget::new(config.http.bodies_bytes_max),
            stopping: AtomicBool::new(false),
            engine,
            intake,
            queue,
            secrets,
            metrics,
            features,
            clock,
            config,
        })
    }

    /// Counts a connection that was not admitted.
    pub fn count_refused_connection(&self, why: Admission) {
        let reason = match why {
            Admission::Admitted => return,
            Admission::Full => "full",
            Admission::AddressFull => "address",
        };
        self.metrics.connections_refused.get_or_create(&ReasonLabel { reason }).inc();
        self.connections_refused.note(reason, self.config.http.connections_max);
    }

    /// Says of what has not happened for a while that it has ended.
    pub fn end_quiet_episodes(&self) {
        self.connections_refused.end_quiet();
        self.webhooks_refused.end_quiet();
        self.requests_failed.end_quiet();
        self.intake.end_quiet_episodes();
        self.supervisor.end_quiet_episodes();
    }
}
