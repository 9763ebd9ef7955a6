//! The end of a run: what it gained, what its answers look like, where the time went, what to do next.
//!
//! Everything is read from the run directory, so a resumed run tells of all its sessions.

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context, Result};
use serde_json::Value;
use vapo_train::{Row, RunDir};

use crate::{
    doctor::{show_alarms, show_critic},
    format::{bar, count, duration, grouped, percent, printable},
    samples::{Comparison, choose},
    screen::Screen,
};

/// Full length of a bar.
const BAR_WIDTH: usize = 30;

/// Longest text of a prompt or response that is shown.
const SHOWN_CHARACTERS: usize = 360;

/// Stages with a share below this are told together.
const SMALL_SHARE: f64 = 0.005;

/// Prints the report of a finished run.
///
/// # Errors
/// A file of the run cannot be read.
pub(crate) fn show(screen: &Screen, directory: &RunDir, summary: &Value) -> Result<()> {
    accuracy(screen, summary);
    let samples = samples(directory)?;
    show_samples(screen, &samples);
    show_critic(screen, summary);
    show_alarms(screen, summary);
    where_time_went(screen, &directory.metrics()?, summary);
    next(screen, directory.path(), &samples);
    Ok(())
}

fn accuracy(screen: &Screen, summary: &Value) {
    let eval = &summary["eval"];
    let (before, after) = (eval["before"].as_f64(), eval["after"].as_f64());
    let number = |key: &str| eval[key].as_u64().unwrap_or(0);
    let problems = count(number("problems"), "problem", "problems");
    let samples = count(number("samples_per_problem"), "sample", "samples");
    screen.line(&format!("\n  {} ({problems} x {samples})", screen.bold("held-out accuracy")));
    for (name, accuracy) in [("before", before), ("after", after)] {
        let Some(accuracy) = accuracy else {
            screen.line(&format!("    {name:<8} not measured"));
            continue;
        };
        let bar = bar(accuracy, BAR_WIDTH);
        let rose = name == "after" && before.is_none_or(|before| accuracy > before);
        let bar = if rose { screen.good(&bar) } else { bar };
        let gain = match before {
            Some(before) if name == "after" && before > 0.0 => format!("  {:.2} times", accuracy / before),
            _ => String::new(),
        };
        screen.line(&format!("    {name:<8} {:>7}  {bar}{gain}", percent(accuracy)));
    }
}

/// Compares the first and the last evaluation.
fn samples(directory: &RunDir) -> Result<Vec<Comparison>> {
    let evaluations = directory.evaluations()?;
    let [(_, first), .., (_, last)] = evaluations.as_slice() else { return Ok(Vec::new()) };
    Ok(choose(&read_lines(first)?, &read_lines(last)?))
}

fn read_lines(path: &Path) -> Result<Vec<Value>> {
    let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let lines = text.lines().map(serde_json::from_str);
    lines.collect::<serde_json::Result<_>>().with_context(|| format!("cannot read {}", path.display()))
}

fn show_samples(screen: &Screen, samples: &[Comparison]) {
    for comparison in samples {
        screen.line(&format!("\n  {}", screen.bold(comparison.title)));
        show_text(screen, "prompt", "", &comparison.prompt);
        for (when, sample) in [("before", &comparison.before), ("after", &comparison.after)] {
            let verdict = format!("{:<11}", sample.verdict);
            let verdict = if sample.is_right() { screen.good(&verdict) } else { screen.bad(&verdict) };
            show_text(screen, when, &verdict, &sample.response);
        }
        if !comparison.after.is_right() {
            show_text(screen, "answer", "", &comparison.answer);
        }
    }
}

/// A label, a verdict in its column, and a text over as many lines as it needs.
fn show_text(screen: &Screen, label: &str, verdict: &str, text: &str) {
    const INDENT: usize = 24;
    let shown = shorten(printable(text).trim());
    let mut lines: Vec<String> = Vec::new();
    for line in shown.lines() {
        let characters: Vec<char> = line.chars().collect();
        lines.extend(characters.chunks(screen.width() - INDENT).map(String::from_iter));
    }
    let label = screen.dim(&format!("{label:<9}"));
    let verdict = if verdict.is_empty() { " ".repeat(11) } else { verdict.to_string() };
    let first = lines.first().map_or("(nothing)", String::as_str);
    screen.line(&format!("    {label}{verdict}{first}"));
    lines.iter().skip(1).for_each(|line| screen.line(&format!("{:INDENT$}{line}", "")));
}

/// Leaves the middle out of a long text: its end holds the answer.
fn shorten(text: &str) -> String {
    let characters: Vec<char> = text.chars().collect();
    if characters.len() <= SHOWN_CHARACTERS {
        return text.to_string();
    }
    let half = SHOWN_CHARACTERS / 2;
    let (head, tail) = (&characters[..half], &characters[characters.len() - half..]);
    format!("{} [...] {}", head.iter().collect::<String>(), tail.iter().collect::<String>())
}

/// Seconds per stage over all steps; what is in no stage goes to "other".
fn stage_secs(rows: &[Row], wall_secs: f64) -> Vec<(String, f64)> {
    let mut stages: BTreeMap<&str, f64> = BTreeMap::new();
    for (key, value) in rows.iter().flat_map(Row::entries) {
        if let (Some(stage), Some(secs)) = (key.strip_prefix("timing_s/"), value.as_f64())
            && stage != "step"
        {
            *stages.entry(stage).or_default() += secs;
        }
    }
    let large = stages.into_iter().filter(|(_, secs)| *secs >= SMALL_SHARE * wall_secs);
    let mut large: Vec<(String, f64)> = large.map(|(stage, secs)| (stage_name(stage).to_string(), secs)).collect();
    large.sort_by(|a, b| b.1.total_cmp(&a.1));
    let other = wall_secs - large.iter().map(|(_, secs)| secs).sum::<f64>();
    if other >= SMALL_SHARE * wall_secs {
        large.push(("other".into(), other));
    }
    large
}

fn stage_name(key: &str) -> &str {
    match key {
        "gen" => "sampling",
        "reward" => "grading",
        "check_logps" => "check of log-probs",
        "ref" => "reference policy",
        "adv" => "credit",
        "update_critic" => "critic's updates",
        "update_actor" => "policy's updates",
        "testing" => "evaluation",
        "save_checkpoint" => "checkpoints",
        other => other,
    }
}

fn where_time_went(screen: &Screen, rows: &[Row], summary: &Value) {
    let number = |key: &str| summary[key].as_f64().unwrap_or(0.0);
    let wall_secs = number("wall_secs");
    screen.line(&format!(
        "\n  {}: {} ({} of CPU, {} response tokens, {} updates, {:.0} MB at peak)",
        screen.bold("time"),
        duration(wall_secs),
        duration(number("cpu_secs")),
        grouped(summary["tokens"].as_u64().unwrap_or(0)),
        grouped(summary["updates"].as_u64().unwrap_or(0)),
        number("peak_rss_mb"),
    ));
    for (stage, secs) in stage_secs(rows, wall_secs) {
        let share = secs / wall_secs;
        screen.line(&format!(
            "    {stage:<18} {:>7} {:>12}  {}",
            percent(share),
            duration(secs),
            bar(share, BAR_WIDTH)
        ));
    }
}

fn next(screen: &Screen, run: &Path, samples: &[Comparison]) {
    let run = run.display();
    let prompt = samples.first().map(|sample| sample.prompt.as_str()).filter(|prompt| is_plain(prompt));
    let ask = prompt.map_or(String::new(), |prompt| format!(" '{prompt}'"));
    screen.line(&format!("\n  {}", screen.bold("next")));
    for command in [
        format!("vapo generate --model {run}{ask}"),
        format!("vapo eval --model {run} --temperature 0 -n 1"),
        format!("vapo resume {run} --set run.steps=MORE"),
    ] {
        screen.line(&format!("    {command}"));
    }
    screen.line(
        &screen
            .dim(&format!("    {run}/: metrics.jsonl, eval/, checkpoints/ (Hugging Face directories), summary.json")),
    );
}

/// Whether a prompt can stand in quotes on a command line.
fn is_plain(prompt: &str) -> bool {
    prompt.chars().count() <= 60 && !prompt.chars().any(|c| c == '\'' || c.is_control())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_add_up_to_the_wall_time() {
        let row = |gen_secs: f64| {
            let mut row = Row::new(1);
            row.number("timing_s/gen", gen_secs);
            row.number("timing_s/adv", 0.001);
            row.number("timing_s/update_actor", 3.0);
            row.number("timing_s/step", gen_secs + 3.001);
            row
        };
        let stages = stage_secs(&[row(1.0), row(2.0)], 10.0);
        let names: Vec<&str> = stages.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["policy's updates", "sampling", "other"]);
        assert_eq!(stages.iter().map(|(_, secs)| secs).sum::<f64>(), 10.0);
    }

    #[test]
    fn a_long_response_keeps_its_end() {
        let text = "a".repeat(1000) + "answer";
        let shown = shorten(&text);
        assert!(shown.ends_with("answer") && shown.contains("[...]") && shown.chars().count() < 400);
        assert_eq!(shorten("short"), "short");
    }
}
