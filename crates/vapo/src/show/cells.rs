//! A response as lines of tokens with the columns that each takes on a terminal.

use console::measure_text_width;

use crate::format::one_line;

/// The most columns that a token takes; the rest of its text is cut.
const WIDEST_TOKEN: usize = 40;

/// A token as it is printed.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Cell {
    pub(super) token: usize,
    pub(super) text: String,
    /// Columns.
    pub(super) width: usize,
}

/// Places tokens in lines of at most `width` columns, which also end where a token has a line break. `marks` are printed before
/// and after a token.
pub(super) fn lines(tokens: &[String], width: usize, marks: impl Fn(usize) -> [&'static str; 2]) -> Vec<Vec<Cell>> {
    let mut lines = vec![Vec::new()];
    let mut used = 0;
    for (token, text) in tokens.iter().enumerate() {
        let [before, after] = marks(token);
        let text = format!("{before}{}{after}", one_line(text, WIDEST_TOKEN));
        let cell = Cell { token, width: measure_text_width(&text), text };
        if used > 0 && used + cell.width > width {
            lines.push(Vec::new());
            used = 0;
        }
        used += cell.width;
        if let Some(line) = lines.last_mut() {
            line.push(cell);
        }
        if tokens[token].contains('\n') && token + 1 < tokens.len() {
            lines.push(Vec::new());
            used = 0;
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(lines: &[Vec<Cell>]) -> Vec<String> {
        lines.iter().map(|line| line.iter().map(|cell| cell.text.as_str()).collect()).collect()
    }

    #[test]
    fn lines_end_at_their_width_and_at_line_breaks() {
        let tokens = ["ab", "cd", "e", "\n", "漢字", "x\ty", ""].map(String::from);
        let found = lines(&tokens, 5, |token| if token == 2 { ["«", "»"] } else { [""; 2] });
        assert_eq!(plain(&found), ["abcd", "«e»⏎", "漢字", "x⇥y"]);
        assert_eq!(found[2][0].width, 4);
        assert_eq!(plain(&lines(&[], 5, |_| [""; 2])), [""]);
    }

    #[test]
    fn what_is_too_long_is_cut_and_what_steers_a_terminal_is_replaced() {
        let long = "x".repeat(1 << 20);
        assert_eq!(one_line(&long, 5), "xxxx…");
        assert_eq!(lines(&[long], 80, |_| [""; 2])[0][0].width, WIDEST_TOKEN);
        assert_eq!(one_line("漢字漢字", 5), "漢字…");
        assert_eq!(one_line("a\x1b[2J\r\n", 20), "a\u{fffd}[2J\u{fffd}⏎");
    }
}
