//! `model.max_positions`, applied to networks.

use vapo_lm::Model;

use super::ModelConfig;
use crate::error::{Error, Result};

impl ModelConfig {
    /// Limits the context of a network's shape.
    ///
    /// # Errors
    /// The network's own context is shorter.
    pub(crate) fn limit_shape(&self, shape: &mut vapo_lm::ModelConfig) -> Result<()> {
        self.positions_of(shape)?.into_iter().for_each(|positions| shape.limit_positions(positions));
        Ok(())
    }

    /// Limits the context of a network.
    ///
    /// # Errors
    /// The network's own context is shorter.
    pub fn limit(&self, model: &mut Model) -> Result<()> {
        self.positions_of(model.config())?.into_iter().for_each(|positions| model.limit_positions(positions));
        Ok(())
    }

    /// The limit, if there is one.
    fn positions_of(&self, shape: &vapo_lm::ModelConfig) -> Result<Option<usize>> {
        let longest = shape.max_position_embeddings;
        match self.max_positions {
            Some(positions) if positions > longest => Err(Error::Run(format!(
                "model.max_positions ({positions}) must be at most the model's max_position_embeddings ({longest})"
            ))),
            positions => Ok(positions),
        }
    }
}
