//! Streams of random numbers, one per purpose.

use vapo_tasks::Random;

/// Purposes of random numbers: no two share a stream.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Stream {
    Sampling = 1,
    CriticShuffle = 2,
    PolicyShuffle = 3,
    Evaluation = 4,
    Votes = 5,
    Bootstrap = 6,
}

impl Stream {
    /// Random numbers of a purpose under the run's seed.
    pub(crate) fn random(self, seed: u64, index: u64) -> Random {
        Random::keyed(seed, self as u64, index)
    }
}
