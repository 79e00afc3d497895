//! Refusals. Owns: every way the API says no, in Stripe's words and shape. Must not know: which
//! request is refused.

use serde_json::{Map, Value};

/// A refused request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ApiError {
    pub(crate) status: u16,
    /// `invalid_request_error`, `card_error` or `idempotency_error`.
    pub(crate) kind: &'static str,
    pub(crate) code: Option<&'static str>,
    pub(crate) message: Box<str>,
    pub(crate) param: Option<Box<str>>,
    pub(crate) decline_code: Option<&'static str>,
    /// Objects an error shows beside its message, such as `payment_intent`.
    pub(crate) shown: Vec<(&'static str, Value)>,
    /// What the request did before it was refused stays, as with a declined card.
    pub(crate) keeps: bool,
}

impl ApiError {
    /// A request that makes no sense.
    pub(crate) fn invalid(message: impl Into<Box<str>>) -> Self {
        Self {
            status: 400,
            kind: "invalid_request_error",
            code: None,
            message: message.into(),
            param: None,
            decline_code: None,
            shown: Vec::new(),
            keeps: false,
        }
    }

    /// The same refusal with a code.
    pub(crate) fn code(mut self, code: &'static str) -> Self {
        self.code = Some(code);
        self
    }

    /// The same refusal, naming the parameter at fault.
    pub(crate) fn param(mut self, param: impl Into<Box<str>>) -> Self {
        self.param = Some(param.into());
        self
    }

    /// The path names nothing.
    pub(crate) fn missing_resource(noun: &str, id: &str) -> Self {
        let error = Self::no_such(noun, id, "id");
        Self { status: 404, ..error }
    }

    /// A parameter names nothing.
    pub(crate) fn no_such(noun: &str, id: &str, param: &str) -> Self {
        Self::invalid(format!("No such {noun}: '{id}'")).code("resource_missing").param(param)
    }

    /// A parameter is not known.
    pub(crate) fn unknown_param(param: &str) -> Self {
        let message = format!("Received unknown parameter: {param}");
        Self::invalid(message).code("parameter_unknown").param(param)
    }

    /// A parameter is not there.
    pub(crate) fn missing_param(param: &str) -> Self {
        let message = format!("Missing required param: {param}.");
        Self::invalid(message).code("parameter_missing").param(param)
    }

    /// A payment that was declined. Money did not move, but the attempt stays.
    pub(crate) fn card(
        code: &'static str,
        decline_code: Option<&'static str>,
        message: &str,
    ) -> Self {
        Self {
            status: 402,
            kind: "card_error",
            decline_code,
            keeps: true,
            ..Self::invalid(message).code(code)
        }
    }

    /// An idempotency key that was used for another request.
    pub(crate) fn idempotency(message: String) -> Self {
        Self { kind: "idempotency_error", ..Self::invalid(message) }
    }

    /// The body of the reply.
    pub(crate) fn body(&self, request_id: &str) -> Value {
        let mut error = Map::new();
        let mut put = |name: &str, value: Value| {
            error.insert(name.to_owned(), value);
        };
        if let Some(code) = self.code {
            put("code", code.into());
            let page = code.replace('_', "-");
            put("doc_url", format!("https://stripe.com/docs/error-codes/{page}").into());
        }
        if let Some(decline_code) = self.decline_code {
            put("decline_code", decline_code.into());
        }
        put("message", (&*self.message).into());
        if let Some(param) = &self.param {
            put("param", (&**param).into());
        }
        for (name, value) in &self.shown {
            put(name, value.clone());
        }
        let log = format!("https://dashboard.stripe.com/test/logs/{request_id}?t=0");
        put("request_log_url", log.into());
        put("type", self.kind.into());
        Value::Object([("error".to_owned(), Value::Object(error))].into_iter().collect())
    }
}
