//! Counter-based randomness: a number depends on its keys alone, never on what was drawn before it elsewhere.

/// SplitMix64's output function (Steele, Lea & Flood 2014).
fn mix(mut z: u64) -> u64 {
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

/// A SplitMix64 stream whose start is a hash of `keys`.
#[derive(Clone, Debug)]
pub struct Random {
    state: u64,
}

impl Random {
    /// A stream for these keys.
    pub fn new(keys: &[u64]) -> Random {
        Random {
            state: keys.iter().fold(0, |state, &key| mix(state.wrapping_add(GAMMA) ^ mix(key.wrapping_add(GAMMA)))),
        }
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(GAMMA);
        mix(self.state)
    }

    /// Uniform in `[0, 1)`, a multiple of `2^-53`.
    pub fn uniform(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    /// Standard normal (Box and Muller 1958).
    pub fn normal(&mut self) -> f64 {
        let radius = libm::sqrt(-2.0 * libm::log(1.0 - self.uniform()));
        radius * libm::cos(2.0 * std::f64::consts::PI * self.uniform())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_stream() {
        // SplitMix64 seeded with 1234567: the vector of the Rosetta Code task and of many libraries' tests.
        let mut random = Random { state: 1_234_567 };
        let want = [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423];
        assert_eq!(want, [random.next(), random.next(), random.next()]);
    }

    #[test]
    #[cfg_attr(miri, ignore = "thousands of draws, which no unsafe code takes part in")]
    fn moments_and_keys() {
        let draws: Vec<f64> = (0..20_000).map(|i| Random::new(&[7, i]).normal()).collect();
        let mean = draws.iter().sum::<f64>() / 20_000.0;
        let variance = draws.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 20_000.0;
        assert!(mean.abs() < 0.03 && (variance - 1.0).abs() < 0.05, "{mean} {variance}");
        assert_ne!(Random::new(&[1, 2]).uniform(), Random::new(&[2, 1]).uniform());
    }
}
