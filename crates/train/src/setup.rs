//! From a config to what a run works with: task, models, networks.

use vapo_lm::{Engine, Head, Model, ModelConfig};
use vapo_tasks::{
    BuiltinTask, DataOptions, DataTask, Dataset, HeldOutTask, Problem, PromptTemplate, Reward, Task, TrainSet, World,
    builtin::TEST_PROBLEMS,
};

use crate::{
    base::{LanguageModel, ModelDirectory, TextFiles},
    config::{Config, DataFile, DataFiles, Split},
    error::{Error, Result},
    memory::MemoryPlan,
    network::Network,
    resources::resident_memory,
    rollout::Prompt,
    shapes::Shapes,
    trainer::{Counters, Trainer},
};

/// The problems that a config names, in the order of its seed.
///
/// # Errors
/// A file is missing or wrong, or the built-in task does not exist.
pub fn load_task(config: &Config) -> Result<Box<dyn Task>> {
    let data = &config.data;
    let (train, eval) = match (&data.train, &data.eval) {
        (Some(train), Some(eval)) => (train, eval),
        (None, None) => return Ok(Box::new(built_in_task(config)?)),
        _ => {
            return Err(Error::Run(
                "data.train is \"off\", expected a file of training problems beside data.eval".into(),
            ));
        }
    };
    let reward = Reward::new(&config.reward_terms())?;
    let weights = train.0.iter().map(|file| file.weight);
    let train = load_sets(config, train, &reward)?.into_iter().zip(weights);
    let train = train.map(|(set, weight)| TrainSet { set, weight }).collect();
    let held_out = load_sets(config, eval, &reward)?;
    Ok(Box::new(DataTask::new(train, held_out, reward, config.run.seed)?))
}

/// The problems that a config is evaluated on; training problems are not read.
///
/// # Errors
/// As for [`load_task`].
pub fn load_held_out_task(config: &Config) -> Result<Box<dyn Task>> {
    let data = &config.data;
    let Some(eval) = &data.eval else {
        return Ok(Box::new(built_in_task(config)?));
    };
    let reward = Reward::new(&config.reward_terms())?;
    Ok(Box::new(HeldOutTask::new(load_sets(config, eval, &reward)?, reward)?))
}

/// Reads data files, without the problems that `data.max_prompt_tokens` leaves out.
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

/// The built-in task that a config names.
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

/// Threads that a config means: 0 is one per core.
pub fn threads(config: &Config) -> usize {
    match config.run.threads {
        0 => std::thread::available_parallelism().map_or(1, Into::into),
        threads => threads,
    }
}

/// The models a run starts from or continues with.
pub(crate) struct Models {
    pub(crate) policy: LanguageModel,
    /// None for methods without a critic.
    pub(crate) critic: Option<Model>,
    /// The initial policy, if the divergence from it is measured.
    pub(crate) reference: Option<Model>,
}

impl Models {
    /// The models of a new run.
    pub(crate) fn initial(config: &Config) -> Result<Self> {
        let policy = LanguageModel::load(base_directory(config)?.path())?.for_data(&config.data)?;
        let critic = match &config.critic.path {
            _ if !config.has_critic() => None,
            Some(path) => Some(Model::load(path, Head::Value)?),
            None => {
                let mut critic = policy.model.to_critic();
                critic.randomize_value_head(config.critic.head_std as f32, config.run.seed);
                Some(critic)
            }
        };
        let reference = config.has_reference().then(|| policy.model.clone());
        Self { policy, critic, reference }.checked()
    }

    /// # Errors
    /// A model cannot read what the policy reads.
    pub(crate) fn checked(self) -> Result<Self> {
        let policy = self.policy.model.config();
        for (name, model) in [("critic", &self.critic), ("reference policy", &self.reference)] {
            let Some(shape) = model.as_ref().map(Model::config) else { continue };
            check_reads_the_same(name, shape, policy)?;
        }
        Ok(self)
    }
}

/// # Errors
/// The network called `name` cannot read what the policy reads.
pub(crate) fn check_reads_the_same(name: &str, shape: &ModelConfig, policy: &ModelConfig) -> Result<()> {
    if shape.vocab_size != policy.vocab_size {
        return Err(Error::Run(format!(
            "the {name}'s vocab_size ({}) must be the policy's ({}): both read the same tokens",
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

/// The directory of the model that a config starts from.
///
/// # Errors
/// There is none for the built-in task.
pub fn base_directory(config: &Config) -> Result<ModelDirectory> {
    match &config.model.path {
        Some(path) => Ok(ModelDirectory::new(path)),
        None => ModelDirectory::built_in(&config.data.task),
    }
}

/// Lengths of a run's prompts in tokens.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PromptLengths {
    /// Of the longest prompt, training and held out.
    pub longest: usize,
    /// Mean over the training prompts (over the held-out ones where a task makes them endlessly).
    pub mean: f64,
}

/// Tokenizes all problems that a task lists.
///
/// # Errors
/// The model cannot take a prompt.
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

/// Counts the memory of a run before its weights are loaded: by the base model's shape and the longest prompt.
///
/// # Errors
/// The model directory or a tokenizer is missing or wrong, or the model cannot take a prompt or a stop token.
pub fn memory_plan(config: &Config, task: &dyn Task) -> Result<MemoryPlan> {
    let directory = base_directory(config)?;
    let shapes = Shapes::load(config, directory.path())?;
    let text = TextFiles::load(directory.path())?.for_data(&config.data)?;
    let lengths = prompt_lengths(config, task, &text, &shapes.policy)?;
    let vocab_size = shapes.policy.vocab_size;
    if let Some(token) = config.rollout.stop_tokens.iter().find(|token| **token as usize >= vocab_size) {
        return Err(Error::Run(format!(
            "rollout.stop_tokens holds {token}, expected tokens below the model's vocab_size ({vocab_size})"
        )));
    }
    Ok(MemoryPlan::of_run(config, &shapes, lengths.longest, resident_memory().unwrap_or(0)))
}

impl Trainer {
    /// Puts a run together, with fresh moments and counters at 0.
    pub(crate) fn new(config: Config, task: Box<dyn Task>, models: Models) -> Self {
        let (algorithm, dtype) = (&config.algorithm, config.model.dtype.into());
        let policy_updates = config.run.steps.saturating_mul((algorithm.updates_per_rollout * algorithm.epochs) as u64);
        let critic_passes = algorithm.epochs * algorithm.critic_updates_per_policy_update;
        let critic_updates = (config.run.steps + config.value_pretraining.steps)
            .saturating_mul((critic_passes * config.critic_minibatches()) as u64);
        Self {
            engine: Engine::new(threads(&config), config.run.micro_batch_tokens),
            task,
            text: models.policy.text,
            policy: Network::new(models.policy.model.with_dtype(dtype), &config.policy_optimizer, policy_updates),
            critic: models
                .critic
                .map(|model| Network::new(model.with_dtype(dtype), &config.critic_optimizer, critic_updates)),
            reference: models.reference.map(|model| model.for_inference(dtype)),
            counters: Counters::default(),
            config,
        }
    }
}
