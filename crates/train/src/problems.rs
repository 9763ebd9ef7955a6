//! The problems of a config, and the lengths of their prompts.

use vapo_lm::ModelConfig;
use vapo_tasks::{
    BuiltinTask, DataOptions, DataTask, Dataset, Problem, PromptTemplate, Reward, Task, TrainSet, World,
    builtin::TEST_PROBLEMS,
};

use crate::{
    base::TextFiles,
    config::{Config, DataFile, DataFiles, Split},
    error::{Error, Result},
    models::base_directory,
    rollout::Prompt,
};

/// The problems of a config, in the order of its seed.
///
/// # Errors
/// A file is missing or invalid, or the built-in task does not exist.
pub fn load_task(config: &Config) -> Result<Box<dyn Task>> {
    let data = &config.data;
    let (train, eval) = match (&data.train, &data.eval) {
        (Some(train), Some(eval)) => (train, eval),
        (None, None) => return Ok(Box::new(built_in_task(config)?)),
        _ => {
            return Err(Error::Run(
                "data.train is \"off\", expected a file of training problems in addition to data.eval".into(),
            ));
        }
    };
    let reward = Reward::new(&config.reward.verifier)?;
    let weights = train.0.iter().map(|file| file.weight);
    let train = load_sets(config, train, &reward)?.into_iter().zip(weights);
    let train = train.map(|(set, weight)| TrainSet { set, weight }).collect();
    let held_out = load_sets(config, eval, &reward)?;
    Ok(Box::new(DataTask::new(train, held_out, reward, config.run.seed)?))
}

/// The held-out problems of a config; training problems are not read.
///
/// # Errors
/// As for [`load_task`].
pub fn load_held_out_task(config: &Config) -> Result<Box<dyn Task>> {
    let data = &config.data;
    let Some(eval) = &data.eval else {
        return Ok(Box::new(built_in_task(config)?));
    };
    let reward = Reward::new(&config.reward.verifier)?;
    Ok(Box::new(DataTask::without_training(load_sets(config, eval, &reward)?, reward)?))
}

/// Reads data files, without the problems left out by `data.max_prompt_tokens`.
fn load_sets(config: &Config, files: &DataFiles, reward: &Reward) -> Result<Vec<Dataset>> {
    let data = &config.data;
    let text = match data.max_prompt_tokens {
        Some(most) => Some((most, TextFiles::load(base_directory(config)?.path())?.for_data(data)?)),
        None => None,
    };
    let load = |file: &DataFile| {
        let options = DataOptions {
            template: PromptTemplate::new(data.prompt_template.as_str())?,
            limit: file.limit.or(data.limit),
            prompt_key: data.prompt_key.clone(),
            answer_key: data.answer_key.clone(),
        };
        let mut set = Dataset::load(&file.path, &options, reward)?;
        if let Some((most, text)) = &text {
            set.retain(|problem| text.encode(problem).map(|tokens| tokens.len() > *most))?;
        }
        Ok(set)
    };
    files.0.iter().map(load).collect()
}

/// The built-in task of a config.
///
/// # Errors
/// It does not exist, or its sizes are out of range.
pub fn built_in_task(config: &Config) -> Result<BuiltinTask> {
    let mut world = World::named(&config.data.task)?;
    match &mut world {
        World::Chain(chain) => {
            [chain.min_operations, chain.max_operations] = config.data.chain_operations;
        }
        World::Recall(recall) => {
            [recall.min_functions, recall.max_functions] = config.data.recall_functions;
        }
        World::Walk(walk) => walk.max_moves = config.data.walk_moves,
    }
    let tested = config.eval.problems.max(TEST_PROBLEMS);
    let held_out = match config.eval.split {
        Split::Test => 0..tested,
        Split::Validation => tested..tested + config.eval.problems,
    };
    Ok(BuiltinTask::new(world, config.run.seed, held_out)?)
}

/// Lengths of a run's prompts in tokens.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PromptLengths {
    /// Length of the longest prompt, training or held out.
    pub longest: usize,
    /// Mean over the training prompts (over the held-out prompts if the task generates training prompts endlessly).
    pub mean: f64,
}

/// Tokenizes all problems listed by a task.
///
/// # Errors
/// A prompt does not fit the model.
pub fn prompt_lengths(
    config: &Config,
    task: &dyn Task,
    text: &TextFiles,
    shape: &ModelConfig,
) -> Result<PromptLengths> {
    let lengths = |problems: &[Problem], response| -> Result<Vec<usize>> {
        let prompts = problems.iter().map(|problem| Prompt::new(problem.clone(), problem.index, text, shape, response));
        prompts.map(|prompt| Ok(prompt?.tokens.len())).collect()
    };
    let held_out = lengths(task.held_out(), config.longest_eval_response())?;
    let train = lengths(task.listed_train_problems(), config.rollout.max_new_tokens)?;
    let longest = held_out.iter().chain(&train).copied().max().unwrap_or(0);
    let typical = if train.is_empty() { &held_out } else { &train };
    Ok(PromptLengths { longest, mean: typical.iter().sum::<usize>() as f64 / typical.len().max(1) as f64 })
}
