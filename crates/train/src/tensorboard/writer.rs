//! Writing the event file of a session.

use std::{
    fs::File,
    io::Write,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use prost::Message;
use vapo_algo::ClipState;
use vapo_tasks::Verdict;

use super::{
    event::{Event, Value},
    histogram::Histogram,
    reader::{event_files, file_name},
    record,
    sample::Sample,
    tags,
};
use crate::{
    error::{Error, Result},
    evaluation::{Evaluation, GradedCompletion, ProblemResult},
    files::sync_parent,
    metrics::Row,
    records::StepRecord,
};

/// The event file of a session, which is made with its first event.
pub(crate) struct EventFile {
    directory: PathBuf,
    /// The first step of which nothing is in the files of earlier sessions.
    first: u64,
    file: Option<(PathBuf, File)>,
    /// Records that are not in the file yet.
    unwritten: Vec<u8>,
}

impl EventFile {
    /// The file of a session that continues after `steps` steps.
    pub(crate) fn new(directory: PathBuf, steps: u64) -> Self {
        Self { directory, first: steps + 1, file: None, unwritten: Vec::new() }
    }

    /// Adds histograms of a step's rollouts and, if it is recorded, the first of them as text.
    pub(crate) fn add_rollouts(&mut self, step: &StepRecord<'_>, is_recorded: bool) {
        let sample = is_recorded.then(|| training_sample(step)).flatten();
        let text = sample.map(|sample| Value::text(tags::TRAINING_SAMPLE, sample));
        self.add(step.step, histograms(step).chain(text).collect());
    }

    /// Adds the first right and the first wrong answer to held-out problems as texts.
    pub(crate) fn add_evaluation(&mut self, step: u64, evaluation: &Evaluation) {
        let first = |is_wanted: fn(&Verdict) -> bool| {
            evaluation.problems.iter().find_map(|result| {
                let wanted = result.completions.iter().find(|completion| is_wanted(&completion.grade.verdict))?;
                Some(held_out_sample(result, wanted))
            })
        };
        let right = first(Verdict::is_correct).map(|sample| Value::text(tags::HELD_OUT_RIGHT, sample));
        let wrong = first(|verdict| verdict.score().is_some() && !verdict.is_correct());
        let wrong = wrong.map(|sample| Value::text(tags::HELD_OUT_WRONG, sample));
        self.add(step, right.into_iter().chain(wrong).collect());
    }

    /// Adds the numbers of a step's row, and writes what was added.
    ///
    /// # Errors
    /// The file cannot be made or written.
    pub(crate) fn write_row(&mut self, row: &Row) -> Result<()> {
        self.add(row.global_step().unwrap_or_default(), Value::scalars(row));
        self.write()
    }

    /// Writes what was added and makes it durable.
    ///
    /// # Errors
    /// The file cannot be made, written or synced.
    pub(crate) fn sync(&mut self) -> Result<()> {
        self.write()?;
        let Some((path, file)) = &self.file else { return Ok(()) };
        file.sync_data().map_err(Error::io("write", path))
    }

    pub(super) fn add(&mut self, step: u64, values: Vec<Value>) {
        if !values.is_empty() {
            record::append(&Event::of(step, values).encode_to_vec(), &mut self.unwritten);
        }
    }

    fn write(&mut self) -> Result<()> {
        if self.unwritten.is_empty() {
            return Ok(());
        }
        let mut bytes = Vec::new();
        let (path, file) = match &mut self.file {
            Some(file) => file,
            none => {
                for event in [Event::version(), Event::start(self.first)] {
                    record::append(&event.encode_to_vec(), &mut bytes);
                }
                none.insert(create(&self.directory)?)
            }
        };
        bytes.append(&mut self.unwritten);
        file.write_all(&bytes).map_err(Error::io("append to", path))
    }
}

/// Makes a file whose name comes after those of earlier sessions, even if the clock was set back.
fn create(directory: &Path) -> Result<(PathBuf, File)> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let last = event_files(directory)?.last().map(|(number, _)| *number);
    let path = directory.join(file_name(last.map_or(now, |last| now.max(last.saturating_add(1)))));
    let create = || {
        let file = File::options().append(true).create_new(true).open(&path)?;
        sync_parent(&path)?;
        Ok(file)
    };
    let file = create().map_err(Error::io("create", &path))?;
    Ok((path, file))
}

/// Those of which the step has numbers: value pretraining has no ratios, and some methods have no values.
fn histograms(step: &StepRecord<'_>) -> impl Iterator<Item = Value> {
    let of = |numbers: &[f32]| Histogram::of(numbers.iter().map(|&number| f64::from(number)));
    let ratios = step.trace.and_then(|trace| {
        let used = trace.ratio.iter().zip(&trace.clip).filter(|(_, clip)| **clip != ClipState::Unused);
        Histogram::of(used.map(|(&ratio, _)| f64::from(ratio)))
    });
    let lengths = step.batch.lengths();
    let histograms = [
        (tags::ADVANTAGE, of(&step.credit.advantages)),
        (tags::VALUE, step.credit.values.as_ref().and_then(|values| of(&values.old_values))),
        (tags::RATIO, ratios),
        (tags::RESPONSE_TOKENS, Histogram::of(lengths.iter().map(|&length| length as f64))),
    ];
    histograms.into_iter().filter_map(|(tag, histogram)| Some(Value::histogram(tag, histogram?)))
}

/// The first response, which is the first one in the step's record too.
fn training_sample(step: &StepRecord<'_>) -> Option<String> {
    let graded = step.batch.responses().first()?;
    let prompt = graded.rollout.prompt;
    let sample = Sample {
        verdict: &graded.grade.verdict,
        tokens: graded.rollout.completion.tokens.len(),
        prompt: &step.tokenizer.decode_all(&prompt.tokens),
        response: &graded.rollout.text,
        answer: &prompt.problem.answer,
    };
    Some(sample.to_markdown())
}

fn held_out_sample(result: &ProblemResult, completion: &GradedCompletion) -> String {
    let sample = Sample {
        verdict: &completion.grade.verdict,
        tokens: completion.tokens,
        prompt: &result.problem.prompt,
        response: &completion.text,
        answer: &result.problem.answer,
    };
    sample.to_markdown()
}
