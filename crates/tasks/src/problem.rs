//! Problems, and the tasks that provide them.

use crate::{Grade, Response};

use std::{fmt, path::Path, sync::Arc};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// A problem with its reference answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Problem {
    /// The problem's number within its set (a built-in world: within its stream).
    pub index: u64,
    /// The problem in the prompt template: the text for the model to continue, or the user's last message.
    pub prompt: String,
    /// If the data holds a conversation, the messages before the user's last one, which is [`Problem::prompt`].
    pub context: Option<Vec<Message>>,
    /// The reference answer.
    pub answer: String,
    /// The reference answer as the data file holds it, if that is no text: a number, an object, a list.
    pub answer_value: Option<Value>,
    /// Where the problem comes from; metrics are grouped by it.
    pub data_source: String,
    /// The other fields of the data file's row, unchanged.
    pub extra: Map<String, Value>,
    /// All fields of the data file's row, if a verifier takes them (`python`).
    pub row: Option<Arc<Map<String, Value>>>,
    /// The row it was read from.
    pub origin: Option<Origin>,
}

impl Problem {
    /// Its name in messages: file and row, or its index.
    pub fn place(&self) -> String {
        match &self.origin {
            Some(origin) => origin.to_string(),
            None => format!("problem {} of {}", self.index, self.data_source),
        }
    }
}

/// Whether a value of a data file is an answer of its own kind: an object, or a list of several.
pub(crate) fn is_compound(value: &Value) -> bool {
    value.is_object() || value.as_array().is_some_and(|items| items.len() != 1)
}

/// A response with the problem that it answers.
#[derive(Clone, Copy, Debug)]
pub struct Attempt<'a> {
    /// The problem.
    pub problem: &'a Problem,
    /// The response.
    pub response: Response<'a>,
}

/// A message of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Message {
    /// The author: `system`, `user` or `assistant`.
    pub role: String,
    /// The text.
    pub content: String,
}

/// A row of a data file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The file.
    pub path: Arc<Path>,
    /// The row's number, from 1 (for JSONL, the line number).
    pub row: usize,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, row {}", self.path.display(), self.row)
    }
}

/// Provides training problems and grades responses.
pub trait Task: Send + Sync {
    /// The task's name, for records and messages.
    fn name(&self) -> &str;

    /// The training problems at positions `start..start + count` of the task's endless order; step s of P prompts
    /// starts at s * P. Depends on the task's seed and on the positions alone, so a run is resumed from the number of
    /// prompts it has drawn.
    fn train_problems(&self, start: u64, count: usize) -> Vec<Problem>;

    /// All training problems if they are a list, so that each can be checked before a run; empty if they are generated.
    fn listed_train_problems(&self) -> &[Problem] {
        &[]
    }

    /// The problems held out for evaluation, none of which is ever a training problem; the same for every seed.
    fn held_out(&self) -> &[Problem];

    /// Grades a response to one of this task's problems. Never waits without a deadline.
    fn grade(&self, problem: &Problem, response: Response<'_>) -> Grade;

    /// Where a response first goes wrong, as a byte offset in its text; `None` if it does not, or if the task does not know.
    fn first_wrong_offset(&self, problem: &Problem, response: &str) -> Option<usize> {
        let _ = (problem, response);
        None
    }

    /// Grades several responses, of which those to one problem follow each other. Never waits without a deadline.
    fn grade_all(&self, attempts: &[Attempt<'_>]) -> Vec<Grade> {
        attempts.iter().map(|attempt| self.grade(attempt.problem, attempt.response)).collect()
    }

    /// How many responses to grade at once if grading means waiting for another program; 0: one per thread.
    fn graded_at_once(&self) -> usize {
        0
    }

    /// How many responses to hand to [`Task::grade_all`] together; above 1, those to one problem are not separated.
    fn graded_together(&self) -> usize {
        1
    }

    /// Seconds that each verifier has taken so far, added up over all that work at the same time.
    fn verifier_secs(&self) -> Vec<(Arc<str>, f64)> {
        Vec::new()
    }

    /// A line about each data file that was read.
    fn sets(&self) -> Vec<String> {
        Vec::new()
    }

    /// Which of the user's problems were left out and why; a run continues without them.
    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }
}
