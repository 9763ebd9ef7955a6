//! The colors of a quantity on a terminal.

use console::Style;
use vapo_view::Scale;

/// Weaker shades keep the terminal's own background.
const FAINT: f32 = 0.06;
const LEGEND_CELLS: usize = 12;

type Color = [u8; 3];

/// Colors from no shade to the full one, for terminals with any color, and numbers of those with 256 colors.
type Shades = ([Color; 3], [u8; 5]);

/// Orange and blue, which color-blind people can tell apart, and a scale that changes its lightness all the way. The same as
/// in the pages.
struct Palette {
    negative: Shades,
    positive: Shades,
    sequential: Shades,
    dual: (Color, u8),
}

const DARK: Palette = Palette {
    negative: ([[0x22, 0x26, 0x2a], [0xa9, 0x5a, 0x1c], [0xff, 0xb8, 0x7a]], [94, 130, 166, 208, 215]),
    positive: ([[0x22, 0x26, 0x2a], [0x2f, 0x6d, 0xb5], [0xa3, 0xcf, 0xff]], [18, 25, 32, 75, 153]),
    sequential: ([[0x1d, 0x24, 0x26], [0x1f, 0x7c, 0x83], [0xa6, 0xf2, 0xe0]], [23, 30, 37, 80, 158]),
    dual: ([0x7d, 0x4f, 0xa3], 97),
};

const LIGHT: Palette = Palette {
    negative: ([[0xf6, 0xf6, 0xf5], [0xf2, 0xa4, 0x5c], [0xa3, 0x47, 0x00]], [223, 215, 208, 166, 130]),
    positive: ([[0xf6, 0xf6, 0xf5], [0x7f, 0xb2, 0xe5], [0x17, 0x4f, 0x98]], [153, 75, 32, 25, 18]),
    sequential: ([[0xf4, 0xf7, 0xf6], [0x62, 0xb3, 0xad], [0x0b, 0x4a, 0x5c]], [158, 80, 37, 30, 23]),
    dual: ([0xc4, 0x9a, 0xe0], 176),
};

/// Colors tokens.
pub(super) struct Paint {
    scale: Scale,
    palette: &'static Palette,
    /// Any color, or only the 256 of a palette.
    has_true_color: bool,
}

impl Paint {
    /// For the terminal of this process.
    pub(super) fn new(scale: Scale) -> Self {
        let background = std::env::var("COLORFGBG").unwrap_or_default();
        let palette = if is_light(&background) { &LIGHT } else { &DARK };
        Self { scale, palette, has_true_color: console::true_colors_enabled() }
    }

    /// The style of a token with this number.
    pub(super) fn style(&self, number: f32) -> Style {
        let shade = self.scale.shade(number);
        let style = Style::new().force_styling(true);
        if shade.abs() < FAINT {
            return style;
        }
        let (shades, strength) = match self.scale {
            Scale::States if shade > 1.5 => return self.on(style, self.palette.dual),
            Scale::States | Scale::Diverging { .. } if shade < 0.0 => (self.palette.negative, -shade),
            Scale::States | Scale::Diverging { .. } => (self.palette.positive, shade),
            Scale::Sequential { .. } => (self.palette.sequential, shade),
        };
        let (colors, numbers) = shades;
        let number = numbers[((strength * numbers.len() as f32) as usize).min(numbers.len() - 1)];
        self.on(style, (mixed(colors, strength), number))
    }

    /// A style on a background, given as a color and as one of 256.
    fn on(&self, style: Style, (color, number): (Color, u8)) -> Style {
        let style = if is_bright(color) { style.color256(16) } else { style.color256(231) };
        let [red, green, blue] = color;
        if self.has_true_color { style.on_true_color(red, green, blue) } else { style.on_color256(number) }
    }

    /// The scale from its low to its high end, as colored cells.
    pub(super) fn ramp(&self) -> String {
        let (low, high) = self.scale.ends().unwrap_or((-1.0, 2.0));
        let number = |cell: usize| {
            let share = cell as f32 / (LEGEND_CELLS - 1) as f32;
            match self.scale {
                // As evenly as the shades are.
                Scale::Diverging { is_of_ratios: true, .. } => (low.ln() + share * (high / low).ln()).exp(),
                _ => low + share * (high - low),
            }
        };
        (0..LEGEND_CELLS).map(|cell| self.style(number(cell)).apply_to(" ").to_string()).collect()
    }
}

/// Whether a terminal says (`15;0`: text and background) that its background is light.
fn is_light(colors: &str) -> bool {
    matches!(colors.rsplit(';').next(), Some("7" | "15"))
}

/// The color at a share of the way through three.
fn mixed(stops: [Color; 3], share: f32) -> Color {
    let place = share.clamp(0.0, 1.0) * 2.0;
    let first = usize::from(place >= 1.0);
    let part = place - first as f32;
    std::array::from_fn(|n| {
        let (from, to) = (f32::from(stops[first][n]), f32::from(stops[first + 1][n]));
        (from + part * (to - from)).round() as u8
    })
}

/// Whether black can be read better on a color than white.
fn is_bright([red, green, blue]: Color) -> bool {
    0.299 * f32::from(red) + 0.587 * f32::from(green) + 0.114 * f32::from(blue) > 130.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paint(scale: Scale, has_true_color: bool) -> Paint {
        Paint { scale, palette: &DARK, has_true_color }
    }

    fn painted(paint: &Paint, number: f32) -> String {
        paint.style(number).apply_to("x").to_string()
    }

    #[test]
    fn bad_tokens_are_orange_and_good_ones_blue() {
        let advantages = Scale::Diverging { center: 0.0, reach: 2.0, is_of_ratios: false };
        let terminal = paint(advantages, true);
        assert!(painted(&terminal, -2.0).contains("48;2;255;184;122"), "{:?}", painted(&terminal, -2.0));
        assert!(painted(&terminal, 9.0).contains("48;2;163;207;255"));
        assert!(painted(&terminal, 1.0).contains("48;2;47;109;181"));
        assert_eq!([0.0, 0.1, f32::NAN].map(|number| painted(&terminal, number)), ["x", "x", "x"]);
        let numbers = [-2.0, -1.0, -0.2, 0.2, 2.0].map(|number| painted(&paint(advantages, false), number));
        for (text, number) in numbers.iter().zip([215, 166, 94, 18, 153]) {
            assert!(text.contains(&format!("48;5;{number}m")), "{text:?}");
        }
        assert_eq!(terminal.ramp().matches("48;2;").count(), LEGEND_CELLS);
    }

    #[test]
    fn states_have_colors_of_their_own() {
        let terminal = paint(Scale::States, true);
        let colors = [-1.0, 1.0, 2.0].map(|state| painted(&terminal, state));
        assert!(colors[0].contains("48;2;255;184;122") && colors[1].contains("48;2;163;207;255"));
        assert!(colors[2].contains("48;2;125;79;163"));
    }

    #[test]
    fn terminals_may_say_that_they_are_light() {
        assert_eq!(["0;15", "0;default;7", "15;0", ""].map(is_light), [true, true, false, false]);
    }
}
