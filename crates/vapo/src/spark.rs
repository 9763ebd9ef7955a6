//! Curves as one line of characters.

const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// A curve over a stretch of the x-axis as `width` characters, from its least value to its greatest. Where the curve has not
/// begun or has ended there are spaces, and between its points straight lines.
pub(crate) fn sparkline(points: &[(f64, f64)], [from, to]: [f64; 2], width: usize) -> String {
    let cell = (to - from) / width as f64;
    let values: Vec<Option<f64>> = (0..width)
        .map(|index| {
            let begin = from + index as f64 * cell;
            let end = if index + 1 == width { f64::INFINITY } else { begin + cell };
            value_between(points, begin, end, begin + cell / 2.0)
        })
        .collect();
    let (low, high) = values
        .iter()
        .flatten()
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| (value.min(low), value.max(high)));
    let level = |value: f64| {
        let share = if high > low { (value - low) / (high - low) } else { 0.5 };
        LEVELS[((share * LEVELS.len() as f64) as usize).min(LEVELS.len() - 1)]
    };
    values.into_iter().map(|value| value.map_or(' ', level)).collect()
}

/// The mean of the points from `begin` to before `end`; without any, the value at `middle` on the line between its neighbors.
fn value_between(points: &[(f64, f64)], begin: f64, end: f64, middle: f64) -> Option<f64> {
    let (first, after) = (points.partition_point(|(x, _)| *x < begin), points.partition_point(|(x, _)| *x < end));
    let inside = &points[first..after];
    if !inside.is_empty() {
        return Some(inside.iter().map(|(_, y)| y).sum::<f64>() / inside.len() as f64);
    }
    let (before, next) = (points.get(first.checked_sub(1)?)?, points.get(first)?);
    Some(before.1 + (next.1 - before.1) * (middle - before.0) / (next.0 - before.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_rises_from_the_least_to_the_greatest() {
        let points: Vec<(f64, f64)> = (0..8).map(|x| (f64::from(x), f64::from(x))).collect();
        assert_eq!(sparkline(&points, [0.0, 7.0], 8), "▁▂▃▄▅▆▇█");
        assert_eq!(sparkline(&points, [0.0, 7.0], 2), "▁█", "means of halves");
    }

    #[test]
    fn between_few_points_are_straight_lines_and_beyond_them_is_nothing() {
        let line = sparkline(&[(2.0, 0.0), (6.0, 1.0)], [0.0, 8.0], 8);
        assert_eq!((line.chars().count(), &line[..2], line.ends_with("█ ")), (8, "  ", true), "{line:?}");
        assert!(line.trim().chars().collect::<Vec<_>>().is_sorted(), "{line:?}");
    }

    #[test]
    fn a_constant_is_in_the_middle_and_nothing_is_empty() {
        assert_eq!(sparkline(&[(0.0, 3.0), (1.0, 3.0)], [0.0, 1.0], 3), "▅▅▅");
        assert_eq!(sparkline(&[(0.0, 3.0)], [0.0, 0.0], 3), "  ▅");
        assert_eq!(sparkline(&[], [0.0, 1.0], 3), "   ");
    }
}
