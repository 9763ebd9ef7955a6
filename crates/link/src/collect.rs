//! Gathering and broadcasting bytes.

use crate::error::Error;
use crate::link::Fault;
use crate::ranks::Ranks;

impl Ranks {
    /// What every rank gives, in their order, on every rank. The lengths may differ.
    ///
    /// In log2(size) rounds of twice as many parts each, so that every rank receives each part once.
    pub fn gather(&mut self, stage: &str, mine: &[u8]) -> Result<Vec<Vec<u8>>, Error> {
        self.next_operation();
        let (rank, size) = (self.rank(), self.size());
        let doubling = 1 << size.ilog2();
        let mut parts = vec![None; size];
        parts[rank] = Some(mine.to_vec());
        // Ranks beyond the power of two give their part to one within it, and get everything from it at the end.
        if rank >= doubling {
            let helper = rank - doubling;
            let (before, all) = (self.swap(stage, helper, &pack(&parts))?, self.swap(stage, helper, &[])?);
            self.unpack(stage, helper, &before, &mut parts)?;
            self.unpack(stage, helper, &all, &mut parts)?;
            return self.complete(stage, helper, parts);
        }
        let helped = Some(rank + doubling).filter(|&other| other < size);
        if let Some(other) = helped {
            let theirs = self.swap(stage, other, &[])?;
            self.unpack(stage, other, &theirs, &mut parts)?;
        }
        let mut last = helped.unwrap_or(rank);
        for step in 0..doubling.ilog2() {
            last = rank ^ (1 << step);
            let theirs = self.swap(stage, last, &pack(&parts))?;
            self.unpack(stage, last, &theirs, &mut parts)?;
        }
        if let Some(other) = helped {
            self.swap(stage, other, &pack(&parts))?;
        }
        self.complete(stage, last, parts)
    }

    /// What every rank gives, in their order, on rank 0; `None` on the others. For what only rank 0 needs.
    pub fn gather_to_first(&mut self, stage: &str, mine: &[u8]) -> Result<Option<Vec<Vec<u8>>>, Error> {
        self.next_operation();
        if self.rank() > 0 {
            self.swap(stage, 0, mine)?;
            return Ok(None);
        }
        let mut all = vec![mine.to_vec()];
        for rank in 1..self.size() {
            all.push(self.swap(stage, rank, &[])?);
        }
        Ok(Some(all))
    }

    /// Replaces `bytes` by those of rank 0.
    ///
    /// Along a binomial tree: whoever has them sends them on, so it takes log2(size) rounds.
    pub fn broadcast(&mut self, stage: &str, bytes: &mut Vec<u8>) -> Result<(), Error> {
        self.next_operation();
        let (rank, size) = (self.rank(), self.size());
        // The lowest bit of a rank is the distance to the one that sends to it.
        let own = if rank == 0 { size.next_power_of_two() } else { 1 << rank.trailing_zeros() };
        if rank > 0 {
            *bytes = self.swap(stage, rank - own, &[])?;
        }
        for distance in (0..own.ilog2()).rev().map(|bit| 1 << bit) {
            if rank + distance < size {
                self.swap(stage, rank + distance, bytes)?;
            }
        }
        Ok(())
    }

    /// Puts the parts that came from `peer` where they belong.
    fn unpack(&mut self, stage: &str, peer: usize, bytes: &[u8], parts: &mut [Option<Vec<u8>>]) -> Result<(), Error> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let Some((rank, part, after)) = first_part(rest).filter(|&(rank, ..)| rank < parts.len()) else {
                return Err(self.confused(stage, peer));
            };
            parts[rank] = Some(part.to_vec());
            rest = after;
        }
        Ok(())
    }

    fn complete(&mut self, stage: &str, peer: usize, parts: Vec<Option<Vec<u8>>>) -> Result<Vec<Vec<u8>>, Error> {
        parts.into_iter().collect::<Option<_>>().ok_or_else(|| self.confused(stage, peer))
    }

    fn confused(&mut self, stage: &str, peer: usize) -> Error {
        self.give_up(
            stage,
            peer,
            Fault::Broken { rank: peer, cause: format!("what it sent in `{stage}` cannot be read") },
        )
    }
}

/// The parts that are there, as `[rank u32][length u64][bytes]`.
fn pack(parts: &[Option<Vec<u8>>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (rank, part) in parts.iter().enumerate() {
        if let Some(part) = part {
            bytes.extend((rank as u32).to_le_bytes());
            bytes.extend((part.len() as u64).to_le_bytes());
            bytes.extend(part);
        }
    }
    bytes
}

/// The rank and the bytes of the first part, and what follows it.
fn first_part(bytes: &[u8]) -> Option<(usize, &[u8], &[u8])> {
    let (rank, rest) = bytes.split_first_chunk::<4>()?;
    let (length, rest) = rest.split_first_chunk::<8>()?;
    let (part, rest) = rest.split_at_checked(usize::try_from(u64::from_le_bytes(*length)).ok()?)?;
    Some((u32::from_le_bytes(*rank) as usize, part, rest))
}
