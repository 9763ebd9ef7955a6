//! Which rollouts are asked for, and what is shown of each.

use serde::{Deserialize, Serialize};

use super::{
    index::{Entry, RecordIndex, Word},
    texts::{ANSWER, EXTRACTED, PROMPT, REASON, RESPONSE, Texts},
};

/// Rows of a page at most.
pub const MAX_ROWS: usize = 500;
/// Characters of prompts, responses and other texts in a [`Summary`].
const SHOWN_CHARACTERS: usize = 200;

/// Which rollouts, in which order. All conditions hold together; what is `None` does not count. Bounds are inclusive.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Query {
    /// First step.
    pub step_min: Option<u64>,
    /// Last step.
    pub step_max: Option<u64>,
    /// `right`, `wrong` or `malformed`.
    pub verdict: Option<String>,
    /// `stop_token`, `stop_string` or `length`.
    pub stop_reason: Option<String>,
    /// Where the problem comes from.
    pub data_source: Option<String>,
    /// Least reward.
    pub reward_min: Option<f32>,
    /// Greatest reward.
    pub reward_max: Option<f32>,
    /// Least number of response tokens.
    pub length_min: Option<u32>,
    /// Greatest number of response tokens.
    pub length_max: Option<u32>,
    /// Part of prompt, response or answer, in upper or lower case.
    pub text: Option<String>,
    /// What they are sorted by; equal ones by step and row.
    pub sort: Sort,
    /// The greatest first. Rollouts without what they are sorted by come last in any case.
    pub descending: bool,
    /// Rollouts left out at the beginning.
    pub offset: usize,
    /// Rollouts of the page, at most [`MAX_ROWS`].
    pub limit: usize,
}

impl Default for Query {
    fn default() -> Self {
        Self {
            step_min: None,
            step_max: None,
            verdict: None,
            stop_reason: None,
            data_source: None,
            reward_min: None,
            reward_max: None,
            length_min: None,
            length_max: None,
            text: None,
            sort: Sort::default(),
            descending: false,
            offset: 0,
            limit: 50,
        }
    }
}

/// What rollouts can be sorted by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Sort {
    /// The step, and within it the order of the record.
    #[default]
    Step,
    /// The reward.
    Reward,
    /// Tokens of the response.
    Length,
    /// The verifier's score.
    Score,
    /// Lambda of the policy's advantage.
    Lambda,
    /// Mean of the critic's values over the response. The first such query reads the values of all records.
    MeanValue,
    /// The prompt's position in the order of training.
    Prompt,
}

/// Some of the rollouts that were found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Page {
    /// Rollouts found.
    pub total: usize,
    /// Rollouts searched: all of the run's records.
    pub of: usize,
    /// Those of the page.
    pub rows: Vec<Summary>,
    /// What could not be searched, and why.
    pub notes: Vec<String>,
}

/// What a list shows of a rollout: long texts are cut. The columns are explained in `docs/records.md`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[expect(missing_docs, reason = "docs/records.md explains the columns")]
pub struct Summary {
    pub step: u64,
    /// Its row in the step's record, from 0.
    pub row: usize,
    pub prompt_id: u64,
    pub problem: u64,
    pub data_source: String,
    pub verdict: String,
    pub reason: Option<String>,
    pub score: Option<f32>,
    pub reward: f32,
    pub stop_reason: String,
    pub prompt_tokens: u32,
    pub response_tokens: u32,
    pub lambda: Option<f64>,
    /// Only in pages sorted by it.
    pub mean_value: Option<f32>,
    pub prompt: String,
    pub response: String,
    pub answer: String,
    pub extracted_answer: Option<String>,
}

impl Summary {
    pub(super) fn new(record: &RecordIndex, row: usize, texts: &Texts) -> Self {
        let entry = &record.entries[row];
        let shown = |column| texts.get(row, column).map(shortened);
        let word = |word| record.word(word).to_owned();
        Self {
            step: record.step(),
            row,
            prompt_id: entry.prompt_id,
            problem: entry.problem,
            data_source: word(entry.data_source),
            verdict: word(entry.verdict),
            reason: shown(REASON),
            score: present(entry.score),
            reward: entry.reward,
            stop_reason: word(entry.stop_reason),
            prompt_tokens: entry.prompt_tokens,
            response_tokens: entry.response_tokens,
            lambda: (!entry.lambda.is_nan()).then_some(entry.lambda),
            mean_value: record.mean_values.get().and_then(|means| present(means[row])),
            prompt: shown(PROMPT).unwrap_or_default(),
            response: shown(RESPONSE).unwrap_or_default(),
            answer: shown(ANSWER).unwrap_or_default(),
            extracted_answer: shown(EXTRACTED),
        }
    }
}

pub(super) fn present(value: f32) -> Option<f32> {
    (!value.is_nan()).then_some(value)
}

/// The beginning of a text; what is left out becomes `…`.
fn shortened(text: &str) -> String {
    match text.char_indices().nth(SHOWN_CHARACTERS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// The conditions on a record's numbers and words.
pub(super) struct Conditions<'q> {
    query: &'q Query,
    /// Words that a response must have.
    words: [Option<Word>; 3],
}

impl<'q> Conditions<'q> {
    /// `None` if no response of the record can meet them.
    pub(super) fn of(query: &'q Query, record: &RecordIndex) -> Option<Self> {
        let within = query.step_min.is_none_or(|least| record.step() >= least)
            && query.step_max.is_none_or(|greatest| record.step() <= greatest);
        let wanted = [&query.data_source, &query.verdict, &query.stop_reason];
        let words = wanted.map(|word| word.as_ref().map(|word| record.find(word)));
        let possible = within && words.iter().all(|word| *word != Some(None));
        possible.then(|| Self { query, words: words.map(Option::flatten) })
    }

    pub(super) fn hold(&self, entry: &Entry) -> bool {
        let query = self.query;
        let words = [entry.data_source, entry.verdict, entry.stop_reason];
        self.words.iter().zip(words).all(|(wanted, word)| wanted.is_none_or(|wanted| wanted == word))
            && query.reward_min.is_none_or(|least| entry.reward >= least)
            && query.reward_max.is_none_or(|greatest| entry.reward <= greatest)
            && query.length_min.is_none_or(|least| entry.response_tokens >= least)
            && query.length_max.is_none_or(|greatest| entry.response_tokens <= greatest)
    }
}

impl Sort {
    /// What a rollout is sorted by; NaN if it does not have it.
    pub(super) fn key(self, record: &RecordIndex, row: usize) -> f64 {
        let entry = &record.entries[row];
        match self {
            Self::Step => record.step() as f64,
            Self::Reward => f64::from(entry.reward),
            Self::Length => f64::from(entry.response_tokens),
            Self::Score => f64::from(entry.score),
            Self::Lambda => entry.lambda,
            Self::MeanValue => f64::from(record.mean_values()[row]),
            Self::Prompt => entry.prompt_id as f64,
        }
    }
}
