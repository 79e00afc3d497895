//! Expanding. Owns: putting objects in the place of their ids, and adding what is shown only when
//! asked for. Must not know: routes.

use serde_json::Value;

use super::error::ApiError;
use crate::object::stored::Objects;
use crate::version::ApiVersion;

/// How deep paths may lead.
const DEEPEST: usize = 4;

/// Expands a reply along the paths of `expand[]`.
pub(super) fn expand(
    objects: &Objects,
    body: &mut Value,
    paths: &[&str],
    version: ApiVersion,
) -> Result<(), ApiError> {
    for (index, path) in paths.iter().enumerate() {
        let param = format!("expand[{index}]");
        let parts: Vec<&str> = path.split('.').collect();
        let deep = parts.iter().filter(|part| **part != "data").count();
        if deep > DEEPEST {
            let message = format!(
                "You cannot expand more than {DEEPEST} levels of a property in one request ({path})."
            );
            return Err(ApiError::invalid(message).param(param));
        }
        let expander = Expander { objects, version };
        if !expander.walk(body, &parts) {
            let part = parts.last().copied().unwrap_or_default();
            let message = format!(
                "This property cannot be expanded ({part}). You may want to try expanding \
                 'data.{path}' instead, or check that the object has this property."
            );
            return Err(ApiError::invalid(message).param(param));
        }
    }
    Ok(())
}

struct Expander<'a> {
    objects: &'a Objects,
    version: ApiVersion,
}

impl Expander<'_> {
    /// Follows a path; false where it leads to what cannot be expanded.
    fn walk(&self, place: &mut Value, parts: &[&str]) -> bool {
        let Some((part, rest)) = parts.split_first() else {
            return self.open(place);
        };
        match place {
            Value::Array(elements) => elements.iter_mut().all(|element| self.walk(element, parts)),
            Value::Object(_) => self.walk_object(place, part, rest),
            // An id on the way is expanded too; null leads nowhere, which is no fault.
            Value::String(_) => self.open(place) && self.walk(place, parts),
            Value::Null => true,
            Value::Bool(_) | Value::Number(_) => false,
        }
    }

    fn walk_object(&self, place: &mut Value, part: &str, rest: &[&str]) -> bool {
        let inclusion = self.inclusion(place, part);
        let Some(fields) = place.as_object_mut() else { return false };
        if let Some(included) = inclusion {
            fields.insert(part.to_owned(), included);
            return rest.is_empty() || fields.get_mut(part).is_some_and(|f| self.walk(f, rest));
        }
        fields.get_mut(part).is_some_and(|field| {
            if rest.is_empty() { self.open(field) } else { self.walk(field, rest) }
        })
    }

    /// Puts objects in the place of ids.
    fn open(&self, place: &mut Value) -> bool {
        match place {
            Value::String(id) => {
                let Some(object) = self.objects.any(id) else { return false };
                *place = object.show(self.version);
                true
            }
            Value::Array(elements) => elements.iter_mut().all(|element| self.open(element)),
            Value::Null | Value::Object(_) => true,
            Value::Bool(_) | Value::Number(_) => false,
        }
    }

    /// What an object shows only when asked for.
    fn inclusion(&self, place: &Value, part: &str) -> Option<Value> {
        let id = place.get("id")?.as_str()?;
        self.objects.any(id)?.include(part, self.objects, self.version)
    }
}
