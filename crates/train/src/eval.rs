//! Held-out accuracy: the mean over n samples of each problem (avg@n), and measures over several samples.

use vapo_lm::{Engine, Model};
use vapo_tasks::{Problem, Random, Stream, Task};

use crate::{
    base::TextFiles,
    config::Config,
    decoding::eval_sampling,
    division::Division,
    error::{Error, Result},
    evaluation::{Evaluation, GradedCompletion, ProblemResult},
    grading::{Work, sample_and_grade},
    observer::{Monitor, Observer},
    rollout::{Generator, GradedRollout, Prompt},
    stage::Stage,
    timing::Timing,
};

/// The inputs of an evaluation.
pub struct Evaluator<'a> {
    /// Threads and buffers.
    pub engine: &'a mut Engine,
    /// The model that answers.
    pub policy: &'a Model,
    /// Its tokenizer and files.
    pub text: &'a TextFiles,
    /// The task that provides the held-out problems.
    pub task: &'a dyn Task,
    /// The config: `[eval]`, and the run's seed, stop tokens and slots.
    pub config: &'a Config,
}

/// Evaluates a model on held-out problems; `None` if `stop` was set before the end.
/// Samples depend only on `run.seed` and the weights, so that two evaluations differ only because of the weights.
///
/// # Errors
/// The task has no held-out problems, or a prompt is too long for the model.
pub fn evaluate(
    evaluator: Evaluator<'_>,
    observer: &mut dyn Observer,
    stop: &std::sync::atomic::AtomicBool,
) -> Result<Option<Evaluation>> {
    run_evaluation(evaluator, &mut Division::single(), &mut Monitor::new(observer, stop))
}

pub(crate) fn run_evaluation(
    evaluator: Evaluator<'_>,
    division: &mut Division,
    monitor: &mut Monitor<'_>,
) -> Result<Option<Evaluation>> {
    let Evaluator { engine, policy, text, task, config } = evaluator;
    let sampling = eval_sampling(config, policy, text);
    let prompts = chosen(task.held_out(), config.eval.problems)
        .map(|problem| Prompt::new(problem.clone(), problem.index, text, policy.config(), sampling.max_new_tokens))
        .collect::<Result<Vec<_>>>()?;
    if prompts.is_empty() {
        return Err(Error::Run(format!("{} has no held-out problems to evaluate on", task.name())));
    }
    let seed = Random::keyed(config.run.seed, Stream::EvaluationSamples, &[0]).next_u64();
    let mut timing = Timing::start(division);
    let (sampling, stage) = (&sampling, Stage::Evaluation);
    let mut generator = Generator { engine, division, policy, text, sampling, seed, stage };
    let samples = config.eval.samples;
    let work = Work { task, prompts: &prompts, samples };
    let Some(graded) = sample_and_grade(&mut generator, work, &mut timing, monitor)? else {
        return Ok(None);
    };
    let problems = graded.chunks(samples).map(|group| ProblemResult {
        problem: group[0].rollout.prompt.problem.clone(),
        completions: group.iter().map(graded_completion).collect(),
    });
    Ok(Some(Evaluation { problems: problems.collect(), samples }))
}

fn graded_completion(graded: &GradedRollout<'_>) -> GradedCompletion {
    GradedCompletion {
        text: graded.rollout.text.clone(),
        tokens: graded.rollout.completion.tokens.len(),
        truncated: graded.rollout.is_truncated(),
        grade: graded.grade.clone(),
    }
}

/// At most `count` problems, evenly spread over the set, because a file may be sorted by difficulty.
fn chosen(problems: &[Problem], count: usize) -> impl Iterator<Item = &Problem> {
    let count = count.min(problems.len());
    (0..count).map(move |number| &problems[number * problems.len() / count])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::tests::prompt;

    #[test]
    fn problems_are_spread_over_a_sorted_set() {
        let problems: Vec<Problem> = (0..10).map(|key| prompt(key).problem).collect();
        let indices = |count| chosen(&problems, count).map(|problem| problem.index).collect::<Vec<_>>();
        assert_eq!(indices(4), [0, 2, 5, 7]);
        assert_eq!(indices(99), (0..10).collect::<Vec<_>>());
    }
}
