//! `vapo eval`: held-out accuracy of a model.

use std::{fs::File, io::Write, sync::atomic::AtomicBool};

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value, json};
use vapo_lm::Engine;
use vapo_train::{
    Evaluation, Evaluator, Event, Measure, MemoryPlan, config::Split, device, evaluate, load_held_out_task,
    prompt_lengths,
};

use crate::{
    args::EvalArgs,
    format::{bar, count, percent},
    interrupt,
    model::Chosen,
    screen::{Screen, StageBar},
};

/// Evaluates and prints the result.
pub(crate) fn run(args: EvalArgs) -> Result<()> {
    let chosen = Chosen::new(&args.model, &overrides(&args))?;
    if !args.allow_verifier {
        chosen.refuse_recorded_programs()?;
    }
    let config = &chosen.config;
    let out = args
        .out
        .as_deref()
        .map(|path| File::create_new(path).with_context(|| format!("cannot write {}", path.display())));
    let out = out.transpose()?;
    interrupt::end_at_a_signal()?;
    let task = load_held_out_task(config)?;
    let device = device(config);
    let model = chosen.load(&device, |shape, text| {
        let longest = prompt_lengths(config, task.as_ref(), text, shape)?.longest;
        let problems = config.eval.problems.min(task.held_out().len());
        MemoryPlan::of_sampling(config, shape, (problems, config.eval.samples), longest).check_machine()
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
        engine: &mut Engine::new(&device, config.run.micro_batch_tokens),
        policy: &model.model,
        text: &model.text,
        task: task.as_ref(),
        config,
    };
    let evaluation = evaluate(evaluator, &mut observer, &AtomicBool::new(false))?;
    screen.clear();
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
        // A JSON string is also a TOML string. A config requires both keys; only the held-out problems are read. A file has no splits.
        let path = Value::from(file.display().to_string());
        overrides.extend([format!("data.train={path}"), format!("data.eval={path}"), "eval.split=test".to_owned()]);
    }
    overrides.extend(args.verifier.iter().map(|verifier| format!("reward.verifier={verifier}")));
    overrides.extend(args.template.iter().map(|text| format!("data.prompt_template={}", Value::from(text.as_str()))));
    overrides.extend(args.problems.map(|problems| format!("eval.problems={problems}")));
    overrides.extend(args.samples.map(|samples| format!("eval.samples={samples}")));
    overrides
}

fn to_json(chosen: &Chosen, evaluation: &Evaluation) -> Value {
    let metrics: Map<String, Value> =
        evaluation.to_row().entries().map(|(key, value)| (key.to_string(), value.clone())).collect();
    let (measures, shares) = (evaluation.measures(), evaluation.shares());
    json!({
        "model": chosen.name,
        "accuracy": evaluation.accuracy(),
        "standard_error": measures.first().and_then(|average| average.standard_error),
        "measures": measures.iter().map(|m| (m.name.clone(), measure_json(m))).collect::<Map<String, Value>>(),
        "response_tokens": shares.tokens.mean(),
        "truncated": shares.truncated.mean(),
        "malformed": shares.malformed.mean(),
        "failed": shares.failed.mean(),
        "problems": evaluation.problems.len(),
        "samples_per_problem": evaluation.samples,
        "temperature": chosen.config.eval.temperature,
        "top_p": chosen.config.eval.top_p,
        "seed": chosen.config.run.seed,
        "metrics": metrics,
    })
}

fn measure_json(measure: &Measure) -> Value {
    json!({
        "value": measure.value,
        "standard_error": measure.standard_error,
        "interval": measure.interval,
        "problems": measure.problems,
    })
}

fn to_text(chosen: &Chosen, task: &str, evaluation: &Evaluation) -> String {
    let (samples, eval) = (evaluation.samples, &chosen.config.eval);
    let split = if eval.split == Split::Validation { ", validation problems" } else { "" };
    let mut text = format!("{}\n  on {task}{split}: ", chosen.name);
    text += &format!(
        "{} x {}",
        count(evaluation.problems.len() as u64, "problem", "problems"),
        count(samples as u64, "sample", "samples")
    );
    text += &format!(", temperature {}, top-p {}, seed {}\n\n", eval.temperature, eval.top_p, chosen.config.run.seed);
    let measures = evaluation.measures();
    if measures.is_empty() {
        text += "  not measured: the verifier could not grade any sample\n";
    }
    measures.iter().for_each(|measure| text += &measure_line(measure, evaluation.problems.len()));
    let shares = evaluation.shares();
    let share = |mean: Option<f64>| percent(mean.unwrap_or(0.0));
    text += &format!("\n  length     {:>7.1} tokens\n", shares.tokens.mean().unwrap_or(0.0));
    text += &format!("  cut off    {:>7}\n", share(shares.truncated.mean()));
    text += &format!("  malformed  {:>7}  no readable answer; counted as wrong\n", share(shares.malformed.mean()));
    if shares.failed.max() == Some(1.0) {
        text += &format!("  failed     {:>7}  the verifier could not decide; left out\n", share(shares.failed.mean()));
    }
    for (name, scores) in &shares.scores {
        text += &format!("  score of `{name}`: {:.3}\n", scores.mean().unwrap_or(0.0));
    }
    text + &by_source(evaluation)
}

/// `  avg@32      12.3 %  ± 1.2  [10.1, 14.6]  ███`
fn measure_line(measure: &Measure, problems: usize) -> String {
    const BAR_WIDTH: usize = 30;
    let hundredfold = |share: f64| format!("{:.1}", 100.0 * share);
    let error = measure.standard_error.map_or(String::new(), |error| format!("± {}", hundredfold(error)));
    let interval =
        measure.interval.map_or(String::new(), |[low, high]| format!("[{}, {}]", hundredfold(low), hundredfold(high)));
    let mut line = format!(
        "  {:<10} {:>7}  {error:<6}  {interval:<14}  {}",
        measure.name,
        percent(measure.value),
        bar(measure.value, BAR_WIDTH)
    );
    if measure.problems < problems {
        line += &format!(" ({})", count(measure.problems as u64, "problem", "problems"));
    }
    format!("{}\n", line.trim_end())
}

/// Accuracy per data source, if there are several.
fn by_source(evaluation: &Evaluation) -> String {
    let row = evaluation.to_row();
    let suffix = format!("/acc/mean@{}", evaluation.samples);
    let sources: Vec<(&str, Option<f64>)> = row
        .entries()
        .filter_map(|(key, value)| Some((key.strip_prefix("val-core/")?.strip_suffix(&suffix)?, value.as_f64())))
        .collect();
    if sources.len() < 2 {
        return String::new();
    }
    let shown = |value: Option<f64>| value.map_or("not measured".into(), percent);
    sources.into_iter().map(|(source, accuracy)| format!("    {source:<20} {:>8}\n", shown(accuracy))).collect()
}
