//! How deliveries go. Owns: which of them are lost, late, doubled, twinned, out of order or in
//! another version, drawn from a seed. Must not know: how a delivery is made.

use serde::{Deserialize, Serialize};

use super::faults::matches;
use crate::version::ApiVersion;

/// How events are delivered; by default each once, at once and in Stripe's order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default, deny_unknown_fields)]
pub struct DeliveryPlan {
    /// Decides everything below; the same events meet the same fate.
    pub seed: u64,
    /// Only events of these types, `*` standing for any text; all where none is named. The others
    /// are delivered as usual.
    pub types: Vec<String>,
    /// Of a hundred deliveries, how many never arrive; 100 for all.
    pub lose_percent: u8,
    /// Of a hundred deliveries, how many are made twice.
    pub duplicate_percent: u8,
    /// Of a hundred events, how many are followed by a twin: the same change told once more, under
    /// an event id of its own.
    pub twin_percent: u8,
    /// The longest delay of a delivery, by the sandbox's clock; every delivery draws its own.
    pub delay_max_s: u32,
    /// What is due is delivered in any order.
    pub shuffle: bool,
    /// Versions to draw from instead of the endpoint's own.
    #[serde(with = "version_texts")]
    pub api_versions: Vec<ApiVersion>,
    /// Nothing is delivered until this is taken back.
    pub hold: bool,
    /// Deliveries under way to one endpoint at the same time; 0 counts as 1, so that events arrive
    /// in order.
    pub at_once: u8,
}

impl Default for DeliveryPlan {
    fn default() -> Self {
        Self {
            seed: 0,
            types: Vec::new(),
            lose_percent: 0,
            duplicate_percent: 0,
            twin_percent: 0,
            delay_max_s: 0,
            shuffle: false,
            api_versions: Vec::new(),
            hold: false,
            at_once: 1,
        }
    }
}

/// What becomes of one event at one endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fate {
    /// It never arrives.
    pub(crate) lost: bool,
    /// The deliveries to make; the first is the event itself.
    pub(crate) copies: Vec<Copy>,
    /// The version to write it in, where the endpoint's own does not count.
    pub(crate) version: Option<ApiVersion>,
}

/// One of the deliveries of one event.
#[derive(Debug, Clone, std::marker::Copy, PartialEq, Eq)]
pub(crate) struct Copy {
    /// Seconds after the event.
    pub(crate) delay_s: i64,
    /// Its place among what is due at the same time.
    pub(crate) rank: u64,
}

impl DeliveryPlan {
    /// Draws the fate of an event at an endpoint; both ids count, so that two endpoints differ.
    pub(crate) fn draw(&self, kind: &str, event: &str, endpoint: &str) -> Fate {
        let mut rng =
            fastrand::Rng::with_seed(self.seed ^ hash(event) ^ hash(endpoint).rotate_left(1));
        if !self.concerns(kind) {
            let copy = Copy { delay_s: 0, rank: 0 };
            return Fate { lost: false, copies: vec![copy], version: None };
        }
        // Each question is always asked, so that one setting does not disturb the others' draws.
        let mut hits = |percent: u8| rng.u8(0..100) < percent;
        let (lost, doubled) = (hits(self.lose_percent), hits(self.duplicate_percent));
        let version = self.api_versions.get(rng.usize(0..self.api_versions.len().max(1))).copied();
        let mut copy = || Copy {
            delay_s: i64::from(rng.u32(0..=self.delay_max_s)),
            rank: if self.shuffle { rng.u64(..) } else { 0 },
        };
        let mut copies = vec![copy()];
        copies.extend(doubled.then(copy));
        Fate { lost, copies, version }
    }

    /// Whether an event is followed by a twin.
    pub(crate) fn has_twin(&self, kind: &str, event: &str) -> bool {
        let mut rng = fastrand::Rng::with_seed(self.seed.wrapping_add(1) ^ hash(event));
        self.concerns(kind) && rng.u8(0..100) < self.twin_percent
    }

    fn concerns(&self, kind: &str) -> bool {
        self.types.is_empty() || self.types.iter().any(|pattern| matches(pattern, kind))
    }
}

/// FNV-1a: any well spread number would do, and this one is the same on every machine.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// Versions as Stripe writes them.
mod version_texts {
    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    use crate::version::ApiVersion;

    pub(super) fn serialize<S: Serializer>(
        versions: &[ApiVersion],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(versions.iter().map(|version| version.as_str()))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<ApiVersion>, D::Error> {
        let texts = Vec::<String>::deserialize(deserializer)?;
        texts.iter().map(|text| ApiVersion::parse(text).map_err(D::Error::custom)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fates(plan: &DeliveryPlan) -> Vec<Fate> {
        (0..1000).map(|n| plan.draw("invoice.paid", &format!("evt_{n}"), "we_1")).collect()
    }

    #[test]
    fn by_default_every_event_arrives_once_and_in_order() {
        let plain = Copy { delay_s: 0, rank: 0 };
        for fate in fates(&DeliveryPlan::default()) {
            assert_eq!(fate, Fate { lost: false, copies: vec![plain], version: None });
        }
    }

    #[test]
    fn fates_follow_the_percentages_and_the_seed() {
        let plan = DeliveryPlan {
            seed: 7,
            lose_percent: 20,
            duplicate_percent: 50,
            twin_percent: 10,
            delay_max_s: 259_200,
            shuffle: true,
            api_versions: ApiVersion::ALL.to_vec(),
            ..DeliveryPlan::default()
        };
        let drawn = fates(&plan);
        let count = |what: &dyn Fn(&Fate) -> bool| drawn.iter().filter(|fate| what(fate)).count();
        assert!((140..260).contains(&count(&|fate| fate.lost)));
        assert!((430..570).contains(&count(&|fate| fate.copies.len() == 2)));
        let twins = (0..1000).filter(|n| plan.has_twin("invoice.paid", &format!("evt_{n}")));
        assert!((60..150).contains(&twins.count()));
        assert!(drawn.iter().all(|fate| fate.copies[0].delay_s <= 259_200));
        assert!(ApiVersion::ALL.iter().all(|v| drawn.iter().any(|fate| fate.version == Some(*v))));
        assert_eq!(fates(&plan), drawn);
        assert_ne!(fates(&DeliveryPlan { seed: 8, ..plan }), drawn);
    }

    #[test]
    fn a_plan_for_some_types_leaves_the_others_alone() {
        let plan = DeliveryPlan {
            types: vec!["invoice.*".to_owned()],
            lose_percent: 100,
            ..DeliveryPlan::default()
        };
        assert!(plan.draw("invoice.paid", "evt_1", "we_1").lost);
        assert!(!plan.draw("customer.created", "evt_1", "we_1").lost);
    }

    #[test]
    fn a_plan_is_read_from_json_and_written_back() {
        let plan: DeliveryPlan =
            serde_json::from_str(r#"{"losePercent":5,"apiVersions":["basil"]}"#).unwrap();
        assert_eq!((plan.lose_percent, plan.at_once), (5, 1));
        assert_eq!(plan.api_versions, [ApiVersion::Basil]);
        let text = serde_json::to_string(&plan).unwrap();
        assert_eq!(serde_json::from_str::<DeliveryPlan>(&text).unwrap(), plan);
        assert!(serde_json::from_str::<DeliveryPlan>(r#"{"lose":5}"#).is_err());
    }
}
