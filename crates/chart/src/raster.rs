//! Pictures of pixels: what plotters draws, drawn by tiny-skia. (The bitmaps of plotters itself have no smooth edges, and
//! holes where a wide line crosses itself.)

use std::{convert::Infallible, result::Result};

use plotters_backend::{
    BackendColor, BackendCoord, BackendStyle, BackendTextStyle, DrawingBackend, DrawingErrorKind, FontTransform,
    text_anchor::{HPos, VPos},
};
use tiny_skia::{Color, FillRule, LineCap, LineJoin, Paint, Path, PathBuilder, Pixmap, Rect, Stroke, Transform};
use ttf_parser::OutlineBuilder;

use crate::text::{FONT, TEXT_SCALE, advance, width};

type Drawn = Result<(), DrawingErrorKind<Infallible>>;

/// Draws on pixels.
pub(crate) struct Raster<'a> {
    pixels: &'a mut Pixmap,
    /// The size in the units of plotters, and pixels per unit.
    size: (u32, u32),
    scale: f32,
}

impl<'a> Raster<'a> {
    pub(crate) fn new(pixels: &'a mut Pixmap, size: (u32, u32)) -> Self {
        let scale = pixels.width() as f32 / size.0 as f32;
        Self { pixels, size, scale }
    }

    fn point(&self, (x, y): BackendCoord) -> (f32, f32) {
        (x as f32 * self.scale, y as f32 * self.scale)
    }

    fn path(&self, points: impl IntoIterator<Item = BackendCoord>) -> PathBuilder {
        let mut path = PathBuilder::new();
        for (x, y) in points.into_iter().map(|point| self.point(point)) {
            if path.is_empty() { path.move_to(x, y) } else { path.line_to(x, y) }
        }
        path
    }

    fn fill(&mut self, path: Option<Path>, color: BackendColor) -> Drawn {
        if let Some(path) = path {
            self.pixels.fill_path(&path, &paint(color), FillRule::Winding, Transform::identity(), None);
        }
        Ok(())
    }

    fn stroke<S: BackendStyle>(&mut self, path: Option<Path>, style: &S) -> Drawn {
        let stroke = Stroke {
            width: style.stroke_width() as f32 * self.scale,
            line_cap: LineCap::Round,
            line_join: LineJoin::Round,
            ..Stroke::default()
        };
        if let Some(path) = path {
            self.pixels.stroke_path(&path, &paint(style.color()), &stroke, Transform::identity(), None);
        }
        Ok(())
    }
}

fn paint(BackendColor { rgb: (red, green, blue), alpha }: BackendColor) -> Paint<'static> {
    let mut paint = Paint { anti_alias: true, ..Paint::default() };
    let mut color = Color::from_rgba8(red, green, blue, u8::MAX);
    color.set_alpha(alpha as f32);
    paint.set_color(color);
    paint
}

impl DrawingBackend for Raster<'_> {
    type ErrorType = Infallible;

    fn get_size(&self) -> (u32, u32) {
        self.size
    }

    fn ensure_prepared(&mut self) -> Drawn {
        Ok(())
    }

    fn present(&mut self) -> Drawn {
        Ok(())
    }

    fn draw_pixel(&mut self, (x, y): BackendCoord, color: BackendColor) -> Drawn {
        let corners = [(x, y), (x + 1, y), (x + 1, y + 1), (x, y + 1)];
        let path = self.path(corners).finish();
        self.fill(path, color)
    }

    fn draw_line<S: BackendStyle>(&mut self, from: BackendCoord, to: BackendCoord, style: &S) -> Drawn {
        self.draw_path([from, to], style)
    }

    fn draw_rect<S: BackendStyle>(&mut self, from: BackendCoord, to: BackendCoord, style: &S, fill: bool) -> Drawn {
        let ((left, top), (right, bottom)) = (self.point(from), self.point(to));
        let path = Rect::from_ltrb(left, top, right, bottom).map(PathBuilder::from_rect);
        if fill { self.fill(path, style.color()) } else { self.stroke(path, style) }
    }

    fn draw_path<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(&mut self, path: I, style: &S) -> Drawn {
        let path = self.path(path).finish();
        self.stroke(path, style)
    }

    fn draw_circle<S: BackendStyle>(&mut self, center: BackendCoord, radius: u32, style: &S, fill: bool) -> Drawn {
        let (x, y) = self.point(center);
        let path = PathBuilder::from_circle(x, y, radius as f32 * self.scale);
        if fill { self.fill(path, style.color()) } else { self.stroke(path, style) }
    }

    fn fill_polygon<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(&mut self, outline: I, style: &S) -> Drawn {
        let mut path = self.path(outline);
        path.close();
        self.fill(path.finish(), style.color())
    }

    fn draw_text<S: BackendTextStyle>(&mut self, text: &str, style: &S, at: BackendCoord) -> Drawn {
        let size = (style.size() / TEXT_SCALE) as f32 * self.scale;
        let mut outline =
            Outline { path: PathBuilder::new(), left: 0.0, top: 0.0, scale: size / f32::from(FONT.units_per_em()) };
        // Where an SVG has the beginning of the text and its baseline.
        outline.left = match style.anchor().h_pos {
            HPos::Left => 0.0,
            HPos::Center => -0.5 * width(text, size.into()) as f32,
            HPos::Right => -width(text, size.into()) as f32,
        };
        outline.top = size
            * match style.anchor().v_pos {
                VPos::Top => 0.76,
                VPos::Center => 0.27,
                VPos::Bottom => -0.27,
            };
        for c in text.chars() {
            FONT.outline_glyph(FONT.glyph_index(c).unwrap_or_default(), &mut outline);
            outline.left += size * advance(c) as f32;
        }
        let turned = match style.transform() {
            FontTransform::Rotate90 => 90.0,
            FontTransform::Rotate180 => 180.0,
            FontTransform::Rotate270 => 270.0,
            _ => 0.0,
        };
        let (x, y) = self.point(at);
        let place = Transform::from_rotate(turned).post_translate(x, y);
        let path = outline.path.finish().and_then(|path| path.transform(place));
        self.fill(path, style.color())
    }
}

/// The outlines of characters, next to each other. In a font, y grows upwards.
struct Outline {
    path: PathBuilder,
    left: f32,
    top: f32,
    scale: f32,
}

impl Outline {
    fn place(&self, x: f32, y: f32) -> (f32, f32) {
        (self.left + x * self.scale, self.top - y * self.scale)
    }
}

impl OutlineBuilder for Outline {
    fn move_to(&mut self, x: f32, y: f32) {
        let (x, y) = self.place(x, y);
        self.path.move_to(x, y);
    }

    fn line_to(&mut self, x: f32, y: f32) {
        let (x, y) = self.place(x, y);
        self.path.line_to(x, y);
    }

    fn quad_to(&mut self, x1: f32, y1: f32, x: f32, y: f32) {
        let ((x1, y1), (x, y)) = (self.place(x1, y1), self.place(x, y));
        self.path.quad_to(x1, y1, x, y);
    }

    fn curve_to(&mut self, x1: f32, y1: f32, x2: f32, y2: f32, x: f32, y: f32) {
        let ((x1, y1), (x2, y2), (x, y)) = (self.place(x1, y1), self.place(x2, y2), self.place(x, y));
        self.path.cubic_to(x1, y1, x2, y2, x, y);
    }

    fn close(&mut self) {
        self.path.close();
    }
}
