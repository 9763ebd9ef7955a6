//! The interface of an initialized verifier.

use crate::{Attempt, Grade, Problem, Response, Verdict};

/// A verifier's reading of a response.
pub(crate) struct Reading {
    pub(crate) verdict: Verdict,
    /// The answer in canonical form: equal answers have equal texts.
    pub(crate) answer: Option<String>,
    /// The verifier's comment.
    pub(crate) remark: Option<String>,
}

impl From<Verdict> for Reading {
    fn from(verdict: Verdict) -> Reading {
        Reading { verdict, answer: None, remark: None }
    }
}

impl From<Reading> for Grade {
    /// The grade that a single verifier gives.
    fn from(reading: Reading) -> Grade {
        let grade = Grade::from(reading.verdict);
        Grade { answer: reading.answer, remark: reading.remark.or(grade.remark), ..grade }
    }
}

/// An initialized verifier.
pub(crate) trait Grader: Send + Sync + std::fmt::Debug {
    /// Checks that a response could match a reference answer. The error says what was expected, as a clause that follows the answer.
    fn check_answer(&self, _answer: &str) -> Result<(), String> {
        Ok(())
    }

    /// Grades a response.
    fn grade(&self, problem: &Problem, response: Response<'_>) -> Reading;

    /// Grades several responses, of which those to one problem follow each other. A verifier that does not apply to a
    /// response has no reading of it.
    fn grade_all(&self, attempts: &[Attempt<'_>]) -> Vec<Option<Reading>> {
        attempts.iter().map(|attempt| Some(self.grade(attempt.problem, attempt.response))).collect()
    }

    /// How many responses to grade at once if another program does the work.
    fn at_once(&self) -> usize {
        0
    }

    /// How many responses to hand over together.
    fn together(&self) -> usize {
        1
    }

    /// Whether it is given all fields of a problem's row.
    fn takes_rows(&self) -> bool {
        false
    }

    /// Whether the verifier depends on another program, which may be missing or broken.
    fn is_external(&self) -> bool {
        false
    }
}
