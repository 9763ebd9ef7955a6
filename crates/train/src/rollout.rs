//! From problems to graded responses: `Prompt` -> `Rollout` -> `GradedRollout`.

use std::ops::ControlFlow;

use vapo_lm::{Completion, Engine, Model, ModelConfig, Request, Sampling, StopReason};
use vapo_tasks::{Grade, Problem, Response, Task, Verdict, parallel_map};

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
    /// Samples `samples` responses to every prompt, `[prompts * samples]`, group by group: each rank those to its part of the
    /// prompts. `None` if a rank was stopped.
    pub(crate) fn sample<'p>(
        &mut self,
        prompts: &'p [Prompt],
        samples: usize,
        watcher: &mut dyn Watcher,
    ) -> Result<Option<Vec<Rollout<'p>>>> {
        let own = &prompts[self.division.part(prompts.len())];
        let requests: Vec<Request<'_>> =
            own.iter().map(|prompt| Request { prompt: &prompt.tokens, samples, key: prompt.key }).collect();
        let (stage, total) = (self.stage, own.len() * samples);
        let mut progress =
            |tokens, done| -> ControlFlow<()> { watcher.progress(Progress { stage, done, total, tokens }) };
        let own = self.engine.generate(self.policy, &requests, self.sampling, self.seed, &mut progress);
        let Some(groups) = self.division.gather("samples", own)? else {
            return Ok(None);
        };
        let mut rollouts = Vec::with_capacity(prompts.len() * samples);
        for (prompt, group) in prompts.iter().zip(groups) {
            for completion in group {
                let text =
                    self.text.tokenizer.decode_response(&completion.tokens, self.sampling.stop_strings.as_ref())?;
                rollouts.push(Rollout { prompt, completion, text });
            }
        }
        Ok(Some(rollouts))
    }
}

/// Grades every response: each rank its part, on `threads` threads or as many as the task can use. `None` if a rank was
/// stopped.
///
/// # Errors
/// Another rank failed.
pub(crate) fn grade<'p>(
    task: &dyn Task,
    rollouts: Vec<Rollout<'p>>,
    (threads, division): (usize, &mut Division),
    watcher: &mut dyn Watcher,
) -> Result<Option<Vec<GradedRollout<'p>>>> {
    let own = &rollouts[division.part(rollouts.len())];
    let grade_one = |index: usize| {
        let rollout = &own[index];
        let response = Response { text: &rollout.text, tokens: Some(rollout.completion.tokens.len()) };
        task.grade(&rollout.prompt.problem, response)
    };
    let report = |done| watcher.progress(Progress { stage: Stage::Grading, done, total: own.len(), tokens: 0 });
    let grades = parallel_map(own.len(), threads.max(task.graded_at_once()), grade_one, report);
    let Some(grades) = gather_grades(division, grades)? else { return Ok(None) };
    let graded = rollouts.into_iter().zip(grades).map(|(rollout, grade)| GradedRollout { rollout, grade });
    Ok(Some(graded.collect()))
}

/// A [`Grade`] as ranks send it: verdict, answer, remark, weight, shaping, scores.
type SentGrade = (Verdict, Option<String>, Option<String>, f32, f32, Vec<(String, Option<f32>)>);

fn gather_grades(division: &mut Division, own: Option<Vec<Grade>>) -> Result<Option<Vec<Grade>>> {
    if !division.is_shared() {
        return Ok(own);
    }
    let sent = |Grade { verdict, answer, remark, weight, shaping, scores }| -> SentGrade {
        let scores = scores.into_iter().map(|(name, score): (std::sync::Arc<str>, _)| (name.to_string(), score));
        (verdict, answer, remark, weight, shaping, scores.collect())
    };
    let received = |(verdict, answer, remark, weight, shaping, scores): SentGrade| {
        let scores = scores.into_iter().map(|(name, score)| (name.into(), score)).collect();
        Grade { verdict, answer, remark, weight, shaping, scores }
    };
    let all = division.gather("grades", own.map(|own| own.into_iter().map(sent).collect()))?;
    Ok(all.map(|all| all.into_iter().map(received).collect()))
}
