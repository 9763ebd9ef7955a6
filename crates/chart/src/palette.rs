//! Colors that can be read on white and on black.

use plotters::style::{Color, RGBAColor, RGBColor};

/// Colors of lines, as red, green and blue, with a contrast of at least 3 to white and to black. The first eight can be told
/// apart in every kind of color blindness, the others also by their hue.
pub const COLORS: [(u8, u8, u8); 12] = [
    (28, 92, 214),
    (246, 104, 10),
    (28, 164, 156),
    (178, 42, 118),
    (165, 118, 250),
    (153, 108, 88),
    (78, 108, 12),
    (63, 122, 173),
    (175, 144, 98),
    (126, 76, 164),
    (77, 160, 10),
    (114, 99, 209),
];

/// The gray of texts and axes, which has the same contrast to white and to black. A page that shows a picture can replace it
/// by its own color: `svg text[fill="#767676"] { fill: currentColor }`.
pub const TEXT: (u8, u8, u8) = (118, 118, 118);

/// The color with an index, as `#1C5CD6`, for a page's own legend.
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

#[cfg(test)]
mod tests {
    use super::*;

    type Light = [f64; 3];

    fn linear(color: (u8, u8, u8)) -> Light {
        let channel = |value: u8| match f64::from(value) / 255.0 {
            dark if dark <= 0.04045 => dark / 12.92,
            value => ((value + 0.055) / 1.055).powf(2.4),
        };
        [channel(color.0), channel(color.1), channel(color.2)]
    }

    fn transformed(matrix: &[Light; 3], light: Light) -> Light {
        matrix.map(|row| row[0] * light[0] + row[1] * light[1] + row[2] * light[2])
    }

    /// Contrast to white and to black as in WCAG 2.
    fn contrasts(color: (u8, u8, u8)) -> (f64, f64) {
        let luminance = transformed(&[[0.2126, 0.7152, 0.0722]; 3], linear(color))[0];
        (1.05 / (luminance + 0.05), (luminance + 0.05) / 0.05)
    }

    /// The color as seen without one of the three kinds of cones (Machado, Oliveira and Fernandes 2009), or with all.
    fn seen(color: (u8, u8, u8)) -> [Light; 4] {
        let eyes = [
            [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
            [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
            [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
            [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
        ];
        eyes.map(|eye| perceived(transformed(&eye, linear(color))))
    }

    /// Oklab: distances in it are differences that people perceive.
    fn perceived(light: Light) -> Light {
        let to_cones = [
            [0.412_221_47, 0.536_332_54, 0.051_445_99],
            [0.211_903_5, 0.680_699_55, 0.107_396_96],
            [0.088_302_46, 0.281_718_84, 0.629_978_7],
        ];
        let to_oklab = [
            [0.210_454_26, 0.793_617_79, -0.004_072_05],
            [1.977_998_5, -2.428_592_2, 0.450_593_71],
            [0.025_904_04, 0.782_771_77, -0.808_675_77],
        ];
        transformed(&to_oklab, transformed(&to_cones, light).map(f64::cbrt))
    }

    #[test]
    fn colors_stand_out_from_white_and_black_and_from_each_other() {
        for color in COLORS {
            let (white, black) = contrasts(color);
            assert!(white >= 2.99 && black >= 2.99, "{color:?}: {white:.2} {black:.2}");
        }
        let (white, black) = contrasts(TEXT);
        assert!(white >= 4.5 && black >= 4.5, "text: {white:.2} {black:.2}");
        for (index, a) in COLORS[..8].iter().enumerate() {
            for b in &COLORS[..index] {
                for (a, b) in seen(*a).into_iter().zip(seen(*b)) {
                    let distance = a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt();
                    assert!(distance > 0.075, "{a:?} {b:?}: {distance}");
                }
            }
        }
    }
}
