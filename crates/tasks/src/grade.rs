//! Responses to grade, and the resulting verdicts and grades.

use serde::{Deserialize, Serialize};
use std::sync::Arc;

/// A response to a problem.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Response<'a> {
    /// Its text, without special tokens.
    pub text: &'a str,
    /// Number of tokens including the end token; `None` if unknown.
    pub tokens: Option<usize>,
}

impl<'a> From<&'a str> for Response<'a> {
    /// A text with an unknown number of tokens.
    fn from(text: &'a str) -> Response<'a> {
        Response { text, tokens: None }
    }
}

/// A verifier's verdict on one response.
///
/// A reward is never silently zero: a response without a readable answer and a verifier that could not decide are
/// distinguished from a wrong answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Verdict {
    /// The answer was read and compared.
    Graded {
        /// The score; 1 or 0 for verifiers with a binary verdict.
        score: f32,
        /// Whether the answer is right. The positive-example loss uses this and not the score, which may be shaped.
        correct: bool,
    },
    /// The response contains no readable answer; it counts as wrong.
    Malformed {
        /// The score, 0 unless the task specifies another.
        score: f32,
        /// What is missing.
        reason: String,
    },
    /// The verifier could not decide; the response is left out of the loss.
    Failed {
        /// What went wrong.
        reason: String,
    },
}

impl Verdict {
    /// A binary verdict: score 1 if right, 0 if wrong.
    pub fn graded(correct: bool) -> Verdict {
        let score = if correct { 1.0 } else { 0.0 };
        Verdict::Graded { score, correct }
    }

    /// An unreadable answer with score 0.
    pub fn malformed(reason: impl Into<String>) -> Verdict {
        Verdict::Malformed { score: 0.0, reason: reason.into() }
    }

    /// A verifier that could not decide.
    pub fn failed(reason: impl Into<String>) -> Verdict {
        Verdict::Failed { reason: reason.into() }
    }

    /// The score; `None` if the verifier failed.
    pub fn score(&self) -> Option<f32> {
        match self {
            Verdict::Graded { score, .. } | Verdict::Malformed { score, .. } => Some(*score),
            Verdict::Failed { .. } => None,
        }
    }

    /// Whether the answer was read and is right.
    pub fn is_correct(&self) -> bool {
        matches!(self, Verdict::Graded { correct: true, .. })
    }

    /// `right`, `wrong`, `malformed` or `failed`, as in the records.
    pub fn name(&self) -> &'static str {
        match self {
            Verdict::Graded { correct: true, .. } => "right",
            Verdict::Graded { correct: false, .. } => "wrong",
            Verdict::Malformed { .. } => "malformed",
            Verdict::Failed { .. } => "failed",
        }
    }

    /// Why an answer could not be read or compared.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Verdict::Graded { .. } => None,
            Verdict::Malformed { reason, .. } | Verdict::Failed { reason } => Some(reason),
        }
    }
}

/// The complete result of grading one response.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Grade {
    /// Whether the answer is right, and its score: the verdict of the deciding term. Failed if any term failed.
    pub verdict: Verdict,
    /// The extracted answer for majority votes, in a canonical form: equal answers have equal texts.
    pub answer: Option<String>,
    /// The verifier's comment, or the reason why an answer could not be read or compared.
    pub remark: Option<String>,
    /// Weight of the deciding term's reward.
    pub weight: f32,
    /// The sum of the weighted scores of the other terms, added to the reward.
    pub shaping: f32,
    /// The score of each term by name, if there are several; a failed term has none.
    pub scores: Vec<(Arc<str>, Option<f32>)>,
}

impl From<Verdict> for Grade {
    /// A grade with only a verdict.
    fn from(verdict: Verdict) -> Grade {
        let remark = verdict.reason().map(str::to_owned);
        Grade { verdict, answer: None, remark, weight: 1.0, shaping: 0.0, scores: Vec::new() }
    }
}

impl Grade {
    /// Sets the extracted answer.
    pub fn with_answer(self, answer: Option<String>) -> Grade {
        Grade { answer, ..self }
    }

    /// The reward, with `wrong` for a score of 0 and `right` for a score of 1:
    /// `weight * (wrong + score * (right - wrong)) + shaping`; `None` if a term failed.
    pub fn reward(&self, right: f64, wrong: f64) -> Option<f32> {
        let score = f64::from(self.verdict.score()?);
        Some((f64::from(self.weight) * (wrong + score * (right - wrong)) + f64::from(self.shaping)) as f32)
    }
}
