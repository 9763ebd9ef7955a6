//! The report of a step, and its metrics row.

use vapo_algo::{ExplainedVariance, Summary};
use vapo_tasks::Verdict;

use crate::{
    batch::Batch,
    credit::Credit,
    diagnostics::{Diagnostics, explained_by_part},
    evaluation::add_scores,
    metrics::{Row, keys, share},
    phase::Phase,
    sampling::SamplingReport,
    timing::Timing,
    trainer::{Counters, CriticQuality},
    update::{CriticReport, PolicyReport},
};

/// Everything a step measured.
#[derive(Clone, Debug)]
pub struct StepReport {
    /// Which networks it trained.
    pub phase: Phase,
    /// The sampling.
    pub sampling: SamplingReport,
    /// The responses that the step trains on.
    pub rollout: RolloutReport,
    /// Credit assignment, before the updates.
    pub credit: CreditReport,
    /// Diagnostics of the critic and of credit.
    pub diagnostics: Diagnostics,
    /// The critic's updates, if there is a critic.
    pub critic: Option<CriticReport>,
    /// The policy's updates; `None` in value pretraining.
    pub policy: Option<PolicyReport>,
    /// Largest |sampled - recomputed log-prob|, if any was recomputed.
    pub logp_diff: Option<f64>,
    /// Seconds per stage.
    pub timing: Timing,
}

/// Statistics of the sampled responses.
#[derive(Clone, Debug, Default)]
pub struct RolloutReport {
    /// Verifier scores.
    pub scores: Summary,
    /// Scores of each term of the reward, if there are several.
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
    /// Responses left out because the verifier failed on them.
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

    /// Share of responses left out because the verifier failed on them.
    pub fn failed_share(&self) -> Option<f64> {
        share(self.failed, self.responses() + self.failed as u64)
    }

    /// Share of responses cut off by the length limit.
    pub fn truncated_share(&self) -> Option<f64> {
        share(self.truncated, self.responses())
    }

    /// Share of responses without a readable answer.
    pub fn malformed_share(&self) -> Option<f64> {
        share(self.malformed, self.responses())
    }

    /// Total number of response tokens.
    pub fn tokens(&self) -> u64 {
        total(&self.response_tokens)
    }

    fn write(&self, row: &mut Row) {
        row.summary(&keys::SCORE, &self.scores);
        row.summary(&keys::REWARDS, &self.rewards);
        for (name, scores) in &self.term_scores {
            row.summary(&keys::reward_term(name), scores);
        }
        row.summary(&keys::RESPONSE_LENGTH, &self.response_tokens);
        row.number(keys::RESPONSE_CLIP_RATIO, self.truncated_share());
        row.summary(&keys::PROMPT_LENGTH, &self.prompt_tokens);
        row.number(keys::ACCURACY, share(self.correct, self.responses()));
        row.number(keys::MALFORMED_FRAC, self.malformed_share());
        row.number(keys::FAILED_FRAC, self.failed_share());
        row.number(keys::POSITIVE_TOKEN_FRAC, share(self.correct_tokens, self.tokens()));
    }
}

/// Statistics of credit assignment.
#[derive(Clone, Debug, Default)]
pub struct CreditReport {
    /// Advantages as used in the policy loss.
    pub advantages: Summary,
    /// The critic's side, if there is a critic.
    pub values: Option<ValueReport>,
    /// KL divergence per token that was subtracted from the reward.
    pub reward_kl: Option<Summary>,
}

/// Values and targets, and how well they agree.
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
    /// The same by the token's position in its response, in thirds: a good critic predicts best in the last third.
    pub explained_by_third: [ExplainedVariance; 3],
}

impl CreditReport {
    pub(crate) fn of(batch: &Batch<'_>, credit: &Credit) -> Self {
        let values = credit.values.as_ref().map(|values| {
            let mut report = ValueReport {
                values: Summary::of(&values.old_values),
                targets: Summary::of(&values.targets),
                explained: ExplainedVariance::of(&values.old_values, &values.returns),
                explained_by_third: explained_by_part(batch, values),
                ..ValueReport::default()
            };
            values.policy_lambdas.iter().for_each(|&lambda| report.policy_lambdas.push(lambda));
            report
        });
        Self { advantages: Summary::of(&credit.advantages), values, reward_kl: credit.reward_kl }
    }

    fn write(&self, row: &mut Row) {
        row.summary(&keys::ADVANTAGES, &self.advantages);
        row.number(keys::REWARD_KL_PENALTY, self.reward_kl.and_then(|kl| kl.mean()));
        let Some(values) = &self.values else { return };
        row.summary(&keys::RETURNS, &values.targets);
        row.summary(&keys::VALUES, &values.values);
        row.number(keys::EXPLAINED_VARIANCE, values.explained.value());
        for (key, third) in keys::EXPLAINED_VARIANCE_BY_THIRD.into_iter().zip(&values.explained_by_third) {
            row.number(key, third.value());
        }
        row.summary(&keys::POLICY_LAMBDA, &values.policy_lambdas);
    }
}

impl StepReport {
    /// The step's row, with the counters after it.
    pub fn to_row(&self, counters: &Counters) -> Row {
        let mut row = Row::new(counters.global_step);
        row.count(keys::VALUE_PRETRAINING, u64::from(self.phase == Phase::ValuePretraining));
        row.count(keys::POLICY_UPDATES, counters.policy_updates);
        row.count(keys::CRITIC_UPDATES, counters.critic_updates);
        row.count(keys::PROMPTS, counters.prompts);
        row.count(keys::RESPONSES, counters.responses);
        row.count(keys::TOKENS, counters.tokens);
        row.number(keys::LOGP_DIFF_MAX, self.logp_diff_max());
        self.sampling.write(&mut row);
        self.rollout.write(&mut row);
        self.credit.write(&mut row);
        self.diagnostics.write(&mut row);
        if let Some(critic) = &self.critic {
            critic.write(&mut row);
        }
        if let Some(policy) = &self.policy {
            policy.write(&mut row);
        }
        self.timing.write(&mut row, self.passed_tokens());
        row
    }

    /// Prompt and response tokens.
    fn passed_tokens(&self) -> u64 {
        (self.sampling.tokens + self.sampling.prompt_tokens) as u64
    }

    /// Prompt and response tokens per second.
    pub fn throughput(&self) -> f64 {
        self.passed_tokens() as f64 / self.timing.total_secs()
    }

    /// Adds the step to the run's counters.
    pub(crate) fn count(&self, counters: &mut Counters) {
        counters.global_step += 1;
        counters.prompts += self.sampling.prompts as u64;
        counters.responses += self.sampling.responses as u64;
        counters.tokens += self.sampling.tokens as u64;
        counters.policy_updates += self.policy.as_ref().map_or(0, |policy| policy.loss.count());
        counters.critic_updates += self.critic.as_ref().map_or(0, |critic| critic.loss.count());
        if self.phase == Phase::ValuePretraining {
            counters.value_pretraining_steps += 1;
            let explained = self.credit.values.as_ref().and_then(|values| values.explained.value());
            counters.value_pretraining.push(CriticQuality {
                loss: self.critic.as_ref().and_then(|critic| critic.loss.mean()).unwrap_or(0.0),
                explained_variance: explained.unwrap_or(0.0),
            });
        }
    }

    /// Largest |sampled - recomputed log-prob| over the recomputed responses and the first update, in which the policy is
    /// still the one that sampled.
    pub fn logp_diff_max(&self) -> Option<f64> {
        let first_update = self.policy.as_ref().and_then(|policy| policy.first_log_ratio_max);
        [self.logp_diff, first_update].into_iter().flatten().max_by(f64::total_cmp)
    }
}

/// The sum of integers, from their mean.
fn total(numbers: &Summary) -> u64 {
    (numbers.mean().unwrap_or(0.0) * numbers.count() as f64).round() as u64
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::{diagnostics::ErrorDiagnostics, division::Division};

    impl StepReport {
        /// A step without measurements.
        pub(crate) fn empty(phase: Phase) -> Self {
            Self {
                phase,
                sampling: SamplingReport::default(),
                rollout: RolloutReport::default(),
                credit: CreditReport::default(),
                diagnostics: Diagnostics { critic: None, errors: ErrorDiagnostics::default() },
                critic: None,
                policy: None,
                logp_diff: None,
                timing: Timing::start(&Division::single()).stop(&mut Division::single()).unwrap(),
            }
        }
    }
}
