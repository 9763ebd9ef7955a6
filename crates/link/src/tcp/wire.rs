//! What strangers and ranks that have not met yet say to each other: small records, read with a deadline.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::farewell::{clip, printable};
use crate::ranks::PROTOCOL;

const MAGIC: [u8; 8] = *b"vapolink";
/// Whoever connects says who it is within this time, or is no rank.
const GREETING: Duration = Duration::from_secs(5);
const MAX_TEXT: usize = 2000;
/// An address and a port.
const PLACE_BYTES: usize = 18;

/// What a rank says first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Greeting {
    /// To rank 0: I am `rank` of `size` and listen at `port`.
    Arrived { rank: u32, size: u32, port: u16 },
    /// To any rank, after the meeting: this is rank `rank`'s connection for `purpose`.
    Connects { session: u64, rank: u32, purpose: Purpose },
}

/// What a connection carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    Data,
    Control,
}

const GREETING_BYTES: usize = 8 + 4 + 1 + 4 + 8;

impl Greeting {
    /// `[magic][protocol u32][kind u8][rank u32][size u32 and port u16, or session u64]`
    pub(super) fn write(self, stream: &mut TcpStream) -> io::Result<()> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend(PROTOCOL.to_le_bytes());
        match self {
            Greeting::Arrived { rank, size, port } => {
                bytes.push(0);
                bytes.extend(rank.to_le_bytes());
                bytes.extend(size.to_le_bytes());
                bytes.extend(u32::from(port).to_le_bytes());
            }
            Greeting::Connects { session, rank, purpose } => {
                bytes.push(if purpose == Purpose::Data { 1 } else { 2 });
                bytes.extend(rank.to_le_bytes());
                bytes.extend(session.to_le_bytes());
            }
        }
        stream.write_all(&bytes)
    }

    /// The greeting of a rank; the error of one that speaks another version; nothing from a stranger.
    pub(super) fn read(stream: &mut TcpStream) -> Result<Option<Self>, String> {
        let mut bytes = [0; GREETING_BYTES];
        if read_until(stream, &mut bytes, Instant::now() + GREETING).is_err() || bytes[..8] != MAGIC {
            return Ok(None);
        }
        let number = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        if number(8) != PROTOCOL {
            return Err(format!("speaks version {} of the link between ranks, this rank {PROTOCOL}", number(8)));
        }
        let (rank, low, high) = (number(13), number(17), number(21));
        let session = u64::from(low) | u64::from(high) << 32;
        Ok(match bytes[12] {
            0 => Some(Greeting::Arrived { rank, size: low, port: high as u16 }),
            1 => Some(Greeting::Connects { session, rank, purpose: Purpose::Data }),
            2 => Some(Greeting::Connects { session, rank, purpose: Purpose::Control }),
            _ => None,
        })
    }
}

/// What rank 0 answers.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// All have come: the number of this meeting, and where each rank listens.
    Table { session: u64, places: Vec<SocketAddr> },
    /// There will be no job, and why.
    Refused(String),
}

impl Answer {
    /// `[kind u8][session u64][places]` or `[kind u8][length u64][text]`
    pub(super) fn write(&self, stream: &mut TcpStream) -> io::Result<()> {
        let mut bytes = Vec::new();
        match self {
            Answer::Table { session, places } => {
                bytes.push(0);
                bytes.extend(session.to_le_bytes());
                for place in places {
                    let address = match place.ip() {
                        IpAddr::V4(address) => address.to_ipv6_mapped(),
                        IpAddr::V6(address) => address,
                    };
                    bytes.extend(address.octets());
                    bytes.extend(place.port().to_le_bytes());
                }
            }
            Answer::Refused(text) => {
                let text = clip(text, MAX_TEXT);
                bytes.push(1);
                bytes.extend((text.len() as u64).to_le_bytes());
                bytes.extend(text.as_bytes());
            }
        }
        stream.write_all(&bytes)
    }

    /// Reads the answer to one of `size` ranks.
    pub(super) fn read(stream: &mut TcpStream, size: usize, deadline: Instant) -> io::Result<Self> {
        let mut head = [0; 9];
        read_until(stream, &mut head, deadline)?;
        let number = u64::from_le_bytes([1, 2, 3, 4, 5, 6, 7, 8].map(|at| head[at]));
        if head[0] == 0 {
            let mut bytes = vec![0; PLACE_BYTES * size];
            read_until(stream, &mut bytes, deadline)?;
            return Ok(Answer::Table { session: number, places: bytes.chunks_exact(PLACE_BYTES).map(place).collect() });
        }
        let mut text = vec![0; MAX_TEXT.min(number as usize)];
        read_until(stream, &mut text, deadline)?;
        Ok(Answer::Refused(printable(&String::from_utf8_lossy(&text))))
    }
}

fn place(bytes: &[u8]) -> SocketAddr {
    let mut octets = [0; 16];
    octets.copy_from_slice(&bytes[..16]);
    SocketAddr::new(Ipv6Addr::from(octets).to_canonical(), u16::from_le_bytes([bytes[16], bytes[17]]))
}

/// Fills `bytes`, whatever the pieces that they come in, or fails at the deadline.
fn read_until(stream: &mut TcpStream, bytes: &mut [u8], deadline: Instant) -> io::Result<()> {
    let mut filled = 0;
    while filled < bytes.len() {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut bytes[filled..]) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(io::ErrorKind::TimedOut.into()),
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
