//! Routes. Owns: the one table of everything the API answers, and the way of a request through it.
//! Must not know: what a resource does.

use serde_json::Value;

use super::error::ApiError;
use super::params::Params;
use super::request::{ApiReply, ApiRequest, Method};
use super::{Sandbox, expand, idempotency, shape};
use crate::object::stored::Stored;
use crate::version::ApiVersion;

/// Every resource; one line for each file.
const RESOURCES: &[&[Route]] = &[
    super::account::ROUTES,
    super::balance_transactions::ROUTES,
    super::charges::ROUTES,
    super::checkout::ROUTES,
    super::clocks::ROUTES,
    super::customers::ROUTES,
    super::destinations::ROUTES,
    super::disputes::ROUTES,
    super::endpoints::ROUTES,
    super::entitlements::ROUTES,
    super::events::ROUTES,
    super::invoice_items::ROUTES,
    super::invoice_payments::ROUTES,
    super::invoices::ROUTES,
    super::payment_intents::ROUTES,
    super::payment_methods::ROUTES,
    super::portal::ROUTES,
    super::prices::ROUTES,
    super::products::ROUTES,
    super::refunds::ROUTES,
    super::schedules::ROUTES,
    super::sessions::ROUTES,
    super::setup_intents::ROUTES,
    super::subscriptions::ROUTES,
    super::subscriptions::items::ROUTES,
    super::thin_events::ROUTES,
];

/// What serves a route.
type Serve = fn(&mut Sandbox, &Call<'_>) -> Result<Value, ApiError>;

/// One method of one path.
#[derive(Debug, Clone, Copy)]
pub(super) struct Route {
    method: Method,
    /// Such as `/v1/customers/{customer}`.
    path: &'static str,
    /// The parameters it takes, in the notation of [`shape`].
    accepts: &'static str,
    /// Whether it also takes the parameters of a list.
    lists: bool,
    serve: Serve,
}

impl Route {
    /// Reads one object.
    pub(super) const fn get(path: &'static str, serve: Serve) -> Self {
        Self { method: Method::Get, path, accepts: "", lists: false, serve }
    }

    /// Reads something of API v2, whose lists have pages of their own kind.
    pub(super) const fn get_by(path: &'static str, accepts: &'static str, serve: Serve) -> Self {
        Self { method: Method::Get, path, accepts, lists: false, serve }
    }

    /// Reads a list, by these filters.
    pub(super) const fn list(path: &'static str, accepts: &'static str, serve: Serve) -> Self {
        Self { method: Method::Get, path, accepts, lists: true, serve }
    }

    /// Makes or changes something.
    pub(super) const fn post(path: &'static str, accepts: &'static str, serve: Serve) -> Self {
        Self { method: Method::Post, path, accepts, lists: false, serve }
    }

    /// Removes or ends something.
    pub(super) const fn delete(path: &'static str, accepts: &'static str, serve: Serve) -> Self {
        Self { method: Method::Delete, path, accepts, lists: false, serve }
    }

    /// The names in the path, if the path is one of this route.
    fn captures<'p>(&self, path: &'p str) -> Option<Vec<&'p str>> {
        let (mut ours, mut theirs) = (self.path.split('/'), path.split('/'));
        let mut captures = Vec::new();
        loop {
            match (ours.next(), theirs.next()) {
                (None, None) => return Some(captures),
                (Some(pattern), Some(part)) if pattern.starts_with('{') && !part.is_empty() => {
                    captures.push(part);
                }
                (Some(pattern), Some(part)) if pattern == part => {}
                (Some(_) | None, _) => return None,
            }
        }
    }
}

/// A request on its way: what a resource gets to see of it.
#[derive(Debug, Clone)]
pub(crate) struct Call<'a> {
    captures: Vec<&'a str>,
    pub(crate) path: &'a str,
    pub(crate) params: &'a Params,
    /// The version to answer in.
    pub(crate) version: ApiVersion,
    /// The id of the request.
    pub(crate) request_id: String,
    pub(crate) idempotency_key: Option<&'a str>,
}

impl Call<'_> {
    /// The first name in the path: in `/v1/customers/{customer}` the customer.
    pub(crate) fn id(&self) -> &str {
        self.captures.first().copied().unwrap_or_default()
    }

    /// The second name in the path.
    pub(crate) fn second_id(&self) -> &str {
        self.captures.get(1).copied().unwrap_or_default()
    }
}

/// The route of a request and the names in its path; fixed parts win over names.
fn find(method: Method, path: &str) -> Option<(&'static Route, Vec<&str>)> {
    let routes = RESOURCES.iter().flat_map(|routes| routes.iter());
    routes
        .filter(|route| route.method == method)
        .filter_map(|route| Some((route, route.captures(path)?)))
        .min_by_key(|(_, captures)| captures.len())
}

impl Sandbox {
    /// Answers a request. A refused request changes nothing, but for a declined payment, whose
    /// attempt stays.
    pub fn call(&mut self, request: &ApiRequest) -> ApiReply {
        let request_id = self.world.next_request_id();
        let refuse = |error: &ApiError| ApiReply {
            status: error.status,
            body: error.body(&request_id),
            request_id: request_id.clone(),
            idempotent_replayed: false,
            should_retry: None,
        };
        match self.prepare(request, request_id.clone()) {
            Err(error) => refuse(&error),
            Ok(Prepared::Replay(reply)) => reply,
            Ok(Prepared::Run(route, call)) => {
                let reply = match self.run(route, &call) {
                    Ok(body) => ApiReply {
                        status: 200,
                        body,
                        request_id: request_id.clone(),
                        idempotent_replayed: false,
                        should_retry: None,
                    },
                    Err(error) => refuse(&error),
                };
                self.keys.remember(request, &reply, self.world.now);
                reply
            }
        }
    }

    /// Everything that can refuse a request before it does anything.
    fn prepare<'a>(
        &self,
        request: &'a ApiRequest,
        request_id: String,
    ) -> Result<Prepared<'a>, ApiError> {
        let (route, captures) =
            find(request.method, &request.path).ok_or_else(|| unknown_path(request))?;
        if let Some(reply) = idempotency::replay(&self.keys, request, self.world.now)? {
            return Ok(Prepared::Replay(reply));
        }
        let paging = if route.lists { "limit starting_after ending_before" } else { "" };
        let accepts = format!("{} {paging} expand[]", route.accepts);
        shape::check(&accepts, &request.params)?;
        Ok(Prepared::Run(
            route,
            Call {
                captures,
                path: &request.path,
                params: &request.params,
                version: request.version.unwrap_or(self.settings.default_version),
                request_id,
                idempotency_key: request.idempotency_key.as_deref(),
            },
        ))
    }

    fn run(&mut self, route: &Route, call: &Call<'_>) -> Result<Value, ApiError> {
        self.world.begin_request(&call.request_id, call.idempotency_key, call.version);
        let served = (route.serve)(self, call).and_then(|mut body| {
            let paths = call.params.texts("expand");
            expand::expand(&self.world.objects, &mut body, &paths, call.version)?;
            Ok(body)
        });
        let keep = served.as_ref().map_or_else(|error| error.keeps, |_| true);
        self.world.end_request(keep);
        served
    }

    /// An object the path names.
    pub(crate) fn named<T: Stored>(&self, id: &str) -> Result<&T, ApiError> {
        self.world.objects.get(id).ok_or_else(|| ApiError::missing_resource(T::NOUN, id))
    }

    /// The object a parameter of this name names; `None` where it is not given.
    pub(crate) fn referred<T: Stored>(
        &self,
        params: &Params,
        name: &str,
    ) -> Result<Option<&T>, ApiError> {
        let Some(id) = params.text(name) else { return Ok(None) };
        let found = self.world.objects.get(id);
        found.map(Some).ok_or_else(|| ApiError::no_such(T::NOUN, id, &params.path_of(name)))
    }

    /// The object a parameter names that must be given.
    pub(crate) fn must_refer<T: Stored>(
        &self,
        params: &Params,
        name: &str,
    ) -> Result<&T, ApiError> {
        let found = self.referred(params, name)?;
        found.ok_or_else(|| ApiError::missing_param(&params.path_of(name)))
    }
}

/// What is to be done with a request.
enum Prepared<'a> {
    Replay(ApiReply),
    Run(&'static Route, Call<'a>),
}

fn unknown_path(request: &ApiRequest) -> ApiError {
    let message = format!(
        "Unrecognized request URL ({}: {}). Please see https://stripe.com/docs or we can help at \
         https://support.stripe.com/.",
        request.method.as_str(),
        request.path
    );
    ApiError { status: 404, ..ApiError::invalid(message) }
}

/// Method, path and notation of every route.
#[cfg(test)]
pub(super) fn table() -> impl Iterator<Item = (Method, &'static str, &'static str)> {
    let routes = RESOURCES.iter().flat_map(|routes| routes.iter());
    routes.map(|route| (route.method, route.path, route.accepts))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_has_a_notation_that_is_read_to_its_end_and_is_there_once() {
        let mut seen = std::collections::BTreeSet::new();
        for route in RESOURCES.iter().flat_map(|routes| routes.iter()) {
            assert!(shape::is_well_formed(route.accepts), "{}", route.path);
            assert!(seen.insert((route.method.as_str(), route.path)), "{} is twice", route.path);
            assert!(route.path.starts_with("/v"), "{}", route.path);
        }
    }

    #[test]
    fn paths_match_by_part_and_names_are_not_empty() {
        let route = Route::get("/v1/a/{b}/c", |_, _| Ok(Value::Null));
        assert_eq!(route.captures("/v1/a/x/c"), Some(vec!["x"]));
        for other in ["/v1/a//c", "/v1/a/x", "/v1/a/x/c/d", "/v1/a/x/d", ""] {
            assert_eq!(route.captures(other), None, "{other}");
        }
    }
}
