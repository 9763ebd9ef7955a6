//! The curves of a run, side by side.

use ratatui::{
    Frame,
    layout::Rect,
    style::Style,
    symbols::Marker,
    text::{Line, Span},
    widgets::{Axis, Chart, Dataset, GraphType},
};

use super::{
    colors::{self, bold, dim},
    curve::Curve,
    place::{both, cut, cut_bottom, put},
    state::{Measure, State},
};

/// The least width of a curve with its name and value.
const MIN_WIDTH: u16 = 16;
/// Rows from which a curve has its steps below it.
const MIN_HEIGHT_WITH_STEPS: u16 = 7;

/// Draws as many curves as there is room for.
pub(super) fn draw(frame: &mut Frame<'_>, area: Rect, state: &State) {
    let shown = state.curves.len().min((area.width / MIN_WIDTH).max(1).into());
    let steps = steps(&state.curves);
    for (number, (measure, curve)) in state.curves.iter().take(shown).enumerate() {
        let bound = |number: usize| area.x + (usize::from(area.width) * number / shown) as u16;
        // A column between two curves.
        let width = (bound(number + 1) - bound(number)).saturating_sub(u16::from(number + 1 < shown) * 2);
        let mut area = Rect { x: bound(number), width, ..area };
        let style = Style::new().fg(colors::CURVES[*measure as usize]);
        name(frame, cut(&mut area, 1), *measure, curve.latest(), style);
        plot(frame, area, (*measure, curve), steps, style);
    }
}

/// The name, and the last value to the right.
fn name(frame: &mut Frame<'_>, area: Rect, measure: Measure, latest: Option<f64>, style: Style) {
    let value = latest.map_or("-".into(), |latest| measure.format(latest));
    let room = usize::from(area.width).saturating_sub(value.len() + 1);
    let names = measure.names().into_iter().chain([""]);
    let name = names.into_iter().find(|name| name.len() <= room).unwrap_or_default();
    put(frame, area, Line::from(vec![Span::styled(format!("{name:<room$} "), style), Span::styled(value, bold())]));
}

/// The first and the last step of all curves, which have one axis.
fn steps(curves: &[(Measure, Curve)]) -> [f64; 2] {
    let steps = || curves.iter().filter_map(|(_, curve)| curve.steps());
    let first = steps().map(|(first, _)| first).fold(f64::INFINITY, f64::min);
    [first, steps().map(|(_, last)| last).fold(first + 1.0, f64::max)]
}

fn plot(
    frame: &mut Frame<'_>,
    mut area: Rect,
    (measure, curve): (Measure, &Curve),
    [first, last]: [f64; 2],
    style: Style,
) {
    let (Some((low, high)), true) = (curve.range(), area.height > 1) else { return };
    let ends = [high, low].map(|value| measure.short(value));
    let margin = ends.iter().map(String::len).max().unwrap_or(0) as u16 + 1;
    let has_steps = area.height + 1 >= MIN_HEIGHT_WITH_STEPS;
    let steps = cut_bottom(&mut area, has_steps.into());
    for (label, row) in ends.into_iter().zip([area.top(), area.bottom() - 1]) {
        put(frame, Rect { y: row, height: 1, ..area }, Line::styled(label, dim()));
    }
    let inner =
        |area: Rect| Rect { x: area.x + margin.min(area.width), width: area.width.saturating_sub(margin), ..area };
    let last_step = Line::styled(format!("{last:.0}"), dim());
    both(frame, inner(steps), Line::styled(format!("{first:.0}"), dim()), last_step);

    // A constant lies in the middle.
    let least = 1e-3 + high.abs() / 100.0;
    let range = if high > low { [low, high] } else { [low - least, high + least] };
    let points = curve.points();
    let line = Dataset::default().marker(Marker::Braille).graph_type(GraphType::Line).style(style).data(&points);
    let (steps, values) = (Axis::default().bounds([first, last]), Axis::default().bounds(range));
    frame.render_widget(Chart::new(vec![line]).x_axis(steps).y_axis(values), inner(area));
}
