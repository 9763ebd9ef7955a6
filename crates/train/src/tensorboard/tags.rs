//! The names of what TensorBoard shows besides metrics, and the only place that spells them.

/// Histogram of the advantages of a step's tokens, as used in the policy loss.
pub const ADVANTAGE: &str = "rollouts/advantage";
/// Histogram of the critic's values before the step's updates.
pub const VALUE: &str = "rollouts/value";
/// Histogram of the ratios of new and old probability, in the last update of each token.
pub const RATIO: &str = "rollouts/ratio";
/// Histogram of the numbers of tokens per response.
pub const RESPONSE_TOKENS: &str = "rollouts/response_tokens";
/// The first recorded response of a step.
pub const TRAINING_SAMPLE: &str = "samples/training";
/// The first right answer to a held-out problem.
pub const HELD_OUT_RIGHT: &str = "samples/held_out_right";
/// The first wrong or unreadable answer to a held-out problem.
pub const HELD_OUT_WRONG: &str = "samples/held_out_wrong";
