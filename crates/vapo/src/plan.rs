//! `vapo plan`: estimates what a config needs on this machine, before the run and without its weights.

use std::path::Path;

use anyhow::{Result, bail};
use serde_json::{Value, json};
use vapo_lm::{Head, Model};
use vapo_train::{
    Config, MeanLengths, MemoryPlan, ModelDirectory, Phase, PromptLengths, Shapes, StageWork, TextFiles, Work,
    available_memory, base_directory, evaluation_work, exchanged_bytes, exchanged_in_evaluation, load_task,
    prompt_lengths, resident_memory, step_work, threads,
};

use crate::{
    args::PlanArgs,
    config,
    format::{bytes, count, grouped, rough_duration, short},
    model::base_name,
    rates::Rates,
};

/// Assumed tokens per prompt if the problems or the tokenizer are missing.
const ASSUMED_PROMPT_TOKENS: usize = 256;

/// Prints the plan.
pub(crate) fn run(args: &PlanArgs) -> Result<()> {
    let config = config::load_for_training(&args.source)?;
    let plan = Plan::new(&config, args)?;
    let rates = (!args.no_timing).then(|| {
        let (micro_batch_tokens, slots) = (config.run.micro_batch_tokens, config.rollout.slots);
        Rates::measure(&plan.shapes.policy, config.model.dtype.into(), threads(&config), micro_batch_tokens, slots)
    });
    if args.json {
        println!("{}", plan.to_json(rates.as_ref()));
    } else {
        print!("{}", plan.to_text(rates.as_ref()));
    }
    Ok(())
}

/// What is planned.
struct Plan<'a> {
    config: &'a Config,
    shapes: Shapes,
    prompts: PromptLengths,
    /// Whether the prompts' lengths are assumed.
    assumed: bool,
    lengths: MeanLengths,
    memory: MemoryPlan,
    /// Number of problems in an evaluation.
    problems: usize,
    ranks: usize,
    /// Bytes per second between two machines.
    network: f64,
}

/// A kind of step, or of evaluation.
struct PlannedPhase {
    name: &'static str,
    times: u64,
    stages: Vec<StageWork>,
    /// Bytes that a rank sends.
    exchanged: f64,
}

impl<'a> Plan<'a> {
    fn new(config: &'a Config, args: &PlanArgs) -> Result<Self> {
        let (shapes, directory) = shapes(config, args.source.config.as_deref())?;
        let problems = problems(config)?;
        let counted = match (args.prompt_tokens, &problems, directory.path().join("tokenizer.json").is_file()) {
            (None, Some(task), true) => {
                let text = TextFiles::load(directory.path())?.for_data(&config.data)?;
                Some(prompt_lengths(config, task.as_ref(), &text, &shapes.policy)?)
            }
            _ => None,
        };
        let assumed = args.prompt_tokens.unwrap_or(ASSUMED_PROMPT_TOKENS);
        let prompts = counted.unwrap_or(PromptLengths { longest: assumed, mean: assumed as f64 });
        let longest = config.rollout.max_new_tokens;
        let response = args.response_tokens.map_or(longest as f64, |tokens| tokens.min(longest as f64));
        if response.is_nan() || response < 1.0 {
            bail!("--response-tokens ({response}) must be at least 1");
        }
        let ranks = args.ranks;
        if !ranks.is_power_of_two() {
            bail!("--ranks ({ranks}) must be a power of two: it has to divide run.gradient_shards");
        }
        if !(args.network.is_finite() && args.network > 0.0) {
            bail!("--network ({}) must be above 0", args.network);
        }
        let memory =
            MemoryPlan::of_run(config, &shapes, prompts.longest, resident_memory().unwrap_or(0)).shared_by(ranks);
        let held_out = problems.map_or(config.eval.problems, |task| task.held_out().len());
        Ok(Self {
            config,
            shapes,
            prompts,
            assumed: counted.is_none() && args.prompt_tokens.is_none(),
            lengths: MeanLengths { prompt: prompts.mean, response },
            memory,
            problems: config.eval.problems.min(held_out),
            ranks,
            network: args.network * 1e9 / 8.0,
        })
    }

    /// The stages of each kind of step in the run, and how many times it is done.
    fn phases(&self) -> Vec<PlannedPhase> {
        let (config, mut phases) = (self.config, Vec::new());
        let step = |name, times, phase| PlannedPhase {
            name,
            times,
            stages: step_work(config, &self.shapes, phase, self.lengths),
            exchanged: exchanged_bytes(config, &self.shapes, phase, self.lengths, self.ranks),
        };
        if config.has_critic() && config.value_pretraining.steps > 0 {
            phases.push(step("value pretraining", config.value_pretraining.steps, Phase::ValuePretraining));
        }
        phases.push(step("training", config.run.steps, Phase::Policy));
        let during = config.eval.every.map_or(0, |every| config.run.steps / every);
        let last = u64::from(config.eval.every.is_none_or(|every| !config.run.steps.is_multiple_of(every)));
        let response = self.lengths.response.min(config.longest_eval_response() as f64);
        let lengths = MeanLengths { response, ..self.lengths };
        phases.push(PlannedPhase {
            name: "evaluation",
            times: 1 + during + last,
            stages: evaluation_work(config, &self.shapes, self.problems, lengths),
            exchanged: exchanged_in_evaluation(config, self.problems, lengths, self.ranks),
        });
        phases
    }

    /// Seconds of a stage, which all ranks share.
    fn secs(&self, rates: &Rates, stage: &StageWork) -> f64 {
        rates.secs(stage) / self.ranks as f64
    }

    /// Seconds of a phase, with what ranks send each other.
    fn phase_secs(&self, rates: &Rates, phase: &PlannedPhase) -> f64 {
        phase.stages.iter().map(|stage| self.secs(rates, stage)).sum::<f64>() + phase.exchanged / self.network
    }

    /// Weights of policy, critic and reference.
    fn parameters(&self) -> Vec<(&'static str, usize)> {
        let policy = Model::num_params_of(&self.shapes.policy, Head::Language);
        let mut parameters = vec![("policy", policy)];
        if let Some(critic) = &self.shapes.critic {
            parameters.push(("critic", Model::num_params_of(critic, Head::Value)));
        }
        if self.config.has_reference() {
            parameters.push(("reference", policy));
        }
        parameters
    }

    fn to_json(&self, rates: Option<&Rates>) -> Value {
        let named = |parts: &[(&str, u64)]| -> Value {
            parts.iter().map(|(name, size)| (name.to_string(), json!(size))).collect::<serde_json::Map<_, _>>().into()
        };
        let parameters: Vec<(&str, u64)> = self.parameters().into_iter().map(|(name, n)| (name, n as u64)).collect();
        let phases = self.phases().into_iter().map(|phase| {
            let stages: Vec<Value> = phase.stages.iter().map(|stage| self.stage_to_json(stage, rates)).collect();
            let mut value = json!({"name": phase.name, "times": phase.times, "stages": stages});
            if self.ranks > 1 {
                value["exchanges"] = json!({"bytes": phase.exchanged, "secs": phase.exchanged / self.network});
            }
            value
        });
        json!({
            "parameters": named(&parameters),
            "prompt_tokens": {"mean": self.prompts.mean, "longest": self.prompts.longest, "assumed": self.assumed},
            "response_tokens": self.lengths.response,
            "memory_bytes": {"parts": named(&self.memory.parts), "total": self.memory.total(), "available": available_memory()},
            "ranks": self.ranks,
            "phases": phases.collect::<Vec<_>>(),
        })
    }

    fn to_text(&self, rates: Option<&Rates>) -> String {
        let (config, shape) = (self.config, &self.shapes.policy);
        let parameters: Vec<String> =
            self.parameters().into_iter().map(|(name, number)| format!("{name} {}", short(number as f64))).collect();
        let assumed = if self.assumed { " (assumed: --prompt-tokens)" } else { "" };
        let mut text = format!(
            "model        {}: {}, width {}, vocabulary {}\nparameters   {}\nprompts      {:.0} tokens, the longest {}{assumed}\nresponses    {:.0} tokens, at most {}\n\n",
            base_name(config),
            count(shape.num_layers as u64, "layer", "layers"),
            shape.hidden_size,
            grouped(shape.vocab_size as u64),
            parameters.join(", "),
            self.prompts.mean,
            self.prompts.longest,
            self.lengths.response,
            config.rollout.max_new_tokens,
        );
        text += &self.memory_text();
        let mut run_secs = 0.0;
        for phase in self.phases() {
            run_secs += phase.times as f64 * rates.map_or(0.0, |rates| self.phase_secs(rates, &phase));
            text += &self.phase_text(&phase, rates);
        }
        if rates.is_some() {
            let threads = count(threads(config) as u64, "thread", "threads");
            let place = match self.ranks {
                1 => format!("on {threads} of this machine"),
                ranks => format!("on {ranks} machines like this one with {threads} each, which share the work evenly,"),
            };
            text += &format!("\nthe whole run: about {} {place} at its current load\n", rough_duration(run_secs));
        }
        text
    }

    fn memory_text(&self) -> String {
        let total = self.memory.total();
        let verdict = match available_memory() {
            Some(available) if total <= available => format!(", of {} available: it fits", bytes(available)),
            Some(available) => format!(", but only {} is available: it does not fit", bytes(available)),
            None => String::new(),
        };
        let mut text = format!("memory       {}{verdict}\n", bytes(total));
        for (name, size) in &self.memory.parts {
            text += &format!("  {name:<22} {:>10}\n", bytes(*size));
        }
        text
    }

    /// A table of a step's stages.
    fn phase_text(&self, phase: &PlannedPhase, rates: Option<&Rates>) -> String {
        let time = |secs: Option<f64>| secs.map_or(String::new(), |secs| format!("{:>11}", seconds(secs)));
        let title = format!("{}, {}", phase.name, count(phase.times, "time", "times"));
        let mut text = format!(
            "\n{title:<24} {:>10} {:>10}{}\n",
            "tokens",
            "FLOP",
            if rates.is_some() { "       time" } else { "" }
        );
        let (mut tokens, mut flops) = (0.0, 0.0);
        for stage in &phase.stages {
            let stage_secs = rates.map(|rates| self.secs(rates, stage));
            let is_optimizer = stage.work == Work::Optimizer;
            let [passed, operations] = if is_optimizer { [0.0; 2] } else { [stage.tokens, stage.amount] };
            (tokens, flops) = (tokens + passed, flops + operations);
            let shown = |number: f64| if is_optimizer { "-".into() } else { magnitude(number) };
            text += &format!(
                "  {:<22} {:>10} {:>10}{}\n",
                stage.name(),
                shown(passed),
                shown(operations),
                time(stage_secs)
            );
        }
        if self.ranks > 1 {
            let secs = rates.map(|_| phase.exchanged / self.network);
            let sent = bytes(phase.exchanged as u64);
            text += &format!("  {:<22} {sent:>21}{}\n", "sent by each rank", time(secs));
        }
        let sum = time(rates.map(|rates| self.phase_secs(rates, phase)));
        text + &format!("  {:<22} {:>10} {:>10}{sum}\n", "total", magnitude(tokens), magnitude(flops))
    }

    fn stage_to_json(&self, stage: &StageWork, rates: Option<&Rates>) -> Value {
        let flops = (stage.work != Work::Optimizer).then_some(stage.amount);
        let mut value = json!({"name": stage.name(), "tokens": stage.tokens, "flops": flops});
        if let Some(rates) = rates {
            value["secs"] = json!(self.secs(rates, stage));
            value["cpu_secs"] = json!(rates.cpu_secs(stage));
        }
        value
    }
}

/// `3.1 s`, `4 min`, `2.5 h`, `31 days`
fn seconds(secs: f64) -> String {
    match secs {
        s if s < 1.0 => format!("{:.0} ms", s * 1e3),
        s if s < 60.0 => format!("{s:.1} s"),
        s if s < 2.0 * 86_400.0 => rough_duration(s),
        s => format!("{} days", short(s / 86_400.0)),
    }
}

/// `950`, `52.1 k`, `3.4 M`, up to `1.2 E`
fn magnitude(number: f64) -> String {
    const PREFIXES: [&str; 7] = ["", " k", " M", " G", " T", " P", " E"];
    let steps = ((number.max(1.0).log10() / 3.0) as usize).min(PREFIXES.len() - 1);
    let scaled = number / 1000f64.powi(steps as i32);
    if steps == 0 { format!("{scaled:.0}") } else { format!("{scaled:.1}{}", PREFIXES[steps]) }
}

/// The shapes of the run's networks, and the directory of the policy. If that directory does not exist, its `config.json`
/// may be in `models/NAME/` in the config's directory, where NAME is the last part of `model.path` in lower case.
fn shapes(config: &Config, file: Option<&Path>) -> Result<(Shapes, ModelDirectory)> {
    let base = base_directory(config)?;
    let directory = base.path();
    if directory.join("config.json").is_file() {
        return Ok((Shapes::load(config, directory)?, base));
    }
    let name = directory.file_name().map(|name| name.to_string_lossy().to_lowercase()).unwrap_or_default();
    let known = file.and_then(Path::parent).unwrap_or(Path::new("")).join("models").join(name);
    if !known.join("config.json").is_file() {
        bail!(
            "no config.json in {} (model.path) or in {} in the config's directory: a plan needs no weights, but needs the model's shape",
            directory.display(),
            known.display()
        );
    }
    Ok((Shapes::load(config, &known)?, ModelDirectory::new(&known)))
}

/// The problems of the config; `None` if its files do not exist.
fn problems(config: &Config) -> Result<Option<Box<dyn vapo_tasks::Task>>> {
    let files = [&config.data.train, &config.data.eval];
    let missing = files.into_iter().flatten().flat_map(|files| &files.0).any(|file| !file.path.exists());
    if missing { Ok(None) } else { Ok(Some(load_task(config)?)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn magnitudes_and_times_read_well() {
        assert_eq!(
            [0.0, 950.0, 52_100.0, 3.44e6, 1.2e18, 4e22].map(magnitude),
            ["0", "950", "52.1 k", "3.4 M", "1.2 E", "40000.0 E"]
        );
        assert_eq!([0.0123, 3.12, 200.0, 9000.0, 2.7e6].map(seconds), ["12 ms", "3.1 s", "4 min", "2.5 h", "31 days"]);
    }
}
