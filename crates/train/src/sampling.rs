//! The responses of a step: sampled and graded, in as many rounds as dynamic sampling needs.

use std::cell::OnceCell;

use vapo_tasks::{Random, Stream};

use crate::{
    batch::check_failures,
    decoding::training_sampling,
    error::Result,
    grading::{Work, sample_and_grade},
    metrics::{Row, keys, share},
    phase::Phase,
    progress::Watcher,
    rollout::{Generator, GradedRollout, Prompt},
    stage::Stage,
    timing::Timing,
    trainer::Trainer,
};

/// Maximum size of a round of dynamic sampling in units of a step's prompts, as in DAPO.
const LARGEST_ROUND: usize = 3;

/// The prompts of a step, round by round: the responses of one round borrow from it while the next is drawn.
pub(crate) struct PromptRounds(Vec<OnceCell<Vec<Prompt>>>);

impl PromptRounds {
    /// The maximum number of rounds for a step of this phase; value pretraining has one, because it uses all answers.
    pub(crate) fn new(trainer: &Trainer, phase: Phase) -> Self {
        let rounds = if phase == Phase::Policy { trainer.config.algorithm.dynamic_sampling_rounds } else { None };
        Self(vec![OnceCell::new(); rounds.unwrap_or(1)])
    }
}

/// Everything that a step sampled, including responses it does not train on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SamplingReport {
    /// Rounds of sampling; 1 without dynamic sampling.
    pub rounds: usize,
    /// Prompts drawn.
    pub prompts: usize,
    /// Prompts whose responses all have the same score.
    pub unanimous_groups: usize,
    /// Groups that dynamic sampling needed and did not find.
    pub missing_groups: usize,
    /// Responses sampled.
    pub responses: usize,
    /// Right answers among them.
    pub correct: usize,
    /// Response tokens.
    pub tokens: usize,
    /// Prompt tokens, counted for each response.
    pub prompt_tokens: usize,
}

impl SamplingReport {
    fn count(&mut self, group: &[GradedRollout<'_>]) {
        self.prompts += 1;
        self.unanimous_groups += usize::from(is_unanimous(group));
        self.responses += group.len();
        for graded in group {
            self.correct += usize::from(graded.grade.verdict.is_correct());
            self.tokens += graded.rollout.completion.tokens.len();
            self.prompt_tokens += graded.rollout.prompt.tokens.len();
        }
    }

    /// Share of right answers.
    pub fn accuracy(&self) -> Option<f64> {
        share(self.correct, self.responses as u64)
    }

    /// Share of prompts whose responses all have the same score.
    pub fn unanimous_share(&self) -> Option<f64> {
        share(self.unanimous_groups, self.prompts as u64)
    }

    /// The number of prompts in the next round: as many as the missing groups should need, given the share found so far.
    fn next_round(&self, prompts_per_step: usize) -> usize {
        let usable = (self.prompts - self.unanimous_groups).max(1);
        let expected = (self.missing_groups * self.prompts.max(1)).div_ceil(usable);
        if self.rounds == 0 { prompts_per_step } else { expected.min(LARGEST_ROUND * prompts_per_step) }
    }

    pub(crate) fn write(&self, row: &mut Row) {
        row.count(keys::SAMPLING_ROUNDS, self.rounds as u64);
        row.count(keys::SAMPLED_PROMPTS, self.prompts as u64);
        row.count(keys::SAMPLED_RESPONSES, self.responses as u64);
        row.number(keys::SAMPLED_ACCURACY, self.accuracy());
        row.number(keys::UNANIMOUS_GROUP_FRAC, self.unanimous_share());
        row.count(keys::MISSING_GROUPS, self.missing_groups as u64);
    }
}

/// Samples and grades the responses of a step, group by group; `None` if it was stopped.
///
/// Dynamic sampling (DAPO section 3.2): groups whose responses all have the same score are left out, and further rounds draw
/// prompts until there are enough. When the rounds are used up, the step uses the groups found so far; if there are none, it
/// uses those of the first round, whose advantages are 0. Groups beyond the required number are left out too.
pub(crate) fn sample_step<'p>(
    trainer: &mut Trainer,
    phase: Phase,
    rounds: &'p PromptRounds,
    timing: &mut Timing,
    watcher: &mut dyn Watcher,
) -> Result<Option<(Vec<GradedRollout<'p>>, SamplingReport)>> {
    let shape = trainer.shape(phase);
    let selects = phase == Phase::Policy && trainer.config.algorithm.dynamic_sampling_rounds.is_some();
    let mut report = SamplingReport { missing_groups: shape.prompts, ..SamplingReport::default() };
    let (mut kept, mut first_round) = (Vec::new(), Vec::new());
    for round in &rounds.0 {
        let number = report.next_round(shape.prompts);
        let drawn = draw_prompts(trainer, report.prompts as u64, number)?;
        let prompts = round.get_or_init(|| drawn);
        let Some(graded) = sample(trainer, prompts, shape.group_size, timing, watcher)? else { return Ok(None) };
        if trainer.division.any("stop", watcher.stopped())? {
            return Ok(None);
        }
        if selects {
            // The responses left out below also count.
            let verdicts = graded.iter().map(|graded| &graded.grade.verdict);
            check_failures(verdicts, trainer.config.reward.max_failed_share, "round")?;
        }
        report.rounds += 1;
        let mut graded = graded.into_iter().peekable();
        while graded.peek().is_some() {
            let group: Vec<GradedRollout<'p>> = graded.by_ref().take(shape.group_size).collect();
            report.count(&group);
            if !selects || (report.missing_groups > 0 && !is_unanimous(&group)) {
                report.missing_groups -= 1;
                kept.extend(group);
            } else if report.rounds == 1 {
                first_round.extend(group);
            }
        }
        if report.missing_groups == 0 {
            break;
        }
    }
    Ok(Some((if kept.is_empty() { first_round } else { kept }, report)))
}

/// Whether all responses have the same score, ignoring those on which the verifier failed.
fn is_unanimous(group: &[GradedRollout<'_>]) -> bool {
    let mut scores = group.iter().filter_map(|graded| graded.grade.verdict.score());
    let first = scores.next();
    scores.all(|score| Some(score) == first)
}

/// The next prompts in the order of training, after `drawn` of this step.
fn draw_prompts(trainer: &Trainer, drawn: u64, number: usize) -> Result<Vec<Prompt>> {
    let start = trainer.counters.prompts + drawn;
    let problems = trainer.task.train_problems(start, number);
    let longest = trainer.config.rollout.max_new_tokens;
    (start..)
        .zip(problems)
        .map(|(position, problem)| {
            Prompt::new(problem, position, &trainer.text, trainer.policy.model.config(), longest)
        })
        .collect()
}

fn sample<'p>(
    trainer: &mut Trainer,
    prompts: &'p [Prompt],
    samples: usize,
    timing: &mut Timing,
    watcher: &mut dyn Watcher,
) -> Result<Option<Vec<GradedRollout<'p>>>> {
    let mut generator = Generator {
        sampling: &training_sampling(&trainer.config, &trainer.policy.model, &trainer.text),
        seed: Random::keyed(trainer.config.run.seed, Stream::TrainSamples, &[0]).next_u64(),
        engine: &mut trainer.engine,
        division: &mut trainer.division,
        policy: &trainer.policy.model,
        text: &trainer.text,
        stage: Stage::Sampling,
    };
    let work = Work { task: trainer.task.as_ref(), prompts, samples };
    sample_and_grade(&mut generator, work, timing, watcher)
}

#[cfg(test)]
mod tests {
    use vapo_tasks::Verdict;

    use super::*;
    use crate::batch::tests::{graded, prompt};

    #[test]
    fn a_round_is_as_large_as_the_share_found_so_far_asks_for() {
        let report = |rounds, prompts, unanimous_groups, missing_groups| SamplingReport {
            rounds,
            prompts,
            unanimous_groups,
            missing_groups,
            ..SamplingReport::default()
        };
        assert_eq!(report(0, 0, 0, 16).next_round(16), 16);
        assert_eq!(
            report(1, 16, 8, 8).next_round(16),
            16,
            "half of the prompts are useful: twice as many as are missing"
        );
        assert_eq!(report(2, 32, 17, 1).next_round(16), 3, "15 of 32 were useful: one more needs 32/15");
        assert_eq!(report(1, 16, 15, 15).next_round(16), 48, "three times a step at most");
        assert_eq!(report(1, 16, 16, 16).next_round(16), 48, "none was useful yet");
    }

    #[test]
    fn a_group_agrees_when_no_two_scores_differ() {
        let prompt = prompt(0);
        let group = |verdicts: &[Verdict]| -> Vec<GradedRollout<'_>> {
            verdicts.iter().map(|verdict| graded(&prompt, &[1], verdict.clone())).collect()
        };
        let (right, wrong, failed) = (Verdict::graded(true), Verdict::graded(false), Verdict::failed("timeout"));
        assert!(is_unanimous(&group(&[right.clone(), right.clone()])));
        assert!(is_unanimous(&group(&[wrong.clone(), Verdict::malformed("no answer")])));
        assert!(!is_unanimous(&group(&[wrong.clone(), right.clone()])));
        assert!(is_unanimous(&group(&[right, failed.clone()])), "nothing to compare with");
        assert!(is_unanimous(&group(&[failed])));
    }
}
