//! Texts of a picture: what may be in them, and how wide they are.

use std::sync::LazyLock;

use ttf_parser::Face;

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

/// plotters divides the size of a text by this.
pub(crate) const TEXT_SCALE: f64 = 1.24;

/// The font of pictures of pixels. In an SVG the viewer chooses one; the usual ones are a little narrower.
pub(crate) static FONT: LazyLock<Face<'static>> =
    LazyLock::new(|| Face::parse(dejavu::sans::regular(), 0).expect("DejaVu Sans is part of the program"));

/// Width of a character that the font does not have, as a share of the size.
const UNKNOWN: f64 = 1.0;

/// The width of a text of a size, in the unit of the size.
pub(crate) fn width(text: &str, size: f64) -> f64 {
    size * text.chars().map(advance).sum::<f64>()
}

/// The width of a character as a share of the size.
pub(crate) fn advance(c: char) -> f64 {
    let known = FONT.glyph_index(c).and_then(|glyph| FONT.glyph_hor_advance(glyph));
    known.map_or(UNKNOWN, |advance| f64::from(advance) / f64::from(FONT.units_per_em()))
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
