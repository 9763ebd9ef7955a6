//! How to read a data file.

use crate::PromptTemplate;

/// How a data file is read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DataOptions {
    /// The text around each problem.
    pub template: PromptTemplate,
    /// Read at most this many distinct problems.
    pub limit: Option<usize>,
    /// The column of the problem; `None`: the first that exists of `prompt`, `problem`, `question` and `messages`.
    pub prompt_key: Option<String>,
    /// The column of the answer, with dots for nested columns; `None`: the first that exists of `reward_model.ground_truth`,
    /// `answer`, `ground_truth`, `final_answer`, `solution` and `label`.
    pub answer_key: Option<String>,
}
