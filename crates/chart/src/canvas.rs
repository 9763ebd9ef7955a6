//! Pictures in general: their document, and texts on them.

use plotters::{
    backend::{DrawingBackend, SVGBackend},
    coord::Shift,
    drawing::{DrawingArea, DrawingAreaErrorKind, IntoDrawingArea},
    style::{
        Color, FontDesc, FontFamily, FontStyle, RGBAColor, TextStyle,
        text_anchor::{HPos, Pos, VPos},
    },
};
use tiny_skia::Pixmap;

use crate::{
    error::{Error, Result},
    palette::GRAY,
    raster::Raster,
    text::TEXT_SCALE,
};

/// Coordinates of plotters are whole numbers: a pixel has ten, so that curves are smooth and widths exact.
const UNITS: f64 = 10.0;
/// Pixels of a PNG for one of its size, as screens have them.
const DENSITY: u32 = 2;

/// The size of the texts of axes and legends, in pixels.
pub(crate) const SMALL: f64 = 12.0;
/// The size of titles.
pub(crate) const TITLE: f64 = 13.0;

/// Space around everything, in pixels.
pub(crate) const MARGIN: f64 = 8.0;
/// Height of a line of text.
pub(crate) const LINE_HEIGHT: f64 = 18.0;
/// The space between a line's end and its name.
pub(crate) const LEADER: f64 = 22.0;

/// The smallest and the largest picture, in pixels.
const SIZES: [(u32, u32); 2] = [(100, 60), (4000, 4000)];

/// Part of a picture.
pub(crate) type Area<B> = DrawingArea<B, Shift>;
/// The result of drawing on a backend.
pub(crate) type Drawn<B, T = ()> = std::result::Result<T, DrawingAreaErrorKind<<B as DrawingBackend>::ErrorType>>;

/// Whole numbers for a length in pixels.
pub(crate) fn units(pixels: f64) -> i32 {
    (pixels * UNITS).round() as i32
}

/// Draws an SVG document.
///
/// # Errors
/// The picture is too small or too large.
pub(crate) fn document(
    size: (u32, u32),
    draw: impl for<'a> FnOnce(&Area<SVGBackend<'a>>) -> Drawn<SVGBackend<'a>>,
) -> Result<String> {
    check(size)?;
    let mut text = String::new();
    let picture =
        SVGBackend::with_string(&mut text, (size.0 * UNITS as u32, size.1 * UNITS as u32)).into_drawing_area();
    let drawn = draw(&picture).and_then(|()| picture.present());
    drop(picture);
    drawn.map_err(|error| Error { size, message: error.to_string() })?;
    Ok(finished(&text, size))
}

/// Draws on white pixels, [`DENSITY`] times as many as the size says in each direction, and encodes them as PNG.
///
/// # Errors
/// The picture is too small or too large.
pub(crate) fn bitmap(
    size: (u32, u32),
    draw: impl for<'a> FnOnce(&Area<Raster<'a>>) -> Drawn<Raster<'a>>,
) -> Result<Vec<u8>> {
    check(size)?;
    let error = |message: String| Error { size, message };
    let mut pixels = Pixmap::new(size.0 * DENSITY, size.1 * DENSITY).ok_or_else(|| error("too many pixels".into()))?;
    pixels.fill(tiny_skia::Color::WHITE);
    let picture = Raster::new(&mut pixels, (size.0 * UNITS as u32, size.1 * UNITS as u32)).into_drawing_area();
    let drawn = draw(&picture);
    drop(picture);
    drawn.map_err(|cause| error(cause.to_string()))?;
    pixels.encode_png().map_err(|cause| error(cause.to_string()))
}

fn check(size: (u32, u32)) -> Result<()> {
    let [least, most] = SIZES;
    let is_possible = (least.0..=most.0).contains(&size.0) && (least.1..=most.1).contains(&size.1);
    let message = || format!("expected {}x{} to {}x{}", least.0, least.1, most.0, most.1);
    if is_possible { Ok(()) } else { Err(Error { size, message: message() }) }
}

/// Sets the size of a document in pixels, and how its lines end and bend.
fn finished(text: &str, (width, height): (u32, u32)) -> String {
    let units = |pixels: u32| pixels * UNITS as u32;
    let drawn = format!("width=\"{}\" height=\"{}\"", units(width), units(height));
    let wanted = format!("width=\"{width}\" height=\"{height}\" stroke-linejoin=\"round\" stroke-linecap=\"round\"");
    text.replacen(&drawn, &wanted, 1)
}

/// The style of a gray text of a size.
pub(crate) fn gray(size: f64) -> TextStyle<'static> {
    styled(size, GRAY.to_rgba())
}

/// The style of a text of a size and color.
pub(crate) fn styled(size: f64, color: RGBAColor) -> TextStyle<'static> {
    let font = FontDesc::new(FontFamily::SansSerif, size * UNITS * TEXT_SCALE, FontStyle::Normal);
    TextStyle { font, color: color.to_backend_color(), pos: Pos::new(HPos::Left, VPos::Center) }
}

/// Writes a text: `at` is its left, middle or right end, at half of its height.
pub(crate) fn write<B: DrawingBackend>(
    area: &Area<B>,
    text: &str,
    at: (f64, f64),
    end: HPos,
    style: &TextStyle<'static>,
) -> Drawn<B> {
    if text.is_empty() {
        return Ok(());
    }
    let style = style.pos(Pos::new(end, VPos::Center));
    area.draw_text(text, &style, (units(at.0), units(at.1)))
}
