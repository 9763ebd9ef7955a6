//! AdamW and learning-rate schedules.

use crate::Model;
use std::ops::Range;
use vapo_kernels::{AdamWStep, Buffer, Device, SQUARES_BLOCK, adamw, block_squares, zero};

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
///
/// It may have only a part of a network's moments, and update only that part of the weights (ZeRO-1, Rajbhandari et al. 2020).
pub struct AdamW {
    /// Settings.
    pub config: AdamWConfig,
    /// Running mean of gradients, flat: of the part that it updates.
    pub first_moment: Buffer,
    /// Running mean of squared gradients, as above.
    pub second_moment: Buffer,
    /// Updates so far.
    pub steps: u64,
    part: Range<usize>,
}

impl Clone for AdamW {
    fn clone(&self) -> AdamW {
        AdamW {
            config: self.config.clone(),
            first_moment: self.first_moment.clone(),
            second_moment: self.second_moment.clone(),
            steps: self.steps,
            part: self.part.clone(),
        }
    }

    /// Copies the moments into the memory that it has.
    fn clone_from(&mut self, from: &AdamW) {
        self.config.clone_from(&from.config);
        self.first_moment.clone_from(&from.first_moment);
        self.second_moment.clone_from(&from.second_moment);
        self.steps = from.steps;
        self.part = from.part.clone();
    }
}

impl AdamW {
    /// A fresh optimizer for a model, on its device.
    pub fn new(config: AdamWConfig, model: &Model) -> AdamW {
        let (first_moment, second_moment) = (model.zero_gradients(), model.zero_gradients());
        AdamW { config, first_moment, second_moment, steps: 0, part: 0..model.flat_len() }
    }

    /// Forgets the moments outside a part of the flat buffers, which begins with a block of [`SQUARES_BLOCK`] values.
    ///
    /// # Panics
    /// If it has not all moments.
    pub fn keep_part(&mut self, device: &Device, part: Range<usize>) {
        assert!(part.start.is_multiple_of(SQUARES_BLOCK) || part.is_empty(), "a part begins with a block");
        for moment in [&mut self.first_moment, &mut self.second_moment] {
            assert_eq!(moment.len(), self.part.len(), "all moments are there");
            *moment = Buffer::from_slice(device, &moment.slice(part.clone()).to_vec(device));
        }
        self.part = part;
    }

    /// This optimizer with all moments, the first and the second, flat.
    ///
    /// # Panics
    /// If they are not as long as the model's flat buffers.
    pub fn with_all(&self, model: &Model, [first, second]: [&[f32]; 2]) -> AdamW {
        assert_eq!([first.len(), second.len()], [model.flat_len(); 2], "a moment for each weight");
        let moment = |values| Buffer::from_slice(model.device(), values);
        AdamW {
            config: self.config.clone(),
            first_moment: moment(first),
            second_moment: moment(second),
            steps: self.steps,
            part: 0..model.flat_len(),
        }
    }

    /// The part of the flat buffers that it updates.
    pub fn part(&self) -> Range<usize> {
        self.part.clone()
    }

    /// Clips `grads` to the largest norm, updates the model, zeroes `grads`; returns the norm before clipping.
    /// A norm that is not finite changes nothing but the gradient: the caller decides what to do.
    pub fn update(&mut self, model: &mut Model, grads: &mut Buffer, learning_rate: f32) -> f32 {
        let squares = self.block_squares(model, grads);
        self.step(model, grads, (squares.iter().sum(), learning_rate), |_| ()).0
    }

    /// Sums of squares of its part of a gradient, by blocks: in the order of all parts they add up to the squared norm.
    pub fn block_squares(&self, model: &Model, grads: &Buffer) -> Vec<f64> {
        block_squares(model.device(), grads.slice(self.part.clone()))
    }

    /// Updates its part of a model by its part of `grads`, given the squared norm of the whole gradient, and zeroes `grads`;
    /// `complete` then sees all exact weights and supplies those of other parts. Returns the norm and what `complete` does.
    /// With a norm that is not finite, `complete` changes nothing either.
    pub fn step<R>(
        &mut self,
        model: &mut Model,
        grads: &mut Buffer,
        (squared_norm, learning_rate): (f64, f32),
        complete: impl FnOnce(&mut [f32]) -> R,
    ) -> (f32, Option<R>) {
        let device = &model.device().clone();
        let norm = squared_norm.sqrt();
        if !norm.is_finite() {
            zero(device, grads.view_mut());
            return (norm as f32, None);
        }
        self.steps += 1;
        let step = self.numbers(norm, learning_rate);
        let (first, second, part) = (&mut self.first_moment, &mut self.second_moment, self.part.clone());
        let gradient = grads.slice_mut(part.clone());
        let result = model.parameters.update(device, |exact| {
            adamw(device, &step, exact.slice_mut(part.clone()), gradient, first.view_mut(), second.view_mut());
            exact.edit(device, complete)
        });
        if part.len() < grads.len() {
            zero(device, grads.view_mut());
        }
        (norm as f32, Some(result))
    }

    /// The numbers of its step number `steps`.
    fn numbers(&self, norm: f64, learning_rate: f32) -> AdamWStep {
        let AdamWConfig { beta1, beta2, eps, weight_decay, max_grad_norm } = self.config;
        let clip = max_grad_norm.map_or(1.0, |max| (f64::from(max) / norm.max(1e-12)).min(1.0));
        let correction = |beta: f32| (1.0 - libm::pow(f64::from(beta), self.steps as f64)) as f32;
        AdamWStep {
            learning_rate,
            beta1,
            beta2,
            eps,
            weight_decay,
            correction1: correction(beta1),
            correction2: correction(beta2),
            gradient_scale: clip as f32,
        }
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
