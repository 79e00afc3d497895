//! The bare server to compare with: axum as its first example shows it. Owns: nothing else. Must
//! not know: Tollgate.

use std::net::SocketAddr;

use axum::Router;
use axum::routing::get;
use axum::serve::ListenerExt as _;
use tokio::io::AsyncReadExt as _;

/// Serves `hello` under `/`, says where, and ends when standard input does.
pub(super) async fn serve(address: SocketAddr) -> anyhow::Result<()> {
    let listener = tokio::net::TcpListener::bind(address).await?;
    anstream::println!("listening on http://{}", listener.local_addr()?);
    let listener = listener.tap_io(|stream| {
        // As the server under test does; without it a reply may wait for an acknowledgement.
        stream.set_nodelay(true).ok();
    });
    let app = Router::new().route("/", get(|| async { "hello" }));
    let parent_gone = async {
        let mut nothing = [0; 1];
        while tokio::io::stdin().read(&mut nothing).await.is_ok_and(|read| read > 0) {}
    };
    axum::serve(listener, app).with_graceful_shutdown(parent_gone).await?;
    Ok(())
}
