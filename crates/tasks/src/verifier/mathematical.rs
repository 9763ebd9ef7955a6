//! Answers compared by meaning ([`crate::math`]).

use super::{Grader, Reading, number::literals};
use crate::{
    Problem, Response, Verdict,
    math::{self, Rounding, Rule},
};

#[derive(Debug)]
pub(super) struct Mathematical {
    pub(super) rule: Rule,
    pub(super) rounding: Rounding,
}

impl Grader for Mathematical {
    fn check_answer(&self, answer: &str) -> Result<(), String> {
        math::check_gold(answer)
    }

    fn grade(&self, problem: &Problem, response: Response<'_>) -> Reading {
        let verdict = math::grade(self.rule, self.rounding, &problem.answer, response.text);
        let answer = match &verdict {
            // All right answers mean the same.
            Verdict::Graded { correct: true, .. } => Some(problem.answer.trim().to_owned()),
            Verdict::Graded { correct: false, .. } => math::extract(response.text, self.rule).map(|text| key(&text)),
            Verdict::Malformed { .. } | Verdict::Failed { .. } => None,
        };
        Reading { verdict, answer, remark: None }
    }
}

/// Plain numbers in lowest terms, anything else without white space and dollar signs.
fn key(answer: &str) -> String {
    let compact: String = answer.chars().filter(|c| !c.is_whitespace() && *c != '$').collect();
    let is_number = compact.chars().all(|c| c.is_ascii_digit() || "-+.,/".contains(c));
    let number = {
        let mut numbers = literals(&compact).map(|literal| literal.value());
        numbers.next().filter(|_| is_number && numbers.next().is_none())
    };
    match number {
        Some(Ok(number)) => number.to_string(),
        _ => compact,
    }
}
