//! The order in which a data set is gone through.

use crate::Random;

const SHUFFLE_STREAM: u64 = 0x0073_6875_6666_6C65;

/// An endless seeded order over the rows `0..len`: one permutation after another.
///
/// Every row comes once per epoch, also where a step's prompts do not divide the set: a step may end one epoch and
/// begin the next.
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

    /// The rows at positions `start..start + count` of the order; a function of the seed and the positions alone.
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
        Random::keyed(self.seed, SHUFFLE_STREAM, epoch).shuffle(&mut order);
        order
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_once_per_epoch_whatever_the_step() {
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
}
