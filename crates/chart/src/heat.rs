//! Heat maps, such as the value of each token (columns) in each answer of a group (rows).

use plotters::{
    backend::DrawingBackend,
    element::{PathElement, Rectangle},
    style::{BLACK, Color, RGBColor, ShapeStyle, WHITE, text_anchor::HPos},
};

use crate::{
    axis::{Axis, Format, is_drawable, range},
    canvas::{Area, Drawn, LINE_HEIGHT, MARGIN, SMALL, TITLE, document, gray, units, write},
    error::Result,
    text::{fit, width},
};

/// Width of the scale's colors, and the space around them.
const SCALE: (f64, f64) = (10.0, 8.0);
/// The smallest width and height of a cell in pixels; where there are more, neighbors are averaged.
const LEAST: (f64, f64) = (1.5, 2.0);
/// How far a cell reaches into the next one.
const OVERLAP: f64 = 0.4;
/// Different colors of a scale: cells next to each other with the same one are drawn as one.
const TONES: usize = 64;
/// The share of the width that labels of rows take at most.
const LABELS: f64 = 0.25;

/// How numbers become colors. Both scales can be read by color-blind people.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scale {
    /// From blue to yellow.
    #[default]
    Sequential,
    /// From blue over gray in the middle of the range to orange.
    Diverging,
}

/// A row of cells.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HeatRow {
    /// On its left.
    pub label: String,
    /// Its numbers; `None` and what is not finite leaves a cell empty.
    pub cells: Vec<Option<f32>>,
    /// A cell that is marked, such as the first wrong token.
    pub mark: Option<usize>,
}

/// Numbers in rows and columns.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HeatMap {
    /// Above the rows; may be empty.
    pub title: String,
    /// Below the columns; may be empty.
    pub x_title: String,
    /// The rows, from top to bottom.
    pub rows: Vec<HeatRow>,
    /// The colors.
    pub scale: Scale,
    /// The numbers at the ends of the scale, as the ranges in [`crate::Panel`].
    pub range: Option<(f32, f32)>,
}

/// Draws a heat map.
///
/// # Errors
/// The picture is too small or too large.
pub fn heat_map(map: &HeatMap, size: (u32, u32)) -> Result<String> {
    let layout = Layout::new(map, (f64::from(size.0), f64::from(size.1)));
    document(size, |area| {
        let title = fit(&map.title, TITLE, f64::from(size.0) - layout.left - MARGIN);
        write(area, &title, (layout.left, MARGIN + LINE_HEIGHT / 2.0 - 2.0), HPos::Left, &gray(TITLE))?;
        if layout.columns == 0 {
            let middle = (f64::from(size.0) / 2.0, f64::from(size.1) / 2.0);
            return write(area, "no data", middle, HPos::Center, &gray(SMALL));
        }
        draw_cells(area, map, &layout)?;
        draw_labels(area, map, &layout)?;
        draw_marks(area, map, &layout)?;
        draw_scale(area, map.scale, &layout)
    })
}

/// Where the parts lie, in pixels.
struct Layout {
    columns: usize,
    values: Axis,
    left: f64,
    top: f64,
    width: f64,
    height: f64,
}

impl Layout {
    fn new(map: &HeatMap, (whole_width, whole_height): (f64, f64)) -> Self {
        let columns = map.rows.iter().map(|row| row.cells.len()).max().unwrap_or(0);
        let line = |shown: bool| if shown { LINE_HEIGHT } else { 0.0 };
        let top = MARGIN + line(!map.title.is_empty());
        let height = (whole_height - top - MARGIN - LINE_HEIGHT - line(!map.x_title.is_empty())).max(1.0);
        let numbers = map.rows.iter().flat_map(|row| row.cells.iter().flatten()).map(|value| f64::from(*value));
        let wanted = map.range.map(|(low, high)| (low.into(), high.into()));
        let values = Axis::new(range(wanted, numbers, 0.0), Format::Plain, height / 36.0);
        let widest = |texts: &mut dyn Iterator<Item = f64>| texts.fold(0.0, f64::max);
        let labels =
            widest(&mut map.rows.iter().map(|row| width(&fit(&row.label, SMALL, whole_width * LABELS), SMALL)));
        let numbers = widest(&mut values.ticks().into_iter().map(|tick| width(&values.label(tick), SMALL)));
        let left = MARGIN + labels + if labels > 0.0 { 6.0 } else { 0.0 };
        let right = 2.0 * SCALE.1 + SCALE.0 + numbers + MARGIN;
        Self { columns, values, left, top, width: (whole_width - left - right).max(1.0), height }
    }

    /// The left end of a column.
    fn x(&self, column: usize) -> f64 {
        self.left + self.width * column as f64 / self.columns as f64
    }

    /// The upper end of one of some rows.
    fn y(&self, row: usize, rows: usize) -> f64 {
        self.top + self.height * row as f64 / rows as f64
    }

    /// The number of columns and rows that are drawn as one.
    fn merged(&self, rows: usize) -> (usize, usize) {
        let merged = |count: usize, length: f64, least: f64| (count as f64 * least / length).ceil().max(1.0) as usize;
        (merged(self.columns, self.width, LEAST.0), merged(rows, self.height, LEAST.1))
    }
}

fn draw_cells<B: DrawingBackend>(area: &Area<B>, map: &HeatMap, layout: &Layout) -> Drawn<B> {
    let (columns, rows) = layout.merged(map.rows.len());
    // A hair's breadth between rows that are high enough.
    let gap = if layout.height / map.rows.len() as f64 > 6.0 { 1.0 } else { 0.0 };
    for (index, group) in map.rows.chunks(rows).enumerate() {
        let top = layout.y(index * rows, map.rows.len());
        let bottom = layout.y(index * rows + group.len(), map.rows.len()) - gap;
        let starts: Vec<usize> = (0..layout.columns).step_by(columns).collect();
        let tones: Vec<Option<usize>> = starts.iter().map(|start| tone_of(group, *start, columns, layout)).collect();
        let mut start = 0;
        for run in tones.chunk_by(|a, b| a == b) {
            let end = start + run.len();
            if let Some(tone) = run[0] {
                // The next cell covers what is too much, so that nothing shines through between them.
                let right = layout.x((end * columns).min(layout.columns)) + OVERLAP;
                let corners = [(units(layout.x(start * columns)), units(top)), (units(right), units(bottom))];
                area.draw(&Rectangle::new(corners, map.scale.color(tone).filled()))?;
            }
            start = end;
        }
    }
    Ok(())
}

/// The tone of the mean of some cells.
fn tone_of(rows: &[HeatRow], start: usize, columns: usize, layout: &Layout) -> Option<usize> {
    let cells = rows.iter().flat_map(|row| row.cells.iter().skip(start).take(columns).flatten());
    let (sum, count) = cells
        .map(|value| f64::from(*value))
        .filter(|value| is_drawable(*value))
        .fold((0.0, 0u32), |(sum, count), value| (sum + value, count + 1));
    let share = layout.values.share(sum / f64::from(count)).clamp(0.0, 1.0);
    (count > 0).then(|| (share * (TONES - 1) as f64).round() as usize)
}

/// Labels of rows, as many as fit, and numbers of columns.
fn draw_labels<B: DrawingBackend>(area: &Area<B>, map: &HeatMap, layout: &Layout) -> Drawn<B> {
    let rows = map.rows.len();
    let every = (12.0 * rows as f64 / layout.height).ceil().max(1.0) as usize;
    for (index, row) in map.rows.iter().enumerate().step_by(every) {
        let label = fit(&row.label, SMALL, layout.left - MARGIN);
        let y = (layout.y(index, rows) + layout.y(index + 1, rows)) / 2.0;
        write(area, &label, (layout.left - 6.0, y), HPos::Right, &gray(SMALL))?;
    }
    let bottom = layout.top + layout.height;
    let columns = Axis::new((0.0, layout.columns as f64), Format::Compact, layout.width / 75.0);
    for tick in columns.ticks().into_iter().filter(|tick| tick.fract() == 0.0) {
        let x = layout.left + columns.share(tick) * layout.width;
        write(area, &columns.label(tick), (x, bottom + 10.0), HPos::Center, &gray(SMALL))?;
    }
    let title = fit(&map.x_title, SMALL, layout.width);
    write(area, &title, (layout.left + layout.width / 2.0, bottom + LINE_HEIGHT + 9.0), HPos::Center, &gray(SMALL))
}

/// Marks are black with white sides, to be seen on every color.
fn draw_marks<B: DrawingBackend>(area: &Area<B>, map: &HeatMap, layout: &Layout) -> Drawn<B> {
    let rows = map.rows.len();
    for (index, row) in map.rows.iter().enumerate() {
        let Some(column) = row.mark.filter(|column| *column < layout.columns) else { continue };
        let (x, top, bottom) = (units(layout.x(column)), layout.y(index, rows), layout.y(index + 1, rows));
        for (color, width) in [(WHITE, 3.6), (BLACK, 1.6)] {
            let style = ShapeStyle::from(color).stroke_width(units(width) as u32);
            area.draw(&PathElement::new(vec![(x, units(top)), (x, units(bottom - 1.0))], style))?;
        }
    }
    Ok(())
}

fn draw_scale<B: DrawingBackend>(area: &Area<B>, scale: Scale, layout: &Layout) -> Drawn<B> {
    let left = layout.left + layout.width + SCALE.1;
    let y = |share: f64| layout.top + (1.0 - share) * layout.height;
    for tone in (0..TONES).rev() {
        let (low, high) = (tone as f64 / TONES as f64, (tone + 1) as f64 / TONES as f64);
        let corners = [(units(left), units(y(high))), (units(left + SCALE.0), units(y(low) + OVERLAP))];
        area.draw(&Rectangle::new(corners, scale.color(tone).filled()))?;
    }
    for tick in layout.values.ticks() {
        let at = (left + SCALE.0 + SCALE.1, y(layout.values.share(tick)));
        write(area, &layout.values.label(tick), at, HPos::Left, &gray(SMALL))?;
    }
    Ok(())
}

impl Scale {
    fn color(self, tone: usize) -> RGBColor {
        let anchors: &[(u8, u8, u8)] = match self {
            Self::Sequential => &[(62, 73, 150), (38, 130, 142), (74, 184, 110), (233, 220, 70)],
            Self::Diverging => &[(38, 96, 190), (110, 160, 215), (190, 190, 190), (226, 150, 84), (200, 82, 20)],
        };
        let place = tone as f64 / (TONES - 1) as f64 * (anchors.len() - 1) as f64;
        let first = (place as usize).min(anchors.len() - 2);
        let mixed =
            |a: u8, b: u8| (f64::from(a) + (f64::from(b) - f64::from(a)) * (place - first as f64)).round() as u8;
        let (a, b) = (anchors[first], anchors[first + 1]);
        RGBColor(mixed(a.0, b.0), mixed(a.1, b.1), mixed(a.2, b.2))
    }
}
