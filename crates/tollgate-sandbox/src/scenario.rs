//! Scenarios. Owns: the stories that can be told, their names and options. Must not know: how an
//! event is written or sent.
//!
//! A story ends at the time it is given: what came before is told with earlier times. Two stories
//! for one account speak of the same customer and the same subscription, unless asked for fresh
//! ones; told twice with the same options, a story has the same events to the byte.

use tollgate_domain::catalog::{Interval, Plan};
use tollgate_domain::ids::{AccountId, MemberId};
use tollgate_domain::{Catalog, Timestamp};

use crate::event::{Happening, StripeEvent};
use crate::id::Ids;
use crate::object::price::Price;
use crate::offer;
use crate::suggestion::{closest, hint};
use crate::version::ApiVersion;
use crate::world::World;

mod dunning;
pub(crate) mod odds;
mod purchase;
mod subscription;

/// Why a story cannot be told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScenarioError {
    /// No story has this name.
    #[error("no scenario is called {name:?}{hint}; `tollgate trigger list` shows them all")]
    UnknownScenario {
        /// The name asked for.
        name: String,
        /// What may have been meant.
        hint: String,
    },
    /// No event type has this name.
    #[error("no event {kind:?} can be made{hint}; `tollgate trigger list` shows them all")]
    UnknownEvent {
        /// The type asked for.
        kind: String,
        /// What may have been meant.
        hint: String,
    },
    /// The catalog has no such plan.
    #[error("the catalog has no plan {plan:?}; it has {known}")]
    UnknownPlan {
        /// The plan asked for.
        plan: String,
        /// The plans there are.
        known: String,
    },
    /// The plan is not sold at this interval.
    #[error("the plan {plan:?} has no {interval} price; plans that have one: {sold}")]
    NotSold {
        /// The plan asked for.
        plan: String,
        /// The interval asked for.
        interval: &'static str,
        /// Plans that are sold at it.
        sold: String,
    },
    /// The catalog sells nothing at this interval.
    #[error("the catalog sells no plan with a {interval} price")]
    NothingSold {
        /// The interval asked for.
        interval: &'static str,
    },
    /// The catalog does not sell what the story is about.
    #[error("the catalog sells no {what}")]
    NotOffered {
        /// What the story is about.
        what: &'static str,
    },
    /// There is no plan to change from or to.
    #[error("no plan is sold {direction} {plan:?}, so there is nothing to change")]
    NoNeighbour {
        /// `above` or `below`.
        direction: &'static str,
        /// The plan asked for.
        plan: String,
    },
    /// An override does not fit the object.
    #[error(transparent)]
    Override(#[from] crate::overrides::OverrideError),
}

/// What a story is told about.
#[derive(Debug, Clone)]
pub struct ScenarioOptions {
    /// The account.
    pub account: AccountId,
    /// The member who boosts or buys a badge; `member-1` when none is named.
    pub member: Option<MemberId>,
    /// The plan: the one bought, or the one changed to. The usual one when none is named.
    pub plan: Option<String>,
    /// How often it is paid.
    pub interval: Interval,
    /// How many boosts are bought.
    pub quantity: u32,
    /// When the story ends: now.
    pub at: Timestamp,
    /// Distinguishes tellings of one story at one time.
    pub seed: u64,
    /// The version events are written in. Before basil, checkout also goes another way.
    pub api_version: ApiVersion,
    /// With a customer and a subscription of its own, used by no other story.
    pub fresh: bool,
}

impl ScenarioOptions {
    /// The usual options for an account: the usual plan by the month, in the newest version.
    pub fn new(account: AccountId, at: Timestamp) -> Self {
        Self {
            account,
            member: None,
            plan: None,
            interval: Interval::Month,
            quantity: 3,
            at,
            seed: 0,
            api_version: ApiVersion::Endive,
            fresh: false,
        }
    }
}

/// One story.
#[derive(Debug, Clone, Copy)]
pub struct Scenario {
    /// Its name, such as `dunning`.
    pub name: &'static str,
    /// What happens, in one line.
    pub description: &'static str,
    tell: fn(&mut Telling<'_>) -> Result<(), ScenarioError>,
}

/// All stories, those of a subscription first.
const SCENARIOS: [Scenario; 22] = [
    story("checkout", "An account buys a plan and pays by card", subscription::checkout),
    story("trial", "An account begins a trial of a plan", subscription::trial),
    story(
        "trial_converted",
        "A trial ends and its first invoice is paid",
        subscription::trial_converted,
    ),
    story("renewal", "A subscription renews and the invoice is paid", subscription::renewal),
    story("upgrade", "A subscription moves to a higher plan at once", subscription::upgrade),
    story("downgrade", "A subscription moves to a lower plan at once", subscription::downgrade),
    story("cancel", "A subscription is cancelled at once", subscription::cancel),
    story(
        "cancel_at_period_end",
        "A subscription is cancelled to the end of its period",
        subscription::cancel_later,
    ),
    story("pause", "A subscription is paused by its owner", subscription::pause),
    story("resume", "A paused subscription is resumed", subscription::resume),
    story(
        "two_subscriptions",
        "An account holds two subscriptions of different plans",
        subscription::two,
    ),
    story("dunning", "A renewal's first payment fails now; the grace begins", dunning::begins),
    story("dunning_recovered", "A failed renewal is paid at the third attempt", dunning::recovered),
    story(
        "dunning_canceled",
        "A renewal fails four times and the subscription ends",
        dunning::canceled,
    ),
    story("badge", "A member buys a score badge", purchase::badge),
    story("boost", "A member boosts the account", purchase::boost),
    story("boost_canceled", "A member's boosts end", purchase::boost_canceled),
    story("grant", "An account buys a plan for a span of time", purchase::grant),
    story("refund", "A purchase is refunded, first in part, then in full", purchase::refund),
    story("dispute", "A purchase is disputed and the dispute lost", purchase::dispute),
    story(
        "async_payment",
        "A one-time purchase whose payment arrives two days later",
        purchase::delayed,
    ),
    story(
        "async_payment_failed",
        "A one-time purchase whose payment never arrives",
        purchase::delayed_failed,
    ),
];

const fn story(
    name: &'static str,
    description: &'static str,
    tell: fn(&mut Telling<'_>) -> Result<(), ScenarioError>,
) -> Scenario {
    Scenario { name, description, tell }
}

impl Scenario {
    /// All stories.
    pub fn list() -> &'static [Self] {
        &SCENARIOS
    }

    /// A story by name.
    pub fn find(name: &str) -> Result<Self, ScenarioError> {
        let found = SCENARIOS.iter().find(|scenario| scenario.name == name).copied();
        found.ok_or_else(|| ScenarioError::UnknownScenario {
            name: name.chars().take(80).collect(),
            hint: hint(closest(name, SCENARIOS.iter().map(|scenario| scenario.name))),
        })
    }

    pub(crate) fn tell(&self, telling: &mut Telling<'_>) -> Result<(), ScenarioError> {
        (self.tell)(telling)
    }

    /// The events of a story by name, in the order Stripe makes them and in the version of the
    /// options.
    pub fn build(
        name: &str,
        catalog: &Catalog,
        options: &ScenarioOptions,
    ) -> Result<Vec<StripeEvent>, ScenarioError> {
        let happenings = Self::find(name)?.happenings(catalog, options)?;
        Ok(happenings.iter().map(|happening| happening.render(options.api_version)).collect())
    }

    /// What happens in a story, to be written in one version or each event in its own.
    pub fn happenings(
        &self,
        catalog: &Catalog,
        options: &ScenarioOptions,
    ) -> Result<Vec<Happening>, ScenarioError> {
        let mut telling = Telling::new(self.name, catalog, options);
        self.tell(&mut telling)?;
        Ok(telling.world.into_happenings())
    }
}

/// A story while it is told.
pub(crate) struct Telling<'a> {
    pub(crate) world: World,
    pub(crate) options: &'a ScenarioOptions,
    pub(crate) catalog: &'a Catalog,
    /// When it ends, in Unix seconds.
    pub(crate) at: i64,
}

impl<'a> Telling<'a> {
    pub(crate) fn new(name: &str, catalog: &'a Catalog, options: &'a ScenarioOptions) -> Self {
        let account = options.account.as_str();
        let at = options.at.unix_seconds();
        let once = format!("{account}\0{name}\0{at}\0{}", options.seed);
        let objects = if options.fresh { once.as_str() } else { account };
        let ids = (Ids::new(objects), Ids::new(&once));
        Self::with_ids(catalog, options, ids)
    }

    /// A telling whose ids are made otherwise.
    pub(crate) fn with_ids(
        catalog: &'a Catalog,
        options: &'a ScenarioOptions,
        ids: (Ids, Ids),
    ) -> Self {
        let at = options.at.unix_seconds();
        let mut world = World::new(options.account.as_str(), ids, options.api_version);
        world.now = at;
        Self { world, options, catalog, at }
    }

    /// The plan asked for, or the usual one.
    pub(crate) fn plan(&self) -> Result<&'a Plan, ScenarioError> {
        offer::plan(self.catalog, self.options.plan.as_deref(), self.options.interval)
    }

    /// The price of a plan at the interval asked for.
    pub(crate) fn price(&self, plan: &Plan) -> Result<Price, ScenarioError> {
        offer::plan_price(self.catalog, plan, self.options.interval)
    }

    /// The member of the story.
    pub(crate) fn member(&self) -> &'a str {
        self.options.member.as_ref().map_or("member-1", MemberId::as_str)
    }

    /// A time before the end of the story, in Unix seconds.
    pub(crate) fn before(&self, seconds: i64) -> i64 {
        self.at.saturating_sub(seconds)
    }

    /// A key that no other telling at another time or with another seed has.
    pub(crate) fn once(&self, key: &str) -> String {
        format!("{key}/{}/{}", self.options.seed, self.at)
    }
}
