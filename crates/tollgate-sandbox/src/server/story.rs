//! Stories told to a running sandbox. Owns: their options as JSON, and finding the story. Must not
//! know: what becomes of the events.

use serde::{Deserialize, Serialize};
use tollgate_domain::catalog::Interval;
use tollgate_domain::ids::{AccountId, MemberId};
use tollgate_domain::{Catalog, Timestamp};

use crate::event::Happening;
use crate::scenario::{Scenario, ScenarioError, ScenarioOptions};
use crate::single;
use crate::version::ApiVersion;

/// Most tellings at once.
const TIMES_MAX: u32 = 1_000;

/// A story, or one event of one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Story {
    /// The story's name, such as `dunning`; or `event` is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scenario: Option<String>,
    /// An event type, such as `invoice.paid`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event: Option<String>,
    /// The account it is about.
    pub account: String,
    /// The member who boosts or buys a badge.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub member: Option<String>,
    /// The plan bought or changed to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
    /// `month`, `year` or `once`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<String>,
    /// When it ends, in Unix milliseconds; now by default, and never later.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_ms: Option<i64>,
    /// Distinguishes tellings at one time.
    #[serde(default)]
    pub seed: u64,
    /// The version the story happens in, and that its events are delivered in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api_version: Option<String>,
    /// Told so often, each time with events of its own; at most 1000.
    #[serde(default = "once")]
    pub times: u32,
    /// Every event is delivered twice.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub duplicate: bool,
    /// Events are delivered in any order.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub shuffle: bool,
}

const fn once() -> u32 {
    1
}

/// Why a story is not told.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoryError {
    /// It cannot be told.
    #[error(transparent)]
    Scenario(#[from] ScenarioError),
    /// A field makes no sense.
    #[error("{field}: {why}")]
    Field {
        /// Its name.
        field: &'static str,
        /// Why not.
        why: String,
    },
}

impl Story {
    /// The version its events are to be delivered in; `None` for each endpoint's own.
    pub(crate) fn version(&self) -> Result<Option<ApiVersion>, StoryError> {
        let parsed = self.api_version.as_deref().map(ApiVersion::parse).transpose();
        parsed.map_err(|error| field("apiVersion", &error))
    }

    /// What happens in all tellings, in order.
    pub(crate) fn happenings(
        &self,
        catalog: &Catalog,
        now: Timestamp,
    ) -> Result<Vec<Happening>, StoryError> {
        let at = Timestamp::from_millis(self.at_ms.unwrap_or(now.millis()).min(now.millis()));
        let mut all = Vec::new();
        for telling in 0..self.times.clamp(1, TIMES_MAX) {
            let options = self.options(at, self.seed.wrapping_add(u64::from(telling)))?;
            match (&self.scenario, &self.event) {
                (Some(name), None) => {
                    all.extend(Scenario::find(name)?.happenings(catalog, &options)?);
                }
                (None, Some(kind)) => all.push(single::alone(kind, catalog, &options)?),
                _ => return Err(field("scenario", "exactly one of scenario and event is told")),
            }
        }
        Ok(all)
    }

    fn options(&self, at: Timestamp, seed: u64) -> Result<ScenarioOptions, StoryError> {
        let account = AccountId::parse(&self.account).map_err(|error| field("account", &error))?;
        let member = self.member.as_deref().map(MemberId::parse).transpose();
        let interval = match self.interval.as_deref() {
            None | Some("month") => Interval::Month,
            Some("year") => Interval::Year,
            Some("once") => Interval::OneTime,
            Some(_) => return Err(field("interval", "is month, year or once")),
        };
        let mut options = ScenarioOptions::new(account, at);
        options.member = member.map_err(|error| field("member", &error))?;
        options.plan.clone_from(&self.plan);
        options.interval = interval;
        options.seed = seed;
        options.api_version = self.version()?.unwrap_or_default();
        Ok(options)
    }
}

fn field(field: &'static str, why: &(impl ToString + ?Sized)) -> StoryError {
    StoryError::Field { field, why: why.to_string() }
}
