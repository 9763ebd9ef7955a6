//! The sections of the configuration. As in TOML, numbers are `f64` and counts are `u64` or `usize`.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use vapo_algo::{KlEstimator, Normalization, Reduction};
use vapo_lm::WeightDtype;
use vapo_tasks::{RewardTerm, Verifier};

use super::{
    data_files::DataFiles,
    schema::{by_name, or_all, or_off, or_policy, settings, terms},
};

settings! {
    /// `[run]`: directory, length and resources.
    pub struct RunConfig {
        /// Directory of the run; "off": the next free `runs/<preset>-001`.
        #[serde(with = "or_off")]
        #[marks(Path)]
        pub dir: Option<PathBuf> = None,
        /// Seed of all random numbers: the same seed gives the same run, on any number of threads.
        pub seed: u64 = 0,
        /// Steps of policy training (one rollout each), after those of value pretraining.
        #[marks(PolicyOnly)]
        pub steps: u64 = 100,
        /// Number of threads; 0: one per core.
        #[marks(PolicyOnly)]
        pub threads: usize = 0,
        /// Approximate number of tokens per micro-batch of whole sequences. It affects only memory and speed.
        pub micro_batch_tokens: usize = 2048,
        /// Parts, a power of two, in which the gradient of an update is computed and then summed in a fixed order. A run on several
        /// ranks needs as many or more; the results depend on it (by rounding alone), but not on the number of ranks.
        pub gradient_shards: usize = 1,
        /// Responses whose log-probs are recomputed to verify that they equal the sampled ones
        /// (`training/rollout_logp_diff_max`): "sample" (a few per step), "all" or "none".
        pub check_logps: LogpCheck = LogpCheck::Sample,
        /// What happens when a gradient is not finite: "skip" (the update is left out; a second one in a row ends the run) or "stop".
        /// Either way the update is saved in the run's `dumps`, and `vapo doctor` repeats it.
        pub nonfinite_gradient: NonfiniteGradient = NonfiniteGradient::Skip,
        /// Seconds after which a run that was asked to stop (Ctrl-C, SIGTERM, SIGUSR1) ends even if it could not write a checkpoint
        /// yet. If memory suffices for a copy of weights and moments, the updates of the current step are undone to be in time. "off":
        /// they are completed, however long that takes.
        #[serde(with = "or_off")]
        #[marks(PolicyOnly)]
        pub stop_timeout_secs: Option<f64> = None,
    }
}

settings! {
    /// `[distributed]`: a run on several ranks, started by mpirun, srun or torchrun (`docs/cluster.md`).
    pub struct DistributedConfig {
        /// How ranks reach each other: "mpi" (the library is loaded at run time), "tcp", "auto" (what started them) or "off".
        #[marks(PolicyOnly)]
        pub transport: TransportKind = TransportKind::Auto,
        /// Seconds without a byte from a rank after which it is given up. A rank may compute so much longer than another.
        #[marks(PolicyOnly)]
        pub timeout_secs: f64 = 1800.0,
    }
}

settings! {
    /// `[model]`: the policy.
    pub struct ModelConfig {
        /// Hugging Face directory (config.json, model.safetensors, tokenizer.json); "off": the built-in base model.
        #[serde(with = "or_off")]
        #[marks(Path)]
        pub path: Option<PathBuf> = None,
        /// Weight type of all models: "float32" or "bfloat16". With bfloat16, updates are applied to float32 master weights, which are
        /// then rounded.
        pub dtype: Dtype = Dtype::Float32,
        /// Longest sequence (prompt and response), in tokens; "off": `max_position_embeddings` of config.json. LongRoPE (Phi 3 and 4)
        /// chooses its factors by it, as inference servers do by their context length.
        #[serde(with = "or_off")]
        pub max_positions: Option<usize> = None,
    }
}

settings! {
    /// `[data]`: problems and prompts.
    pub struct DataConfig {
        /// Built-in task: "chain", "recall" or "walk". Used if no file is given.
        pub task: String = "chain".into(),
        /// Minimum and maximum number of operations per problem of the task "chain".
        pub chain_operations: [usize; 2] = [4, 12],
        /// Minimum and maximum number of functions per problem of the task "recall".
        pub recall_functions: [usize; 2] = [5, 14],
        /// Maximum number of moves in a right answer of the task "walk".
        pub walk_moves: usize = 32,
        /// Training problems: a JSONL, JSON, CSV, Parquet or Arrow file, or a list of files, each a path or a table such as
        /// { path = "a.parquet", weight = 2.0, limit = 1000 }. With weights, prompts are drawn from the files in that proportion;
        /// without, all problems are equally likely. "off": the built-in task.
        #[serde(with = "or_off")]
        pub train: Option<DataFiles> = None,
        /// Held-out problems for evaluation, in the same form but without weights; results are reported by data source.
        #[serde(with = "or_off")]
        pub eval: Option<DataFiles> = None,
        /// Maximum number of problems read from each file; "off": all.
        #[serde(with = "or_off")]
        pub limit: Option<usize> = None,
        /// Column of the problem (a text or messages); "off": the first that exists of prompt, problem and question.
        #[serde(with = "or_off")]
        pub prompt_key: Option<String> = None,
        /// Column of the answer, with dots for nested columns; "off": the first that exists of reward_model.ground_truth, answer,
        /// ground_truth, final_answer and solution.
        #[serde(with = "or_off")]
        pub answer_key: Option<String> = None,
        /// Problems with longer prompts, in tokens, are left out and counted; "off": all must fit the model.
        #[serde(with = "or_off")]
        pub max_prompt_tokens: Option<usize> = None,
        /// Use of the model's chat template: "auto" (for rows with messages), "always" (a text becomes the user's message) or "never".
        pub chat: ChatUse = ChatUse::Auto,
        /// System message of conversations without one; "off": none is added.
        #[serde(with = "or_off")]
        pub system_prompt: Option<String> = None,
        /// Additional variables for the chat template, e.g. { enable_thinking = false }.
        pub chat_template_kwargs: toml::Table = toml::Table::new(),
        /// The date that a chat template gets as today's date.
        pub chat_date: String = vapo_lm::ChatTemplate::DATE.into(),
        /// Text around a problem (in a chat, around the user's last message); `{problem}` is replaced by the problem.
        pub prompt_template: String = "{problem}".into(),
    }
}

settings! {
    /// `[reward]`: how responses are graded (`docs/verifiers.md`). Built-in tasks grade their own.
    pub struct RewardConfig {
        /// A verifier's name, a table with its `kind` and settings, or a list of these: the first that applies to a problem's data
        /// source decides what is right; the weighted scores of the others are added to the reward.
        #[serde(with = "terms")]
        pub verifier: Vec<RewardTerm> = vec![Verifier::Numeric { marker: None, tolerance: 0.0 }.into()],
        /// Maximum share of a step's responses that the verifier may fail on: these are left out; with more, the run ends with an error.
        pub max_failed_share: f64 = 0.1,
    }
}

settings! {
    /// `[rollout]`: sampling of responses.
    pub struct RolloutConfig {
        /// Prompts per step.
        #[marks(Method, PolicyOnly)]
        pub prompts_per_step: usize = 16,
        /// Responses per prompt (group sampling; in the paper, 512 prompts x 16 responses).
        #[marks(Method, PolicyOnly)]
        pub group_size: usize = 16,
        /// Maximum length of a response in tokens; longer ones are cut off and graded as they are.
        pub max_new_tokens: usize = 256,
        /// Softmax temperature, for sampling and for the log-probs in training.
        pub temperature: f64 = 1.0,
        /// Sample among the k most likely tokens; "off": all.
        #[serde(with = "or_off")]
        pub top_k: Option<usize> = None,
        /// Nucleus sampling; keep 1 in training, because the loss uses the full distribution.
        pub top_p: f64 = 1.0,
        /// Leave out tokens less likely than this share of the most likely token's probability.
        #[marks(ZeroIsOff)]
        pub min_p: f64 = 0.0,
        /// Token ids that end a response, in addition to the model's end-of-sequence tokens.
        pub stop_tokens: Vec<u32> = Vec::new(),
        /// Texts that end a response, e.g. ["\n"]. They are used in training but are not part of the text that is graded and shown.
        pub stop_strings: Vec<String> = Vec::new(),
        /// Sequences decoded at once. It affects only memory and speed.
        pub slots: usize = 64,
    }
}

settings! {
    /// `[algorithm]`: the method. VAPO's parts are independent settings in this section, in `[rollout]` (group sampling) and in `[value_pretraining]`.
    pub struct AlgorithmConfig {
        /// The method, which sets everything that is part of one: "vapo", "vapo+", "ppo", "vc-ppo", "orz", "bpco", "sao", "grpo", "dapo",
        /// "dr-grpo", "rloo", "reinforce++", "reinforce++-baseline", "gspo" or "cispo". Keys given in the same place override it.
        #[marks(PolicyOnly)]
        pub preset: String = "vapo".into(),
        /// Source of advantages: "gae" (a critic), or without a critic "group" (reward minus the group's mean), "leave-one-out" (minus
        /// the mean of the others) or "return" (the reward, minus the KL penalties from that token on).
        #[marks(Method)]
        pub advantage: AdvantageKind = AdvantageKind::Gae,
        /// Discount per token.
        #[marks(Method)]
        pub gamma: f64 = 1.0,
        /// Lambda of the critic's target (decoupled GAE; 1: the Monte-Carlo return); "off": the policy's lambda.
        #[serde(with = "or_off")]
        #[marks(Method, PolicyOnly)]
        pub lambda_critic: Option<f64> = Some(1.0),
        /// Lambda of the policy's advantage if it does not depend on the length.
        #[marks(Method, PolicyOnly)]
        pub lambda_policy: f64 = 0.95,
        /// Length-adaptive GAE: lambda_policy = clamp(1 - 1/(alpha * length), 0, 1); "off": `lambda_policy`. The horizon is
        /// alpha * length tokens: the paper's 0.05 is for thousands of tokens; answers of 30 to 60 tokens need 0.3 to 0.5.
        #[serde(with = "or_off")]
        #[marks(Method, PolicyOnly)]
        pub length_adaptive_alpha: Option<f64> = Some(0.05),
        /// With advantage "group": whether to divide by the group's standard deviation.
        #[marks(Method, PolicyOnly)]
        pub group_std: bool = true,
        /// "none", "whiten" (zero mean and unit deviation over all tokens of the step) or "std" (unit deviation, mean kept).
        /// The paper does not say; "std" keeps signs and makes the scale of `positive_lm_weight` comparable.
        #[serde(with = "by_name")]
        #[marks(Method, PolicyOnly)]
        pub advantage_normalization: Normalization = Normalization::None,
        /// How updates are bounded: "clip" (PPO's ratio), "probability-shift" (|new - old probability| <= clip_high; BPCO), "gspo" (one
        /// ratio per response), "cispo" (bounded weight, every token keeps its gradient) or "dis" (no gradient outside; SAO).
        #[marks(Method, PolicyOnly)]
        pub policy_loss: PolicyLossKind = PolicyLossKind::Clip,
        /// The ratio new/old is clipped to [1 - clip_low, 1 + clip_high]; "off": no lower bound.
        #[serde(with = "or_off")]
        #[marks(Method, PolicyOnly)]
        pub clip_low: Option<f64> = Some(0.2),
        /// Upper bound; greater than `clip_low`, it is DAPO's and VAPO's clip-higher. "off": no upper bound.
        #[serde(with = "or_off")]
        #[marks(Method, PolicyOnly)]
        pub clip_high: Option<f64> = Some(0.28),
        /// Dual clip: bound on the loss of tokens with negative advantage (DAPO's script: 10); "off": none.
        #[serde(with = "or_off")]
        #[marks(Method, PolicyOnly)]
        pub clip_dual: Option<f64> = None,
        /// Truncated importance weights: the policy loss of a token is multiplied by min(policy / sampler probability, cap), for
        /// responses sampled with `top_k`, `top_p` or `min_p`, where the two differ (published: 2); "off": weights of 1.
        #[serde(with = "or_off")]
        #[marks(Method, PolicyOnly)]
        pub importance_cap: Option<f64> = None,
        /// "token-mean" (all tokens of an update count the same), "seq-mean-token-mean" (all responses count the same),
        /// "seq-mean-token-sum" or "seq-mean-token-sum-norm:BUDGET" (sums divided by a constant).
        #[serde(with = "by_name")]
        #[marks(Method, PolicyOnly)]
        pub loss_reduction: Reduction = Reduction::TokenMean,
        /// Weight of the language-model loss on right answers (mean over their tokens); 0: none.
        #[marks(Method, PolicyOnly, ZeroIsOff)]
        pub positive_lm_weight: f64 = 0.1,
        /// Weight of the entropy bonus; 0: none.
        #[marks(Method, PolicyOnly, ZeroIsOff)]
        pub entropy_weight: f64 = 0.0,
        /// Weight of the divergence from the initial policy; 0: none, and no copy of that policy is kept.
        #[marks(Method, ZeroIsOff)]
        pub kl_weight: f64 = 0.0,
        /// Where that divergence is applied: in the "loss", or subtracted from the "reward" of each token.
        #[marks(Method)]
        pub kl_in: KlPlace = KlPlace::Loss,
        /// Estimator of the KL divergence: "k1", "k2" or "k3".
        #[serde(with = "by_name")]
        #[marks(Method)]
        pub kl_estimator: KlEstimator = KlEstimator::K3,
        /// Passes of the policy over a rollout.
        #[marks(Method)]
        pub epochs: usize = 1,
        /// Minibatches per pass, with one optimizer update each: responses are shuffled and split into this many equal parts.
        /// Like the learning rate, it is not part of a method, but presets "orz" and "gspo" set it as published.
        pub minibatches_per_epoch: usize = 16,
        /// Passes of the critic over a rollout; "policy": the same as `epochs`.
        #[serde(with = "or_policy")]
        #[marks(Method)]
        pub critic_epochs: Option<usize> = None,
        /// Minibatches per pass of the critic; "policy": the same as `minibatches_per_epoch`.
        #[serde(with = "or_policy")]
        #[marks(Method)]
        pub critic_minibatches_per_epoch: Option<usize> = None,
        /// Dynamic sampling: groups whose answers all have the same score are left out, and more prompts are sampled until there are
        /// `rollout.prompts_per_step` groups, in at most this many rounds (DAPO: 10); "off": every group is kept.
        #[serde(with = "or_off")]
        #[marks(Method, PolicyOnly)]
        pub dynamic_sampling_rounds: Option<usize> = None,
        /// Whether responses cut off by the length limit are left out of the policy loss.
        #[marks(Method, PolicyOnly)]
        pub overlong_filtering: bool = false,
        /// Soft overlong penalty: the share of `rollout.max_new_tokens` at its end over which the reward falls (DAPO: 4096 of 20480,
        /// 0.2); "off": no penalty.
        #[serde(with = "or_off")]
        #[marks(Method)]
        pub overlong_buffer: Option<f64> = None,
        /// Maximum of that penalty, in units of `reward_right` - `reward_wrong` (DAPO: 1 for rewards of -1 and 1, so 0.5).
        #[marks(Method)]
        pub overlong_penalty: f64 = 0.5,
        /// Reward of a right answer.
        pub reward_right: f64 = 1.0,
        /// Reward of a wrong, malformed or cut-off answer.
        pub reward_wrong: f64 = 0.0,
    }
}

settings! {
    /// `[value_pretraining]`: the critic is first trained alone, on answers of the initial policy, with their Monte-Carlo return as target.
    pub struct ValuePretrainingConfig {
        /// Steps (one rollout each); with rule "plateau", the maximum. 0: no value pretraining.
        #[marks(Method, ZeroIsOff)]
        pub steps: u64 = 50,
        /// When it ends: "steps" (after all steps) or "plateau" (when value loss and explained variance no longer improve).
        pub rule: PretrainingRule = PretrainingRule::Steps,
        /// With "plateau": means over this many steps are compared with means over as many steps before.
        pub window: usize = 5,
        /// With "plateau": minimum increase of explained variance, or relative decrease of value loss, that counts as progress.
        pub min_progress: f64 = 0.01,
        /// Prompts per step: a critic learns more from many prompts with one response than from few with many.
        pub prompts_per_step: usize = 256,
        /// Responses per prompt.
        pub group_size: usize = 1,
        /// Directory in which to save the pretrained critic for other runs (their `critic.path`); "off": only in the checkpoints.
        #[serde(with = "or_off")]
        #[marks(Path)]
        pub save_critic: Option<PathBuf> = None,
    }
}

settings! {
    /// `[critic]`: the value model.
    pub struct CriticConfig {
        /// Directory of the initial critic, saved by another run, or a reward model; "off": the policy's weights with a new head.
        #[serde(with = "or_off")]
        #[marks(Path)]
        pub path: Option<PathBuf> = None,
        /// Initial values of a new head: "zero" (its raw output) or "mean-return" (the mean reward of the first rollout).
        /// If the mean is far from zero, a critic that starts at zero loses some of its pretrained features on the way there.
        #[marks(Method)]
        pub start: CriticStart = CriticStart::Zero,
        /// Standard deviation of a new head's weights; 0: all values start out equal.
        #[marks(Method)]
        pub head_std: f64 = 0.0,
        /// Limits values to the range of rewards: "none", "sigmoid" or "atan". With a limit, a head of zeros starts in the middle.
        #[marks(Method)]
        pub bound: BoundKind = BoundKind::None,
        /// Value clip: a value that has moved further than this from its old one gets no gradient away from it (verl: 0.5); "off": none.
        #[serde(with = "or_off")]
        #[marks(Method)]
        pub value_clip: Option<f64> = None,
    }
}

settings! {
    /// `[policy_optimizer]` and `[critic_optimizer]`: AdamW and its learning rate.
    pub struct OptimizerConfig {
        /// Peak learning rate.
        pub learning_rate: f64 = 1e-6,
        /// Number of updates of linear warmup.
        #[marks(ZeroIsOff)]
        pub warmup_updates: u64 = 10,
        /// Learning rate after warmup: "constant", "cosine" or "linear" (falling to `min_ratio` at the run's last update,
        /// so it is planned anew if `run.steps` changes or a plateau ends value pretraining).
        pub schedule: ScheduleKind = ScheduleKind::Constant,
        /// Final learning rate as a share of the peak.
        pub min_ratio: f64 = 0.0,
        /// Decay of the first moment.
        #[marks(Method)]
        pub beta1: f64 = 0.9,
        /// Decay of the second moment.
        #[marks(Method)]
        pub beta2: f64 = 0.999,
        /// Added to the square root of the second moment.
        pub eps: f64 = 1e-8,
        /// Decoupled weight decay.
        #[marks(Method, ZeroIsOff)]
        pub weight_decay: f64 = 0.0,
        /// Maximum global norm of gradients, to which larger ones are scaled down; "off": none.
        #[serde(with = "or_off")]
        pub max_grad_norm: Option<f64> = Some(1.0),
    }
}

settings! {
    /// `[eval]`: held-out accuracy, before, during and after training.
    pub struct EvalConfig {
        /// Steps between evaluations; "off": only before and after training.
        #[serde(with = "or_off")]
        #[marks(PolicyOnly)]
        pub every: Option<u64> = Some(20),
        /// Maximum number of held-out problems.
        pub problems: usize = 200,
        /// Number of evaluations whose samples stay in the run's `eval`: the newest ones, in addition to the first; or "all".
        #[serde(with = "or_all")]
        #[marks(PolicyOnly)]
        pub keep: Option<usize> = None,
        /// Which held-out problems of a built-in task: "test", for results, or "validation", for choosing settings. They have
        /// none in common.
        pub split: Split = Split::Test,
        /// Samples per problem; the accuracy is the mean over them (avg@n).
        pub samples: usize = 16,
        /// Temperature (0: greedy).
        pub temperature: f64 = 1.0,
        /// Nucleus sampling (the paper evaluates with 0.7).
        pub top_p: f64 = 1.0,
        /// Sample among the k most likely tokens; "off": all.
        #[serde(with = "or_off")]
        pub top_k: Option<usize> = None,
        /// Leave out tokens less likely than this share of the most likely token's probability.
        #[marks(ZeroIsOff)]
        pub min_p: f64 = 0.0,
        /// Maximum length of a response in tokens; "off": that of `rollout`.
        #[serde(with = "or_off")]
        pub max_new_tokens: Option<usize> = None,
    }
}

settings! {
    /// `[checkpoint]`: checkpoints, from which a run can be resumed.
    pub struct CheckpointConfig {
        /// Steps between checkpoints; "off": not after a number of steps. There is always one at the end.
        #[serde(with = "or_off")]
        #[marks(PolicyOnly)]
        pub every: Option<u64> = Some(20),
        /// Minutes after which a checkpoint is written at the end of the current step; "off": not after a time.
        #[serde(with = "or_off")]
        #[marks(PolicyOnly)]
        pub every_minutes: Option<f64> = Some(30.0),
        /// Number of checkpoints kept, the newest ones; or "all".
        #[serde(with = "or_all")]
        #[marks(PolicyOnly)]
        pub keep: Option<usize> = Some(2),
        /// Whether the policy with the best held-out accuracy is also kept: an evaluation with a new best result is followed by a
        /// checkpoint.
        #[marks(PolicyOnly)]
        pub keep_best: bool = true,
        /// Checkpoints after a multiple of this many steps are kept in addition; "off": none.
        #[serde(with = "or_off")]
        #[marks(PolicyOnly)]
        pub keep_every: Option<u64> = None,
        /// Whether checkpoints are written while training goes on, from a copy of weights and moments. If the memory does not suffice
        /// for the copy, training waits.
        #[marks(PolicyOnly)]
        pub background: bool = true,
        /// Weight type of the model directories in checkpoints: "float32" or "bfloat16". A resumed run uses the exact weights either way.
        pub dtype: Dtype = Dtype::Float32,
    }
}

settings! {
    /// `[records]`: what happened to each token of the rollouts, in files (`docs/records.md`).
    pub struct RecordsConfig {
        /// Steps between steps whose rollouts are recorded; "off": none are.
        #[serde(with = "or_off")]
        #[marks(PolicyOnly)]
        pub every: Option<u64> = Some(10),
        /// Number of prompts of a step, the first ones, whose responses are recorded; or "all".
        #[serde(with = "or_all")]
        #[marks(PolicyOnly)]
        pub groups: Option<usize> = Some(8),
        /// Number of recorded steps that stay in the run's `rollouts`, the newest ones; or "all".
        #[serde(with = "or_all")]
        #[marks(PolicyOnly)]
        pub keep: Option<usize> = Some(50),
    }
}

settings! {
    /// `[tensorboard]`: event files for TensorBoard (`docs/tensorboard.md`).
    pub struct TensorboardConfig {
        /// Whether every step's metrics, histograms of its rollouts and sampled texts are written to the run's `tensorboard`.
        #[marks(PolicyOnly)]
        pub enabled: bool = true,
    }
}

impl AlgorithmConfig {
    /// What the longest answer loses of its reward.
    pub fn largest_overlong_penalty(&self) -> f64 {
        let share = if self.overlong_buffer.is_some() { self.overlong_penalty } else { 0.0 };
        share * (self.reward_right - self.reward_wrong)
    }
}

/// Declares a setting with a closed set of words, written in kebab case.
macro_rules! choices {
    ($( $(#[$meta:meta])* pub enum $name:ident { $( $(#[$variant_meta:meta])* $variant:ident, )+ } )+) => {
        $(
            $(#[$meta])*
            #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
            #[serde(rename_all = "kebab-case")]
            pub enum $name { $( $(#[$variant_meta])* $variant, )+ }
        )+
    };
}

choices! {
    /// Type of weights, in memory or in files.
    pub enum Dtype {
        /// Exact.
        Float32,
        /// Half the size.
        Bfloat16,
    }
    /// How the ranks of a run reach each other.
    pub enum TransportKind {
        /// As what started them suggests.
        Auto,
        /// By an MPI library.
        Mpi,
        /// By TCP.
        Tcp,
        /// Not at all: one process.
        Off,
    }
    /// Which log-probs are recomputed.
    pub enum LogpCheck {
        /// None.
        None,
        /// A few responses of each step.
        Sample,
        /// All.
        All,
    }
    /// What happens when a gradient is not finite.
    pub enum NonfiniteGradient {
        /// The update is left out.
        Skip,
        /// The run ends.
        Stop,
    }
    /// When the chat template is used.
    pub enum ChatUse {
        /// For rows with messages.
        Auto,
        /// For every row.
        Always,
        /// Never.
        Never,
    }
    /// How advantages are computed.
    pub enum AdvantageKind {
        /// Generalized advantage estimation with a critic.
        Gae,
        /// Reward relative to the group's mean, as in GRPO.
        Group,
        /// Reward relative to the mean of the group's other responses, as in RLOO.
        LeaveOneOut,
        /// The discounted sum of rewards from each token on, as in REINFORCE++.
        Return,
    }
    /// How policy updates are bounded.
    pub enum PolicyLossKind {
        /// The clipped ratio of each token.
        Clip,
        /// The clipped shift of each token's probability.
        ProbabilityShift,
        /// The clipped ratio of each response.
        Gspo,
        /// Log-probs weighted by the bounded ratio.
        Cispo,
        /// Log-probs weighted by the ratio where it is within bounds.
        Dis,
    }
    /// Where the divergence from the initial policy is applied.
    pub enum KlPlace {
        /// In the policy loss.
        Loss,
        /// In the reward of each token.
        Reward,
    }
    /// Initial values of a new head.
    pub enum CriticStart {
        /// The raw output is 0.
        Zero,
        /// The mean reward of the first rollout.
        MeanReturn,
    }
    /// Disjoint sets of held-out problems.
    pub enum Split {
        /// For results.
        Test,
        /// For choosing settings.
        Validation,
    }
    /// How the critic's values are limited to the range of rewards.
    pub enum BoundKind {
        /// Nothing.
        None,
        /// A sigmoid.
        Sigmoid,
        /// An arctangent, whose gradient vanishes more slowly.
        Atan,
    }
    /// When value pretraining ends.
    pub enum PretrainingRule {
        /// After a number of steps.
        Steps,
        /// When value loss and explained variance no longer improve.
        Plateau,
    }
    /// Learning rate after the warmup.
    pub enum ScheduleKind {
        /// Constant.
        Constant,
        /// Half a cosine, down to the final learning rate.
        Cosine,
        /// Linear, down to the final learning rate.
        Linear,
    }
}

/// Responses of a step whose log-probs are recomputed under [`LogpCheck::Sample`].
const CHECKED_RESPONSES: usize = 8;

impl From<TransportKind> for vapo_link::Transport {
    fn from(kind: TransportKind) -> Self {
        match kind {
            TransportKind::Auto => Self::Auto,
            TransportKind::Mpi => Self::Mpi,
            TransportKind::Tcp => Self::Tcp,
            TransportKind::Off => Self::Off,
        }
    }
}

impl From<Dtype> for WeightDtype {
    fn from(dtype: Dtype) -> Self {
        match dtype {
            Dtype::Float32 => Self::Float32,
            Dtype::Bfloat16 => Self::Bfloat16,
        }
    }
}

impl LogpCheck {
    /// One of how many of a step's responses is checked; `None` if none is.
    pub(crate) fn stride(self, responses: usize) -> Option<usize> {
        match self {
            Self::None => None,
            Self::Sample => Some(responses.div_ceil(CHECKED_RESPONSES)),
            Self::All => Some(1),
        }
    }
}
