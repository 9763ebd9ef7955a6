//! A network in training: weights, gradients, AdamW and its schedule.

use std::ops::Range;

use serde::{Serialize, de::DeserializeOwned};
use vapo_lm::{AdamW, AdamWConfig, Buffer, Decay, Head, Model, Schedule};

use crate::{
    config::{OptimizerConfig, ScheduleKind},
    division::Division,
    error::Result,
};

/// A policy or critic with everything needed for its updates.
pub(crate) struct Network {
    /// Weights.
    pub(crate) model: Model,
    /// Moments and update count.
    pub(crate) optimizer: AdamW,
    schedule: Schedule,
    gradients: Buffer,
    /// Updates that were skipped since the last one whose gradient was finite.
    pub(crate) skipped: u64,
}

/// The result of an optimizer update.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Update {
    /// Global norm before clipping; an error with the norm if it was not finite, in which case the weights do not change.
    pub(crate) grad_norm: Result<f32, f32>,
    /// Learning rate.
    pub(crate) learning_rate: f32,
}

impl Network {
    /// A network with fresh moments; `total_updates` is the end of a falling schedule.
    pub(crate) fn new(model: Model, config: &OptimizerConfig, total_updates: u64) -> Self {
        let settings = AdamWConfig {
            beta1: config.beta1 as f32,
            beta2: config.beta2 as f32,
            eps: config.eps as f32,
            weight_decay: config.weight_decay as f32,
            max_grad_norm: config.max_grad_norm.map(|norm| norm as f32),
        };
        Self {
            gradients: model.zero_gradients(),
            optimizer: AdamW::new(settings, &model),
            schedule: schedule(config, total_updates),
            skipped: 0,
            model,
        }
    }

    /// Moves the end of a falling schedule to the update `total_updates`.
    pub(crate) fn plan(&mut self, total_updates: u64) {
        match &mut self.schedule.kind {
            Decay::Constant => {}
            Decay::Cosine { total, .. } | Decay::Linear { total, .. } => *total = total_updates,
        }
    }

    /// Learning rate of the next update.
    pub(crate) fn learning_rate(&self) -> f32 {
        self.schedule.at(self.optimizer.steps)
    }

    /// What [`Network::learning_rate`] would be with these settings and this end of the schedule.
    pub(crate) fn learning_rate_under(&self, config: &OptimizerConfig, total_updates: u64) -> f32 {
        schedule(config, total_updates).at(self.optimizer.steps)
    }

    /// Forgets the moments that other ranks have.
    pub(crate) fn divide(&mut self, division: &Division) {
        if division.is_shared() {
            let device = &self.model.device().clone();
            self.optimizer.keep_part(device, division.share(self.model.flat_len()));
        }
    }

    /// Lets `backward` add the gradients of an update's shards (of responses of these lengths), then takes one optimizer step,
    /// unless the gradient is not finite. Returns what `backward` does for each shard, too.
    ///
    /// # Errors
    /// Another rank failed.
    pub(crate) fn update<R: Serialize + DeserializeOwned>(
        &mut self,
        division: &mut Division,
        lengths: &[usize],
        backward: &mut dyn FnMut(&Model, &mut Buffer, Range<usize>) -> R,
    ) -> Result<(Update, Vec<R>)> {
        let (model, gradients, optimizer) = (&mut self.model, &mut self.gradients, &mut self.optimizer);
        let device = &model.device().clone();
        let results = division.sum_gradients(device, gradients, lengths, &mut |gradients, responses| {
            backward(model, gradients, responses)
        })?;
        let learning_rate = self.schedule.at(optimizer.steps);
        let squares = optimizer.block_squares(model, gradients);
        let squared_norm = division.sum_of_blocks(gradients.len(), &squares)?;
        let (grad_norm, completed) = optimizer.step(model, gradients, (squared_norm, learning_rate), |weights| {
            division.complete_shares("weights", weights)
        });
        completed.transpose()?;
        let is_finite = grad_norm.is_finite();
        self.skipped = if is_finite { 0 } else { self.skipped + 1 };
        let grad_norm = if is_finite { Ok(grad_norm) } else { Err(grad_norm) };
        Ok((Update { grad_norm, learning_rate }, results))
    }

    /// Its name in messages.
    pub(crate) fn name(&self) -> &'static str {
        match self.model.head() {
            Head::Language => "policy",
            Head::Value => "critic",
        }
    }
}

fn schedule(config: &OptimizerConfig, total: u64) -> Schedule {
    let min_ratio = config.min_ratio as f32;
    Schedule {
        learning_rate: config.learning_rate as f32,
        warmup: config.warmup_updates,
        kind: match config.schedule {
            ScheduleKind::Constant => Decay::Constant,
            ScheduleKind::Cosine => Decay::Cosine { total, min_ratio },
            ScheduleKind::Linear => Decay::Linear { total, min_ratio },
        },
    }
}

#[cfg(test)]
mod tests {
    use vapo_lm::{Device, ModelConfig, Sizes};

    use super::*;

    const NORM: &str = "model.norm.weight";

    fn network() -> Network {
        let shape = ModelConfig::new(Sizes {
            vocab_size: 8,
            hidden_size: 16,
            intermediate_size: 16,
            num_layers: 1,
            num_heads: 1,
            num_kv_heads: 1,
            max_positions: 8,
        });
        let config = OptimizerConfig { learning_rate: 0.1, warmup_updates: 0, ..OptimizerConfig::default() };
        Network::new(Model::random(&Device::cpu(1), shape, Head::Language, 1), &config, 10)
    }

    #[test]
    fn a_gradient_that_is_not_finite_is_skipped_and_counted() {
        let (mut network, mut division) = (network(), Division::single());
        let mut update = |network: &mut Network, gradient: f32| {
            let set = &mut |model: &Model, gradients: &mut Buffer, _: Range<usize>| {
                model.set_tensor_in(gradients, NORM, &[gradient; 16]);
            };
            network.update(&mut division, &[1], set).unwrap().0.grad_norm
        };
        let before = network.model.weights();
        assert!(update(&mut network, f32::NAN).unwrap_err().is_nan());
        assert_eq!((network.optimizer.steps, network.skipped), (0, 1));
        assert!(network.model.weights() == before);

        assert_eq!(update(&mut network, 3.0), Ok(12.0), "16 gradients of 3");
        assert!(network.model.tensor(NORM).unwrap()[0] < 1.0 && network.optimizer.steps == 1);

        assert_eq!((update(&mut network, f32::INFINITY), network.skipped), (Err(f32::INFINITY), 1), "not in a row");
        assert!(update(&mut network, f32::NAN).is_err() && network.skipped == 2);
    }
}
