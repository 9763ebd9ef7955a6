//! What is graded and what comes of it.

use std::sync::Arc;

/// A response to a problem.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Response<'a> {
    /// Its text, without special tokens.
    pub text: &'a str,
    /// Its tokens, the end token included; none where nobody counted them.
    pub tokens: Option<usize>,
}

impl<'a> From<&'a str> for Response<'a> {
    /// A text whose tokens nobody counted.
    fn from(text: &'a str) -> Response<'a> {
        Response { text, tokens: None }
    }
}

/// What a verifier says about one response.
///
/// A reward is never silently zero: a response without a readable answer and a verifier that could not decide are
/// told apart from a wrong answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// The answer was read and compared.
    Graded {
        /// The score; 1 or 0 for the verifiers that answer with one bit.
        score: f32,
        /// Whether the answer is right. The positive-example loss selects by this and not by the score, which may be shaped.
        correct: bool,
    },
    /// The response holds no answer that could be read; it counts as wrong.
    Malformed {
        /// The score, 0 unless the task says otherwise.
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
    /// A verdict of one bit: score 1 if right, 0 if wrong.
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

    /// The score; none if the verifier failed.
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

    /// `right`, `wrong`, `malformed` or `failed`, as records have it.
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

/// Everything that is said about one response.
#[derive(Clone, Debug, PartialEq)]
pub struct Grade {
    /// Whether the answer is right, and its score: the verdict of the term that decides. Failed if any term failed.
    pub verdict: Verdict,
    /// The answer that was read, in a form in which equal answers are equal texts, for majority votes.
    pub answer: Option<String>,
    /// What the verifier says besides; of an answer that could not be read or compared the reason.
    pub remark: Option<String>,
    /// Weight of the deciding term's reward.
    pub weight: f32,
    /// The weighted scores of the other terms, added to the reward as they are.
    pub shaping: f32,
    /// The score of each term by its name, where there are several; a failed term has none.
    pub scores: Vec<(Arc<str>, Option<f32>)>,
}

impl From<Verdict> for Grade {
    /// A verdict that is everything there is.
    fn from(verdict: Verdict) -> Grade {
        let remark = verdict.reason().map(str::to_owned);
        Grade { verdict, answer: None, remark, weight: 1.0, shaping: 0.0, scores: Vec::new() }
    }
}

impl Grade {
    /// Names the answer that was read.
    pub fn with_answer(self, answer: Option<String>) -> Grade {
        Grade { answer, ..self }
    }

    /// The reward, where a score of 0 earns `wrong` and one of 1 earns `right`:
    /// `weight * (wrong + score * (right - wrong)) + shaping`; none if a term failed.
    pub fn reward(&self, right: f64, wrong: f64) -> Option<f32> {
        let score = f64::from(self.verdict.score()?);
        Some((f64::from(self.weight) * (wrong + score * (right - wrong)) + f64::from(self.shaping)) as f32)
    }
}
