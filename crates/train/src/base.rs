//! Hugging Face model directories: weights, tokenizer, and the files that are copied unchanged.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use serde_json::{Map, Value};
use vapo_lm::{ChatTemplate, Device, Head, Model, ModelConfig, Tokenizer, read_model_file};
use vapo_tasks::Problem;

use crate::{
    chat::Chat,
    config::{Config, DataConfig},
    error::{Error, Result},
    files::write_atomically,
};

/// Files that are copied unchanged into a checkpoint, in addition to the weights.
const CARRIED: &[&str] = &[
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "tokenizer.model",
    "chat_template.jinja",
    "generation_config.json",
];

/// Largest of these files, in bytes.
const MAX_CARRIED: u64 = 256 << 20;

/// A model directory: the user's, or that of a built-in base model, which is unpacked for the lifetime of this value.
pub struct ModelDirectory {
    path: PathBuf,
    _unpacked: Option<tempfile::TempDir>,
}

/// The files of a base model that comes with the program.
macro_rules! built_in {
    ($task:literal) => {
        (
            $task,
            [
                ("config.json", include_bytes!(concat!("../base/", $task, "/config.json")).as_slice()),
                ("model.safetensors", include_bytes!(concat!("../base/", $task, "/model.safetensors")).as_slice()),
                ("tokenizer.json", include_bytes!(concat!("../base/", $task, "/tokenizer.json")).as_slice()),
                (
                    "tokenizer_config.json",
                    include_bytes!(concat!("../base/", $task, "/tokenizer_config.json")).as_slice(),
                ),
            ],
        )
    };
}

/// Names and contents of a directory.
type Files = [(&'static str, &'static [u8]); 4];

/// Base models made by [`pretrain`](crate::pretrain::pretrain) with [`of_task`](crate::pretrain::PretrainSettings::of_task).
const BUILT_IN: [(&str, Files); 2] = [built_in!("chain"), built_in!("recall")];

impl ModelDirectory {
    /// An existing directory.
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_path_buf(), _unpacked: None }
    }

    /// The base model of a built-in task.
    ///
    /// # Errors
    /// The task has no base model, or it cannot be unpacked.
    pub fn built_in(task: &str) -> Result<Self> {
        let Some((_, files)) = BUILT_IN.iter().find(|(name, _)| *name == task) else {
            let known = BUILT_IN.map(|(name, _)| name).join(", ");
            return Err(Error::Run(format!(
                "there is no built-in base model for the task `{task}` (only for {known}): make one with `vapo pretrain` and set model.path to its directory"
            )));
        };
        let unpacked = tempfile::tempdir().map_err(Error::io("create", &std::env::temp_dir()))?;
        for (name, bytes) in files {
            let path = unpacked.path().join(name);
            fs::write(&path, bytes).map_err(Error::io("write", &path))?;
        }
        Ok(Self { path: unpacked.path().to_path_buf(), _unpacked: Some(unpacked) })
    }

    /// Its path.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// A language model with its tokenizer and files.
pub struct LanguageModel {
    /// Weights.
    pub model: Model,
    /// Its tokenizer and files.
    pub text: TextFiles,
}

impl LanguageModel {
    /// Reads a Hugging Face directory.
    ///
    /// # Errors
    /// Weights or tokenizer are missing or cannot be read.
    pub fn load(device: &Device, directory: &Path) -> Result<Self> {
        Self::load_if_it_fits(device, directory, &Config::default(), |_, _| Ok(()))
    }

    /// Reads a Hugging Face directory for inference, according to a config: shape and tokenizer first, and the weights only if
    /// `check` succeeds.
    ///
    /// # Errors
    /// As for [`LanguageModel::load`], or there is too little memory.
    pub fn load_if_it_fits(
        device: &Device,
        directory: &Path,
        config: &Config,
        check: impl FnOnce(&ModelConfig, &TextFiles) -> Result<()>,
    ) -> Result<Self> {
        let (mut shape, text) = (ModelConfig::load(directory)?, TextFiles::load(directory)?.for_data(&config.data)?);
        config.model.limit_shape(&mut shape)?;
        text.tokenizer.check_fits(&shape).map_err(|problem| Error::file(directory, problem))?;
        check(&shape, &text)?;
        let mut model = Model::load_for_inference(device, directory, Head::Language, config.model.dtype.into())?;
        config.model.limit(&mut model)?;
        Ok(Self { model, text })
    }

    /// Applies a config's settings for the chat template.
    ///
    /// # Errors
    /// As for [`TextFiles::for_data`].
    pub fn for_data(self, data: &DataConfig) -> Result<Self> {
        Ok(Self { text: self.text.for_data(data)?, ..self })
    }
}

/// The tokenizer and the files it came from.
pub struct TextFiles {
    /// The tokenizer.
    pub tokenizer: Tokenizer,
    /// Tokens before every prompt, e.g. a beginning-of-sequence token.
    prefix: Vec<u32>,
    chat: Chat,
    /// The files, unchanged.
    pub(crate) files: TokenizerFiles,
}

/// The files of a tokenizer by their names.
#[derive(Clone)]
pub(crate) struct TokenizerFiles(Arc<[(&'static str, Vec<u8>)]>);

impl TokenizerFiles {
    /// Writes all files into a model directory.
    pub(crate) fn save(&self, directory: &Path) -> Result<()> {
        self.0.iter().try_for_each(|(name, bytes)| write_atomically(&directory.join(name), bytes))
    }
}

impl TextFiles {
    /// Reads the tokenizer of a model directory.
    ///
    /// # Errors
    /// `tokenizer.json` is missing or invalid.
    pub fn load(directory: &Path) -> Result<Self> {
        let mut files = Vec::new();
        for &name in CARRIED {
            if let Some(bytes) = read_model_file(directory, name, MAX_CARRIED)? {
                files.push((name, bytes));
            }
        }
        let chat = Chat::load(directory);
        let prefix = prefix_of(&files);
        Ok(Self { tokenizer: Tokenizer::load(directory)?, prefix, chat, files: TokenizerFiles(files.into()) })
    }

    /// The tokenizer of a built-in task, from the texts of its two files.
    ///
    /// # Errors
    /// The tokenizer is invalid.
    pub fn from_texts(tokenizer_json: String, tokenizer_config_json: String) -> Result<Self> {
        let tokenizer = Tokenizer::from_json(tokenizer_json.as_bytes())?;
        let files = vec![
            ("tokenizer.json", tokenizer_json.into_bytes()),
            ("tokenizer_config.json", tokenizer_config_json.into_bytes()),
        ];
        let prefix = prefix_of(&files);
        Ok(Self { tokenizer, prefix, chat: Chat::none(), files: TokenizerFiles(files.into()) })
    }

    /// Applies a config's settings for the chat template; without this call, the defaults apply.
    ///
    /// # Errors
    /// A setting of the template is invalid.
    pub fn for_data(mut self, data: &DataConfig) -> Result<Self> {
        self.chat.configure(data)?;
        Ok(self)
    }

    /// The tokens of a problem's prompt: those of the rendered chat, which contains every special token it needs, or those of
    /// the text from [`TextFiles::encode_prompt`].
    ///
    /// # Errors
    /// The chat template is missing or refuses the conversation, or the tokenizer cannot encode the text.
    pub fn encode(&self, problem: &Problem) -> Result<Vec<u32>> {
        match self.chat.render(problem)? {
            Some(text) => Ok(self.tokenizer.encode(&text)?),
            None => self.encode_prompt(&problem.prompt),
        }
    }

    /// The chat template and its variables; `None` without a template or if the config never uses it.
    ///
    /// # Errors
    /// The template is invalid.
    pub fn chat_template(&self) -> Result<Option<(&ChatTemplate, &Map<String, Value>)>> {
        self.chat.template()
    }

    /// The special token that ends an answer in the chat template, if there is one.
    pub(crate) fn end_of_turn(&self) -> Option<u32> {
        let first = *self.tokenizer.encode(&self.chat.after_answer()?).ok()?.first()?;
        self.tokenizer.is_special(first).then_some(first)
    }

    /// A prompt's tokens, with the special tokens that the tokenizer adds at the start.
    ///
    /// # Errors
    /// The tokenizer cannot encode the text.
    pub fn encode_prompt(&self, text: &str) -> Result<Vec<u32>> {
        let mut tokens = self.prefix.clone();
        tokens.extend(self.tokenizer.encode(text)?);
        Ok(tokens)
    }
}

/// Special tokens that `tokenizer.json` adds before a single text: the start of its template.
fn prefix_of(files: &[(&'static str, Vec<u8>)]) -> Vec<u32> {
    let json = files.iter().find(|(name, _)| *name == "tokenizer.json");
    let Some(Ok(tokenizer)) = json.map(|(_, bytes)| serde_json::from_slice::<Value>(bytes)) else {
        return Vec::new();
    };
    let processor = &tokenizer["post_processor"];
    let nested = processor["processors"].as_array().map(Vec::as_slice).unwrap_or_default();
    let Some(template) = std::iter::once(processor).chain(nested).find(|part| part["type"] == "TemplateProcessing")
    else {
        return Vec::new();
    };
    let pieces = template["single"].as_array().map(Vec::as_slice).unwrap_or_default();
    pieces
        .iter()
        .map_while(|piece| piece["SpecialToken"]["id"].as_str())
        .flat_map(|name| template["special_tokens"][name]["ids"].as_array().cloned().unwrap_or_default())
        .filter_map(|id| u32::try_from(id.as_u64()?).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_prefix_is_what_the_template_puts_before_the_text() {
        let with = |post_processor: &str| {
            let json = format!("{{\"post_processor\": {post_processor}}}");
            prefix_of(&[("tokenizer.json", json.into_bytes())])
        };
        let template = r#"{"type": "TemplateProcessing",
            "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}},
                       {"SpecialToken": {"id": "</s>", "type_id": 0}}],
            "special_tokens": {"<s>": {"id": "<s>", "ids": [7], "tokens": ["<s>"]},
                               "</s>": {"id": "</s>", "ids": [8], "tokens": ["</s>"]}}}"#;
        assert_eq!(with(template), [7]);
        assert_eq!(
            with(&format!(r#"{{"type": "Sequence", "processors": [{{"type": "ByteLevel"}}, {template}]}}"#)),
            [7]
        );
        assert_eq!(with(r#"{"type": "ByteLevel"}"#), [0u32; 0]);
        assert_eq!(with("null"), [0u32; 0]);
    }
}
