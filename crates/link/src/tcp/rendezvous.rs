//! How ranks that know only rank 0's address find each other.

use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use super::connection::Connection;
use super::mesh::{Mesh, accept, allow_connections};
use super::wire::{Answer, Greeting};
use crate::error::Error;
use crate::identity::host_name;

/// Rank 0 may start later: the others try again after this time.
const RETRY: Duration = Duration::from_millis(100);
/// How much longer than its own deadline a rank waits for rank 0's answer, which says what went wrong.
const ANSWER: Duration = Duration::from_secs(5);

/// Where ranks meet, and who this one is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendezvous {
    /// This process's number.
    pub rank: usize,
    /// The number of processes.
    pub size: usize,
    /// The machine of rank 0, as all others can reach it.
    pub host: String,
    /// The port that rank 0 listens at.
    pub port: u16,
}

impl Rendezvous {
    pub(super) fn meet(&self, deadline: Instant) -> Result<Vec<Option<Connection>>, Error> {
        let met = allow_connections(self.size)
            .and_then(|()| if self.rank == 0 { self.invite(deadline) } else { self.visit(deadline) });
        met.map_err(Error::Meeting)
    }

    /// Rank 0: waits for all others, and tells them where everybody is.
    fn invite(&self, deadline: Instant) -> Result<Vec<Option<Connection>>, String> {
        let listener = listen(&self.host, self.port).map_err(|error| {
            format!(
                "rank 0 on {} cannot listen at port {}: {error}; set MASTER_PORT (under torchrun VAPO_LINK_PORT) to a free one",
                host_name(),
                self.port
            )
        })?;
        let mut guests: Vec<Option<Guest>> = (0..self.size).map(|_| None).collect();
        let session = RandomState::new().hash_one(std::process::id());
        if let Err(cause) = self.collect(&listener, &mut guests, deadline) {
            let refusal = Answer::Refused(cause.clone());
            guests.iter_mut().flatten().for_each(|guest| drop(refusal.write(&mut guest.stream)));
            return Err(cause);
        }
        // Nobody connects to rank 0 by this table: everybody has reached it already.
        let own = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), self.port);
        let places: Vec<SocketAddr> =
            guests.iter().map(|guest| guest.as_ref().map_or(own, |guest| guest.place)).collect();
        let table = Answer::Table { session, places: places.clone() };
        for guest in guests.iter_mut().flatten() {
            let sent = table.write(&mut guest.stream);
            sent.map_err(|error| format!("the rank at {} left while ranks met: {error}", guest.place))?;
        }
        Mesh { rank: 0, session, places: &places }.connect(&listener, deadline)
    }

    fn collect(&self, listener: &TcpListener, guests: &mut [Option<Guest>], deadline: Instant) -> Result<(), String> {
        while guests.iter().skip(1).any(Option::is_none) {
            let Some(mut stream) = accept(listener, deadline) else { return Err(self.missing(guests)) };
            let Ok(from) = stream.peer_addr() else { continue };
            let greeting = Greeting::read(&mut stream).map_err(|cause| {
                let cause = format!("a rank at {} {cause}: start the same version of vapo on all ranks", from.ip());
                drop(Answer::Refused(cause.clone()).write(&mut stream));
                cause
            })?;
            // Whatever else connects is no rank of this job.
            let Some(Greeting::Arrived { rank, size, port }) = greeting else { continue };
            let guest = Guest { stream, place: SocketAddr::new(from.ip().to_canonical(), port) };
            self.admit(guest, rank as usize, size as usize, guests)?;
        }
        Ok(())
    }

    /// Takes a rank in, if there is a place for it.
    fn admit(&self, mut guest: Guest, rank: usize, size: usize, guests: &mut [Option<Guest>]) -> Result<(), String> {
        let cause = if size != self.size {
            format!("rank {rank} at {} belongs to {size} ranks, rank 0 to {}", guest.place.ip(), self.size)
        } else if let Some(place @ None) = guests.get_mut(rank).filter(|_| rank > 0) {
            *place = Some(guest);
            return Ok(());
        } else {
            let first =
                guests.get(rank).and_then(Option::as_ref).map_or(host_name(), |guest| guest.place.ip().to_string());
            format!("two processes say that they are rank {rank} of {size}: at {first} and at {}", guest.place.ip())
        };
        drop(Answer::Refused(cause.clone()).write(&mut guest.stream));
        Err(cause)
    }

    fn missing(&self, guests: &[Option<Guest>]) -> String {
        let missing: Vec<String> =
            (1..self.size).filter(|&rank| guests[rank].is_none()).map(|rank| rank.to_string()).collect();
        format!(
            "of {} ranks, {} did not come to {}:{} in time: {}",
            self.size,
            missing.len(),
            self.host,
            self.port,
            missing.join(", ")
        )
    }

    /// Every other rank: tells rank 0 where it listens and learns where the others do.
    fn visit(&self, deadline: Instant) -> Result<Vec<Option<Connection>>, String> {
        let here = format!("rank {} on {}", self.rank, host_name());
        let listener = listen(&self.host, 0).map_err(|error| format!("{here} cannot listen at any port: {error}"))?;
        let port = listener.local_addr().map_err(|error| format!("{here} has no port: {error}"))?.port();
        let mut stream = self.knock(&here, deadline)?;
        let lost = |error| format!("{here} lost rank 0 at {}:{} while ranks met: {error}", self.host, self.port);
        let first = stream.peer_addr().map_err(lost)?;
        Greeting::Arrived { rank: self.rank as u32, size: self.size as u32, port }.write(&mut stream).map_err(lost)?;
        match Answer::read(&mut stream, self.size, deadline + ANSWER).map_err(lost)? {
            Answer::Refused(cause) => Err(cause),
            Answer::Table { session, mut places } => {
                places[0] = first;
                // A rank that reached rank 0 without a network is on the same machine.
                places.iter_mut().filter(|place| place.ip().is_loopback()).for_each(|place| place.set_ip(first.ip()));
                Mesh { rank: self.rank, session, places: &places }.connect(&listener, deadline + ANSWER)
            }
        }
    }

    /// Connects to rank 0, as soon as it is there.
    fn knock(&self, here: &str, deadline: Instant) -> Result<TcpStream, String> {
        let mut cause = io::Error::from(io::ErrorKind::TimedOut);
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                let (host, port) = (&self.host, self.port);
                return Err(format!(
                    "{here} did not reach rank 0 at {host}:{port}: {cause}; does it run, and is the port open?"
                ));
            }
            // The name is looked up each time: it may be registered only when rank 0 starts.
            match (self.host.as_str(), self.port).to_socket_addrs() {
                Ok(addresses) => {
                    for address in addresses {
                        match TcpStream::connect_timeout(&address, left) {
                            Ok(stream) => return Ok(stream),
                            Err(error) => cause = error,
                        }
                    }
                }
                Err(error) => cause = error,
            }
            std::thread::sleep(RETRY.min(left));
        }
    }
}

/// A rank that has come to rank 0.
struct Guest {
    stream: TcpStream,
    place: SocketAddr,
}

/// Listens for the other ranks: on this machine alone if rank 0 is called so.
fn listen(host: &str, port: u16) -> io::Result<TcpListener> {
    let alone = match host {
        "localhost" | "127.0.0.1" => Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        "::1" => Some(IpAddr::V6(Ipv6Addr::LOCALHOST)),
        _ => None,
    };
    let listener = match alone {
        Some(address) => TcpListener::bind((address, port)),
        // Where there is no IPv6, only the second works; where there is, the first takes both.
        None => TcpListener::bind((Ipv6Addr::UNSPECIFIED, port))
            .or_else(|_| TcpListener::bind((Ipv4Addr::UNSPECIFIED, port))),
    }?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}
