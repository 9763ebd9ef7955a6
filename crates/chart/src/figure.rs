//! Several panels in one picture.

use plotters::backend::DrawingBackend;

use crate::{
    canvas::{Area, Drawn, bitmap, document, units},
    error::Result,
    layout::Layout,
    panel::Panel,
    plot::draw,
};

/// Panels next to each other.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The panels, from left to right, equally wide.
    pub panels: Vec<Panel>,
    /// The height of the row, relative to that of the others.
    pub height: f64,
}

/// Draws rows of panels, such as a large panel and below it a row of small ones.
///
/// # Errors
/// The picture is too small or too large.
pub fn figure(rows: &[Row], size: (u32, u32)) -> Result<String> {
    document(size, |area| draw_rows(area, rows, size))
}

/// The same as a PNG with twice as many pixels in each direction, on white.
///
/// # Errors
/// The picture is too small or too large.
pub fn figure_png(rows: &[Row], size: (u32, u32)) -> Result<Vec<u8>> {
    bitmap(size, |area| draw_rows(area, rows, size))
}

fn draw_rows<B: DrawingBackend>(area: &Area<B>, rows: &[Row], (width, height): (u32, u32)) -> Drawn<B> {
    let whole: f64 = rows.iter().map(|row| row.height).sum();
    let mut top = 0.0;
    for row in rows {
        let high = f64::from(height) * row.height / whole;
        let wide = f64::from(width) / row.panels.len().max(1) as f64;
        for (index, panel) in row.panels.iter().enumerate() {
            let left = wide * index as f64;
            let part = area.clone().shrink((units(left), units(top)), (units(wide), units(high)));
            draw(&part, panel, &Layout::new(panel, (wide, high)))?;
        }
        top += high;
    }
    Ok(())
}
