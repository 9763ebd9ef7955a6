//! The names of lines above the plotting area.

use plotters::{
    backend::DrawingBackend,
    element::PathElement,
    style::{ShapeStyle, text_anchor::HPos},
};

use crate::{
    canvas::{Area, Drawn, LINE_HEIGHT, SMALL, gray, units, write},
    palette::tone,
    panel::Panel,
    text::{fit, width},
};

/// Rows of names at most.
const ROWS: usize = 3;
/// The stroke before a name, and the space after it.
const STROKE: f64 = 16.0;
const GAP: f64 = 5.0;

/// Names with a stroke of their color, in rows.
pub(crate) struct Legend {
    names: Vec<Name>,
    /// Names for which there is no room.
    left_out: usize,
    rows: usize,
}

struct Name {
    row: usize,
    left: f64,
    color: usize,
    faint: bool,
    text: String,
}

impl Legend {
    /// Arranges the names of a panel's lines in a width.
    pub(crate) fn new(panel: &Panel, wide: f64) -> Self {
        let mut legend = Self { names: Vec::new(), left_out: 0, rows: 0 };
        let (mut row, mut left) = (0, 0.0);
        let named = panel.lines.iter().filter(|line| panel.legend && !line.name.is_empty());
        for line in named {
            let text = fit(&line.name, SMALL, wide / 2.0);
            let length = STROKE + GAP + width(&text, SMALL) + 3.0 * GAP;
            if left > 0.0 && left + length > wide {
                (row, left) = (row + 1, 0.0);
            }
            if row < ROWS {
                legend.names.push(Name { row, left, color: line.color, faint: line.faint, text });
            } else {
                legend.left_out += 1;
            }
            left += length;
        }
        if legend.left_out > 0 {
            // The last name makes room for their number.
            legend.left_out += usize::from(legend.names.len() > 1);
        }
        legend.rows = legend.names.last().map_or(0, |name| name.row + 1);
        legend
    }

    pub(crate) fn height(&self) -> f64 {
        self.rows as f64 * LINE_HEIGHT
    }

    pub(crate) fn draw<B: DrawingBackend>(&self, area: &Area<B>, left: f64, top: f64) -> Drawn<B> {
        for (index, name) in self.names.iter().enumerate() {
            let (x, y) = (left + name.left, top + (name.row as f64 + 0.5) * LINE_HEIGHT - 2.0);
            if self.left_out > 0 && index > 0 && index + 1 == self.names.len() {
                write(area, &format!("and {} more", self.left_out), (x, y), HPos::Left, &gray(SMALL))?;
                break;
            }
            let style = ShapeStyle::from(tone(name.color, if name.faint { 0.4 } else { 1.0 }));
            let stroke = vec![(units(x), units(y)), (units(x + STROKE), units(y))];
            area.draw(&PathElement::new(stroke, style.stroke_width(units(2.0) as u32)))?;
            write(area, &name.text, (x + STROKE + GAP, y), HPos::Left, &gray(SMALL))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::panel::Line;

    #[test]
    fn a_legend_has_few_rows_and_says_how_many_names_it_leaves_out() {
        let line = |index: usize| Line { name: format!("run number {index}"), ..Line::default() };
        let panel = |lines: usize| Panel { legend: true, lines: (0..lines).map(line).collect(), ..Panel::default() };
        let few = Legend::new(&panel(2), 400.0);
        assert_eq!((few.rows, few.left_out, few.names.len()), (1, 0, 2));
        let many = Legend::new(&panel(100), 400.0);
        assert_eq!((many.rows, many.left_out + many.names.len() - 1), (ROWS, 100));
        assert!(many.names.iter().all(|name| name.left + STROKE + width(&name.text, SMALL) <= 400.0));
    }
}
