//! The phases of a run.

/// What a step trains.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Only the critic, on answers of the fixed initial policy.
    ValuePretraining,
    /// Critic and policy.
    Policy,
}
