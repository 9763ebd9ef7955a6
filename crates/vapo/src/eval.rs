//! `vapo eval`: held-out accuracy of a model.

use std::{fs::File, io::Write, sync::atomic::AtomicBool};

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value, json};
use vapo_lm::Engine;
use vapo_train::{Evaluation, Evaluator, Event, MemoryPlan, evaluate, load_held_out_task, prompt_lengths, threads};

use crate::{
    args::EvalArgs,
    format::{bar, count, percent},
    model::Chosen,
    screen::{Screen, StageBar},
};

/// Evaluates and prints the result.
pub(crate) fn run(args: EvalArgs) -> Result<()> {
    let chosen = Chosen::new(&args.model, &overrides(&args))?;
    let config = &chosen.config;
    let out = args
        .out
        .as_deref()
        .map(|path| File::create_new(path).with_context(|| format!("cannot write {}", path.display())));
    let out = out.transpose()?;
    let task = load_held_out_task(config)?;
    let model = chosen.load(|shape, text| {
        let longest = prompt_lengths(config, task.as_ref(), text, shape)?.longest;
        let problems = config.eval.problems.min(task.held_out().len());
        Ok(MemoryPlan::of_sampling(config, shape, (problems, config.eval.samples), longest))
    })?;
    let screen = Screen::for_result();
    task.warnings().iter().for_each(|warning| screen.warn(warning));
    let mut bar = StageBar::new(&screen);
    let mut observer = |event: Event<'_>| {
        if let Event::Progress(progress) = event {
            bar.show("", progress, "");
        }
    };
    let evaluator = Evaluator {
        engine: &mut Engine::new(threads(config), config.run.micro_batch_tokens),
        policy: &model.model,
        text: &model.text,
        task: task.as_ref(),
        config,
    };
    let evaluation = evaluate(evaluator, &mut observer, &AtomicBool::new(false))?;
    screen.clear_bar();
    let Some(evaluation) = evaluation else { bail!("stopped before the end") };
    if let (Some(mut file), Some(path)) = (out, &args.out) {
        file.write_all(evaluation.to_jsonl().as_bytes()).with_context(|| format!("cannot write {}", path.display()))?;
    }
    let text = match args.json {
        true => format!("{}\n", to_json(&chosen, &evaluation)),
        false => to_text(&chosen, task.name(), &evaluation),
    };
    Ok(std::io::stdout().write_all(text.as_bytes())?)
}

fn overrides(args: &EvalArgs) -> Vec<String> {
    let mut overrides = args.sampling.overrides();
    if let Some(file) = &args.data {
        // A JSON string is a TOML string too. A config wants both; only the held-out problems are read.
        let path = Value::from(file.display().to_string());
        overrides.extend([format!("data.train={path}"), format!("data.eval={path}")]);
    }
    overrides.extend(args.problems.map(|problems| format!("eval.problems={problems}")));
    overrides.extend(args.samples.map(|samples| format!("eval.samples={samples}")));
    overrides
}

/// Standard error of the mean accuracy over problems; none for fewer than two.
fn standard_error(evaluation: &Evaluation) -> Option<f64> {
    let accuracies: Vec<f64> = evaluation.problems.iter().filter_map(|problem| problem.accuracy()).collect();
    let number = accuracies.len() as f64;
    if accuracies.len() < 2 {
        return None;
    }
    let mean = accuracies.iter().sum::<f64>() / number;
    let squares: f64 = accuracies.iter().map(|accuracy| (accuracy - mean).powi(2)).sum();
    Some((squares / (number - 1.0) / number).sqrt())
}

fn to_json(chosen: &Chosen, evaluation: &Evaluation) -> Value {
    let metrics: Map<String, Value> =
        evaluation.to_row().entries().map(|(key, value)| (key.to_string(), value.clone())).collect();
    json!({
        "model": chosen.name,
        "accuracy": evaluation.accuracy(),
        "standard_error": standard_error(evaluation),
        "pass": evaluation.pass_rate(),
        "problems": evaluation.problems.len(),
        "samples_per_problem": evaluation.samples,
        "temperature": chosen.config.eval.temperature,
        "seed": chosen.config.run.seed,
        "metrics": metrics,
    })
}

fn to_text(chosen: &Chosen, task: &str, evaluation: &Evaluation) -> String {
    const BAR_WIDTH: usize = 30;
    let (samples, eval) = (evaluation.samples, &chosen.config.eval);
    let share = |value: Option<f64>| value.map_or("not measured".into(), percent);
    let accuracy = evaluation.accuracy();
    let error = standard_error(evaluation).map_or(String::new(), |error| format!(" ± {:.1}", 100.0 * error));
    let answers = || evaluation.problems.iter().flat_map(|problem| &problem.answers);
    let mean = |total: usize| total as f64 / answers().count() as f64;
    let tokens = mean(answers().map(|answer| answer.tokens).sum());
    let truncated = mean(answers().filter(|answer| answer.truncated).count());
    let ungraded = mean(answers().filter(|answer| answer.verdict.score().is_none()).count());
    let mut text = format!("{}\n  on {task}: ", chosen.name);
    text += &format!(
        "{} x {}",
        count(evaluation.problems.len() as u64, "problem", "problems"),
        count(samples as u64, "sample", "samples")
    );
    text += &format!(", temperature {}, seed {}\n\n", eval.temperature, chosen.config.run.seed);
    let bar = bar(accuracy.unwrap_or(0.0), BAR_WIDTH);
    text += &format!("  accuracy  {:>8}{error}  {bar}\n", share(accuracy));
    text += &format!("  pass@{samples:<4} {:>8}\n", share(evaluation.pass_rate()));
    text += &format!("  length    {tokens:>8.1} tokens, {} cut off\n", percent(truncated));
    if ungraded > 0.0 {
        text += &format!(
            "  ungraded  {:>8} of the samples (the verifier could not decide; they do not count)\n",
            percent(ungraded)
        );
    }
    let row = evaluation.to_row();
    let suffix = format!("/acc/mean@{samples}");
    let sources: Vec<(&str, Option<f64>)> = row
        .entries()
        .filter_map(|(key, value)| Some((key.strip_prefix("val-core/")?.strip_suffix(&suffix)?, value.as_f64())))
        .collect();
    if sources.len() > 1 {
        for (source, accuracy) in sources {
            text += &format!("    {source:<20} {:>8}\n", share(accuracy));
        }
    }
    text
}
