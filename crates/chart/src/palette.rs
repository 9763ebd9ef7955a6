//! Colors that can be read on white and on black.

use plotters::style::{Color, RGBAColor, RGBColor};

/// Colors of lines, as red, green and blue: the first eight are told apart by color-blind people.
pub const COLORS: [(u8, u8, u8); 12] = [
    (58, 128, 214),
    (228, 116, 38),
    (52, 158, 88),
    (208, 68, 78),
    (146, 104, 204),
    (28, 158, 168),
    (216, 104, 168),
    (150, 112, 76),
    (156, 156, 44),
    (96, 124, 148),
    (190, 140, 220),
    (120, 180, 60),
];

/// The gray of texts and axes, which has the same contrast to white and to black. A page that shows a picture can replace it
/// by its own color: `svg text[fill="#767676"] { fill: currentColor }`.
pub const TEXT: (u8, u8, u8) = (118, 118, 118);

/// The color with an index, as `#3A80D6`, for a page's own legend.
pub fn color(index: usize) -> String {
    let (red, green, blue) = COLORS[index % COLORS.len()];
    format!("#{red:02X}{green:02X}{blue:02X}")
}

/// The gray of texts and axes.
pub(crate) const GRAY: RGBColor = RGBColor(TEXT.0, TEXT.1, TEXT.2);

/// The color of a line, mixed with what is behind it.
pub(crate) fn tone(index: usize, alpha: f64) -> RGBAColor {
    let (red, green, blue) = COLORS[index % COLORS.len()];
    RGBColor(red, green, blue).mix(alpha)
}
