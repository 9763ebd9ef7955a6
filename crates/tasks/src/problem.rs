//! What a task hands out and what it says about a response.

/// A problem with its reference answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Problem {
    /// The problem's number within its set (a built-in world: within its stream).
    pub index: u64,
    /// The text the model continues: the problem, put into the prompt template.
    pub prompt: String,
    /// The reference answer.
    pub answer: String,
    /// Where the problem comes from; metrics are grouped by it.
    pub data_source: String,
    /// The further fields of the data file's row, carried along untouched.
    pub extra: serde_json::Map<String, serde_json::Value>,
}

/// What a verifier says about one response.
///
/// A reward is never silently zero: a response without a readable answer and a verifier that could not decide are
/// told apart from a wrong answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// The answer was read and compared.
    Graded {
        /// The reward; 1 or 0 for the verifiers that answer with one bit.
        score: f32,
        /// Whether the answer is right. The positive-example loss selects by this and not by the score, which may be shaped.
        correct: bool,
    },
    /// The response holds no answer that could be read; it counts as wrong.
    Malformed {
        /// The reward, 0 unless the task says otherwise.
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

    /// The reward; none if the verifier failed.
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
}

/// Where training problems come from and who grades the responses.
pub trait Task: Send + Sync {
    /// The task's name, for records and messages.
    fn name(&self) -> &str;

    /// The training problems at positions `start..start + count` of the task's endless order; step s of P prompts
    /// starts at s * P. Depends on the task's seed and on the positions alone, so a run is resumed from the number of
    /// prompts it has drawn.
    fn train_problems(&self, start: u64, count: usize) -> Vec<Problem>;

    /// All training problems where they are a list, so that each can be checked before a run; empty if they are generated.
    fn listed_train_problems(&self) -> &[Problem] {
        &[]
    }

    /// The problems kept for evaluation, none of which is ever a training problem; the same for every seed.
    fn held_out(&self) -> &[Problem];

    /// Grades a response (text without special tokens) to one of this task's problems.
    fn grade(&self, problem: &Problem, response: &str) -> Verdict;

    /// What was left out of the user's problems and why; a run goes on without it.
    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }
}
