//! What every request must be before it has a route: it says each thing once, in plain bytes, and is
//! read to its end or its connection is not used on. Must not know: routes.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HOST, TRANSFER_ENCODING};
use http::{HeaderName, Request, Version};
use http_body_util::BodyExt as _;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};

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
    // Most requests say nothing twice.
    if headers.len() > headers.keys_len() {
        for (name, shown) in &ONCE {
            if headers.get_all(name).iter().nth(1).is_some() {
                return Some(ApiError::field(*shown, "must be there once"));
            }
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

/// Whether the body of a connection's request was read to its end.
#[derive(Debug, Clone, Default)]
pub(super) struct ReadToEnd(Arc<AtomicBool>);

impl ReadToEnd {
    /// Whether nothing of it is left on the connection. To be asked when the body is dropped.
    pub(super) fn get(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// A request's body that notes, when it is dropped, whether it was read to its end.
pub(super) struct Watched {
    body: Incoming,
    read: ReadToEnd,
}

/// Most that is read away of a body nobody asked for.
const READ_AWAY_MAX: usize = 64 * 1024;

impl Watched {
    pub(super) const fn new(body: Incoming, read: ReadToEnd) -> Self {
        Self { body, read }
    }

    /// Reads away what is here already; returns whether nothing is left.
    fn read_away(&mut self) -> bool {
        let mut away = 0;
        while !self.body.is_end_stream() && away < READ_AWAY_MAX {
            match self.body.frame().now_or_never() {
                Some(Some(Ok(frame))) => away += frame.data_ref().map_or(0, Bytes::len),
                Some(None) => return true,
                Some(Some(Err(_))) | None => return false,
            }
        }
        self.body.is_end_stream()
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let read = self.read_away();
        self.read.0.store(read, Ordering::Relaxed);
    }
}

impl HttpBody for Watched {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
