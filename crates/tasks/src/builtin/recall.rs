//! Apply memorized functions, judge each result, and take back at most one.
//!
//! ```text
//! prompt    tahj5:
//! response  t9!5.t4.a1.h9.j0.
//! ```
//!
//! A letter names a function from digit to digit; the prompt lists functions and ends with the starting digit.
//! A step is the function's letter and its result, then the model's judgment of it: `.` keeps the result; `!` takes it
//! back, after which the previous value is written again (`5.`) and the step is repeated. A response is right if every
//! result that it keeps is right and no more results are taken back than allowed.
//!
//! The functions are fixed random tables, so there is nothing to compute. Like the demonstrator, a base model remembers
//! each of the 260 facts with an individual probability, otherwise believes one particular wrong value, and judges well
//! what it wrote. This makes the task suitable for comparing methods: there is much to learn, of which each answer tries
//! little; a wrong answer shows where it went wrong; and a model of this size can see where, because the demonstrations
//! taught it to predict the judgment.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use super::steps::{WrongStep, check_probability};
use crate::{Error, Random, Stream, Verdict};

pub(super) const NAME: &str = "recall";
pub(super) const ALPHABET: &str = "0123456789.!:abcdefghijklmnopqrstuvwxyz";

const FUNCTIONS: usize = 26;
const KEPT: char = '.';
const TAKEN_BACK: char = '!';
/// Number of characters of a step: letter, result, judgment.
const STEP_CHARS: usize = 3;
/// Number of characters between a step that is taken back and its repetition: the value and [`KEPT`].
const VALUE_CHARS: usize = 2;
/// Maximum number of times the demonstrator writes one step.
const MAX_ATTEMPTS: usize = 4;
/// Fixed, so that the tables do not change with the run's seed.
const TABLES_SEED: u64 = 0x7AB1E;

/// The world's settings: the size of the problems, the tolerance, and how the demonstrator errs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Recall {
    /// The minimum number of functions in a problem; the number is uniform up to `max_functions`.
    pub min_functions: usize,
    /// The maximum number of functions in a problem, at most 26, because each is used once.
    pub max_functions: usize,
    /// The maximum number of results that a right response takes back.
    pub max_taken_back: usize,
    /// Lowest and highest probability that a fact is remembered correctly; each fact's probability is uniform between them.
    pub remembered: [f64; 2],
    /// Probability that a result is judged correctly.
    pub honest: f64,
}

impl Default for Recall {
    fn default() -> Recall {
        Recall { min_functions: 5, max_functions: 14, max_taken_back: 1, remembered: [0.3, 1.0], honest: 0.97 }
    }
}

/// A function's value at one digit.
#[derive(Clone, Copy, Debug)]
struct Fact {
    right: u8,
    /// The wrong value that the demonstrator writes if it does not remember the right one.
    believed: u8,
    /// Position of the probability of remembering it between the lowest and the highest, in `[0, 1)`.
    familiarity: f64,
}

/// The facts of each function, by digit. Right values are a permutation, so that no wrong step is undone by a right one.
static FACTS: LazyLock<[[Fact; 10]; FUNCTIONS]> = LazyLock::new(|| {
    std::array::from_fn(|function| {
        let mut random = Random::keyed(TABLES_SEED, Stream::RecallFacts, &[function as u64]);
        let mut right: [u8; 10] = std::array::from_fn(|digit| digit as u8);
        random.shuffle(&mut right);
        let believed = right.map(|right| (right + 1 + random.below(9) as u8) % 10);
        std::array::from_fn(|digit| Fact { right: right[digit], believed: believed[digit], familiarity: random.unit() })
    })
});

fn fact(function: usize, value: u8) -> Fact {
    FACTS[function][usize::from(value)]
}

fn letter(function: usize) -> char {
    char::from(b'a' + function as u8)
}

/// Functions to apply one after the other.
struct Composition {
    functions: Vec<usize>,
    start: u8,
}

impl Composition {
    fn prompt(&self) -> String {
        format!("{}{}:", self.functions.iter().map(|&function| letter(function)).collect::<String>(), self.start)
    }

    /// Parses a prompt; `None` unless it is exactly as [`Composition::prompt`] writes it.
    fn parse(prompt: &str) -> Option<Composition> {
        let (&start, letters) = prompt.as_bytes().strip_suffix(b":")?.split_last()?;
        let function = |byte: &u8| byte.is_ascii_lowercase().then(|| usize::from(byte - b'a'));
        let functions: Vec<usize> = letters.iter().map(function).collect::<Option<_>>()?;
        (start.is_ascii_digit() && functions.len() <= FUNCTIONS).then(|| Composition { functions, start: start - b'0' })
    }

    fn answer(&self) -> u8 {
        self.functions.iter().fold(self.start, |value, &function| fact(function, value).right)
    }
}

impl Recall {
    pub(super) fn validate(&self) -> Result<(), Error> {
        let sizes = self.min_functions..=self.max_functions;
        if sizes.is_empty() || self.min_functions == 0 || self.max_functions > FUNCTIONS {
            return Err(Error::Setting {
                setting: "the number of functions (min_functions to max_functions)",
                expected: format!("a range within 1 to {FUNCTIONS}"),
                found: format!("{} to {}", self.min_functions, self.max_functions),
            });
        }
        check_probability("remembered, lowest", self.remembered[0])?;
        check_probability("remembered, highest", self.remembered[1])?;
        check_probability("honest", self.honest)
    }

    pub(super) fn draw(&self, random: &mut Random) -> (String, String) {
        let sizes = (self.max_functions - self.min_functions + 1) as u64;
        let size = self.min_functions + random.below(sizes) as usize;
        let mut functions: Vec<usize> = (0..FUNCTIONS).collect();
        random.shuffle(&mut functions);
        functions.truncate(size);
        let composition = Composition { functions, start: random.below(10) as u8 };
        (composition.prompt(), composition.answer().to_string())
    }

    /// The solution with every result right and none taken back.
    pub(super) fn solution(&self, prompt: &str) -> Option<String> {
        let composition = Composition::parse(prompt)?;
        let mut value = composition.start;
        let mut text = String::new();
        for &function in &composition.functions {
            value = fact(function, value).right;
            text += &format!("{}{value}{KEPT}", letter(function));
        }
        Some(text)
    }

    /// The solution as the demonstrator writes it.
    pub(super) fn demonstrate(&self, prompt: &str, random: &mut Random) -> Option<String> {
        let composition = Composition::parse(prompt)?;
        let [lowest, highest] = self.remembered;
        let mut value = composition.start;
        let mut text = String::new();
        for &function in &composition.functions {
            let fact = fact(function, value);
            for attempt in 1..=MAX_ATTEMPTS {
                let is_right = random.chance(lowest + (highest - lowest) * fact.familiarity);
                let result = if is_right { fact.right } else { fact.believed };
                text += &format!("{}{result}", letter(function));
                if attempt == MAX_ATTEMPTS || is_right == random.chance(self.honest) {
                    text.push(KEPT);
                    value = result;
                    break;
                }
                text += &format!("{TAKEN_BACK}{value}{KEPT}");
            }
        }
        Some(text)
    }

    /// Grades the whole response: every result kept must be right, and not too many may be taken back.
    pub(super) fn grade(&self, prompt: &str, response: &str) -> Verdict {
        let Some(composition) = Composition::parse(prompt) else {
            return Verdict::failed(format!("{prompt:?} is not a problem of `{NAME}`"));
        };
        match response.ends_with(KEPT) {
            true => Verdict::graded(self.first_error(&composition, response.as_bytes()).is_none()),
            false => Verdict::malformed(format!("does not end in `{KEPT}`")),
        }
    }

    pub(super) fn first_wrong_step(&self, prompt: &str, response: &str) -> Option<WrongStep> {
        self.first_error(&Composition::parse(prompt)?, response.as_bytes())
    }

    fn first_error(&self, composition: &Composition, response: &[u8]) -> Option<WrongStep> {
        let (mut value, mut at, mut taken_back) = (composition.start, 0, 0);
        for (step, &function) in composition.functions.iter().enumerate() {
            let wrong = |offset| Some(WrongStep { step, offset });
            let is_taken_back = |at: usize| {
                response.get(at) == Some(&(letter(function) as u8))
                    && response.get(at + STEP_CHARS - 1) == Some(&(TAKEN_BACK as u8))
            };
            while is_taken_back(at) {
                taken_back += 1;
                if taken_back > self.max_taken_back {
                    return wrong(at + 1);
                }
                at += STEP_CHARS;
                let same = common_prefix(&response[at..], &format!("{value}{KEPT}"));
                if same < VALUE_CHARS {
                    return wrong(at + same);
                }
                at += VALUE_CHARS;
            }
            value = fact(function, value).right;
            let same = common_prefix(&response[at..], &format!("{}{value}{KEPT}", letter(function)));
            if same < STEP_CHARS {
                return wrong(at + same);
            }
            at += STEP_CHARS;
        }
        (at < response.len()).then_some(WrongStep { step: composition.functions.len(), offset: at })
    }
}

fn common_prefix(text: &[u8], expected: &str) -> usize {
    text.iter().zip(expected.as_bytes()).take_while(|(a, b)| a == b).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A prompt with two functions, and its right values.
    fn example() -> (String, u8, u8) {
        let middle = fact(1, 7).right;
        ("ba7:".to_owned(), middle, fact(0, middle).right)
    }

    #[test]
    fn prompts_are_read_as_they_are_written() {
        let (prompt, _, last) = example();
        let composition = Composition::parse(&prompt).unwrap();
        assert_eq!((composition.functions.as_slice(), composition.start), (&[1, 0][..], 7));
        assert_eq!((composition.prompt(), composition.answer()), (prompt, last));
        for no_prompt in ["", ":", "ba7", "ba:", "Ba7:", "é7:", "7a:"] {
            assert!(Composition::parse(no_prompt).is_none(), "{no_prompt}");
        }
    }

    #[test]
    fn finds_the_first_step_that_is_wrong_and_kept() {
        let (prompt, x, y) = example();
        let (other_x, other_y) = ((x + 1) % 10, (y + 1) % 10);
        for (response, expected) in [
            (format!("b{x}.a{y}."), None),
            (format!("b{other_x}!7.b{x}.a{y}."), None),
            (format!("b{x}!7.b{x}.a{y}."), None),
            (format!("b{x}.a{other_y}!{x}.a{y}."), None),
            (format!("b{other_x}!7.b{x}.a{other_y}!{x}.a{y}."), Some((1, 9))),
            (format!("b{other_x}!6.b{x}.a{y}."), Some((0, 3))),
            (format!("b{other_x}.a{y}."), Some((0, 1))),
            (format!("b{x}.a{other_y}."), Some((1, 4))),
            (format!("b{x}.b{y}."), Some((1, 3))),
            (format!("b{x}."), Some((1, 3))),
            (format!("b{x}.a{y}.c"), Some((2, 6))),
            (format!("b{x}.a{y}!"), Some((1, 6))),
            (String::new(), Some((0, 0))),
            ("é".to_owned(), Some((0, 0))),
        ] {
            let world = Recall::default();
            let found = world.first_wrong_step(&prompt, &response).map(|wrong| (wrong.step, wrong.offset));
            assert_eq!(found, expected, "{response}");
            let is_right = world.grade(&prompt, &response).is_correct();
            assert_eq!(is_right, expected.is_none(), "{response}");
        }
        assert!(matches!(Recall::default().grade(&prompt, "b1"), Verdict::Malformed { .. }));
        let strict = Recall { max_taken_back: 0, ..Recall::default() };
        assert!(!strict.grade(&prompt, &format!("b{other_x}!7.b{x}.a{y}.")).is_correct());
    }

    #[test]
    fn tables_are_permutations_with_wrong_beliefs() {
        for facts in FACTS.iter() {
            let mut values = facts.map(|fact| fact.right);
            values.sort_unstable();
            assert_eq!(values, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
            assert!(facts.iter().all(|fact| fact.believed != fact.right && fact.believed < 10));
        }
    }

    #[test]
    fn the_demonstrator_remembers_and_judges_as_often_as_it_should() {
        let world = Recall { remembered: [0.7, 0.7], honest: 0.9, ..Recall::default() };
        let (right, mut random, mut counts) = (fact(1, 7).right, Random::new(0), [[0; 2]; 2]);
        let draws = 20_000;
        for _ in 0..draws {
            let text = world.demonstrate("b7:", &mut random).unwrap();
            let [_, result, judgment, ..] = *text.as_bytes() else { panic!("{text}") };
            counts[usize::from(result == b'0' + right)][usize::from(judgment == KEPT as u8)] += 1;
        }
        // Standard errors are below 0.0033.
        for (is_right, is_kept, expected) in [(1, 1, 0.63), (1, 0, 0.07), (0, 1, 0.03), (0, 0, 0.27)] {
            let share = f64::from(counts[is_right][is_kept]) / f64::from(draws);
            assert!((share - expected).abs() < 0.014, "{is_right} {is_kept}: {share}");
        }
    }

    #[test]
    fn settings_are_checked() {
        let message = |world: Recall| world.validate().unwrap_err().to_string();
        assert_eq!(
            message(Recall { max_functions: 27, ..Recall::default() }),
            "the number of functions (min_functions to max_functions) is 5 to 27, expected a range within 1 to 26"
        );
        assert_eq!(message(Recall { honest: 1.5, ..Recall::default() }), "honest is 1.5, expected a probability");
    }
}
