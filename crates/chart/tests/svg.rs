//! Pictures of curves as a page and a file would show them.

use roxmltree::{Document, Node};
use vapo_chart::{Format, Frame, Line, Panel, svg};

const SIZE: (u32, u32) = (640, 360);

fn line(points: Vec<(f64, f64)>) -> Line {
    Line { name: "accuracy".into(), points, width: 2, ..Line::default() }
}

fn panel(lines: Vec<Line>) -> Panel {
    Panel { lines, ..Panel::default() }
}

/// The points of all lines in the picture, in pixels.
fn drawn_points(document: &Document<'_>, color: &str) -> Vec<(f64, f64)> {
    let lines = document.descendants().filter(|node| node.has_tag_name("polyline"));
    let colored = lines.filter(|node| node.attribute("stroke") == Some(color));
    let pairs = colored
        .flat_map(|node| node.attribute("points").unwrap().split_whitespace().map(str::to_owned).collect::<Vec<_>>());
    let number = |text: &str| text.parse::<f64>().unwrap() / 10.0;
    pairs.map(|pair| pair.split_once(',').map(|(x, y)| (number(x), number(y))).unwrap()).collect()
}

fn texts<'a>(document: &'a Document<'_>) -> Vec<&'a str> {
    document
        .descendants()
        .filter(|node| node.has_tag_name("text"))
        .filter_map(|node| node.text())
        .map(str::trim)
        .collect()
}

fn parse(frame: &Frame) -> Document<'_> {
    Document::parse(&frame.svg).unwrap_or_else(|error| panic!("{error}: {}", frame.svg))
}

#[test]
fn points_lie_where_the_frame_says() {
    let points = vec![(0.0, 0.1), (50.0, 0.9), (100.0, 0.4)];
    let wanted = Panel { x: Some((0.0, 100.0)), y: Some((0.0, 1.0)), ..panel(vec![line(points.clone())]) };
    let frame = svg(&wanted, SIZE).unwrap();
    assert_eq!((frame.x, frame.y), ((0.0, 100.0), (0.0, 1.0)));
    let document = parse(&frame);
    let root = document.root_element();
    assert_eq!((root.attribute("width"), root.attribute("height")), (Some("640"), Some("360")));
    assert_eq!(root.attribute("viewBox"), Some("0 0 6400 3600"));
    let drawn = drawn_points(&document, "#1C5CD6");
    assert_eq!(drawn.len(), points.len());
    for ((x, y), drawn) in points.into_iter().zip(drawn) {
        let expected = (frame.left + x / 100.0 * frame.width, frame.top + (1.0 - y) * frame.height);
        assert!((expected.0 - drawn.0).abs() < 0.3 && (expected.1 - drawn.1).abs() < 0.3, "{expected:?} {drawn:?}");
    }
}

#[test]
fn a_long_curve_keeps_its_spikes_and_is_small() {
    let mut points: Vec<(f64, f64)> = (0..100_000).map(|i| (f64::from(i), f64::from(i % 10))).collect();
    points[70_000].1 = 100.0;
    let frame = svg(&Panel { y: Some((0.0, 100.0)), ..panel(vec![line(points)]) }, SIZE).unwrap();
    let document = parse(&frame);
    let drawn = drawn_points(&document, "#1C5CD6");
    assert!(drawn.len() < 4 * 640, "{}", drawn.len());
    assert!(drawn.iter().any(|(_, y)| (y - frame.top).abs() < 0.3), "the spike is missing");
    assert!(frame.svg.len() < 60_000, "{}", frame.svg.len());
}

#[test]
fn a_gap_interrupts_the_line_and_a_lonely_point_is_a_dot() {
    let points =
        vec![(0.0, 0.0), (1.0, 1.0), (2.0, f64::NAN), (3.0, 0.5), (4.0, f64::INFINITY), (5.0, 1.0), (6.0, 0.0)];
    let frame = svg(&panel(vec![line(points)]), SIZE).unwrap();
    let document = parse(&frame);
    let count = |tag: &str| document.descendants().filter(|node| node.has_tag_name(tag) && is_blue(node)).count();
    assert_eq!((count("polyline"), count("circle")), (2, 1));
}

fn is_blue(node: &Node<'_, '_>) -> bool {
    [node.attribute("stroke"), node.attribute("fill")].contains(&Some("#1C5CD6"))
}

#[test]
fn without_data_there_is_an_empty_panel() {
    for lines in [vec![], vec![line(vec![])], vec![line(vec![(f64::NAN, 1.0), (1.0, f64::NEG_INFINITY)])]] {
        let frame = svg(&panel(lines), SIZE).unwrap();
        assert!(texts(&parse(&frame)).contains(&"no data"));
        assert!(frame.x.0 < frame.x.1 && frame.y.0 < frame.y.1);
    }
}

#[test]
fn any_numbers_give_a_picture() {
    let values =
        [0.0, -0.0, 1.0, -1e308, 1e308, 5e-324, f64::MAX, f64::MIN, f64::NAN, f64::INFINITY, 1e99, 1e15, 1e15 + 1.0];
    for a in values {
        for b in values {
            let points = vec![(a, b), (b, a), (1.0, 2.0), (a, a)];
            let curve =
                Line { band: vec![(a, b, a), (b, a, b), (1.0, 0.0, a)], dots: true, values: true, ..line(points) };
            let ranges = [None, Some((a, b))];
            for range in ranges {
                let panel = Panel {
                    x: range,
                    y: range,
                    shaded: vec![(a, b, "span".into())],
                    names: true,
                    ..panel(vec![curve.clone()])
                };
                parse(&svg(&panel, SIZE).unwrap());
            }
        }
    }
}

#[test]
fn hostile_texts_are_shown_as_they_are() {
    let hostile = "</text><script>alert(1)</script>&\"'\u{0}\u{1b}[31m\u{202e}\u{ffff}";
    let named = Line { name: hostile.into(), ..line(vec![(0.0, 1.0), (1.0, 2.0)]) };
    let long = "x".repeat(1_000_000);
    for text in [hostile, &long] {
        let panel = Panel {
            title: text.into(),
            x_title: text.into(),
            y_title: text.into(),
            shaded: vec![(0.0, 0.5, text.into())],
            legend: true,
            names: true,
            ..panel(vec![named.clone()])
        };
        let frame = svg(&panel, SIZE).unwrap();
        let document = parse(&frame);
        assert!(document.descendants().all(|node| !node.has_tag_name("script")));
        assert!(frame.svg.len() < 20_000, "{}", frame.svg.len());
    }
}

#[test]
fn only_what_is_in_the_range_is_drawn() {
    let points = (0..100).map(|i| (f64::from(i), f64::from(i))).collect();
    let zoomed =
        Panel { x: Some((20.0, 30.0)), y: Some((22.0, 28.0)), ..panel(vec![Line { dots: true, ..line(points) }]) };
    let frame = svg(&zoomed, SIZE).unwrap();
    let document = parse(&frame);
    let (right, bottom) = (frame.left + frame.width, frame.top + frame.height);
    let drawn = drawn_points(&document, "#1C5CD6");
    assert_eq!(drawn.len(), 7);
    assert!(
        drawn.iter().all(|(x, y)| (frame.left - 0.2..=right).contains(x) && (frame.top - 0.2..=bottom).contains(y)),
        "{drawn:?}"
    );
    assert_eq!(document.descendants().filter(|node| node.has_tag_name("circle")).count(), 7);
}

#[test]
fn values_are_written_next_to_points() {
    let points = vec![(0.0, 0.18), (10.0, 0.42), (20.0, 0.931), (20.01, 0.94)];
    let panel = Panel { format: Format::Percent, ..panel(vec![Line { dots: true, values: true, ..line(points) }]) };
    let frame = svg(&panel, SIZE).unwrap();
    let document = parse(&frame);
    let texts = texts(&document);
    assert!(["18 %", "42 %", "93 %"].iter().all(|value| texts.contains(value)), "{texts:?}");
    assert!(!texts.contains(&"94 %"), "it would overlap: {texts:?}");
}

#[test]
fn equal_data_give_equal_pictures_and_impossible_sizes_an_error() {
    let panel = panel(vec![line(vec![(0.0, 1.0), (3.0, 2.0)])]);
    assert_eq!(svg(&panel, SIZE).unwrap(), svg(&panel, SIZE).unwrap());
    for size in [(0, 0), (50, 400), (5000, 400)] {
        let error = svg(&panel, size).unwrap_err().to_string();
        assert!(error.contains("expected 100x60 to 4000x4000"), "{error}");
    }
}
