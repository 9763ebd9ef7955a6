//! The report at the end of a run: the gain in accuracy, example answers, where the time went, what to do next.
//!
//! Everything is read from the run directory, so the report of a resumed run covers all its sessions.

use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;
use vapo_train::{AccuracySummary, Row, RunDir, RunSummary, Stage};

use crate::{
    critic::{show_alarms, show_critic},
    format::{bar, count, duration, grouped, percent, printable},
    samples::{Comparison, choose},
    screen::Screen,
};

/// Full length of a bar.
const BAR_WIDTH: usize = 30;

/// Maximum length of a prompt or response shown.
const SHOWN_CHARACTERS: usize = 360;

/// Stages with a share below this are combined.
const SMALL_SHARE: f64 = 0.005;

/// Prints the report of a finished run.
///
/// # Errors
/// A file of the run cannot be read.
pub(crate) fn show(screen: &Screen, directory: &RunDir, summary: &RunSummary) -> Result<()> {
    accuracy(screen, &summary.eval);
    let samples = samples(directory)?;
    show_samples(screen, &samples);
    summary.critic.iter().for_each(|critic| show_critic(screen, critic));
    show_alarms(screen, &summary.alarms);
    let rows = directory.rows()?;
    where_time_went(screen, &stage_secs(rows, summary.wall_secs)?, summary);
    next(screen, directory.path(), &samples);
    Ok(())
}

fn accuracy(screen: &Screen, eval: &AccuracySummary) {
    let (before, after) = (eval.before, eval.after);
    let problems = count(eval.problems as u64, "problem", "problems");
    let samples = count(eval.samples_per_problem as u64, "sample", "samples");
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

/// A label, a verdict in its column, and a text on as many lines as it needs.
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

/// Omits the middle of a long text, because its end holds the answer.
fn shorten(text: &str) -> String {
    let characters: Vec<char> = text.chars().collect();
    if characters.len() <= SHOWN_CHARACTERS {
        return text.to_string();
    }
    let half = SHOWN_CHARACTERS / 2;
    let (head, tail) = (&characters[..half], &characters[characters.len() - half..]);
    format!("{} [...] {}", head.iter().collect::<String>(), tail.iter().collect::<String>())
}

/// Seconds of each stage over all steps, the longest first; the rest of the time is "other".
fn stage_secs(
    rows: impl IntoIterator<Item = vapo_train::Result<Row>>,
    wall_secs: f64,
) -> Result<Vec<(&'static str, f64)>> {
    let timed = |stage: Stage| Some((stage.timing_key()?, stage.name(), 0.0));
    let mut sums: Vec<(&str, &str, f64)> = Stage::ALL.into_iter().filter_map(timed).collect();
    for row in rows {
        let row = row?;
        sums.iter_mut().for_each(|(key, _, secs)| *secs += row.get(key).unwrap_or(0.0));
    }
    let stages = sums.into_iter().map(|(_, name, secs)| (name, secs));
    let mut large: Vec<_> = stages.filter(|&(_, secs)| secs > 0.0 && secs >= SMALL_SHARE * wall_secs).collect();
    large.sort_by(|a, b| b.1.total_cmp(&a.1));
    let other = wall_secs - large.iter().map(|(_, secs)| secs).sum::<f64>();
    if other >= SMALL_SHARE * wall_secs {
        large.push(("other", other));
    }
    Ok(large)
}

fn where_time_went(screen: &Screen, stages: &[(&str, f64)], summary: &RunSummary) {
    let wall_secs = summary.wall_secs;
    screen.line(&format!(
        "\n  {}: {} ({} of CPU, {} response tokens, {} updates, {:.0} MB at peak)",
        screen.bold("time"),
        duration(wall_secs),
        duration(summary.cpu_secs),
        grouped(summary.tokens),
        grouped(summary.updates),
        summary.peak_rss_mb,
    ));
    for &(stage, secs) in stages {
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

/// Whether a prompt can be quoted on a command line.
fn is_plain(prompt: &str) -> bool {
    prompt.chars().count() <= 60 && !prompt.chars().any(|c| c == '\'' || c.is_control())
}

#[cfg(test)]
mod tests {
    use vapo_train::metrics::keys;

    use super::*;

    #[test]
    fn stages_add_up_to_the_wall_time() {
        let row = |gen_secs: f64| {
            let mut row = Row::new(1);
            row.number(keys::TIMING_SAMPLING, gen_secs);
            row.number(keys::TIMING_CREDIT, 0.001);
            row.number(keys::TIMING_POLICY_UPDATES, 3.0);
            row.number(keys::TIMING_STEP, gen_secs + 3.001);
            row
        };
        let stages = stage_secs([Ok(row(1.0)), Ok(row(2.0))], 10.0).unwrap();
        let names: Vec<&str> = stages.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["policy updates", "sampling", "other"]);
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
