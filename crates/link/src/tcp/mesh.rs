//! Connects each pair of ranks.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::connection::Connection;
use super::wire::{Greeting, Purpose};

/// Whether somebody has come is asked so often.
const LOOK: Duration = Duration::from_millis(5);
/// Descriptors for everything else that the process has open.
const OTHER_FILES: u64 = 256;

/// The meeting that the connections belong to, so that another job's ranks are told apart.
pub(super) struct Mesh<'a> {
    pub(super) rank: usize,
    pub(super) session: u64,
    /// Where each rank listens.
    pub(super) places: &'a [SocketAddr],
}

impl Mesh<'_> {
    /// Connects to every lower rank, then waits for every higher one at `listener`.
    pub(super) fn connect(&self, listener: &TcpListener, deadline: Instant) -> Result<Vec<Option<Connection>>, String> {
        let size = self.places.len();
        let mut data: Vec<Option<TcpStream>> = (0..size).map(|_| None).collect();
        let mut control: Vec<Option<TcpStream>> = (0..size).map(|_| None).collect();
        for lower in 0..self.rank {
            data[lower] = Some(self.reach(lower, Purpose::Data, deadline)?);
            control[lower] = Some(self.reach(lower, Purpose::Control, deadline)?);
        }
        let complete = |streams: &[Option<TcpStream>]| streams.iter().skip(self.rank + 1).all(Option::is_some);
        while !complete(&data) || !complete(&control) {
            let Some(mut stream) = accept(listener, deadline) else {
                let missing = (self.rank + 1..size).find(|&rank| data[rank].is_none() || control[rank].is_none());
                return Err(format!("rank {} did not connect to rank {}", missing.unwrap_or(size), self.rank));
            };
            match Greeting::read(&mut stream) {
                Ok(Some(Greeting::Connects { session, rank, purpose }))
                    if session == self.session && self.rank < rank as usize && (rank as usize) < size =>
                {
                    let streams = if purpose == Purpose::Data { &mut data } else { &mut control };
                    streams[rank as usize] = Some(stream);
                }
                // A stranger, or another job's rank: its own deadline tells it.
                _ => {}
            }
        }
        let pairs = data.into_iter().zip(control);
        pairs
            .map(|(data, control)| data.zip(control).map(Connection::new).transpose())
            .collect::<io::Result<_>>()
            .map_err(|error| format!("the connections of rank {} cannot be prepared: {error}", self.rank))
    }

    fn reach(&self, rank: usize, purpose: Purpose, deadline: Instant) -> Result<TcpStream, String> {
        let place = self.places[rank];
        let failed = |error| {
            format!(
                "rank {} cannot connect to rank {rank} at {place}: {error}; do the machines reach each other?",
                self.rank
            )
        };
        let left = deadline.saturating_duration_since(Instant::now()).max(LOOK);
        let mut stream = TcpStream::connect_timeout(&place, left).map_err(failed)?;
        Greeting::Connects { session: self.session, rank: self.rank as u32, purpose }
            .write(&mut stream)
            .map_err(failed)?;
        Ok(stream)
    }
}

/// The next that connects before the deadline. The listener does not block.
pub(super) fn accept(listener: &TcpListener, deadline: Instant) -> Option<TcpStream> {
    while Instant::now() < deadline {
        match listener.accept() {
            // On some systems a connection does not block because its listener does not.
            Ok((stream, _)) if stream.set_nonblocking(false).is_ok() => return Some(stream),
            _ => std::thread::sleep(LOOK),
        }
    }
    None
}

/// Raises the limit of open files as far as the connections of `size` ranks need it.
pub(super) fn allow_connections(size: usize) -> Result<(), String> {
    let needed = 2 * size as u64 + OTHER_FILES;
    let limits =
        getrlimit(Resource::RLIMIT_NOFILE).map_err(|error| format!("the limit of open files is unknown: {error}"))?;
    if limits.0 >= needed {
        return Ok(());
    }
    setrlimit(Resource::RLIMIT_NOFILE, needed.min(limits.1), limits.1).ok().filter(|()| limits.1 >= needed).ok_or_else(
        || format!("{size} ranks need {needed} open files each, allowed are {}: raise `ulimit -n`", limits.1),
    )
}
