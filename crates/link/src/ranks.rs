//! The ranks of a job and what they do together.

use std::time::{Duration, Instant};

use crate::conclude::conclude;
use crate::error::Error;
use crate::farewell::{Farewell, Reason, clip, printable};
use crate::identity::Identity;
use crate::link::{Fault, Link, Peer, Receive, Wait};
use crate::single::Single;

/// The version of everything that ranks send each other. Another number is refused before anything else is read.
pub(crate) const PROTOCOL: u32 = 1;
const MAGIC: [u8; 4] = *b"vlnk";
/// `[magic][protocol u32][operation u64][length u64][stage]`: sent ahead of each exchange.
const LABEL_BYTES: usize = 80;
const LABEL_HEAD: usize = 24;
const STAGE_BYTES: usize = LABEL_BYTES - LABEL_HEAD;

/// This process among the ranks of a job, over any [`Link`].
///
/// Every rank calls the same operations in the same order with the same `stage`, a name for messages; a rank that does
/// something else is found out by the first exchange. After an error the job is over: every later operation fails.
///
/// Dropped before [`finish`](Self::finish), it tells the other ranks that this one gave up.
pub struct Ranks {
    link: Box<dyn Link>,
    peers: Vec<Peer>,
    patience: Duration,
    operation: u64,
    traffic: Traffic,
    over: bool,
}

/// What ranks have sent each other so far, for metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Traffic {
    /// Bytes that this rank sent.
    pub sent_bytes: u64,
    /// Bytes that came to this rank.
    pub received_bytes: u64,
    /// Time in exchanges, waiting for the others included.
    pub seconds: f64,
}

impl Ranks {
    /// One process alone.
    pub fn single() -> Self {
        Self::over(Box::new(Single), Duration::MAX)
    }

    /// Begins a job over a link: the ranks compare `identity` and learn where each of them runs.
    ///
    /// `patience` is how long a rank may be waited for without a byte from it; it must exceed what one rank may compute
    /// longer than another. [`Error::Differs`] names each rank that differs from rank 0, the same on every rank.
    pub fn begin(link: Box<dyn Link>, identity: &Identity, patience: Duration) -> Result<Self, Error> {
        let mut ranks = Self::over(link, patience);
        let hellos = ranks.gather("the start", &identity.to_bytes())?;
        match Identity::compare(&hellos) {
            Ok(peers) => ranks.peers = peers,
            Err(error) => {
                // Every rank finds the same: nobody needs to be told.
                ranks.over = true;
                ranks.link.finish();
                return Err(error);
            }
        }
        Ok(ranks)
    }

    fn over(link: Box<dyn Link>, patience: Duration) -> Self {
        Self { link, peers: Vec::new(), patience, operation: 0, traffic: Traffic::default(), over: false }
    }

    /// This process's number, from 0.
    pub fn rank(&self) -> usize {
        self.link.rank()
    }

    /// The number of ranks.
    pub fn size(&self) -> usize {
        self.link.size()
    }

    /// The transport, for people.
    pub fn transport(&self) -> &str {
        self.link.name()
    }

    /// Where each rank runs, in their order; empty for [`single`](Self::single).
    pub fn peers(&self) -> &[Peer] {
        &self.peers
    }

    /// This rank's place among those on its machine, and how many those are: what they share is divided by that.
    pub fn on_this_host(&self) -> (usize, usize) {
        let Some(me) = self.peers.get(self.rank()) else { return (0, 1) };
        let here = |peers: &[Peer]| peers.iter().filter(|peer| peer.host == me.host).count();
        (here(&self.peers[..self.rank()]), here(&self.peers))
    }

    /// What has been sent so far.
    pub fn traffic(&self) -> Traffic {
        self.traffic
    }

    /// Looks, without waiting, whether another rank has ended or given up: for long work between two operations.
    pub fn check(&mut self, stage: &str) -> Result<(), Error> {
        let Some(fault) = self.link.heard() else { return Ok(()) };
        let (Fault::Ended { rank } | Fault::Silent { rank } | Fault::Broken { rank, .. }) = fault else {
            let Fault::Told(Farewell { from, .. }) = fault else { unreachable!() };
            return Err(self.give_up(stage, from, fault));
        };
        Err(self.give_up(stage, rank, fault))
    }

    /// Tells the other ranks that this one cannot go on: their next operation fails with `cause`.
    pub fn fail(mut self, cause: &str) {
        self.tell_all(cause);
    }

    /// Waits for all ranks and ends the connections.
    pub fn finish(mut self) -> Result<(), Error> {
        self.barrier("the end")?;
        self.over = true;
        self.link.finish();
        Ok(())
    }

    /// Returns when every rank has come here.
    pub fn barrier(&mut self, stage: &str) -> Result<(), Error> {
        self.gather(stage, &[]).map(drop)
    }

    /// The bits that any rank has set.
    pub fn any(&mut self, stage: &str, flags: u64) -> Result<u64, Error> {
        let all = self.gather(stage, &flags.to_le_bytes())?;
        Ok(all
            .iter()
            .filter_map(|bytes| bytes.as_slice().try_into().ok())
            .map(u64::from_le_bytes)
            .fold(0, |a, b| a | b))
    }

    /// Sums over all ranks as [`Link::own_sum`] does: to compare [`reduce`](Self::reduce) with. False if the transport
    /// cannot.
    pub fn own_sum(&mut self, values: &mut [f32]) -> Result<bool, Error> {
        self.link.own_sum(values).transpose().map(|sum| sum.is_some()).map_err(Error::Library)
    }

    /// Counts one more operation; all ranks must be at the same.
    pub(crate) fn next_operation(&mut self) {
        self.operation += 1;
    }

    /// Exchanges any number of bytes with `peer`.
    pub(crate) fn swap(&mut self, stage: &str, peer: usize, send: &[u8]) -> Result<Vec<u8>, Error> {
        let length = self.announce(stage, peer, send.len())?;
        let mut received = Vec::new();
        if received.try_reserve_exact(length).is_err() {
            let cause =
                format!("it announced {length} bytes in `{stage}`, for which rank {} has no memory", self.rank());
            return Err(self.give_up(stage, peer, Fault::Broken { rank: peer, cause }));
        }
        received.resize(length, 0);
        self.exchange(stage, peer, send, Receive::Store(&mut received))?;
        Ok(received)
    }

    /// Sends bytes to `peer` and takes exactly as many as `receive` holds.
    pub(crate) fn swap_into(
        &mut self,
        stage: &str,
        peer: usize,
        send: &[u8],
        receive: Receive<'_>,
    ) -> Result<(), Error> {
        let (expected, length) = (receive.len(), self.announce(stage, peer, send.len())?);
        if length != expected {
            let cause = format!("it sends {length} bytes in `{stage}`, rank {} expected {expected}", self.rank());
            return Err(self.give_up(stage, peer, Fault::Broken { rank: peer, cause }));
        }
        self.exchange(stage, peer, send, receive)
    }

    /// Tells `peer` what comes, and returns how many bytes come from it.
    fn announce(&mut self, stage: &str, peer: usize, length: usize) -> Result<usize, Error> {
        let mine = label(stage, self.operation, length);
        let mut theirs = [0; LABEL_BYTES];
        self.exchange(stage, peer, &mine, Receive::Store(&mut theirs))?;
        check_label(&mine, &theirs).map_err(|cause| self.give_up(stage, peer, Fault::Broken { rank: peer, cause }))
    }

    fn exchange(&mut self, stage: &str, peer: usize, send: &[u8], receive: Receive<'_>) -> Result<(), Error> {
        if self.over {
            return Err(Error::Failed { rank: peer, place: "this job".into(), cause: "it has ended".into() });
        }
        let (begun, received) = (Instant::now(), receive.len());
        let wait = Wait { stage, patience: self.patience, peers: &self.peers };
        let result = self.link.exchange(peer, send, receive, &wait);
        self.traffic.seconds += begun.elapsed().as_secs_f64();
        self.traffic.sent_bytes += send.len() as u64;
        self.traffic.received_bytes += received as u64;
        result.map_err(|fault| self.give_up(stage, peer, fault))
    }

    pub(crate) fn give_up(&mut self, stage: &str, peer: usize, fault: Fault) -> Error {
        self.over = true;
        conclude(&mut *self.link, fault, peer, &Wait { stage, patience: self.patience, peers: &self.peers })
    }

    fn tell_all(&mut self, cause: &str) {
        self.over = true;
        let me = self.rank();
        self.link.tell(&Farewell { from: me, about: me, reason: Reason::Failed, text: cause.into() });
    }
}

impl Drop for Ranks {
    fn drop(&mut self) {
        if !self.over {
            self.tell_all("it stopped before the end (its own message says why)");
        }
    }
}

fn label(stage: &str, operation: u64, length: usize) -> [u8; LABEL_BYTES] {
    let mut bytes = [0; LABEL_BYTES];
    bytes[..4].copy_from_slice(&MAGIC);
    bytes[4..8].copy_from_slice(&PROTOCOL.to_le_bytes());
    bytes[8..16].copy_from_slice(&operation.to_le_bytes());
    bytes[16..24].copy_from_slice(&(length as u64).to_le_bytes());
    let stage = clip(stage, STAGE_BYTES).as_bytes();
    bytes[LABEL_HEAD..LABEL_HEAD + stage.len()].copy_from_slice(stage);
    bytes
}

/// The length in the other side's label, if it is at the same operation.
fn check_label(mine: &[u8; LABEL_BYTES], theirs: &[u8; LABEL_BYTES]) -> Result<usize, String> {
    if mine[..8] != theirs[..8] {
        return Err(format!(
            "it does not speak version {PROTOCOL} of the link between ranks; start the same version of vapo on all ranks"
        ));
    }
    if mine[8..16] != theirs[8..16] || mine[LABEL_HEAD..] != theirs[LABEL_HEAD..] {
        return Err(format!("it is at {}, the other rank at {}: ranks must do the same", place(theirs), place(mine)));
    }
    let length = u64::from_le_bytes([16, 17, 18, 19, 20, 21, 22, 23].map(|at| theirs[at]));
    usize::try_from(length).map_err(|_| format!("it announced {length} bytes"))
}

fn place(label: &[u8; LABEL_BYTES]) -> String {
    let operation = u64::from_le_bytes([8, 9, 10, 11, 12, 13, 14, 15].map(|at| label[at]));
    let stage = String::from_utf8_lossy(&label[LABEL_HEAD..]);
    format!("`{}` (operation {operation})", printable(stage.trim_end_matches('\0')))
}
