//! What is recorded of a step.

use std::{fmt, ops::Range};

use vapo_lm::Tokenizer;

use crate::{batch::Batch, credit::Credit, trace::TokenTrace};

/// Tokens of a row group, unless a response alone has more: a reader of one response decodes no more, and the writer holds
/// no more.
const TOKENS_PER_ROW_GROUP: usize = 1 << 16;

/// What a step sampled, and what it did with each token: what is recorded of it, and what an observer may read.
pub struct StepRecord<'a> {
    /// The step.
    pub step: u64,
    /// Updates of the policy before the step.
    pub policy_version: u64,
    /// The responses.
    pub batch: &'a Batch<'a>,
    /// What each token was credited with.
    pub credit: &'a Credit,
    /// The first wrong token of each response, where the task knows it `[R]`.
    pub first_wrong: &'a [Option<usize>],
    /// What the policy's updates did; `None` in value pretraining, and in steps that are not recorded.
    pub trace: Option<&'a TokenTrace>,
    /// For prompts and tokens as text.
    pub tokenizer: &'a Tokenizer,
}

impl fmt::Debug for StepRecord<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let responses = self.batch.responses().len();
        f.debug_struct("StepRecord").field("step", &self.step).field("responses", &responses).finish_non_exhaustive()
    }
}

impl StepRecord<'_> {
    /// Tokens of some responses.
    pub(super) fn lengths(&self, responses: Range<usize>) -> Vec<usize> {
        responses.map(|response| self.batch.tokens_of(response).len()).collect()
    }

    /// The first `end` responses, divided into row groups.
    pub(super) fn row_groups(&self, end: usize) -> Vec<Range<usize>> {
        let (mut groups, mut start, mut tokens) = (Vec::new(), 0, 0);
        for (response, length) in self.lengths(0..end).into_iter().enumerate() {
            if response > start && tokens + length > TOKENS_PER_ROW_GROUP {
                groups.push(start..response);
                (start, tokens) = (response, 0);
            }
            tokens += length;
        }
        groups.extend((start < end).then_some(start..end));
        groups
    }
}
