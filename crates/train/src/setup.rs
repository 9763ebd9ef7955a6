//! What a run needs from the machine: a device and memory.

use vapo_lm::Device;
use vapo_tasks::Task;

use crate::{
    base::TextFiles,
    config::Config,
    error::{Error, Result},
    memory::MemoryPlan,
    models::base_directory,
    problems::{load_task, prompt_lengths},
    resources::{available_memory, resident_memory},
    shapes::Shapes,
};

/// The number of threads of a config: 0 means one per core.
pub fn threads(config: &Config) -> usize {
    match config.run.threads {
        0 => std::thread::available_parallelism().map_or(1, Into::into),
        threads => threads,
    }
}

/// The device that a config means.
pub fn device(config: &Config) -> Device {
    Device::cpu(threads(config))
}

/// Counts the memory of a run before its weights are loaded: by the base model's shape and the longest prompt.
///
/// # Errors
/// The model directory or a tokenizer is missing or invalid, or a prompt or stop token does not fit the model.
pub fn memory_plan(config: &Config, task: &dyn Task) -> Result<MemoryPlan> {
    let directory = base_directory(config)?;
    let shapes = Shapes::load(config, directory.path())?;
    let text = TextFiles::load(directory.path())?.for_data(&config.data)?;
    let lengths = prompt_lengths(config, task, &text, &shapes.policy)?;
    let vocab_size = shapes.policy.vocab_size;
    if let Some(token) = config.rollout.stop_tokens.iter().find(|token| **token as usize >= vocab_size) {
        return Err(Error::Run(format!(
            "rollout.stop_tokens contains {token}, expected tokens below the model's vocab_size ({vocab_size})"
        )));
    }
    Ok(MemoryPlan::of_run(config, &shapes, lengths.longest, resident_memory().unwrap_or(0)))
}

/// The problems and the memory plan of a run, which fits the machine.
pub(crate) fn checked_task(config: &Config) -> Result<(Box<dyn Task>, MemoryPlan)> {
    let task = load_task(config)?;
    let memory = memory_plan(config, task.as_ref())?;
    let memory = match available_memory() {
        Some(available) => memory.within(available)?,
        None => memory,
    };
    Ok((task, memory))
}
