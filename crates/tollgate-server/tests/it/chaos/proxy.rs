//! A wire that can be cut.

use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Forwards connections to an address until it is cut.
pub(super) struct Wire {
    pub(super) address: SocketAddr,
    whole: watch::Sender<bool>,
}

impl Wire {
    pub(super) async fn to(target: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (whole, seen) = watch::channel(true);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                if *seen.borrow() {
                    tokio::spawn(forward(stream, target.clone(), seen.clone()));
                }
            }
        });
        Self { address, whole }
    }

    /// Cuts every connection; new ones are refused.
    pub(super) fn cut(&self) {
        self.whole.send_replace(false);
    }

    pub(super) fn mend(&self) {
        self.whole.send_replace(true);
    }
}

async fn forward(mut from: TcpStream, target: String, mut whole: watch::Receiver<bool>) {
    let Ok(mut to) = TcpStream::connect(target).await else { return };
    tokio::select! {
        _ = tokio::io::copy_bidirectional(&mut from, &mut to) => {}
        _ = whole.wait_for(|whole| !*whole) => {}
    }
}
