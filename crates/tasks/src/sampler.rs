//! The order in which problems are drawn from data sets.

use crate::{Random, Stream};

/// An endless seeded order over the rows `0..len`: one permutation after another.
///
/// Every row is drawn once per epoch, even if a step's prompts do not divide the set evenly: a step may end one epoch
/// and begin the next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sampler {
    seed: u64,
    len: usize,
}

impl Sampler {
    /// An order over `len` rows.
    ///
    /// # Panics
    /// If `len` is 0.
    pub fn new(seed: u64, len: usize) -> Sampler {
        assert!(len > 0, "an empty set has no order");
        Sampler { seed, len }
    }

    /// The rows at positions `start..start + count` of the order; depends only on the seed and the positions.
    pub fn rows(&self, start: u64, count: usize) -> Vec<usize> {
        let len = self.len as u64;
        let mut rows = Vec::with_capacity(count);
        let mut position = start;
        while rows.len() < count {
            let order = self.epoch(position / len);
            let rest = &order[(position % len) as usize..];
            let taken = rest.len().min(count - rows.len());
            rows.extend_from_slice(&rest[..taken]);
            position += taken as u64;
        }
        rows
    }

    /// The permutation of one epoch.
    fn epoch(&self, epoch: u64) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.len).collect();
        Random::keyed(self.seed, Stream::DataShuffle, &[epoch]).shuffle(&mut order);
        order
    }
}

/// Number of positions in which each set of a mixture has its exact share.
const BLOCK: usize = 1000;

/// An endless order over several sets: each block of 1000 positions holds them in proportion to their weights, shuffled, and
/// each set goes through its own epochs. Rows are numbered consecutively across all sets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mixture {
    seed: u64,
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Part {
    order: Sampler,
    /// The number of its first row.
    first: usize,
    /// The number of its positions in each block.
    quota: usize,
}

impl Mixture {
    /// A single set, in its own order.
    pub fn of_one(order: Sampler) -> Mixture {
        Mixture { seed: order.seed, parts: vec![Part { order, first: 0, quota: BLOCK }] }
    }

    /// Sets of `lengths` rows, drawn in proportion to `weights`; `None` if a weight is not positive or is less than a
    /// thousandth of their sum.
    ///
    /// # Panics
    /// If a length is 0.
    pub fn new(seed: u64, lengths: &[usize], weights: &[f64]) -> Option<Mixture> {
        let total: f64 = weights.iter().sum();
        let exact: Vec<f64> = weights.iter().map(|weight| weight / total * BLOCK as f64).collect();
        if !total.is_finite() || exact.iter().any(|share| !(1.0..=BLOCK as f64).contains(share)) {
            return None;
        }
        let mut quotas: Vec<usize> = exact.iter().map(|share| *share as usize).collect();
        let mut by_rest: Vec<usize> = (0..exact.len()).collect();
        by_rest.sort_by(|a, b| exact[*b].fract().total_cmp(&exact[*a].fract()));
        let missing = BLOCK.saturating_sub(quotas.iter().sum());
        by_rest.iter().take(missing).for_each(|&set| quotas[set] += 1);
        let mut first = 0;
        let parts = lengths.iter().zip(quotas).zip(0..).map(|((&length, quota), set)| {
            let order = Sampler::new(Random::keyed(seed, Stream::MixtureSet, &[set]).next_u64(), length);
            first += length;
            Part { order, first: first - length, quota }
        });
        Some(Mixture { seed, parts: parts.collect() })
    }

    /// The rows at positions `start..start + count` of the order; depends only on the seed and the positions.
    pub fn rows(&self, start: u64, count: usize) -> Vec<usize> {
        if let [only] = &self.parts[..] {
            return only.order.rows(start, count);
        }
        let block = BLOCK as u64;
        let (first, skipped) = (start / block, (start % block) as usize);
        let blocks = (skipped + count).div_ceil(BLOCK) as u64;
        let sets: Vec<usize> = (first..first + blocks).flat_map(|number| self.block(number)).collect();
        let (before, wanted) = (&sets[..skipped], &sets[skipped..skipped + count]);
        let of = |sets: &[usize], set| sets.iter().filter(|other| **other == set).count();
        let draw = |(set, part): (usize, &Part)| {
            let drawn = first * part.quota as u64 + of(before, set) as u64;
            part.order.rows(drawn, of(wanted, set)).into_iter()
        };
        let mut rows: Vec<_> = self.parts.iter().enumerate().map(draw).collect();
        wanted.iter().filter_map(|&set| Some(self.parts[set].first + rows[set].next()?)).collect()
    }

    /// The set that each position of a block draws from.
    fn block(&self, number: u64) -> Vec<usize> {
        let quotas = self.parts.iter().enumerate();
        let mut sets: Vec<usize> = quotas.flat_map(|(set, part)| std::iter::repeat_n(set, part.quota)).collect();
        Random::keyed(self.seed, Stream::Mixture, &[number]).shuffle(&mut sets);
        sets
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_drawn_once_per_epoch_for_any_step_size() {
        let sampler = Sampler::new(3, 10);
        for count in [1, 3, 4, 7, 10, 25] {
            let steps = 100 / count as u64 + 1;
            let mut drawn: Vec<usize> = (0..steps).flat_map(|step| sampler.rows(step * count as u64, count)).collect();
            drawn.truncate(100);
            assert_eq!(drawn, sampler.rows(0, 100), "{count} prompts a step");
            for epoch in drawn.chunks(10) {
                let mut rows = epoch.to_vec();
                rows.sort_unstable();
                assert_eq!(rows, (0..10).collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn epochs_and_seeds_differ() {
        let sampler = Sampler::new(3, 100);
        assert_ne!(sampler.rows(0, 100), sampler.rows(100, 100));
        assert_ne!(sampler.rows(0, 100), Sampler::new(4, 100).rows(0, 100));
        assert_ne!(sampler.rows(0, 100), (0..100).collect::<Vec<_>>());
        assert_eq!(sampler.rows(250, 20), sampler.rows(200, 100)[50..70]);
    }

    #[test]
    fn a_mixture_keeps_its_shares_and_its_epochs() {
        let mixture = Mixture::new(9, &[3, 50], &[1.0, 2.0]).unwrap();
        let all = mixture.rows(0, 3000);
        for (start, count) in [(0, 1), (999, 2), (1500, 1500), (2999, 1)] {
            assert_eq!(mixture.rows(start, count), all[start as usize..start as usize + count]);
        }
        let small: Vec<usize> = all.iter().copied().filter(|row| *row < 3).collect();
        assert_eq!(small.len(), 3 * 333);
        for epoch in small.chunks_exact(3) {
            assert_eq!(epoch.iter().sum::<usize>(), 3, "0, 1 and 2 in some order: {epoch:?}");
        }
        assert!(all.iter().all(|row| *row < 53));
        assert_eq!(Mixture::of_one(Sampler::new(3, 10)).rows(5, 9), Sampler::new(3, 10).rows(5, 9));
        for weights in [[0.0, 1.0], [-1.0, 2.0], [f64::NAN, 1.0], [1e-4, 1.0], [f64::INFINITY, 1.0]] {
            assert_eq!(Mixture::new(9, &[3, 50], &weights), None, "{weights:?}");
        }
    }
}
