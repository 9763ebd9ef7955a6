//! What a step reports, and the row of metrics made of it.

use vapo_algo::{ExplainedVariance, Summary};
use vapo_tasks::Verdict;

use crate::{
    batch::Batch,
    credit::Credit,
    doctor::Sight,
    evaluation::add_scores,
    metrics::{Row, share},
    phase::Phase,
    sampling::SamplingReport,
    timing::Timing,
    trainer::{Counters, CriticQuality},
    update::{CriticReport, PolicyReport},
};

/// Everything a step measured.
#[derive(Clone, Debug)]
pub struct StepReport {
    /// What it trained.
    pub phase: Phase,
    /// What was sampled.
    pub sampling: SamplingReport,
    /// The responses that the step trains on.
    pub rollout: RolloutReport,
    /// Credit before normalisation's effect on the updates.
    pub credit: CreditReport,
    /// What the critic sees, and where credit falls.
    pub sight: Sight,
    /// The critic's updates, if there is a critic.
    pub critic: Option<CriticReport>,
    /// The policy's updates; none in value pretraining.
    pub policy: Option<PolicyReport>,
    /// Largest |sampled - recomputed log-prob|, if any was recomputed.
    pub logp_diff: Option<f64>,
    /// Seconds per stage.
    pub timing: Timing,
}

/// What the sampled responses were like.
#[derive(Clone, Debug, Default)]
pub struct RolloutReport {
    /// Verifier scores.
    pub scores: Summary,
    /// Scores of each term of the reward, where there are several.
    pub term_scores: Vec<(String, Summary)>,
    /// Rewards.
    pub rewards: Summary,
    /// Tokens per response.
    pub response_tokens: Summary,
    /// Tokens per prompt.
    pub prompt_tokens: Summary,
    /// Right answers.
    pub correct: usize,
    /// Tokens of right answers.
    pub correct_tokens: usize,
    /// Responses without a readable answer.
    pub malformed: usize,
    /// Responses left out because their verifier failed.
    pub failed: usize,
    /// Responses cut off by the length limit.
    pub truncated: usize,
}

impl RolloutReport {
    pub(crate) fn of(batch: &Batch<'_>) -> Self {
        let mut report = Self { rewards: Summary::of(batch.rewards()), failed: batch.failed(), ..Self::default() };
        for (graded, length) in batch.responses().iter().zip(batch.lengths()) {
            let correct = graded.grade.verdict.is_correct();
            add_scores(&mut report.term_scores, &graded.grade);
            report.scores.push(f64::from(graded.grade.verdict.score().unwrap_or(f32::NAN)));
            report.response_tokens.push(length as f64);
            report.prompt_tokens.push(graded.rollout.prompt.tokens.len() as f64);
            report.correct += usize::from(correct);
            report.correct_tokens += if correct { length } else { 0 };
            report.malformed += usize::from(matches!(graded.grade.verdict, Verdict::Malformed { .. }));
            report.truncated += usize::from(graded.rollout.is_truncated());
        }
        report
    }

    fn responses(&self) -> u64 {
        self.response_tokens.count()
    }

    /// Response tokens in all.
    pub fn tokens(&self) -> u64 {
        total(&self.response_tokens)
    }

    fn write(&self, row: &mut Row) {
        row.summary("critic/score", &self.scores);
        row.summary("critic/rewards", &self.rewards);
        for (name, scores) in &self.term_scores {
            row.summary(&format!("rewards/{name}"), scores);
        }
        row.summary("response_length", &self.response_tokens);
        row.number("response_length/clip_ratio", share(self.truncated, self.responses()));
        row.summary("prompt_length", &self.prompt_tokens);
        row.number("vapo/accuracy", share(self.correct, self.responses()));
        row.number("vapo/malformed_frac", share(self.malformed, self.responses()));
        row.number("vapo/failed_frac", share(self.failed, self.responses() + self.failed as u64));
        row.number("vapo/positive_token_frac", share(self.correct_tokens, self.tokens()));
    }
}

/// What credit assignment gave.
#[derive(Clone, Debug, Default)]
pub struct CreditReport {
    /// Advantages as the policy's loss gets them.
    pub advantages: Summary,
    /// The critic's side, if there is a critic.
    pub values: Option<ValueReport>,
    /// Divergence per token that was subtracted from the reward.
    pub reward_kl: Option<Summary>,
}

/// Values, targets and how well they agree.
#[derive(Clone, Debug, Default)]
pub struct ValueReport {
    /// V before the update.
    pub values: Summary,
    /// The critic's targets.
    pub targets: Summary,
    /// The policy's lambda per response.
    pub policy_lambdas: Summary,
    /// Explained variance against the Monte-Carlo return, over all tokens.
    pub explained: ExplainedVariance,
    /// The same by the third of the response that a token stands in: a critic that sees reads the last third best.
    pub explained_by_third: [ExplainedVariance; 3],
}

impl CreditReport {
    pub(crate) fn of(batch: &Batch<'_>, credit: &Credit) -> Self {
        let values = credit.values.as_ref().map(|values| {
            let mut report = ValueReport {
                values: Summary::of(&values.old_values),
                targets: Summary::of(&values.targets),
                explained: ExplainedVariance::of(&values.old_values, &values.returns),
                ..ValueReport::default()
            };
            values.policy_lambdas.iter().for_each(|&lambda| report.policy_lambdas.push(lambda));
            for response in 0..batch.responses().len() {
                let tokens = batch.tokens_of(response);
                for (position, token) in tokens.clone().enumerate() {
                    let third = 3 * position / tokens.len();
                    report.explained_by_third[third].push(values.old_values[token], values.returns[token]);
                }
            }
            report
        });
        Self { advantages: Summary::of(&credit.advantages), values, reward_kl: credit.reward_kl }
    }

    fn write(&self, row: &mut Row) {
        row.summary("critic/advantages", &self.advantages);
        row.number("actor/reward_kl_penalty", self.reward_kl.and_then(|kl| kl.mean()));
        let Some(values) = &self.values else { return };
        row.summary("critic/returns", &values.targets);
        row.summary("critic/values", &values.values);
        row.number("critic/vf_explained_var", values.explained.value());
        for (name, third) in ["first", "middle", "last"].iter().zip(&values.explained_by_third) {
            row.number(&format!("vapo/explained_var_{name}_third"), third.value());
        }
        row.summary("vapo/policy_lambda", &values.policy_lambdas);
    }
}

impl CriticReport {
    fn write(&self, row: &mut Row) {
        row.number("critic/vf_loss", self.loss.mean());
        row.number("critic/vf_clipfrac", self.stats.clip_frac());
        row.number("critic/vpred_mean", self.stats.values.mean());
        row.number("critic/grad_norm", self.grad_norm.mean());
        row.number("critic/lr", f64::from(self.learning_rate));
        row.count("critic/skipped_updates", self.skipped);
    }
}

impl PolicyReport {
    fn write(&self, row: &mut Row) {
        let clipped = self.stats.clip_low_frac().zip(self.stats.clip_high_frac()).map(|(low, high)| low + high);
        row.number("actor/pg_loss", self.loss.mean());
        row.number("actor/pg_clipfrac", clipped);
        row.number("actor/pg_clipfrac_lower", self.stats.clip_dual_frac());
        row.number("actor/ppo_kl", self.stats.approx_kl());
        row.number("actor/entropy", self.entropy.mean());
        row.number("actor/kl_loss", self.kl_loss.mean());
        row.number("actor/grad_norm", self.grad_norm.mean());
        row.number("actor/lr", f64::from(self.learning_rate));
        row.count("actor/skipped_updates", self.skipped);
        row.number("vapo/positive_lm_loss", self.positive_lm_loss.mean());
        row.number("vapo/clip_low_frac", self.stats.clip_low_frac());
        row.number("vapo/clip_high_frac", self.stats.clip_high_frac());
        row.number("vapo/ratio_max", self.stats.ratio.max());
        row.number("vapo/ratio_min", self.stats.ratio.min());
    }
}

impl StepReport {
    /// The step's row, by the counters after it.
    pub fn to_row(&self, counters: &Counters) -> Row {
        let mut row = Row::new(counters.global_step);
        row.count("training/value_pretraining", u64::from(self.phase == Phase::ValuePretraining));
        row.count("training/policy_updates", counters.policy_updates);
        row.count("training/critic_updates", counters.critic_updates);
        row.count("training/prompts", counters.prompts);
        row.count("training/responses", counters.responses);
        row.count("training/tokens", counters.tokens);
        row.number("training/rollout_logp_diff_max", self.logp_diff_max());
        self.sampling.write(&mut row);
        self.rollout.write(&mut row);
        self.credit.write(&mut row);
        self.sight.write(&mut row);
        if let Some(critic) = &self.critic {
            critic.write(&mut row);
        }
        if let Some(policy) = &self.policy {
            policy.write(&mut row);
        }
        self.timing.write(&mut row, (self.sampling.tokens + self.sampling.prompt_tokens) as u64);
        row
    }

    /// Over the recomputed responses and the first update, where the policy is still the one that sampled.
    fn logp_diff_max(&self) -> Option<f64> {
        let first_update = self.policy.as_ref().and_then(|policy| policy.first_log_ratio_max);
        [self.logp_diff, first_update].into_iter().flatten().max_by(f64::total_cmp)
    }
}

impl Counters {
    /// Counts a finished step.
    pub(crate) fn add(&mut self, report: &StepReport) {
        self.global_step += 1;
        self.prompts += report.sampling.prompts as u64;
        self.responses += report.sampling.responses as u64;
        self.tokens += report.sampling.tokens as u64;
        self.policy_updates += report.policy.as_ref().map_or(0, |policy| policy.loss.count());
        self.critic_updates += report.critic.as_ref().map_or(0, |critic| critic.loss.count());
        if report.phase == Phase::ValuePretraining {
            self.value_pretraining_steps += 1;
            let explained = report.credit.values.as_ref().and_then(|values| values.explained.value());
            self.value_pretraining.push(CriticQuality {
                loss: report.critic.as_ref().and_then(|critic| critic.loss.mean()).unwrap_or(0.0),
                explained_variance: explained.unwrap_or(0.0),
            });
        }
    }
}

/// Sum of whole numbers, from their mean.
fn total(numbers: &Summary) -> u64 {
    (numbers.mean().unwrap_or(0.0) * numbers.count() as f64).round() as u64
}
