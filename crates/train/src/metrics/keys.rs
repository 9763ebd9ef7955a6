//! The names of all metrics, and the only place that spells them: verl's where verl has the metric, `vapo/*` for the others.

/// Names of the mean and the extremes of some numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SummaryKeys<S = &'static str> {
    /// Their mean.
    pub mean: S,
    /// The largest.
    pub max: S,
    /// The smallest.
    pub min: S,
}

macro_rules! summary {
    ($prefix:literal) => {
        SummaryKeys { mean: concat!($prefix, "/mean"), max: concat!($prefix, "/max"), min: concat!($prefix, "/min") }
    };
}

macro_rules! keys {
    ($($(#[$doc:meta])* $name:ident = $key:literal;)*) => {
        $($(#[$doc])* pub const $name: &str = $key;)*
    };
}

keys! {
    /// Steps of both phases.
    GLOBAL_STEP = "training/global_step";
    /// 1 in value pretraining, 0 in policy training; absent from the row of the evaluation before the first step.
    VALUE_PRETRAINING = "training/value_pretraining";
    /// Optimizer updates of the policy so far.
    POLICY_UPDATES = "training/policy_updates";
    /// Optimizer updates of the critic so far.
    CRITIC_UPDATES = "training/critic_updates";
    /// Prompts drawn so far.
    PROMPTS = "training/prompts";
    /// Responses sampled for training so far.
    RESPONSES = "training/responses";
    /// Tokens of these responses.
    TOKENS = "training/tokens";
    /// Largest |sampled - recomputed log-prob|.
    LOGP_DIFF_MAX = "training/rollout_logp_diff_max";

    /// Rounds of sampling.
    SAMPLING_ROUNDS = "vapo/sampling_rounds";
    /// Prompts drawn in the step.
    SAMPLED_PROMPTS = "vapo/sampled_prompts";
    /// Responses sampled in the step.
    SAMPLED_RESPONSES = "vapo/sampled_responses";
    /// Share of right answers among them.
    SAMPLED_ACCURACY = "vapo/sampled_accuracy";
    /// Share of groups whose responses all have the same score.
    UNANIMOUS_GROUP_FRAC = "vapo/unanimous_group_frac";
    /// Groups that dynamic sampling needed and did not find.
    MISSING_GROUPS = "vapo/missing_groups";

    /// Share of responses cut off by the length limit.
    RESPONSE_CLIP_RATIO = "response_length/clip_ratio";
    /// Share of right answers among the responses trained on.
    ACCURACY = "vapo/accuracy";
    /// Share of responses without a readable answer.
    MALFORMED_FRAC = "vapo/malformed_frac";
    /// Share of responses on which the verifier failed.
    FAILED_FRAC = "vapo/failed_frac";
    /// Share of tokens in right answers.
    POSITIVE_TOKEN_FRAC = "vapo/positive_token_frac";

    /// KL divergence per token that was subtracted from the reward.
    REWARD_KL_PENALTY = "actor/reward_kl_penalty";
    /// Explained variance of the critic against the Monte-Carlo return.
    EXPLAINED_VARIANCE = "critic/vf_explained_var";
    /// Mean |value - outcome| over bins of equal values.
    CALIBRATION_ERROR = "vapo/value_calibration_error";
    /// Mean of value minus return.
    VALUE_BIAS = "vapo/value_bias";
    /// Mean value up to the first wrong token.
    VALUE_BEFORE_ERROR = "vapo/value_before_error";
    /// Mean value after the first wrong token.
    VALUE_AFTER_ERROR = "vapo/value_after_error";
    /// Mean advantage of the first wrong token.
    ADVANTAGE_AT_ERROR = "vapo/advantage_at_error";
    /// Correlation between the advantage and being the first wrong token.
    ADVANTAGE_ERROR_CORRELATION = "vapo/advantage_error_corr";

    /// Value loss.
    VALUE_LOSS = "critic/vf_loss";
    /// Share of values clipped by the value clip.
    VALUE_CLIP_FRAC = "critic/vf_clipfrac";
    /// Mean value over the updates.
    VALUE_PREDICTION_MEAN = "critic/vpred_mean";
    /// Gradient norm of the critic.
    CRITIC_GRAD_NORM = "critic/grad_norm";
    /// Learning rate of the critic.
    CRITIC_LEARNING_RATE = "critic/lr";
    /// Updates of the critic skipped because the gradient was not finite.
    CRITIC_SKIPPED_UPDATES = "critic/skipped_updates";

    /// Policy loss.
    POLICY_LOSS = "actor/pg_loss";
    /// Share of tokens clipped at either bound.
    POLICY_CLIP_FRAC = "actor/pg_clipfrac";
    /// Share of tokens clipped by the dual clip.
    POLICY_CLIP_DUAL_FRAC = "actor/pg_clipfrac_lower";
    /// Divergence from the policy that sampled.
    PPO_KL = "actor/ppo_kl";
    /// Entropy per token.
    ENTROPY = "actor/entropy";
    /// Divergence from the reference policy.
    KL_LOSS = "actor/kl_loss";
    /// Gradient norm of the policy.
    POLICY_GRAD_NORM = "actor/grad_norm";
    /// Learning rate of the policy.
    POLICY_LEARNING_RATE = "actor/lr";
    /// Updates of the policy skipped because the gradient was not finite.
    POLICY_SKIPPED_UPDATES = "actor/skipped_updates";
    /// Positive-example LM loss.
    POSITIVE_LM_LOSS = "vapo/positive_lm_loss";
    /// Share of tokens clipped at the lower bound.
    CLIP_LOW_FRAC = "vapo/clip_low_frac";
    /// Share of tokens clipped at the upper bound.
    CLIP_HIGH_FRAC = "vapo/clip_high_frac";
    /// Largest ratio.
    RATIO_MAX = "vapo/ratio_max";
    /// Smallest ratio.
    RATIO_MIN = "vapo/ratio_min";

    /// Seconds of sampling.
    TIMING_SAMPLING = "timing_s/gen";
    /// Seconds of grading.
    TIMING_GRADING = "timing_s/reward";
    /// Seconds of recomputing log-probs.
    TIMING_LOGP_CHECK = "timing_s/check_logps";
    /// Seconds of the critic's values.
    TIMING_VALUES = "timing_s/values";
    /// Seconds of the reference policy's log-probs.
    TIMING_REFERENCE = "timing_s/ref";
    /// Seconds of credit assignment.
    TIMING_CREDIT = "timing_s/adv";
    /// Seconds of the critic's updates.
    TIMING_CRITIC_UPDATES = "timing_s/update_critic";
    /// Seconds of the policy's updates.
    TIMING_POLICY_UPDATES = "timing_s/update_actor";
    /// Seconds of recording the step's rollouts; absent if they are not recorded.
    TIMING_RECORDING = "timing_s/record";
    /// Seconds of the evaluation after the step; absent if there was none.
    TIMING_EVALUATION = "timing_s/testing";
    /// Seconds of the checkpoint after the step; absent if there was none.
    TIMING_CHECKPOINT = "timing_s/save_checkpoint";
    /// Seconds of the step, without evaluation and checkpoint.
    TIMING_STEP = "timing_s/step";
    /// Prompt and response tokens of the step.
    TOTAL_TOKENS = "perf/total_num_tokens";
    /// Seconds of the step (again, under verl's name).
    TIME_PER_STEP = "perf/time_per_step";
    /// Processor seconds of the step.
    CPU_SECS = "perf/cpu_secs";
    /// Tokens per second.
    THROUGHPUT = "perf/throughput";
    /// Largest resident memory so far.
    MEMORY_GB = "perf/cpu_memory_used_gb";
    /// Seconds of the step in which a rank waited for others or exchanged bytes, mean over the ranks; absent on one process.
    TIMING_RANKS = "timing_s/ranks";
    /// Seconds that the slowest rank worked, divided by the mean.
    RANK_IMBALANCE = "perf/rank_imbalance";
    /// Megabytes that a rank sent in the step, mean over the ranks.
    RANK_SENT_MB = "perf/rank_sent_mb";
}

/// Verifier scores.
pub const SCORE: SummaryKeys = summary!("critic/score");
/// Rewards.
pub const REWARDS: SummaryKeys = summary!("critic/rewards");
/// Tokens per response.
pub const RESPONSE_LENGTH: SummaryKeys = summary!("response_length");
/// Tokens per prompt.
pub const PROMPT_LENGTH: SummaryKeys = summary!("prompt_length");
/// Advantages as used in the policy loss.
pub const ADVANTAGES: SummaryKeys = summary!("critic/advantages");
/// The critic's targets.
pub const RETURNS: SummaryKeys = summary!("critic/returns");
/// Values before the update.
pub const VALUES: SummaryKeys = summary!("critic/values");
/// The policy's lambda per response.
pub const POLICY_LAMBDA: SummaryKeys = summary!("vapo/policy_lambda");

/// Explained variance by the token's position in its response, in thirds.
pub const EXPLAINED_VARIANCE_BY_THIRD: [&str; 3] =
    ["vapo/explained_var_first_third", "vapo/explained_var_middle_third", "vapo/explained_var_last_third"];
/// Explained variance by the token's position in its response, in tenths.
pub const EXPLAINED_VARIANCE_BY_DECILE: [&str; 10] = [
    "vapo/explained_var_decile/1",
    "vapo/explained_var_decile/2",
    "vapo/explained_var_decile/3",
    "vapo/explained_var_decile/4",
    "vapo/explained_var_decile/5",
    "vapo/explained_var_decile/6",
    "vapo/explained_var_decile/7",
    "vapo/explained_var_decile/8",
    "vapo/explained_var_decile/9",
    "vapo/explained_var_decile/10",
];

/// Scores of a term of the reward.
pub fn reward_term(name: &str) -> SummaryKeys<String> {
    let key = |of: &str| format!("rewards/{name}/{of}");
    SummaryKeys { mean: key("mean"), max: key("max"), min: key("min") }
}

/// Seconds of a verifier, added up over all that work at the same time.
pub fn verifier_secs(name: &str) -> String {
    format!("{TIMING_GRADING}/{name}")
}

/// The beginning of the names of alarms.
pub const ALARM: &str = "vapo/alarm/";

/// Whether an alarm holds, 0 or 1.
pub fn alarm(name: &str) -> String {
    format!("{ALARM}{name}")
}

/// Metrics of an evaluation, for each data source.
pub mod eval {
    /// Mean accuracy over `samples` samples of each problem.
    pub fn accuracy(source: &str, samples: usize) -> String {
        format!("val-core/{source}/acc/mean@{samples}")
    }

    /// Whether a metric is an [`accuracy`].
    pub fn is_accuracy(key: &str) -> bool {
        key.starts_with("val-core/") && key.contains("/acc/mean@")
    }

    /// Share of problems that `k` of `samples` samples solve at least once.
    pub fn pass(source: &str, k: usize, samples: usize) -> String {
        format!("{}/{source}/acc/best@{k}/mean", group(k, samples))
    }

    /// Share of problems that the majority of `k` of `samples` samples solves.
    pub fn majority(source: &str, k: usize, samples: usize) -> String {
        format!("{}/{source}/acc/maj@{k}/mean", group(k, samples))
    }

    /// Measures of all samples are the core ones.
    fn group(k: usize, samples: usize) -> &'static str {
        if k == samples { "val-core" } else { "val-aux" }
    }

    /// Tokens per response.
    pub fn response_length(source: &str) -> String {
        format!("val-aux/{source}/response_length/mean")
    }

    /// Share of responses cut off by the length limit.
    pub fn response_clip_ratio(source: &str) -> String {
        format!("val-aux/{source}/response_length/clip_ratio")
    }

    /// Share of responses without a readable answer.
    pub fn malformed_frac(source: &str) -> String {
        format!("val-aux/{source}/malformed_frac")
    }

    /// Share of responses on which the verifier failed.
    pub fn failed_frac(source: &str) -> String {
        format!("val-aux/{source}/failed_frac")
    }

    /// Mean score of a term of the reward.
    pub fn reward_term(source: &str, name: &str) -> String {
        format!("val-aux/{source}/rewards/{name}/mean")
    }
}

/// Whether a metric depends on time or the machine; all others are exactly reproducible.
pub fn is_time_field(key: &str) -> bool {
    key.starts_with("timing_s/") || key.starts_with("perf/")
}

/// Whether a metric is a counter or a check of the run, or belongs to an evaluation: what describes no step of training.
pub fn is_bookkeeping(key: &str) -> bool {
    key.starts_with("training/") || key.starts_with("val-")
}
