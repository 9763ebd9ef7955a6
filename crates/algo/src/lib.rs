//! The mathematics of policy optimization for language models: credit, losses with their own
//! gradients, statistics. Pure functions over slices; no tensors, no model, no state.
//!
//! # Tour, in the order of a training step
//!
//! 1. [`shaping`]: terms added to a verifier's reward (soft overlong penalty, KL per token).
//! 2. [`credit`]: from the rewards and values of one response to advantages and value targets: [`gae`],
//!    [`value_targets`], [`length_adaptive_lambda`]. [`baseline`]: the critic-free alternative, from
//!    the rewards of a group. [`normalize`]: scaling advantages over the batch.
//! 3. [`reduction`]: how token losses become one number. A [`Reduction`] gives every token a weight
//!    from the counts of the *whole optimizer step*.
//! 4. [`policy`], [`gspo`], [`detached`]: policy losses. [`terms`], [`kl`]: optional terms of them.
//!    [`value`]: the critic's loss and bounded values. [`importance`]: ratios of probabilities.
//! 5. [`stats`]: sums that can be merged over micro-batches and workers. [`diagnostics`]: diagnostics of the critic.
//!
//! # Weights: one convention for every loss
//!
//! Every loss is `sum_t w_t l_t` with weights that do not depend on micro-batches. So the sum over any
//! split of an optimizer step into micro-batches is the loss of the step, and the gradients add up to
//! its gradient. A token of weight 0 is excluded from the loss, the gradient and the statistics.
//!
//! Each loss returns its derivative with respect to the network's output per token (`dlogp`, `dvalue`, `dentropy`).
//! By the chain rule that is all a model needs: `grad L = sum_t dL/dlogp_t * grad logp_t`.
//!
//! # Notation
//!
//! | letter | meaning |
//! |---|---|
//! | P | prompts of a step |
//! | G | responses per prompt (the group) |
//! | R | responses, R = P*G |
//! | T | tokens of one response, its end token included |
//! | N | response tokens of a batch or micro-batch, concatenated |
//!
//! Response tokens are the sampled actions. `values[t]` is V(s_t), the state *before* action t.
//! Log-probabilities are natural logarithms under the temperature-scaled distribution. Slices hold `f32`;
//! settings, sums and intermediate arithmetic are `f64`. Functions panic only if corresponding slices differ
//! in length.
//!
//! # The methods in these terms
//!
//! | method | credit | loss |
//! |---|---|---|
//! | PPO | [`gae`] and [`value_targets`] with one lambda | [`clipped_policy_loss`] |
//! | Open-Reasoner-Zero | the same with lambda 1, [`Normalization::Whiten`] | the same |
//! | VC-PPO | `gae` with lambda 0.95, `value_targets` with 1 | the same |
//! | VAPO | `gae` with [`length_adaptive_lambda`], `value_targets` with 1 | the same, plus 0.1 [`positive_lm_loss`] |
//! | BPCO | as VAPO with alpha 0.4, [`ValueBound::Atan`] | the same with [`Clip::ProbabilityShift`] |
//! | SAO | as VAPO with alpha 1.5 | [`dis_loss`] |
//! | GRPO | [`group_standardized`] | `clipped_policy_loss`, plus [`kl_loss`] with [`KlEstimator::K3`] |
//! | DAPO | `group_standardized`, [`soft_overlong_penalty`] in the reward | `clipped_policy_loss` |
//! | Dr. GRPO | [`group_centered`] | the same |
//! | RLOO | [`leave_one_out`], KL in the reward | the same with an infinite [`RatioRange`] |
//! | REINFORCE++ | [`kl_penalized_rewards`], `gae` with lambda 1 and values 0, `Whiten` | the same |
//! | – with baseline | `group_centered` first | the same |
//! | GSPO | `group_standardized` | [`gspo_loss`] |
//! | CISPO | `group_standardized` | [`cispo_loss`] |
//!
//! # Example: VAPO on one response
//!
//! ```
//! use vapo_algo::*;
//!
//! let values = [0.2, 0.5, 0.8];
//! let reward = Reward::Terminal(1.0);
//! let lambda = length_adaptive_lambda(0.4, values.len()); // 1 - 1/(0.4 * 3) = 1/6
//! let advantages = gae(reward, &values, 1.0, lambda);
//! let returns = value_targets(reward, &values, 1.0, 1.0);
//! assert_eq!(returns, [1.0, 1.0, 1.0]);
//!
//! let weights = Reduction::TokenMean.token_weights(&[3], &[true]);
//! let old_logp = [-0.7, -1.1, -0.3];
//! let batch = PolicyBatch { old_logp: &old_logp, advantages: &advantages, weights: &weights };
//! let clip = Clip::Ratio(RatioRange { low: 0.2, high: 0.28 });
//! let mut loss = clipped_policy_loss(&old_logp, batch, clip, None);
//! loss.add(0.1, &positive_lm_loss(&old_logp, &weights));
//! assert!((loss.dlogp[2] + (0.2 + 0.1) / 3.0).abs() < 1e-6);
//! ```

#![forbid(unsafe_code)]

pub mod baseline;
pub mod credit;
pub mod detached;
pub mod diagnostics;
pub mod gspo;
pub mod importance;
pub mod kl;
mod name;
pub mod normalize;
pub mod policy;
pub mod reduction;
pub mod shaping;
pub mod stats;
pub mod terms;
pub mod value;

pub use baseline::{group_centered, group_standardized, leave_one_out};
pub use credit::{Reward, gae, length_adaptive_lambda, value_targets};
pub use detached::{cispo_loss, dis_loss};
pub use diagnostics::{Calibration, Correlation};
pub use gspo::gspo_loss;
pub use importance::{RatioRange, truncated_importance_weights};
pub use kl::{KlEstimator, kl_loss};
pub use name::ParseNameError;
pub use normalize::Normalization;
pub use policy::{Clip, PolicyBatch, PolicyLoss, clipped_policy_loss};
pub use reduction::{Reduction, StepCounts};
pub use shaping::{kl_penalized_rewards, soft_overlong_penalty};
pub use stats::{ClipState, ExplainedVariance, PolicyStats, Summary, ValueStats};
pub use terms::{EntropyBonus, TokenLoss, entropy_bonus, positive_lm_loss};
pub use value::{ValueBatch, ValueBound, ValueLoss, value_loss};
