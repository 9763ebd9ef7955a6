//! Equal numbers.

use super::{
    Grader, Reading,
    exact::after_marker,
    number::{Rational, literals},
};
use crate::{Error, Problem, Response, Verdict};

#[derive(Debug)]
pub(super) struct Numeric {
    pub(super) marker: Option<String>,
    pub(super) tolerance: Rational,
}

impl Grader for Numeric {
    fn check_answer(&self, answer: &str) -> Result<(), String> {
        reference(answer).map(drop)
    }

    fn grade(&self, problem: &Problem, response: Response<'_>) -> Reading {
        let answer = match reference(&problem.answer) {
            Ok(answer) => answer,
            Err(reason) => return Verdict::failed(format!("reference answer {:?}: {reason}", problem.answer)).into(),
        };
        let text = match after_marker(self.marker.as_deref(), response.text) {
            Ok(text) => text,
            Err(malformed) => return malformed.into(),
        };
        let mut found = literals(text);
        let literal = if self.marker.is_some() { found.next() } else { found.last() };
        match literal.map(|literal| literal.value()) {
            None => Verdict::malformed("no number").into(),
            Some(Err(reason)) => Verdict::malformed(reason).into(),
            Some(Ok(given)) => Reading {
                verdict: Verdict::graded(given.is_within(&self.tolerance, &answer)),
                answer: Some(given.to_string()),
                remark: None,
            },
        }
    }
}

/// The only number in a reference answer.
fn reference(answer: &str) -> Result<Rational, String> {
    let mut found = literals(answer);
    match (found.next(), found.next()) {
        (Some(literal), None) => literal.value().map_err(|reason| format!("which contains {reason}")),
        _ => Err("expected a single number".to_owned()),
    }
}

/// The decimal number as written in the setting: 0.1 means a tenth and not the nearest binary fraction.
pub(super) fn parse_tolerance(tolerance: f64) -> Result<Rational, Error> {
    let in_range = tolerance.is_finite() && tolerance >= 0.0;
    let literal = || literals(&tolerance.to_string()).next()?.value().ok();
    in_range.then(literal).flatten().ok_or_else(|| Error::Setting {
        setting: "tolerance",
        expected: "0 or a positive number".to_owned(),
        found: tolerance.to_string(),
    })
}
