//! What tokens can be colored by, and how its numbers become shades.

use serde::Serialize;

use crate::rollouts::{Response, Tokens};

/// Of many numbers, the outermost two in a thousand do not decide where a scale ends.
const OUTERMOST: usize = 500;
/// What stands out is a fiftieth of the tokens, at least 5 and at most 100.
const STANDING_OUT: (usize, usize, usize) = (50, 5, 100);
/// The smallest ratio whose logarithm is taken.
const LEAST_RATIO: f32 = 1e-9;

/// A number of each token. They are explained in `docs/records.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "docs/records.md explains the columns")]
pub enum Quantity {
    Value,
    Advantage,
    Return,
    Logprob,
    Entropy,
    Ratio,
    /// 0: none, -1: low, 1: high, 2: dual; NaN: unused.
    Clip,
    SamplerLogprob,
}

/// How the numbers of a quantity become shades.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Scale {
    /// Two directions from a center: below it and above it.
    Diverging {
        /// What has no shade.
        center: f32,
        /// The distance with the full shade, of logarithms if the scale is one of ratios.
        reach: f32,
        /// Whether `x` and `1 / x` are equally far from the center.
        is_of_ratios: bool,
    },
    /// One direction, from light to dark.
    Sequential {
        /// The light end, or the dark one if the scale falls.
        low: f32,
        /// The other end.
        high: f32,
        /// Whether small numbers are dark.
        falls: bool,
    },
    /// A number of a few that are told apart; 0 has no shade.
    States,
}

impl Quantity {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::Value,
        Self::Advantage,
        Self::Return,
        Self::Logprob,
        Self::Entropy,
        Self::Ratio,
        Self::Clip,
        Self::SamplerLogprob,
    ];

    /// Its name in records.
    pub fn key(self) -> &'static str {
        match self {
            Self::Value => "value",
            Self::Advantage => "advantage",
            Self::Return => "return",
            Self::Logprob => "logprob",
            Self::Entropy => "entropy",
            Self::Ratio => "ratio",
            Self::Clip => "clip",
            Self::SamplerLogprob => "sampler_logprob",
        }
    }

    /// What it is, for people who see it for the first time.
    pub fn about(self) -> &'static str {
        match self {
            Self::Value => "the critic's value of the state before the token, in units of the reward",
            Self::Advantage => "what the policy loss credits the token with, after normalization",
            Self::Return => "the Monte-Carlo return of the token",
            Self::Logprob => "under the policy that sampled it, in nats: the stronger the color, the more surprising",
            Self::Entropy => {
                "of the distribution over the token's position, in nats: the stronger the color, the less decided"
            }
            Self::Ratio => "of new and old probability in the last update",
            Self::Clip => "what the last update's loss did with the token",
            Self::SamplerLogprob => "in the distribution that the token was drawn from, in nats",
        }
    }

    /// The number of each token; `None` if the record does not have it.
    pub fn of(self, tokens: &Tokens) -> Option<Vec<f32>> {
        let numbers = match self {
            Self::Value => &tokens.value,
            Self::Advantage => &tokens.advantage,
            Self::Return => &tokens.return_,
            Self::Logprob => &tokens.logprob,
            Self::Entropy => &tokens.entropy,
            Self::Ratio => &tokens.ratio,
            Self::SamplerLogprob => &tokens.sampler_logprob,
            Self::Clip => return tokens.clip.as_ref().map(|states| states.iter().map(|state| clip(state)).collect()),
        };
        numbers.clone()
    }

    /// The scale for some responses, which are to be compared.
    pub fn scale(self, responses: &[Response]) -> Scale {
        // Values and returns are compared with each other, and with no reward.
        let shown: &[Self] = if self.starts_at_zero() { &[Self::Value, Self::Return] } else { &[self] };
        let numbers = responses.iter().flat_map(|response| shown.iter().filter_map(|shown| shown.of(&response.tokens)));
        let numbers = numbers.flatten().filter(|number| number.is_finite());
        match self {
            Self::Clip => Scale::States,
            Self::Advantage | Self::Ratio => {
                let (_, reach) = range(numbers.map(|number| self.strength(number)).collect());
                let is_of_ratios = self == Self::Ratio;
                let reach = if reach > 0.0 { reach } else { 1.0 };
                Scale::Diverging { center: if is_of_ratios { 1.0 } else { 0.0 }, reach, is_of_ratios }
            }
            _ => {
                let zero = self.starts_at_zero().then_some(0.0);
                let (low, high) = range(numbers.chain(zero).collect());
                Scale::Sequential { low, high, falls: matches!(self, Self::Logprob | Self::SamplerLogprob) }
            }
        }
    }

    fn starts_at_zero(self) -> bool {
        matches!(self, Self::Value | Self::Return)
    }

    /// How far a number is from what is usual: from the center of its scale, or from the light end.
    fn strength(self, number: f32) -> f32 {
        match self {
            _ if number.is_nan() => 0.0,
            Self::Ratio => number.max(LEAST_RATIO).ln().abs(),
            Self::Advantage | Self::Clip => number.abs(),
            Self::Logprob | Self::SamplerLogprob => -number,
            Self::Value | Self::Return | Self::Entropy => number,
        }
    }

    /// The tokens that stand out, in their order: where a value changes most, where another number is far from what is usual.
    pub fn standing_out(self, numbers: &[f32]) -> Vec<usize> {
        let size = |token: usize| match self {
            Self::Value if token == 0 => 0.0,
            Self::Value => (numbers[token] - numbers[token - 1]).abs(),
            _ => self.strength(numbers[token]),
        };
        let mut tokens: Vec<usize> = (0..numbers.len()).collect();
        tokens.sort_by(|&a, &b| size(b).total_cmp(&size(a)));
        if self == Self::Clip {
            tokens.retain(|&token| size(token) > 0.0);
        } else {
            let (part, least, most) = STANDING_OUT;
            tokens.truncate(numbers.len().div_ceil(part).clamp(least, most));
        }
        tokens.sort_unstable();
        tokens
    }
}

impl Scale {
    /// The shade of a number: from -1 to 1 on a scale with a center, otherwise from 0 (light) to 1 (dark); a state stays as it
    /// is. NaN has no shade, 0.
    pub fn shade(self, number: f32) -> f32 {
        match self {
            _ if number.is_nan() => 0.0,
            Self::Diverging { is_of_ratios: true, reach, .. } => {
                (number.max(LEAST_RATIO).ln() / reach).clamp(-1.0, 1.0)
            }
            Self::Diverging { center, reach, .. } => ((number - center) / reach).clamp(-1.0, 1.0),
            Self::Sequential { low, high, falls } => {
                let share = if high > low { ((number - low) / (high - low)).clamp(0.0, 1.0) } else { 0.5 };
                if falls { 1.0 - share } else { share }
            }
            Self::States => number,
        }
    }

    /// The numbers at its ends, the smaller one first; `None` for states.
    pub fn ends(self) -> Option<(f32, f32)> {
        match self {
            Self::Diverging { is_of_ratios: true, reach, .. } => Some(((-reach).exp(), reach.exp())),
            Self::Diverging { center, reach, .. } => Some((center - reach, center + reach)),
            Self::Sequential { low, high, .. } => Some((low, high)),
            Self::States => None,
        }
    }
}

fn clip(state: &str) -> f32 {
    match state {
        "none" => 0.0,
        "low" => -1.0,
        "high" => 1.0,
        "dual" => 2.0,
        _ => f32::NAN,
    }
}

/// Nearly the least and the greatest number.
fn range(mut numbers: Vec<f32>) -> (f32, f32) {
    numbers.sort_by(f32::total_cmp);
    let left_out = numbers.len() / OUTERMOST;
    match numbers.len() {
        0 => (0.0, 1.0),
        count => (numbers[left_out], numbers[count - 1 - left_out]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rollouts::tests::response;

    fn with(set: impl FnOnce(&mut Tokens)) -> [Response; 1] {
        let mut response = response();
        set(&mut response.tokens);
        [response]
    }

    #[test]
    fn advantages_are_shaded_by_their_distance_from_zero() {
        let responses = with(|tokens| tokens.advantage = Some(vec![-0.5, 0.25, f32::NAN]));
        let scale = Quantity::Advantage.scale(&responses);
        assert_eq!(scale.ends(), Some((-0.5, 0.5)));
        let shades = [-0.5, -7.0, 0.0, 0.25, f32::NAN].map(|number| scale.shade(number));
        assert_eq!(shades, [-1.0, -1.0, 0.0, 0.5, 0.0]);
    }

    #[test]
    fn a_ratio_and_its_inverse_are_equally_dark() {
        let responses = with(|tokens| tokens.ratio = Some(vec![1.0, 4.0, f32::NAN]));
        let scale = Quantity::Ratio.scale(&responses);
        let (low, high) = scale.ends().unwrap();
        assert!((low - 0.25).abs() < 1e-6 && (high - 4.0).abs() < 1e-5);
        let shades = [1.0, 2.0, 0.5, 0.0].map(|number| scale.shade(number));
        assert_eq!(shades.map(|shade| (shade * 1e4).round() / 1e4), [0.0, 0.5, -0.5, -1.0]);
    }

    #[test]
    fn values_have_the_scale_of_the_returns_and_zero() {
        let responses = with(|tokens| {
            tokens.value = Some(vec![0.25, 0.5]);
            tokens.return_ = Some(vec![1.0, 1.0]);
        });
        for quantity in [Quantity::Value, Quantity::Return] {
            assert_eq!(quantity.scale(&responses), Scale::Sequential { low: 0.0, high: 1.0, falls: false });
        }
        assert_eq!(Quantity::Value.scale(&responses).shade(0.25), 0.25);
        let nothing = Quantity::Value.scale(&[]);
        assert_eq!((nothing.ends(), nothing.shade(0.0)), (Some((0.0, 0.0)), 0.5));
    }

    #[test]
    fn surprising_tokens_are_dark() {
        let responses = with(|tokens| tokens.logprob = Some(vec![-4.0, -1.0, 0.0]));
        let scale = Quantity::Logprob.scale(&responses);
        assert_eq!([-4.0, -1.0, 0.0].map(|number| scale.shade(number)), [1.0, 0.25, 0.0]);
    }

    #[test]
    fn a_few_of_many_numbers_do_not_end_the_scale() {
        let responses =
            with(|tokens| tokens.entropy = Some((0..1000).map(|n| if n == 7 { 1e6 } else { n as f32 }).collect()));
        assert_eq!(Quantity::Entropy.scale(&responses).ends(), Some((2.0, 998.0)));
    }

    #[test]
    fn what_stands_out_is_far_from_what_is_usual() {
        let mut numbers = vec![0.5; 100];
        (numbers[40], numbers[60]) = (0.9, 0.1);
        let changes = Quantity::Value.standing_out(&numbers);
        assert_eq!(changes.len(), 5);
        assert!([40, 41, 60, 61].iter().all(|token| changes.contains(token)), "{changes:?}");
        let mut numbers = vec![0.0; 300];
        (numbers[200], numbers[3], numbers[5], numbers[6]) = (-3.0, 2.0, 1.0, f32::NAN);
        let found = Quantity::Advantage.standing_out(&numbers);
        assert_eq!(found.len(), 6);
        assert!([3, 5, 200].iter().all(|token| found.contains(token)) && found.is_sorted(), "{found:?}");
        let clipped =
            Tokens { clip: Some(["none", "low", "unused", "dual"].map(String::from).to_vec()), ..Tokens::default() };
        let states = Quantity::Clip.of(&clipped).unwrap();
        assert_eq!(Quantity::Clip.standing_out(&states), [1, 3]);
        assert_eq!(Quantity::Value.standing_out(&[]), [0; 0]);
    }

    #[test]
    fn every_quantity_is_a_column_of_the_records() {
        let tokens = serde_json::to_value(Tokens::default()).unwrap();
        for quantity in Quantity::ALL {
            assert!(tokens.get(quantity.key()).is_some(), "{}", quantity.key());
            assert_eq!(serde_json::to_value(quantity).unwrap(), quantity.key());
        }
    }
}
