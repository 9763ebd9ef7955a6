//! Answers in boxes: `\boxed{..}`, `\fbox{..}`.

use super::place::{MAX_GAP, find_mark};

/// The boxes of a text.
pub(super) struct Boxes<'a> {
    /// Outermost boxes with balanced braces, from left to right.
    closed: Vec<Boxed<'a>>,
    /// Where a box begins that is never closed, because the text may have been cut short.
    pub(super) open: Option<usize>,
}

struct Boxed<'a> {
    start: usize,
    end: usize,
    content: &'a str,
}

impl<'a> Boxes<'a> {
    pub(super) fn of(text: &'a str) -> Self {
        let bytes = text.as_bytes();
        let mut open: Vec<usize> = Vec::new();
        let mut closed: Vec<Boxed<'_>> = Vec::new();
        // Nothing before the first command opens or closes a box.
        let mut at = find_mark(text, "box").unwrap_or(text.len());
        while at < bytes.len() {
            match bytes[at] {
                b'\\' if matches!(bytes.get(at + 1), Some(b'{' | b'}')) => at += 1,
                b'{' => open.push(at),
                b'}' => {
                    let command = open.pop().and_then(|start| Some((start, box_before(&text[..start])?)));
                    if let Some((brace, start)) = command {
                        while closed.last().is_some_and(|inner| inner.start > start) {
                            closed.pop();
                        }
                        closed.push(Boxed { start, end: at + 1, content: &text[brace + 1..at] });
                    }
                }
                _ => {}
            }
            at += 1;
        }
        let open = open.into_iter().find_map(|brace| box_before(&text[..brace]));
        Self { closed, open }
    }

    /// The last boxed answer, or the last few that are connected: the position of the last, and their contents.
    pub(super) fn last(&self, text: &str) -> Option<(usize, String)> {
        let (last, earlier) = self.closed.split_last()?;
        let mut group = vec![last];
        for previous in earlier.iter().rev() {
            let next = group[group.len() - 1];
            if !joins(&text[previous.end..next.start]) {
                break;
            }
            group.push(previous);
        }
        let contents: Vec<&str> = group.iter().rev().map(|found| found.content.trim()).collect();
        Some((last.start, contents.join(", ")))
    }
}

/// Whether a text between two boxes makes them one answer: a comma or similar, mathematical delimiters, `and`, `or`, a label.
fn joins(gap: &str) -> bool {
    let words = || gap.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    let light = ["and", "or", "text", "quad", "qquad", "for", "part"];
    let one_line = gap.trim_matches('\n').lines().count() <= 1;
    let separated = gap.contains('\n') && gap.trim_matches(['$', '\n', ' ']).is_empty();
    let connected =
        gap.contains("and") || gap.contains("or") || gap.contains([',', ';', '&']) || words().next().is_none();
    gap.len() <= MAX_GAP
        && connected
        && one_line
        && !separated
        && !gap.contains('.')
        && words().all(|word| word.len() == 1 || light.contains(&word))
}

/// Where the command of a box starts, if a text ends with one.
fn box_before(text: &str) -> Option<usize> {
    let text = text.trim_end_matches(' ');
    ["\\boxed", "\\fbox", "\\framebox"]
        .iter()
        .find(|command| text.ends_with(**command))
        .map(|command| text.len() - command.len())
}
