//! Random numbers that depend only on a key.

/// The stride of SplitMix64: 2^64 divided by the golden ratio, made odd.
const GOLDEN_GAMMA: u64 = 0x9E37_79B9_7F4A_7C15;

/// The purposes of random numbers. Every use has its own entry in this list, and no two entries can have the same number, so
/// no two uses share a stream. The numbers determine the results of a seed: do not change them, and give every new use a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u64)]
pub enum Stream {
    /// The facts of the task `recall`, by function.
    RecallFacts = 0,
    /// A training problem of a built-in task, by position.
    TrainProblem = 1,
    /// The held-out problems of a built-in task, one after the other.
    HeldOutProblems = 2,
    /// A demonstration of a built-in task, by index.
    Demonstration = 3,
    /// The seed of an evaluation's samples.
    EvaluationSamples = 4,
    /// The subsets of samples for maj@k, by k.
    Votes = 5,
    /// The resamples of a bootstrap interval.
    Bootstrap = 6,
    /// The seed of the responses of training.
    TrainSamples = 7,
    /// The order of the responses in a pass of the critic, by step and pass.
    CriticShuffle = 8,
    /// The order of the responses in a pass of the policy, by step and pass.
    PolicyShuffle = 9,
    /// A case of a test.
    TestCase = 10,
    /// The order of a data set, by epoch.
    DataShuffle = 0x0073_6875_6666_6C65,
    /// The order of the sets in a block of a mixture, by block.
    Mixture = 0x006D_6978_7475_7265,
    /// The seed of a set of a mixture, by set.
    MixtureSet = 0x0000_0000_0073_6574,
}

/// SplitMix64 (Steele, Lea and Flood, "Fast splittable pseudorandom number generators", 2014).
///
/// [`Random::keyed`] starts an independent stream for every (seed, stream, index), so that the n-th problem or
/// permutation can be generated without those before it.
#[derive(Clone, Debug)]
pub struct Random {
    state: u64,
}

impl Random {
    /// Starts the published sequence of `seed`.
    pub fn new(seed: u64) -> Random {
        Random { state: seed }
    }

    /// Starts the stream of a key: `stream` is the purpose of the numbers, `index` selects one of its streams (always with the
    /// same number of words for a purpose).
    pub fn keyed(seed: u64, stream: Stream, index: &[u64]) -> Random {
        let mut state = mix(seed.wrapping_add(GOLDEN_GAMMA));
        for word in std::iter::once(stream as u64).chain(index.iter().copied()) {
            state = mix((state ^ mix(word)).wrapping_add(GOLDEN_GAMMA));
        }
        Random { state }
    }

    /// Draws 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        self.state = self.state.wrapping_add(GOLDEN_GAMMA);
        mix(self.state)
    }

    /// Draws uniformly from `0..bound`, without bias (Lemire, "Fast random integer generation in an interval", 2019).
    ///
    /// # Panics
    /// If `bound` is 0.
    pub fn below(&mut self, bound: u64) -> u64 {
        assert!(bound > 0, "an empty range has no random element");
        let rejected_below = bound.wrapping_neg() % bound;
        loop {
            let wide = u128::from(self.next_u64()) * u128::from(bound);
            if wide as u64 >= rejected_below {
                return (wide >> 64) as u64;
            }
        }
    }

    /// Draws uniformly from the multiples of 2^-53 in `[0, 1)`.
    pub fn unit(&mut self) -> f64 {
        (self.next_u64() >> 11) as f64 * (1.0 / (1u64 << 53) as f64)
    }

    /// Returns true with this probability.
    pub fn chance(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// Draws one element.
    ///
    /// # Panics
    /// If `items` is empty.
    pub fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.below(items.len() as u64) as usize]
    }

    /// Permutes uniformly (Fisher and Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last as u64 + 1) as usize);
        }
    }
}

/// Hashes a text to 64 well-mixed bits (FNV-1a, then the finalizer of SplitMix64); never changes between versions.
pub(crate) fn stable_hash(text: &str) -> u64 {
    mix(text
        .bytes()
        .fold(0xCBF2_9CE4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01B3)))
}

fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_the_published_sequence() {
        // Rosetta Code, "Pseudo-random numbers/Splitmix64", seed 1234567.
        let mut random = Random::new(1234567);
        let published =
            [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431, 16408922859458223821];
        assert_eq!(published.map(|_| random.next_u64()), published);
    }

    #[test]
    fn unit_agrees_with_the_published_histogram() {
        // The same page: 100,000 draws of floor(5 * unit) from seed 987654321.
        let mut random = Random::new(987654321);
        let mut counts = [0; 5];
        for _ in 0..100_000 {
            counts[(random.unit() * 5.0) as usize] += 1;
        }
        assert_eq!(counts, [20027, 19892, 20073, 19978, 20030]);
    }

    #[test]
    fn below_is_uniform_and_in_range() {
        let mut random = Random::keyed(1, Stream::TestCase, &[3]);
        let mut counts = [0u32; 7];
        for _ in 0..70_000 {
            counts[random.below(7) as usize] += 1;
        }
        // Binomial with mean 10,000 and standard deviation 93.
        assert!(counts.iter().all(|&n| n.abs_diff(10_000) < 400), "{counts:?}");
        // A bound just above half the range rejects almost half of the draws.
        let bound = (1 << 63) + 1;
        assert!((0..1000).all(|_| random.below(bound) < bound));
    }

    #[test]
    fn no_two_keys_share_a_stream() {
        use Stream::*;
        let streams = [
            [RecallFacts, TrainProblem, HeldOutProblems, Demonstration, EvaluationSamples, Votes, Bootstrap].as_slice(),
            &[TrainSamples, CriticShuffle, PolicyShuffle, TestCase, DataShuffle, Mixture, MixtureSet],
        ];
        let first = |seed, stream, index: &[u64]| Random::keyed(seed, stream, index).next_u64();
        let mut seen: Vec<u64> = Vec::new();
        for seed in 0..8 {
            for &stream in streams.concat().iter() {
                seen.extend((0..8).map(|index| first(seed, stream, &[index])));
                seen.extend((0..64).map(|index| first(seed, stream, &[index / 8, index % 8])));
            }
        }
        let keys = seen.len();
        seen.sort_unstable();
        seen.dedup();
        assert_eq!(seen.len(), keys);
        assert_eq!(first(5, Votes, &[7]), first(5, Votes, &[7]));
    }

    #[test]
    fn shuffle_reaches_every_order_equally_often() {
        let mut counts = std::collections::BTreeMap::new();
        for index in 0..6000 {
            let mut items = [0, 1, 2];
            Random::keyed(0, Stream::TestCase, &[index]).shuffle(&mut items);
            *counts.entry(items).or_insert(0u32) += 1;
        }
        assert_eq!(counts.len(), 6);
        assert!(counts.values().all(|&n| n.abs_diff(1000) < 150), "{counts:?}");
    }
}
