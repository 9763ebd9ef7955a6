//! What a run needs from the machine: a device and memory.

use vapo_link::Launch;
use vapo_lm::Device;
use vapo_tasks::Task;

use crate::{
    base::TextFiles,
    config::Config,
    division::Division,
    error::{Error, Result},
    fingerprint::DataFingerprint,
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

/// What this process is among the ranks of a run, by the variables that launchers set.
///
/// # Errors
/// Variables are missing or contradict each other.
pub fn launch(config: &Config) -> Result<Launch> {
    Ok(Launch::detect(config.distributed.transport.into(), variable)?)
}

/// Whether a launcher has started this process as another rank than the first.
pub fn is_another_rank() -> bool {
    Launch::is_another_rank(variable)
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The same for one of several ranks: without a number in the config, those on one machine share its cores.
pub(crate) fn shared_device(config: &Config, division: &Division) -> Device {
    match config.run.threads {
        0 => Device::cpu(division.share_of_host(threads(config) as u64) as usize),
        threads => Device::cpu(threads),
    }
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

/// The problems and the memory plan of a run, which fits this rank's share of the machine.
///
/// # Errors
/// As for [`memory_plan`]; or there is too little memory, or another rank has other problems.
pub(crate) fn checked_task(config: &Config, division: &mut Division) -> Result<(Box<dyn Task>, MemoryPlan)> {
    let task = load_task(config)?;
    division.compare("data", &format!("{:?}", DataFingerprint::of(task.as_ref())))?;
    let memory = memory_plan(config, task.as_ref())?.shared_by(division.ranks().size());
    let memory = match available_memory() {
        Some(available) => memory.within(division.share_of_host(available))?,
        None => memory,
    };
    Ok((task, memory))
}
