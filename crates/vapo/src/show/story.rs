//! The story of a run on the terminal.

use std::io::Write;

use anyhow::Result;
use serde::Serialize;
use vapo_view::{
    ACCURACY, AlarmStory, Curve, Rollouts, RunState, Story, View,
    rollouts::{MAX_ROWS, Query, Sort, Summary},
};

use crate::{
    format::{count, decimal, duration, grouped, one_line, padded, percent, printable, wrap},
    screen::Screen,
    spark::sparkline,
};

/// Rollouts shown at each end.
const EXTREMES: usize = 2;
/// Times of an alarm that are listed.
const MAX_SPANS: usize = 6;
/// Columns of the numbers next to a curve.
const NUMBER: usize = 9;
/// Columns of a setting's name at most, and of its value.
const MAX_KEY: usize = 40;
const VALUE: usize = 20;
/// Columns of a curve's name with its indent.
const CURVE_NAME: usize = 23;

/// A story with some of its rollouts, as JSON.
#[derive(Serialize)]
struct Told<'a> {
    #[serde(flatten)]
    story: &'a Story,
    best: Vec<Summary>,
    worst: Vec<Summary>,
}

/// Prints the story of a run, or writes it as JSON.
///
/// # Errors
/// It is no run.
pub(super) fn show(run: &std::path::Path, json: bool) -> Result<()> {
    let view = View::open(run)?;
    let mut story = Story::of(&view);
    let [best, worst] = match Rollouts::open(view.directory()) {
        Ok(rollouts) => {
            story.notes.extend(rollouts.notes());
            extremes(&rollouts)
        }
        Err(error) => {
            story.notes.push(error.to_string());
            [Vec::new(), Vec::new()]
        }
    };
    if json {
        let told = Told { story: &story, best, worst };
        return Ok(writeln!(std::io::stdout(), "{}", serde_json::to_string_pretty(&told)?)?);
    }
    let screen = Screen::for_words();
    story.notes.iter().for_each(|note| screen.warn(note));
    head(&screen, &story);
    curves(&screen, &story);
    milestones(&screen, &story);
    story.alarms.iter().enumerate().for_each(|(index, alarm)| show_alarm(&screen, index == 0, alarm));
    settings(&screen, &story);
    rollouts(&screen, &best, &worst);
    next(&screen, &story, best.first());
    Ok(())
}

/// The rollouts of the newest recorded step with the greatest and the least reward, to different prompts; none twice.
fn extremes(rollouts: &Rollouts) -> [Vec<Summary>; 2] {
    let Some(newest) = rollouts.steps().last() else { return [Vec::new(), Vec::new()] };
    let sorted = |descending| {
        let (step, sort) = (Some(newest), Sort::Reward);
        let query = Query { step_min: step, step_max: step, sort, descending, limit: MAX_ROWS, ..Query::default() };
        let mut chosen: Vec<Summary> = Vec::new();
        for rollout in rollouts.query(&query).rows {
            if chosen.len() < EXTREMES && chosen.iter().all(|other| other.prompt_id != rollout.prompt_id) {
                chosen.push(rollout);
            }
        }
        chosen
    };
    let best = sorted(true);
    let mut worst = sorted(false);
    worst.retain(|one| best.iter().all(|other| other.reward > one.reward));
    [best, worst]
}

fn head(screen: &Screen, story: &Story) {
    let (run, cost) = (&story.run, &story.cost);
    let id = printable(&run.id);
    let title = screen.bold(&format!("{id}: {}", state(story)));
    screen.line(&title);
    let critic = if run.tags.iter().any(|tag| tag == "critic") { "a critic" } else { "no critic" };
    let method = format!("{} with {critic}, seed {}", run.preset, run.seed);
    let model = format!("{}, on {}", run.model, run.task);
    let spent = format!(
        "{} of CPU for training, {}, {}, {}",
        duration(cost.cpu_secs),
        count(cost.updates as u64, "update of the policy", "updates of the policy"),
        count(cost.samples as u64, "sample", "samples"),
        count(cost.tokens as u64, "token", "tokens"),
    );
    let whole = story
        .process_secs
        .map(|(cpu, wall)| format!("{} of CPU with evaluations and checkpoints, in {}", duration(cpu), duration(wall)));
    let rows = [("method", Some(method)), ("model", Some(model)), ("cost", Some(spent)), ("", whole)];
    for (name, text) in rows.into_iter().filter_map(|(name, text)| Some((name, text?))) {
        for (index, line) in wrap(&one_line(&text, usize::MAX), screen.width() - 12).iter().enumerate() {
            let name = if index == 0 { name } else { "" };
            screen.line(&format!("  {}{line}", screen.dim(&format!("{name:<9}"))));
        }
    }
}

fn state(story: &Story) -> String {
    let run = &story.run;
    let progress = format!("step {} of {}", grouped(run.step), grouped(run.total));
    match &run.state {
        RunState::Running { pid: Some(pid), host } => {
            format!("running, {progress} (process {pid} on {})", printable(host))
        }
        RunState::Running { pid: None, .. } => format!("running, {progress}"),
        RunState::Stopped => format!("stopped after {progress}"),
        RunState::Finished => format!("finished after {}", count(run.step, "step", "steps")),
        RunState::Failed { reason } => format!("failed after {progress}: {}", one_line(reason, usize::MAX)),
    }
}

fn curves(screen: &Screen, story: &Story) {
    if story.curves.is_empty() {
        return;
    }
    let width = screen.width() - CURVE_NAME - 4 * NUMBER;
    let steps = format!("steps 0 to {}", grouped(story.run.step));
    let titles: String = ["first", "last", "least", "greatest"].map(|title| format!("{title:>NUMBER$}")).concat();
    screen.line(&format!(
        "\n  {}{}",
        screen.bold(&format!("{:<21}", "curves")),
        screen.dim(&format!("{steps:<width$}{titles}"))
    ));
    for curve in &story.curves {
        let line = sparkline(&curve.points, [0.0, story.run.step as f64], width);
        let numbers = [curve.first, curve.last, curve.min, curve.max];
        let numbers: String = numbers.map(|value| format!("{:>NUMBER$}", number(curve, value))).concat();
        screen.line(&format!("    {:<19}{line}{numbers}", curve.name));
    }
}

/// A value of a curve.
fn number(curve: &Curve, value: f64) -> String {
    match curve.name.as_str() {
        _ if curve.metric == ACCURACY => percent(value),
        "clip share" => format!("{:.2} %", 100.0 * value),
        "length" => decimal(value, 1),
        _ => decimal(value, 3),
    }
}

fn milestones(screen: &Screen, story: &Story) {
    let width = grouped(story.run.step).len();
    for (index, milestone) in story.milestones.iter().enumerate() {
        if index == 0 {
            screen.line(&format!("\n  {}", screen.bold("milestones")));
        }
        let is_new = index == 0 || story.milestones[index - 1].step != milestone.step;
        let step = if is_new { format!("step {:>width$}", grouped(milestone.step)) } else { " ".repeat(5 + width) };
        for (line, text) in wrap(&milestone.text, screen.width() - 11 - width).into_iter().enumerate() {
            let step = if line == 0 { &step } else { &" ".repeat(5 + width) };
            screen.line(&format!("    {}  {text}", screen.dim(step)));
        }
    }
}

fn show_alarm(screen: &Screen, is_first: bool, alarm: &AlarmStory) {
    if is_first {
        screen.line(&format!("\n  {}", screen.bold("alarms")));
    }
    let spans: Vec<String> = alarm.spans.iter().take(MAX_SPANS).map(|&(from, to)| span(from, to)).collect();
    let more = alarm.spans.len().saturating_sub(MAX_SPANS);
    let more = if more > 0 { format!(" and {more} more times") } else { String::new() };
    let text = |text: &str, style: &dyn Fn(&str) -> String| {
        let lines = wrap(&one_line(text, usize::MAX), screen.width() - 8);
        lines.iter().for_each(|line| screen.line(&format!("      {}", style(line))));
    };
    screen.line(&format!("    {}: {}{more}", screen.bad(&printable(&alarm.sign)), spans.join(", ")));
    alarm.message.iter().for_each(|message| text(message, &|line| line.to_owned()));
    text(&alarm.explanation, &|line| screen.dim(line));
}

fn span(from: u64, to: u64) -> String {
    if from == to { format!("step {from}") } else { format!("steps {from} to {to}") }
}

fn settings(screen: &Screen, story: &Story) {
    let preset = format!("preset {}", one_line(&story.run.preset, 40));
    if story.settings.is_empty() {
        screen.line(&format!("\n  {}: those of {preset}", screen.bold("settings")));
        return;
    }
    let key = 2 + story.settings.iter().map(|setting| setting.key.len()).max().unwrap_or(0).min(MAX_KEY);
    let title = screen.bold(&format!("{:<width$}", "settings", width = key + 2));
    screen.line(&format!("\n  {title}{}", screen.dim(&format!("{:<VALUE$}  {preset}", "this run"))));
    for setting in &story.settings {
        let room = screen.width().saturating_sub(key + VALUE + 6).max(8);
        let other = one_line(setting.preset.as_deref().unwrap_or("-"), room);
        let [name, own] =
            [(&setting.key, key - 2), (&setting.value, VALUE)].map(|(text, width)| padded(text, width) + "  ");
        screen.line(&format!("    {name}{own}{}", screen.dim(&other)));
    }
}

fn rollouts(screen: &Screen, best: &[Summary], worst: &[Summary]) {
    let Some(first) = best.first() else { return };
    screen.line(&format!("\n  {}", screen.bold(&format!("rollouts of step {}", first.step))));
    for (name, rollouts) in [("best", best), ("worst", worst)] {
        for (index, rollout) in rollouts.iter().enumerate() {
            let name = if index == 0 { name } else { "" };
            let verdict = format!(
                "{}, reward {}, {}",
                rollout.verdict,
                decimal(f64::from(rollout.reward), 3),
                count(u64::from(rollout.response_tokens), "token", "tokens")
            );
            let verdict =
                if rollout.verdict == "right" { screen.good(&verdict) } else { screen.bad(&printable(&verdict)) };
            let room = screen.width() - 13;
            screen.line(&format!("    {}{verdict}, prompt {}", screen.dim(&format!("{name:<7}")), rollout.prompt_id));
            screen.line(&format!("           {}", screen.dim(&one_line(&rollout.prompt, room))));
            screen.line(&format!("           {}", one_line(&rollout.response, room)));
        }
    }
}

fn next(screen: &Screen, story: &Story, rollout: Option<&Summary>) {
    let id = printable(&story.run.id);
    let more = rollout.map(|rollout| format!("vapo show {id} --step {} --prompt {}", rollout.step, rollout.prompt_id));
    let resume =
        matches!(story.run.state, RunState::Stopped | RunState::Failed { .. }).then(|| format!("vapo resume {id}"));
    let commands: Vec<String> = more.into_iter().chain(resume).collect();
    if !commands.is_empty() {
        screen.line(&format!("\n  {}", screen.bold("next")));
        commands.iter().for_each(|command| screen.line(&format!("    {command}")));
    }
}
