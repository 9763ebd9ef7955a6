//! One response with everything that is recorded of it.

use std::ops::Range;

use parquet::data_type::{ByteArray, ByteArrayType, FloatType, Int32Type, Int64Type};
use serde::Serialize;

use super::{
    file::{Lists, RecordFile, text},
    index::RecordIndex,
    query::present,
};
use crate::error::Result;

/// One response: a row of a record. The columns are explained in `docs/records.md`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[expect(missing_docs, reason = "docs/records.md explains the columns")]
pub struct Response {
    pub step: u64,
    /// Its row in the step's record, from 0.
    pub row: usize,
    pub prompt_id: u64,
    pub problem: u64,
    pub data_source: String,
    pub prompt: String,
    pub response: String,
    pub answer: String,
    pub extracted_answer: Option<String>,
    pub verdict: String,
    pub reason: Option<String>,
    pub score: Option<f32>,
    /// Scores of the reward's terms, if it has several.
    pub scores: Vec<TermScore>,
    pub reward: f32,
    pub stop_reason: String,
    pub prompt_tokens: u32,
    pub response_tokens: u32,
    pub lambda: Option<f64>,
    pub policy_version: i64,
    /// The first wrong token, counted from 0, where the task knows it.
    pub first_wrong: Option<usize>,
    pub tokens: Tokens,
}

/// The score of a term of the reward.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TermScore {
    /// The term.
    pub name: String,
    /// Its score.
    pub score: Option<f32>,
}

/// What happened to each token: lists with an element per token, or `None` where the record has none (`docs/records.md`).
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[expect(missing_docs, reason = "docs/records.md explains the columns")]
pub struct Tokens {
    pub id: Option<Vec<i32>>,
    pub text: Option<Vec<String>>,
    pub logprob: Option<Vec<f32>>,
    pub sampler_logprob: Option<Vec<f32>>,
    pub value: Option<Vec<f32>>,
    pub advantage: Option<Vec<f32>>,
    #[serde(rename = "return")]
    pub return_: Option<Vec<f32>>,
    pub entropy: Option<Vec<f32>>,
    /// NaN where the token is unused.
    pub ratio: Option<Vec<f32>>,
    pub clip: Option<Vec<String>>,
}

/// The values of an answer's tokens, and the returns that followed.
#[derive(Debug)]
pub(crate) struct ValuedAnswer {
    pub(crate) is_right: bool,
    pub(crate) values: Vec<f32>,
    pub(crate) returns: Vec<f32>,
}

/// Reads some rows of a record.
pub(super) fn read(record: &RecordIndex, rows: Range<usize>) -> Result<Vec<Response>> {
    record.read(|file| {
        let [prompts, responses, answers] = ["prompt", "response", "answer"].map(|name| file.texts(name, rows.clone()));
        let (mut prompts, mut responses, mut answers) = (prompts?, responses?, answers?);
        let [extracted, reasons] = ["extracted_answer", "reason"].map(|name| file.optional_texts(name, rows.clone()));
        let (mut extracted, mut reasons) = (extracted?, reasons?);
        let versions = file.required::<Int64Type>("policy_version", rows.clone())?;
        let mut scores = scores(file, rows.clone())?;
        let mut tokens = tokens(file, record, rows.clone())?;
        let take = |texts: &mut Vec<String>, n: usize| std::mem::take(&mut texts[n]);
        let response = |(n, row): (usize, usize)| {
            let entry = &record.entries[row];
            let word = |word| record.word(word).to_owned();
            Response {
                step: record.step(),
                row,
                prompt_id: entry.prompt_id,
                problem: entry.problem,
                data_source: word(entry.data_source),
                prompt: take(&mut prompts, n),
                response: take(&mut responses, n),
                answer: take(&mut answers, n),
                extracted_answer: extracted[n].take(),
                verdict: word(entry.verdict),
                reason: reasons[n].take(),
                score: present(entry.score),
                scores: std::mem::take(&mut scores[n]),
                reward: entry.reward,
                stop_reason: word(entry.stop_reason),
                prompt_tokens: entry.prompt_tokens,
                response_tokens: entry.response_tokens,
                lambda: (!entry.lambda.is_nan()).then_some(entry.lambda),
                policy_version: versions[n],
                first_wrong: entry.first_wrong.map(|token| token as usize),
                tokens: std::mem::take(&mut tokens[n]),
            }
        };
        Ok(rows.clone().enumerate().map(response).collect())
    })
}

fn scores(file: &RecordFile, rows: Range<usize>) -> Result<Vec<Vec<TermScore>>> {
    let names = file.lists::<ByteArrayType>("scores.key_value.key", rows.clone())?;
    let scores = file.lists::<FloatType>("scores.key_value.value", rows)?;
    let mut rows = Vec::with_capacity(names.len());
    for (names, scores) in names.iter().zip(&scores) {
        let terms = names.iter().flatten().zip(scores.iter().flatten());
        let term = |(name, &score): (&Option<ByteArray>, &Option<f32>)| TermScore {
            name: name.as_ref().map(text).unwrap_or_default(),
            score,
        };
        rows.push(terms.map(term).collect());
    }
    Ok(rows)
}

fn tokens(file: &RecordFile, record: &RecordIndex, rows: Range<usize>) -> Result<Vec<Tokens>> {
    let mut tokens = vec![Tokens::default(); rows.len()];
    let columns = Columns { file, record, rows };
    for (tokens, list) in tokens.iter_mut().zip(columns.read::<Int32Type>("token_id")?) {
        tokens.id = list.map(|list| list.into_iter().map(|id| id.unwrap_or_default()).collect());
    }
    for (tokens, list) in tokens.iter_mut().zip(columns.read::<ByteArrayType>("token")?) {
        tokens.text = list.map(words);
    }
    for (tokens, list) in tokens.iter_mut().zip(columns.read::<ByteArrayType>("clip")?) {
        tokens.clip = list.map(words);
    }
    type Column = fn(&mut Tokens) -> &mut Option<Vec<f32>>;
    let floats: [(&str, Column); 7] = [
        ("logprob", |tokens| &mut tokens.logprob),
        ("sampler_logprob", |tokens| &mut tokens.sampler_logprob),
        ("value", |tokens| &mut tokens.value),
        ("advantage", |tokens| &mut tokens.advantage),
        ("return", |tokens| &mut tokens.return_),
        ("entropy", |tokens| &mut tokens.entropy),
        ("ratio", |tokens| &mut tokens.ratio),
    ];
    for (name, column) in floats {
        for (tokens, list) in tokens.iter_mut().zip(columns.read::<FloatType>(name)?) {
            *column(tokens) = list.map(|list| list.into_iter().map(|value| value.unwrap_or(f32::NAN)).collect());
        }
    }
    Ok(tokens)
}

fn words(list: Vec<Option<ByteArray>>) -> Vec<String> {
    list.iter().map(|word| word.as_ref().map(text).unwrap_or_default()).collect()
}

/// The lists of some rows, which have an element per token.
struct Columns<'a> {
    file: &'a RecordFile,
    record: &'a RecordIndex,
    rows: Range<usize>,
}

impl Columns<'_> {
    fn read<T: parquet::data_type::DataType>(&self, name: &str) -> Result<Lists<T::T>> {
        let lists = self.file.lists::<T>(&format!("{name}.list.element"), self.rows.clone())?;
        for (row, list) in self.rows.clone().zip(&lists) {
            let expected = self.record.entries[row].response_tokens as usize;
            if let Some(list) = list.as_ref().filter(|list| list.len() != expected) {
                let found = list.len();
                return Err(self
                    .file
                    .damaged(format!("row {}: {name} has {found} elements, expected {expected}", row + 1)));
            }
        }
        Ok(lists)
    }
}
