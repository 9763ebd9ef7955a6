//! A sampled answer, token by token.

use ratatui::{
    Frame,
    layout::Rect,
    style::{Color, Style},
    text::{Line, Span},
};

use super::{
    answer::{Answer, Quantity, Scale, Token},
    colors::{self, bold, dim},
    place::{cut, heading, put},
    state::State,
};
use crate::format::{count, decimal};

/// Places of the legend, from the least to the greatest.
const LEGEND: [f32; 8] = [-1.0, -0.75, -0.5, -0.25, 0.25, 0.5, 0.75, 1.0];

/// Draws the chosen answer, and those after it as far as there is room.
pub(super) fn draw(frame: &mut Frame<'_>, mut area: Rect, state: &mut State) {
    let Some(answers) = &state.answers else {
        return heading(frame, cut(&mut area, 1), Line::styled("the answers of the first step appear here", dim()));
    };
    let (scale, count, width) = (answers.scale(state.quantity), answers.answers.len(), area.width.into());
    for number in 0..count {
        let index = (state.chosen + number) % count;
        let answer = &answers.answers[index];
        let mut title = about(answer, &format!("answer {}/{count} of step {}", index + 1, answers.step));
        if number == 0 {
            if state.is_held {
                title.push_span(Span::styled("  held", bold()));
            }
            first_title(frame, &mut area, title, legend(state.quantity, scale));
        } else if area.height >= 2 {
            put(frame, cut(&mut area, 1), title);
        } else {
            break;
        }
        let lines = wrap(&parts(answer, state.quantity, scale), width);
        if number == 0 {
            state.scrolled = state.scrolled.min(lines.len().saturating_sub(area.height.into()));
        }
        let skipped = if number == 0 { state.scrolled } else { 0 };
        for line in lines.into_iter().skip(skipped).take(area.height.into()) {
            put(frame, cut(&mut area, 1), line);
        }
    }
}

/// The title of the chosen answer with the legend beside it, or below it.
fn first_title(frame: &mut Frame<'_>, area: &mut Rect, mut title: Line<'static>, legend: Line<'static>) {
    let (room, used) = (usize::from(area.width), title.width() + legend.width() + 2);
    if used <= room {
        title.push_span(Span::styled(format!(" {} ", "─".repeat(room - used)), dim()));
        title.extend(legend.spans);
        return put(frame, cut(area, 1), title);
    }
    heading(frame, cut(area, 1), title);
    if area.height >= 4 {
        put(frame, cut(area, 1), legend);
    }
}

/// Verdict, reward and reference answer.
fn about(answer: &Answer, place: &str) -> Line<'static> {
    let color = if answer.verdict == "right" { Color::Green } else { Color::Red };
    let mut spans = vec![
        Span::raw(format!("{place}  ")),
        Span::styled(answer.verdict, Style::new().fg(color).patch(bold())),
        Span::raw(format!("  reward {}", decimal(answer.reward.into(), 3))),
        Span::raw(format!("  reference {}", answer.reference)),
    ];
    if let Some(token) = answer.first_wrong {
        spans.push(Span::styled(format!("  lost at token {}", token + 1), dim()));
    }
    if answer.is_cut_off {
        spans.push(Span::styled("  cut off", dim()));
    }
    Line::from(spans)
}

/// The quantity and what its colors mean.
fn legend(quantity: Quantity, scale: Scale) -> Line<'static> {
    let swatches = LEGEND.into_iter().filter(|&place| match quantity {
        Quantity::Advantage | Quantity::Value => true,
        Quantity::LogProb => place < 0.0,
        Quantity::Entropy => place > 0.0,
    });
    let number = |number: f32| Span::styled(decimal(number.into(), 2), dim());
    let first = [Span::raw(format!("{} ", quantity.name())), number(scale.low), Span::raw(" ")];
    let swatches = swatches.map(|place| Span::styled(" ", colors::token(place)));
    Line::from_iter(first.into_iter().chain(swatches).chain([Span::raw(" "), number(scale.high)]))
}

/// The prompt and the tokens with their styles; the first wrong token is underlined.
fn parts(answer: &Answer, quantity: Quantity, scale: Scale) -> Vec<(String, Style)> {
    let token = |(index, token): (usize, &Token)| {
        let style = token.numbers[quantity as usize].map_or(Style::new(), |number| colors::token(scale.place(number)));
        let style = if answer.first_wrong == Some(index) { style.patch(colors::marked()) } else { style };
        (token.text.replace('\n', "↵\n").replace('\t', "  "), style)
    };
    let first = answer.first.iter().enumerate();
    let last = (answer.length - answer.last.len()..).zip(&answer.last);
    let left_out = Some(answer.left_out()).filter(|&tokens| tokens > 0);
    let left_out = left_out.map(|tokens| (format!(" [{}] ", count(tokens as u64, "token", "tokens")), dim()));
    let prompt = (format!("{} ", answer.prompt), dim());
    [prompt].into_iter().chain(first.map(token)).chain(left_out).chain(last.map(token)).collect()
}

/// Styled texts in lines of at most `width` columns, broken between any two characters: tokens stay as they are.
fn wrap(parts: &[(String, Style)], width: usize) -> Vec<Line<'static>> {
    let (mut lines, mut column) = (vec![Line::default()], 0);
    for (text, style) in parts {
        let mut run = String::new();
        for c in text.chars() {
            let columns = Span::raw(c.encode_utf8(&mut [0; 4]) as &str).width();
            if c == '\n' || column + columns > width {
                push(&mut lines, &mut run, *style);
                lines.push(Line::default());
                column = 0;
            }
            if c != '\n' && columns <= width {
                run.push(c);
                column += columns;
            }
        }
        push(&mut lines, &mut run, *style);
    }
    lines
}

/// Ends a run of characters of one style in the last line.
fn push(lines: &mut [Line<'static>], run: &mut String, style: Style) {
    if let (false, Some(line)) = (run.is_empty(), lines.last_mut()) {
        line.push_span(Span::styled(std::mem::take(run), style));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrapped(texts: &[&str], width: usize) -> Vec<String> {
        let parts: Vec<(String, Style)> = texts.iter().map(|text| (text.to_string(), Style::new())).collect();
        wrap(&parts, width).iter().map(Line::to_string).collect()
    }

    #[test]
    fn lines_break_at_their_width_and_at_line_ends() {
        assert_eq!(wrapped(&["abc", "de"], 4), ["abcd", "e"]);
        assert_eq!(wrapped(&["a\n", "\nb"], 4), ["a", "", "b"]);
        assert_eq!(wrapped(&["語語語"], 5), ["語語", "語"], "two columns each");
        assert_eq!(wrapped(&["e\u{301}e\u{301}"], 2), ["e\u{301}e\u{301}"], "marks need no column");
        assert_eq!(wrapped(&["語a"], 1), ["", "a"], "what is wider than the screen is left out");
        assert_eq!(wrapped(&[], 4), [""]);
    }
}
