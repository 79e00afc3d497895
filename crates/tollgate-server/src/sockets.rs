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
pub struct Sockets(Arc<State>);

#[derive(Debug, Default)]
struct State {
    /// From systemd, the first for the API, the second for the metrics.
    inherited: Vec<TcpListener>,
    kept: Mutex<Vec<Kept>>,
}

/// A socket that is in use.
#[derive(Debug)]
struct Kept {
    kind: TaskKind,
    /// What was asked for.
    wanted: SocketAddr,
    socket: TcpListener,
}

/// A socket that cannot be opened.
#[derive(Debug)]
pub struct Refused {
    /// What for.
    pub kind: TaskKind,
    /// What was asked for.
    pub address: SocketAddr,
    /// Why not.
    pub cause: io::Error,
}

impl Sockets {
    /// With those that systemd has opened for this process (`LISTEN_FDS`), if any.
    pub fn inherited() -> io::Result<Self> {
        let mut given = ListenFd::from_env();
        let mut inherited = Vec::new();
        for index in 0..given.len() {
            inherited.extend(given.take_tcp_listener(index)?);
        }
        Ok(Self(Arc::new(State { inherited, kept: Mutex::default() })))
    }

    /// Sockets for all listeners of an engine, in their order. Each is the one its kind had at this
    /// address, the one systemd gives it whatever the address, or a new one. `127.0.0.1:0` picks a free
    /// port. From then on these are kept and no others; where one cannot be opened nothing changes.
    pub fn open(
        &self,
        wanted: &[(TaskKind, SocketAddr)],
    ) -> Result<Vec<tokio::net::TcpListener>, Refused> {
        let mut kept = self.0.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let (mut keep, mut opened) = (Vec::new(), Vec::new());
        for &(kind, wanted) in wanted {
            let refused = |cause| Refused { kind, address: wanted, cause };
            let known = kept.iter().find(|kept| (kept.kind, kept.wanted) == (kind, wanted));
            let given = self.0.inherited.get(usize::from(kind == TaskKind::Metrics));
            let socket = match given.or(known.map(|known| &known.socket)) {
                Some(socket) => socket.try_clone(),
                None => bind(wanted),
            };
            let socket = socket.map_err(refused)?;
            opened.push(listener(&socket).map_err(refused)?);
            keep.push(Kept { kind, wanted, socket });
        }
        *kept = keep;
        Ok(opened)
    }
}

fn listener(socket: &TcpListener) -> io::Result<tokio::net::TcpListener> {
    let own = socket.try_clone()?;
    own.set_nonblocking(true)?;
    tokio::net::TcpListener::from_std(own)
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

    const API: TaskKind = TaskKind::Api;
    const METRICS: TaskKind = TaskKind::Metrics;

    fn any() -> SocketAddr {
        "127.0.0.1:0".parse().unwrap()
    }

    fn open(sockets: &Sockets, wanted: &[(TaskKind, SocketAddr)]) -> Vec<SocketAddr> {
        let opened = sockets.open(wanted).unwrap();
        opened.iter().map(|socket| socket.local_addr().unwrap()).collect()
    }

    #[tokio::test]
    async fn a_listener_keeps_its_socket_while_its_address_stays() {
        let sockets = Sockets::default();
        let first = open(&sockets, &[(API, any()), (METRICS, any())]);
        assert_eq!(open(&sockets, &[(API, any()), (METRICS, any())]), first);
        assert_ne!(first[0], first[1]);
    }

    #[tokio::test]
    async fn where_one_cannot_be_opened_all_stay_as_they_were() {
        let sockets = Sockets::default();
        let first = open(&sockets, &[(API, any())]);
        let taken = std::net::TcpListener::bind(any()).unwrap();
        let taken = taken.local_addr().map(|address| (taken, address)).unwrap();
        let free = std::net::TcpListener::bind(any()).unwrap().local_addr().unwrap();
        let refused = sockets.open(&[(API, free), (METRICS, taken.1)]).unwrap_err();
        assert_eq!((refused.kind, refused.address), (METRICS, taken.1));
        assert_eq!(refused.cause.kind(), io::ErrorKind::AddrInUse);
        std::net::TcpStream::connect(free).expect_err("nothing listens where nothing is served");
        assert_eq!(open(&sockets, &[(API, any())]), first);
    }

    #[tokio::test]
    async fn one_that_is_not_wanted_any_more_is_closed() {
        let sockets = Sockets::default();
        let both = open(&sockets, &[(API, any()), (METRICS, any())]);
        open(&sockets, &[(API, any())]);
        std::net::TcpStream::connect(both[1]).unwrap_err();
    }
}
