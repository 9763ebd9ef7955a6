//! Reach a number modulo 97 by moves; detours are allowed.
//!
//! ```text
//! prompt    23>45:
//! response  +24*48-45
//! ```
//!
//! A move is its operator and the number it leads to: `+` adds 1, `*` doubles, `-` subtracts 3, all modulo 97. The
//! response is right if every move is right and the last one leads to the target. Detours are allowed up to a maximum
//! number of moves, so answers vary in length and most mistakes can be corrected.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::steps::{WrongStep, check_probability};
use crate::{Error, Random, Verdict};

pub(super) const NAME: &str = "walk";
pub(super) const ALPHABET: &str = "0123456789+*->:";

const MODULUS: usize = 97;
const MOVES: [u8; 3] = *b"+*-";
const MOVE_CHARS: usize = 3;

/// The world's settings: the longest walk, and how the demonstrator errs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Walk {
    /// The maximum number of moves in a right response.
    pub max_moves: usize,
    /// Probability that the demonstrator chooses a move towards the target; otherwise it is a random move.
    pub aimed: f64,
    /// Probability that the demonstrator's move leads where it should; otherwise it leads to a random number and continues from there.
    pub move_right: f64,
}

impl Default for Walk {
    fn default() -> Walk {
        Walk { max_moves: 32, aimed: 0.1, move_right: 0.95 }
    }
}

/// Where a move leads.
fn apply(operator: u8, state: usize) -> usize {
    match operator {
        b'+' => (state + 1) % MODULUS,
        b'*' => (2 * state) % MODULUS,
        _ => (state + MODULUS - 3) % MODULUS,
    }
}

/// Start and target of a prompt.
fn parse(prompt: &str) -> Option<(usize, usize)> {
    let (start, target) = prompt.strip_suffix(':')?.split_once('>')?;
    Some((state(start.as_bytes())?, state(target.as_bytes())?))
}

/// A two-digit number.
fn state(text: &[u8]) -> Option<usize> {
    match *text {
        [tens @ b'0'..=b'9', ones @ b'0'..=b'9'] => {
            Some(10 * usize::from(tens - b'0') + usize::from(ones - b'0')).filter(|n| *n < MODULUS)
        }
        _ => None,
    }
}

/// The number of moves from each state to the target.
fn distances(target: usize) -> [usize; MODULUS] {
    // Every state can be reached, by `+` alone.
    let mut distances = [usize::MAX; MODULUS];
    distances[target] = 0;
    let mut queue = VecDeque::from([target]);
    while let Some(near) = queue.pop_front() {
        for far in 0..MODULUS {
            let leads_here = MOVES.iter().any(|&operator| apply(operator, far) == near);
            if leads_here && distances[far] == usize::MAX {
                distances[far] = distances[near] + 1;
                queue.push_back(far);
            }
        }
    }
    distances
}

/// The first move that leads closer to the target. `from` is not the target.
fn aim(from: usize, distances: &[usize; MODULUS]) -> u8 {
    let nearer = |operator: &u8| distances[apply(*operator, from)] < distances[from];
    MOVES.into_iter().find(nearer).unwrap_or(b'+')
}

fn push_move(text: &mut String, operator: u8, to: usize) {
    *text += &format!("{}{to:02}", char::from(operator));
}

impl Walk {
    pub(super) fn validate(&self) -> Result<(), Error> {
        if self.max_moves == 0 {
            let expected = "at least 1".to_owned();
            return Err(Error::Setting { setting: "max_moves", expected, found: "0".to_owned() });
        }
        check_probability("aimed", self.aimed)?;
        check_probability("move_right", self.move_right)
    }

    pub(super) fn draw(&self, random: &mut Random) -> (String, String) {
        let start = random.below(MODULUS as u64) as usize;
        let target = (start + 1 + random.below(MODULUS as u64 - 1) as usize) % MODULUS;
        (format!("{start:02}>{target:02}:"), format!("{target:02}"))
    }

    /// A shortest walk.
    pub(super) fn solution(&self, prompt: &str) -> Option<String> {
        let (mut at, target) = parse(prompt)?;
        let distances = distances(target);
        let mut text = String::new();
        while at != target {
            let operator = aim(at, &distances);
            at = apply(operator, at);
            push_move(&mut text, operator, at);
        }
        Some(text)
    }

    /// The demonstrator's walk, which ends at the target or with the last allowed move.
    pub(super) fn demonstrate(&self, prompt: &str, random: &mut Random) -> Option<String> {
        let (mut at, target) = parse(prompt)?;
        let distances = distances(target);
        let mut text = String::new();
        for _ in 0..self.max_moves {
            if at == target {
                break;
            }
            let operator = match random.chance(self.aimed) {
                true => aim(at, &distances),
                false => random.pick(&MOVES),
            };
            at = match random.chance(self.move_right) {
                true => apply(operator, at),
                false => random.below(MODULUS as u64) as usize,
            };
            push_move(&mut text, operator, at);
        }
        Some(text)
    }

    /// Grades a walk: every move must be right, the last one must lead to the target, and there must not be too many.
    pub(super) fn grade(&self, prompt: &str, response: &str) -> Verdict {
        let Some((start, target)) = parse(prompt) else {
            return Verdict::failed(format!("{prompt:?} is not a problem of `{NAME}`"));
        };
        let bytes = response.as_bytes();
        let well_formed =
            |chunk: &[u8]| chunk.len() == MOVE_CHARS && MOVES.contains(&chunk[0]) && state(&chunk[1..]).is_some();
        if bytes.is_empty() || !bytes.chunks(MOVE_CHARS).all(well_formed) {
            return Verdict::malformed("not a list of moves, each an operator and two digits");
        }
        let end = walk(start, bytes);
        let in_time = bytes.len() <= MOVE_CHARS * self.max_moves;
        Verdict::graded(in_time && end == Ok(target))
    }

    pub(super) fn first_wrong_step(&self, prompt: &str, response: &str) -> Option<WrongStep> {
        let (start, target) = parse(prompt)?;
        let end = response.len();
        match walk(start, response.as_bytes()) {
            Err(wrong) => Some(wrong),
            // All moves are right, but the target is not reached: the next move is missing.
            Ok(state) if state != target => Some(WrongStep { step: end / MOVE_CHARS, offset: end }),
            Ok(_) => {
                let limit = MOVE_CHARS * self.max_moves;
                (end > limit).then_some(WrongStep { step: self.max_moves, offset: limit })
            }
        }
    }
}

/// Where a list of moves leads, or its first wrong character.
fn walk(start: usize, moves: &[u8]) -> Result<usize, WrongStep> {
    let mut at = start;
    for (step, chunk) in moves.chunks(MOVE_CHARS).enumerate() {
        let wrong = |within| Err(WrongStep { step, offset: step * MOVE_CHARS + within });
        if !MOVES.contains(&chunk[0]) {
            return wrong(0);
        }
        at = apply(chunk[0], at);
        let expected = format!("{at:02}");
        let same = chunk[1..].iter().zip(expected.as_bytes()).take_while(|(a, b)| a == b).count();
        if same < expected.len() {
            return wrong(1 + same);
        }
    }
    Ok(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worked_example() {
        let walk = Walk::default();
        // 23+1=24, 2*24=48, 48-3=45: no shorter way, as 23 leads to 24, 46, 20 and these to 25, 48, 21, 47, 92, 43, 40, 17.
        assert_eq!(walk.solution("23>45:").unwrap().len(), 9);
        assert_eq!(distances(45)[23], 3);
        let grade = |response| walk.grade("23>45:", response);
        assert_eq!(grade("+24*48-45"), Verdict::graded(true));
        assert_eq!(grade("*46-43+44+45"), Verdict::graded(true));
        assert_eq!(grade("*46-43+45"), Verdict::graded(false));
        assert_eq!(grade("+24*48"), Verdict::graded(false));
        assert_eq!(grade("+45"), Verdict::graded(false));
        for malformed in ["", "+2", "+24*48-4", "24*48-45", "+24*48-99", "+é"] {
            assert!(matches!(grade(malformed), Verdict::Malformed { .. }), "{malformed}");
        }
        // 2*96 is 192 = 95 mod 97, 1-3 is 95 mod 97, 96+1 is 0.
        assert_eq!([apply(b'*', 96), apply(b'-', 1), apply(b'+', 96)], [95, 95, 0]);
        let short = Walk { max_moves: 3, ..walk };
        assert_eq!(short.grade("23>45:", "*46-43+44+45"), Verdict::graded(false));
    }

    #[test]
    fn finds_the_first_wrong_move() {
        let walk = Walk { max_moves: 4, ..Walk::default() };
        for (response, expected) in [
            ("+24*48-45", None),
            ("+24*49-46", Some((1, 5))),
            ("+34", Some((0, 1))),
            ("+24x48", Some((1, 3))),
            ("+24*48", Some((2, 6))),
            ("+24*4", Some((1, 5))),
            ("", Some((0, 0))),
            ("+24-21+22+23*46-43+44+45", Some((4, 12))),
        ] {
            let found = walk.first_wrong_step("23>45:", response).map(|w| (w.step, w.offset));
            assert_eq!(found, expected, "{response}");
        }
    }
}
