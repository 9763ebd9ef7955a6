//! What a transport provides.

use std::time::Duration;

use crate::farewell::Farewell;

/// Moves bytes between this process (its *rank*) and the others.
///
/// A transport knows nothing of collectives, lengths or order: [`Ranks`](crate::Ranks) asks both sides of an exchange
/// for the same lengths. After the first [`Fault`] nothing but [`tell`](Self::tell) and [`heard`](Self::heard) is
/// called, and the job ends.
pub trait Link: Send {
    /// This process's number, less than [`size`](Self::size).
    fn rank(&self) -> usize;

    /// The number of processes.
    fn size(&self) -> usize;

    /// The transport's name for people.
    fn name(&self) -> &str;

    /// Sends `send` to `peer` and takes as many bytes as `receive` holds from it, both at the same time. Either may be empty.
    ///
    /// Returns when both are complete, and before that only with a fault: when `peer` has moved no byte for as long as
    /// `wait` allows, or any rank has ended or said that it gives up.
    fn exchange(&mut self, peer: usize, send: &[u8], receive: Receive<'_>, wait: &Wait<'_>) -> Result<(), Fault>;

    /// Sends a farewell to all other ranks that can be reached, without waiting until it is read.
    fn tell(&mut self, farewell: &Farewell);

    /// News of another rank that has come, without waiting: [`Fault::Ended`] or [`Fault::Told`], each once.
    fn heard(&mut self) -> Option<Fault>;

    /// Sums over all ranks by the transport's own means, whose order and bits it chooses: to compare speeds. `None` if it
    /// has none.
    fn own_sum(&mut self, _values: &mut [f32]) -> Option<Result<(), String>> {
        None
    }

    /// Ends the connections after the last exchange of every rank.
    fn finish(&mut self);
}

/// Where received bytes go.
pub enum Receive<'a> {
    /// They replace what is there.
    Store(&'a mut [u8]),
    /// They are `f32` values, which are added to what is there.
    Add(&'a mut [f32]),
}

impl Receive<'_> {
    /// The number of bytes that are expected.
    pub fn len(&self) -> usize {
        match self {
            Receive::Store(bytes) => bytes.len(),
            Receive::Add(values) => size_of_val(&**values),
        }
    }

    /// Whether nothing is expected.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Adds `f32` values that came as bytes (in this machine's order; `bytes` may be unaligned).
pub(crate) fn add_bytes(values: &mut [f32], bytes: &[u8]) {
    for (value, bytes) in values.iter_mut().zip(bytes.chunks_exact(4)) {
        *value += f32::from_ne_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    }
}

/// What an exchange belongs to, and how long it may stand still.
pub struct Wait<'a> {
    /// What the program does, for messages: `gradients of the critic`.
    pub stage: &'a str,
    /// How long the other side may move no byte.
    pub patience: Duration,
    /// Where each rank runs; empty until the ranks know each other.
    pub peers: &'a [Peer],
}

impl Wait<'_> {
    /// `rank 2 on node-b (process 4711)`.
    pub(crate) fn place(&self, rank: usize) -> String {
        match self.peers.get(rank) {
            Some(peer) => format!("rank {rank} on {} (process {})", peer.host, peer.process),
            None => format!("rank {rank}"),
        }
    }
}

/// Where a rank runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// The name of its machine.
    pub host: String,
    /// Its process there.
    pub process: u32,
}

/// Why an exchange did not come to its end.
#[derive(Debug, Clone, PartialEq)]
pub enum Fault {
    /// The rank closed its connection, or its process died.
    Ended {
        /// The rank that ended.
        rank: usize,
    },
    /// The rank moved no byte in the time that was allowed.
    Silent {
        /// The rank that was waited for.
        rank: usize,
    },
    /// A rank gave up and said why.
    Told(Farewell),
    /// The system or the library refused, or the rank sent something else than expected.
    Broken {
        /// The rank on the other side.
        rank: usize,
        /// What was expected and what happened.
        cause: String,
    },
}
