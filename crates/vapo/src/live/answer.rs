//! Answers of a step, copied from its rollouts for drawing.

use vapo_lm::StopReason;
use vapo_train::records::StepRecord;

use crate::format::printable;

/// Answers of a step that can be looked at.
const ANSWERS: usize = 8;
/// Tokens at each end of an answer that are shown; the middle of a longer one is left out.
const END_TOKENS: usize = 1000;
/// Characters of a token, and of each end of other texts: a file may hold anything.
const TOKEN_CHARACTERS: usize = 100;
const END_CHARACTERS: usize = 400;

/// What the color of a token tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Quantity {
    Advantage,
    Value,
    LogProb,
    /// Only in steps that are recorded, which keep it.
    Entropy,
}

impl Quantity {
    pub(crate) const ALL: [Self; 4] = [Self::Advantage, Self::Value, Self::LogProb, Self::Entropy];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Advantage => "advantage",
            Self::Value => "value",
            Self::LogProb => "log-prob",
            Self::Entropy => "entropy",
        }
    }
}

/// A token as text, with its numbers in the order of [`Quantity::ALL`].
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Token {
    pub(crate) text: String,
    pub(crate) numbers: [Option<f32>; 4],
}

/// A graded response.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Answer {
    pub(crate) prompt: String,
    /// The reference answer.
    pub(crate) reference: String,
    pub(crate) verdict: &'static str,
    pub(crate) reward: f32,
    /// Tokens of the whole response.
    pub(crate) length: usize,
    pub(crate) is_cut_off: bool,
    /// The first wrong token, where the task knows it.
    pub(crate) first_wrong: Option<usize>,
    /// The first tokens; all of them if there are no last ones.
    pub(crate) first: Vec<Token>,
    pub(crate) last: Vec<Token>,
}

impl Answer {
    fn of(record: &StepRecord<'_>, response: usize) -> Self {
        let (graded, tokens) = (&record.batch.responses()[response], record.batch.tokens_of(response));
        let (rollout, length) = (&graded.rollout, tokens.len());
        let values = record.credit.values.as_ref().map(|values| values.old_values.as_slice());
        let entropy = record.trace.map(|trace| trace.entropy.as_slice());
        let columns = [Some(record.credit.advantages.as_slice()), values, Some(record.batch.old_logp()), entropy];
        let token = |index: usize| {
            let text = record.tokenizer.token_text(rollout.completion.tokens[index]);
            let numbers = columns.map(|column| Some(column?[tokens.start + index]));
            Token { text: printable(&ends(&text, TOKEN_CHARACTERS / 2)), numbers }
        };
        let is_whole = length <= 2 * END_TOKENS;
        Self {
            prompt: shown(&record.tokenizer.decode_all(&rollout.prompt.tokens)),
            reference: shown(&rollout.prompt.problem.answer),
            verdict: graded.grade.verdict.name(),
            reward: record.batch.rewards()[response],
            length,
            is_cut_off: rollout.completion.stop == StopReason::Length,
            first_wrong: record.first_wrong[response],
            first: (0..if is_whole { length } else { END_TOKENS }).map(token).collect(),
            last: (if is_whole { length } else { length - END_TOKENS }..length).map(token).collect(),
        }
    }

    /// Tokens between the first and the last ones.
    pub(crate) fn left_out(&self) -> usize {
        self.length - self.first.len() - self.last.len()
    }

    fn numbers(&self, quantity: Quantity) -> impl Iterator<Item = f32> {
        let numbers = self.first.iter().chain(&self.last).filter_map(move |token| token.numbers[quantity as usize]);
        numbers.filter(|number| number.is_finite())
    }
}

/// Answers of one step.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Answers {
    pub(crate) step: u64,
    /// At least one.
    pub(crate) answers: Vec<Answer>,
}

impl Answers {
    /// Some of the step's responses, evenly from all its prompts; `None` if it has none.
    pub(crate) fn of(record: &StepRecord<'_>) -> Option<Self> {
        let responses = record.batch.responses().len();
        let shown = responses.min(ANSWERS);
        let answers = (0..shown).map(|number| Answer::of(record, number * responses / shown)).collect();
        (shown > 0).then_some(Self { step: record.step, answers })
    }

    /// Whether the answers have this quantity.
    pub(crate) fn have(&self, quantity: Quantity) -> bool {
        self.answers.iter().any(|answer| answer.numbers(quantity).next().is_some())
    }

    /// How a quantity is colored, the same in all answers.
    pub(crate) fn scale(&self, quantity: Quantity) -> Scale {
        let numbers = || self.answers.iter().flat_map(|answer| answer.numbers(quantity));
        let low = numbers().fold(f32::INFINITY, f32::min);
        let high = numbers().fold(f32::NEG_INFINITY, f32::max);
        match quantity {
            Quantity::Advantage => Scale::around(0.0, low.abs().max(high.abs())),
            // Whatever the level: where it rises and falls is where the critic sees the answer won or lost.
            Quantity::Value => Scale::around((low + high) / 2.0, (high - low) / 2.0),
            Quantity::LogProb => Scale { high: 0.0, ..Scale::around(0.0, low.abs()) },
            Quantity::Entropy => Scale { low: 0.0, ..Scale::around(0.0, high.abs()) },
        }
    }
}

/// A diverging scale: numbers below and above its middle have different hues.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Scale {
    pub(crate) low: f32,
    middle: f32,
    pub(crate) high: f32,
    half: f32,
}

impl Scale {
    fn around(middle: f32, half: f32) -> Self {
        Self { low: middle - half, middle, high: middle + half, half }
    }

    /// Where a number lies, from -1 to 1.
    pub(crate) fn place(self, number: f32) -> f32 {
        let place = (number - self.middle) / self.half;
        if place.is_finite() { place.clamp(-1.0, 1.0) } else { 0.0 }
    }
}

/// A text that is safe to draw, on one line.
fn shown(text: &str) -> String {
    printable(&ends(text, END_CHARACTERS)).replace(['\n', '\t'], " ")
}

/// The first and the last `count` characters of a text.
fn ends(text: &str, count: usize) -> String {
    let after = |characters: &mut dyn Iterator<Item = (usize, char)>| characters.nth(count - 1);
    let first = after(&mut text.char_indices()).map_or(text.len(), |(start, c)| start + c.len_utf8());
    let last = after(&mut text.char_indices().rev()).map_or(0, |(start, _)| start);
    if first >= last { text.to_string() } else { format!("{} [...] {}", &text[..first], &text[last..]) }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// An answer whose tokens have these texts and advantages; the first token's value is 0.9 and the last one's 0.1.
    pub(crate) fn answer(tokens: &[(&str, f32)]) -> Answer {
        let steps = tokens.len().max(2) - 1;
        let token = |(index, &(text, advantage)): (usize, &(&str, f32))| {
            let value = 0.9 - 0.8 * index as f32 / steps as f32;
            let text = printable(&ends(text, TOKEN_CHARACTERS / 2));
            Token { text, numbers: [Some(advantage), Some(value), Some(-0.5), None] }
        };
        Answer {
            prompt: shown("1a+2b:"),
            reference: shown("3"),
            verdict: "right",
            reward: 1.0,
            length: tokens.len(),
            is_cut_off: false,
            first_wrong: None,
            first: tokens.iter().enumerate().map(token).collect(),
            last: Vec::new(),
        }
    }

    #[test]
    fn long_texts_keep_their_ends() {
        assert_eq!(ends("abcdef", 3), "abcdef");
        assert_eq!(ends("abcdefg", 3), "abc [...] efg");
        assert_eq!(ends("äöüßäöü", 3), "äöü [...] äöü");
        assert_eq!(ends("", 3), "");
        assert!(ends(&"語".repeat(1 << 20), 400).len() < 3000);
        assert_eq!(shown("a\x1b[31m\nb\u{202e}"), "a\u{fffd}[31m b\u{fffd}");
    }

    #[test]
    fn scales_have_their_middle_where_nothing_is_to_be_said() {
        let answers = Answers { step: 1, answers: vec![answer(&[("a", -2.0), ("b", 1.0), ("c", f32::NAN)])] };
        let advantage = answers.scale(Quantity::Advantage);
        assert_eq!([-2.0, 0.0, 1.0, 9.0, f32::NAN].map(|number| advantage.place(number)), [-1.0, 0.0, 0.5, 1.0, 0.0]);
        let value = answers.scale(Quantity::Value);
        assert!((value.place(0.5)).abs() < 1e-6 && (value.low - 0.1).abs() < 1e-6, "{value:?}");
        let logp = answers.scale(Quantity::LogProb);
        assert_eq!((logp.place(0.0), logp.place(-0.5), logp.low, logp.high), (0.0, -1.0, -0.5, 0.0));
        assert!(!answers.have(Quantity::Entropy) && answers.have(Quantity::LogProb));
        let equal = Answers { step: 1, answers: vec![answer(&[("a", 0.0)])] };
        assert_eq!(equal.scale(Quantity::Advantage).place(0.0), 0.0);
    }
}
