//! The bare server to compare with: axum as its first example shows it. Owns: nothing else. Must
//! not know: Tollgate.

use std::io::Read as _;
use std::net::SocketAddr;

use axum::Router;
use axum::routing::get;
use axum::serve::ListenerExt as _;

/// Serves `hello` under `/`, says where, and ends when standard input does.
pub(super) async fn serve(address: SocketAddr) -> anyhow::Result<()> {
    let listener = tokio::net::TcpListener::bind(address).await?;
    anstream::println!("listening on http://{}", listener.local_addr()?);
    let listener = listener.tap_io(|stream| {
        // As the server under test does; without it a reply may wait for an acknowledgement.
        stream.set_nodelay(true).ok();
    });
    let app = Router::new().route("/", get(|| async { "hello" }));
    let parent_gone = tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new()));
    axum::serve(listener, app)
        .with_graceful_shutdown(async {
            parent_gone.await.ok();
        })
        .await?;
    Ok(())
}
