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
use std::future::poll_fn;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};
use std::task::Poll;
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
use hyper::service::{Service, service_fn};

use crate::app::App;
use crate::config::MetricsListen;
use crate::listener::Admission;
use error::ApiError;
use limits::Class;
use plain::ReadToEnd;

static RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
/// The request's id, in and out.
static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
/// Longest request id taken from a caller, in bytes.
const REQUEST_ID_BYTES_MAX: usize = 128;

/// Every route of the public listener.
pub fn router(app: Arc<App>) -> Router {
    let webhook = post(webhooks::receive).fallback(allow_post);
    let check = post(checks::check).fallback(allow_post);
    let within =
        |class| middleware::from_fn_with_state((Arc::clone(&app), class), limits::within_quota);
    let public =
        |route: MethodRouter<Arc<App>>| route.fallback(allow_get).layer(within(Class::Public));
    let batch = post(checks::batch).fallback(allow_post);
    let entitlements = get(entitlements::show).fallback(allow_get);
    let timeline = get(timeline::show).fallback(allow_get);
    let plans = public(get(plans::plans));
    let features = public(get(plans::features));
    let v1 = [
        ("/feature-check", check.clone()),
        ("/check", check),
        ("/feature-check/batch", batch),
        ("/entitlements", entitlements),
        ("/accounts/{id}/timeline", timeline),
        ("/checkout/session", billing::checkout_route()),
        ("/plans", plans),
        ("/features", features),
    ];
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
    // A nested router would take apart and make anew the address of each request.
    for (path, route) in v1.into_iter().chain(billing::routes()) {
        router = router.route(&format!("/api/v1{path}"), route.clone());
        router = router.route(&format!("/api{path}"), route);
    }
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

/// What every request of one connection passes before its route.
pub fn front(
    app: Arc<App>,
    router: Router,
    peer: SocketAddr,
    admission: Admission,
) -> impl Service<Request<Incoming>, Response = Response<Body>, Error = Infallible, Future: Send> {
    if admission != Admission::Admitted {
        app.count_refused_connection(admission);
    }
    let read_to_end = ReadToEnd::default();
    let front = Arc::new(Front { app, router, peer, admission, read_to_end });
    service_fn(move |request| {
        let front = Arc::clone(&front);
        async move { Ok(front.answer(request).await) }
    })
}

struct Front {
    app: Arc<App>,
    router: Router,
    peer: SocketAddr,
    admission: Admission,
    /// Whether the body of the last request was; they come one after the other.
    read_to_end: ReadToEnd,
}

impl Front {
    async fn answer(&self, request: Request<Incoming>) -> Response<Body> {
        let id = request_id(&request);
        let cors = self.app.cors.headers_for(&request);
        let mut response = self.decide(request, cors.is_some()).await;
        if let Some(error) = response.extensions_mut().remove::<ApiError>() {
            let id = id.to_str().unwrap_or_default();
            if let Some(cause) = error.private_cause() {
                let code = error.row().1;
                if matches!(error, ApiError::DatabaseUnavailable(_)) {
                    self.app.requests_failed.note(code, cause);
                } else {
                    tracing::error!(request.id = id, code, cause, "request failed");
                }
            }
            response = error.render(id);
        }
        let status = response.status();
        tracing::debug!(request.id = id.to_str().ok(), status = status.as_u16(), "answered");
        let headers = response.headers_mut();
        if let Some(cors) = cors {
            headers.extend(cors);
        }
        headers.insert(&REQUEST_ID, id);
        protect(headers);
        // What is left of a body would be taken for the next request; whoever shares the connection with
        // others, as a proxy does, has to know that it ends.
        if self.app.is_stopping() || !self.read_to_end.get() {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        self.app.metrics.count_request(status);
        response
    }

    /// The answer to a request, whose body is dropped with it.
    async fn decide(&self, request: Request<Incoming>, cross_origin: bool) -> Response {
        let fault = plain::fault(&request);
        let preflight = cross_origin && *request.method() == Method::OPTIONS;
        // Being alive is no matter of how many ask.
        let admitted =
            self.admission == Admission::Admitted || request.uri().path() == health::LIVE;
        let mut request =
            request.map(|body| Body::new(plain::Watched::new(body, self.read_to_end.clone())));
        if !admitted {
            ApiError::TooManyConnections.into_response()
        } else if let Some(fault) = fault {
            fault.into_response()
        } else if preflight {
            http::StatusCode::NO_CONTENT.into_response()
        } else {
            request.extensions_mut().insert(ConnectInfo(self.peer));
            self.route(request).await
        }
    }

    /// The route's answer within the deadline; a panic is an internal error of this request only.
    async fn route(&self, request: Request<Body>) -> Response {
        let deadline = Duration::from_millis(self.app.config.http.request_timeout_ms);
        let answer = tower_service::Service::call(&mut self.router.clone(), request);
        let answer = std::panic::AssertUnwindSafe(answer).catch_unwind();
        match within(deadline, answer).await {
            Some(Ok(Ok(response))) => response,
            Some(Ok(Err(never))) => match never {},
            Some(Err(_)) => {
                ApiError::Internal("a request handler panicked".to_owned()).into_response()
            }
            None => ApiError::Timeout.into_response(),
        }
    }
}

/// What comes of a future within a time. The clock runs from when it waits a second time: a body that is
/// here already has to be waited for once, and a timer for each would cost more than to read it.
async fn within<F: Future>(time: Duration, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut waited = false;
    let at_once = poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending if waited => Poll::Ready(None),
        Poll::Pending => {
            waited = true;
            context.waker().wake_by_ref();
            Poll::Pending
        }
    });
    match at_once.await {
        Some(output) => Some(output),
        None => tokio::time::timeout(time, future).await.ok(),
    }
}

/// What every answer says, an error or not: its type is what it says, nobody keeps it unless it says so,
/// and no other site may embed it.
fn protect(headers: &mut HeaderMap) {
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(&RESOURCE_POLICY, HeaderValue::from_static("same-origin"));
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
}

/// The caller's id where it is short printable ASCII, else one of ours.
fn request_id<B>(request: &Request<B>) -> HeaderValue {
    let sent = request
        .headers()
        .get(&REQUEST_ID)
        .filter(|id| !id.is_empty() && id.len() <= REQUEST_ID_BYTES_MAX && id.to_str().is_ok());
    sent.cloned().unwrap_or_else(next_request_id)
}

/// `req_` with a number that is unique in this process and, counted from a random one, unlikely to repeat
/// elsewhere.
fn next_request_id() -> HeaderValue {
    static NEXT: LazyLock<AtomicU64> = LazyLock::new(|| AtomicU64::new(fastrand::u64(..)));
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let mut text = *b"req_0000000000000000";
    let (_, digits) = text.split_at_mut(4);
    hex::encode_to_slice(number.to_be_bytes(), digits).ok();
    HeaderValue::from_bytes(&text).unwrap_or_else(|_| HeaderValue::from_static("req_0"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_is_never_woken_is_given_up() {
        let moment = Duration::from_millis(1);
        assert_eq!(within(moment, std::future::pending::<()>()).await, None);
        let long = Duration::from_hours(1);
        assert_eq!(within(long, tokio::task::yield_now()).await, Some(()));
    }
}
