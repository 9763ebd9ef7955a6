//! The screen as a function of the state and the last lines. What does not fit is left out, the less important first.

use std::time::Instant;

use ratatui::{
    Frame,
    layout::Rect,
    style::{Color, Style},
    text::{Line, Span},
};
use vapo_train::Phase;

use super::{
    colors::{self, bold, dim},
    draw_answer, draw_curves,
    place::{both, cut, cut_bottom, put},
    state::{AtWork, State},
};
use crate::{
    format::{rough_duration, short},
    progress::titles,
};

/// Width of the bar, and the least that is still one.
const BAR: [u16; 2] = [24, 6];

const KEYS: [(&str, &str); 6] =
    [("q", "lines"), ("ctrl-c", "stop"), ("←→", "answer"), ("↑↓", "scroll"), ("tab", "color"), ("space", "hold")];

/// Draws everything; `lines` are the run's last ones.
pub(super) fn screen(frame: &mut Frame<'_>, state: &mut State, lines: &[String], now: Instant) {
    let mut rest = frame.area();
    let height = rest.height;
    let few = |wanted: bool, rows: u16| if wanted { rows } else { 0 };
    let keys = cut_bottom(&mut rest, few(height >= 8, 1));
    title(frame, cut(&mut rest, few(height >= 3, 1)), state);
    let curves = if height >= 14 { (height / 4).clamp(5, 12) } else { few(height >= 4, 1) };
    draw_curves::draw(frame, cut(&mut rest, curves), state);
    work(frame, cut(&mut rest, 1), state, now);
    let warned = few(height >= 14, state.warnings.len().min(if height >= 30 { 4 } else { 2 }) as u16);
    warnings(frame, cut(&mut rest, warned), state);
    let answer = if rest.height >= 5 { rest.height * 3 / 5 } else { rest.height };
    draw_answer::draw(frame, cut(&mut rest, answer), state);
    log(frame, rest, lines);
    self::keys(frame, keys);
}

fn title(frame: &mut Frame<'_>, area: Rect, state: &State) {
    let phase = match state.phase {
        Some(Phase::ValuePretraining) => "value pretraining, ",
        Some(Phase::Policy) => "training, ",
        None => "",
    };
    let step = Line::from(vec![
        Span::styled(phase, dim()),
        Span::styled(format!("step {}/{}", state.step, state.total), bold()),
    ]);
    let name = Line::from(vec![Span::styled("vapo  ", bold()), Span::raw(state.title.as_str())]);
    // Without room for both, the step is what matters.
    let (left, right) = if name.width() + 2 + step.width() <= area.width.into() { (name, step) } else { (step, name) };
    both(frame, area, left, right);
}

/// The stage at work, its bar and rate, and the time that is left.
fn work(frame: &mut Frame<'_>, area: Rect, state: &State, now: Instant) {
    let Some(AtWork { progress, rate }) = state.at_work else {
        return put(frame, area, Line::styled("starting", dim()));
    };
    let mut count = format!("{}/{}", progress.done, progress.total);
    if let Some(rate) = rate {
        count += &format!("  {} tok/s", short(rate));
    }
    let left = [("step", state.step_secs_left(now)), ("run", state.run_secs_left(now))];
    let left: Vec<String> =
        left.into_iter().filter_map(|(name, secs)| Some(format!("{name} {}", rough_duration(secs?)))).collect();
    let left = if left.is_empty() { String::new() } else { format!("{} left", left.join(", ")) };
    let name = progress.stage.name();
    let texts = name.len() + count.len() + left.len() + 6;
    let width = usize::from(area.width).saturating_sub(texts).min(BAR[0].into());
    let mut spans = vec![Span::raw(format!("{name}  "))];
    if width >= BAR[1].into() {
        let done = (width * progress.done).checked_div(progress.total).unwrap_or(0).min(width);
        spans.push(Span::styled("━".repeat(done), Style::new().fg(Color::Cyan)));
        spans.push(Span::styled("─".repeat(width - done) + "  ", dim()));
    }
    spans.push(Span::raw(count));
    both(frame, area, Line::from(spans), Line::raw(left));
}

/// The newest warnings, the newest last.
fn warnings(frame: &mut Frame<'_>, mut area: Rect, state: &State) {
    let first = state.warnings.len().saturating_sub(area.height.into());
    for (step, text) in &state.warnings[first..] {
        let text = format!("! step {step}: {text}").replace('\n', " ");
        put(frame, cut(&mut area, 1), Line::styled(text, Style::new().fg(Color::Yellow)));
    }
}

fn log(frame: &mut Frame<'_>, mut area: Rect, lines: &[String]) {
    if area.height >= 3 {
        put(frame, cut(&mut area, 1), colors::line(&titles()).style(dim()));
    }
    let first = lines.len().saturating_sub(area.height.into());
    for line in &lines[first..] {
        put(frame, cut(&mut area, 1), colors::line(line));
    }
}

fn keys(frame: &mut Frame<'_>, area: Rect) {
    let keys =
        KEYS.iter().flat_map(|(key, what)| [Span::styled(*key, bold()), Span::styled(format!(" {what}  "), dim())]);
    put(frame, area, Line::from_iter(keys));
}
