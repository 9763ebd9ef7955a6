//! An exchange over MPI, in pieces: some are under way while others are added.

use std::collections::VecDeque;
use std::ffi::c_int;
use std::slice::{Chunks, ChunksMut};
use std::time::{Duration, Instant};

use super::ffi::{Library, Receiving, Transfer};
use crate::link::{Fault, Receive, add_bytes};

/// Both sides cut their bytes into pieces of this size. With a quarter of it, Open MPI and MPICH need two to three times as
/// long between processes of one machine.
pub(super) const PIECE: usize = 4 << 20;
/// So many pieces are under way in each direction.
pub(super) const WINDOW: usize = 2;
/// The tag of data; farewells have another.
const DATA: c_int = 1;
/// After so long without progress the processor is left to others, and news are looked for; after the second, more so.
const SPIN: Duration = Duration::from_micros(200);
const DOZE: Duration = Duration::from_millis(100);
const NAP: Duration = Duration::from_micros(50);
const LONG_NAP: Duration = Duration::from_millis(1);

/// The pieces of an exchange.
pub(super) struct Exchange<'a> {
    library: &'static Library,
    peer: usize,
    outgoing: Chunks<'a, u8>,
    target: Target<'a>,
    sends: VecDeque<Transfer<'a>>,
    receives: VecDeque<Receiving<'a>>,
}

impl<'a> Exchange<'a> {
    /// Between `send` and `receive`; `scratch` has room for [`WINDOW`] pieces.
    pub(super) fn new(
        library: &'static Library,
        peer: usize,
        send: &'a [u8],
        receive: Receive<'a>,
        scratch: &'a mut [u8],
    ) -> Self {
        let (sends, receives) = (VecDeque::new(), VecDeque::new());
        Self { library, peer, outgoing: send.chunks(PIECE), target: Target::new(receive, scratch), sends, receives }
    }

    /// Goes on until all is sent and received, nothing has moved for `patience`, or there is news.
    pub(super) fn run(&mut self, patience: Duration, news: impl Fn() -> Option<Fault>) -> Result<(), Fault> {
        let mut moved = Instant::now();
        loop {
            let peer = self.peer;
            let broken = |cause| Fault::Broken { rank: peer, cause: format!("the MPI library failed: {cause}") };
            if self.start().and_then(|()| self.advance()).map_err(broken)? {
                moved = Instant::now();
            }
            if self.sends.is_empty() && self.receives.is_empty() && self.outgoing.len() == 0 && self.target.is_full() {
                return Ok(());
            }
            let idle = moved.elapsed();
            if idle > patience {
                return Err(Fault::Silent { rank: peer });
            } else if idle < SPIN {
                std::thread::yield_now();
            } else {
                std::thread::sleep(if idle < DOZE { NAP } else { LONG_NAP });
                news().map_or(Ok(()), Err)?;
            }
        }
    }

    /// Takes the memory of what is under way back from MPI; false if it does not give it.
    pub(super) fn take_back(&mut self) -> bool {
        let receives = self.receives.iter_mut().map(|receiving| &mut receiving.transfer);
        self.sends.iter_mut().chain(receives).all(Transfer::take_back)
    }

    /// Begins pieces as far as the window allows.
    fn start(&mut self) -> Result<(), String> {
        while self.receives.len() < WINDOW
            && let Some(memory) = self.target.next()
        {
            self.receives.push_back(self.library.receive(memory, self.peer, DATA)?);
        }
        while self.sends.len() < WINDOW
            && let Some(piece) = self.outgoing.next()
        {
            self.sends.push_back(self.library.send(piece, self.peer, DATA)?);
        }
        Ok(())
    }

    /// Takes what has been sent and received out of the window; true if there was any.
    fn advance(&mut self) -> Result<bool, String> {
        let mut any = false;
        if let Some(first) = self.sends.front_mut()
            && first.is_done()?
        {
            self.sends.pop_front();
            any = true;
        }
        if let Some(first) = self.receives.front_mut()
            && first.transfer.is_done()?
            && let Some(first) = self.receives.pop_front()
        {
            self.target.took(first.into_memory());
            any = true;
        }
        Ok(any)
    }
}

/// Gives out memory for the pieces that come, and does with them what is wanted.
enum Target<'a> {
    Store(ChunksMut<'a, u8>),
    Add { values: &'a mut [f32], asked: usize, added: usize, free: Vec<&'a mut [u8]> },
}

impl<'a> Target<'a> {
    fn new(receive: Receive<'a>, scratch: &'a mut [u8]) -> Self {
        match receive {
            Receive::Store(bytes) => Target::Store(bytes.chunks_mut(PIECE)),
            Receive::Add(values) => {
                Target::Add { values, asked: 0, added: 0, free: scratch.chunks_exact_mut(PIECE).collect() }
            }
        }
    }

    /// Memory for the next piece.
    fn next(&mut self) -> Option<&'a mut [u8]> {
        match self {
            Target::Store(pieces) => pieces.next(),
            Target::Add { values, asked, free, .. } => {
                let length = PIECE.min(size_of_val(&**values) - *asked);
                let memory = (length > 0).then(|| free.pop()).flatten()?;
                *asked += length;
                Some(&mut memory[..length])
            }
        }
    }

    /// All memory has been given out.
    fn is_full(&self) -> bool {
        match self {
            Target::Store(pieces) => pieces.len() == 0,
            Target::Add { values, asked, .. } => *asked == size_of_val(&**values),
        }
    }

    /// A piece has come.
    fn took(&mut self, piece: &'a mut [u8]) {
        if let Target::Add { values, added, free, .. } = self {
            add_bytes(&mut values[*added..], piece);
            *added += piece.len() / 4;
            free.push(piece);
        }
    }
}
