//! Sums over gradient shards, with bits that do not depend on the number of ranks.
//!
//! A step's work is cut into S *shards*, a power of two that belongs to the run. R ranks, R dividing S, have S/R
//! consecutive shards each. Every element is summed along one binary tree over the shards, whatever R is:
//!
//! ```text
//!             sum                 R = 4: shards 0 1 | 2 3 | 4 5 | 6 7
//!         /         \             the lowest level within a rank (ShardSum),
//!      .               .          the others between ranks (reduce_scatter),
//!    /   \           /   \        nearest partner first
//!   .     .         .     .
//!  / \   / \       / \   / \
//! 0   1 2   3     4   5 6   7
//! ```
//!
//! Between ranks each pair halves what it has in common: one keeps the sum of one half, the other that of the other.
//! After log2(R) exchanges each rank has the complete sum of 1/R of the elements ([`Shares`]), which is all that a
//! sharded optimizer needs, and doubling backwards gives every rank the new weights. Each rank sends n (R-1)/R
//! elements each way: as a ring does, in fewer exchanges.
//!
//! A sum of two numbers has the same bits in either order, so it does not matter who adds. (Only the payload of a NaN
//! may depend on it.)

use std::ops::Range;

use bytemuck::Pod;

use crate::error::Error;
use crate::link::Receive;
use crate::ranks::Ranks;

/// Sums one rank's shards depth first: with S/R shards, log2(S/R) buffers beside the one that is added.
pub struct ShardSum {
    shards: usize,
    added: usize,
    /// The sum of 2^level consecutive shards, while its sibling is not complete.
    waiting: Vec<Vec<f32>>,
}

impl ShardSum {
    /// For each of `ranks`' part of `shards`: both powers of two, and no more ranks than shards.
    pub fn new(shards: usize, ranks: usize) -> Result<Self, Error> {
        if !shards.is_power_of_two() {
            return Err(Error::Shares(format!("expected a power of two of gradient shards, found {shards}")));
        }
        if ranks == 0 || !shards.is_multiple_of(ranks) {
            return Err(Error::Shares(format!(
                "{ranks} ranks cannot share {shards} gradient shards: start a number of ranks that divides it, \
                 or another number of shards with a new run"
            )));
        }
        Ok(Self { shards: shards / ranks, added: 0, waiting: Vec::new() })
    }

    /// The shards of `rank`, when `ranks` share them.
    pub fn shards_of(shards: usize, ranks: usize, rank: usize) -> Range<usize> {
        let each = shards / ranks;
        rank * each..(rank + 1) * each
    }

    /// Adds this rank's next shard. After the last one, `values` holds the sum of all and true is returned; after any
    /// other, `values` is free for the next.
    pub fn add(&mut self, values: &mut [f32]) -> bool {
        let merged = self.added.trailing_ones() as usize;
        for lower in &self.waiting[..merged] {
            assert_eq!(lower.len(), values.len(), "all shards have the same parameters");
            for (value, lower) in values.iter_mut().zip(lower) {
                *value += lower;
            }
        }
        self.added += 1;
        if self.added == self.shards {
            self.added = 0;
            return true;
        }
        if self.waiting.len() == merged {
            self.waiting.push(Vec::new());
        }
        self.waiting[merged].clear();
        self.waiting[merged].extend_from_slice(values);
        false
    }
}

/// Which elements each rank has the sum of, in units that are never cut.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shares {
    len: usize,
    unit: usize,
    ranks: usize,
}

impl Shares {
    /// Shares `len` elements among a power of two of ranks, cut at multiples of `unit`.
    ///
    /// What is summed per unit and then over units in their order has the same bits for any number of ranks.
    pub fn new(len: usize, unit: usize, ranks: usize) -> Result<Self, Error> {
        if !ranks.is_power_of_two() {
            return Err(Error::Shares(format!("expected a power of two of ranks, found {ranks}")));
        }
        assert!(unit > 0, "a unit has elements");
        Ok(Self { len, unit, ranks })
    }

    /// The elements of `rank`.
    pub fn of(&self, rank: usize) -> Range<usize> {
        self.elements(self.units(rank, self.ranks.ilog2()))
    }

    /// The same shares of as many elements as there are units: of one number for each.
    pub fn by_unit(&self) -> Self {
        Self { len: self.len.div_ceil(self.unit), unit: 1, ranks: self.ranks }
    }

    /// The units that `rank` has in common with those that agree with it in the lowest `depth` bits.
    fn units(&self, rank: usize, depth: u32) -> Range<usize> {
        let mut units = 0..self.len.div_ceil(self.unit);
        for bit in 0..depth {
            let middle = units.start + units.len().div_ceil(2);
            units = if rank >> bit & 1 == 0 { units.start..middle } else { middle..units.end };
        }
        units
    }

    fn elements(&self, units: Range<usize>) -> Range<usize> {
        let cut = |unit: usize| (unit * self.unit).min(self.len);
        cut(units.start)..cut(units.end)
    }

    /// Exchange number `bit` of `rank`: its partner, the elements that it keeps, and those of the partner.
    fn exchange(&self, rank: usize, bit: u32) -> (usize, Range<usize>, Range<usize>) {
        let partner = rank ^ (1 << bit);
        let part = |rank| self.elements(self.units(rank, bit + 1));
        (partner, part(rank), part(partner))
    }
}

impl Ranks {
    /// Sums `values` over all ranks. Afterwards `values[shares.of(rank)]` holds the sums, and the rest is meaningless.
    ///
    /// # Panics
    ///
    /// If `shares` are those of other ranks or another length.
    pub fn reduce_scatter(&mut self, stage: &str, values: &mut [f32], shares: &Shares) -> Result<(), Error> {
        self.check_shares(values.len(), shares);
        self.next_operation();
        for bit in 0..shares.ranks.ilog2() {
            let (partner, keep, give) = shares.exchange(self.rank(), bit);
            let (keep, give) = two_parts(values, keep, give);
            self.swap_into(stage, partner, bytemuck::cast_slice(give), Receive::Add(keep))?;
        }
        Ok(())
    }

    /// Gives every rank the elements that each of them has in its share.
    ///
    /// # Panics
    ///
    /// If `shares` are those of other ranks or another length.
    pub fn gather_shares<T: Pod>(&mut self, stage: &str, values: &mut [T], shares: &Shares) -> Result<(), Error> {
        self.check_shares(values.len(), shares);
        self.next_operation();
        for bit in (0..shares.ranks.ilog2()).rev() {
            let (partner, have, want) = shares.exchange(self.rank(), bit);
            let (have, want) = two_parts(values, have, want);
            let receive = Receive::Store(bytemuck::cast_slice_mut(want));
            self.swap_into(stage, partner, bytemuck::cast_slice(have), receive)?;
        }
        Ok(())
    }

    /// Sums `values` over all ranks, on every rank.
    pub fn reduce(&mut self, stage: &str, values: &mut [f32]) -> Result<(), Error> {
        let shares = Shares::new(values.len(), 1, self.size())?;
        self.reduce_scatter(stage, values, &shares)?;
        self.gather_shares(stage, values, &shares)
    }

    fn check_shares(&self, len: usize, shares: &Shares) {
        assert_eq!((shares.ranks, shares.len), (self.size(), len), "the shares are those of these ranks and values");
    }
}

/// Two parts of a slice that lie side by side, in either order.
fn two_parts<T>(values: &mut [T], a: Range<usize>, b: Range<usize>) -> (&mut [T], &mut [T]) {
    if a.start <= b.start {
        let (before, after) = values.split_at_mut(b.start);
        (&mut before[a], &mut after[..b.len()])
    } else {
        let (b, a) = two_parts(values, b, a);
        (a, b)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_cover_everything_once_and_are_cut_between_units() {
        for (len, unit, ranks) in [(100_003, 4096, 8), (10, 4, 4), (3, 1, 8), (0, 1, 2), (1 << 20, 4096, 1)] {
            let shares = Shares::new(len, unit, ranks).expect("a power of two");
            let mut parts: Vec<_> = (0..ranks).map(|rank| shares.of(rank)).filter(|part| !part.is_empty()).collect();
            parts.sort_by_key(|part| part.start);
            let mut end = 0;
            for part in parts {
                assert_eq!(part.start, end, "{len} {unit} {ranks}");
                assert_eq!(part.start % unit, 0);
                end = part.end;
            }
            assert_eq!(end, len);
            for rank in 0..ranks {
                let units = shares.by_unit().of(rank);
                assert_eq!(shares.of(rank), (units.start * unit).min(len)..(units.end * unit).min(len));
            }
        }
    }

    #[test]
    fn shards_are_summed_along_a_tree_and_not_from_left_to_right() {
        let shards = [1e8, 1.0, -1e8, 1.0, 3.0, 1e-8, 0.5, 1e8];
        let tree = |a: f32, b: f32| a + b;
        let expected = tree(
            tree(tree(shards[0], shards[1]), tree(shards[2], shards[3])),
            tree(tree(shards[4], shards[5]), tree(shards[6], shards[7])),
        );
        assert_ne!(expected, shards.iter().sum::<f32>(), "the order matters for these");
        let mut sum = ShardSum::new(8, 1).expect("one rank has all");
        // Twice: the second step starts from nothing.
        for _ in 0..2 {
            for (index, shard) in shards.into_iter().enumerate() {
                let mut values = [shard];
                assert_eq!(sum.add(&mut values), index == 7);
                if index == 7 {
                    assert_eq!(values[0].to_bits(), expected.to_bits());
                }
            }
        }
        assert_eq!(sum.waiting.len(), 3, "log2(8) buffers");
    }

    #[test]
    fn ranks_that_cannot_share_the_shards_are_told_so() {
        let message = |shards, ranks| ShardSum::new(shards, ranks).err().expect("cannot be shared").to_string();
        assert!(message(8, 3).starts_with("3 ranks cannot share 8 gradient shards"));
        assert!(message(8, 16).starts_with("16 ranks cannot share 8 gradient shards"));
        assert!(message(6, 2).starts_with("expected a power of two of gradient shards, found 6"));
        assert!(Shares::new(10, 1, 6).is_err());
    }
}
