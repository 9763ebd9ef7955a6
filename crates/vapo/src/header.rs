//! The header of a run: what it is going to do.

use anyhow::Result;
use vapo_train::{
    Config, MemoryPlan, Run, available_memory,
    config::{AdvantageKind, Dtype, PolicyLossKind, PretrainingRule, Split},
    threads,
};

use crate::{
    format::{bytes, count, short, wrap},
    model::base_name,
    screen::Screen,
};

/// The ranks of a run, if there are several.
fn ranks(run: &Run) -> Option<String> {
    let (ranks, shards) = (run.division().ranks(), run.config().run.gradient_shards);
    let mut hosts: Vec<&str> = ranks.peers().iter().map(|peer| peer.host.as_str()).collect();
    hosts.dedup();
    (ranks.size() > 1).then(|| {
        let hosts = count(hosts.len() as u64, "machine", "machines");
        format!("{} on {hosts} over {}, {shards} gradient shards", ranks.size(), ranks.transport())
    })
}

/// Prints the header of a new or resumed run.
///
/// # Errors
/// The run directory cannot be read.
pub(crate) fn show(screen: &Screen, run: &Run) -> Result<()> {
    let config = run.config();
    let mut rows = vec![("model", model(run)), ("task", task(run))];
    rows.extend(
        run.task()
            .sets()
            .into_iter()
            .zip(["data"].into_iter().chain(std::iter::repeat("")))
            .map(|(set, name)| (name, set)),
    );
    let verifiers = config.reward.verifier.iter().filter(|_| config.data.train.is_some());
    rows.extend(verifiers.filter_map(|term| Some(("verifier", term.verifier.outside_action()?))));
    rows.push(("method", method(config)));
    let parts = vapo_parts(config);
    if parts.len() > 1 {
        rows.push(("", parts.join(", ")));
    }
    let threads = threads(config).to_string();
    rows.extend([("steps", steps(config)), ("memory", memory(run.memory_plan())), ("threads", threads)]);
    rows.extend(ranks(run).map(|ranks| ("ranks", ranks)));
    rows.push(("run", run.directory().path().display().to_string()));
    if !run.directory().checkpoints()?.is_empty() {
        rows.push(("", format!("resuming after step {}", run.counters().global_step)));
    }
    screen.line(&screen.bold(&format!("vapo {}", env!("CARGO_PKG_VERSION"))));
    for (name, text) in rows {
        for (index, line) in wrap(&text, screen.width() - 12).iter().enumerate() {
            let name = if index == 0 { name } else { "" };
            screen.line(&format!("  {}{line}", screen.dim(&format!("{name:<9}"))));
        }
    }
    Ok(())
}

fn model(run: &Run) -> String {
    let (config, shape) = (run.config(), run.policy().config());
    format!(
        "{}: {} parameters ({}, width {}, vocabulary {}{}){}",
        base_name(config),
        short(run.policy().num_params() as f64),
        count(shape.num_layers as u64, "layer", "layers"),
        shape.hidden_size,
        shape.vocab_size,
        if config.model.dtype == Dtype::Bfloat16 { ", in bfloat16" } else { "" },
        if config.has_critic() { ", and a critic of the same shape" } else { "" }
    )
}

fn task(run: &Run) -> String {
    let (data, eval) = (&run.config().data, &run.config().eval);
    let problems = eval.problems.min(run.task().held_out().len());
    let problems = match eval.split {
        Split::Test => count(problems as u64, "held-out problem", "held-out problems"),
        Split::Validation => count(problems as u64, "validation problem", "validation problems"),
    };
    let held_out = format!("{problems} x {}", count(eval.samples as u64, "sample", "samples"));
    if data.train.is_none() {
        let size = match data.task.as_str() {
            "recall" => format!("{} to {} functions", data.recall_functions[0], data.recall_functions[1]),
            "walk" => format!("at most {} moves", data.walk_moves),
            _ => format!("{} to {} operations", data.chain_operations[0], data.chain_operations[1]),
        };
        return format!("{} (built-in, {size}), evaluated on {held_out}", data.task);
    }
    let names: Vec<String> = run.config().reward.verifier.iter().map(|term| format!("`{}`", term.name())).collect();
    let verifiers = names.join(", ");
    format!("answers checked by {verifiers}, evaluated on {held_out}")
}

fn method(config: &Config) -> String {
    let from = match config.algorithm.advantage {
        AdvantageKind::Gae => "a critic",
        AdvantageKind::Group | AdvantageKind::LeaveOneOut => "the group's other responses",
        AdvantageKind::Return => "the reward only",
    };
    format!("{}: credit from {from}", config.algorithm.preset)
}

/// Those of VAPO's seven parts that are switched on.
fn vapo_parts(config: &Config) -> Vec<&'static str> {
    let (algorithm, critic) = (&config.algorithm, config.has_critic());
    let decoupled =
        algorithm.length_adaptive_alpha.is_some() || algorithm.lambda_critic != Some(algorithm.lambda_policy);
    let parts = [
        ("value pretraining", critic && config.value_pretraining.steps > 0),
        ("decoupled GAE", critic && algorithm.lambda_critic.is_some() && decoupled),
        ("length-adaptive GAE", critic && algorithm.length_adaptive_alpha.is_some()),
        ("clip-higher", clips_higher(config)),
        ("token-level loss", algorithm.loss_reduction.to_string() == "token-mean"),
        ("positive-example LM loss", algorithm.positive_lm_weight > 0.0),
        ("group sampling", config.rollout.group_size > 1),
    ];
    parts.into_iter().filter_map(|(name, on)| on.then_some(name)).collect()
}

/// Whether the ratio may rise further than it may fall.
fn clips_higher(config: &Config) -> bool {
    let algorithm = &config.algorithm;
    let bounds = algorithm.clip_low.zip(algorithm.clip_high);
    algorithm.policy_loss == PolicyLossKind::Clip && bounds.is_some_and(|(low, high)| high > low)
}

fn steps(config: &Config) -> String {
    let (rollout, pretraining) = (&config.rollout, &config.value_pretraining);
    let training = format!(
        "{} of {} x {}, {} each",
        count(config.run.steps, "step", "steps"),
        count(rollout.prompts_per_step as u64, "prompt", "prompts"),
        count(rollout.group_size as u64, "response", "responses"),
        count(config.policy_updates_per_step() as u64, "update", "updates"),
    );
    if pretraining.steps == 0 || !config.has_critic() {
        return training;
    }
    let most = if pretraining.rule == PretrainingRule::Plateau { "at most " } else { "" };
    let responses = pretraining.prompts_per_step * pretraining.group_size;
    format!("{most}{} of value pretraining ({responses} responses each), then {training}", pretraining.steps)
}

fn memory(plan: &MemoryPlan) -> String {
    let parts: Vec<String> = plan.parts.iter().map(|(name, size)| format!("{name} {}", bytes(*size))).collect();
    let available = available_memory().map_or(String::new(), |available| format!(" of {} available", bytes(available)));
    format!("{}{available}: {}", bytes(plan.total()), parts.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn preset(name: &str) -> Config {
        Config::load(None, &[format!("algorithm.preset={name}")]).unwrap()
    }

    #[test]
    fn the_header_names_the_parts_that_are_on() {
        assert_eq!(vapo_parts(&preset("vapo")).len(), 7);
        assert_eq!(vapo_parts(&preset("ppo")), [""; 0]);
        assert_eq!(vapo_parts(&preset("vc-ppo")), ["value pretraining", "decoupled GAE"]);
        assert_eq!(vapo_parts(&preset("grpo")), ["group sampling"]);
        assert_eq!(vapo_parts(&preset("dapo")), ["clip-higher", "token-level loss", "group sampling"]);
    }
}
