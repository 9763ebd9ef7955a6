//! The models from which a run starts.

use vapo_lm::{Device, Head, Model, ModelConfig};

use crate::{
    base::{LanguageModel, ModelDirectory},
    config::Config,
    error::{Error, Result},
};

/// The models from which a run starts or continues.
pub(crate) struct Models {
    pub(crate) policy: LanguageModel,
    /// `None` for methods without a critic.
    pub(crate) critic: Option<Model>,
    /// The initial policy, if the divergence from it is measured.
    pub(crate) reference: Option<Model>,
}

impl Models {
    /// The models of a new run.
    pub(crate) fn initial(device: &Device, config: &Config) -> Result<Self> {
        let policy = LanguageModel::load(device, base_directory(config)?.path())?.for_data(&config.data)?;
        let critic = match &config.critic.path {
            _ if !config.has_critic() => None,
            Some(path) => Some(Model::load(device, path, Head::Value)?),
            None => {
                let mut critic = policy.model.to_critic();
                critic.randomize_value_head(config.critic.head_std as f32, config.run.seed);
                Some(critic)
            }
        };
        let reference = config.has_reference().then(|| policy.model.clone());
        Self { policy, critic, reference }.checked(config)
    }

    /// The models with their context limited as the config says.
    ///
    /// # Errors
    /// A model has a shorter context, or cannot read every text that the policy can read.
    pub(crate) fn checked(mut self, config: &Config) -> Result<Self> {
        let others = self.critic.iter_mut().chain(&mut self.reference);
        for model in others.chain([&mut self.policy.model]) {
            config.model.limit(model)?;
        }
        let policy = self.policy.model.config();
        for (name, model) in [("critic", &self.critic), ("reference policy", &self.reference)] {
            let Some(shape) = model.as_ref().map(Model::config) else { continue };
            check_reads_the_same(name, shape, policy)?;
        }
        Ok(self)
    }
}

/// # Errors
/// The network called `name` cannot read every text that the policy can read.
pub(crate) fn check_reads_the_same(name: &str, shape: &ModelConfig, policy: &ModelConfig) -> Result<()> {
    if shape.vocab_size != policy.vocab_size {
        return Err(Error::Run(format!(
            "the {name}'s vocab_size ({}) must be equal to the policy's ({}), because both read the same tokens",
            shape.vocab_size, policy.vocab_size
        )));
    }
    if shape.max_position_embeddings < policy.max_position_embeddings {
        return Err(Error::Run(format!(
            "the {name}'s max_position_embeddings ({}) must be at least the policy's ({})",
            shape.max_position_embeddings, policy.max_position_embeddings
        )));
    }
    Ok(())
}

/// The directory of the model from which a config starts.
///
/// # Errors
/// There is none for the built-in task.
pub fn base_directory(config: &Config) -> Result<ModelDirectory> {
    match &config.model.path {
        Some(path) => Ok(ModelDirectory::new(path)),
        None => ModelDirectory::built_in(&config.data.task),
    }
}
