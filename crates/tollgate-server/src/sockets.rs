//! The sockets the engine listens on. Owns: where each comes from: bound by us, handed over by
//! systemd, or kept from the engine before a reload. Must not know: what is served on it.
//!
//! A connection that arrives while one engine takes over from another waits in the queue of the
//! socket, because the socket stays.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};

use listenfd::ListenFd;

use crate::supervisor::TaskKind;

/// Pending connections the kernel keeps for us.
const BACKLOG: i32 = 4096;

/// The sockets of a process. Clones are the same ones.
#[derive(Debug, Clone, Default)]
pub struct Sockets(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// From systemd, the first for the API, the second for the metrics.
    inherited: Vec<TcpListener>,
    /// In use, with the listener they are for and the address that was asked for.
    kept: Vec<(TaskKind, SocketAddr, TcpListener)>,
}

impl Sockets {
    /// With those that systemd has opened for this process (`LISTEN_FDS`), if any.
    pub fn inherited() -> io::Result<Self> {
        let mut given = ListenFd::from_env();
        let mut inherited = Vec::new();
        for index in 0..given.len() {
            inherited.extend(given.take_tcp_listener(index)?);
        }
        Ok(Self(Arc::new(Mutex::new(State { inherited, kept: Vec::new() }))))
    }

    /// The socket for a listener: the one it had, the one systemd gives it whatever the address, or a
    /// new one. `127.0.0.1:0` picks a free port.
    pub fn open(&self, kind: TaskKind, wanted: SocketAddr) -> io::Result<tokio::net::TcpListener> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let given = state.inherited.get(usize::from(kind == TaskKind::Metrics));
        let kept = state.kept.iter().find(|(of, address, _)| (*of, *address) == (kind, wanted));
        let socket = match (given, kept) {
            (Some(given), _) => given.try_clone()?,
            (None, Some((_, _, kept))) => kept.try_clone()?,
            (None, None) => {
                let socket = bind(wanted)?;
                let kept = socket.try_clone()?;
                // One that is not asked for any more is closed with the engine that asked for it.
                state.kept.retain(|(of, _, _)| *of != kind);
                state.kept.push((kind, wanted, kept));
                socket
            }
        };
        drop(state);
        socket.set_nonblocking(true)?;
        tokio::net::TcpListener::from_std(socket)
    }
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let domain = if address.is_ipv6() { socket2::Domain::IPV6 } else { socket2::Domain::IPV4 };
    let socket = socket2::Socket::new(domain, socket2::Type::STREAM, Some(socket2::Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_listener_keeps_its_socket_while_its_address_stays() {
        let sockets = Sockets::default();
        let any: SocketAddr = "127.0.0.1:0".parse().unwrap();
        let first = sockets.open(TaskKind::Api, any).unwrap();
        let address = first.local_addr().unwrap();
        assert_eq!(sockets.open(TaskKind::Api, any).unwrap().local_addr().unwrap(), address);
        let metrics = sockets.open(TaskKind::Metrics, any).unwrap();
        assert_ne!(metrics.local_addr().unwrap(), address);
        let refused = sockets.open(TaskKind::Metrics, address).unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::AddrInUse);
    }
}
