//! Colors of the screen, and lines with escape codes of our own as styled text.

use ratatui::{
    style::{Color, Modifier, Style},
    text::{Line, Span},
};

use crate::format::printable;

/// Characters of a line that can be on a screen.
const MAX_CHARACTERS: usize = 1000;

/// Backgrounds by distance from the middle of a scale, of the 256 colors that nearly all terminals have: orange and blue are
/// told apart by everyone, and with white text both read on dark and on light terminals.
const BELOW: [u8; 4] = [94, 130, 166, 202];
const ABOVE: [u8; 4] = [24, 25, 26, 33];

/// Colors of the curves.
pub(super) const CURVES: [Color; 5] = [Color::Green, Color::Cyan, Color::Yellow, Color::Magenta, Color::LightBlue];

pub(super) fn dim() -> Style {
    Style::new().add_modifier(Modifier::DIM)
}

pub(super) fn bold() -> Style {
    Style::new().add_modifier(Modifier::BOLD)
}

pub(super) fn marked() -> Style {
    Style::new().add_modifier(Modifier::BOLD | Modifier::UNDERLINED)
}

/// The style of a token at a place of a scale, from -1 to 1.
pub(super) fn token(place: f32) -> Style {
    let level = (place.abs() * BELOW.len() as f32).round() as usize;
    let hue = if place < 0.0 { BELOW } else { ABOVE };
    match level.checked_sub(1) {
        None => Style::new(),
        Some(level) => Style::new().bg(Color::Indexed(hue[level.min(hue.len() - 1)])).fg(Color::Indexed(231)),
    }
}

/// A printed line as styled text. The codes are those of [`crate::screen::Screen`]; anything else is not obeyed.
pub(super) fn line(text: &str) -> Line<'static> {
    let end = text.char_indices().nth(MAX_CHARACTERS).map_or(text.len(), |(end, _)| end);
    let mut rest = &text[..end];
    let (mut spans, mut style) = (Vec::new(), Style::new());
    while !rest.is_empty() {
        let (code, length) = match rest.strip_prefix("\x1b[").and_then(|code| Some((code, code.find('m')?))) {
            Some((code, length)) => (style_of(&code[..length]), length + 3),
            None => (None, 0),
        };
        if let Some(change) = code {
            style = change.map_or(Style::new(), |change| style.patch(change));
            rest = &rest[length..];
            continue;
        }
        let next = rest.char_indices().skip(1).find(|(_, c)| *c == '\x1b').map_or(rest.len(), |(next, _)| next);
        spans.push(Span::styled(printable(&rest[..next]).replace(['\n', '\t'], " "), style));
        rest = &rest[next..];
    }
    // The pane has a margin of its own.
    if let Some(inner) = spans.first().and_then(|first| first.content.strip_prefix("  ")) {
        spans[0] = Span::styled(inner.to_string(), spans[0].style);
    }
    Line::from(spans)
}

/// What a code sets: `Some(None)` resets, `None` is not ours.
fn style_of(code: &str) -> Option<Option<Style>> {
    let style = match code {
        "0" => return Some(None),
        "1" => bold(),
        "2" => dim(),
        "31" => Style::new().fg(Color::Red),
        "32" => Style::new().fg(Color::Green),
        "33" => Style::new().fg(Color::Yellow),
        _ => return None,
    };
    Some(Some(style))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn printed_lines_keep_our_styles_and_obey_no_other_codes() {
        let bold_number = console::Style::new().bold().force_styling(true).apply_to("93.1 %").to_string();
        let found = line(&format!("  reward {bold_number} \x1b[2J\x1b]0;x\x07 end"));
        assert_eq!(found.to_string(), "reward 93.1 % \u{fffd}[2J\u{fffd}]0;x\u{fffd} end");
        assert_eq!(found.spans[1], Span::styled("93.1 %", bold()));
        assert_eq!(found.spans[2].style, Style::new());
        assert!(line(&"x".repeat(1 << 20)).width() <= MAX_CHARACTERS);
        assert_eq!(line("\x1b[").to_string(), "\u{fffd}[");
    }

    #[test]
    fn the_color_of_a_token_tells_side_and_distance() {
        assert_eq!([0.0, 0.1, -0.1].map(token), [Style::new(); 3]);
        let background = |place| token(place).bg;
        assert_eq!([-1.0, 1.0].map(background), [Some(Color::Indexed(202)), Some(Color::Indexed(33))]);
        assert_ne!(background(0.3), background(0.6));
    }
}
