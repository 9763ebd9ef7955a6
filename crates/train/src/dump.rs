//! An update whose gradient was not finite, saved with everything that it was computed from, so that it can be repeated.
//!
//! ```text
//! dumps/policy-step-000012/
//!   model/                the network before the update, as a Hugging Face directory with exact weights
//!   minibatch.safetensors its responses, and a value per token of each column of the loss
//!   update.json           which update it was, and its gradient norm
//!   config.toml
//! ```

use std::{
    borrow::Cow,
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use safetensors::{Dtype, SafeTensors, View};
use serde::{Deserialize, Serialize};
use vapo_lm::{Engine, Head, Model, Sequence, WeightDtype};
use vapo_tasks::plain_words;

use crate::{
    base::TokenizerFiles,
    batch::Minibatch,
    checkpoint::save_model,
    config::Config,
    credit::{Credit, ValueCredit},
    error::{Error, Result},
    files::{create_subdirectory_atomically, remove_directory_atomically, write_atomically, write_tensors},
    network::Network,
    objective::{Objective, StepColumns},
    rundir::{recorded_config, step_name},
    setup::device,
    update::{ValueTargets, critic_gradient, policy_gradient, value_bound},
};

const MINIBATCH: &str = "minibatch.safetensors";
const UPDATE: &str = "update.json";

/// The columns of a minibatch `[n]`, by name.
pub(crate) type Columns = BTreeMap<&'static str, Vec<f32>>;

/// Which update a dump is of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DumpedUpdate {
    /// `policy` or `critic`.
    pub network: String,
    /// The step that it belongs to.
    pub step: u64,
    /// Updates of the network before it.
    pub updates: u64,
    /// Its gradient norm: `NaN` or `inf`.
    pub grad_norm: String,
}

/// The columns of the policy's loss.
pub(crate) fn policy_columns(minibatch: &Minibatch<'_>, columns: &StepColumns<'_>) -> Columns {
    let all = [
        (OLD_LOGP, Some(columns.old_logp)),
        (SAMPLER_LOGP, Some(columns.sampler_logp)),
        (ADVANTAGES, Some(columns.credit.advantages.as_slice())),
        (REFERENCE_LOGP, columns.reference_logp),
    ];
    all.into_iter().filter_map(|(name, column)| Some((name, minibatch.gather(column?)))).collect()
}

/// The columns of the critic's loss.
pub(crate) fn critic_columns(minibatch: &Minibatch<'_>, credit: &ValueCredit) -> Columns {
    [(OLD_VALUES, &credit.old_values), (TARGETS, &credit.targets)]
        .map(|(name, column)| (name, minibatch.gather(column)))
        .into()
}

const OLD_LOGP: &str = "old_logp";
const SAMPLER_LOGP: &str = "sampler_logp";
const ADVANTAGES: &str = "advantages";
const REFERENCE_LOGP: &str = "reference_logp";
const OLD_VALUES: &str = "old_values";
const TARGETS: &str = "targets";

/// What all dumps of a step share.
pub(crate) struct Dumps<'a> {
    /// Where they are.
    directory: &'a Path,
    config: &'a Config,
    files: &'a TokenizerFiles,
    step: u64,
}

impl<'a> Dumps<'a> {
    /// Dumps of the step that is being trained.
    pub(crate) fn new(directory: &'a Path, config: &'a Config, files: &'a TokenizerFiles, step: u64) -> Self {
        Self { directory, config, files, step }
    }

    /// Saves an update that has just been skipped, in place of an older one of the same network.
    ///
    /// # Errors
    /// It cannot be written.
    pub(crate) fn save(
        &self,
        network: &Network,
        minibatch: &Minibatch<'_>,
        columns: &Columns,
        grad_norm: f32,
    ) -> Result<PathBuf> {
        let name = network.name();
        self.remove_older(name)?;
        if !self.directory.exists() {
            fs::create_dir(self.directory).map_err(Error::io("create", self.directory))?;
        }
        let path = self.directory.join(format!("{name}-{}", step_name(self.step)));
        let update = DumpedUpdate {
            network: name.into(),
            step: self.step,
            updates: network.optimizer.steps,
            grad_norm: grad_norm.to_string(),
        };
        create_subdirectory_atomically(&path, |directory| {
            save_model(&network.model, self.files, &directory.join("model"), WeightDtype::Float32)?;
            save_minibatch(minibatch, columns, &directory.join(MINIBATCH))?;
            let text = serde_json::to_vec_pretty(&update).map_err(|error| Error::file(directory, error.to_string()))?;
            write_atomically(&directory.join(UPDATE), &text)?;
            let config = self.config.clone().with_absolute_paths()?;
            write_atomically(&directory.join("config.toml"), config.to_commented_toml().as_bytes())
        })?;
        Ok(path)
    }

    fn remove_older(&self, network: &str) -> Result<()> {
        let Ok(entries) = fs::read_dir(self.directory) else { return Ok(()) };
        for entry in entries {
            let path = entry.map_err(Error::io("read", self.directory))?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            if name.starts_with(&format!("{network}-step-")) {
                remove_directory_atomically(&path)?;
            }
        }
        Ok(())
    }
}

/// A tensor of one dimension.
struct Column {
    dtype: Dtype,
    shape: [usize; 1],
    bytes: Vec<u8>,
}

impl Column {
    fn numbers(values: impl IntoIterator<Item = u32>) -> Self {
        let bytes: Vec<u8> = values.into_iter().flat_map(u32::to_le_bytes).collect();
        Self { dtype: Dtype::U32, shape: [bytes.len() / 4], bytes }
    }

    fn values(values: &[f32]) -> Self {
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        Self { dtype: Dtype::F32, shape: [values.len()], bytes }
    }
}

impl View for Column {
    fn dtype(&self) -> Dtype {
        self.dtype
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        Cow::Borrowed(&self.bytes)
    }

    fn data_len(&self) -> usize {
        self.bytes.len()
    }
}

const PROMPT_TOKENS: &str = "prompt_tokens";
const PROMPT_LENGTHS: &str = "prompt_lengths";
const RESPONSE_TOKENS: &str = "response_tokens";
const RESPONSE_LENGTHS: &str = "response_lengths";
const CORRECT: &str = "correct";
const TRUNCATED: &str = "truncated";

fn save_minibatch(minibatch: &Minibatch<'_>, columns: &Columns, path: &Path) -> Result<()> {
    let sequences = &minibatch.sequences;
    let lengths = |of: fn(&Sequence<'_>) -> usize| Column::numbers(sequences.iter().map(move |s| of(s) as u32));
    let flags = |flags: &[bool]| Column::numbers(flags.iter().map(|&flag| u32::from(flag)));
    let mut tensors = vec![
        (PROMPT_TOKENS, Column::numbers(sequences.iter().flat_map(|sequence| sequence.prompt.iter().copied()))),
        (PROMPT_LENGTHS, lengths(|sequence| sequence.prompt.len())),
        (RESPONSE_TOKENS, Column::numbers(sequences.iter().flat_map(|sequence| sequence.response.iter().copied()))),
        (RESPONSE_LENGTHS, lengths(|sequence| sequence.response.len())),
        (CORRECT, flags(&minibatch.correct)),
        (TRUNCATED, flags(&minibatch.truncated)),
    ];
    tensors.extend(columns.iter().map(|(name, column)| (*name, Column::values(column))));
    write_tensors(tensors.into_iter().map(|(name, column)| (name.to_string(), column)), path)
}

/// A minibatch that was read from a dump.
struct StoredMinibatch {
    prompts: Vec<Vec<u32>>,
    responses: Vec<Vec<u32>>,
    correct: Vec<bool>,
    truncated: Vec<bool>,
    columns: BTreeMap<String, Vec<f32>>,
}

impl StoredMinibatch {
    fn load(path: &Path) -> Result<Self> {
        let wrong = |message: String| Error::file(path, message);
        let bytes = fs::read(path).map_err(Error::io("read", path))?;
        let file = SafeTensors::deserialize(&bytes).map_err(|error| wrong(error.to_string()))?;
        let words = |name: &str, dtype: Dtype| {
            let tensor = file.tensor(name).map_err(|error| wrong(error.to_string()))?;
            if tensor.dtype() != dtype {
                return Err(wrong(format!("{name} is {:?}, expected {dtype:?}", tensor.dtype())));
            }
            let words = tensor.data().chunks_exact(4).map(|bytes| [bytes[0], bytes[1], bytes[2], bytes[3]]);
            Ok(words.collect::<Vec<_>>())
        };
        let numbers = |name: &str| -> Result<Vec<u32>> {
            Ok(words(name, Dtype::U32)?.into_iter().map(u32::from_le_bytes).collect())
        };
        let texts = |tokens: &str, lengths: &str| -> Result<Vec<Vec<u32>>> {
            let (tokens, lengths) = (numbers(tokens)?, numbers(lengths)?);
            let mut rest = tokens.as_slice();
            let mut texts = Vec::new();
            for length in lengths {
                let split = rest.split_at_checked(length as usize).filter(|(text, _)| !text.is_empty());
                let (text, others) = split.ok_or_else(|| wrong(format!("has no {length} tokens for a sequence")))?;
                texts.push(text.to_vec());
                rest = others;
            }
            Ok(texts)
        };
        let flags =
            |name: &str| -> Result<Vec<bool>> { Ok(numbers(name)?.into_iter().map(|flag| flag != 0).collect()) };
        let mut columns = BTreeMap::new();
        for name in file.names().into_iter().filter(|name| file.tensor(name).is_ok_and(|t| t.dtype() == Dtype::F32)) {
            let values = words(name, Dtype::F32)?.into_iter().map(f32::from_le_bytes);
            columns.insert(name.to_owned(), values.collect::<Vec<_>>());
        }
        let stored = Self {
            prompts: texts(PROMPT_TOKENS, PROMPT_LENGTHS)?,
            responses: texts(RESPONSE_TOKENS, RESPONSE_LENGTHS)?,
            correct: flags(CORRECT)?,
            truncated: flags(TRUNCATED)?,
            columns,
        };
        let responses = stored.responses.len();
        let tokens: usize = stored.responses.iter().map(Vec::len).sum();
        let is_whole = [stored.prompts.len(), stored.correct.len(), stored.truncated.len()] == [responses; 3]
            && stored.columns.values().all(|column| column.len() == tokens);
        if is_whole { Ok(stored) } else { Err(wrong("has columns of different lengths".into())) }
    }

    fn minibatch(&self) -> Minibatch<'_> {
        let pairs = self.prompts.iter().zip(&self.responses);
        let sequences = pairs.map(|(prompt, response)| Sequence { prompt, response }).collect();
        Minibatch::whole(sequences, self.correct.clone(), self.truncated.clone())
    }

    fn column(&self, name: &str, path: &Path) -> Result<&[f32]> {
        let column = self.columns.get(name).map(Vec::as_slice);
        column.ok_or_else(|| Error::file(&path.join(MINIBATCH), format!("has no column {name}")))
    }
}

/// What a repeated update shows.
#[derive(Clone, Debug, PartialEq)]
pub struct Examination {
    /// The update.
    pub update: DumpedUpdate,
    /// Responses and their tokens.
    pub size: [usize; 2],
    /// What is not finite, in the order of the computation: columns, outputs, gradient.
    pub not_finite: Vec<NotFinite>,
}

/// Values that are not finite.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotFinite {
    /// What they are, e.g. `log-probs`.
    pub what: String,
    /// How many.
    pub count: usize,
    /// Of how many.
    pub of: usize,
    /// The first one: a tensor, or a token of a response.
    pub first: String,
}

impl Examination {
    /// Whether the gradient was again not finite.
    pub fn is_reproduced(&self) -> bool {
        self.not_finite.iter().any(|part| part.what == GRADIENT)
    }
}

const GRADIENT: &str = "gradient";

/// Whether a directory is a dump.
pub fn is_dump(path: &Path) -> bool {
    path.join(UPDATE).is_file() && path.join(MINIBATCH).is_file()
}

/// Repeats the update of a dump and looks for values that are not finite in columns, outputs and gradient.
///
/// # Errors
/// The dump is incomplete or damaged, or a weight is not finite.
pub fn examine(path: &Path) -> Result<Examination> {
    let update_path = path.join(UPDATE);
    let text = fs::read(&update_path).map_err(Error::io("read", &update_path))?;
    let update: DumpedUpdate =
        serde_json::from_slice(&text).map_err(|error| Error::file(&update_path, plain_words(&error.to_string())))?;
    let stored = StoredMinibatch::load(&path.join(MINIBATCH))?;
    let (config, minibatch) = (recorded_config(&path.join("config.toml"), &[])?.config, stored.minibatch());
    let device = &device(&config);
    let head = if update.network == "policy" { Head::Language } else { Head::Value };
    let mut model = Model::load(device, &path.join("model"), head)?.with_dtype(config.model.dtype.into());
    config.model.limit(&mut model)?;
    let engine = &mut Engine::new(device, config.run.micro_batch_tokens);

    let mut search = Search::default();
    for (name, column) in &stored.columns {
        search.tokens(name, column, &minibatch.lengths);
    }
    let mut gradients = model.zero_gradients();
    let all = 0..minibatch.sequences.len();
    let temperature = config.rollout.temperature as f32;
    if head == Head::Language {
        let outputs = engine.score(&model, &minibatch.sequences, temperature);
        search.tokens("log-probs", &outputs.logp, &minibatch.lengths);
        let credit = Credit { advantages: stored.column(ADVANTAGES, path)?.to_vec(), values: None, reward_kl: None };
        let columns = StepColumns {
            old_logp: stored.column(OLD_LOGP, path)?,
            sampler_logp: stored.column(SAMPLER_LOGP, path)?,
            credit: &credit,
            reference_logp: stored.columns.get(REFERENCE_LOGP).map(Vec::as_slice),
        };
        let mut objective = Objective::new(&minibatch, &columns, &config.algorithm);
        policy_gradient(engine, (&model, &mut gradients), (&minibatch, all), temperature, &mut objective);
    } else {
        search.tokens("values", &engine.values(&model, &minibatch.sequences), &minibatch.lengths);
        let bound = value_bound(&config.critic, config.reward_range());
        let (old_values, targets) = (stored.column(OLD_VALUES, path)?, stored.column(TARGETS, path)?);
        let targets = ValueTargets::new(&minibatch, old_values.to_vec(), targets.to_vec());
        let settings = (bound, config.critic.value_clip);
        critic_gradient(engine, (&model, &mut gradients), (&minibatch, all), &targets, settings);
    }
    search.tensors(GRADIENT, &model, |name| model.tensor_in(&gradients, name));
    let size = [minibatch.lengths.len(), minibatch.num_tokens()];
    Ok(Examination { update, size, not_finite: search.found })
}

#[derive(Default)]
struct Search {
    found: Vec<NotFinite>,
}

impl Search {
    fn tensors(&mut self, what: &str, model: &Model, values: impl Fn(&str) -> Option<Vec<f32>>) {
        let (mut count, mut of, mut first) = (0, 0, None);
        for name in model.tensor_names() {
            let values = values(name).unwrap_or_default();
            let wrong = values.iter().filter(|value| !value.is_finite()).count();
            if wrong > 0 {
                first.get_or_insert_with(|| name.to_owned());
            }
            (count, of) = (count + wrong, of + values.len());
        }
        self.add(what, count, of, first);
    }

    /// A value per token of responses with these lengths.
    fn tokens(&mut self, what: &str, values: &[f32], lengths: &[usize]) {
        let count = values.iter().filter(|value| !value.is_finite()).count();
        let first = values.iter().position(|value| !value.is_finite()).map(|position| {
            let (mut response, mut token) = (0, position);
            while token >= lengths[response] {
                token -= lengths[response];
                response += 1;
            }
            format!("token {} of response {}", token + 1, response + 1)
        });
        self.add(what, count, values.len(), first);
    }

    fn add(&mut self, what: &str, count: usize, of: usize, first: Option<String>) {
        self.found.extend(first.map(|first| NotFinite { what: what.into(), count, of, first }));
    }
}
