//! Reading settings one by one. Owns: from raw layers to a typed value, noting faults and what is to
//! be shown on the way. Must not know: which settings belong together.

use super::fault::{Fault, Origin};
use super::layers::Layers;
use super::load::Shown;
use super::price_map::PriceMapEntry;
use super::settings;
use super::value::{self, Value};
use super::{Cidr, DatabaseUrl};

/// Reads settings by key, collecting faults. A faulty value comes out as unset; the faults keep
/// the rest from being used.
pub(super) struct Reader<'a> {
    pub(super) layers: &'a Layers,
    pub(super) faults: Vec<Fault>,
    pub(super) shown: Vec<Shown>,
}

impl Reader<'_> {
    pub(super) fn value(&mut self, key: &'static str) -> Value {
        let Some(setting) = settings::find(key) else { return Value::Unset };
        let (raw, origin) = self.layers.get(setting);
        let unset = origin == Origin::Default && setting.default.is_empty();
        let value = if unset { Ok(Value::Unset) } else { value::parse(setting.kind, &raw) };
        let value = value.unwrap_or_else(|troubles| {
            let fault = |trouble| Fault::new(origin.clone(), key, trouble);
            self.faults.extend(troubles.into_iter().map(fault));
            Value::Unset
        });
        self.shown.push(Shown { key, value: show(&value), origin, used: setting.used });
        value
    }

    pub(super) fn origin(&self, key: &str) -> Origin {
        settings::find(key).map_or(Origin::Default, |setting| self.layers.get(setting).1)
    }

    pub(super) fn number(&mut self, key: &'static str) -> u64 {
        self.value(key).number().unwrap_or_default()
    }

    pub(super) fn size(&mut self, key: &'static str) -> usize {
        usize::try_from(self.number(key)).unwrap_or(usize::MAX)
    }

    pub(super) fn count(&mut self, key: &'static str) -> u32 {
        u32::try_from(self.number(key)).unwrap_or(u32::MAX)
    }
}

/// A value as text, secrets and passwords masked.
fn show(value: &Value) -> Option<String> {
    let joined = |items: &[String]| items.join(",");
    match value {
        Value::Unset => None,
        Value::Number(number) => Some(number.to_string()),
        Value::Rate(rate) => Some(rate.map_or_else(|| "none".to_owned(), |rate| rate.to_string())),
        Value::Flag(flag) => Some(flag.to_string()),
        Value::Address(address) => Some(address.to_string()),
        Value::Text(text) => Some(DatabaseUrl::new(text.clone()).to_string()),
        Value::List(items) => Some(joined(items)),
        Value::Ranges(ranges) => {
            Some(joined(&ranges.iter().map(Cidr::to_string).collect::<Vec<_>>()))
        }
        Value::Redirects(rules) => {
            Some(joined(&rules.iter().map(ToString::to_string).collect::<Vec<_>>()))
        }
        Value::Secret(secret) => Some(secret.to_string()),
        Value::WebhookSecrets(secrets) => {
            Some(joined(&secrets.iter().map(|one| one.secret.to_string()).collect::<Vec<_>>()))
        }
        Value::PriceMap(entries) => {
            let entry =
                |entry: &PriceMapEntry| format!("{}={}", entry.target, entry.prices.join("+"));
            Some(joined(&entries.iter().map(entry).collect::<Vec<_>>()))
        }
    }
}
