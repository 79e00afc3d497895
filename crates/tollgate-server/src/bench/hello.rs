//! The bare server to compare with: axum as its first examples show it. Owns: nothing else. Must
//! not know: Tollgate.

use std::io::Read as _;
use std::net::SocketAddr;

use axum::Router;
use axum::response::IntoResponse as _;
use axum::routing::{get, post};
use axum::serve::ListenerExt as _;
use bytes::Bytes;
use http::{HeaderMap, StatusCode, header};

/// Where it answers what a check is answered with, by length.
pub(super) const CHECK: &str = "/api/v1/feature-check";

/// Serves `hello` under `/`, and so many bytes to whoever posts as a check is posted; says where, and
/// ends when standard input does.
pub(super) async fn serve(address: SocketAddr, reply_bytes: usize) -> anyhow::Result<()> {
    let listener = tokio::net::TcpListener::bind(address).await?;
    anstream::println!("listening on http://{}", listener.local_addr()?);
    let listener = listener.tap_io(|stream| {
        // As the server under test does; without it a reply may wait for an acknowledgement.
        stream.set_nodelay(true).ok();
    });
    let reply = Bytes::from(vec![b'x'; reply_bytes]);
    let check = move |headers: HeaderMap, body: Bytes| {
        let reply = reply.clone();
        async move {
            if headers.contains_key(header::AUTHORIZATION) && !body.is_empty() {
                ([(header::CONTENT_TYPE, "application/json")], reply).into_response()
            } else {
                StatusCode::BAD_REQUEST.into_response()
            }
        }
    };
    let app = Router::new().route("/", get(|| async { "hello" })).route(CHECK, post(check));
    let parent_gone = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()));
    axum::serve(listener, app)
        .with_graceful_shutdown(async {
            parent_gone.await.ok();
        })
        .await?;
    Ok(())
}
