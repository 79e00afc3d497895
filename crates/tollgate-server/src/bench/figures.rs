//! Figures. Owns: rates, ratios, percentiles and medians of what was measured. Must not know: what
//! was measured.
#![expect(clippy::float_arithmetic, reason = "rates and ratios of measurements, no money")]

use std::time::Duration;

use serde::Serialize;

use super::client::Sample;

/// One measurement, or the median of several.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Figure {
    /// Right replies a second.
    pub per_second: f64,
    /// Median latency, in milliseconds.
    pub p50_ms: f64,
    /// 99th percentile of the latency, in milliseconds.
    pub p99_ms: f64,
    /// Greatest latency, in milliseconds.
    pub max_ms: f64,
    /// Right replies.
    pub count: u64,
    /// Replies that were no 2xx, connections that broke, replies that said something else.
    pub failed: u64,
    /// Processor time of the server per reply, in microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server_cpu_us: Option<f64>,
    /// Processor time of the database's own processes per reply, in microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database_cpu_us: Option<f64>,
}

/// Processor time used by server and database while something was measured.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct CpuUsed {
    pub(super) server: Option<Duration>,
    pub(super) database: Option<Duration>,
}

impl CpuUsed {
    /// What was used since an earlier look.
    pub(super) fn since(self, before: Self) -> Self {
        let used = |now: Option<Duration>, before: Option<Duration>| {
            now.zip(before).map(|(now, before)| now.saturating_sub(before))
        };
        Self {
            server: used(self.server, before.server),
            database: used(self.database, before.database),
        }
    }
}

impl Figure {
    /// The figures of what came back.
    pub(super) fn of(sample: &Sample, cpu: CpuUsed) -> Self {
        let mut latencies = sample.latencies_us.clone();
        latencies.sort_unstable();
        let count = u64::try_from(latencies.len()).unwrap_or(u64::MAX);
        let each = |time: Duration| ratio(micros(time), number(count));
        Self {
            per_second: ratio(number(count), sample.elapsed.as_secs_f64()),
            p50_ms: ms(percentile(&latencies, 50)),
            p99_ms: ms(percentile(&latencies, 99)),
            max_ms: ms(latencies.last().copied().unwrap_or(0)),
            count,
            failed: sample.refused + sample.broken + sample.unexpected,
            server_cpu_us: cpu.server.map(each),
            database_cpu_us: cpu.database.map(each),
        }
    }

    /// Of each figure the median; counts are summed.
    pub(super) fn median(rounds: &[Self]) -> Self {
        let of = |field: fn(&Self) -> f64| median(rounds.iter().map(field));
        let cpu = |field: fn(&Self) -> Option<f64>| {
            let known: Option<Vec<f64>> = rounds.iter().map(field).collect();
            known.filter(|known| !known.is_empty()).map(median)
        };
        Self {
            per_second: of(|figure| figure.per_second),
            p50_ms: of(|figure| figure.p50_ms),
            p99_ms: of(|figure| figure.p99_ms),
            max_ms: of(|figure| figure.max_ms),
            count: rounds.iter().map(|figure| figure.count).sum(),
            failed: rounds.iter().map(|figure| figure.failed).sum(),
            server_cpu_us: cpu(|figure| figure.server_cpu_us),
            database_cpu_us: cpu(|figure| figure.database_cpu_us),
        }
    }

    /// Processor time of server and database together per reply, in microseconds.
    pub fn cpu_us(&self) -> Option<f64> {
        let server = self.server_cpu_us?;
        Some(server + self.database_cpu_us.unwrap_or(0.0))
    }
}

/// One measured beside another in the same rounds.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Pair {
    /// The one measured.
    pub ours: Figure,
    /// The one it is compared with.
    pub other: Figure,
    /// Median over the rounds of the ratio of rates.
    pub rate_ratio: f64,
    /// Median over the rounds of the ratio of 99th percentiles.
    pub p99_ratio: f64,
}

impl Pair {
    /// Round for round.
    pub(super) fn of(ours: &[Figure], other: &[Figure]) -> Self {
        let rounds = || ours.iter().zip(other);
        Self {
            ours: Figure::median(ours),
            other: Figure::median(other),
            rate_ratio: median(rounds().map(|(a, b)| ratio(a.per_second, b.per_second))),
            p99_ratio: median(rounds().map(|(a, b)| ratio(a.p99_ms, b.p99_ms))),
        }
    }
}

/// `0` where there is nothing to divide by.
pub(super) fn ratio(part: f64, whole: f64) -> f64 {
    if whole > 0.0 { part / whole } else { 0.0 }
}

/// [`ratio`] in percent.
pub(super) fn percent(part: f64, whole: f64) -> f64 {
    ratio(part, whole) * 100.0
}

/// The middle one, of an even number the mean of the two.
pub(super) fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut values: Vec<f64> = values.into_iter().collect();
    values.sort_by(f64::total_cmp);
    let upper = values.get(values.len() / 2).copied().unwrap_or(0.0);
    let lower = values.get(values.len().saturating_sub(1) / 2).copied().unwrap_or(0.0);
    f64::midpoint(lower, upper)
}

/// Nearest rank; `sorted` rises.
fn percentile(sorted: &[u32], percent: usize) -> u32 {
    let rank = sorted.len().saturating_mul(percent).div_ceil(100);
    sorted.get(rank.saturating_sub(1)).copied().unwrap_or(0)
}

/// Counts as a fraction; exact far beyond what can be counted here.
#[expect(clippy::cast_precision_loss, reason = "exact up to 2^53")]
pub(super) const fn number(count: u64) -> f64 {
    count as f64
}

/// Half of a rate, as a whole number.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates")]
pub(super) const fn half_of(per_second: f64) -> u32 {
    (per_second / 2.0) as u32
}

/// How many are surely not used up in so many seconds, given a first look at the rate.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates")]
pub(super) fn enough_for(per_second: f64, seconds: u32) -> usize {
    (per_second.mul_add(2.0, 1000.0) * f64::from(seconds)) as usize
}

/// A duration in milliseconds.
pub(super) fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

fn ms(us: u32) -> f64 {
    f64::from(us) / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    fn near(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-9
    }

    #[test]
    fn medians_and_percentiles_are_the_usual_ones() {
        assert!(near(median([3.0, 1.0, 2.0]), 2.0));
        assert!(near(median([4.0, 1.0, 2.0, 3.0]), 2.5));
        assert!(near(median([]), 0.0));
        let hundred: Vec<u32> = (1..=100).collect();
        assert_eq!((percentile(&hundred, 50), percentile(&hundred, 99)), (50, 99));
        assert_eq!((percentile(&[7], 99), percentile(&[], 99)), (7, 0));
    }

    #[test]
    fn a_figure_counts_what_is_right_and_divides_the_cpu_by_it() {
        let sample = Sample {
            latencies_us: vec![1000; 500],
            refused: 2,
            broken: 1,
            unexpected: 1,
            elapsed: Duration::from_millis(250),
        };
        let cpu = CpuUsed { server: Some(Duration::from_millis(10)), database: None };
        let figure = Figure::of(&sample, cpu);
        assert!(near(figure.per_second, 2000.0) && near(figure.p99_ms, 1.0));
        assert_eq!((figure.count, figure.failed), (500, 4));
        assert!(figure.server_cpu_us.is_some_and(|us| near(us, 20.0)));
        assert!(figure.cpu_us().is_some_and(|us| near(us, 20.0)));
        assert!(Figure::median(&[figure.clone(), figure]).database_cpu_us.is_none());
    }
}
