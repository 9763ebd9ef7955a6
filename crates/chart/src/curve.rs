//! Curves before they are drawn: pieces without gaps, as many points as can be seen, and only what is in the range.

use crate::axis::{Axis, is_drawable};

/// A point of a curve.
pub(crate) type Point = (f64, f64);

/// The pieces of a curve between points that cannot be drawn.
pub(crate) fn pieces(points: &[Point]) -> impl Iterator<Item = &[Point]> {
    points.split(|(x, y)| !is_drawable(*x) || !is_drawable(*y)).filter(|piece| !piece.is_empty())
}

/// A curve with at most four points in each of the columns into which the x-axis is divided: those at the ends, and the
/// lowest and the highest one, so that spikes stay.
pub(crate) fn thinned(points: &[Point], x: &Axis, columns: f64) -> Vec<Point> {
    let column = |point: &Point| (x.share(point.0) * columns).floor().clamp(-1.0, columns);
    let of_column = |points: &[Point]| {
        let by_y = |a: &&usize, b: &&usize| points[**a].1.total_cmp(&points[**b].1);
        let indices: Vec<usize> = (0..points.len()).collect();
        let extremes = [indices.iter().min_by(by_y), indices.iter().max_by(by_y)];
        let mut kept: Vec<usize> = extremes.into_iter().flatten().copied().chain([0, points.len() - 1]).collect();
        kept.sort_unstable();
        kept.dedup();
        kept.into_iter().map(|index| points[index]).collect::<Vec<Point>>()
    };
    points.chunk_by(|a, b| column(a) == column(b)).flat_map(of_column).collect()
}

/// The parts of a curve that lie in the ranges of the axes.
pub(crate) fn clipped(points: &[Point], x: &Axis, y: &Axis) -> Vec<Vec<Point>> {
    let mut parts: Vec<Vec<Point>> = Vec::new();
    for pair in points.windows(2) {
        let Some((from, to)) = clipped_segment(pair[0], pair[1], x, y) else { continue };
        match parts.last_mut() {
            Some(part) if part.last() == Some(&from) => part.push(to),
            _ => parts.push(vec![from, to]),
        }
    }
    parts
}

/// The part of a segment that lies in the ranges (after Liang and Barsky).
fn clipped_segment(from: Point, to: Point, x: &Axis, y: &Axis) -> Option<(Point, Point)> {
    let (dx, dy) = (to.0 - from.0, to.1 - from.1);
    let (mut enter, mut leave) = (0.0f64, 1.0f64);
    let sides = [(-dx, from.0 - x.low), (dx, x.high - from.0), (-dy, from.1 - y.low), (dy, y.high - from.1)];
    for (outwards, distance) in sides {
        if outwards == 0.0 {
            if distance < 0.0 {
                return None;
            }
        } else if outwards < 0.0 {
            enter = enter.max(distance / outwards);
        } else {
            leave = leave.min(distance / outwards);
        }
    }
    let at = |share: f64| (from.0 + share * dx, from.1 + share * dy);
    // The ends themselves are exact, so that neighboring segments meet.
    let start = if enter == 0.0 { from } else { at(enter) };
    (enter < leave).then(|| (start, if leave == 1.0 { to } else { at(leave) }))
}

/// The part of a polygon that lies in the ranges (after Sutherland and Hodgman).
pub(crate) fn clipped_polygon(mut outline: Vec<Point>, x: &Axis, y: &Axis) -> Vec<Point> {
    type Inside = fn(Point) -> f64;
    let (first, second): (Inside, Inside) = (|point| point.0, |point| point.1);
    for (of, limit, sign) in [(first, x.low, 1.0), (first, x.high, -1.0), (second, y.low, 1.0), (second, y.high, -1.0)]
    {
        let depth = |point: Point| sign * (of(point) - limit);
        let mut part = Vec::with_capacity(outline.len() + 4);
        for (index, &to) in outline.iter().enumerate() {
            let from = outline[(index + outline.len() - 1) % outline.len()];
            if (depth(from) < 0.0) != (depth(to) < 0.0) {
                let share = depth(from) / (depth(from) - depth(to));
                part.push((from.0 + share * (to.0 - from.0), from.1 + share * (to.1 - from.1)));
            }
            if depth(to) >= 0.0 {
                part.push(to);
            }
        }
        outline = part;
    }
    outline
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::axis::Format;

    fn axis(low: f64, high: f64) -> Axis {
        Axis::new((low, high), Format::Plain, 5.0)
    }

    #[test]
    fn a_curve_is_interrupted_where_it_is_undefined() {
        let points = [(0.0, 1.0), (1.0, f64::NAN), (2.0, 2.0), (3.0, 3.0), (4.0, f64::INFINITY), (f64::NAN, 0.0)];
        let pieces: Vec<_> = pieces(&points).collect();
        assert_eq!(pieces, [&[(0.0, 1.0)][..], &[(2.0, 2.0), (3.0, 3.0)]]);
    }

    #[test]
    fn thinning_keeps_ends_and_spikes() {
        let mut points: Vec<Point> = (0..100_000).map(|i| (f64::from(i), f64::from(i % 7))).collect();
        (points[54_321].1, points[54_322].1) = (1000.0, -500.0);
        let thin = thinned(&points, &axis(0.0, 100_000.0), 300.0);
        assert!(thin.len() <= 1200, "{}", thin.len());
        for kept in [points[0], points[54_321], points[54_322], points[99_999]] {
            assert!(thin.contains(&kept), "{kept:?}");
        }
        assert!(thin.is_sorted_by(|a, b| a.0 < b.0));
        let few = [(0.0, 1.0), (1.0, 0.0), (2.0, 5.0)];
        assert_eq!(thinned(&few, &axis(0.0, 2.0), 300.0), few);
    }

    #[test]
    fn curves_end_at_the_sides_of_the_range() {
        let (x, y) = (axis(0.0, 10.0), axis(0.0, 1.0));
        let through = clipped(&[(-5.0, 0.5), (5.0, 0.5), (6.0, 2.5), (7.0, 0.5), (20.0, 0.5)], &x, &y);
        assert_eq!(through, [vec![(0.0, 0.5), (5.0, 0.5), (5.25, 1.0)], vec![(6.75, 1.0), (7.0, 0.5), (10.0, 0.5)]]);
        assert!(clipped(&[(0.0, 2.0), (5.0, 3.0), (6.0, 2.0)], &x, &y).is_empty());
        let square = vec![(-5.0, -1.0), (5.0, -1.0), (5.0, 0.5), (-5.0, 0.5)];
        let mut inside = clipped_polygon(square, &x, &y);
        inside.sort_by(|a, b| a.partial_cmp(b).unwrap());
        assert_eq!(inside, [(0.0, 0.0), (0.0, 0.5), (5.0, 0.0), (5.0, 0.5)]);
        assert!(clipped_polygon(vec![(20.0, 0.0), (30.0, 0.0), (30.0, 1.0)], &x, &y).is_empty());
    }
}
