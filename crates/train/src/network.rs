//! A network in training: weights, gradients, AdamW and its schedule.

use vapo_lm::{AdamW, AdamWConfig, Buffer, Decay, Engine, Model, Schedule};

use crate::{
    config::{OptimizerConfig, ScheduleKind},
    error::{Error, Result},
};

/// A policy or critic with everything its updates need.
pub(crate) struct Network {
    /// Weights.
    pub(crate) model: Model,
    /// Moments and update count.
    pub(crate) optimizer: AdamW,
    schedule: Schedule,
    gradients: Buffer,
}

/// What an optimizer update did.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Update {
    /// Global norm before clipping.
    pub(crate) grad_norm: f32,
    /// Learning rate.
    pub(crate) learning_rate: f32,
}

impl Network {
    /// A network with fresh moments; `total_updates` is where a falling schedule ends.
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
            optimizer: AdamW::new(settings, model.flat_len()),
            schedule: schedule(config, total_updates),
            model,
        }
    }

    /// Lets `backward` add gradients of the whole update, then takes one optimizer step.
    ///
    /// # Errors
    /// The gradient is not finite: the weights are untouched, but training has diverged.
    pub(crate) fn update(
        &mut self,
        engine: &mut Engine,
        backward: impl FnOnce(&mut Engine, &Model, &mut [f32]),
    ) -> Result<Update> {
        backward(engine, &self.model, &mut self.gradients);
        let learning_rate = self.schedule.at(self.optimizer.steps);
        let grad_norm = self.optimizer.update(engine, &mut self.model, &mut self.gradients, learning_rate);
        if !grad_norm.is_finite() {
            let (head, updates) = (self.model.head(), self.optimizer.steps);
            return Err(Error::Run(format!(
                "the gradient of the network with the {head:?} head is not finite after {updates} updates, try a lower learning rate ({learning_rate})"
            )));
        }
        Ok(Update { grad_norm, learning_rate })
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
