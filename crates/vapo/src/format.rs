//! Numbers and texts formatted for people.

use console::measure_text_width;

/// `26.3 %`
pub(crate) fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

/// `98,624`
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Fixed decimals, without a minus sign if the result rounds to 0.
pub(crate) fn decimal(number: f64, digits: usize) -> String {
    let text = format!("{number:.digits$}");
    match text.strip_prefix('-') {
        Some(zero) if zero.chars().all(|c| c == '0' || c == '.') => zero.to_string(),
        _ => text,
    }
}

/// About four characters, for a column: `950`, `1.2k`, `52.1k`, `3.4M`
pub(crate) fn short(number: f64) -> String {
    match number {
        n if n < 999.5 => format!("{n:.0}"),
        n if n < 999_950.0 => format!("{:.1}k", n / 1e3),
        n if n < 999_950_000.0 => format!("{:.1}M", n / 1e6),
        n => format!("{:.1}G", n / 1e9),
    }
}

/// `12.3 s`, `2 min 51 s`, `1 h 02 min`
pub(crate) fn duration(secs: f64) -> String {
    let whole = secs.round() as u64;
    match whole {
        _ if secs < 59.95 => format!("{secs:.1} s"),
        ..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole % 3600 / 60),
    }
}

/// A rough remaining time: `40 s`, `3 min`, `1.5 h`
pub(crate) fn rough_duration(secs: f64) -> String {
    match secs {
        s if s < 60.0 => format!("{:.0} s", (s / 5.0).ceil() * 5.0),
        s if s < 5400.0 => format!("{:.0} min", (s / 60.0).ceil()),
        s => format!("{:.1} h", s / 3600.0),
    }
}

/// `64 MB`, `3.0 GB` (powers of 10)
pub(crate) fn bytes(bytes: u64) -> String {
    match bytes as f64 {
        b if b < 999.5e6 => format!("{:.0} MB", (b / 1e6).ceil()),
        b => format!("{:.1} GB", b / 1e9),
    }
}

/// A horizontal bar with a full length of `width` characters, to an eighth of a character.
pub(crate) fn bar(share: f64, width: usize) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let eighths = (share.clamp(0.0, 1.0) * width as f64 * 8.0).round() as usize;
    "█".repeat(eighths / 8) + EIGHTHS[eighths % 8]
}

/// One form for 1, another for all other numbers: `1 step`, `1,200 steps`.
pub(crate) fn count(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", grouped(number), if number == 1 { one } else { many })
}

/// Makes a model's text safe to print: what steers a terminal is replaced, and what changes the direction of the text around.
pub(crate) fn printable(text: &str) -> String {
    let steers = |c: char| c.is_control() && c != '\n' && c != '\t' || is_direction_mark(c);
    text.chars().map(|c| if steers(c) { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// Unicode's `Bidi_Control`: invisible, and text after them may be shown in another order.
fn is_direction_mark(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Lines of at most `width` characters, broken at spaces.
pub(crate) fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_string()),
        }
    }
    lines
}

/// A text on one line of at most `width` columns, with signs for line breaks and tabs.
pub(crate) fn one_line(text: &str, width: usize) -> String {
    let mut line = String::new();
    let mut used = 0;
    for c in text.chars() {
        let shown = match c {
            '\n' => "⏎".to_owned(),
            '\t' => "⇥".to_owned(),
            c => printable(c.encode_utf8(&mut [0; 4])),
        };
        let columns = measure_text_width(&shown);
        if used + columns > width {
            // In place of the last character, if there is no room.
            while measure_text_width(&line) >= width.max(1) {
                line.pop();
            }
            return line + "…";
        }
        used += columns;
        line += &shown;
    }
    line
}

/// A text on one line, as wide as a column: cut, or followed by spaces.
pub(crate) fn padded(text: &str, width: usize) -> String {
    let text = one_line(text, width);
    let spaces = width.saturating_sub(measure_text_width(&text));
    text + &" ".repeat(spaces)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well_at_every_size() {
        assert_eq!([0, 999, 1000, 98_624, 1_234_567].map(grouped), ["0", "999", "1,000", "98,624", "1,234,567"]);
        assert_eq!([0.0, 999.4, 999.6, 52_149.0, 3.4e6, 2e9].map(short), ["0", "999", "1.0k", "52.1k", "3.4M", "2.0G"]);
        assert_eq!(
            [0.04, 59.4, 59.6, 171.0, 3720.0].map(duration),
            ["0.0 s", "59.4 s", "59.6 s", "2 min 51 s", "1 h 02 min"]
        );
        assert_eq!([1.0, 38.0, 61.0, 7200.0].map(rough_duration), ["5 s", "40 s", "2 min", "2.0 h"]);
        assert_eq!([1, 64_000_000, 3_043_000_000].map(bytes), ["1 MB", "64 MB", "3.0 GB"]);
        assert_eq!([-0.0004, -0.0006, 12.0].map(|n| decimal(n, 3)), ["0.000", "-0.001", "12.000"]);
        assert_eq!((percent(0.2634), count(1, "step", "steps")), ("26.3 %".into(), "1 step".into()));
    }

    #[test]
    fn a_bar_has_the_length_of_its_share() {
        assert_eq!(bar(0.5, 4), "██");
        assert_eq!(bar(0.53125, 4), "██▏");
        assert_eq!(bar(2.0, 3), "███");
        assert_eq!(bar(0.0, 3), "");
    }

    #[test]
    fn a_response_cannot_steer_the_terminal() {
        assert_eq!(printable("a\x1b[2Jb\r\n\tc"), "a\u{fffd}[2Jb\u{fffd}\n\tc");
        assert_eq!(printable("a\u{202e}b\u{2066}c\u{200f}א\u{200d}"), "a\u{fffd}b\u{fffd}c\u{fffd}א\u{200d}");
    }

    #[test]
    fn long_rows_wrap_at_spaces() {
        assert_eq!(wrap("one two three", 7), ["one two", "three"]);
        assert_eq!(wrap("unbreakable", 3), ["unbreakable"]);
    }
}
