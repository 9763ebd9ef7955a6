//! Both connections to another rank.

use std::io::{self, Read};
use std::net::TcpStream;
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};

use crate::farewell::{FAREWELL_BYTES, Farewell, Reason};
use crate::link::Fault;

/// A machine that is gone is noticed after 30 + 3 x 10 seconds, even if nothing is sent.
const KEEPALIVE: TcpKeepalive =
    TcpKeepalive::new().with_time(Duration::from_secs(30)).with_interval(Duration::from_secs(10)).with_retries(3);

/// Both connections to another rank.
pub(super) struct Connection {
    pub(super) data: TcpStream,
    pub(super) control: TcpStream,
    /// The part of a farewell that has come.
    inbox: Vec<u8>,
    /// A farewell or the end has been heard: there will be no other news.
    pub(super) told: bool,
}

impl Connection {
    pub(super) fn new((data, control): (TcpStream, TcpStream)) -> io::Result<Self> {
        for stream in [&data, &control] {
            stream.set_nodelay(true)?;
            stream.set_nonblocking(true)?;
        }
        SockRef::from(&control).set_tcp_keepalive(&KEEPALIVE)?;
        Ok(Self { data, control, inbox: Vec::new(), told: false })
    }

    /// A farewell or the end of the connection, once.
    pub(super) fn news(&mut self, rank: usize, size: usize) -> Option<Fault> {
        if self.told {
            return None;
        }
        let mut bytes = [0; FAREWELL_BYTES];
        let space = &mut bytes[self.inbox.len()..];
        match attempt((&self.control).read(space)) {
            Ok(None) => None,
            Ok(Some(0)) | Err(_) => {
                self.told = true;
                Some(Fault::Ended { rank })
            }
            Ok(Some(read)) => {
                self.inbox.extend_from_slice(&space[..read]);
                let whole: &[u8; FAREWELL_BYTES] = self.inbox.as_slice().try_into().ok()?;
                self.told = true;
                match Farewell::from_bytes(whole, size) {
                    Some(farewell) if farewell.reason == Reason::Done => None,
                    Some(farewell) => Some(Fault::Told(farewell)),
                    None => Some(Fault::Broken { rank, cause: "its last words cannot be read".into() }),
                }
            }
        }
    }
}

/// What was done; `None` if nothing can be done now.
pub(super) fn attempt<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(done) => Ok(Some(done)),
        Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => Ok(None),
        Err(error) => Err(error),
    }
}
