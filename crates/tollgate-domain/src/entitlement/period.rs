//! The period a metered feature is counted in. Owns: where a period begins and ends. Must not
//! know: counts.

use crate::catalog::MeterPeriod;
use crate::time::Timestamp;

use super::Resolution;

/// First instant of the period and first instant after it.
///
/// A billing period that is over without news of the next one goes on in periods of the same
/// length, so that a late event hands out no second quota: the next period Stripe reports begins
/// where this one ended.
pub fn meter_period(
    period: MeterPeriod,
    resolution: &Resolution,
    at: Timestamp,
) -> (Timestamp, Timestamp) {
    match (period, resolution.billing_period) {
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
