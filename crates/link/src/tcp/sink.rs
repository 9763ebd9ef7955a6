//! Where the bytes of an exchange go as they come.

use crate::link::{Receive, add_bytes};

/// At most so much is written or read between two looks at the other direction.
pub(super) const PIECE: usize = 256 * 1024;

/// Takes the bytes of an exchange as they come.
pub(super) struct Sink<'a> {
    receive: Receive<'a>,
    taken: usize,
    scratch: &'a mut [u8],
    /// Bytes at the beginning of `scratch` that are no whole value yet.
    held: usize,
}

impl<'a> Sink<'a> {
    pub(super) fn new(receive: Receive<'a>, scratch: &'a mut [u8]) -> Self {
        Self { receive, taken: 0, scratch, held: 0 }
    }

    pub(super) fn is_full(&self) -> bool {
        self.taken == self.receive.len()
    }

    /// Where the next bytes are read to.
    pub(super) fn space(&mut self) -> &mut [u8] {
        let left = self.receive.len() - self.taken;
        match &mut self.receive {
            Receive::Store(bytes) => &mut bytes[self.taken..][..left.min(PIECE)],
            Receive::Add(_) => {
                let end = self.scratch.len().min(self.held + left);
                &mut self.scratch[self.held..end]
            }
        }
    }

    /// `read` bytes have come into [`space`](Self::space).
    pub(super) fn took(&mut self, read: usize) {
        if let Receive::Add(values) = &mut self.receive {
            let first = (self.taken - self.held) / 4;
            self.held += read;
            let whole = self.held / 4 * 4;
            add_bytes(&mut values[first..], &self.scratch[..whole]);
            self.scratch.copy_within(whole..self.held, 0);
            self.held -= whole;
        }
        self.taken += read;
    }
}
