//! What a task hands out.

use crate::{Grade, Response};

use std::{fmt, path::Path, sync::Arc};

use serde::{Deserialize, Serialize};

/// A problem with its reference answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Problem {
    /// The problem's number within its set (a built-in world: within its stream).
    pub index: u64,
    /// The problem, put into the prompt template: the text that the model continues, or the user's last message.
    pub prompt: String,
    /// Where the data holds a conversation: the messages before the user's last one, which is [`Problem::prompt`].
    pub context: Option<Vec<Message>>,
    /// The reference answer.
    pub answer: String,
    /// Where the problem comes from; metrics are grouped by it.
    pub data_source: String,
    /// The further fields of the data file's row, carried along untouched.
    pub extra: serde_json::Map<String, serde_json::Value>,
    /// The row that it was read from.
    pub origin: Option<Origin>,
}

impl Problem {
    /// What to call it in messages: file and row, or its number.
    pub fn place(&self) -> String {
        match &self.origin {
            Some(origin) => origin.to_string(),
            None => format!("problem {} of {}", self.index, self.data_source),
        }
    }
}

/// A message of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Message {
    /// Who speaks: `system`, `user`, `assistant`.
    pub role: String,
    /// The text.
    pub content: String,
}

/// A row of a data file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The file.
    pub path: Arc<Path>,
    /// The row's number, from 1 (JSONL: the line's).
    pub row: usize,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, row {}", self.path.display(), self.row)
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

    /// Grades a response to one of this task's problems. Never waits without a deadline.
    fn grade(&self, problem: &Problem, response: Response<'_>) -> Grade;

    /// Where a response first goes wrong, in bytes of its text; none if it does not, or if the task cannot tell.
    fn first_wrong_offset(&self, problem: &Problem, response: &str) -> Option<usize> {
        let _ = (problem, response);
        None
    }

    /// How many responses to grade at once where grading means waiting for another program; 0: one per thread.
    fn graded_at_once(&self) -> usize {
        0
    }

    /// What was read: a line for each data file.
    fn sets(&self) -> Vec<String> {
        Vec::new()
    }

    /// What was left out of the user's problems and why; a run goes on without it.
    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }
}
