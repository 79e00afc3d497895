//! Overrides. Owns: `path=value` edits of an event's object. Must not know: which object it is.

use serde_json::Value;

use crate::suggestion::{closest, hint};

/// Why an override does not fit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OverrideError {
    /// There is no `=`, or nothing before it.
    #[error("{text:?} must have the form path=value, such as items.data.0.quantity=3")]
    Form {
        /// The offending text, cut to 80 characters.
        text: String,
    },
    /// The path leads nowhere.
    #[error("{path:?}: there is no {missing:?} in {place}{hint}")]
    Path {
        /// The whole path.
        path: String,
        /// The part that is not there.
        missing: String,
        /// Where it was looked for.
        place: String,
        /// What may have been meant, or what there is.
        hint: String,
    },
}

/// One edit: the value at a path is replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Override {
    path: Vec<String>,
    value: Value,
}

impl Override {
    /// Reads `path=value`. The path's parts are joined by dots, elements of arrays are numbered
    /// from 0. The value is JSON where it is any, else a text.
    pub fn parse(text: &str) -> Result<Self, OverrideError> {
        let form = || OverrideError::Form { text: text.chars().take(80).collect() };
        let (path, value) = text.split_once('=').ok_or_else(form)?;
        let path: Vec<String> = path.split('.').map(|part| part.trim().to_owned()).collect();
        if path.iter().any(String::is_empty) {
            return Err(form());
        }
        let value = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.to_owned()));
        Ok(Self { path, value })
    }

    /// Edits an object. Only fields that are there can be set; new keys are taken in metadata.
    pub(crate) fn apply(&self, object: &mut Value) -> Result<(), OverrideError> {
        let mut place = object;
        let mut walked: Vec<&str> = Vec::new();
        for part in &self.path {
            let open = walked.last() == Some(&"metadata");
            if open && let Some(fields) = place.as_object_mut() {
                fields.entry(part.clone()).or_insert(Value::Null);
            }
            if child(place, part).is_none() {
                return Err(self.missing(part, &walked, place));
            }
            let Some(next) = child_mut(place, part) else { return Ok(()) };
            place = next;
            walked.push(part);
        }
        *place = self.value.clone();
        Ok(())
    }

    fn missing(&self, part: &str, walked: &[&str], place: &Value) -> OverrideError {
        let (place, hint) = match place {
            Value::Object(fields) => {
                let known = fields.keys().map(String::as_str);
                (
                    "an object",
                    closest(part, known)
                        .map_or_else(|| listed(fields.keys()), |name| hint(Some(name))),
                )
            }
            Value::Array(elements) => {
                ("an array", format!(", which has {} elements", elements.len()))
            }
            Value::Null => ("null", ", set the whole value instead".to_owned()),
            Value::Bool(_) | Value::Number(_) | Value::String(_) => {
                ("a plain value", String::new())
            }
        };
        let place = if walked.is_empty() {
            "the event's object".to_owned()
        } else {
            format!("{:?} ({place})", walked.join("."))
        };
        OverrideError::Path { path: self.path.join("."), missing: part.to_owned(), place, hint }
    }
}

fn listed<'a>(names: impl Iterator<Item = &'a String>) -> String {
    let names: Vec<&str> = names.map(String::as_str).collect();
    format!("; there are {}", names.join(", "))
}

fn child<'a>(place: &'a Value, part: &str) -> Option<&'a Value> {
    match place {
        Value::Object(fields) => fields.get(part),
        Value::Array(elements) => part.parse::<usize>().ok().and_then(|index| elements.get(index)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

fn child_mut<'a>(place: &'a mut Value, part: &str) -> Option<&'a mut Value> {
    match place {
        Value::Object(fields) => fields.get_mut(part),
        Value::Array(elements) => {
            part.parse::<usize>().ok().and_then(|index| elements.get_mut(index))
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn edited(text: &str) -> Result<Value, OverrideError> {
        let mut object = json!({
            "status": "active", "discount": null, "metadata": {},
            "items": {"data": [{"quantity": 1}]},
        });
        Override::parse(text)?.apply(&mut object)?;
        Ok(object)
    }

    #[test]
    fn values_are_set_where_the_path_leads() {
        assert_eq!(edited("status=past_due").unwrap()["status"], "past_due");
        assert_eq!(edited("items.data.0.quantity=3").unwrap()["items"]["data"][0]["quantity"], 3);
        assert_eq!(edited("metadata.account_id=acme").unwrap()["metadata"]["account_id"], "acme");
        assert_eq!(edited("discount={\"id\":\"x\"}").unwrap()["discount"]["id"], "x");
        assert_eq!(edited("status=").unwrap()["status"], "");
        assert_eq!(edited("status=\"7\"").unwrap()["status"], "7");
    }

    #[test]
    fn what_leads_nowhere_is_explained() {
        let says = |text: &str, part: &str| {
            let message = edited(text).unwrap_err().to_string();
            assert!(message.contains(part), "{text}: {message}");
        };
        says("statsu=x", "did you mean \"status\"?");
        says("zzzzzzzzz=x", "there are discount, items, metadata, status");
        says("items.data.1.quantity=3", "which has 1 elements");
        says("discount.coupon=x", "set the whole value instead");
        says("status.x=1", "a plain value");
        says("status", "path=value");
        says("a..b=1", "path=value");
    }
}
