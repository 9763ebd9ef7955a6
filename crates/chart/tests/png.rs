//! Pictures of pixels.

use tiny_skia::Pixmap;
use vapo_chart::{Line, Panel, Row, figure_png};

const SIZE: (u32, u32) = (400, 240);

fn picture(panel: Panel) -> Pixmap {
    let png = figure_png(&[Row { panels: vec![panel], height: 1.0 }], SIZE).unwrap();
    assert_eq!(png[..8], *b"\x89PNG\r\n\x1a\n");
    Pixmap::decode_png(&png).unwrap()
}

fn count(picture: &Pixmap, is_counted: impl Fn(u8, u8, u8) -> bool) -> usize {
    picture.pixels().iter().filter(|pixel| is_counted(pixel.red(), pixel.green(), pixel.blue())).count()
}

fn is_blue(red: u8, green: u8, blue: u8) -> bool {
    (red, green, blue) == (28, 92, 214)
}

#[test]
fn a_line_is_drawn_on_white_with_two_pixels_for_one() {
    let line = Line { points: vec![(0.0, 1.0), (1.0, 1.0)], width: 3, ..Line::default() };
    let panel = Panel { x: Some((0.0, 1.0)), y: Some((0.0, 2.0)), lines: vec![line], ..Panel::default() };
    let picture = picture(panel.clone());
    assert_eq!((picture.width(), picture.height()), (800, 480));
    let corner = picture.pixel(0, 0).unwrap();
    assert_eq!((corner.red(), corner.green(), corner.blue(), corner.alpha()), (255, 255, 255, 255));
    let frame = vapo_chart::svg(&panel, SIZE).unwrap();
    let middle = |share: f64| (2.0 * (frame.left + share * frame.width), 2.0 * (frame.top + frame.height / 2.0));
    for share in [0.1, 0.5, 0.9] {
        let (x, y) = middle(share);
        let pixel = picture.pixel(x as u32, y as u32).unwrap();
        assert!(is_blue(pixel.red(), pixel.green(), pixel.blue()), "{pixel:?} at {x} {y}");
    }
    let blue = count(&picture, is_blue) as f64;
    assert!((blue / (2.0 * frame.width * 6.0) - 1.0).abs() < 0.2, "{blue} pixels");
}

#[test]
fn a_wide_line_that_crosses_itself_has_no_holes() {
    let points = (0..200).map(|i| (f64::from(i), f64::from(i % 2))).collect();
    let panel =
        Panel { y: Some((0.0, 1.0)), lines: vec![Line { points, width: 6, ..Line::default() }], ..Panel::default() };
    let frame = vapo_chart::svg(&panel, SIZE).unwrap();
    let blue = count(&picture(panel), is_blue) as f64;
    assert!(blue > 0.9 * 4.0 * frame.width * frame.height, "{blue} pixels");
}

#[test]
fn texts_are_drawn_with_the_font_that_the_program_carries() {
    let is_text = |red, green, blue| (red, green, blue) == (118, 118, 118);
    let pixels = |title: &str| count(&picture(Panel { title: title.into(), ..Panel::default() }), is_text);
    let (none, one, two) = (pixels(""), pixels("mean reward"), pixels("mean reward, mean reward"));
    assert!(none + 50 < one && one + 50 < two, "{none} {one} {two}");
    assert!(pixels("\u{4f60}\u{1f600}\u{0}\u{202e}") > none, "unknown characters are boxes");
}

#[test]
fn equal_data_give_equal_bytes() {
    let line = Line { points: vec![(0.0, 1.0), (1.0, f64::NAN), (2.0, 3.0)], dots: true, ..Line::default() };
    let rows = [Row { panels: vec![Panel { lines: vec![line], ..Panel::default() }], height: 1.0 }];
    assert_eq!(figure_png(&rows, SIZE).unwrap(), figure_png(&rows, SIZE).unwrap());
    assert!(figure_png(&rows, (10, 10)).is_err());
}
