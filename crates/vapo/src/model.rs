//! Which model a command works with, and the settings that belong to it.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use vapo_train::{Config, LanguageModel, ModelDirectory, RunDir, base_directory};

use crate::args::{ModelArgs, SamplingArgs};

/// A model with the config that says what it is asked and how.
pub(crate) struct Chosen {
    /// What to call it.
    pub(crate) name: String,
    /// Settings.
    pub(crate) config: Config,
    directory: ModelDirectory,
}

impl Chosen {
    /// Finds the model and reads its config, with the flags over it.
    ///
    /// # Errors
    /// There is no model, or a setting is wrong.
    pub(crate) fn new(args: &ModelArgs, sampling: &SamplingArgs, more: &[String]) -> Result<Self> {
        let found = args.model.as_deref().map(Found::at).transpose()?;
        let own_config = found.as_ref().and_then(|found| found.config.as_deref());
        let mut overrides = sampling.overrides();
        overrides.extend_from_slice(more);
        overrides.extend(args.overrides.iter().cloned());
        let config = Config::load(args.config.as_deref().or(own_config), &overrides)?;
        let (name, directory) = match found {
            Some(found) => (found.policy.display().to_string(), ModelDirectory::new(&found.policy)),
            None => (base_name(&config), base_directory(&config)?),
        };
        Ok(Self { name, config, directory })
    }

    /// Reads weights and tokenizer.
    ///
    /// # Errors
    /// A file is missing or wrong.
    pub(crate) fn load(&self) -> Result<LanguageModel> {
        Ok(LanguageModel::load(self.directory.path())?)
    }
}

/// What to call the model that a run starts from.
pub(crate) fn base_name(config: &Config) -> String {
    match &config.model.path {
        Some(path) => path.display().to_string(),
        None => format!("built-in base model for `{}`", config.data.task),
    }
}

/// What lies at a path.
struct Found {
    policy: PathBuf,
    config: Option<PathBuf>,
}

impl Found {
    /// A run, a checkpoint, a checkpoint's policy, or any model directory.
    fn at(path: &Path) -> Result<Self> {
        if path.join("checkpoints").is_dir() {
            let Some((_, newest)) = RunDir::open(path)?.checkpoints()?.pop() else {
                bail!(
                    "the run {} has no checkpoint yet (checkpoint.every says how often it writes one)",
                    path.display()
                );
            };
            return Self::at(&newest);
        }
        if path.join("policy/config.json").is_file() {
            return Self::at(&path.join("policy"));
        }
        if path.join("config.json").is_file() {
            let config =
                path.parent().map(|checkpoint| checkpoint.join("config.toml")).filter(|config| config.is_file());
            let is_policy = path.file_name().is_some_and(|name| name == "policy");
            return Ok(Self { policy: path.to_path_buf(), config: config.filter(|_| is_policy) });
        }
        let problem = if path.exists() { "holds no model" } else { "does not exist" };
        bail!(
            "{} {problem}: expected a run (checkpoints/), a checkpoint (policy/) or a Hugging Face directory (config.json)",
            path.display()
        );
    }
}
