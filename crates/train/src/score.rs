//! Log-probs and values of given texts, row by row.

use std::{
    io::{BufRead, Read},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};
use vapo_algo::ValueBound;
use vapo_lm::{Engine, Model, Sequence, Tokenizer};
use vapo_tasks::plain_words;

use crate::{
    error::{Error, Result},
    models::check_reads_the_same,
};

/// A prompt with a response, as tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRow {
    /// Its line in the file, from 1.
    pub number: usize,
    /// Given tokens, at least one.
    pub prompt: Vec<u32>,
    /// Tokens to score.
    pub response: Vec<u32>,
}

/// Per-token outputs of a policy, and optionally a critic, on a response, each `[T]`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ScoredRow {
    /// The response's tokens.
    pub tokens: Vec<u32>,
    /// Log-prob of each token given all tokens before it, in nats.
    pub logprobs: Vec<f32>,
    /// V(s_t): the critic's value of the state before each token; `None` without a critic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub values: Option<Vec<f32>>,
}

/// Reads rows of a JSONL file in order: `prompt` and `response` as texts, or `prompt_tokens` and `response_tokens`,
/// which override the texts.
///
/// Prompt and response are tokenized separately and no token is added (neither at the start nor at the end): as in a
/// rollout, the sequence is the tokens of the prompt followed by those of the response.
pub struct RowReader<R> {
    input: R,
    path: PathBuf,
    /// Lines read.
    lines: usize,
    tokenizer: Option<Tokenizer>,
    vocab_size: usize,
    max_positions: usize,
}

/// A line of the file; other fields are ignored.
#[derive(Deserialize)]
struct JsonRow {
    prompt: Option<String>,
    response: Option<String>,
    prompt_tokens: Option<Vec<u32>>,
    response_tokens: Option<Vec<u32>>,
}

impl<R: BufRead> RowReader<R> {
    /// Reads rows for `policy` from `input`, called `path` in messages. Without a tokenizer, only rows of tokens can be read.
    pub fn new(input: R, path: &Path, tokenizer: Option<Tokenizer>, policy: &Model) -> Self {
        let shape = policy.config();
        Self {
            input,
            path: path.to_path_buf(),
            lines: 0,
            tokenizer,
            vocab_size: shape.vocab_size,
            max_positions: shape.max_position_embeddings,
        }
    }

    /// The next rows, until they hold `tokens` tokens or the file ends; empty at its end.
    ///
    /// # Errors
    /// The file cannot be read, or a row is invalid: the message names the row.
    pub fn next_rows(&mut self, tokens: usize) -> Result<Vec<TokenRow>> {
        let (mut rows, mut held) = (Vec::new(), 0);
        while held < tokens {
            let Some(line) = self.next_line()? else { break };
            if line.trim_ascii().is_empty() {
                continue;
            }
            let row = self.row(&line).map_err(|problem| self.error(&problem))?;
            held += row.prompt.len() + row.response.len();
            rows.push(row);
        }
        Ok(rows)
    }

    fn next_line(&mut self) -> Result<Option<Vec<u8>>> {
        /// Far more than any context holds, far less than a machine's memory.
        const LONGEST_LINE: u64 = 64 << 20;
        let mut line = Vec::new();
        let read = self.input.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut line);
        let read = read.map_err(Error::io("read", &self.path))?;
        self.lines += 1;
        if read as u64 == LONGEST_LINE && line.last() != Some(&b'\n') {
            return Err(self.error(&format!("longer than {LONGEST_LINE} bytes")));
        }
        Ok((read > 0).then_some(line))
    }

    fn row(&self, line: &[u8]) -> Result<TokenRow, String> {
        let row: JsonRow = serde_json::from_slice(line).map_err(|error| plain_words(&error.to_string()))?;
        let prompt = self.tokens("prompt", row.prompt, row.prompt_tokens)?;
        let response = self.tokens("response", row.response, row.response_tokens)?;
        if prompt.is_empty() {
            return Err(
                "the prompt has no tokens, expected at least one, because nothing predicts the first token".into()
            );
        }
        // The last token's position has no output.
        let inputs = (prompt.len() + response.len()).saturating_sub(1);
        if inputs > self.max_positions {
            return Err(format!(
                "prompt ({} tokens) and response ({}) exceed the model's max_position_embeddings ({})",
                prompt.len(),
                response.len(),
                self.max_positions
            ));
        }
        Ok(TokenRow { number: self.lines, prompt, response })
    }

    fn tokens(&self, name: &str, text: Option<String>, tokens: Option<Vec<u32>>) -> Result<Vec<u32>, String> {
        let tokens = match (tokens, text, &self.tokenizer) {
            (Some(tokens), ..) => tokens,
            (None, Some(text), Some(tokenizer)) => tokenizer.encode(&text).map_err(|error| error.to_string())?,
            (None, Some(_), None) => {
                return Err(format!("the model has no tokenizer.json, expected `{name}_tokens` instead of `{name}`"));
            }
            (None, None, _) => {
                return Err(format!("expected a text `{name}` or a list `{name}_tokens`, found neither"));
            }
        };
        match tokens.iter().find(|token| **token as usize >= self.vocab_size) {
            Some(token) => {
                Err(format!("the {name} contains token {token}, but the model's vocab_size is {}", self.vocab_size))
            }
            None => Ok(tokens),
        }
    }

    fn error(&self, problem: &str) -> Error {
        Error::file(&self.path, format!("row {}: {problem}", self.lines))
    }
}

/// A policy, and optionally a critic, that scores responses.
pub struct Scorer<'a> {
    engine: &'a mut Engine,
    policy: &'a Model,
    critic: Option<(&'a Model, ValueBound)>,
    temperature: f32,
}

impl<'a> Scorer<'a> {
    /// Log-probs are those of the distribution at `temperature` (above 0); a critic's raw outputs are mapped to values by its bound.
    ///
    /// # Errors
    /// The critic cannot read every text that the policy can read.
    pub fn new(
        engine: &'a mut Engine,
        policy: &'a Model,
        critic: Option<(&'a Model, ValueBound)>,
        temperature: f32,
    ) -> Result<Self> {
        if let Some((critic, _)) = critic {
            check_reads_the_same("critic", critic.config(), policy.config())?;
        }
        Ok(Self { engine, policy, critic, temperature })
    }

    /// Scores rows in order; the log-probs are bit-equal to those recorded when the policy sampled the tokens.
    ///
    /// # Errors
    /// A log-prob or value is not finite.
    pub fn score(&mut self, rows: &[TokenRow]) -> Result<Vec<ScoredRow>> {
        let sequences: Vec<Sequence<'_>> = rows
            .iter()
            .filter(|row| !row.response.is_empty())
            .map(|row| Sequence { prompt: &row.prompt, response: &row.response })
            .collect();
        let logprobs = self.engine.score(self.policy, &sequences, self.temperature).logp;
        let values: Option<Vec<f32>> = self.critic.map(|(critic, bound)| {
            let raw = self.engine.values(critic, &sequences);
            raw.into_iter().map(|raw| bound.value(raw)).collect()
        });
        let mut first = 0;
        rows.iter()
            .map(|row| {
                let range = first..first + row.response.len();
                first = range.end;
                let scored = ScoredRow {
                    tokens: row.response.clone(),
                    logprobs: logprobs[range.clone()].to_vec(),
                    values: values.as_ref().map(|values| values[range].to_vec()),
                };
                scored.checked(row.number)
            })
            .collect()
    }
}

impl ScoredRow {
    fn checked(self, row: usize) -> Result<Self> {
        let columns = [("log-prob", Some(&self.logprobs)), ("value", self.values.as_ref())];
        for (name, column) in columns {
            let odd = column
                .and_then(|column| column.iter().position(|number| !number.is_finite()).map(|at| (at, column[at])));
            if let Some((at, number)) = odd {
                return Err(Error::Run(format!(
                    "row {row}: the {name} of response token {at} is {number}, expected a finite number"
                )));
            }
        }
        Ok(self)
    }
}
