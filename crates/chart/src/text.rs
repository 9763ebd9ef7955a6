//! Texts of a picture: what may be in them, and how wide they are.

/// Makes a text safe for a picture: characters that XML does not allow, and those that are not seen but change how the text
/// around them is shown, are replaced.
pub(crate) fn clean(text: &str) -> String {
    let replaced = |c: char| {
        let directs =
            matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
        c.is_control() || directs || matches!(c, '\u{fffe}' | '\u{ffff}')
    };
    text.chars().map(|c| if replaced(c) { char::REPLACEMENT_CHARACTER } else { c }).collect()
}

/// The width of a text of a size, in the unit of the size.
pub(crate) fn width(text: &str, size: f64) -> f64 {
    text.chars().map(|c| if c.is_ascii() { 0.56 } else { 0.7 }).sum::<f64>() * size
}

/// A text that fits into a width: its end is replaced by an ellipsis if necessary.
pub(crate) fn fit(text: &str, size: f64, limit: f64) -> String {
    // No text of more characters fits into any picture, and a very long one need not be looked at.
    let (mut text, mut cut): (String, bool) = (text.chars().take(MOST).collect(), text.chars().nth(MOST).is_some());
    text = clean(&text);
    while !text.is_empty() && width(&text, size) + if cut { width("…", size) } else { 0.0 } > limit {
        text.pop();
        cut = true;
    }
    if cut && !text.is_empty() { text.trim_end().to_owned() + "…" } else { text }
}

const MOST: usize = 500;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_texts_are_cut_and_dangerous_characters_replaced() {
        assert_eq!(fit("reward", 10.0, 100.0), "reward");
        let cut = fit("a very long title", 10.0, 50.0);
        assert!(cut.starts_with("a very") && cut.ends_with('…') && width(&cut, 10.0) <= 50.0, "{cut}");
        assert_eq!(fit("anything", 10.0, 0.0), "");
        assert_eq!(clean("a\x1b[0m\u{202e}b\u{0}\u{ffff}"), "a\u{fffd}[0m\u{fffd}b\u{fffd}\u{fffd}");
        assert!(fit(&"x".repeat(1_000_000), 1.0, 1e9).len() <= MOST + '…'.len_utf8());
    }
}
