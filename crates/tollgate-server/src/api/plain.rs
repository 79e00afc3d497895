//! What every request must be before it has a route: it says each thing once, in plain bytes, and is
//! read to its end or its connection is not used on. Must not know: routes.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use axum::body::Body;
use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HOST, TRANSFER_ENCODING};
use http::{HeaderName, Request, Version};
use hyper::body::{Body as HttpBody, Frame, SizeHint};

use super::error::ApiError;

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
    for (name, shown) in &ONCE {
        if headers.get_all(name).iter().nth(1).is_some() {
            return Some(ApiError::field(*shown, "must be there once"));
        }
    }
    if request.version() == Version::HTTP_11 && !headers.contains_key(HOST) {
        return Some(ApiError::field("Host", "must be there once"));
    }
    let encoded = headers.get(CONTENT_ENCODING).is_some_and(|value| value != "identity");
    encoded.then_some(ApiError::UnsupportedEncoding)
}

/// A request's body that is noted when it has been read to its end.
pub(super) struct Watched {
    body: Body,
    read: Arc<AtomicBool>,
}

impl Watched {
    /// Watches a body; the flag is set once nothing of it is left on the connection.
    pub(super) fn new(body: Body) -> (Self, Arc<AtomicBool>) {
        let read = Arc::new(AtomicBool::new(body.is_end_stream()));
        (Self { body, read: Arc::clone(&read) }, read)
    }
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(context);
        let over = matches!(polled, Poll::Ready(None)) || self.body.is_end_stream();
        if over {
            self.read.store(true, Ordering::Relaxed);
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
