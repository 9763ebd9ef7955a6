//! The stages of a run, and their names.

use crate::metrics::keys;

/// A stage of a run, as used by the observer, the timing, `vapo plan` and the report of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Reading prompts and sampling responses.
    Sampling,
    /// Grading the responses.
    Grading,
    /// Recomputing log-probs of sampled responses.
    LogpCheck,
    /// Computing the critic's values before the update.
    Values,
    /// The reference policy's log-probs.
    Reference,
    /// Advantages and returns, and the diagnostics of both.
    Credit,
    /// Updating the critic.
    CriticUpdates,
    /// Updating the policy.
    PolicyUpdates,
    /// Recording the rollouts.
    Recording,
    /// Sampling and grading held-out problems.
    Evaluation,
    /// Writing a checkpoint.
    Checkpoint,
    /// Supervised training of a base model.
    Pretraining,
}

impl Stage {
    /// All stages; those of a step come in order.
    pub const ALL: [Self; 12] = [
        Self::Sampling,
        Self::Grading,
        Self::LogpCheck,
        Self::Values,
        Self::Reference,
        Self::Credit,
        Self::CriticUpdates,
        Self::PolicyUpdates,
        Self::Recording,
        Self::Evaluation,
        Self::Checkpoint,
        Self::Pretraining,
    ];

    /// The stage's name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sampling => "sampling",
            Self::Grading => "grading",
            Self::LogpCheck => "checking log-probs",
            Self::Values => "values",
            Self::Reference => "reference policy",
            Self::Credit => "credit",
            Self::CriticUpdates => "critic updates",
            Self::PolicyUpdates => "policy updates",
            Self::Recording => "records",
            Self::Evaluation => "evaluation",
            Self::Checkpoint => "checkpoint",
            Self::Pretraining => "pretraining",
        }
    }

    /// The key of the metric with the stage's seconds; `None` for pretraining, which is not part of a step.
    pub fn timing_key(self) -> Option<&'static str> {
        match self {
            Self::Sampling => Some(keys::TIMING_SAMPLING),
            Self::Grading => Some(keys::TIMING_GRADING),
            Self::LogpCheck => Some(keys::TIMING_LOGP_CHECK),
            Self::Values => Some(keys::TIMING_VALUES),
            Self::Reference => Some(keys::TIMING_REFERENCE),
            Self::Credit => Some(keys::TIMING_CREDIT),
            Self::CriticUpdates => Some(keys::TIMING_CRITIC_UPDATES),
            Self::PolicyUpdates => Some(keys::TIMING_POLICY_UPDATES),
            Self::Recording => Some(keys::TIMING_RECORDING),
            Self::Evaluation => Some(keys::TIMING_EVALUATION),
            Self::Checkpoint => Some(keys::TIMING_CHECKPOINT),
            Self::Pretraining => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn stages_differ_in_name_and_metric() {
        let names: BTreeSet<&str> = Stage::ALL.iter().map(|stage| stage.name()).collect();
        let timing: BTreeSet<&str> = Stage::ALL.iter().filter_map(|stage| stage.timing_key()).collect();
        assert_eq!((names.len(), timing.len()), (Stage::ALL.len(), Stage::ALL.len() - 1));
        assert!(timing.iter().all(|key| keys::is_time_field(key)), "{timing:?}");
    }
}
