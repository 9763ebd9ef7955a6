//! The shapes of a run's networks.

use std::path::Path;

use vapo_lm::ModelConfig;

use crate::{
    config::Config,
    error::{Error, Result},
};

/// The shapes of a run's networks.
#[derive(Clone, Debug)]
pub struct Shapes {
    /// The policy's, and the reference policy's.
    pub policy: ModelConfig,
    /// The critic's; `None` for methods without one.
    pub critic: Option<ModelConfig>,
}

impl Shapes {
    /// Reads the `config.json` of the policy's starting directory, and of the critic's if it is a different one.
    ///
    /// # Errors
    /// A file is missing or invalid.
    pub fn load(config: &Config, policy: &Path) -> Result<Self> {
        let limited = |directory: &Path| {
            let mut shape = ModelConfig::load(directory)?;
            config.model.limit_shape(&mut shape)?;
            Ok::<_, Error>(shape)
        };
        let policy = limited(policy)?;
        let critic = match &config.critic.path {
            _ if !config.has_critic() => None,
            Some(path) => Some(limited(path)?),
            None => Some(policy.clone()),
        };
        Ok(Self { policy, critic })
    }
}
