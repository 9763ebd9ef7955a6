//! `vapo score`: log-probs and values of given texts.

use std::{
    fs::File,
    io::{BufRead, BufReader, BufWriter, Write},
    path::Path,
};

use anyhow::{Context, Result, bail};
use vapo_lm::{Device, Engine, Head, Model, ModelConfig, Tokenizer};
use vapo_train::{Config, MemoryPlan, RowReader, Scorer, device, value_bound};

use crate::{
    args::ScoreArgs,
    config,
    format::count,
    model::{Chosen, Found, Network},
    screen::Screen,
};

/// Number of micro-batches read before they are scored: enough to keep all threads busy, with little memory.
const MICRO_BATCHES: usize = 8;

/// Scores every row and prints it.
pub(crate) fn run(args: ScoreArgs) -> Result<()> {
    if !(args.temperature.is_finite() && args.temperature > 0.0) {
        bail!(
            "--temperature ({}) must be above 0 (log-probs of greedy samples are recorded at temperature 1)",
            args.temperature
        );
    }
    let chosen = Chosen::new(&args.model, &[format!("run.threads={}", args.threads)])?;
    let input = open(&args.data)?;
    let mut output = output(args.out.as_deref())?;
    let directory = chosen.directory();
    let critic = args.critic.as_deref().map(|path| Found::at(path, Network::Critic)).transpose()?;
    check_memory(&chosen.config, directory, critic.as_ref())?;
    let tokenizer = directory.join("tokenizer.json").is_file().then(|| Tokenizer::load(directory)).transpose()?;
    let device = &device(&chosen.config);
    let mut policy = Model::load_for_inference(device, directory, Head::Language, chosen.config.model.dtype.into())?;
    chosen.config.model.limit(&mut policy)?;
    let critic = critic.as_ref().map(|found| load_critic(device, found)).transpose()?;
    let critic = critic.as_ref().map(|(model, config)| (model, value_bound(&config.critic, config.reward_range())));
    let mut engine = Engine::new(device, chosen.config.run.micro_batch_tokens);
    let at_once = MICRO_BATCHES * engine.micro_batch_tokens();
    let mut scorer = Scorer::new(&mut engine, &policy, critic, args.temperature as f32)?;
    let mut reader = RowReader::new(input, &args.data, tokenizer, &policy);
    let (mut rows, mut tokens, mut sum) = (0u64, 0u64, 0.0);
    loop {
        let part = reader.next_rows(at_once)?;
        if part.is_empty() {
            break;
        }
        for row in scorer.score(&part)? {
            serde_json::to_writer(&mut output, &row).map_err(std::io::Error::from)?;
            output.write_all(b"\n")?;
            (rows, tokens) = (rows + 1, tokens + row.tokens.len() as u64);
            sum += row.logprobs.iter().map(|&logprob| f64::from(logprob)).sum::<f64>();
        }
        output.flush()?;
    }
    if rows == 0 {
        bail!("{} has no rows", args.data.display());
    }
    let mean = if tokens > 0 { format!(", {:.4} nats per token", sum / tokens as f64) } else { String::new() };
    let summary = format!("{}, {}{mean}", count(rows, "row", "rows"), count(tokens, "token", "tokens"));
    Screen::for_result().line(&summary);
    Ok(())
}

/// A file, or stdin for `-`.
fn open(path: &Path) -> Result<Box<dyn BufRead>> {
    if path == Path::new("-") {
        return Ok(Box::new(std::io::stdin().lock()));
    }
    let file = File::open(path).with_context(|| format!("cannot read {}", path.display()))?;
    Ok(Box::new(BufReader::new(file)))
}

fn output(path: Option<&Path>) -> Result<Box<dyn Write>> {
    let Some(path) = path else { return Ok(Box::new(BufWriter::new(std::io::stdout().lock()))) };
    let file = File::create_new(path).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(Box::new(BufWriter::new(file)))
}

fn check_memory(config: &Config, policy: &Path, critic: Option<&Found>) -> Result<()> {
    let critic = critic.map(|found| ModelConfig::load(&found.directory)).transpose()?;
    Ok(MemoryPlan::of_scoring(config, &ModelConfig::load(policy)?, critic.as_ref()).check_machine()?)
}

/// A critic with the config of its run, which defines how its outputs become values; without a run, the outputs are the values.
fn load_critic(device: &Device, found: &Found) -> Result<(Model, Config)> {
    let config = match &found.config {
        Some(config) => config::load(Some(config), &[])?,
        None => Config::default(),
    };
    let mut model = Model::load_for_inference(device, &found.directory, Head::Value, config.model.dtype.into())?;
    config.model.limit(&mut model)?;
    Ok((model, config))
}
