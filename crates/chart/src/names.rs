//! The names of lines at their ends.

use plotters::{
    backend::DrawingBackend,
    element::PathElement,
    style::{ShapeStyle, text_anchor::HPos},
};

use crate::{
    canvas::{Area, Drawn, LEADER, SMALL, styled, units, write},
    curve::{Point, pieces},
    layout::Layout,
    palette::tone,
    panel::{Line, Panel},
    text::fit,
};

/// Distance between two names.
const NAME_HEIGHT: f64 = 14.0;

/// Writes each line's name next to its end, moved apart where names would overlap.
pub(crate) fn draw_names<B: DrawingBackend>(area: &Area<B>, panel: &Panel, layout: &Layout) -> Drawn<B> {
    let right = layout.left + layout.width;
    let end = |line: &Line| -> Option<Point> {
        let last = *pieces(&line.points).last()?.last()?;
        let (x, y) = (layout.x.share(last.0).clamp(0.0, 1.0), layout.y.share(last.1).clamp(0.0, 1.0));
        Some((layout.left + x * layout.width, layout.top + (1.0 - y) * layout.height))
    };
    let named = panel.lines.iter().filter(|line| !line.name.is_empty());
    let mut ends: Vec<(Point, &Line)> = named.filter_map(|line| Some((end(line)?, line))).collect();
    ends.sort_by(|(a, _), (b, _)| a.1.total_cmp(&b.1));
    let wanted: Vec<f64> = ends.iter().map(|(end, _)| end.1).collect();
    for (((x, y), line), place) in ends.iter().zip(spread(&wanted, layout.top + layout.height)) {
        let leader = vec![(units(*x), units(*y)), (units(right + LEADER - 8.0), units(place))];
        area.draw(&PathElement::new(leader, ShapeStyle::from(tone(line.color, 0.5)).stroke_width(units(0.8) as u32)))?;
        let name = fit(&line.name, SMALL, layout.right - LEADER);
        write(area, &name, (right + LEADER - 5.0, place), HPos::Left, &styled(SMALL, tone(line.color, 1.0)))?;
    }
    Ok(())
}

/// Places at least [`NAME_HEIGHT`] apart, close to the wanted ones (ascending), and not below `bottom` if there is room.
fn spread(wanted: &[f64], bottom: f64) -> Vec<f64> {
    let mut places = Vec::with_capacity(wanted.len());
    for &y in wanted {
        let free = places.last().map_or(f64::NEG_INFINITY, |last| last + NAME_HEIGHT);
        places.push(y.max(free));
    }
    let mut limit = bottom;
    for place in places.iter_mut().rev() {
        *place = place.min(limit);
        limit = *place - NAME_HEIGHT;
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_would_meet_are_moved_apart_and_stay_in_the_picture() {
        assert_eq!(spread(&[10.0, 100.0, 200.0], 400.0), [10.0, 100.0, 200.0]);
        assert_eq!(spread(&[100.0, 101.0, 102.0], 400.0), [100.0, 114.0, 128.0]);
        assert_eq!(spread(&[395.0, 398.0, 400.0], 400.0), [372.0, 386.0, 400.0]);
    }
}
