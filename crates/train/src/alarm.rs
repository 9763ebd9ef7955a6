//! Alarms: what no healthy run shows, said once when it begins.
//!
//! Each looks at the rows of metrics of policy training. A sign must hold for a few steps, because one step is noise; an
//! alarm is raised once per episode, and again only after the sign was gone.

use serde::{Deserialize, Serialize};

use crate::metrics::Row;

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sign {
    /// The critic is far worse than a constant, or says the same everywhere.
    Critic,
    /// The policy has hardly any choice left and does not solve the task.
    Entropy,
    /// Responses are less than half as long as at the start, and the task is not solved.
    Length,
    /// The policy moves too far within one rollout.
    Ratio,
    /// Nearly all groups agree: nothing to compare.
    Groups,
    /// Dynamic sampling does not find enough groups.
    Sampling,
}

const SIGNS: [Sign; 6] = [Sign::Critic, Sign::Entropy, Sign::Length, Sign::Ratio, Sign::Groups, Sign::Sampling];
/// Steps in a row for which a sign must hold.
const PATIENCE: u64 = 3;
/// Alarms kept for the summary; the rest of a run that has that many is no news.
const MOST_KEPT: usize = 100;

/// Explained variance of a critic that misleads.
const WORST_EXPLAINED_VARIANCE: f64 = -0.5;
/// Least distance between the greatest and the least value of a critic that tells answers apart.
const LEAST_VALUE_SPREAD: f64 = 1e-3;
/// Share of the first step's entropy below which the policy has collapsed.
const LEAST_ENTROPY_SHARE: f64 = 0.05;
/// Share of the first step's length below which answers have collapsed.
const LEAST_LENGTH_SHARE: f64 = 0.5;
/// From this accuracy on low entropy and short answers are what success looks like.
const SOLVED: f64 = 0.9;
/// Largest divergence of the policy within a rollout, nats per token.
const MOST_KL: f64 = 0.2;
/// Largest ratio of a token's probabilities.
const MOST_RATIO: f64 = 1e4;
/// Share of agreeing groups at which hardly anything is learned.
const MOST_AGREEING: f64 = 0.9;

/// An alarm that was raised.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Alarm {
    /// What goes wrong.
    pub sign: Sign,
    /// The step that it was raised in.
    pub step: u64,
    /// What it means, in plain words.
    pub message: String,
}

/// Watches a run; part of what it continues from.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Alarms {
    /// Entropy and length of the first step that trained the policy.
    start: Option<(f64, f64)>,
    /// For how many steps each sign has held.
    streaks: [u64; SIGNS.len()],
    /// What was raised.
    pub(crate) raised: Vec<Alarm>,
}

impl Alarms {
    /// Looks at a step and writes which alarms hold into its row (`vapo/alarm/*`, 0 or 1); those that begin.
    pub(crate) fn watch(&mut self, row: &mut Row) -> Vec<Alarm> {
        if row.get("training/value_pretraining") != Some(0.0) {
            return Vec::new();
        }
        if let (None, Some(entropy), Some(length)) =
            (self.start, row.get("actor/entropy"), row.get("response_length/mean"))
        {
            self.start = Some((entropy, length));
        }
        let mut begun = Vec::new();
        for (index, sign) in SIGNS.into_iter().enumerate() {
            let message = self.message(sign, row);
            self.streaks[index] = if message.is_some() { self.streaks[index] + 1 } else { 0 };
            row.count(&format!("vapo/alarm/{}", sign.name()), u64::from(self.streaks[index] >= PATIENCE));
            if let (PATIENCE, Some(message)) = (self.streaks[index], message) {
                begun.push(Alarm { sign, step: row.global_step().unwrap_or(0), message });
            }
        }
        let room = MOST_KEPT.saturating_sub(self.raised.len());
        self.raised.extend(begun.iter().take(room).cloned());
        begun
    }

    /// What is wrong, if the sign holds in this step.
    fn message(&self, sign: Sign, row: &Row) -> Option<String> {
        let get = |key: &str| row.get(key);
        let unsolved = get("vapo/sampled_accuracy").is_some_and(|accuracy| accuracy < SOLVED);
        match sign {
            Sign::Critic => {
                let explained = get("critic/vf_explained_var")?;
                let spread = get("critic/values/max")? - get("critic/values/min")?;
                if spread < LEAST_VALUE_SPREAD {
                    return Some(
                        "the critic gives every state the same value: advantages are those of a constant baseline"
                            .into(),
                    );
                }
                (explained < WORST_EXPLAINED_VARIANCE).then(|| {
                    format!("the critic misleads: explained variance {explained:.2}, where a constant has 0; lower critic_optimizer.learning_rate or train it longer first")
                })
            }
            Sign::Entropy => {
                let (first, now) = (self.start?.0, get("actor/entropy")?);
                (unsolved && now < LEAST_ENTROPY_SHARE * first).then(|| {
                    format!("the policy has stopped exploring: entropy {now:.4}, {first:.4} at the start; lower policy_optimizer.learning_rate or algorithm.positive_lm_weight")
                })
            }
            Sign::Length => {
                let (first, now) = (self.start?.1, get("response_length/mean")?);
                (unsolved && now < LEAST_LENGTH_SHARE * first).then(|| {
                    format!("answers collapse: {now:.1} tokens, {first:.1} at the start; the critic's bias or a small algorithm.length_adaptive_alpha cuts them short")
                })
            }
            Sign::Ratio => {
                let (kl, ratio) = (get("actor/ppo_kl")?, get("vapo/ratio_max")?);
                (kl.abs() > MOST_KL || ratio > MOST_RATIO).then(|| {
                    format!("the policy moves too far within one rollout: actor/ppo_kl {kl:.3}, largest ratio {ratio:.0}; lower policy_optimizer.learning_rate or algorithm.updates_per_rollout")
                })
            }
            Sign::Groups => {
                let share = get("vapo/unanimous_group_frac")?;
                let in_groups = get("vapo/sampled_responses")? > get("vapo/sampled_prompts")?;
                (in_groups && share >= MOST_AGREEING).then(|| {
                    format!(
                        "{:.0} % of the groups agree: problems are too easy or too hard for group comparisons",
                        100.0 * share
                    )
                })
            }
            Sign::Sampling => {
                let missing = get("vapo/missing_groups")?;
                (missing > 0.0).then(|| {
                    format!("dynamic sampling did not find {missing} of the step's groups in its rounds: the step goes on with fewer")
                })
            }
        }
    }
}

impl Sign {
    /// As it stands in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Critic => "critic",
            Self::Entropy => "entropy",
            Self::Length => "length",
            Self::Ratio => "ratio",
            Self::Groups => "groups",
            Self::Sampling => "sampling",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A step in which nothing is wrong, with these metrics instead.
    fn step(number: u64, changes: &[(&str, f64)]) -> Row {
        let mut row = Row::new(number);
        let healthy = [
            ("training/value_pretraining", 0.0),
            ("vapo/sampled_accuracy", 0.5),
            ("critic/vf_explained_var", 0.1),
            ("critic/values/max", 0.9),
            ("critic/values/min", 0.1),
            ("actor/entropy", 0.2),
            ("response_length/mean", 40.0),
            ("actor/ppo_kl", 0.01),
            ("vapo/ratio_max", 3.0),
            ("vapo/unanimous_group_frac", 0.5),
            ("vapo/sampled_prompts", 16.0),
            ("vapo/sampled_responses", 256.0),
            ("vapo/missing_groups", 0.0),
        ];
        healthy.iter().chain(changes).for_each(|(key, value)| row.number(key, *value));
        row
    }

    /// The signs raised in each of these steps, after a first healthy one.
    fn raised(steps: &[&[(&str, f64)]]) -> Vec<Vec<Sign>> {
        let mut alarms = Alarms::default();
        alarms.watch(&mut step(1, &[]));
        let watch = |(index, changes): (usize, &&[(&str, f64)])| {
            alarms.watch(&mut step(index as u64 + 2, changes)).into_iter().map(|alarm| alarm.sign).collect()
        };
        steps.iter().enumerate().map(watch).collect()
    }

    #[test]
    fn each_sign_raises_its_alarm_after_three_steps() {
        let cases: [(&[(&str, f64)], Sign); 8] = [
            (&[("critic/vf_explained_var", -0.6)], Sign::Critic),
            (&[("critic/values/max", 0.1005)], Sign::Critic),
            (&[("actor/entropy", 0.009)], Sign::Entropy),
            (&[("response_length/mean", 19.0)], Sign::Length),
            (&[("actor/ppo_kl", 0.3)], Sign::Ratio),
            (&[("vapo/ratio_max", 2e4)], Sign::Ratio),
            (&[("vapo/unanimous_group_frac", 0.95)], Sign::Groups),
            (&[("vapo/missing_groups", 2.0)], Sign::Sampling),
        ];
        for (changes, sign) in cases {
            assert_eq!(raised(&[changes; 4]), [vec![], vec![], vec![sign], vec![]], "{changes:?}");
        }
    }

    #[test]
    fn an_alarm_is_raised_once_per_episode_and_its_row_says_how_long_it_holds() {
        let (bad, good): (&[_], &[_]) = (&[("actor/ppo_kl", 0.3)], &[]);
        let found = raised(&[bad, bad, good, bad, bad, bad, bad, good, bad, bad, bad]);
        let steps: Vec<usize> = (0..found.len()).filter(|&index| !found[index].is_empty()).collect();
        assert_eq!(steps, [5, 10]);

        let mut alarms = Alarms::default();
        let flags = (1..=5).map(|number| {
            let mut row = step(number, if number < 5 { bad } else { good });
            alarms.watch(&mut row);
            row.get("vapo/alarm/ratio").unwrap()
        });
        assert_eq!(flags.collect::<Vec<_>>(), [0.0, 0.0, 1.0, 1.0, 0.0]);
        assert_eq!((alarms.raised.len(), alarms.raised[0].step), (1, 3));
        assert!(alarms.raised[0].message.contains("actor/ppo_kl 0.300"), "{alarms:?}");
    }

    #[test]
    fn success_single_responses_and_value_pretraining_raise_nothing() {
        let solved: &[_] = &[("vapo/sampled_accuracy", 0.95), ("actor/entropy", 0.001), ("response_length/mean", 10.0)];
        let single: &[_] = &[("vapo/unanimous_group_frac", 1.0), ("vapo/sampled_responses", 16.0)];
        let pretraining: &[_] = &[("training/value_pretraining", 1.0), ("critic/vf_explained_var", -9.0)];
        for changes in [solved, single, pretraining] {
            assert_eq!(raised(&[changes; 4]), [const { Vec::new() }; 4], "{changes:?}");
        }
    }
}
