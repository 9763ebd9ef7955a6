//! AdamW and learning-rate schedules.

use crate::Model;
use vapo_kernels::{AdamWStep, Buffer, adamw, sum_of_squares, zero};

/// Settings of [`AdamW`].
#[derive(Clone, Debug, PartialEq)]
pub struct AdamWConfig {
    /// Decay of the first moment.
    pub beta1: f32,
    /// Decay of the second moment.
    pub beta2: f32,
    /// Added to the root of the second moment.
    pub eps: f32,
    /// Decoupled decay of every weight, as a share of the learning rate.
    pub weight_decay: f32,
    /// Largest global gradient norm; longer gradients are scaled down to it.
    pub max_grad_norm: Option<f32>,
}

impl Default for AdamWConfig {
    fn default() -> AdamWConfig {
        AdamWConfig { beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.0, max_grad_norm: Some(1.0) }
    }
}

/// AdamW (Loshchilov & Hutter 2019) with global-norm clipping. Its state is public for checkpoints.
pub struct AdamW {
    /// Settings.
    pub config: AdamWConfig,
    /// Running mean of gradients, flat.
    pub first_moment: Buffer,
    /// Running mean of squared gradients, flat.
    pub second_moment: Buffer,
    /// Updates so far.
    pub steps: u64,
}

impl Clone for AdamW {
    fn clone(&self) -> AdamW {
        AdamW {
            config: self.config.clone(),
            first_moment: self.first_moment.clone(),
            second_moment: self.second_moment.clone(),
            steps: self.steps,
        }
    }

    /// Copies the moments into the memory that it has.
    fn clone_from(&mut self, from: &AdamW) {
        self.config.clone_from(&from.config);
        self.first_moment.clone_from(&from.first_moment);
        self.second_moment.clone_from(&from.second_moment);
        self.steps = from.steps;
    }
}

impl AdamW {
    /// A fresh optimizer for a model, on its device.
    pub fn new(config: AdamWConfig, model: &Model) -> AdamW {
        AdamW { config, first_moment: model.zero_gradients(), second_moment: model.zero_gradients(), steps: 0 }
    }

    /// Clips `grads` to the largest norm, updates the model, zeroes `grads`; returns the norm before clipping.
    /// A norm that is not finite changes nothing but the gradient: the caller decides what to do.
    pub fn update(&mut self, model: &mut Model, grads: &mut Buffer, learning_rate: f32) -> f32 {
        let device = &model.device().clone();
        let norm = sum_of_squares(device, grads.view()).sqrt();
        if !norm.is_finite() {
            zero(device, grads.view_mut());
            return norm as f32;
        }
        self.steps += 1;
        let AdamWConfig { beta1, beta2, eps, weight_decay, max_grad_norm } = self.config;
        let clip = max_grad_norm.map_or(1.0, |max| (f64::from(max) / norm.max(1e-12)).min(1.0));
        let correction = |beta: f32| (1.0 - libm::pow(f64::from(beta), self.steps as f64)) as f32;
        let step = AdamWStep {
            learning_rate,
            beta1,
            beta2,
            eps,
            weight_decay,
            correction1: correction(beta1),
            correction2: correction(beta2),
            gradient_scale: clip as f32,
        };
        let (first, second) = (&mut self.first_moment, &mut self.second_moment);
        model.parameters.update(device, |exact| {
            adamw(device, &step, exact.view_mut(), grads.view_mut(), first.view_mut(), second.view_mut());
        });
        norm as f32
    }
}

/// A learning rate over updates: linear warmup, then [`Decay`].
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    /// The rate after warmup.
    pub learning_rate: f32,
    /// Updates until it is reached; update `u` (from 0) has the share `(u + 1) / (warmup + 1)` of it before.
    pub warmup: u64,
    /// What follows.
    pub kind: Decay,
}

/// What a learning rate does after warmup.
#[derive(Clone, Debug, PartialEq)]
pub enum Decay {
    /// It stays.
    Constant,
    /// Half a cosine, down to `min_ratio` of it at update `total`.
    Cosine {
        /// Updates in all, warmup included.
        total: u64,
        /// Share that is left at the end.
        min_ratio: f32,
    },
    /// A straight line to `min_ratio` of it at update `total`.
    Linear {
        /// Updates in all, warmup included.
        total: u64,
        /// Share that is left at the end.
        min_ratio: f32,
    },
}

impl Schedule {
    /// The rate of update `update`, counted from 0.
    pub fn at(&self, update: u64) -> f32 {
        if update < self.warmup {
            return self.learning_rate * (update + 1) as f32 / (self.warmup + 1) as f32;
        }
        let left = |total: u64| {
            1.0 - ((update - self.warmup) as f64 / total.saturating_sub(self.warmup).max(1) as f64).min(1.0)
        };
        let share = match self.kind {
            Decay::Constant => 1.0,
            Decay::Linear { total, min_ratio } => f64::from(min_ratio) + (1.0 - f64::from(min_ratio)) * left(total),
            Decay::Cosine { total, min_ratio } => {
                let half = 0.5 * (1.0 - libm::cos(std::f64::consts::PI * left(total)));
                f64::from(min_ratio) + (1.0 - f64::from(min_ratio)) * half
            }
        };
        self.learning_rate * share as f32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn schedules() {
        let at = |kind: Decay, u: u64| Schedule { learning_rate: 2.0, warmup: 3, kind }.at(u);
        let constant: Vec<f32> = (0..5).map(|u| at(Decay::Constant, u)).collect();
        assert_eq!(constant, [0.5, 1.0, 1.5, 2.0, 2.0]);
        let linear = |u| at(Decay::Linear { total: 13, min_ratio: 0.1 }, u);
        assert_eq!([linear(3), linear(8), linear(13), linear(99)], [2.0, 1.1, 0.2, 0.2]);
        let cosine = |u| at(Decay::Cosine { total: 13, min_ratio: 0.0 }, u);
        assert_eq!([cosine(3), cosine(8), cosine(13)], [2.0, 1.0, 0.0]);
        assert!((cosine(4) - 2.0 * 0.5 * (1.0 + (std::f32::consts::PI / 10.0).cos())).abs() < 1e-6);
    }
}
