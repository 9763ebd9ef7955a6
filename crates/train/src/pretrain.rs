//! Trains a built-in base model: supervised training on the demonstrations of a built-in task.
//!
//! The result depends only on [`PretrainSettings`], byte for byte.

use std::{path::Path, sync::atomic::AtomicBool};

use vapo_lm::{
    AdamW, AdamWConfig, Buffer, Decay, Device, Engine, Head, Model, ModelConfig, Schedule, Sequence, Sizes, TokenGrad,
    WeightDtype,
};
use vapo_tasks::{
    BuiltinTask, World,
    builtin::{BOS, Demonstration, EOS},
};

use crate::{
    base::{LanguageModel, TextFiles},
    checkpoint::save_model,
    error::{Error, Result},
    files::create_directory_atomically,
    observer::{Monitor, Observer},
    progress::{Progress, Watcher},
    stage::Stage,
};

/// Shape and training of a built-in base model.
#[derive(Clone, Debug, PartialEq)]
pub struct PretrainSettings {
    /// Built-in task.
    pub task: String,
    /// Width of the model.
    pub hidden_size: usize,
    /// Width of the gated layers.
    pub intermediate_size: usize,
    /// Decoder layers.
    pub num_layers: usize,
    /// Attention heads.
    pub num_heads: usize,
    /// Maximum length of a text in tokens.
    pub max_positions: usize,
    /// Optimizer updates.
    pub updates: u64,
    /// Demonstrations per update, each used once.
    pub demonstrations_per_update: usize,
    /// Peak learning rate; 5 % of the updates are warmup, followed by a cosine down to a tenth.
    pub learning_rate: f64,
    /// Seed of weights and demonstrations.
    pub seed: u64,
}

impl PretrainSettings {
    /// The settings of the base model that comes with the program.
    pub fn of_task(task: &str) -> Self {
        // To judge its own result, the model must recall the right one a layer earlier; learning the facts takes time.
        let (layers, updates) = if task == "recall" { (3, 4000) } else { (2, 1600) };
        Self {
            task: task.to_string(),
            hidden_size: 64,
            intermediate_size: 176,
            num_layers: layers,
            num_heads: 4,
            max_positions: 512,
            updates,
            demonstrations_per_update: 32,
            learning_rate: 3e-3,
            seed: 1,
        }
    }
}

/// Fixed, because the last bits of a gradient, and so the bytes of the model, depend on the division into micro-batches.
const MICRO_BATCH_TOKENS: usize = 2048;

/// A demonstration as tokens.
struct Example {
    prompt: Vec<u32>,
    response: Vec<u32>,
}

/// Trains a base model and writes it as a Hugging Face directory, with the same bytes for any number of threads. Returns the mean loss
/// (nats per token) over the last tenth of the updates, or `None` if `stop` was set before the end.
///
/// # Errors
/// The directory exists or cannot be written, or the task does not exist.
pub fn pretrain(
    settings: &PretrainSettings,
    device: &Device,
    directory: &Path,
    observer: &mut dyn Observer,
    stop: &AtomicBool,
) -> Result<Option<f64>> {
    if directory.exists() {
        return Err(Error::Run(format!("{} exists, expected a new directory for the base model", directory.display())));
    }
    let engine = &mut Engine::new(device, MICRO_BATCH_TOKENS);
    let Some((base, loss)) = train_base(settings, engine, &mut Monitor::new(observer, stop))? else {
        return Ok(None);
    };
    create_directory_atomically(directory, |directory| {
        save_model(&base.model, &base.text.files, directory, WeightDtype::Float32)
    })?;
    Ok(Some(loss))
}

fn train_base(
    settings: &PretrainSettings,
    engine: &mut Engine,
    monitor: &mut Monitor<'_>,
) -> Result<Option<(LanguageModel, f64)>> {
    let task = BuiltinTask::new(World::named(&settings.task)?, settings.seed, 0..0)?;
    let text = TextFiles::from_texts(task.world().tokenizer_json(), task.world().tokenizer_config_json())?;
    let special = |name: &str| text.tokenizer.token_id(name);
    let config = model_config(settings, &text, special(BOS), special(EOS));
    let mut model = Model::random(engine.device(), config, Head::Language, settings.seed);
    let mut gradients = model.zero_gradients();
    let mut optimizer = AdamW::new(optimizer_config(), &model);
    let schedule = Schedule {
        learning_rate: settings.learning_rate as f32,
        warmup: settings.updates / 20,
        kind: Decay::Cosine { total: settings.updates, min_ratio: 0.1 },
    };
    let (mut late_loss, mut late_updates, mut tokens) = (0.0, 0u64, 0);
    for update in 0..settings.updates {
        let start = update * settings.demonstrations_per_update as u64;
        let demonstrations = task.demonstrations(start, settings.demonstrations_per_update);
        let examples = demonstrations
            .iter()
            .map(|demonstration| example(demonstration, &text, special(EOS)))
            .collect::<Result<Vec<_>>>()?;
        let loss = backward(engine, &model, &mut gradients, &examples);
        let grad_norm = optimizer.update(&mut model, &mut gradients, schedule.at(update));
        if !grad_norm.is_finite() {
            return Err(Error::Run(format!(
                "the gradient norm is {grad_norm} after {update} updates, expected a finite number: try a learning rate below {}",
                settings.learning_rate
            )));
        }
        if update >= settings.updates - (settings.updates / 10).max(1) {
            late_loss += loss;
            late_updates += 1;
        }
        tokens += examples.iter().map(|example| example.response.len()).sum::<usize>();
        let (done, total) = (update as usize + 1, settings.updates as usize);
        if monitor.progress(Progress { stage: Stage::Pretraining, done, total, tokens }).is_break() {
            return Ok(None);
        }
    }
    Ok(Some((LanguageModel { model, text }, late_loss / late_updates as f64)))
}

fn model_config(settings: &PretrainSettings, text: &TextFiles, bos: Option<u32>, eos: Option<u32>) -> ModelConfig {
    let mut config = ModelConfig::new(Sizes {
        vocab_size: text.tokenizer.vocab_size(),
        hidden_size: settings.hidden_size,
        intermediate_size: settings.intermediate_size,
        num_layers: settings.num_layers,
        num_heads: settings.num_heads,
        num_kv_heads: settings.num_heads,
        max_positions: settings.max_positions,
    });
    config.bos_token_id = bos;
    config.eos_token_ids = eos.into_iter().collect();
    config
}

fn optimizer_config() -> AdamWConfig {
    AdamWConfig { beta1: 0.9, beta2: 0.95, eps: 1e-8, weight_decay: 0.1, max_grad_norm: Some(1.0) }
}

fn example(demonstration: &Demonstration, text: &TextFiles, eos: Option<u32>) -> Result<Example> {
    let mut response = text.tokenizer.encode(&demonstration.response)?;
    response.extend(eos);
    Ok(Example { prompt: text.encode_prompt(&demonstration.problem.prompt)?, response })
}

/// Adds the gradient of the mean cross entropy over all response tokens; returns the loss.
fn backward(engine: &mut Engine, model: &Model, gradients: &mut Buffer, examples: &[Example]) -> f64 {
    let sequences: Vec<Sequence<'_>> =
        examples.iter().map(|example| Sequence { prompt: &example.prompt, response: &example.response }).collect();
    let num_tokens: usize = examples.iter().map(|example| example.response.len()).sum();
    let weight = 1.0 / num_tokens as f64;
    let mut loss = 0.0;
    engine.policy_backward(model, gradients, &sequences, 1.0, |_, scored| {
        loss -= scored.logp.iter().map(|&logp| f64::from(logp)).sum::<f64>() * weight;
        TokenGrad { dlogp: vec![-weight as f32; scored.logp.len()], dentropy: None }
    });
    loss
}
