//! Heat maps, bars, calibration plots and figures.

use roxmltree::{Document, Node};
use vapo_chart::{
    Bars, CalibrationBin, HeatMap, HeatRow, Line, Panel, Row, Scale, bars, calibration, figure, heat_map,
};

const SIZE: (u32, u32) = (600, 320);

fn parse(svg: &str) -> Document<'_> {
    Document::parse(svg).unwrap_or_else(|error| panic!("{error}: {svg}"))
}

fn shapes<'a, 'd>(document: &'a Document<'d>, tag: &str, fill: &str) -> Vec<Node<'a, 'd>> {
    let all = document.descendants().filter(|node| node.has_tag_name(tag));
    all.filter(|node| fill.is_empty() || node.attribute("fill") == Some(fill)).collect()
}

fn texts<'a>(document: &'a Document<'_>) -> Vec<&'a str> {
    shapes(document, "text", "").into_iter().filter_map(|node| node.text()).map(str::trim).collect()
}

/// An attribute in pixels.
fn number(node: &Node<'_, '_>, name: &str) -> f64 {
    node.attribute(name).unwrap().parse::<f64>().unwrap() / 10.0
}

#[test]
fn cells_have_the_color_of_their_value_and_marks_their_place() {
    let row = |cells: &[Option<f32>], mark| HeatRow { label: "<b>".into(), cells: cells.to_vec(), mark };
    let rows = vec![row(&[Some(0.0), None, Some(1.0), Some(f32::NAN)], Some(2)), row(&[Some(1.0), Some(0.5)], None)];
    let map = HeatMap { rows, range: Some((0.0, 1.0)), scale: Scale::Diverging, ..HeatMap::default() };
    let svg = heat_map(&map, SIZE).unwrap();
    let document = parse(&svg);
    let lowest = shapes(&document, "rect", "#2660BE");
    let highest = shapes(&document, "rect", "#C85214");
    // One more of each is the end of the scale.
    assert_eq!((lowest.len(), highest.len()), (2, 3));
    assert_eq!(shapes(&document, "rect", "").len(), 4 + 64);
    let mark = document.descendants().find(|node| node.attribute("stroke") == Some("#000000")).unwrap();
    let mark_x: f64 = mark.attribute("points").unwrap().split(',').next().unwrap().parse::<f64>().unwrap() / 10.0;
    assert_eq!(number(&highest[0], "x"), mark_x, "the mark is at the third cell");
    assert!(texts(&document).contains(&"<b>"));
}

#[test]
fn a_large_heat_map_is_averaged_to_what_can_be_seen() {
    let cells = |row: usize| (0..10_000).map(|column| Some(((row * 31 + column * 17) % 101) as f32)).collect();
    let rows = (0..256).map(|row| HeatRow { cells: cells(row), ..HeatRow::default() }).collect();
    let svg = heat_map(&HeatMap { rows, ..HeatMap::default() }, SIZE).unwrap();
    let document = parse(&svg);
    assert!(shapes(&document, "rect", "").len() < 600 * 320 / 3);
    let empty = heat_map(&HeatMap { rows: vec![HeatRow::default()], ..HeatMap::default() }, SIZE).unwrap();
    assert_eq!(texts(&parse(&empty)), ["no data"]);
}

#[test]
fn bars_begin_at_zero() {
    let values =
        vec![("a".into(), Some(2.0)), ("b".into(), None), ("c".into(), Some(-1.0)), ("d".into(), Some(f64::NAN))];
    let svg = bars(&Bars { bars: values, ..Bars::default() }, SIZE).unwrap();
    let document = parse(&svg);
    let drawn = shapes(&document, "rect", "#1C5CD6");
    assert_eq!(drawn.len(), 2);
    let (up, down) = (&drawn[0], &drawn[1]);
    assert!((number(up, "y") + number(up, "height") - number(down, "y")).abs() < 0.2);
    assert!((number(up, "height") / number(down, "height") - 2.0).abs() < 0.02);
    assert!(["a", "b", "c", "d"].iter().all(|name| texts(&document).contains(name)));
    let empty = bars(&Bars::default(), SIZE).unwrap();
    assert!(texts(&parse(&empty)).contains(&"no data"));
}

#[test]
fn circles_of_a_calibration_plot_grow_with_their_count() {
    let bin = |predicted, observed, count| CalibrationBin { predicted, observed, count };
    let bins = [bin(0.2, 0.2, 100), bin(0.8, 0.4, 400), bin(0.5, f64::NAN, 10), bin(0.5, 0.5, 0)];
    let svg = calibration(&bins, (400, 400)).unwrap();
    let document = parse(&svg);
    let circles = shapes(&document, "circle", "#1C5CD6");
    assert_eq!(circles.len(), 2);
    assert!((number(&circles[1], "r") / number(&circles[0], "r") - 2.0).abs() < 0.05);
    let diagonal =
        document.descendants().find(|node| node.has_tag_name("polyline") && node.attribute("opacity") == Some("0.6"));
    assert_eq!(diagonal.unwrap().attribute("points").unwrap().split_whitespace().count(), 2);
    let empty = calibration(&[], SIZE).unwrap();
    assert!(texts(&parse(&empty)).contains(&"no data"));
}

#[test]
fn a_figure_has_all_panels_in_rows() {
    let panel = |title: &str| {
        let line = Line { points: vec![(0.0, 0.0), (1.0, 1.0)], ..Line::default() };
        Panel { title: title.into(), lines: vec![line], ..Panel::default() }
    };
    let rows = [
        Row { panels: vec![panel("large")], height: 2.0 },
        Row { panels: vec![panel("left"), panel("right")], height: 1.0 },
    ];
    let svg = figure(&rows, SIZE).unwrap();
    let document = parse(&svg);
    let title = |name: &str| {
        shapes(&document, "text", "").into_iter().find(|node| node.text().unwrap().trim() == name).unwrap()
    };
    let place = |name: &str| (number(&title(name), "x"), number(&title(name), "y"));
    assert!(place("large").1 < place("left").1 && place("left").1 == place("right").1);
    assert!((place("right").0 - place("left").0 - 300.0).abs() < 0.2);
    assert!(texts(&document).iter().all(|text| !text.is_empty()));
    parse(&figure(&[], SIZE).unwrap());
    parse(&figure(&[Row { panels: vec![], height: 0.0 }], SIZE).unwrap());
}
