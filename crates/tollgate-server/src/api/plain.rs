//! What every request must be before it has a route: it says each thing once, in plain bytes, and is
//! read to its end or its connection is not used on. Must not know: routes.

use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use futures_util::FutureExt as _;
use http::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HOST, TRANSFER_ENCODING};
use http::{HeaderName, Request, Version};
use http_body_util::BodyExt as _;
use hyper::body::{Body as HttpBody, Frame, SizeHint};

use super::error::ApiError;
use crate::listener::HEAD_BYTES_MAX;

/// Headers of which a second one would mean something else to somebody before us.
const ONCE: [(HeaderName, &str); 6] = [
    (HOST, "Host"),
    (AUTHORIZATION, "Authorization"),
    (CONTENT_TYPE, "Content-Type"),
    (TRANSFER_ENCODING, "Transfer-Encoding"),
    (HeaderName::from_static("x-api-key"), "X-API-Key"),
    (HeaderName::from_static("stripe-signature"), "Stripe-Signature"),
];

/// Why a request is refused whatever it asks for.
pub(super) fn fault<B>(request: &Request<B>) -> Option<ApiError> {
    let headers = request.headers();
    if head_bytes(request) > HEAD_BYTES_MAX {
        return Some(ApiError::HeadTooLarge);
    }
    for (name, shown) in &ONCE {
        if headers.get_all(name).iter().nth(1).is_some() {
            return Some(ApiError::field(*shown, "must be there once"));
        }
    }
    if request.version() == Version::HTTP_11 && !headers.contains_key(HOST) {
        return Some(ApiError::field("Host", "must be there once"));
    }
    let mut encodings = headers.get_all(CONTENT_ENCODING).iter();
    let plain = encodings.all(|one| one.as_bytes().eq_ignore_ascii_case(b"identity"));
    (!plain).then_some(ApiError::UnsupportedEncoding)
}

/// About the length of a request's head as it came. What comes in one piece is read as far as there is
/// room, which is more than may be kept of it.
fn head_bytes<B>(request: &Request<B>) -> usize {
    let path = request.uri().path_and_query().map_or(0, |path| path.as_str().len());
    let line = request.method().as_str().len() + path;
    let headers = request.headers().iter();
    headers.fold(line, |sum, (name, value)| sum + name.as_str().len() + value.len() + BETWEEN)
}

/// `: ` and the end of the line.
const BETWEEN: usize = 4;

/// A request's body that is noted when it has been read to its end. Clones are the same one.
#[derive(Clone)]
pub(super) struct Watched(Arc<Mutex<State>>);

struct State {
    body: Body,
    read: bool,
}

/// Most that is read away of a body nobody asked for.
const READ_AWAY_MAX: usize = 64 * 1024;

impl Watched {
    pub(super) fn new(body: Body) -> Self {
        let read = body.is_end_stream();
        Self(Arc::new(Mutex::new(State { body, read })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether nothing of it is left on the connection, once what is here already has been read away.
    pub(super) fn is_read(&self) -> bool {
        let mut state = self.state();
        let mut away = 0;
        while !state.read && away < READ_AWAY_MAX {
            match state.body.frame().now_or_never() {
                Some(Some(Ok(frame))) => away += frame.data_ref().map_or(0, Bytes::len),
                Some(None) => state.read = true,
                Some(Some(Err(_))) | None => break,
            }
            state.read |= state.body.is_end_stream();
        }
        state.read
    }
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let mut state = self.state();
        let polled = Pin::new(&mut state.body).poll_frame(context);
        state.read |= matches!(polled, Poll::Ready(None)) || state.body.is_end_stream();
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.state().body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.state().body.size_hint()
    }
}
