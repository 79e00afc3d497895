//! Load. Owns: a great many events of a great many customers, cheap to make: one life is told, and
//! each customer's events are that life with other ids. Must not know: how they are sent.

use tollgate_domain::Catalog;

use crate::id::{Ids, base62};
use crate::scenario::{Scenario, ScenarioError, ScenarioOptions, Telling};

/// The text in every id of the template that is replaced for each customer.
const MARKER: &str = "TgLoad0000";

/// The account of the template; it carries the marker.
const ACCOUNT: &str = "load-TgLoad0000";

/// The steps of a life: `(story, event type)`, each the last of its type in its story. Steps of one
/// story stand together and in its order, so that they share its time and its objects.
const STEPS: [(&str, &str); STEPS_COUNT] = [
    ("checkout", "customer.subscription.created"),
    ("checkout", "invoice.paid"),
    ("checkout", "checkout.session.completed"),
    ("upgrade", "customer.subscription.updated"),
    ("upgrade", "invoice.paid"),
    ("dunning", "invoice.payment_failed"),
    ("dunning", "customer.subscription.updated"),
    ("dunning_recovered", "invoice.payment_succeeded"),
    ("dunning_recovered", "customer.subscription.updated"),
    ("cancel_at_period_end", "customer.subscription.updated"),
    ("cancel", "customer.subscription.deleted"),
];

/// Events in the life of one customer.
pub const STEPS_COUNT: usize = 11;

/// Seconds between two stories of a life.
const STORY_SECONDS: i64 = 60;

/// One event of the load.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoadEvent {
    /// The event's id.
    pub id: String,
    /// The event's type.
    pub kind: &'static str,
    /// The body as Stripe would send it.
    pub body: String,
}

/// The lives of a number of customers.
#[derive(Debug, Clone)]
pub struct Load {
    customers: usize,
    seed: u64,
    steps: Vec<Template>,
}

/// A body cut where the marker stood.
#[derive(Debug, Clone)]
struct Template {
    kind: &'static str,
    id: Vec<String>,
    body: Vec<String>,
}

impl Load {
    /// Lives of so many customers, each [`STEPS_COUNT`] events long and ending at the options'
    /// time. Account, member and freshness of the options do not matter; equal seeds give equal
    /// loads, other seeds other ids.
    pub fn new(
        catalog: &Catalog,
        options: &ScenarioOptions,
        customers: usize,
    ) -> Result<Self, ScenarioError> {
        let mut steps = Vec::with_capacity(STEPS_COUNT);
        let (mut back_seconds, mut told) = (0, "cancel");
        for (story, kind) in STEPS.into_iter().rev() {
            if story != told {
                (back_seconds, told) = (back_seconds + STORY_SECONDS, story);
            }
            steps.push(template(catalog, options, (story, kind), back_seconds)?);
        }
        steps.reverse();
        Ok(Self { customers, seed: options.seed, steps })
    }

    /// How many events there are in all.
    pub fn len(&self) -> usize {
        self.customers.saturating_mul(self.steps.len())
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The account of a customer, counted from 0.
    pub fn account(&self, customer: usize) -> String {
        ACCOUNT.replace(MARKER, &self.mark(customer))
    }

    /// An event by its place in the whole: the first step of every customer, then the second of
    /// every customer, and so on. `None` beyond the end.
    pub fn event(&self, index: usize) -> Option<LoadEvent> {
        let step = self.steps.get(index.checked_div(self.customers)?)?;
        let mark = self.mark(index.checked_rem(self.customers)?);
        Some(LoadEvent { id: step.id.join(&mark), kind: step.kind, body: step.body.join(&mark) })
    }

    /// All events by their places.
    pub fn events(&self) -> impl Iterator<Item = LoadEvent> + '_ {
        (0..self.len()).filter_map(|index| self.event(index))
    }

    /// Ten letters and digits that stand for a customer of this seed.
    fn mark(&self, customer: usize) -> String {
        let customer = u64::try_from(customer).unwrap_or(u64::MAX);
        format!("{}{}", base62(self.seed, 5), base62(customer, 5))
    }
}

fn template(
    catalog: &Catalog,
    options: &ScenarioOptions,
    (story, kind): (&str, &str),
    back_seconds: i64,
) -> Result<Template, ScenarioError> {
    let unknown = || ScenarioError::UnknownEvent { kind: kind.to_owned(), hint: String::new() };
    let account = tollgate_domain::ids::AccountId::parse(ACCOUNT).map_err(|_| unknown())?;
    let options = ScenarioOptions {
        account,
        at: options.at.plus_ms(-back_seconds.saturating_mul(1_000)),
        seed: 0,
        ..options.clone()
    };
    let ids = (Ids::marked(ACCOUNT, MARKER), Ids::marked(&format!("{ACCOUNT}/{story}"), MARKER));
    let mut telling = Telling::with_ids(catalog, &options, ids);
    Scenario::find(story)?.tell(&mut telling)?;
    let happenings = telling.world.into_happenings();
    let found = happenings.iter().rev().find(|happening| happening.kind() == kind);
    let happening = found.ok_or_else(unknown)?;
    let event = happening.render(options.api_version);
    let cut = |text: &str| text.split(MARKER).map(str::to_owned).collect();
    Ok(Template { kind: happening.kind(), id: cut(&event.id), body: cut(&event.body) })
}
