//! `vapo compare`: runs side by side.

use std::io::Write;

use anyhow::Result;
use vapo_view::{Comparison, Figure, Unit, View};

use crate::{
    args::CompareArgs,
    format::{decimal, duration, grouped, padded, percent, printable},
    screen::Screen,
    spark::sparkline,
};

/// Least and most columns of a run.
const COLUMN: [usize; 2] = [14, 34];
/// Most columns of the names of figures and settings.
const MAX_NAME: usize = 38;

/// Prints the comparison of some runs, or writes it as JSON.
///
/// # Errors
/// One of them is no run.
pub(crate) fn run(args: &CompareArgs) -> Result<()> {
    let views = args.runs.iter().map(|run| View::open(run)).collect::<vapo_view::Result<Vec<View>>>()?;
    let comparison = Comparison::of(&views.iter().collect::<Vec<_>>());
    if args.json {
        return Ok(writeln!(std::io::stdout(), "{}", serde_json::to_string_pretty(&comparison)?)?);
    }
    let screen = Screen::for_words();
    comparison.notes.iter().for_each(|note| screen.warn(note));
    Table::new(&screen, &comparison).print();
    Ok(())
}

/// A comparison as a table with a column per run; with more runs than fit next to each other, as several.
struct Table<'a> {
    screen: &'a Screen,
    comparison: &'a Comparison,
    names: Vec<String>,
    /// Columns on the terminal of the rows' names, and of each run.
    widths: [usize; 2],
}

impl<'a> Table<'a> {
    fn new(screen: &'a Screen, comparison: &'a Comparison) -> Self {
        let keys = comparison.settings.iter().map(|setting| setting.key.len());
        let figures = comparison.figures.iter().map(|figure| figure.name.len());
        let name = 2 + keys.chain(figures).max().unwrap_or(0).min(MAX_NAME);
        let [least, most] = COLUMN;
        let column = ((screen.width() - 4 - name) / comparison.runs.len()).clamp(least, most);
        Self { screen, comparison, names: short_names(&comparison.runs), widths: [name, column] }
    }

    fn print(&self) {
        let [name, column] = self.widths;
        let at_once = ((self.screen.width() - 4 - name) / column).max(1);
        let runs: Vec<usize> = (0..self.names.len()).collect();
        for (index, part) in runs.chunks(at_once).enumerate() {
            if index > 0 {
                self.screen.line("");
            }
            self.print_runs(part);
        }
        if self.comparison.settings.is_empty() {
            self.screen.line("\n  all settings are the same");
        }
    }

    fn print_runs(&self, runs: &[usize]) {
        let Comparison { figures, settings, curves, .. } = self.comparison;
        let title = self.screen.bold(&padded("figures", self.widths[0] + 2));
        let names: String = runs.iter().map(|&run| self.cell(&self.names[run])).collect();
        self.screen.line(&format!("  {title}{}", self.screen.bold(names.trim_end())));
        let end =
            curves.iter().flatten().filter_map(|curve| curve.points.last()).map(|(step, _)| *step).fold(0.0, f64::max);
        let spark = |run: usize| match &curves[run] {
            Some(curve) => sparkline(&curve.points, [0.0, end], self.widths[1] - 2),
            None => "-".into(),
        };
        self.row("held-out accuracy", runs.iter().map(|&run| spark(run)));
        for figure in figures {
            self.row(figure.name, runs.iter().map(|&run| written(figure, figure.values[run])));
        }
        if settings.is_empty() {
            return;
        }
        self.screen.line(&format!("\n  {}", self.screen.bold("settings that differ")));
        for setting in settings {
            let value = |&run: &usize| setting.values[run].clone().unwrap_or_else(|| "-".into());
            self.row(&setting.key, runs.iter().map(value));
        }
    }

    fn row(&self, name: &str, cells: impl Iterator<Item = String>) {
        let cells: String = cells.map(|text| self.cell(&text)).collect();
        self.screen.line(&format!("    {}{cells}", self.screen.dim(&padded(name, self.widths[0]))));
    }

    fn cell(&self, text: &str) -> String {
        padded(text, self.widths[1] - 2) + "  "
    }
}

fn written(figure: &Figure, value: Option<f64>) -> String {
    let Some(value) = value else { return "-".into() };
    match figure.unit {
        Unit::Share if figure.name == "clip share" => format!("{:.2} %", 100.0 * value),
        Unit::Share => percent(value),
        Unit::Count => grouped(value as u64),
        Unit::Seconds => duration(value),
        _ if value.abs() < 10.0 => decimal(value, 3),
        _ => decimal(value, 1),
    }
}

/// Names of runs without the directories that all of them are in.
fn short_names(runs: &[String]) -> Vec<String> {
    let parts: Vec<Vec<&str>> = runs.iter().map(|run| run.trim_end_matches('/').split('/').collect()).collect();
    let shortest = parts.iter().map(Vec::len).min().unwrap_or(0);
    let shared =
        (0..shortest.saturating_sub(1)).take_while(|&level| parts.iter().all(|part| part[level] == parts[0][level]));
    let shared = shared.count();
    parts.iter().map(|part| printable(&part[shared..].join("/"))).collect()
}
