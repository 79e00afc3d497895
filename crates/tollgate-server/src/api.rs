//! The HTTP interface. Owns: the whole list of routes, and the front every request passes: its
//! id, its deadline, its count, its error document. Must not know: what a route does.

pub mod admin;
pub mod auth;
pub mod billing;
pub mod body;
pub mod checks;
pub mod client_address;
pub mod cors;
pub mod docs;
pub mod entitlements;
pub mod error;
pub mod explain;
pub mod health;
pub mod limits;
pub mod openapi;
pub mod path;
mod plain;
pub mod plans;
pub mod query;
pub mod reply;
pub mod security_txt;
pub mod timeline;
pub mod webhooks;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get, post, put};
use futures_util::FutureExt;
use http::header::{CACHE_CONTROL, CONNECTION, X_CONTENT_TYPE_OPTIONS};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request};
use hyper::body::Incoming;
use hyper::service::Service;

use crate::app::App;
use crate::config::MetricsListen;
use crate::listener::Admission;
use error::ApiError;
use limits::Class;

static RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
/// The request's id, in and out.
static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Longest request id taken from a caller, in bytes.
const REQUEST_ID_BYTES_MAX: usize = 128;

/// A request's id, in its extensions.
#[derive(Debug, Clone)]
pub struct RequestId(pub String);

/// Every route of the public listener.
pub fn router(app: Arc<App>) -> Router {
    let webhook = post(webhooks::receive).fallback(allow_post);
    let check = post(checks::check).fallback(allow_post);
    let within =
        |class| middleware::from_fn_with_state((Arc::clone(&app), class), limits::within_quota);
    let public =
        |route: MethodRouter<Arc<App>>| route.fallback(allow_get).layer(within(Class::Public));
    let v1 = Router::new()
        .route("/feature-check", check.clone())
        .route("/check", check)
        .route("/feature-check/batch", post(checks::batch).fallback(allow_post))
        .route("/entitlements", get(entitlements::show).fallback(allow_get))
        .route("/accounts/{id}/timeline", get(timeline::show).fallback(allow_get))
        .nest("/billing", billing::routes())
        .route("/checkout/session", billing::checkout_route())
        .route("/plans", public(get(plans::plans)))
        .route("/features", public(get(plans::features)));
    // Load balancers ask the other two again and again, and are not to be told to wait; what those
    // cost is bounded by themselves.
    let health = get(health::health).fallback(allow_get).layer(within(Class::Health));
    let metrics = get(health::metrics).fallback(allow_get).layer(within(Class::Health));
    let mut router = Router::new()
        // The origin systems' paths; the webhook has one handler under all of them.
        .route("/api/billing/webhook", webhook.clone())
        .route(webhooks::PATH, webhook.clone())
        .route("/api/v1/stripe/webhook", webhook.clone())
        .route("/api/webhooks/stripe", webhook.clone())
        .route("/webhooks/stripe", webhook)
        .nest("/api/v1", v1.clone())
        .nest("/api", v1)
        .route("/admin/catalog/plan", post(admin::catalog::plan).fallback(allow_post))
        .route("/admin/duplicates", get(admin::duplicates::list).fallback(allow_get))
        .route(
            "/admin/duplicates/{account_id}/resolve",
            post(admin::duplicates::resolve).fallback(allow_post),
        )
        .route("/admin/accounts/{id}/email", put(admin::email::set).fallback(allow_put))
        .route("/admin/findings", get(admin::findings::list).fallback(allow_get))
        .route("/admin/relink", post(admin::relink::relink).fallback(allow_post))
        .route("/admin/reconcile", post(admin::reconcile::begin).fallback(allow_post))
        .route("/admin/reconcile/runs", get(admin::reconcile::runs).fallback(allow_get))
        .route(health::LIVE, get(health::live).fallback(allow_get))
        .route("/readyz", get(health::ready).fallback(allow_get))
        .route("/health", health)
        .route(security_txt::PATH, public(get(security_txt::show)))
        .route("/openapi.json", public(get(openapi::document)))
        .route("/docs", public(get(docs::page)))
        .route("/docs/{asset}", public(get(docs::asset)))
        .route("/", public(get(docs::home)));
    if app.config.metrics_listen == MetricsListen::BesideApi {
        router = router.route("/metrics", metrics);
    }
    router.fallback(not_found).with_state(app)
}

/// The routes of the metrics listener.
pub fn metrics_router(app: Arc<App>) -> Router {
    Router::new()
        .route("/metrics", get(health::metrics).fallback(allow_get))
        .fallback(not_found)
        .with_state(app)
}

async fn not_found() -> ApiError {
    ApiError::NotFound
}

async fn allow_get() -> ApiError {
    ApiError::MethodNotAllowed("GET, HEAD")
}

async fn allow_put() -> ApiError {
    ApiError::MethodNotAllowed("PUT")
}

async fn allow_post() -> ApiError {
    ApiError::MethodNotAllowed("POST")
}

/// What every request passes before its route, one per connection.
#[derive(Clone)]
pub struct Front {
    app: Arc<App>,
    router: Router,
    peer: SocketAddr,
    admission: Admission,
}

impl Front {
    /// The front of one connection.
    pub fn new(app: Arc<App>, router: Router, peer: SocketAddr, admission: Admission) -> Self {
        if admission != Admission::Admitted {
            app.count_refused_connection(admission);
        }
        Self { app, router, peer, admission }
    }
}

impl Service<Request<Incoming>> for Front {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let front = self.clone();
        Box::pin(async move { Ok(front.answer(request).await) })
    }
}

impl Front {
    async fn answer(mut self, request: Request<Incoming>) -> Response<Body> {
        let id = request_id(&request);
        let fault = plain::fault(&request);
        let (parts, body) = request.map(Body::new).into_parts();
        let body = plain::Watched::new(body);
        let mut request = Request::from_parts(parts, Body::new(body.clone()));
        request.extensions_mut().insert(ConnectInfo(self.peer));
        let cors = self.app.cors.headers_for(&request);
        let preflight = cors.is_some() && *request.method() == Method::OPTIONS;
        // Being alive is no matter of how many ask.
        let admitted =
            self.admission == Admission::Admitted || request.uri().path() == health::LIVE;
        let mut response = if !admitted {
            ApiError::TooManyConnections.into_response()
        } else if let Some(fault) = fault {
            fault.into_response()
        } else if preflight {
            http::StatusCode::NO_CONTENT.into_response()
        } else {
            self.route(request).await
        };
        if let Some(error) = response.extensions_mut().remove::<ApiError>() {
            if let Some(cause) = error.private_cause() {
                let code = error.row().1;
                if matches!(error, ApiError::DatabaseUnavailable(_)) {
                    self.app.requests_failed.note(code, cause);
                } else {
                    tracing::error!(request.id = id.0, code, cause, "request failed");
                }
            }
            response = error.render(&id.0);
        }
        if let Some(cors) = cors {
            response.headers_mut().extend(cors);
        }
        if let Ok(value) = HeaderValue::from_str(&id.0) {
            response.headers_mut().insert(REQUEST_ID.clone(), value);
        }
        protect(response.headers_mut());
        // What is left of a body would be taken for the next request; whoever shares the connection with
        // others, as a proxy does, has to know that it ends.
        if self.app.is_stopping() || !body.is_read() {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        self.app.metrics.count_request(response.status());
        tracing::debug!(request.id = id.0, status = response.status().as_u16(), "answered");
        response
    }

    /// The route's answer within the deadline; a panic is an internal error of this request only.
    async fn route(&mut self, request: Request<Body>) -> Response {
        let deadline = Duration::from_millis(self.app.config.http.request_timeout_ms);
        let answer = tower_call(&mut self.router, request);
        let answer = std::panic::AssertUnwindSafe(answer).catch_unwind();
        match tokio::time::timeout(deadline, answer).await {
            Ok(Ok(response)) => response,
            Ok(Err(_)) => {
                ApiError::Internal("a request handler panicked".to_owned()).into_response()
            }
            Err(_) => ApiError::Timeout.into_response(),
        }
    }
}

/// What every answer says, an error or not: its type is what it says, nobody keeps it unless it says so,
/// and no other site may embed it.
fn protect(headers: &mut HeaderMap) {
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(&RESOURCE_POLICY, HeaderValue::from_static("same-origin"));
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
}

async fn tower_call(router: &mut Router, request: Request<Body>) -> Response {
    match tower_service::Service::call(router, request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

/// The caller's id where it is short printable ASCII, else one of ours.
fn request_id<B>(request: &Request<B>) -> RequestId {
    let sent = request
        .headers()
        .get(&REQUEST_ID)
        .and_then(|value| value.to_str().ok())
        .filter(|id| !id.is_empty() && id.len() <= REQUEST_ID_BYTES_MAX);
    RequestId(sent.map_or_else(next_request_id, str::to_owned))
}

/// `req_` with a number that is unique in this process and unlikely to repeat elsewhere.
fn next_request_id() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    static PROCESS: std::sync::LazyLock<u32> = std::sync::LazyLock::new(|| fastrand::u32(..));
    format!("req_{:08x}{:08x}", *PROCESS, NEXT.fetch_add(1, Ordering::Relaxed))
}
