//! Evaluate an expression from left to right modulo 10, one labeled operation after the other.
//!
//! ```text
//! prompt    7a+5b*3c+8:
//! response  7a+5=2b*3=5?2b*3=6c+8=4
//! ```
//!
//! The format suits a small character-level model. A step is `value label operator operand = result`, so everything that a
//! result depends on comes right before it, and the result is the next step's value. The label says which operation
//! of the prompt comes next: operator, operand and next label are found by looking at what follows that label in the
//! prompt, without counting. `?` takes back the result before it; the value is written again and the step is redone.
//! By default the demonstrator never does so: a network of 0.1 M parameters learns the steps from 1.5 M tokens, but after
//! 2.3 M tokens it still writes `?` as often after right results as after wrong ones.
//!
//! Operands of `*` have an inverse modulo 10 (3, 7, 9) and `+` always does, so a wrong step is never undone by a
//! right one: after the first wrong result that is kept, the answer is wrong (unless a second error happens to cancel it).

use serde::{Deserialize, Serialize};

use super::steps::{WrongStep, check_probability};
use crate::{Error, Random, Verdict};

pub(super) const NAME: &str = "chain";
pub(super) const ALPHABET: &str = "0123456789+*=?:abcdefghijklmnopqrstuvwxyz";

/// One label per operation.
const MAX_OPERATIONS: usize = 26;
/// Maximum number of times the demonstrator writes one step.
const MAX_ATTEMPTS: usize = 4;
/// Number of characters of a step, from label to result.
const STEP_CHARS: usize = 5;

/// The world's settings: the size of the problems, and how the demonstrator errs.
///
/// The demonstrator writes every step of the solution. Each result is right with a probability that depends on the
/// operator; errors are carried forward. It takes back a wrong result more often than a right one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Chain {
    /// The minimum number of operations in a problem; the number is uniform up to `max_operations`.
    pub min_operations: usize,
    /// The maximum number of operations in a problem, at most 26.
    pub max_operations: usize,
    /// Probability that a sum is right; otherwise it is a random wrong digit.
    pub sum_right: f64,
    /// Probability that a product is right.
    pub product_right: f64,
    /// Probability that a product is mistaken for a sum (`4*3=7`); otherwise it is a random wrong digit.
    pub product_as_sum: f64,
    /// Probability that a wrong result is taken back.
    pub doubt_wrong: f64,
    /// Probability that a right result is taken back.
    pub doubt_right: f64,
}

impl Default for Chain {
    fn default() -> Chain {
        Chain {
            min_operations: 4,
            max_operations: 12,
            sum_right: 0.95,
            product_right: 0.5,
            product_as_sum: 0.4,
            doubt_wrong: 0.0,
            doubt_right: 0.0,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Operator {
    Add,
    Multiply,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Operation {
    operator: Operator,
    operand: u8,
}

impl Operation {
    fn apply(self, value: u8) -> u8 {
        match self.operator {
            Operator::Add => (value + self.operand) % 10,
            Operator::Multiply => (value * self.operand) % 10,
        }
    }

    /// Label, operator and operand, as in the prompt and in a step.
    fn text(self, index: usize) -> String {
        let operator = match self.operator {
            Operator::Add => '+',
            Operator::Multiply => '*',
        };
        format!("{}{operator}{}", char::from(b'a' + index as u8), self.operand)
    }

    /// The right step, from label to result.
    fn right_step(self, index: usize, value: u8) -> String {
        format!("{}={}", self.text(index), self.apply(value))
    }
}

struct Expression {
    start: u8,
    operations: Vec<Operation>,
}

impl Expression {
    fn prompt(&self) -> String {
        let texts = self.operations.iter().enumerate().map(|(index, op)| op.text(index));
        format!("{}{}:", self.start, texts.collect::<String>())
    }

    /// Parses a prompt; `None` unless it is exactly as [`Expression::prompt`] writes it.
    fn parse(prompt: &str) -> Option<Expression> {
        let (&start, rest) = prompt.as_bytes().strip_suffix(b":")?.split_first()?;
        let parse_operation = |chunk: &[u8]| {
            let &[_, operator, operand] = chunk else {
                return None;
            };
            let operator = match operator {
                b'+' => Operator::Add,
                b'*' => Operator::Multiply,
                _ => return None,
            };
            Some(Operation { operator, operand: digit(operand)? })
        };
        if rest.len() > 3 * MAX_OPERATIONS {
            return None;
        }
        let operations = rest.chunks(3).map(parse_operation).collect::<Option<_>>()?;
        let expression = Expression { start: digit(start)?, operations };
        (expression.prompt() == prompt).then_some(expression)
    }

    fn answer(&self) -> u8 {
        self.operations.iter().fold(self.start, |value, operation| operation.apply(value))
    }
}

fn digit(byte: u8) -> Option<u8> {
    byte.is_ascii_digit().then(|| byte - b'0')
}

impl Chain {
    pub(super) fn validate(&self) -> Result<(), Error> {
        let sizes = self.min_operations..=self.max_operations;
        if sizes.is_empty() || self.min_operations == 0 || self.max_operations > MAX_OPERATIONS {
            return Err(Error::Setting {
                setting: "the number of operations (min_operations to max_operations)",
                expected: format!("a range within 1 to {MAX_OPERATIONS}"),
                found: format!("{} to {}", self.min_operations, self.max_operations),
            });
        }
        check_probability("sum_right", self.sum_right)?;
        check_probability("product_right", self.product_right)?;
        check_probability("product_as_sum", self.product_as_sum)?;
        check_probability("product_right + product_as_sum", self.product_right + self.product_as_sum)?;
        check_probability("doubt_wrong", self.doubt_wrong)?;
        check_probability("doubt_right", self.doubt_right)
    }

    pub(super) fn draw(&self, random: &mut Random) -> (String, String) {
        let sizes = (self.max_operations - self.min_operations + 1) as u64;
        let operations = self.min_operations + random.below(sizes) as usize;
        let mut draw_operation = || match random.below(2) {
            0 => Operation { operator: Operator::Add, operand: 1 + random.below(9) as u8 },
            _ => Operation { operator: Operator::Multiply, operand: random.pick(&[3, 7, 9]) },
        };
        let operations = (0..operations).map(|_| draw_operation()).collect();
        let expression = Expression { start: random.below(10) as u8, operations };
        (expression.prompt(), expression.answer().to_string())
    }

    /// The solution with every step right and none taken back.
    pub(super) fn solution(&self, prompt: &str) -> Option<String> {
        let expression = Expression::parse(prompt)?;
        let mut value = expression.start;
        let mut text = value.to_string();
        for (index, operation) in expression.operations.iter().enumerate() {
            text += &operation.right_step(index, value);
            value = operation.apply(value);
        }
        Some(text)
    }

    /// The solution as the demonstrator writes it.
    pub(super) fn demonstrate(&self, prompt: &str, random: &mut Random) -> Option<String> {
        let expression = Expression::parse(prompt)?;
        let mut value = expression.start;
        let mut text = value.to_string();
        for (index, operation) in expression.operations.iter().enumerate() {
            for attempt in 1..=MAX_ATTEMPTS {
                let result = self.attempt(*operation, value, random);
                text += &format!("{}={result}", operation.text(index));
                let is_right = result == operation.apply(value);
                let doubt = if is_right { self.doubt_right } else { self.doubt_wrong };
                if attempt == MAX_ATTEMPTS || !random.chance(doubt) {
                    value = result;
                    break;
                }
                text += &format!("?{value}");
            }
        }
        Some(text)
    }

    /// The demonstrator's result of one operation.
    fn attempt(&self, operation: Operation, value: u8, random: &mut Random) -> u8 {
        let right = operation.apply(value);
        let (probability, misconception) = match operation.operator {
            Operator::Add => (self.sum_right, 0.0),
            Operator::Multiply => (self.product_right, self.product_as_sum),
        };
        let luck = random.unit();
        if luck < probability {
            right
        } else if luck < probability + misconception {
            (value + operation.operand) % 10
        } else {
            (right + 1 + random.below(9) as u8) % 10
        }
    }

    /// Grades only the final answer: the digit after the last `=`, which must end the response.
    pub(super) fn grade(&self, answer: &str, response: &str) -> Verdict {
        match response.rsplit_once('=') {
            Some((_, last)) if last.len() == 1 && digit(last.as_bytes()[0]).is_some() => {
                Verdict::graded(last == answer)
            }
            _ => Verdict::malformed("does not end in `=` and a digit"),
        }
    }

    pub(super) fn first_wrong_step(&self, prompt: &str, response: &str) -> Option<WrongStep> {
        let expression = Expression::parse(prompt)?;
        let bytes = response.as_bytes();
        let mut value = expression.start;
        let mut at = 0;
        for (step, operation) in expression.operations.iter().enumerate() {
            let wrong = |offset| Some(WrongStep { step, offset });
            // The value is written before the first step and after each `?`; other steps begin with the previous result.
            let mut value_is_due = step == 0;
            loop {
                if value_is_due {
                    if bytes.get(at) != Some(&(b'0' + value)) {
                        return wrong(at);
                    }
                    at += 1;
                }
                let expected = operation.right_step(step, value);
                let same = bytes[at..].iter().zip(expected.as_bytes()).take_while(|(a, b)| a == b).count();
                let end = at + STEP_CHARS;
                value_is_due = bytes.get(end) == Some(&b'?');
                if same < STEP_CHARS && !value_is_due {
                    return wrong(at + same);
                }
                at = if value_is_due { end + 1 } else { end };
                if !value_is_due {
                    break;
                }
            }
            value = operation.apply(value);
        }
        let step = expression.operations.len();
        (at < bytes.len()).then_some(WrongStep { step, offset: at })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROMPT: &str = "7a+5b*3c+8:";

    fn chain() -> Chain {
        Chain::default()
    }

    #[test]
    fn a_worked_example() {
        // 7+5=12, 2*3=6, 6+8=14.
        assert_eq!(chain().solution(PROMPT).unwrap(), "7a+5=2b*3=6c+8=4");
        assert_eq!(Expression::parse(PROMPT).unwrap().answer(), 4);
        for no_prompt in ["", ":", "7a+5", "7b+5:", "7a-5:", "7a+5b:", "a+5:", "7a+é:", "77a+5:"] {
            assert_eq!(chain().solution(no_prompt), None, "{no_prompt}");
        }
    }

    #[test]
    fn grades_only_the_last_result() {
        let grade = |response| chain().grade("4", response);
        assert_eq!(grade("7a+5=2b*3=6c+8=4"), Verdict::graded(true));
        assert_eq!(grade("=4"), Verdict::graded(true));
        assert_eq!(grade("7a+5=2b*3=6c+8=3"), Verdict::graded(false));
        for response in ["", "4", "7a+5=2b*3=6c+8=", "7a+5=2b*3=6c+8=4?", "7a+5=2b*3=6c+8=44", "=é"] {
            assert_eq!(grade(response), Verdict::malformed("does not end in `=` and a digit"));
        }
    }

    #[test]
    fn finds_the_first_step_that_is_wrong_and_kept() {
        for (response, expected) in [
            ("7a+5=2b*3=6c+8=4", None),
            ("7a+5=2b*3=5?2b*3=6c+8=4", None),
            ("7a+5=2?7a+5=2b*3=6c+8=1?6c+8=4", None),
            ("7a+5=3b*3=9c+8=7", Some((0, 5))),
            ("7a+5=2b*3=5c+8=3", Some((1, 10))),
            ("7a+5=2b*3=6?2b*3=5c+8=3", Some((1, 17))),
            ("7a+5=2b*3=5?5c+8=3", Some((1, 12))),
            ("7a+5=2c+8=0", Some((1, 6))),
            ("7a+5=2b*7=4c+8=2", Some((1, 8))),
            ("6a+5=1", Some((0, 0))),
            ("7a+5=2b*3=6c+8=5", Some((2, 15))),
            ("7a+5=2b*3=6", Some((2, 11))),
            ("7a+5=2b*3=6c+8=4d", Some((3, 16))),
            ("7a+5=2b*3=6c+8=4?", Some((2, 17))),
            ("", Some((0, 0))),
            ("é", Some((0, 0))),
        ] {
            let found = chain().first_wrong_step(PROMPT, response).map(|w| (w.step, w.offset));
            assert_eq!(found, expected, "{response}");
        }
    }

    #[test]
    fn the_demonstrator_errs_as_often_as_it_should() {
        let product = Operation { operator: Operator::Multiply, operand: 3 };
        let sum = Operation { operator: Operator::Add, operand: 3 };
        let mut random = Random::new(0);
        let mut count = |operation, result| {
            let hits = (0..20_000).filter(|_| chain().attempt(operation, 4, &mut random) == result);
            hits.count() as f64 / 20_000.0
        };
        // 4*3=12; mistaken for a sum, 7. Standard errors are below 0.0036.
        assert!((count(product, 2) - 0.5).abs() < 0.015);
        assert!((count(product, 7) - (0.4 + 0.1 / 9.0)).abs() < 0.015);
        assert!((count(product, 5) - 0.1 / 9.0).abs() < 0.005);
        assert!((count(sum, 7) - 0.95).abs() < 0.006);
    }

    #[test]
    fn settings_are_checked() {
        let message = |chain: Chain| chain.validate().unwrap_err().to_string();
        assert_eq!(
            message(Chain { max_operations: 27, ..chain() }),
            "the number of operations (min_operations to max_operations) is 4 to 27, expected a range within 1 to 26"
        );
        assert_eq!(
            message(Chain { product_right: 0.7, ..chain() }),
            "product_right + product_as_sum is 1.1, expected a probability"
        );
        assert_eq!(message(Chain { doubt_wrong: f64::NAN, ..chain() }), "doubt_wrong is NaN, expected a probability");
    }
}
