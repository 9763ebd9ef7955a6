//! Places on the screen, and lines put there.

use ratatui::{
    Frame,
    layout::Rect,
    text::{Line, Span},
};

use super::colors::dim;

/// Takes rows from the top of an area.
pub(super) fn cut(area: &mut Rect, rows: u16) -> Rect {
    let rows = rows.min(area.height);
    let top = Rect { height: rows, ..*area };
    (area.y, area.height) = (area.y + rows, area.height - rows);
    top
}

/// Takes rows from the bottom of an area.
pub(super) fn cut_bottom(area: &mut Rect, rows: u16) -> Rect {
    let rows = rows.min(area.height);
    area.height -= rows;
    Rect { y: area.bottom(), height: rows, ..*area }
}

/// Draws a line to the left, and one to the right if there is room for both.
pub(super) fn both(frame: &mut Frame<'_>, area: Rect, left: Line<'_>, right: Line<'_>) {
    let (used, needed) = (left.width() + 2, right.width());
    put(frame, area, left);
    if used + needed <= area.width.into() {
        let x = area.right() - needed as u16;
        put(frame, Rect { x, width: needed as u16, ..area }, right);
    }
}

/// Draws a line, cut off at the end of its area.
pub(super) fn put(frame: &mut Frame<'_>, area: Rect, line: Line<'_>) {
    if !area.is_empty() {
        frame.buffer_mut().set_line(area.x, area.y, &line, area.width);
    }
}

/// A heading, with a rule to the end of its area.
pub(super) fn heading(frame: &mut Frame<'_>, area: Rect, text: Line<'_>) {
    let rule = usize::from(area.width).saturating_sub(text.width() + 1);
    let spans = text.spans.into_iter().chain([Span::raw(" "), Span::styled("─".repeat(rule), dim())]);
    put(frame, area, Line::from_iter(spans));
}
