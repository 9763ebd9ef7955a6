//! The model that a command uses, and its settings.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use vapo_lm::{Device, ModelConfig, not_a_model};
use vapo_train::{Config, LanguageModel, ModelDirectory, RunDir, TextFiles, base_directory};

use crate::{args::ModelArgs, config};

/// A model with the config that defines its problems and prompts.
pub(crate) struct Chosen {
    /// Its name in messages.
    pub(crate) name: String,
    /// Settings.
    pub(crate) config: Config,
    directory: ModelDirectory,
    /// Whether the verifier is named by the model's own directory and not by the user.
    verifier_is_recorded: bool,
}

impl Chosen {
    /// Finds the model and reads its config, overridden by a command's flags (`flags`) and then by the user's `--set`.
    ///
    /// # Errors
    /// There is no model, or a setting is invalid.
    pub(crate) fn new(args: &ModelArgs, flags: &[String]) -> Result<Self> {
        let found = args.model.as_deref().map(|path| Found::at(path, Network::Policy)).transpose()?;
        let own_config = found.as_ref().and_then(|found| found.config.as_deref());
        let overrides = [flags, &args.overrides].concat();
        let config = config::load(args.config.as_deref().or(own_config), &overrides)?;
        let is_verifier = |text: &String| text.split_once('=').is_some_and(|(key, _)| key.trim() == "reward.verifier");
        let verifier_is_recorded = args.config.is_none() && own_config.is_some() && !overrides.iter().any(is_verifier);
        let (name, directory) = match found {
            Some(found) => (found.directory.display().to_string(), ModelDirectory::new(&found.directory)),
            None => (base_name(&config), base_directory(&config)?),
        };
        Ok(Self { name, config, directory, verifier_is_recorded })
    }

    /// Refuses to grade by a program or a server that is not the user's choice.
    ///
    /// # Errors
    /// As for [`config::refuse_outside_actions`], unless the user chose the verifier.
    pub(crate) fn refuse_recorded_programs(&self) -> Result<()> {
        if self.verifier_is_recorded { config::refuse_outside_actions(&self.config, &self.name) } else { Ok(()) }
    }

    /// Reads weights and tokenizer, if `check` accepts the memory that the model's shape needs.
    ///
    /// # Errors
    /// A file is missing or invalid, or there is too little memory.
    pub(crate) fn load(
        &self,
        device: &Device,
        check: impl FnOnce(&ModelConfig, &TextFiles) -> vapo_train::Result<()>,
    ) -> Result<LanguageModel> {
        Ok(LanguageModel::load_if_it_fits(device, self.directory.path(), &self.config, check)?)
    }

    /// The model's directory.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }
}

/// The name of the model that a run starts from.
pub(crate) fn base_name(config: &Config) -> String {
    match &config.model.path {
        Some(path) => path.display().to_string(),
        None => format!("built-in base model for `{}`", config.data.task),
    }
}

/// The networks of a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Network {
    Policy,
    Critic,
}

impl Network {
    /// Its directory in a checkpoint.
    fn name(self) -> &'static str {
        match self {
            Self::Policy => "policy",
            Self::Critic => "critic",
        }
    }
}

/// The model found at a path.
pub(crate) struct Found {
    /// The network's directory.
    pub(crate) directory: PathBuf,
    /// The config of the run it comes from.
    pub(crate) config: Option<PathBuf>,
}

impl Found {
    /// The network of a run (its newest checkpoint), of a checkpoint, or any model directory.
    ///
    /// # Errors
    /// There is none.
    pub(crate) fn at(path: &Path, network: Network) -> Result<Self> {
        let name = network.name();
        if path.join("checkpoints").is_dir() {
            let Some((_, newest)) = RunDir::open(path)?.checkpoints()?.pop() else {
                bail!(
                    "the run {} has no checkpoint yet (checkpoint.every sets how often it writes one)",
                    path.display()
                );
            };
            return Self::at(&newest, network);
        }
        if path.join(name).join("config.json").is_file() {
            vapo_train::verify_network(path, name)
                .with_context(|| format!("the checkpoint {} is damaged", path.display()))?;
            return Self::at(&path.join(name), network);
        }
        if path.join("config.json").is_file() {
            let config =
                path.parent().map(|checkpoint| checkpoint.join("config.toml")).filter(|config| config.is_file());
            let is_of_a_run = path.file_name().is_some_and(|file| file == name);
            return Ok(Self { directory: path.to_path_buf(), config: config.filter(|_| is_of_a_run) });
        }
        bail!(
            "{}; expected a run (checkpoints/), a checkpoint ({name}/) or a Hugging Face directory (config.json)",
            not_a_model(path)
        );
    }
}
