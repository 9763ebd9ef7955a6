//! Checks of ranges and of relations between settings, before anything is loaded.

use super::{ChatUse, Config, OptimizerConfig, Split};
use crate::error::{Error, Result};

/// Maximum number of responses of a step or an evaluation, which are in memory together.
pub(super) const MAX_RESPONSES: usize = 10_000_000;
/// Maximum number of tokens of a training pass.
const MAX_TOKENS: usize = 100_000_000;
const MAX_SHARDS: usize = 4096;
const MAX_THREADS: usize = 1_024;
/// Maximum number of steps of a phase, so that sums and the responses of all steps can be counted.
const MAX_STEPS: u64 = 1_000_000_000;

/// Collects errors, so that one attempt shows all of them.
#[derive(Default)]
pub(super) struct Failures(Vec<String>);

impl Failures {
    pub(super) fn unless(&mut self, holds: bool, message: impl FnOnce() -> String) {
        if !holds {
            self.0.push(message());
        }
    }

    pub(super) fn at_least(&mut self, key: &str, value: usize, least: usize) {
        self.unless(value >= least, || format!("{key} ({value}) must be at least {least}"));
    }

    /// For a setting that has a word in place of 0.
    pub(super) fn at_least_one_or(&mut self, word: &str, key: &str, value: Option<u64>) {
        self.unless(value != Some(0), || format!("{key} (0) must be at least 1, or \"{word}\""));
    }

    /// A number of things that exist at the same time.
    pub(super) fn count(&mut self, key: &str, value: usize, most: usize) {
        self.at_least(key, value, 1);
        self.unless(value <= most, || format!("{key} ({value}) must be at most {most}"));
    }

    /// Responses that exist at the same time: their product is limited too.
    fn responses(&mut self, keys: [&str; 2], values: [usize; 2]) {
        keys.iter().zip(values).for_each(|(key, value)| self.count(key, value, MAX_RESPONSES));
        let product = values[0].saturating_mul(values[1]);
        let in_range = values.iter().all(|value| *value <= MAX_RESPONSES);
        self.unless(!in_range || product <= MAX_RESPONSES, || {
            format!("{} x {} ({} x {}) must be at most {MAX_RESPONSES}", keys[0], keys[1], values[0], values[1])
        });
    }

    pub(super) fn within(&mut self, key: &str, value: f64, low: f64, high: f64) {
        self.unless((low..=high).contains(&value), || format!("{key} ({value}) must be between {low} and {high}"));
    }

    pub(super) fn positive(&mut self, key: &str, value: f64) {
        self.unless(value > 0.0 && value.is_finite(), || format!("{key} ({value}) must be greater than 0"));
    }

    pub(super) fn positive_or_off(&mut self, key: &str, value: Option<f64>) {
        let Some(value) = value else { return };
        self.unless(value > 0.0 && value.is_finite(), || format!("{key} ({value}) must be greater than 0, or \"off\""));
    }

    pub(super) fn not_negative(&mut self, key: &str, value: f64) {
        self.unless(value >= 0.0 && value.is_finite(), || format!("{key} ({value}) must not be negative"));
    }
}

impl Config {
    /// Checks ranges and relations.
    ///
    /// # Errors
    /// [`Error::Settings`] with a line for each invalid setting, naming the field and the values.
    pub fn check(&self) -> Result<()> {
        let mut failures = Failures::default();
        self.check_sampling(&mut failures);
        self.check_algorithm(&mut failures);
        self.check_critic(&mut failures);
        check_optimizer("policy_optimizer", &self.policy_optimizer, &mut failures);
        check_optimizer("critic_optimizer", &self.critic_optimizer, &mut failures);
        self.check_data(&mut failures);
        if failures.0.is_empty() { Ok(()) } else { Err(Error::Settings(failures.0)) }
    }

    fn check_sampling(&self, failures: &mut Failures) {
        let rollout = &self.rollout;
        failures.count("run.micro_batch_tokens", self.run.micro_batch_tokens, MAX_TOKENS);
        failures.unless(self.run.threads <= MAX_THREADS, || {
            format!("run.threads ({}) must be at most {MAX_THREADS}", self.run.threads)
        });
        let shards = self.run.gradient_shards;
        failures.unless(shards.is_power_of_two() && shards <= MAX_SHARDS, || {
            format!("run.gradient_shards ({shards}) must be a power of two and at most {MAX_SHARDS}")
        });
        failures.positive("distributed.timeout_secs", self.distributed.timeout_secs);
        for (key, steps) in [("run.steps", self.run.steps), ("value_pretraining.steps", self.value_pretraining.steps)] {
            failures.unless(steps <= MAX_STEPS, || format!("{key} ({steps}) must be at most {MAX_STEPS}"));
        }
        failures.responses(
            ["rollout.prompts_per_step", "rollout.group_size"],
            [rollout.prompts_per_step, rollout.group_size],
        );
        failures.at_least("rollout.max_new_tokens", rollout.max_new_tokens, 1);
        failures.count("rollout.slots", rollout.slots, MAX_RESPONSES);
        failures.positive("rollout.temperature", rollout.temperature);
        failures.within("rollout.min_p", rollout.min_p, 0.0, 1.0);
        failures.within("eval.min_p", self.eval.min_p, 0.0, 1.0);
        for (key, top_p) in [("rollout.top_p", rollout.top_p), ("eval.top_p", self.eval.top_p)] {
            failures.unless(top_p > 0.0 && top_p <= 1.0, || {
                format!("{key} ({top_p}) must be greater than 0 and at most 1")
            });
        }
        for (key, top_k) in [("rollout.top_k", rollout.top_k), ("eval.top_k", self.eval.top_k)] {
            failures.at_least_one_or("off", key, top_k.map(|top_k| top_k as u64));
        }
        failures.at_least_one_or("off", "eval.every", self.eval.every);
        failures.at_least_one_or("off", "checkpoint.every", self.checkpoint.every);
        failures.at_least_one_or("off", "checkpoint.keep_every", self.checkpoint.keep_every);
        failures.positive_or_off("checkpoint.every_minutes", self.checkpoint.every_minutes);
        failures.positive_or_off("run.stop_timeout_secs", self.run.stop_timeout_secs);
        failures.at_least_one_or("all", "eval.keep", self.eval.keep.map(|keep| keep as u64));
        failures.at_least_one_or("all", "checkpoint.keep", self.checkpoint.keep.map(|keep| keep as u64));
        failures.at_least_one_or("off", "records.every", self.records.every);
        failures.at_least_one_or("all", "records.groups", self.records.groups.map(|groups| groups as u64));
        failures.at_least_one_or("all", "records.keep", self.records.keep.map(|keep| keep as u64));
        failures.responses(["eval.problems", "eval.samples"], [self.eval.problems, self.eval.samples]);
        failures.at_least("eval.max_new_tokens", self.eval.max_new_tokens.unwrap_or(1), 1);
        failures.not_negative("eval.temperature", self.eval.temperature);
    }

    fn check_critic(&self, failures: &mut Failures) {
        let pretraining = &self.value_pretraining;
        failures.responses(
            ["value_pretraining.prompts_per_step", "value_pretraining.group_size"],
            [pretraining.prompts_per_step, pretraining.group_size],
        );
        failures.count("value_pretraining.window", pretraining.window, MAX_RESPONSES);
        failures.not_negative("value_pretraining.min_progress", pretraining.min_progress);
        failures.not_negative("critic.head_std", self.critic.head_std);
        failures.positive_or_off("critic.value_clip", self.critic.value_clip);
    }

    fn check_data(&self, failures: &mut Failures) {
        let data = &self.data;
        if let Err(error) = vapo_tasks::check_terms(&self.reward.verifier) {
            failures.0.push(format!("reward.verifier: {error}"));
        }
        failures.within("reward.max_failed_share", self.reward.max_failed_share, 0.0, 1.0);
        failures.at_least("data.limit", data.limit.unwrap_or(1), 1);
        failures.at_least("data.max_prompt_tokens", data.max_prompt_tokens.unwrap_or(1), 1);
        for (key, files) in [("data.train", &data.train), ("data.eval", &data.eval)] {
            let Some(files) = files else { continue };
            failures.unless(!files.0.is_empty(), || format!("{key} must name at least one file"));
            files.0.iter().for_each(|file| failures.at_least(&format!("{key}.limit"), file.limit.unwrap_or(1), 1));
        }
        let weighted = data.eval.iter().flat_map(|files| &files.0).any(|file| file.weight.is_some());
        failures.unless(!weighted, || "data.eval must not have weights: they apply to training only".into());
        failures.unless(data.system_prompt.is_none() || data.chat != ChatUse::Never, || {
            "data.chat must not be `never` when data.system_prompt is set, which needs a chat".into()
        });
        failures.unless(data.train.is_none() || data.eval.is_some(), || {
            "data.train and data.eval must be given together, because progress is measured on held-out problems".into()
        });
        failures.unless(data.eval.is_none() || self.eval.split == Split::Test, || {
            "eval.split `validation` is for built-in tasks: name a file of validation problems in data.eval".into()
        });
        failures.unless(data.prompt_template.contains("{problem}"), || {
            format!("data.prompt_template ({:?}) must contain {{problem}}", data.prompt_template)
        });
        let empty = |texts: &[String]| texts.iter().any(String::is_empty);
        failures.unless(!empty(&self.rollout.stop_strings), || {
            "rollout.stop_strings must not contain an empty text".into()
        });
    }
}

fn check_optimizer(section: &str, optimizer: &OptimizerConfig, failures: &mut Failures) {
    let key = |name: &str| format!("{section}.{name}");
    failures.not_negative(&key("learning_rate"), optimizer.learning_rate);
    failures.within(&key("min_ratio"), optimizer.min_ratio, 0.0, 1.0);
    for (name, beta) in [("beta1", optimizer.beta1), ("beta2", optimizer.beta2)] {
        failures.unless((0.0..1.0).contains(&beta), || {
            format!("{} ({beta}) must be at least 0 and less than 1", key(name))
        });
    }
    failures.positive(&key("eps"), optimizer.eps);
    failures.not_negative(&key("weight_decay"), optimizer.weight_decay);
    failures.positive_or_off(&key("max_grad_norm"), optimizer.max_grad_norm);
}
