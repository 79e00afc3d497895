//! The period a metered feature is counted in. Owns: where a period begins and ends. Must not
//! know: counts.

use crate::catalog::MeterPeriod;
use crate::time::Timestamp;

use super::Resolution;

impl Resolution {
    /// The period that `at` lies in: its first instant and the first instant after it. `at` is
    /// the instant of the use, which may be later than the instant that was resolved.
    ///
    /// A billing period that is over without news of the next one goes on in periods of the same
    /// length, so that a late event hands out no second quota: the next period Stripe reports
    /// begins where this one ended.
    pub fn meter_span(&self, period: MeterPeriod, at: Timestamp) -> (Timestamp, Timestamp) {
        match (period, self.billing_period) {
            (MeterPeriod::BillingPeriod, Some((start, end))) if at >= start && start < end => {
                let length = end.millis().saturating_sub(start.millis());
                let elapsed = at.millis().saturating_sub(start.millis());
                let begun = start.plus_ms(elapsed.div_euclid(length).saturating_mul(length));
                (begun, begun.plus_ms(length))
            }
            (MeterPeriod::BillingPeriod | MeterPeriod::CalendarMonth, _) => {
                (at.month_start(), at.next_month_start())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::resolve::resolve;
    use super::super::scenario::{read, text, time};
    use super::*;

    fn span(scenario: &str, period: MeterPeriod, at: &str) -> String {
        let (catalog, facts) = read(scenario);
        let (from, to) = resolve(&facts, &catalog, time("0d")).meter_span(period, time(at));
        format!("{}..{}", text(from), text(to))
    }

    #[test]
    fn periods_roll_at_their_instant() {
        let month = |at| span("", MeterPeriod::CalendarMonth, at);
        assert_eq!(month("30d23h59m59s999ms"), "0d..31d");
        assert_eq!(month("31d"), "31d..59d");
        let paid = "sub s premium active @0d period=5d..35d";
        let billing = |at| span(paid, MeterPeriod::BillingPeriod, at);
        assert_eq!(billing("34d23h59m59s999ms"), "5d..35d");
        assert_eq!(billing("35d"), "35d..65d");
        assert_eq!(billing("100d"), "95d..125d");
        assert_eq!(billing("4d"), "0d..31d");
        assert_eq!(span("", MeterPeriod::BillingPeriod, "4d"), "0d..31d");
    }
}
