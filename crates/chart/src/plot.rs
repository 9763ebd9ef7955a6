//! Draws a panel of curves.

use plotters::{
    backend::DrawingBackend,
    chart::{ChartBuilder, ChartContext},
    coord::cartesian::Cartesian2d,
    element::{Circle, PathElement, Polygon, Rectangle},
    style::{Color, ShapeStyle, TRANSPARENT, text_anchor::HPos},
};

use crate::{
    axis::{Axis, Format, is_drawable},
    canvas::{Area, Drawn, LINE_HEIGHT, MARGIN, SMALL, TITLE, document, gray, styled, units, write},
    curve::{Point, clipped, clipped_polygon, pieces, thinned},
    error::Result,
    layout::{Layout, TICK},
    names::draw_names,
    palette::{GRAY, tone},
    panel::{Frame, Line, Panel},
    text::{fit, width},
};

/// How much of a line in the background is seen.
const FAINT: f64 = 0.45;
/// Width of axes, in pixels.
const HAIRLINE: f64 = 0.8;
/// Radius of a marked point.
const DOT: f64 = 3.0;

/// The plotting area of a panel.
pub(crate) type Plot<'a, B> = ChartContext<'a, B, Cartesian2d<Axis, Axis>>;

/// Draws a panel of curves.
///
/// # Errors
/// The picture is too small or too large.
pub fn svg(panel: &Panel, size: (u32, u32)) -> Result<Frame> {
    let layout = Layout::new(panel, (f64::from(size.0), f64::from(size.1)));
    let svg = document(size, |area| draw(area, panel, &layout))?;
    let Layout { x, y, left, top, width, height, .. } = layout;
    Ok(Frame { svg, x: (x.low, x.high), y: (y.low, y.high), left, top, width, height })
}

/// Draws a panel into a part of a picture.
pub(crate) fn draw<B: DrawingBackend>(area: &Area<B>, panel: &Panel, layout: &Layout) -> Drawn<B> {
    let mut plot = draw_surroundings(area, panel, layout)?;
    let is_empty = panel.lines.iter().all(|line| pieces(&line.points).next().is_none());
    if is_empty {
        write_no_data(area, layout)?;
    }
    for line in &panel.lines {
        draw_band(&mut plot, line, layout)?;
    }
    for line in &panel.lines {
        draw_line(&mut plot, line, layout)?;
    }
    for line in panel.lines.iter().filter(|line| line.values) {
        write_values(area, line, panel.format, layout)?;
    }
    if panel.names { draw_names(area, panel, layout) } else { Ok(()) }
}

/// Draws all but the curves: axes, titles, legend and shaded spans.
pub(crate) fn draw_surroundings<'a, B: DrawingBackend>(
    area: &Area<B>,
    panel: &Panel,
    layout: &Layout,
) -> Drawn<B, Plot<'a, B>> {
    let mut plot = ChartBuilder::on(area)
        .margin_top(units(layout.top))
        .margin_right(units(layout.right))
        .margin_bottom(units(MARGIN))
        .margin_left(units(MARGIN))
        .x_label_area_size(units(layout.bottom - MARGIN))
        .y_label_area_size(units(layout.left - MARGIN))
        .build_cartesian_2d(layout.x.clone(), layout.y.clone())?;
    draw_spans(&mut plot, panel, layout)?;
    draw_axes(area, &mut plot, panel, layout)?;
    let title = fit(&panel.title, TITLE, layout.width + layout.right - MARGIN);
    write(area, &title, (layout.left, MARGIN + LINE_HEIGHT / 2.0 - 2.0), HPos::Left, &gray(TITLE))?;
    layout.legend.draw(area, layout.left, layout.top - layout.legend.height())?;
    Ok(plot)
}

/// Says that there is nothing to draw.
pub(crate) fn write_no_data<B: DrawingBackend>(area: &Area<B>, layout: &Layout) -> Drawn<B> {
    let middle = (layout.left + layout.width / 2.0, layout.top + layout.height / 2.0);
    write(area, "no data", middle, HPos::Center, &gray(SMALL))
}

/// Draws lines at the ticks of y, a line and marks below, and the texts of both axes.
fn draw_axes<B: DrawingBackend>(area: &Area<B>, plot: &mut Plot<'_, B>, panel: &Panel, layout: &Layout) -> Drawn<B> {
    let (x_title, y_title) = (fit(&panel.x_title, SMALL, layout.width), fit(&panel.y_title, SMALL, layout.height));
    let (x_label, y_label) = (|value: &f64| layout.x.label(*value), |value: &f64| layout.y.label(*value));
    let mut mesh = plot.configure_mesh();
    mesh.disable_x_mesh()
        .bold_line_style(ShapeStyle::from(GRAY.mix(0.22)).stroke_width(units(HAIRLINE) as u32))
        .light_line_style(TRANSPARENT)
        .axis_style(TRANSPARENT)
        .set_all_tick_mark_size(units(TICK))
        .label_style(gray(SMALL))
        .axis_desc_style(gray(SMALL))
        .x_label_formatter(&x_label)
        .y_label_formatter(&y_label);
    if !x_title.is_empty() {
        mesh.x_desc(x_title);
    }
    if !y_title.is_empty() {
        mesh.y_desc(y_title);
    }
    mesh.draw()?;
    let (bottom, right) = (layout.top + layout.height, layout.left + layout.width);
    let marks = layout.x.ticks().into_iter().map(|tick| layout.left + layout.x.share(tick) * layout.width);
    let lines = marks.map(|x| [(x, bottom), (x, bottom + TICK)]).chain([[(layout.left, bottom), (right, bottom)]]);
    let style = ShapeStyle::from(GRAY).stroke_width(units(HAIRLINE) as u32);
    for ends in lines {
        area.draw(&PathElement::new(ends.map(|(x, y)| (units(x), units(y))), style))?;
    }
    Ok(())
}

/// Shades spans of x. Their labels may be wider than they are.
fn draw_spans<B: DrawingBackend>(plot: &mut Plot<'_, B>, panel: &Panel, layout: &Layout) -> Drawn<B> {
    let (x, y) = (&layout.x, &layout.y);
    let spans = panel.shaded.iter().map(|(from, to, label)| (from.max(x.low), to.min(x.high), label));
    for (from, to, label) in spans.filter(|(from, to, _)| from < to) {
        plot.draw_series([Rectangle::new([(from, y.low), (to, y.high)], GRAY.mix(0.12).filled())])?;
        let left = x.share(from) * layout.width + 4.0;
        let label = fit(label, SMALL, layout.width - left);
        let area = plot.plotting_area().strip_coord_spec();
        write(&area, &label, (left, LINE_HEIGHT / 2.0), HPos::Left, &gray(SMALL))?;
    }
    Ok(())
}

fn draw_band<B: DrawingBackend>(plot: &mut Plot<'_, B>, line: &Line, layout: &Layout) -> Drawn<B> {
    let is_whole = |band: &&[(f64, f64, f64)]| band.len() > 1;
    let drawable = |(x, low, high): &(f64, f64, f64)| [*x, *low, *high].into_iter().all(is_drawable);
    for band in line.band.split(|edge| !drawable(edge)).filter(is_whole) {
        // The upper ends forwards, then the lower ends backwards.
        let thin = |points: Vec<Point>| thinned(&points, &layout.x, layout.width);
        let upper = thin(band.iter().map(|(x, _, high)| (*x, *high)).collect());
        let lower = thin(band.iter().map(|(x, low, _)| (*x, *low)).collect());
        let outline = clipped_polygon(upper.into_iter().chain(lower.into_iter().rev()).collect(), &layout.x, &layout.y);
        if outline.len() > 2 {
            plot.draw_series([Polygon::new(outline, tone(line.color, 0.15))])?;
        }
    }
    Ok(())
}

fn draw_line<B: DrawingBackend>(plot: &mut Plot<'_, B>, line: &Line, layout: &Layout) -> Drawn<B> {
    let color = tone(line.color, if line.faint { FAINT } else { 1.0 });
    let style = ShapeStyle::from(color).stroke_width(units(f64::from(line.width.max(1))) as u32);
    for piece in pieces(&line.points) {
        let points = thinned(piece, &layout.x, layout.width);
        let parts = clipped(&points, &layout.x, &layout.y);
        plot.draw_series(parts.into_iter().map(|part| PathElement::new(part, style)))?;
        // A point between two gaps would not be seen.
        if line.dots || points.len() == 1 {
            let inside = points.into_iter().filter(|point| is_inside(*point, layout));
            plot.draw_series(inside.map(|point| Circle::new(point, units(DOT), color.filled())))?;
        }
    }
    Ok(())
}

fn is_inside((x, y): Point, layout: &Layout) -> bool {
    let inside = |axis: &Axis, value: f64| (axis.low..=axis.high).contains(&value);
    inside(&layout.x, x) && inside(&layout.y, y)
}

/// Writes the values of a line next to its points: above them, or on the right where the line rises steeply. Values that would
/// overlap the one before are left out.
fn write_values<B: DrawingBackend>(area: &Area<B>, line: &Line, format: Format, layout: &Layout) -> Drawn<B> {
    let place = |point: &Point| {
        let (x, y) = (layout.x.share(point.0), layout.y.share(point.1));
        (layout.left + x * layout.width, layout.top + (1.0 - y) * layout.height)
    };
    let mut free = f64::NEG_INFINITY;
    let points: Vec<Point> =
        pieces(&line.points).flatten().copied().filter(|point| is_inside(*point, layout)).collect();
    for (index, point) in points.iter().enumerate() {
        let (x, y) = place(point);
        let text = format.write(point.1, 0.01);
        let wide = width(&text, SMALL);
        let rises = index > 0 && points.get(index + 1).is_some_and(|next| y - place(next).1 > LINE_HEIGHT);
        let (left, y) = if rises { (x + 7.0, y + 6.0) } else { ((x - wide / 2.0).max(layout.left), y - 12.0) };
        if left > free {
            write(area, &text, (left, y), HPos::Left, &styled(SMALL, tone(line.color, 1.0)))?;
            free = left + wide;
        }
    }
    Ok(())
}
