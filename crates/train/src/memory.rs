//! The memory that a command will need, counted before weights are loaded.

use vapo_lm::{Device, Head, KvCache, Model, ModelConfig, SampleCache, activation_bytes, rows_of_logits};

use crate::{
    config::{Config, Dtype},
    error::{Error, Result},
    resources::{available_memory, resident_memory},
    shapes::Shapes,
};

/// The bytes of each part of a command's memory at its peak.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemoryPlan {
    /// The subject, for messages.
    subject: &'static str,
    /// Settings that reduce the memory, for messages.
    advice: &'static str,
    /// Name and bytes of each part.
    pub parts: Vec<(&'static str, u64)>,
}

/// The part for checkpoints that are written beside training.
const CHECKPOINT_COPY: &str = "checkpoint copy";

const BYTES_PER_VALUE: usize = 4;
/// Per sampled token: its id, log-prob and text.
const BYTES_PER_SAMPLED_TOKEN: usize = 12;
/// In addition, in a step: old log-prob, raw and bounded value, advantage, target, return, reference log-prob, a minibatch's copies.
const BYTES_PER_TRAINED_TOKEN: usize = BYTES_PER_SAMPLED_TOKEN + 32;
/// In addition, in a step that is recorded or shown in TensorBoard: entropy, ratio and clip state.
const BYTES_PER_TRACED_TOKEN: usize = 9;

/// The prompts sampled at once, the responses to each, and their maximum lengths.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sampled {
    pub(crate) prompts: usize,
    pub(crate) group_size: usize,
    pub(crate) prompt_tokens: usize,
    pub(crate) response_tokens: usize,
}

impl Sampled {
    fn responses(self) -> usize {
        self.prompts * self.group_size
    }

    /// Sequences decoded at once.
    fn running(self, slots: usize) -> usize {
        self.responses().min(slots.max(1))
    }

    /// Prompts whose caches are held: those of the running samples, some of which are stragglers.
    fn held_prompts(self, slots: usize) -> usize {
        (2 * self.running(slots).div_ceil(self.group_size.max(1)) + 1).min(self.prompts).min(self.running(slots))
    }

    /// Bytes of the key/value caches: each sample's own, and those of the prompts.
    fn cache_bytes(self, shape: &ModelConfig, slots: usize) -> usize {
        let bytes = |tokens| KvCache::bytes(&device(), shape.attention, shape.num_layers, tokens);
        let own = SampleCache::own_tokens(self.response_tokens);
        self.running(slots) * bytes(own) + self.held_prompts(slots) * bytes(self.prompt_tokens)
    }

    /// Logits of a decoding step, and those of prompts that were just read.
    fn logit_values(self, shape: &ModelConfig, slots: usize) -> usize {
        (self.running(slots) + self.held_prompts(slots)) * shape.vocab_size
    }

    /// Maximum tokens per pass when `responses` responses are scored or trained: the engine's budget, or a single longer
    /// sequence.
    fn rows(self, micro_batch_tokens: usize, responses: usize) -> usize {
        let all = self.prompts.min(responses) * self.prompt_tokens + responses * self.response_tokens;
        all.min(micro_batch_tokens.max(self.prompt_tokens + self.response_tokens))
    }
}

impl MemoryPlan {
    /// Counts a run with prompts of at most `prompt_tokens` tokens. `resident` bytes are in use already, by the program,
    /// tokenizer and problems.
    pub fn of_run(config: &Config, shapes: &Shapes, prompt_tokens: usize, resident: u64) -> Self {
        let len = |shape: &ModelConfig, head| Model::flat_len_of(&device(), shape, head);
        let policy = len(&shapes.policy, Head::Language);
        let critic = shapes.critic.as_ref().map_or(0, |shape| len(shape, Head::Value));
        let reference = if config.has_reference() { policy } else { 0 };
        let steps = steps(config, prompt_tokens);
        let evaluation = Sampled {
            prompts: config.eval.problems,
            group_size: config.eval.samples,
            prompt_tokens,
            response_tokens: config.longest_eval_response(),
        };
        let (micro, slots) = (config.run.micro_batch_tokens, config.rollout.slots);
        let updates = config.algorithm.minibatches_per_epoch;
        let shape = &shapes.policy;
        let largest = |of: &dyn Fn(Sampled) -> usize| steps.iter().copied().map(of).max().unwrap_or(0);
        let trained = largest(&|step| {
            let responses = step.responses().div_ceil(updates);
            let rows = step.rows(micro, responses);
            let scored = rows.min(responses * step.response_tokens);
            let networks = [Some(&shapes.policy), shapes.critic.as_ref()].into_iter().flatten();
            networks.map(|shape| activation_bytes(shape, rows, scored, true)).max().unwrap_or(0)
        });
        let passed = largest(&|step| {
            let rows = step.rows(micro, step.responses());
            activation_bytes(shape, rows, rows.min(step.responses() * step.response_tokens), false)
        });
        let logits = largest(&|step| {
            let scored = step.rows(micro, step.responses()).min(step.responses() * step.response_tokens);
            rows_of_logits(scored, shape.vocab_size) * shape.vocab_size
        });
        let sampled = |of: &dyn Fn(Sampled) -> usize| largest(of).max(of(evaluation));
        let tokens = |sampled: Sampled| sampled.responses() * sampled.response_tokens;
        let traced =
            if config.records.every.is_some() || config.tensorboard.enabled { BYTES_PER_TRACED_TOKEN } else { 0 };
        let columns =
            (largest(&tokens) * (BYTES_PER_TRAINED_TOKEN + traced)).max(tokens(evaluation) * BYTES_PER_SAMPLED_TOKEN);
        let values = |count: usize| (count * BYTES_PER_VALUE) as u64;
        let networks = [(Some(&shapes.policy), Head::Language), (shapes.critic.as_ref(), Head::Value)];
        let tensors = networks.into_iter().filter_map(|(shape, head)| Some(Model::largest_tensor_of(shape?, head)));
        let largest_tensor = tensors.max().unwrap_or(0);
        let (weights, moments) = (trained_weights(config, policy + critic), values(2 * (policy + critic)));
        let copies = config.checkpoint.background || config.run.stop_timeout_secs.is_some();
        let copy = copies.then_some((CHECKPOINT_COPY, weights + moments));
        Self {
            subject: "the run",
            advice: "rollout.slots, rollout.max_new_tokens, run.micro_batch_tokens, or a model with fewer parameters",
            parts: [
                ("program and problems", resident),
                ("weights", weights + read_weights(config, reference)),
                ("gradients", values(policy + critic)),
                ("moments", moments),
                ("activations", trained.max(passed) as u64),
                ("logits", values(logits.max(sampled(&|step| step.logit_values(shape, slots))))),
                ("key/value caches", sampled(&|step| step.cache_bytes(shape, slots)) as u64),
                ("rollout columns", columns as u64),
                // A checkpoint is written one tensor at a time: its values, and their bytes.
                ("checkpoint", values(2 * largest_tensor)),
            ]
            .into_iter()
            .chain(copy)
            .collect(),
        }
    }

    /// The plan of rank 0 of a run on so many ranks: each has its part of the moments, and rank 0 has all of them while it writes a
    /// checkpoint.
    pub fn shared_by(mut self, ranks: usize) -> Self {
        let Some(at) = self.parts.iter().position(|(name, _)| *name == "moments") else { return self };
        if ranks > 1 {
            let all = self.parts[at].1;
            self.parts[at].1 = all / ranks as u64;
            self.parts.insert(at + 1, ("moments of all ranks", all));
        }
        self
    }

    /// Whether a run with this plan has memory for a copy of weights and moments.
    pub fn copies_checkpoints(&self) -> bool {
        self.parts.iter().any(|(name, _)| *name == CHECKPOINT_COPY)
    }

    /// The plan of a run that must do with `available` bytes in addition to the resident ones: training waits for
    /// checkpoints if their copy does not fit.
    ///
    /// # Errors
    /// As for [`MemoryPlan::check`].
    pub fn within(mut self, available: u64) -> Result<Self> {
        if self.check(available).is_err() {
            self.parts.retain(|(name, _)| *name != CHECKPOINT_COPY);
        }
        self.check(available)?;
        Ok(self)
    }

    /// Counts sampling of `group_size` responses to each of `prompts` prompts of at most `prompt_tokens` tokens, with the
    /// settings in `[eval]` and `[rollout]`.
    pub fn of_sampling(
        config: &Config,
        shape: &ModelConfig,
        (prompts, group_size): (usize, usize),
        prompt_tokens: usize,
    ) -> Self {
        let response_tokens = config.longest_eval_response();
        let sampled = Sampled { prompts, group_size, prompt_tokens, response_tokens };
        let (micro, slots) = (config.run.micro_batch_tokens, config.rollout.slots);
        let prefilled = (sampled.prompts * prompt_tokens).min(micro.max(prompt_tokens));
        let rows = prefilled.max(sampled.running(slots));
        Self::of_inference(
            "sampling",
            "rollout.slots, eval.max_new_tokens, run.micro_batch_tokens, or a model with fewer parameters",
            read_weights(config, Model::flat_len_of(&device(), shape, Head::Language)),
            [
                activation_bytes(shape, rows, rows, false),
                sampled.logit_values(shape, slots) * BYTES_PER_VALUE,
                sampled.cache_bytes(shape, slots),
            ],
        )
    }

    /// Counts scoring by a policy, and optionally a critic, of texts as long as the policy can read.
    pub fn of_scoring(config: &Config, policy: &ModelConfig, critic: Option<&ModelConfig>) -> Self {
        let rows = config.run.micro_batch_tokens;
        let critic_len = critic.map_or(0, |shape| Model::flat_len_of(&device(), shape, Head::Value));
        let activations = |shape: &ModelConfig| activation_bytes(shape, rows, rows, false);
        let widest = critic.map_or(0, activations).max(activations(policy));
        Self::of_inference(
            "scoring",
            "run.micro_batch_tokens, or a model with fewer parameters",
            // The critic may have been trained with another weight type, so it is counted as f32.
            read_weights(config, Model::flat_len_of(&device(), policy, Head::Language))
                + (critic_len * BYTES_PER_VALUE) as u64,
            [widest, rows_of_logits(rows, policy.vocab_size) * policy.vocab_size * BYTES_PER_VALUE, 0],
        )
    }

    /// Bytes of the weights; of activations, logits and caches.
    fn of_inference(subject: &'static str, advice: &'static str, weights: u64, bytes: [usize; 3]) -> Self {
        let names = ["activations", "logits", "key/value caches"];
        let parts = names.into_iter().zip(bytes.map(|bytes| bytes as u64));
        let first = [("program and texts", resident_memory().unwrap_or(0)), ("weights", weights)];
        Self { subject, advice, parts: first.into_iter().chain(parts).filter(|part| part.1 > 0).collect() }
    }

    /// Sum of all parts in bytes.
    pub fn total(&self) -> u64 {
        self.parts.iter().map(|(_, bytes)| bytes).sum()
    }

    /// Returns an error if the plan does not fit the machine's memory, as far as that is known.
    ///
    /// # Errors
    /// As for [`MemoryPlan::check`].
    pub fn check_machine(&self) -> Result<()> {
        available_memory().map_or(Ok(()), |available| self.check(available))
    }

    /// Returns an error if the plan does not fit into `available` bytes in addition to the resident ones.
    ///
    /// # Errors
    /// Names every part, the sum and the available memory.
    pub fn check(&self, available: u64) -> Result<()> {
        let resident = self.parts.iter().find(|(name, _)| name.starts_with("program")).map_or(0, |(_, bytes)| *bytes);
        if self.total() - resident <= available {
            return Ok(());
        }
        let parts: Vec<String> =
            self.parts.iter().map(|(name, bytes)| format!("{name} {}", megabytes(*bytes))).collect();
        Err(Error::Run(format!(
            "{} needs {} of memory ({}), but only {} is available; to reduce it, lower {}",
            self.subject,
            megabytes(self.total()),
            parts.join(", "),
            megabytes(available),
            self.advice,
        )))
    }
}

/// The samples of a step of value pretraining (if there is one) and of policy training.
fn steps(config: &Config, prompt_tokens: usize) -> Vec<Sampled> {
    let (rollout, pretraining) = (&config.rollout, &config.value_pretraining);
    let step =
        |prompts, group_size| Sampled { prompts, group_size, prompt_tokens, response_tokens: rollout.max_new_tokens };
    let mut steps = vec![step(rollout.prompts_per_step, rollout.group_size)];
    if config.has_critic() && pretraining.steps > 0 {
        steps.push(step(pretraining.prompts_per_step, pretraining.group_size));
    }
    steps
}

fn megabytes(bytes: u64) -> String {
    format!("{} MB", bytes.div_ceil(1_000_000))
}

/// Bytes of weights that are only read.
fn read_weights(config: &Config, count: usize) -> u64 {
    let bytes = match config.model.dtype {
        Dtype::Float32 => 4,
        Dtype::Bfloat16 => 2,
    };
    count as u64 * bytes
}

/// Bytes of weights that are trained: in bf16, including their f32 master weights.
fn trained_weights(config: &Config, count: usize) -> u64 {
    let masters = match config.model.dtype {
        Dtype::Float32 => 0,
        Dtype::Bfloat16 => 4,
    };
    read_weights(config, count) + count as u64 * masters
}

/// A device of the kind that runs: sizes do not depend on its threads.
fn device() -> Device {
    Device::cpu(1)
}

#[cfg(test)]
mod tests {
    use vapo_lm::Sizes;

    use super::*;

    /// Width 64, 2 layers, 4 heads of 16, gated width 176, 40 tokens.
    fn shapes() -> Shapes {
        let shape = ModelConfig::new(Sizes {
            vocab_size: 40,
            hidden_size: 64,
            intermediate_size: 176,
            num_layers: 2,
            num_heads: 4,
            num_kv_heads: 4,
            max_positions: 512,
        });
        Shapes { policy: shape.clone(), critic: Some(shape) }
    }

    fn plan(change: impl FnOnce(&mut Config)) -> MemoryPlan {
        let mut config = Config::default();
        change(&mut config);
        let mut shapes = shapes();
        shapes.critic = shapes.critic.filter(|_| config.has_critic());
        MemoryPlan::of_run(&config, &shapes, 40, 10_000_000)
    }

    fn part(plan: &MemoryPlan, name: &str) -> u64 {
        plan.parts.iter().find(|part| part.0 == name).unwrap().1
    }

    #[test]
    fn a_run_that_does_not_fit_is_refused_with_both_figures() {
        let small = plan(|_| ());
        assert!(small.check(300_000_000).is_ok(), "{small:?}");
        assert!(small.check(small.total() - 10_000_000).is_ok(), "resident memory is already allocated");
        assert!(small.check(small.total() - 10_000_001).is_err());
        let error = small.check(1_000_000).unwrap_err().to_string();
        assert!(
            error.starts_with(&format!(
                "the run needs {} MB of memory (program and problems 10 MB, weights ",
                small.total().div_ceil(1_000_000)
            )),
            "{error}"
        );
        assert!(error.contains("1 MB is available"), "{error}");
    }

    #[test]
    fn a_copy_of_checkpoints_is_left_out_where_only_it_does_not_fit() {
        let with_copy = plan(|_| ());
        let copy = part(&with_copy, "checkpoint copy");
        assert_eq!(copy, part(&with_copy, "weights") + part(&with_copy, "moments"));
        assert_eq!(
            part(&with_copy, "checkpoint"),
            2 * 4 * 64 * 176,
            "the largest tensor is a matrix of the gated layers"
        );
        let needed = with_copy.total() - 10_000_000;
        assert!(with_copy.clone().within(needed).unwrap().copies_checkpoints());
        let without = with_copy.clone().within(needed - 1).unwrap();
        assert!(!without.copies_checkpoints());
        assert_eq!(without, plan(|config| config.checkpoint.background = false));
        assert_eq!(with_copy.total() - without.total(), copy);
        assert!(with_copy.within(needed - copy - 1).is_err());
    }

    #[test]
    fn parts_follow_what_they_depend_on() {
        let base = plan(|_| ());
        let twice = plan(|config| config.rollout.slots *= 2);
        assert!(part(&twice, "key/value caches") > part(&base, "key/value caches"));
        let reference = plan(|config| config.algorithm.kl_weight = 0.1);
        let policy = 4 * Model::flat_len_of(&device(), &shapes().policy, Head::Language) as u64;
        assert_eq!(part(&reference, "weights") - part(&base, "weights"), policy);
        assert_eq!(part(&reference, "moments"), part(&base, "moments"), "the reference is not trained");
        let in_bf16 = plan(|config| (config.algorithm.kl_weight, config.model.dtype) = (0.1, Dtype::Bfloat16));
        assert_eq!(
            part(&in_bf16, "weights"),
            part(&base, "weights") * 3 / 2 + policy / 2,
            "2 + 4 bytes; 2 of the reference"
        );
        assert_eq!(part(&in_bf16, "moments"), part(&base, "moments"));
        let rows = plan(|config| config.run.micro_batch_tokens /= 2);
        let (activations, halved) = (part(&base, "activations"), part(&rows, "activations"));
        assert!(halved * 2 <= activations + 4096 && halved * 2 + 4096 >= activations, "{halved} {activations}");
        let longer = plan(|config| config.rollout.max_new_tokens *= 2);
        assert_eq!(part(&longer, "rollout columns"), 2 * part(&base, "rollout columns"));
    }

    /// 3 prompts of 20 tokens x 5 responses of 40 tokens in 8 slots: 8 own caches of 55 -> 64 tokens, 3 prompts of 32;
    /// keys and values of 4 heads x 16, 2 layers.
    #[test]
    fn caches_by_hand() {
        let sampled = Sampled { prompts: 3, group_size: 5, prompt_tokens: 20, response_tokens: 40 };
        let token = 2 * 2 * 4 * 16;
        assert_eq!(sampled.cache_bytes(&shapes().policy, 8), 4 * (8 * 64 + 3 * 32) * token);
        assert_eq!(sampled.logit_values(&shapes().policy, 8), (8 + 3) * 40);
        assert_eq!(sampled.rows(1000, 4), 3 * 20 + 4 * 40);
        assert_eq!(sampled.rows(50, 4), 60, "a longer sequence has its own pass");
    }
}
