//! What is asked. Owns: naming operations, paths that no id can bend, and Stripe's form encoding.
//! Must not know: how a request is sent or when it is repeated.

use std::fmt::Write as _;

use serde_json::{Map, Value};

/// HTTP's verb of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Method {
    /// Reads.
    Get,
    /// Creates or changes; always with an idempotency key.
    Post,
    /// Removes or cancels; repeating it changes nothing more.
    Delete,
}

/// One named operation of the API. Stripe limits its rate by this name, and so do we.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Operation {
    name: &'static str,
    method: Method,
}

impl Operation {
    /// Reads; `name` such as `customers.retrieve`.
    pub const fn get(name: &'static str) -> Self {
        Self { name, method: Method::Get }
    }

    /// Creates or changes; `name` such as `customers.create`.
    pub const fn post(name: &'static str) -> Self {
        Self { name, method: Method::Post }
    }

    /// Removes or cancels; `name` such as `subscriptions.cancel`.
    pub const fn delete(name: &'static str) -> Self {
        Self { name, method: Method::Delete }
    }

    /// The name, a label in metrics and logs.
    pub const fn name(self) -> &'static str {
        self.name
    }

    /// The verb.
    pub const fn method(self) -> Method {
        self.method
    }
}

/// The path of a request, starting with a slash.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiPath(String);

impl ApiPath {
    /// A fixed beginning such as `/v1/customers`.
    pub fn new(fixed: &'static str) -> Self {
        Self(fixed.to_owned())
    }

    /// Followed by an id, encoded so that it stays one segment whatever is in it.
    pub fn id(mut self, id: &str) -> Self {
        self.0.push('/');
        if id.bytes().all(|byte| byte == b'.') {
            // A URL parser would climb up on these; no object is named so.
            self.0.push('_');
            return self;
        }
        for byte in id.bytes() {
            if byte.is_ascii_alphanumeric() || b"_-.".contains(&byte) {
                self.0.push(char::from(byte));
            } else {
                let _ = write!(self.0, "%{byte:02X}");
            }
        }
        self
    }

    /// Followed by a fixed part such as `/release`.
    pub fn then(mut self, fixed: &'static str) -> Self {
        self.0.push_str(fixed);
        self
    }

    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Parameters in Stripe's form encoding: `items[0][price]=…`; an empty value unsets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Form(Vec<(String, String)>);

impl Form {
    /// No parameters.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Back from [`Self::encoded`].
    pub fn from_encoded(text: &str) -> Self {
        Self(form_urlencoded::parse(text.as_bytes()).into_owned().collect())
    }

    /// The value of a parameter.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// With one more; `name` in bracket form.
    pub fn with(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.0.push((name.into(), value.into()));
        self
    }

    /// With one more where there is a value.
    pub fn with_some(self, name: &str, value: Option<impl Into<String>>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// With `expand[]` for a field that is to come as an object.
    pub fn expand(self, field: &str) -> Self {
        self.with("expand[]", field)
    }

    /// With each pair as `name[key]=value`, such as metadata.
    pub fn with_map<'a>(
        mut self,
        name: &str,
        pairs: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Self {
        for (key, value) in pairs {
            self = self.with(format!("{name}[{key}]"), value);
        }
        self
    }

    /// Whether there are no parameters.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The parameters in the order they were given.
    pub fn pairs(&self) -> &[(String, String)] {
        &self.0
    }

    /// As the JSON that API v2 wants: what is in brackets is inside, numbers in brackets are places
    /// in an array. All values are texts.
    pub fn json(&self) -> Value {
        let mut root = Value::Object(Map::new());
        for (name, value) in &self.0 {
            let parts: Vec<&str> = name.split(['[', ']']).filter(|part| !part.is_empty()).collect();
            put(&mut root, &parts, value);
        }
        root
    }

    /// As a body or query.
    pub fn encoded(&self) -> String {
        form_urlencoded::Serializer::new(String::new()).extend_pairs(&self.0).finish()
    }
}

/// Puts a text where the parts lead.
fn put(at: &mut Value, parts: &[&str], text: &str) {
    let Some((first, rest)) = parts.split_first() else {
        *at = Value::String(text.to_owned());
        return;
    };
    if let Ok(place) = first.parse::<usize>() {
        if !at.is_array() {
            *at = Value::Array(Vec::new());
        }
        let Some(elements) = at.as_array_mut() else { return };
        // Elements come in order.
        if place >= elements.len() {
            elements.push(Value::Null);
        }
        if let Some(element) = elements.last_mut() {
            put(element, rest, text);
        }
        return;
    }
    if !at.is_object() {
        *at = Value::Object(Map::new());
    }
    if let Some(fields) = at.as_object_mut() {
        put(fields.entry((*first).to_owned()).or_insert(Value::Null), rest, text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_id_leaves_its_segment() {
        let path = |id: &str| ApiPath::new("/v1/customers").id(id).then("/x").as_str().to_owned();
        assert_eq!(path("cus_1"), "/v1/customers/cus_1/x");
        assert_eq!(path(".."), "/v1/customers/_/x");
        assert_eq!(path(""), "/v1/customers/_/x");
        assert_eq!(path("a/../b?c#d"), "/v1/customers/a%2F..%2Fb%3Fc%23d/x");
        assert_eq!(path("pro.monthly"), "/v1/customers/pro.monthly/x");
    }

    #[test]
    fn a_form_is_json_for_api_v2() {
        let form = Form::new()
            .with("name", "Tollgate")
            .with("enabled_events[0]", "v1.invoice.paid")
            .with("enabled_events[1]", "v1.refund.created")
            .with("webhook_endpoint[url]", "https://example.org")
            .with_map("metadata", [("a", "b"), ("c", "")]);
        let json = serde_json::json!({
            "name": "Tollgate",
            "enabled_events": ["v1.invoice.paid", "v1.refund.created"],
            "webhook_endpoint": {"url": "https://example.org"},
            "metadata": {"a": "b", "c": ""},
        });
        assert_eq!(form.json(), json);
        assert_eq!(Form::new().json(), serde_json::json!({}));
    }

    #[test]
    fn a_form_keeps_order_and_encodes_values() {
        let form = Form::new()
            .with("items[0][price]", "price_1")
            .with_map("metadata", [("account_id", "a b&c")])
            .with_some("email", None::<String>)
            .expand("subscription");
        assert_eq!(
            form.encoded(),
            "items%5B0%5D%5Bprice%5D=price_1&metadata%5Baccount_id%5D=a+b%26c&expand%5B%5D=subscription"
        );
        assert_eq!(Form::from_encoded(&form.encoded()), form);
        assert_eq!(form.get("metadata[account_id]"), Some("a b&c"));
    }
}
