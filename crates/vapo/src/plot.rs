//! `vapo plot`: draws the curves of runs into a file.

mod curves;
mod panels;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::{Args, ValueEnum};
use vapo_chart::{figure, figure_png};
use vapo_train::write_atomically;
use vapo_view::Axis;

use crate::screen::Screen;
use curves::RunCurves;
use panels::{Picture, metrics, overview};

const EXAMPLES: &str = "\
Examples:
  vapo plot runs/vapo-001 -o curves.svg                    # accuracy, reward, length, entropy, explained variance
  vapo plot runs/seed-0 runs/seed-1 runs/seed-2 -o curves.png     # the second and third run as thin lines
  vapo plot runs/* -o kl.svg --metric actor/ppo_kl --metric actor/entropy --smooth 0.9 --x samples

--smooth W shows exponential moving averages, as on the pages of vapo dash: each row counts W times as much as the next one, so 0.9 averages over about 10 rows; what was measured stays in the background. In the overview, held-out accuracy is not smoothed.
An SVG has no background and can be read on light and dark pages; a PNG is white and has two pixels for each of the SVG's.";

/// Draw the curves of runs as SVG or PNG
#[derive(Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct PlotArgs {
    /// Run directories; all but the first are thin lines, unless metrics are named
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,

    /// Picture to write: .svg or .png
    #[arg(short, long, value_name = "FILE")]
    out: PathBuf,

    /// Draw this metric of metrics.jsonl instead, with a color for each run (repeatable)
    #[arg(long = "metric", value_name = "NAME")]
    metrics: Vec<String>,

    /// The x-axis
    #[arg(long, value_name = "AXIS", default_value = "step")]
    x: AxisName,

    /// Show moving averages: 0 for none, up to 0.99 for about 100 rows
    #[arg(long, value_name = "WEIGHT", default_value_t = 0.0, value_parser = weight)]
    smooth: f64,
}

fn weight(text: &str) -> Result<f64, String> {
    let weight = text.parse().ok().filter(|weight| (0.0..=0.99).contains(weight));
    weight.ok_or_else(|| "expected a number from 0 to 0.99".into())
}

/// An x-axis.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum AxisName {
    /// One rollout each
    Step,
    /// Optimizer updates of the policy
    Updates,
    /// Responses sampled
    Samples,
    /// Processor seconds of the steps, without evaluations and checkpoints
    CpuSeconds,
}

impl From<AxisName> for Axis {
    fn from(name: AxisName) -> Self {
        match name {
            AxisName::Step => Self::Step,
            AxisName::Updates => Self::Updates,
            AxisName::Samples => Self::Samples,
            AxisName::CpuSeconds => Self::CpuSeconds,
        }
    }
}

/// Draws the runs.
///
/// # Errors
/// The file cannot be a picture, a run cannot be read or has no rows, a metric is in no run.
pub(crate) fn run(args: &PlotArgs) -> Result<()> {
    let format = Format::of(&args.out)?;
    let (screen, axis) = (Screen::for_words(), args.x.into());
    let runs = args.runs.iter().zip(names(&args.runs)).map(|(path, name)| RunCurves::read(path, name, axis));
    let runs = runs.collect::<Result<Vec<_>>>()?;
    for run in &runs {
        run.notes().iter().for_each(|note| screen.warn(&format!("{}: {note}", run.name)));
    }
    let picture = match args.metrics.is_empty() {
        true => overview(&runs, axis, args.smooth),
        false => metrics(&runs, &args.metrics, axis, args.smooth)?,
    };
    let bytes = format.draw(&picture).with_context(|| format!("cannot draw {}", args.out.display()))?;
    write_atomically(&args.out, &bytes)?;
    screen.line(&format!("wrote {}", args.out.display()));
    Ok(())
}

/// How a picture is written.
enum Format {
    Svg,
    Png,
}

impl Format {
    fn of(path: &Path) -> Result<Self> {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("svg") => Ok(Self::Svg),
            Some("png") => Ok(Self::Png),
            _ => bail!("{}: expected a file that ends with .svg or .png", path.display()),
        }
    }

    fn draw(&self, picture: &Picture) -> vapo_chart::Result<Vec<u8>> {
        match self {
            Self::Svg => Ok(figure(&picture.rows, picture.size)?.into_bytes()),
            Self::Png => figure_png(&picture.rows, picture.size),
        }
    }
}

/// What runs are called: their directories' names, or if these are equal, their paths as given.
fn names(runs: &[PathBuf]) -> Vec<String> {
    let name = |path: &PathBuf| path.file_name().map(|name| name.to_string_lossy().into_owned());
    let is_unique = |path: &PathBuf| runs.iter().filter(|other| name(other) == name(path)).count() == 1;
    let shown = |path: &PathBuf| name(path).filter(|_| is_unique(path)).unwrap_or_else(|| path.display().to_string());
    runs.iter().map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_called_by_their_directories_if_these_differ() {
        let paths = ["runs/a", "old/b", "new/b", ".."].map(PathBuf::from);
        assert_eq!(names(&paths), ["a", "old/b", "new/b", ".."]);
    }
}
