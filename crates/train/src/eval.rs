//! Held-out accuracy: the mean over n samples of each problem (avg@n).

use serde_json::{Value, json};
use vapo_algo::Summary;
use vapo_lm::{Engine, Model, Sampling, StopStrings};
use vapo_tasks::{Problem, Task, Verdict};

use crate::{
    base::TextFiles,
    config::Config,
    error::{Error, Result},
    metrics::Row,
    observer::{Monitor, Observer, Stage},
    rollout::{Generator, Graded, Prompt, grade},
    trainer::{Stream, stop_tokens},
};

/// The result of an evaluation.
#[derive(Clone, Debug)]
pub struct Evaluation {
    /// Per problem, in the order of the held-out set.
    pub problems: Vec<ProblemResult>,
    /// Samples per problem.
    pub samples: usize,
}

/// What a model made of one problem.
#[derive(Clone, Debug)]
pub struct ProblemResult {
    /// The problem.
    pub problem: Problem,
    /// Its samples.
    pub answers: Vec<Answer>,
}

/// One graded sample.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The response as text.
    pub text: String,
    /// Its tokens.
    pub tokens: usize,
    /// Whether the length limit cut it off.
    pub truncated: bool,
    /// What the verifier says.
    pub verdict: Verdict,
}

impl ProblemResult {
    /// Share of right answers among those the verifier could grade; `None` if it could grade none.
    pub fn accuracy(&self) -> Option<f64> {
        let graded = self.answers.iter().filter(|answer| answer.verdict.score().is_some()).count();
        let correct = self.answers.iter().filter(|answer| answer.verdict.is_correct()).count();
        (graded > 0).then(|| correct as f64 / graded as f64)
    }

    /// The problem as a line of `eval/step-*.jsonl`.
    pub fn to_json(&self) -> Value {
        let answers = self.answers.iter().map(|answer| {
            let (verdict, reason) = match &answer.verdict {
                Verdict::Graded { correct: true, .. } => ("right", None),
                Verdict::Graded { correct: false, .. } => ("wrong", None),
                Verdict::Malformed { reason, .. } => ("malformed", Some(reason)),
                Verdict::Failed { reason } => ("failed", Some(reason)),
            };
            json!({
                "response": answer.text,
                "tokens": answer.tokens,
                "truncated": answer.truncated,
                "verdict": verdict,
                "score": answer.verdict.score(),
                "reason": reason,
            })
        });
        json!({
            "data_source": self.problem.data_source,
            "index": self.problem.index,
            "prompt": self.problem.prompt,
            "answer": self.problem.answer,
            "accuracy": self.accuracy(),
            "samples": answers.collect::<Vec<_>>(),
        })
    }
}

impl Evaluation {
    /// Mean accuracy over problems; `None` if no answer could be graded.
    pub fn accuracy(&self) -> Option<f64> {
        mean_accuracy(self.problems.iter())
    }

    /// Share of problems with at least one right sample.
    pub fn pass_rate(&self) -> Option<f64> {
        pass_rate(self.problems.iter())
    }

    /// The metrics, per data source: `val-core/<source>/acc/mean@n`.
    pub fn to_row(&self) -> Row {
        let mut sources: Vec<&str> = Vec::new();
        for result in &self.problems {
            if !sources.contains(&result.problem.data_source.as_str()) {
                sources.push(&result.problem.data_source);
            }
        }
        let (mut row, samples) = (Row::default(), self.samples);
        for source in sources {
            let own = || self.problems.iter().filter(|result| result.problem.data_source == source);
            row.number(&format!("val-core/{source}/acc/mean@{samples}"), mean_accuracy(own()));
            row.number(&format!("val-core/{source}/acc/best@{samples}"), pass_rate(own()));
            let (mut tokens, mut truncated, mut failed) = (Summary::default(), Summary::default(), Summary::default());
            for answer in own().flat_map(|result| &result.answers) {
                tokens.push(answer.tokens as f64);
                truncated.push(f64::from(u8::from(answer.truncated)));
                failed.push(f64::from(u8::from(answer.verdict.score().is_none())));
            }
            row.number(&format!("val-aux/{source}/response_length/mean"), tokens.mean());
            row.number(&format!("val-aux/{source}/response_length/clip_ratio"), truncated.mean());
            row.number(&format!("val-aux/{source}/failed_frac"), failed.mean());
        }
        row
    }

    /// All problems, a JSON object per line.
    pub fn to_jsonl(&self) -> String {
        self.problems.iter().map(|result| format!("{}\n", result.to_json())).collect()
    }
}

fn mean_accuracy<'a>(results: impl Iterator<Item = &'a ProblemResult>) -> Option<f64> {
    let mut accuracies = Summary::default();
    results.filter_map(ProblemResult::accuracy).for_each(|accuracy| accuracies.push(accuracy));
    accuracies.mean()
}

fn pass_rate<'a>(results: impl Iterator<Item = &'a ProblemResult>) -> Option<f64> {
    let mut passed = Summary::default();
    results.filter_map(ProblemResult::accuracy).for_each(|accuracy| passed.push(f64::from(u8::from(accuracy > 0.0))));
    passed.mean()
}

/// What an evaluation works with.
pub struct Evaluator<'a> {
    /// Threads and buffers.
    pub engine: &'a mut Engine,
    /// The model that answers.
    pub policy: &'a Model,
    /// Its tokenizer and files.
    pub text: &'a TextFiles,
    /// Whose held-out problems are asked.
    pub task: &'a dyn Task,
    /// `[eval]` says how; seed, stop tokens and slots are the run's.
    pub config: &'a Config,
}

/// Evaluates a model on held-out problems; `None` if `stop` was set before the end.
/// Samples depend on `run.seed` and the weights alone, so that two evaluations differ by the weights and by nothing else.
///
/// # Errors
/// The task has no held-out problems, or a prompt is too long for the model.
pub fn evaluate(
    evaluator: Evaluator<'_>,
    observer: &mut dyn Observer,
    stop: &std::sync::atomic::AtomicBool,
) -> Result<Option<Evaluation>> {
    run_evaluation(evaluator, &mut Monitor::new(observer, stop))
}

pub(crate) fn run_evaluation(evaluator: Evaluator<'_>, monitor: &mut Monitor<'_>) -> Result<Option<Evaluation>> {
    let Evaluator { engine, policy, text, task, config } = evaluator;
    let sampling = eval_sampling(config, policy, text);
    let prompts = chosen(task.held_out(), config.eval.problems)
        .map(|problem| Prompt::new(problem.clone(), problem.index, text, policy.config(), sampling.max_new_tokens))
        .collect::<Result<Vec<_>>>()?;
    if prompts.is_empty() {
        return Err(Error::Run(format!("{} has no held-out problems to evaluate on", task.name())));
    }
    let seed = Stream::Evaluation.random(config.run.seed, 0).next_u64();
    let threads = engine.threads();
    let mut generator = Generator { engine, policy, text, sampling: &sampling, seed, stage: Stage::Evaluation };
    let samples = config.eval.samples;
    let Some(rollouts) = generator.sample(&prompts, samples, monitor)? else {
        return Ok(None);
    };
    let Some(graded) = grade(task, rollouts, threads, monitor) else {
        return Ok(None);
    };
    let problems = graded.chunks(samples).map(|group| ProblemResult {
        problem: group[0].rollout.prompt.problem.clone(),
        answers: group.iter().map(answer).collect(),
    });
    Ok(Some(Evaluation { problems: problems.collect(), samples }))
}

fn answer(graded: &Graded<'_>) -> Answer {
    Answer {
        text: graded.rollout.text.clone(),
        tokens: graded.rollout.sample.tokens.len(),
        truncated: graded.rollout.is_truncated(),
        verdict: graded.grade.verdict.clone(),
    }
}

/// At most `count` problems, evenly spread over the set: a file may be sorted by difficulty.
fn chosen(problems: &[Problem], count: usize) -> impl Iterator<Item = &Problem> {
    let count = count.min(problems.len());
    (0..count).map(move |number| &problems[number * problems.len() / count])
}

/// How an evaluation samples: `[eval]`, with the run's stop tokens, stop strings and slots.
pub fn eval_sampling(config: &Config, policy: &Model, text: &TextFiles) -> Sampling {
    let eval = &config.eval;
    Sampling {
        temperature: eval.temperature as f32,
        top_k: eval.top_k,
        top_p: eval.top_p as f32,
        min_p: eval.min_p as f32,
        max_new_tokens: config.longest_eval_response(),
        stop_tokens: stop_tokens(config, policy, text),
        stop_strings: StopStrings::new(&text.tokenizer, &config.rollout.stop_strings),
        slots: config.rollout.slots,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::tests::prompt;

    fn result(source: &str, verdicts: &[Verdict]) -> ProblemResult {
        let mut problem = prompt(0).problem;
        problem.data_source = source.into();
        let answer =
            |verdict: &Verdict| Answer { text: "t".into(), tokens: 3, truncated: false, verdict: verdict.clone() };
        ProblemResult { problem, answers: verdicts.iter().map(answer).collect() }
    }

    #[test]
    fn accuracy_is_the_mean_over_problems_and_failed_verdicts_do_not_count() {
        let (right, wrong) = (Verdict::graded(true), Verdict::graded(false));
        let failed = Verdict::failed("no server");
        let evaluation = Evaluation {
            samples: 4,
            problems: vec![
                result("a", &[right.clone(), wrong.clone(), failed.clone(), failed.clone()]),
                result("a", &[wrong.clone(), wrong.clone(), wrong.clone(), Verdict::malformed("empty")]),
                result("b", &[right.clone(), right.clone(), right, wrong]),
                result("b", &[failed.clone(), failed.clone(), failed.clone(), failed]),
            ],
        };
        assert!((evaluation.accuracy().unwrap() - (0.5 + 0.0 + 0.75) / 3.0).abs() < 1e-12);
        let row = evaluation.to_row();
        assert_eq!(row.get("val-core/a/acc/mean@4"), Some(0.25));
        assert_eq!(row.get("val-core/b/acc/mean@4"), Some(0.75));
        assert_eq!(row.get("val-core/a/acc/best@4"), Some(0.5));
        assert_eq!(row.get("val-aux/b/failed_frac"), Some(0.5));
        let lines = evaluation.to_jsonl();
        assert_eq!(lines.lines().count(), 4);
        let first: Value = serde_json::from_str(lines.lines().next().unwrap()).unwrap();
        assert_eq!((&first["accuracy"], &first["samples"][2]["verdict"]), (&json!(0.5), &json!("failed")));
        assert_eq!(first["samples"][2]["score"], Value::Null);
    }

    #[test]
    fn problems_are_spread_over_a_sorted_set() {
        let problems: Vec<Problem> = (0..10).map(|key| prompt(key).problem).collect();
        let indices = |count| chosen(&problems, count).map(|problem| problem.index).collect::<Vec<_>>();
        assert_eq!(indices(4), [0, 2, 5, 7]);
        assert_eq!(indices(99), (0..10).collect::<Vec<_>>());
    }
}
