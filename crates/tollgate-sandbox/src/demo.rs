//! Demonstration data. Owns: the accounts a fresh installation shows. Must not know: how they get
//! into an engine.

use tollgate_domain::ids::{AccountId, MemberId};
use tollgate_domain::{Catalog, Timestamp};

use crate::event::{Happening, StripeEvent};
use crate::scenario::{Scenario, ScenarioError, ScenarioOptions};
use crate::version::ApiVersion;

/// One account and how it came to its state.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DemoAccount {
    /// The account.
    pub account: AccountId,
    /// What is to be seen on it, in one line.
    pub description: &'static str,
    /// What happened to it, in Stripe's order.
    pub happenings: Vec<Happening>,
}

impl DemoAccount {
    /// Its events, in the newest version.
    pub fn events(&self) -> Vec<StripeEvent> {
        self.happenings.iter().map(|one| one.render(ApiVersion::default())).collect()
    }
}

/// `(account, story, hours since its end, description)`. `acme` is in good standing, so that it
/// can be made to fail.
const ACCOUNTS: [(&str, &str, i64, &str); 7] = [
    ("acme", "checkout", 12 * 24, "pays for a plan"),
    ("globex", "trial", 48, "tries a plan"),
    ("initech", "dunning", 3, "has a failed renewal and is in its grace"),
    ("hooli", "cancel_at_period_end", 24, "has cancelled to the end of its period"),
    ("umbrella", "upgrade", 6, "has moved to a higher plan"),
    ("soylent", "boost", 30, "is boosted by a member"),
    ("tyrell", "badge", 5, "has a member with a bought badge"),
];

/// The accounts of a demonstration that is shown at an instant. Stories a catalog has nothing to
/// sell for are left out; an error means that it sells nothing by the month.
pub fn accounts(catalog: &Catalog, at: Timestamp) -> Result<Vec<DemoAccount>, ScenarioError> {
    let mut accounts = Vec::with_capacity(ACCOUNTS.len());
    for (name, story, hours, description) in ACCOUNTS {
        // The names above are ids; a test builds them all.
        let Ok(account) = AccountId::parse(name) else { continue };
        let mut options = ScenarioOptions::new(account.clone(), at.plus_hours(-hours));
        options.member = MemberId::parse("chani").ok();
        match Scenario::find(story)?.happenings(catalog, &options) {
            Ok(happenings) => accounts.push(DemoAccount { account, description, happenings }),
            Err(ScenarioError::NotOffered { .. } | ScenarioError::NoNeighbour { .. }) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(accounts)
}
