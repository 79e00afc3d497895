//! Test clocks. Owns: their shape. Must not know: what happens while they move.

use serde_json::{Value, json};

use super::Fields;

/// How long a test clock is kept, in seconds.
const KEPT_SECONDS: i64 = 30 * 86_400;

/// A time of its own for some customers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TestClock {
    pub(crate) id: String,
    pub(crate) name: Option<String>,
    pub(crate) created: i64,
    /// Unix seconds.
    pub(crate) frozen_time: i64,
    /// `ready` or `advancing`.
    pub(crate) status: &'static str,
}

impl TestClock {
    pub(crate) fn show(&self) -> Value {
        let details = if self.status == "advancing" {
            json!({"advancing": {"target_frozen_time": self.frozen_time}})
        } else {
            json!({})
        };
        let mut fields = Fields::new(&self.id, "test_helpers.test_clock");
        fields
            .put("created", self.created)
            .put("deletes_after", self.created.saturating_add(KEPT_SECONDS))
            .put("frozen_time", self.frozen_time)
            .put("livemode", false)
            .put("name", self.name.clone())
            .put("status", self.status)
            .put("status_details", details);
        fields.done()
    }
}
