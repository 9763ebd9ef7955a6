//! From problems to graded responses: `Prompt` -> `Rollout` -> `GradedRollout`.

use std::ops::ControlFlow;

use vapo_lm::{Completion, Engine, Generated, Model, ModelConfig, Request, Sampling, StopReason};
use vapo_tasks::{Grade, Problem};

use crate::{
    base::TextFiles,
    division::Division,
    error::{Error, Result},
    progress::{Progress, Watcher},
    stage::Stage,
};

/// A problem as the model sees it.
#[derive(Clone, Debug)]
pub struct Prompt {
    /// The problem.
    pub problem: Problem,
    /// Its prompt's tokens, at least one.
    pub tokens: Vec<u32>,
    /// Identifies the prompt in the random stream: its position in the order of training, or its index in the evaluation.
    pub key: u64,
}

impl Prompt {
    /// Tokenizes a problem's prompt.
    ///
    /// # Errors
    /// The tokenizer fails, the prompt is empty or contains a token that the model does not have, or prompt and response
    /// together are longer than the model's context.
    pub fn new(
        problem: Problem,
        key: u64,
        text: &TextFiles,
        shape: &ModelConfig,
        max_new_tokens: usize,
    ) -> Result<Self> {
        let tokens = text.encode(&problem)?;
        let longest = shape.max_position_embeddings;
        if tokens.is_empty() {
            return Err(Error::Run(format!("{} has an empty prompt", problem.place())));
        }
        if let Some(token) = tokens.iter().find(|token| **token as usize >= shape.vocab_size) {
            return Err(Error::Run(format!(
                "{}: its prompt contains token {token}, but the model's vocab_size is {}: tokenizer and model do not match",
                problem.place(),
                shape.vocab_size
            )));
        }
        if tokens.len().saturating_add(max_new_tokens) > longest {
            return Err(Error::Run(format!(
                "{}: its prompt ({} tokens) and max_new_tokens ({max_new_tokens}) exceed the model's max_position_embeddings ({longest}); data.max_prompt_tokens can leave out longer prompts",
                problem.place(),
                tokens.len(),
            )));
        }
        Ok(Self { problem, tokens, key })
    }
}

/// A sampled response to a prompt.
#[derive(Clone, Debug)]
pub struct Rollout<'a> {
    /// The prompt.
    pub prompt: &'a Prompt,
    /// Its tokens, their log-probs and why it stopped.
    pub completion: Completion,
    /// The response as text, as it is graded: without special tokens, cut before a stop string.
    pub text: String,
}

impl Rollout<'_> {
    /// Whether the length limit cut the response off.
    pub fn is_truncated(&self) -> bool {
        self.completion.stop == StopReason::Length
    }
}

/// A response with its grade.
#[derive(Clone, Debug)]
pub struct GradedRollout<'a> {
    /// The response.
    pub rollout: Rollout<'a>,
    /// Its grade.
    pub grade: Grade,
}

/// The inputs of sampling and grading, except prompts.
pub(crate) struct Generator<'a> {
    pub(crate) engine: &'a mut Engine,
    pub(crate) division: &'a mut Division,
    pub(crate) policy: &'a Model,
    pub(crate) text: &'a TextFiles,
    pub(crate) sampling: &'a Sampling,
    /// Seed of the random stream.
    pub(crate) seed: u64,
    pub(crate) stage: Stage,
}

impl Generator<'_> {
    /// Samples `samples` responses to every prompt, `[prompts * samples]`, group by group; `None` if stopped. `on_text` gets
    /// the place, text and number of tokens of each as soon as it is finished.
    pub(crate) fn sample(
        &mut self,
        prompts: &[Prompt],
        samples: usize,
        watcher: &mut dyn Watcher,
        on_text: &mut dyn FnMut(usize, String, usize),
    ) -> Result<Option<Vec<Completion>>> {
        let requests: Vec<Request<'_>> =
            prompts.iter().map(|prompt| Request { prompt: &prompt.tokens, samples, key: prompt.key }).collect();
        let (stage, total) = (self.stage, prompts.len() * samples);
        let mut unreadable = None;
        let mut watch = |so_far: Generated<'_>| {
            for (request, sample, completion) in so_far.latest() {
                let stop_strings = self.sampling.stop_strings.as_ref();
                match self.text.tokenizer.decode_response(&completion.tokens, stop_strings) {
                    Ok(text) => on_text(request * samples + sample, text, completion.tokens.len()),
                    Err(error) => {
                        unreadable = Some(error);
                        return ControlFlow::Break(());
                    }
                }
            }
            watcher.progress(Progress { stage, done: so_far.finished, total, tokens: so_far.tokens })
        };
        let groups = self.engine.generate_watched(self.policy, &requests, self.sampling, self.seed, &mut watch);
        match unreadable {
            Some(error) => Err(error.into()),
            None => Ok(groups.map(|groups| groups.into_iter().flatten().collect())),
        }
    }
}
