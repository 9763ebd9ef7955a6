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
        let Some(positions) = self.max_positions else { return Ok(()) };
        self.check(positions, shape)?;
        shape.limit_positions(positions);
        Ok(())
    }

    /// Limits the context of a network.
    ///
    /// # Errors
    /// The network's own context is shorter.
    pub fn limit(&self, model: &mut Model) -> Result<()> {
        let Some(positions) = self.max_positions else { return Ok(()) };
        self.check(positions, model.config())?;
        model.limit_positions(positions);
        Ok(())
    }

    fn check(&self, positions: usize, shape: &vapo_lm::ModelConfig) -> Result<()> {
        let longest = shape.max_position_embeddings;
        if positions <= longest {
            return Ok(());
        }
        Err(Error::Run(format!(
            "model.max_positions ({positions}) must be at most the model's max_position_embeddings ({longest})"
        )))
    }
}
