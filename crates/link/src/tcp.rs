//! Ranks that are connected over TCP.
//!
//! Each pair of ranks has two connections: one for data, one for farewells, whose end also shows that the process or its
//! machine is gone. Nothing is encrypted, and whoever can reach the ports while ranks meet can disturb them: this is
//! for private networks.

mod connection;
mod mesh;
mod rendezvous;
mod sink;
mod wire;

use std::io::{Error as IoError, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::error::Error;
use crate::farewell::{Farewell, Reason};
use crate::link::{Fault, Link, Receive, Wait};

pub use rendezvous::Rendezvous;

use connection::{Connection, attempt};
use sink::{PIECE, Sink};

/// How long a closed data connection's farewell may take to arrive.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// The longest sleep, so that nothing waits for long if the system's news are missed.
const LONGEST_SLEEP: Duration = Duration::from_millis(500);

/// A link over TCP.
pub struct Tcp {
    rank: usize,
    /// By rank; none for this one.
    peers: Vec<Option<Connection>>,
    /// Where bytes lie before they are added.
    scratch: Vec<u8>,
}

impl Tcp {
    /// Meets the other ranks.
    ///
    /// Rank 0 listens at the rendezvous, collects everybody's address and hands them out; then each pair connects.
    /// Fails when not all ranks have come after `patience`, naming those that are missing.
    pub fn meet(rendezvous: &Rendezvous, patience: Duration) -> Result<Self, Error> {
        let connections = rendezvous.meet(Instant::now() + patience)?;
        Ok(Self { rank: rendezvous.rank, peers: connections, scratch: vec![0; PIECE] })
    }

    /// Sleeps until the connection to `peer` can go on, or there is news of any rank: then true.
    fn sleep(&self, peer: &TcpStream, can: PollFlags, longest: Duration) -> bool {
        let mut watched = vec![PollFd::new(peer, can)];
        let others = self.peers.iter().flatten().filter(|other| !other.told);
        watched.extend(others.map(|other| PollFd::new(&other.control, PollFlags::IN)));
        let longest = longest.min(LONGEST_SLEEP);
        let longest = Timespec { tv_sec: 0, tv_nsec: longest.as_nanos() as i64 };
        // After an error of `poll` itself everything is tried.
        poll(&mut watched, Some(&longest)).is_err() || watched[1..].iter().any(|other| !other.revents().is_empty())
    }

    /// Why the data connection to `peer` does not work: its last words, if there are any.
    fn last_words(&mut self, peer: usize, error: Option<IoError>) -> Fault {
        let begun = Instant::now();
        while begun.elapsed() < LAST_WORDS {
            if let Some(fault) = self.heard() {
                return fault;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        match error {
            Some(error) => Fault::Broken { rank: peer, cause: format!("the connection to it failed: {error}") },
            None => Fault::Ended { rank: peer },
        }
    }

    fn transfer(&mut self, peer: usize, send: &[u8], mut sink: Sink<'_>, wait: &Wait<'_>) -> Result<(), Fault> {
        let (mut sent, mut moved) = (0, Instant::now());
        loop {
            let Some(connection) = &self.peers[peer] else { return Err(Fault::Ended { rank: peer }) };
            let mut data = &connection.data;
            let wrote = match send.get(sent..(sent + PIECE).min(send.len())).filter(|piece| !piece.is_empty()) {
                Some(piece) => data.write(piece),
                None => Ok(0),
            };
            let read = if sink.is_full() { Ok(None) } else { data.read(sink.space()).map(Some) };
            match (attempt(wrote), attempt(read)) {
                (Err(error), _) | (_, Err(error)) => return Err(self.last_words(peer, Some(error))),
                (_, Ok(Some(Some(0)))) => return Err(self.last_words(peer, None)),
                (Ok(wrote), Ok(read)) => {
                    let (wrote, read) = (wrote.unwrap_or(0), read.flatten().unwrap_or(0));
                    sent += wrote;
                    sink.took(read);
                    if sent == send.len() && sink.is_full() {
                        return Ok(());
                    }
                    if wrote + read > 0 {
                        moved = Instant::now();
                        continue;
                    }
                }
            }
            let Some(left) = wait.patience.checked_sub(moved.elapsed()) else {
                return Err(Fault::Silent { rank: peer });
            };
            let mut can = PollFlags::empty();
            can.set(PollFlags::OUT, sent < send.len());
            can.set(PollFlags::IN, !sink.is_full());
            if self.sleep(data, can, left)
                && let Some(fault) = self.heard()
            {
                return Err(fault);
            }
        }
    }
}

impl Link for Tcp {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.peers.len()
    }

    fn name(&self) -> &str {
        "TCP"
    }

    fn exchange(&mut self, peer: usize, send: &[u8], receive: Receive<'_>, wait: &Wait<'_>) -> Result<(), Fault> {
        let mut scratch = std::mem::take(&mut self.scratch);
        let result = self.transfer(peer, send, Sink::new(receive, &mut scratch), wait);
        self.scratch = scratch;
        result
    }

    fn tell(&mut self, farewell: &Farewell) {
        for connection in self.peers.iter().flatten() {
            // A farewell fits into the empty buffer of a connection that carries nothing else.
            let _ = (&connection.control).write_all(&farewell.to_bytes());
        }
    }

    fn heard(&mut self) -> Option<Fault> {
        let size = self.peers.len();
        self.peers.iter_mut().enumerate().find_map(|(rank, connection)| connection.as_mut()?.news(rank, size))
    }

    fn finish(&mut self) {
        // Others may still be at their last exchange, where the end of a connection would be a failure.
        self.tell(&Farewell { from: self.rank, about: self.rank, reason: Reason::Done, text: String::new() });
        self.peers.iter_mut().for_each(|connection| *connection = None);
    }
}
