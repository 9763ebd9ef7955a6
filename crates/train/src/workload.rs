//! The number of tokens and floating-point operations in each stage of a step, counted from config and shapes.

use vapo_lm::{Head, Model, ModelConfig, PassSize};

use crate::{config::Config, phase::Phase, shapes::Shapes, stage::Stage};

const BYTES_PER_VALUE: f64 = 4.0;

/// The kinds of work, each of which runs at its own speed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Reading prompts.
    Prefill,
    /// One token of each running sequence at a time.
    Decode,
    /// A pass over whole sequences.
    Forward,
    /// A forward and backward pass.
    Training,
    /// Updating weights; its amount is the number of weights, not of operations.
    Optimizer,
}

/// Work of one kind in a stage of a step.
#[derive(Clone, Debug, PartialEq)]
pub struct StageWork {
    /// The stage.
    pub stage: Stage,
    /// The kind of work.
    pub work: Work,
    /// Number of tokens processed.
    pub tokens: f64,
    /// Floating-point operations.
    pub amount: f64,
}

impl StageWork {
    /// The name of the work.
    pub fn name(&self) -> &'static str {
        match self.work {
            Work::Prefill => "reading prompts",
            Work::Optimizer => "its AdamW",
            Work::Decode | Work::Forward | Work::Training => self.stage.name(),
        }
    }
}

/// The mean lengths, in tokens, of prompts and responses assumed for a step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct MeanLengths {
    /// Of a prompt.
    pub prompt: f64,
    /// Of a response.
    pub response: f64,
}

/// The stages of a step of training or value pretraining, in order.
pub fn step_work(config: &Config, shapes: &Shapes, phase: Phase, lengths: MeanLengths) -> Vec<StageWork> {
    let (prompts, group_size) = config.step_size(phase);
    let policy = &shapes.policy;
    let batch = Batch { prompts: prompts as f64, group_size: group_size as f64, lengths };
    let mut stages = generation(policy, batch);
    if let Some(stride) = config.run.check_logps.stride(prompts * group_size) {
        let responses = (prompts * group_size).div_ceil(stride);
        let checked_prompts = responses.min(prompts) as f64;
        let checked = Batch { prompts: checked_prompts, group_size: responses as f64 / checked_prompts, lengths };
        stages.push(forward(Stage::LogpCheck, policy, Head::Language, checked.pass(1.0)));
    }
    if let Some(critic) = &shapes.critic {
        stages.push(forward(Stage::Values, critic, Head::Value, batch.pass(1.0)));
    }
    if config.has_reference() {
        stages.push(forward(Stage::Reference, policy, Head::Language, batch.pass(1.0)));
    }
    let mut train = |stage: Stage, shape: &ModelConfig, head, [passes, minibatches]: [usize; 2]| {
        let (passes, updates) = (passes as f64, minibatches as f64);
        let pass = batch.pass(updates);
        let weights = Model::num_params_of(shape, head) as f64;
        let all = |work, tokens, amount| StageWork { stage, work, tokens: passes * tokens, amount: passes * amount };
        stages.push(all(Work::Training, pass.tokens, shape.training_flops(head, pass)));
        stages.push(all(Work::Optimizer, 0.0, updates * weights));
    };
    if let Some(critic) = &shapes.critic {
        let passes = [config.critic_epochs(), config.critic_minibatches_per_epoch()];
        train(Stage::CriticUpdates, critic, Head::Value, passes);
    }
    if phase == Phase::Policy {
        let passes = [config.algorithm.epochs, config.algorithm.minibatches_per_epoch];
        train(Stage::PolicyUpdates, policy, Head::Language, passes);
    }
    stages
}

/// Bytes that a rank sends in a step of a run on so many ranks: gradients and weights of every update, samples, and what is
/// scored. Grades and statistics are left out.
pub fn exchanged_bytes(config: &Config, shapes: &Shapes, phase: Phase, lengths: MeanLengths, ranks: usize) -> f64 {
    let (prompts, group_size) = config.step_size(phase);
    let updated = |shape: &ModelConfig, head, [passes, minibatches]: [usize; 2]| {
        // Each value goes to its rank as a gradient and comes back as a weight.
        2.0 * BYTES_PER_VALUE * (passes * minibatches) as f64 * Model::num_params_of(shape, head) as f64
    };
    let critic = shapes.critic.as_ref().map_or(0.0, |critic| {
        updated(critic, Head::Value, [config.critic_epochs(), config.critic_minibatches_per_epoch()])
    });
    let passes = [config.algorithm.epochs, config.algorithm.minibatches_per_epoch];
    let policy = if phase == Phase::Policy { updated(&shapes.policy, Head::Language, passes) } else { 0.0 };
    let scores = [shapes.critic.is_some(), config.has_reference()].into_iter().filter(|is_scored| *is_scored).count();
    let per_token = sampled_bytes_per_token() + scores as f64 * BYTES_PER_VALUE;
    let tokens = (prompts * group_size) as f64 * lengths.response;
    (critic + policy + tokens * per_token) * others(ranks)
}

/// The same for an evaluation of this many problems.
pub fn exchanged_in_evaluation(config: &Config, problems: usize, lengths: MeanLengths, ranks: usize) -> f64 {
    (problems * config.eval.samples) as f64 * lengths.response * sampled_bytes_per_token() * others(ranks)
}

/// A token, its log-prob, and that of the sampler.
fn sampled_bytes_per_token() -> f64 {
    3.0 * BYTES_PER_VALUE
}

/// The share of everything that a rank has from the others.
fn others(ranks: usize) -> f64 {
    (ranks - 1) as f64 / ranks as f64
}

/// The stages of an evaluation of this many problems.
pub fn evaluation_work(config: &Config, shapes: &Shapes, problems: usize, lengths: MeanLengths) -> Vec<StageWork> {
    let batch = Batch { prompts: problems as f64, group_size: config.eval.samples as f64, lengths };
    generation(&shapes.policy, batch)
}

/// Prompts with responses to each.
#[derive(Clone, Copy)]
struct Batch {
    prompts: f64,
    group_size: f64,
    lengths: MeanLengths,
}

impl Batch {
    fn responses(self) -> f64 {
        self.prompts * self.group_size
    }

    /// All responses with their prompts, dealt at random into `parts`: a prompt is computed once in each part with one
    /// of its responses; for a group of G, that is a share 1 - (1 - 1/parts)^G of the parts.
    fn pass(self, parts: f64) -> PassSize {
        let MeanLengths { prompt, response } = self.lengths;
        let passes = parts * self.prompts * (1.0 - (1.0 - 1.0 / parts).powf(self.group_size));
        let prompts = PassSize { tokens: passes * prompt, keys: prompt / 2.0, scored: 0.0 };
        // A response's last token is not an input, and its first is predicted from the prompt.
        let responses = PassSize {
            tokens: self.responses() * (response - 1.0),
            keys: prompt + response / 2.0,
            scored: self.responses() * response,
        };
        prompts.and(responses)
    }
}

fn generation(policy: &ModelConfig, batch: Batch) -> Vec<StageWork> {
    let MeanLengths { prompt, response } = batch.lengths;
    let read = PassSize { tokens: batch.prompts * prompt, keys: prompt / 2.0, scored: batch.prompts };
    let decoded = batch.responses() * (response - 1.0);
    let decode = PassSize { tokens: decoded, keys: prompt + response / 2.0, scored: decoded };
    let sampling = |work, pass: PassSize| StageWork {
        stage: Stage::Sampling,
        work,
        tokens: pass.tokens,
        amount: policy.forward_flops(Head::Language, pass),
    };
    vec![sampling(Work::Prefill, read), sampling(Work::Decode, decode)]
}

fn forward(stage: Stage, shape: &ModelConfig, head: Head, pass: PassSize) -> StageWork {
    StageWork { stage, work: Work::Forward, tokens: pass.tokens, amount: shape.forward_flops(head, pass) }
}

#[cfg(test)]
mod tests {
    use vapo_lm::Sizes;

    use super::*;

    fn shapes() -> Shapes {
        let shape = ModelConfig::new(Sizes {
            vocab_size: 48,
            hidden_size: 16,
            intermediate_size: 32,
            num_layers: 3,
            num_heads: 4,
            num_kv_heads: 2,
            max_positions: 64,
        });
        Shapes { policy: shape.clone(), critic: Some(shape) }
    }

    fn config(overrides: &[&str]) -> Config {
        let base = [
            "rollout.prompts_per_step=4",
            "rollout.group_size=2",
            "run.check_logps=none",
            "algorithm.minibatches_per_epoch=8",
        ];
        Config::load(None, &base.iter().chain(overrides).map(ToString::to_string).collect::<Vec<_>>()).unwrap()
    }

    fn stages(overrides: &[&str]) -> Vec<StageWork> {
        step_work(&config(overrides), &shapes(), Phase::Policy, MeanLengths { prompt: 10.0, response: 5.0 })
    }

    /// 4 prompts of 10 tokens x 2 responses of 5.
    #[test]
    fn tokens_by_hand() {
        let tokens =
            |stages: &[StageWork], name| stages.iter().find(|stage| stage.name() == name).map(|stage| stage.tokens);
        let once = stages(&["algorithm.minibatches_per_epoch=1"]);
        assert_eq!(tokens(&once, "reading prompts"), Some(40.0));
        assert_eq!(tokens(&once, "sampling"), Some(32.0), "the first token of each comes from the prompt");
        assert_eq!(tokens(&once, "values"), Some(72.0));
        assert_eq!(tokens(&once, "policy updates"), Some(72.0));
        // With two minibatches, a prompt's two responses are separate half of the time, so it is computed 1.5 times.
        let twice = stages(&["algorithm.minibatches_per_epoch=2", "algorithm.critic_epochs=3"]);
        assert_eq!(tokens(&twice, "policy updates"), Some(60.0 + 32.0));
        assert_eq!(tokens(&twice, "critic updates"), Some(3.0 * 92.0));
        let weights = Model::num_params_of(&shapes().policy, Head::Value) as f64;
        assert!(twice.iter().any(|stage| stage.work == Work::Optimizer && stage.amount == 6.0 * weights));
    }

    #[test]
    fn stages_follow_the_method() {
        let names = |stages: Vec<StageWork>| stages.into_iter().map(|stage| stage.name()).collect::<Vec<_>>();
        let grpo = ["algorithm.preset=grpo", "algorithm.kl_weight=0.1"];
        let mut without_critic = shapes();
        without_critic.critic = None;
        let lengths = MeanLengths { prompt: 10.0, response: 5.0 };
        assert_eq!(
            names(step_work(&config(&grpo), &without_critic, Phase::Policy, lengths)),
            ["reading prompts", "sampling", "reference policy", "policy updates", "its AdamW"]
        );
        let pretraining = step_work(&config(&["run.check_logps=all"]), &shapes(), Phase::ValuePretraining, lengths);
        assert_eq!(
            names(pretraining),
            ["reading prompts", "sampling", "checking log-probs", "values", "critic updates", "its AdamW"]
        );
    }

    /// 16 responses of 5 tokens; 2 updates of the policy and 4 of the critic, of which each rank has 3 quarters to send, twice.
    #[test]
    fn ranks_exchange_updates_samples_and_values() {
        let config = config(&[
            "rollout.prompts_per_step=4",
            "rollout.group_size=4",
            "algorithm.minibatches_per_epoch=2",
            "algorithm.critic_epochs=2",
            "algorithm.critic_minibatches_per_epoch=2",
        ]);
        let lengths = MeanLengths { prompt: 3.0, response: 5.0 };
        let shapes = shapes();
        let weights = |head| Model::num_params_of(&shapes.policy, head) as f64;
        let updates = 8.0 * (2.0 * weights(Head::Language) + 4.0 * weights(Head::Value));
        // A token, two log-probs and a value.
        let samples = 16.0 * 5.0 * 16.0;
        let exchanged = |phase, ranks| exchanged_bytes(&config, &shapes, phase, lengths, ranks);
        assert_eq!(exchanged(Phase::Policy, 4), 0.75 * (updates + samples));
        assert_eq!(exchanged(Phase::Policy, 1), 0.0);
    }
}
