//! The report of a run: one file with its story, its pictures and some of its rollouts.

mod bundle;
mod choice;

use std::path::Path;

use serde::Serialize;
use serde_json::Value;
use vapo_chart::Format;
use vapo_train::metrics::keys;
use vapo_view::{Axis, Rollouts, Story, View};

use crate::{
    error::Result,
    pictures::{self, CriticPictures},
};
use choice::Choice;

/// A report.
#[derive(Clone, Debug)]
pub struct Report {
    /// The page, which needs nothing else.
    pub page: String,
    /// Rollouts that it shows.
    pub shown: usize,
    /// Rollouts that the run has recorded.
    pub recorded: usize,
}

/// What the page's script shows.
#[derive(Serialize)]
struct Data {
    story: Story,
    charts: Vec<Picture>,
    pictures: Vec<Picture>,
    chosen: Choice,
    notes: Vec<String>,
    program: &'static str,
}

/// The report of a run. It has no time of its own: the same run gives the same bytes.
///
/// # Errors
/// It is not a run, or a record of the chosen rollouts cannot be read.
pub fn report(run: &Path) -> Result<Report> {
    let view = View::open(run)?;
    let rollouts = Rollouts::open(view.directory())?;
    let chosen = Choice::of(&rollouts)?;
    let (shown, recorded) = (chosen.shown(), chosen.of);
    let data = Data {
        story: Story::of(&view),
        charts: curves(&view)?,
        pictures: of_critic(pictures::critic(&view, &rollouts, None, None)?),
        chosen,
        notes: rollouts.notes(),
        program: env!("CARGO_PKG_VERSION"),
    };
    let data = serde_json::to_string(&data).expect("no map has a key that is not a string");
    Ok(Report { page: bundle::page(&data), shown, recorded })
}

/// A picture with what it shows.
#[derive(Serialize)]
struct Picture {
    title: String,
    about: &'static str,
    svg: String,
}

/// The curves to look at first.
fn curves(view: &View) -> Result<Vec<Picture>> {
    let table = view.metrics();
    let metrics = [
        ("critic/rewards/mean", "mean reward of the sampled answers"),
        ("response_length/mean", "tokens per response"),
        (keys::ENTROPY, "entropy of the token distributions, in nats"),
        (keys::EXPLAINED_VARIANCE, "1 is a perfect critic, 0 a constant one"),
        (keys::POLICY_CLIP_FRAC, "share of tokens whose gradient was removed by the clip"),
    ];
    let accuracy = ("held-out accuracy", "", table.accuracy(Axis::Step), Format::Percent);
    let others = metrics.map(|(name, about)| (name, about, table.series(name, Axis::Step), Format::Plain));
    let mut drawn = Vec::new();
    for (title, about, points, format) in [accuracy].into_iter().chain(others) {
        let svg = pictures::curve(view, points, format)?;
        drawn.extend(svg.map(|svg| Picture { title: title.to_owned(), about, svg }));
    }
    Ok(drawn)
}

fn of_critic(pictures: CriticPictures) -> Vec<Picture> {
    let named = [
        (
            "Explained variance by position",
            "Over the steps; 1 is a perfect critic, 0 a constant one.",
            pictures.explained_variance,
        ),
        ("Explained variance by tenth of the answer", "Mean over the last ten steps.", pictures.by_tenth),
        ("Value before and after the first error", "Means over wrong answers.", pictures.around_error),
        ("Value by position", "Means over the last recorded step.", pictures.by_position),
        ("Calibration", "What the critic says, and the return that followed.", pictures.calibration),
        (
            "Values over a group",
            "A row per response, right ones first; the first wrong token is marked.",
            pictures.heat_map,
        ),
    ];
    let drawn = named.into_iter().filter_map(|(title, about, picture)| {
        let svg = picture.as_ref().and_then(|picture| picture.get("svg")).and_then(Value::as_str)?.to_owned();
        Some(Picture { title: title.to_owned(), about, svg })
    });
    drawn.collect()
}
