//! Alarms: warnings about conditions that a healthy run does not have, printed when they begin.
//!
//! Each checks the reports of policy training, and the one for unusable answers also those of value pretraining. A condition
//! must hold for several steps, because a single step is noisy; an alarm is raised once per episode, and again only after
//! the condition has ended.

use serde::{Deserialize, Serialize};

use crate::{
    metrics::{Row, keys},
    phase::Phase,
    report::{StepReport, ValueReport},
};

/// A kind of problem.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sign {
    /// The critic is far worse than a constant, or predicts the same value everywhere.
    Critic,
    /// The policy has hardly any entropy left and does not solve the task.
    Entropy,
    /// Responses are less than half as long as at the start, and the task is not solved.
    Length,
    /// The policy moves too far within one rollout.
    Ratio,
    /// In nearly all groups all scores are equal, so there is nothing to compare.
    Groups,
    /// Dynamic sampling does not find enough groups.
    Sampling,
    /// Nearly all answers are cut off or unreadable for the verifier.
    Answers,
}

/// Number of consecutive steps for which a condition must hold.
const PATIENCE: u64 = 3;
/// Maximum number of alarms kept for the summary.
const MAX_KEPT: usize = 100;

/// Explained variance below which the critic is harmful.
const WORST_EXPLAINED_VARIANCE: f64 = -0.5;
/// Minimum difference between the greatest and the least value of a critic that distinguishes answers.
const MIN_VALUE_SPREAD: f64 = 1e-3;
/// Share of the first step's entropy below which the policy has collapsed.
const MIN_ENTROPY_SHARE: f64 = 0.05;
/// Share of the first step's length below which answers have collapsed.
const MIN_LENGTH_SHARE: f64 = 0.5;
/// From this accuracy on, low entropy and short answers are signs of success.
const SOLVED: f64 = 0.9;
/// Maximum divergence of the policy within a rollout, in nats per token.
const MAX_KL: f64 = 0.2;
/// Maximum ratio of a token's probabilities.
const MAX_RATIO: f64 = 1e4;
/// Share of unanimous groups at which hardly anything is learned.
const MAX_AGREEING: f64 = 0.9;
/// Share of cut-off or malformed answers from which the cause is not the policy.
const MAX_UNUSABLE: f64 = 0.9;

/// An alarm that was raised.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Alarm {
    /// The kind of problem.
    pub sign: Sign,
    /// The step in which it was raised.
    pub step: u64,
    /// Its message.
    pub message: String,
}

/// Monitors a run; part of its saved state.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Alarms {
    /// Entropy and length of the first step that trained the policy.
    start: Option<(f64, f64)>,
    /// For how many steps each condition has held.
    streaks: Vec<u64>,
    /// The alarms raised so far.
    pub(crate) raised: Vec<Alarm>,
}

impl Alarms {
    /// Checks the report of a step and writes the active alarms into its row (`vapo/alarm/*`, 0 or 1); returns those that begin.
    pub(crate) fn watch(&mut self, step: u64, report: &StepReport, row: &mut Row) -> Vec<Alarm> {
        if let (None, Some(policy)) = (self.start, &report.policy) {
            self.start = policy.entropy.mean().zip(report.rollout.response_tokens.mean());
        }
        self.streaks.resize(Sign::ALL.len(), 0);
        let mut begun = Vec::new();
        for (index, sign) in Sign::ALL.into_iter().enumerate() {
            if report.phase != Phase::Policy && sign != Sign::Answers {
                continue;
            }
            let message = self.message(sign, report);
            self.streaks[index] = if message.is_some() { self.streaks[index] + 1 } else { 0 };
            row.count(&keys::alarm(sign.name()), u64::from(self.streaks[index] >= PATIENCE));
            if let (PATIENCE, Some(message)) = (self.streaks[index], message) {
                begun.push(Alarm { sign, step, message });
            }
        }
        let room = MAX_KEPT.saturating_sub(self.raised.len());
        self.raised.extend(begun.iter().take(room).cloned());
        begun
    }

    /// The message, if the condition holds in this step.
    fn message(&self, sign: Sign, report: &StepReport) -> Option<String> {
        match sign {
            Sign::Critic => critic_message(report.credit.values.as_ref()?),
            Sign::Entropy => {
                let (first, now) = (self.start?.0, report.policy.as_ref()?.entropy.mean()?);
                (is_unsolved(report) && now < MIN_ENTROPY_SHARE * first).then(|| {
                    format!("the policy has stopped exploring (entropy {now:.4}, {first:.4} at the start): lower policy_optimizer.learning_rate or algorithm.positive_lm_weight")
                })
            }
            Sign::Length => {
                let (first, now) = (self.start?.1, report.rollout.response_tokens.mean()?);
                (is_unsolved(report) && now < MIN_LENGTH_SHARE * first).then(|| {
                    format!("the length of answers has collapsed ({now:.1} tokens, {first:.1} at the start): possible causes are a biased critic and a small algorithm.length_adaptive_alpha")
                })
            }
            Sign::Ratio => {
                let stats = &report.policy.as_ref()?.stats;
                let (kl, ratio) = (stats.approx_kl()?, stats.ratio.max()?);
                (kl.abs() > MAX_KL || ratio > MAX_RATIO).then(|| {
                    format!("the policy moves too far within one rollout ({} {kl:.3}, largest ratio {ratio:.0}): lower policy_optimizer.learning_rate or algorithm.minibatches_per_epoch", keys::PPO_KL)
                })
            }
            Sign::Groups => {
                let (sampling, share) = (&report.sampling, report.sampling.unanimous_share()?);
                let compares = sampling.responses > sampling.prompts && unusable_message(report).is_none();
                (compares && share >= MAX_AGREEING).then(|| {
                    format!(
                        "{:.0} % of the groups are unanimous: problems are too easy or too hard for group comparisons",
                        100.0 * share
                    )
                })
            }
            Sign::Answers => unusable_message(report),
            Sign::Sampling => {
                let missing = report.sampling.missing_groups;
                (missing > 0).then(|| {
                    format!("dynamic sampling did not find {missing} of the step's groups within its rounds, so the step uses fewer")
                })
            }
        }
    }
}

/// Why hardly any answer can be graded: the length limit is too short, or the verifier cannot read their format.
fn unusable_message(report: &StepReport) -> Option<String> {
    let rollout = &report.rollout;
    let (truncated, malformed) = (rollout.truncated_share()?, rollout.malformed_share()?);
    if !is_unsolved(report) || truncated.max(malformed) < MAX_UNUSABLE {
        return None;
    }
    Some(if truncated >= malformed {
        format!(
            "{:.0} % of the answers are cut off: raise rollout.max_new_tokens, or make sure that the model ends its answers (end token, chat template, rollout.stop_strings)",
            100.0 * truncated
        )
    } else {
        format!(
            "{:.0} % of the answers are malformed: the verifier finds no answer in them; check data.prompt_template, data.chat and reward.verifier (`vapo eval --out FILE` shows every answer)",
            100.0 * malformed
        )
    })
}

fn critic_message(values: &ValueReport) -> Option<String> {
    let explained = values.explained.value()?;
    if values.values.max()? - values.values.min()? < MIN_VALUE_SPREAD {
        return Some("the critic gives every state the same value: advantages are those of a constant baseline".into());
    }
    (explained < WORST_EXPLAINED_VARIANCE).then(|| {
        format!("the critic is worse than a constant (explained variance {explained:.2} < 0): lower critic_optimizer.learning_rate or pretrain it longer")
    })
}

/// Whether low entropy and short answers are not signs of success.
fn is_unsolved(report: &StepReport) -> bool {
    report.sampling.accuracy().is_some_and(|accuracy| accuracy < SOLVED)
}

impl Sign {
    /// All of them. It is also the order of the streaks in a checkpoint, so new signs must be added at the end.
    pub const ALL: [Self; 7] =
        [Self::Critic, Self::Entropy, Self::Length, Self::Ratio, Self::Groups, Self::Sampling, Self::Answers];

    /// Its name in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Critic => "critic",
            Self::Entropy => "entropy",
            Self::Length => "length",
            Self::Ratio => "ratio",
            Self::Groups => "groups",
            Self::Sampling => "sampling",
            Self::Answers => "answers",
        }
    }

    /// Its condition, what that means, and what helps.
    pub fn explanation(self) -> &'static str {
        match self {
            Self::Critic => {
                "explained variance below -0.5, or all values within 0.001: advantages are measured against a critic that is worse than a constant, or is one. Pretrain it longer (`value_pretraining.steps`), lower `critic_optimizer.learning_rate`, or bound its values (`critic.bound`)"
            }
            Self::Entropy => {
                "entropy below 5 % of the first step's while less than 90 % of the sampled answers are right: the policy has become certain before it is right, and samples hardly anything new. Lower `policy_optimizer.learning_rate` or `algorithm.positive_lm_weight`"
            }
            Self::Length => {
                "mean length below half of the first step's while less than 90 % of the sampled answers are right: usually a critic that is biased early in the answer, or credit that does not reach back far enough. Pretrain the critic longer, or raise `algorithm.length_adaptive_alpha`"
            }
            Self::Ratio => {
                "`actor/ppo_kl` above 0.2, or a ratio above 10,000: the updates of a step move the policy so far that its samples say little about it. Lower `policy_optimizer.learning_rate`, `algorithm.minibatches_per_epoch` or `algorithm.epochs`"
            }
            Self::Groups => {
                "in at least 90 % of the groups all scores are equal (groups of one do not count), and `vapo/alarm/answers` does not explain it: comparing the answers to a prompt teaches nothing. Take harder or easier problems, larger groups, or `algorithm.dynamic_sampling_rounds`"
            }
            Self::Sampling => {
                "dynamic sampling did not find all groups in its rounds, so the step had fewer: too many problems are solved always or never. Take other problems, or raise `algorithm.dynamic_sampling_rounds`"
            }
            Self::Answers => {
                "at least 90 % of the answers cut off, or at least 90 % malformed, while less than 90 % of the sampled answers are right; watched in value pretraining too: the reward measures the limit or the format, not the solution. Check `rollout.max_new_tokens`, `data.chat`, `data.prompt_template` and `reward.verifier`"
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use vapo_algo::{ExplainedVariance, PolicyStats, Summary};

    use super::*;
    use crate::{sampling::SamplingReport, update::PolicyReport};

    /// A change of a healthy step.
    type Change = fn(&mut StepReport);

    fn critic(report: &mut StepReport) -> &mut ValueReport {
        report.credit.values.as_mut().unwrap()
    }

    fn policy(report: &mut StepReport) -> &mut PolicyReport {
        report.policy.as_mut().unwrap()
    }

    /// Values and returns whose explained variance is `1 - 4 error^2`.
    fn explained(error: f32) -> ExplainedVariance {
        ExplainedVariance::of(&[1.0 + error, -error, 1.0 - error, error], &[1.0, 0.0, 1.0, 0.0])
    }

    /// A healthy step of policy training.
    fn healthy() -> StepReport {
        let mut report = StepReport::empty(Phase::Policy);
        report.sampling =
            SamplingReport { prompts: 16, responses: 256, correct: 128, unanimous_groups: 8, ..Default::default() };
        report.rollout.response_tokens = Summary::of(&[40.0]);
        report.credit.values =
            Some(ValueReport { values: Summary::of(&[0.1, 0.9]), explained: explained(0.45), ..Default::default() });
        let stats =
            PolicyStats { ratio: Summary::of(&[0.5, 3.0]), log_ratio: Summary::of(&[-0.01]), ..PolicyStats::default() };
        report.policy = Some(PolicyReport { entropy: Summary::of(&[0.2]), stats, ..Default::default() });
        report
    }

    /// The alarms active in each of these steps, after a first healthy one.
    fn raised(steps: &[&[Change]]) -> Vec<Vec<Sign>> {
        let mut alarms = Alarms::default();
        alarms.watch(1, &healthy(), &mut Row::default());
        let watch = |(index, changes): (usize, &&[Change])| {
            let mut report = healthy();
            changes.iter().for_each(|change| change(&mut report));
            let begun = alarms.watch(index as u64 + 2, &report, &mut Row::default());
            begun.into_iter().map(|alarm| alarm.sign).collect()
        };
        steps.iter().enumerate().map(watch).collect()
    }

    const FAR: Change = |report| policy(report).stats.log_ratio = Summary::of(&[-0.3]);

    #[test]
    fn each_sign_raises_its_alarm_after_three_steps() {
        let cases: [(Change, Sign); 10] = [
            (|report| critic(report).explained = explained(0.64), Sign::Critic),
            (|report| critic(report).values = Summary::of(&[0.1, 0.1005]), Sign::Critic),
            (|report| policy(report).entropy = Summary::of(&[0.009]), Sign::Entropy),
            (|report| report.rollout.response_tokens = Summary::of(&[19.0]), Sign::Length),
            (FAR, Sign::Ratio),
            (|report| policy(report).stats.ratio = Summary::of(&[2e4]), Sign::Ratio),
            (|report| report.sampling.unanimous_groups = 15, Sign::Groups),
            (|report| report.sampling.missing_groups = 2, Sign::Sampling),
            (|report| report.rollout.truncated = 1, Sign::Answers),
            (|report| (report.rollout.malformed, report.sampling.unanimous_groups) = (1, 16), Sign::Answers),
        ];
        for (index, (change, sign)) in cases.into_iter().enumerate() {
            assert_eq!(raised(&[&[change][..]; 4]), [vec![], vec![], vec![sign], vec![]], "case {index}");
        }
    }

    #[test]
    fn an_alarm_is_raised_once_per_episode_and_its_row_says_how_long_it_holds() {
        let (bad, good): (&[Change], &[Change]) = (&[FAR], &[]);
        let found = raised(&[bad, bad, good, bad, bad, bad, bad, good, bad, bad, bad]);
        let steps: Vec<usize> = (0..found.len()).filter(|&index| !found[index].is_empty()).collect();
        assert_eq!(steps, [5, 10]);

        let mut alarms = Alarms::default();
        let flags = (1..=5).map(|number| {
            let (mut report, mut row) = (healthy(), Row::default());
            if number < 5 {
                FAR(&mut report);
            }
            alarms.watch(number, &report, &mut row);
            row.get(&keys::alarm("ratio")).unwrap()
        });
        assert_eq!(flags.collect::<Vec<_>>(), [0.0, 0.0, 1.0, 1.0, 0.0]);
        assert_eq!((alarms.raised.len(), alarms.raised[0].step), (1, 3));
        assert!(alarms.raised[0].message.contains("actor/ppo_kl 0.300"), "{alarms:?}");
    }

    #[test]
    fn unusable_answers_raise_an_alarm_in_value_pretraining_too() {
        let pretraining: Change = |report| (report.phase, report.policy) = (Phase::ValuePretraining, None);
        let cut: Change = |report| report.rollout.truncated = 1;
        assert_eq!(raised(&[&[pretraining, cut][..]; 3])[2], [Sign::Answers]);
        let solved: Change = |report| report.sampling.correct = 243;
        assert_eq!(raised(&[&[cut, solved][..]; 3])[2], []);
    }

    #[test]
    fn a_state_with_fewer_signs_is_still_read() {
        let mut alarms: Alarms =
            serde_json::from_str(r#"{"start": null, "streaks": [0, 0, 0, 2, 0, 0], "raised": []}"#).unwrap();
        let mut report = healthy();
        FAR(&mut report);
        assert_eq!(alarms.watch(3, &report, &mut Row::default())[0].sign, Sign::Ratio);
    }

    #[test]
    fn success_single_responses_and_value_pretraining_raise_nothing() {
        let solved: &[Change] = &[
            |report| report.sampling.correct = 243,
            |report| policy(report).entropy = Summary::of(&[0.001]),
            |report| report.rollout.response_tokens = Summary::of(&[10.0]),
        ];
        let single: &[Change] =
            &[|report| report.sampling.unanimous_groups = 16, |report| report.sampling.responses = 16];
        let pretraining: &[Change] = &[
            |report| (report.phase, report.policy) = (Phase::ValuePretraining, None),
            |report| critic(report).explained = explained(3.0),
        ];
        for (index, changes) in [solved, single, pretraining].into_iter().enumerate() {
            assert_eq!(raised(&[changes; 4]), [const { Vec::new() }; 4], "case {index}");
        }
    }
}
