//! What a critic predicts against what happened.

use plotters::{
    element::{Circle, PathElement},
    style::{Color, ShapeStyle},
};

use crate::{
    axis::is_drawable,
    canvas::{document, units},
    error::Result,
    layout::Layout,
    palette::{GRAY, tone},
    panel::{Line, Panel},
    plot::{draw_surroundings, write_no_data},
};

/// Radius of the largest circle, and of the smallest one, in pixels.
const RADII: (f64, f64) = (14.0, 2.0);

/// Predictions that are about equal.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct CalibrationBin {
    /// Their mean.
    pub predicted: f64,
    /// The mean of what happened.
    pub observed: f64,
    /// How many there are.
    pub count: u64,
}

/// Draws each bin as a circle whose area is its count, and the diagonal on which a calibrated critic's bins lie.
///
/// # Errors
/// The picture is too small or too large.
pub fn calibration(bins: &[CalibrationBin], size: (u32, u32)) -> Result<String> {
    let drawable = |bin: &&CalibrationBin| bin.count > 0 && is_drawable(bin.predicted) && is_drawable(bin.observed);
    let bins: Vec<&CalibrationBin> = bins.iter().filter(drawable).collect();
    let ends = bins.iter().flat_map(|bin| [bin.predicted, bin.observed]);
    // The same range for both axes, with at least 0 to 1, where values of right and wrong answers lie.
    let (low, high) = ends.fold((0.0f64, 1.0f64), |(low, high), end| (low.min(end), high.max(end)));
    let space = 0.03 * (high - low);
    let range = Some((low - space, high + space));
    let panel = Panel {
        x_title: "predicted value".into(),
        y_title: "mean return".into(),
        x: range,
        y: range,
        lines: vec![Line::default()],
        ..Panel::default()
    };
    let layout = Layout::new(&panel, (f64::from(size.0), f64::from(size.1)));
    let most = bins.iter().map(|bin| bin.count).max().unwrap_or(1) as f64;
    document(size, |area| {
        let mut plot = draw_surroundings(area, &panel, &layout)?;
        let style = ShapeStyle::from(GRAY.mix(0.6)).stroke_width(units(1.0) as u32);
        plot.draw_series([PathElement::new(vec![(low, low), (high, high)], style)])?;
        if bins.is_empty() {
            return write_no_data(area, &layout);
        }
        let circle = |bin: &&CalibrationBin| {
            let radius = (RADII.0 * (bin.count as f64 / most).sqrt()).max(RADII.1);
            Circle::new((bin.predicted, bin.observed), units(radius), tone(0, 0.65).filled())
        };
        plot.draw_series(bins.iter().map(circle))?;
        Ok(())
    })
}
