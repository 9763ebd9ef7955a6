//! The sections of the configuration. Numbers are `f64` and counts `u64` or `usize` as TOML has them.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use vapo_algo::{KlEstimator, Normalization, Reduction};
use vapo_tasks::{RewardTerm, Verifier};

use super::{
    data_files::DataFiles,
    schema::{by_name, or_all, or_off, or_policy, settings, terms},
};

settings! {
    /// `[run]`: where and how long.
    pub struct RunConfig {
        /// Directory of the run; "off": the next free `runs/<preset>-001`.
        #[serde(with = "or_off")]
        pub dir: Option<PathBuf> = None,
        /// Seed of everything random: the same seed gives the same run, on any number of threads.
        pub seed: u64 = 0,
        /// Policy-training steps (one rollout each), after those of value pretraining.
        #[marks(PolicyOnly)]
        pub steps: u64 = 100,
        /// Threads; 0: one per core.
        #[marks(PolicyOnly)]
        pub threads: usize = 0,
        /// Forward and backward work on groups of sequences of about this many tokens. Only memory and speed depend on it.
        pub micro_batch_tokens: usize = 2048,
        /// Which responses' log-probs are recomputed to verify that they equal the sampled ones
        /// (`training/rollout_logp_diff_max`): "sample" (a few per step), "all" or "none".
        pub check_logps: LogpCheck = LogpCheck::Sample,
    }
}

settings! {
    /// `[model]`: the policy.
    pub struct ModelConfig {
        /// Hugging Face directory (config.json, model.safetensors, tokenizer.json); "off": the built-in base model.
        #[serde(with = "or_off")]
        pub path: Option<PathBuf> = None,
        /// Type of the weights that sampling, scoring and training read, the critic's and the reference policy's too: "float32", or
        /// "bfloat16", rounded after each update from float32 masters, which have the updates.
        pub dtype: Dtype = Dtype::Float32,
    }
}

settings! {
    /// `[data]`: problems.
    pub struct DataConfig {
        /// Built-in task, "chain", "recall" or "walk"; used when no file is given.
        pub task: String = "chain".into(),
        /// Fewest and most operations of a problem of the task "chain".
        pub chain_operations: [usize; 2] = [4, 12],
        /// Fewest and most functions of a problem of the task "recall".
        pub recall_functions: [usize; 2] = [5, 14],
        /// Most moves of a right answer in the task "walk".
        pub walk_moves: usize = 32,
        /// Training problems: a JSONL, JSON or Parquet file, or a list of them, of paths or of tables such as
        /// { path = "a.parquet", weight = 2.0, limit = 1000 }. With weights prompts are drawn from the files in that proportion,
        /// without from all problems alike. "off": the built-in task.
        #[serde(with = "or_off")]
        pub train: Option<DataFiles> = None,
        /// Held-out problems for evaluation, in the same form without weights; reported by data source.
        #[serde(with = "or_off")]
        pub eval: Option<DataFiles> = None,
        /// Read at most this many problems of each file; "off": all.
        #[serde(with = "or_off")]
        pub limit: Option<usize> = None,
        /// Column of the problem, a text or messages; "off": the first there is of prompt, problem and question.
        #[serde(with = "or_off")]
        pub prompt_key: Option<String> = None,
        /// Column of the answer, dots lead into nested ones; "off": the first there is of reward_model.ground_truth, answer,
        /// ground_truth, final_answer and solution.
        #[serde(with = "or_off")]
        pub answer_key: Option<String> = None,
        /// Leave out, and count, problems whose prompt has more tokens; "off": all must fit the model.
        #[serde(with = "or_off")]
        pub max_prompt_tokens: Option<usize> = None,
        /// The model's chat template: "auto" (for rows that hold messages), "always" (a text becomes the user's message) or "never".
        pub chat: ChatUse = ChatUse::Auto,
        /// System message of conversations that have none; "off": what the template does without one.
        #[serde(with = "or_off")]
        pub system_prompt: Option<String> = None,
        /// Further variables for the chat template, e.g. { enable_thinking = false }.
        pub chat_template_kwargs: toml::Table = toml::Table::new(),
        /// The day that a chat template is told when it asks for today's date.
        pub chat_date: String = vapo_lm::ChatTemplate::DATE.into(),
        /// Text around a problem (in a chat: around the user's last message); `{problem}` stands for it.
        pub prompt_template: String = "{problem}".into(),
    }
}

settings! {
    /// `[reward]`: how responses are graded (`docs/verifiers.md`). Built-in tasks grade their own.
    pub struct RewardConfig {
        /// A verifier's name, or a table with its `kind` and settings, or several of them: the first that applies to a
        /// problem's data source decides what is right, the weighted scores of the others are added to the reward.
        #[serde(with = "terms")]
        pub verifier: Vec<RewardTerm> = vec![Verifier::Numeric { marker: None, tolerance: 0.0 }.into()],
        /// A run ends with an error when the verifier failed on more than this share of a step's responses. (Fewer are left out.)
        pub max_failed_share: f64 = 0.1,
    }
}

settings! {
    /// `[rollout]`: sampling of responses.
    pub struct RolloutConfig {
        /// Prompts per step.
        #[marks(Method, PolicyOnly)]
        pub prompts_per_step: usize = 16,
        /// Responses per prompt (group sampling; the paper has 512 x 16).
        #[marks(Method, PolicyOnly)]
        pub group_size: usize = 16,
        /// Longest response in tokens; a longer one is cut off and graded as it is.
        pub max_new_tokens: usize = 256,
        /// Softmax temperature of sampling and of the trained log-probs.
        pub temperature: f64 = 1.0,
        /// Sample among the k most likely tokens; "off": all.
        #[serde(with = "or_off")]
        pub top_k: Option<usize> = None,
        /// Nucleus sampling; keep 1 in training: the loss knows the full distribution only.
        pub top_p: f64 = 1.0,
        /// Drop tokens less likely than this share of the most likely one's probability.
        #[marks(ZeroIsOff)]
        pub min_p: f64 = 0.0,
        /// Token ids that end a response besides the model's end-of-sequence tokens.
        pub stop_tokens: Vec<u32> = Vec::new(),
        /// Texts that end a response, e.g. ["\n"]. They are trained on, but not part of the text that is graded and shown.
        pub stop_strings: Vec<String> = Vec::new(),
        /// Sequences decoded at once. Only memory and speed depend on it.
        pub slots: usize = 64,
    }
}

settings! {
    /// `[algorithm]`: the method. VAPO's parts are independent settings here, in `[rollout]` (group sampling) and in `[value_pretraining]`.
    pub struct AlgorithmConfig {
        /// Values of a method: "vapo", "vapo+", "ppo", "vc-ppo", "orz", "bpco", "sao", "grpo", "dapo", "dr-grpo", "rloo",
        /// "reinforce++", "reinforce++-baseline", "gspo" or "cispo". Keys given beside it win over it.
        #[marks(PolicyOnly)]
        pub preset: String = "vapo".into(),
        /// Where advantages come from: "gae" (a critic), or without a critic "group" (reward minus the group's mean),
        /// "leave-one-out" (minus the mean of the others) or "return" (the reward itself, and what is left of a KL penalty).
        #[marks(Method)]
        pub advantage: AdvantageKind = AdvantageKind::Gae,
        /// Discount per token.
        #[marks(Method)]
        pub gamma: f64 = 1.0,
        /// Lambda of the critic's target (decoupled GAE; 1: the Monte-Carlo return); "off": the policy's lambda.
        #[serde(with = "or_off")]
        #[marks(Method, PolicyOnly)]
        pub lambda_critic: Option<f64> = Some(1.0),
        /// Lambda of the policy's advantage where it does not depend on the length.
        #[marks(Method, PolicyOnly)]
        pub lambda_policy: f64 = 0.95,
        /// Length-adaptive GAE: lambda_policy = clamp(1 - 1/(alpha * length), 0, 1); "off": `lambda_policy`. The horizon is
        /// alpha * length tokens: the paper's 0.05 is for thousands of tokens, answers of 30 to 60 want 0.3 to 0.5.
        #[serde(with = "or_off")]
        #[marks(Method, PolicyOnly)]
        pub length_adaptive_alpha: Option<f64> = Some(0.05),
        /// With advantage "group": divide by the group's standard deviation.
        #[marks(Method, PolicyOnly)]
        pub group_std: bool = true,
        /// "none", "whiten" (zero mean, unit deviation over all tokens of the step) or "std" (unit deviation, mean kept).
        /// The paper is silent; "std" keeps signs and gives `positive_lm_weight` a scale to be compared with.
        #[serde(with = "by_name")]
        #[marks(Method, PolicyOnly)]
        pub advantage_normalization: Normalization = Normalization::None,
        /// What bounds an update: "clip" (PPO's ratio), "probability-shift" (|new - old probability| <= clip_high; BPCO), "gspo" (one
        /// ratio per response), "cispo" (bounded weight, every token keeps its gradient) or "dis" (no gradient outside; SAO).
        #[marks(Method, PolicyOnly)]
        pub policy_loss: PolicyLossKind = PolicyLossKind::Clip,
        /// The ratio new/old is held to [1 - clip_low, 1 + clip_high]; "off": no lower bound.
        #[serde(with = "or_off")]
        #[marks(Method, PolicyOnly)]
        pub clip_low: Option<f64> = Some(0.2),
        /// Upper clip; above `clip_low` it is DAPO's and VAPO's clip-higher. "off": no upper bound.
        #[serde(with = "or_off")]
        #[marks(Method, PolicyOnly)]
        pub clip_high: Option<f64> = Some(0.28),
        /// Dual clip: bound of the loss where the advantage is negative (DAPO's script: 10); "off": none.
        #[serde(with = "or_off")]
        #[marks(Method, PolicyOnly)]
        pub clip_dual: Option<f64> = None,
        /// Truncated importance weights: the policy's loss on a token is multiplied by min(policy / sampler probability, cap), for
        /// responses drawn with `top_k`, `top_p` or `min_p`, whose sampler is not the trained distribution (published: 2); "off": 1.
        #[serde(with = "or_off")]
        #[marks(Method, PolicyOnly)]
        pub importance_cap: Option<f64> = None,
        /// "token-mean" (every token of an update counts the same), "seq-mean-token-mean" (every response does),
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
        /// Weight of the divergence from the initial policy; 0: none, and no copy is kept.
        #[marks(Method, ZeroIsOff)]
        pub kl_weight: f64 = 0.0,
        /// Where that divergence stands: in the "loss", or subtracted from the "reward" of each token.
        #[marks(Method)]
        pub kl_in: KlPlace = KlPlace::Loss,
        /// Estimator of that divergence: "k1", "k2" or "k3".
        #[serde(with = "by_name")]
        #[marks(Method)]
        pub kl_estimator: KlEstimator = KlEstimator::K3,
        /// Passes of the policy over a rollout.
        #[marks(Method)]
        pub epochs: usize = 1,
        /// Minibatches per pass, one optimizer update each: the rollout's responses are shuffled and dealt into so many equal parts.
        #[marks(Method)]
        pub minibatches_per_epoch: usize = 16,
        /// Passes of the critic over a rollout; "policy": as many as `epochs`.
        #[serde(with = "or_policy")]
        #[marks(Method)]
        pub critic_epochs: Option<usize> = None,
        /// Minibatches per pass of the critic; "policy": as many as `minibatches_per_epoch`.
        #[serde(with = "or_policy")]
        #[marks(Method)]
        pub critic_minibatches_per_epoch: Option<usize> = None,
        /// Dynamic sampling: groups whose answers all have the same score are left out and further prompts drawn until there
        /// are `rollout.prompts_per_step` groups, in at most so many rounds (DAPO: 10); "off": every group is kept.
        #[serde(with = "or_off")]
        #[marks(Method, PolicyOnly)]
        pub dynamic_sampling_rounds: Option<usize> = None,
        /// Leaves responses that the length limit cut off out of the policy's loss.
        #[marks(Method, PolicyOnly)]
        pub overlong_filtering: bool = false,
        /// Soft overlong penalty: the reward falls over the last tokens before `rollout.max_new_tokens`, this share of it
        /// (DAPO: 4096 of 20480, 0.2); "off": none.
        #[serde(with = "or_off")]
        #[marks(Method)]
        pub overlong_buffer: Option<f64> = None,
        /// By how much it falls at most, in units of `reward_right` - `reward_wrong` (DAPO: 1 between -1 and 1, 0.5).
        #[marks(Method)]
        pub overlong_penalty: f64 = 0.5,
        /// Reward of a right answer.
        pub reward_right: f64 = 1.0,
        /// Reward of a wrong, malformed or cut-off answer.
        pub reward_wrong: f64 = 0.0,
    }
}

settings! {
    /// `[value_pretraining]`: the critic is trained alone on answers of the initial policy, towards their Monte-Carlo return.
    pub struct ValuePretrainingConfig {
        /// Steps (one rollout each); with rule "plateau" at most so many. 0: no value pretraining.
        #[marks(Method, ZeroIsOff)]
        pub steps: u64 = 50,
        /// When it ends: "steps", or "plateau" (value loss and explained variance no longer improve).
        pub rule: PretrainingRule = PretrainingRule::Steps,
        /// With "plateau": means over this many steps are compared with those over as many before.
        pub window: usize = 5,
        /// With "plateau": improvement of the explained variance, and relative decrease of the value loss, that still count as progress.
        pub min_progress: f64 = 0.01,
        /// Prompts per step: many prompts with one sample teach a critic more than few with many.
        pub prompts_per_step: usize = 256,
        /// Responses per prompt.
        pub group_size: usize = 1,
        /// Directory where the pretrained critic is saved as well, to be used by other runs as `critic.path`; "off": only in the checkpoints.
        #[serde(with = "or_off")]
        pub save_critic: Option<PathBuf> = None,
    }
}

settings! {
    /// `[critic]`: the value model.
    pub struct CriticConfig {
        /// Directory to start from: a critic saved by another run or a reward model; "off": the policy's weights with a new head.
        #[serde(with = "or_off")]
        pub path: Option<PathBuf> = None,
        /// Where the values of a new head start: "zero" (its raw output) or "mean-return" (the first rollout's mean reward).
        /// Far from the mean, as where few answers are right, a critic unlearns what its trunk knows on the way there.
        #[marks(Method)]
        pub start: CriticStart = CriticStart::Zero,
        /// Standard deviation of a new head's weights; 0: every value starts at the same number.
        #[marks(Method)]
        pub head_std: f64 = 0.0,
        /// Confines values to [reward_wrong, reward_right]: "none", "sigmoid" or "atan". A head of zeros then starts in the middle.
        #[marks(Method)]
        pub bound: BoundKind = BoundKind::None,
        /// A new value further than this from the old one earns no further gradient (verl: 0.5); "off": none.
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
        /// Updates of linear warmup.
        #[marks(ZeroIsOff)]
        pub warmup_updates: u64 = 10,
        /// Learning rate after the warmup: "constant", "cosine" or "linear" (down to `min_ratio` at the last update).
        pub schedule: ScheduleKind = ScheduleKind::Constant,
        /// Last learning rate as a share of the peak.
        pub min_ratio: f64 = 0.0,
        /// Decay of the first moment.
        #[marks(Method)]
        pub beta1: f64 = 0.9,
        /// Decay of the second moment.
        #[marks(Method)]
        pub beta2: f64 = 0.999,
        /// Added to the root of the second moment.
        pub eps: f64 = 1e-8,
        /// Decoupled weight decay.
        #[marks(Method, ZeroIsOff)]
        pub weight_decay: f64 = 0.0,
        /// Gradients are scaled down to this global norm; "off": never.
        #[serde(with = "or_off")]
        pub max_grad_norm: Option<f64> = Some(1.0),
    }
}

settings! {
    /// `[eval]`: held-out accuracy, before, during and after.
    pub struct EvalConfig {
        /// Steps between evaluations; "off": only before and after.
        #[serde(with = "or_off")]
        #[marks(PolicyOnly)]
        pub every: Option<u64> = Some(20),
        /// Held-out problems, at most.
        pub problems: usize = 200,
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
        /// Drop tokens less likely than this share of the most likely one's probability.
        #[marks(ZeroIsOff)]
        pub min_p: f64 = 0.0,
        /// Longest response in tokens; "off": as in `rollout`.
        #[serde(with = "or_off")]
        pub max_new_tokens: Option<usize> = None,
    }
}

settings! {
    /// `[checkpoint]`: what a killed run can continue from.
    pub struct CheckpointConfig {
        /// Steps between checkpoints; "off": only at the end.
        #[serde(with = "or_off")]
        #[marks(PolicyOnly)]
        pub every: Option<u64> = Some(20),
        /// Checkpoints kept, the newest ones; or "all".
        #[serde(with = "or_all")]
        #[marks(PolicyOnly)]
        pub keep: Option<usize> = Some(2),
        /// Type of the weights in the model directories that are written: "float32" or "bfloat16". A resumed run goes on from the exact weights either way.
        pub dtype: Dtype = Dtype::Float32,
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
    /// Which log-probs are recomputed.
    pub enum LogpCheck {
        /// None.
        None,
        /// A few responses of each step.
        Sample,
        /// All.
        All,
    }
    /// When the chat template is used.
    pub enum ChatUse {
        /// For rows that hold messages.
        Auto,
        /// For every row.
        Always,
        /// For none.
        Never,
    }
    /// Where advantages come from.
    pub enum AdvantageKind {
        /// Generalised advantage estimation with a critic.
        Gae,
        /// Reward relative to the group's mean, as in GRPO.
        Group,
        /// Reward relative to the mean of the group's other responses, as in RLOO.
        LeaveOneOut,
        /// The discounted rewards from a token on, as in REINFORCE++.
        Return,
    }
    /// What bounds a policy update.
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
    /// Where the divergence from the initial policy stands.
    pub enum KlPlace {
        /// In the policy's loss.
        Loss,
        /// In the reward of each token.
        Reward,
    }
    /// Where the values of a new head start.
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
    /// What confines the critic's values to the range of rewards.
    pub enum BoundKind {
        /// Nothing.
        None,
        /// A sigmoid.
        Sigmoid,
        /// An arctangent: its gradient fades slower.
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
        /// Stays.
        Constant,
        /// Half a cosine down to the smallest.
        Cosine,
        /// A line down to the smallest.
        Linear,
    }
}

/// Responses of a step whose log-probs are recomputed under [`LogpCheck::Sample`].
const CHECKED_RESPONSES: usize = 8;

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
