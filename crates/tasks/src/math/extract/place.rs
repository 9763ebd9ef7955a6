//! Places in a text.

/// Connected boxes (`\boxed{2} and \boxed{3}`) are no further apart than this.
pub(super) const MAX_GAP: usize = 60;

/// At most this many bytes from the end of a text.
pub(super) fn end(text: &str, bytes: usize) -> &str {
    let mut start = text.len().saturating_sub(bytes);
    while !text.is_char_boundary(start) {
        start += 1;
    }
    &text[start..]
}

/// Where a mark first occurs. Looking for its first character is faster than the general search, above all backwards.
pub(super) fn find_mark(text: &str, mark: &str) -> Option<usize> {
    let mut starts = text.match_indices(mark.chars().next()?).map(|(at, _)| at);
    starts.find(|at| text[*at..].starts_with(mark))
}

/// Where a mark last occurs.
pub(super) fn last_mark(text: &str, mark: &str) -> Option<usize> {
    let mut starts = text.rmatch_indices(mark.chars().next()?).map(|(at, _)| at);
    starts.find(|at| text[*at..].starts_with(mark))
}

/// The first line that is not blank.
pub(super) fn first_line(text: &str) -> &str {
    text.trim_start().lines().next().unwrap_or("")
}
