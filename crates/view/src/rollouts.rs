//! The recorded rollouts of a run: lists of them by what they are like, and single ones token by token.

mod file;
mod index;
mod query;
mod response;
#[cfg(test)]
mod synthetic;
#[cfg(test)]
pub(crate) mod tests;
mod texts;

use std::{
    collections::BTreeSet,
    ops::ControlFlow,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

use parquet::data_type::FloatType;
use serde::Serialize;
use vapo_tasks::parallel_map;
use vapo_train::RunDir;

use crate::error::{Error, Result};
use index::{RecordIndex, Stamp};
use query::Conditions;
use texts::{ANSWER, PROMPT, Texts};

pub use query::{MAX_ROWS, Page, Query, Sort, Summary};
pub(crate) use response::ValuedAnswer;
pub use response::{Response, TermScore, Tokens};

/// Bytes of texts that are kept for further queries; those of other records are read again for each.
const TEXTS_IN_MEMORY: usize = 96 << 20;
/// The verdict on right answers.
const RIGHT: &str = "right";
/// Threads that read records: a training run may need the others.
const MAX_THREADS: usize = 4;

/// The recorded rollouts of a run. What a list needs is in memory, and texts as far as they fit; tokens are read when they
/// are asked for.
#[derive(Debug)]
pub struct Rollouts {
    run: RunDir,
    /// By step.
    records: Vec<RecordIndex>,
    /// Files that cannot be read, and why.
    unreadable: Vec<(Stamp, String)>,
    text_bytes: AtomicUsize,
    texts_in_memory: usize,
}

/// A prompt of a step with the figures of its responses.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Group {
    /// The prompt's position in the order of training.
    pub prompt_id: u64,
    /// The problem's number in its data set.
    pub problem: u64,
    /// The prompt.
    pub prompt: String,
    /// The reference answer.
    pub answer: String,
    /// Responses.
    pub responses: usize,
    /// Right ones.
    pub right: usize,
    /// Mean reward.
    pub reward: f64,
    /// Mean length in tokens.
    pub length: f64,
}

/// What the records of a run can be asked for.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Choices {
    /// Recorded steps, ascending.
    pub steps: Vec<u64>,
    /// Verdicts that occur.
    pub verdicts: BTreeSet<String>,
    /// Stop reasons that occur.
    pub stop_reasons: BTreeSet<String>,
    /// Data sources that occur.
    pub data_sources: BTreeSet<String>,
}

impl Rollouts {
    /// Reads the records of a run. Files that cannot be read become [`Rollouts::notes`].
    ///
    /// # Errors
    /// The run does not exist any longer, or its directory cannot be read.
    pub fn open(run: &RunDir) -> Result<Self> {
        Self::open_with(run, TEXTS_IN_MEMORY)
    }

    fn open_with(run: &RunDir, texts_in_memory: usize) -> Result<Self> {
        let mut rollouts = Self {
            run: run.clone(),
            records: Vec::new(),
            unreadable: Vec::new(),
            text_bytes: AtomicUsize::new(0),
            texts_in_memory,
        };
        rollouts.refresh()?;
        Ok(rollouts)
    }

    /// Reads what is new, and forgets what is not there any longer; returns whether anything has changed.
    ///
    /// # Errors
    /// As for [`Rollouts::open`].
    pub fn refresh(&mut self) -> Result<bool> {
        if !self.run.path().exists() {
            return Err(Error::Gone(self.run.path().to_owned()));
        }
        let mut present = Vec::new();
        for (step, path) in self.run.records()? {
            present.extend(Stamp::of(step, path)?);
        }
        let known = self.records.len() + self.unreadable.len();
        self.records.retain(|record| present.contains_step(&record.stamp));
        self.unreadable.retain(|(stamp, _)| present.contains_step(stamp));
        let kept = self.records.len() + self.unreadable.len();
        let is_new = |stamp: &Stamp| {
            self.records.binary_search_by_key(&stamp.step, RecordIndex::step).is_err()
                && self.unreadable.iter().all(|(unreadable, _)| unreadable != stamp)
        };
        let new: Vec<Stamp> = present.into_iter().filter(is_new).collect();
        for (stamp, loaded) in new.iter().zip(in_parallel(new.len(), |n| RecordIndex::load(new[n].clone()))) {
            match loaded {
                Ok(record) => self.records.push(record),
                Err(Error::Gone(_)) => {}
                Err(error) => self.unreadable.push((stamp.clone(), error.to_string())),
            }
        }
        self.records.sort_by_key(RecordIndex::step);
        let kept_texts = self.records.iter().filter_map(|record| record.texts.get()).map(Texts::size).sum();
        *self.text_bytes.get_mut() = kept_texts;
        Ok(kept < known || !new.is_empty())
    }

    /// What cannot be shown, and why.
    pub fn notes(&self) -> Vec<String> {
        self.unreadable.iter().map(|(_, problem)| problem.clone()).collect()
    }

    /// Recorded steps, ascending.
    pub fn steps(&self) -> impl ExactSizeIterator<Item = u64> {
        self.records.iter().map(RecordIndex::step)
    }

    /// What the records can be asked for.
    pub fn choices(&self) -> Choices {
        let mut choices = Choices { steps: self.steps().collect(), ..Choices::default() };
        for record in &self.records {
            for entry in &record.entries {
                for (words, word) in [
                    (&mut choices.verdicts, entry.verdict),
                    (&mut choices.stop_reasons, entry.stop_reason),
                    (&mut choices.data_sources, entry.data_source),
                ] {
                    let word = record.word(word);
                    if !words.contains(word) {
                        words.insert(word.to_owned());
                    }
                }
            }
        }
        choices
    }

    /// A page of the rollouts that meet the conditions of a query. What cannot be read is noted on it.
    pub fn query(&self, query: &Query) -> Page {
        let text = query.text.as_deref().filter(|text| !text.is_empty()).map(str::to_lowercase);
        let (mut found, mut notes) = (Vec::new(), self.notes());
        let searched = in_parallel(self.records.len(), |n| self.search(&self.records[n], query, text.as_deref()));
        for (record, rows) in searched.into_iter().enumerate() {
            match rows {
                Ok(rows) => found.extend(rows.into_iter().map(|(key, row)| (key, record, row))),
                Err(error) => notes.push(error.to_string()),
            }
        }
        let total = found.len();
        let order = |a: &(f64, usize, usize), b: &(f64, usize, usize)| {
            let by_key = if query.descending { b.0.total_cmp(&a.0) } else { a.0.total_cmp(&b.0) };
            a.0.is_nan().cmp(&b.0.is_nan()).then(by_key).then((a.1, a.2).cmp(&(b.1, b.2)))
        };
        let end = query.offset.saturating_add(query.limit.min(MAX_ROWS));
        if end < total {
            // Only the page and what is before it has to be in order.
            found.select_nth_unstable_by(end, order);
            found.truncate(end);
        }
        found.sort_unstable_by(order);
        let of = self.records.iter().map(|record| record.entries.len()).sum();
        let mut page = Page { total, of, rows: Vec::new(), notes };
        let shown: Vec<_> = found.into_iter().skip(query.offset).collect();
        let with_values = query.sort == Sort::MeanValue;
        let summary = |n: usize| self.summary(&self.records[shown[n].1], shown[n].2, with_values);
        for summary in in_parallel(shown.len(), summary) {
            match summary {
                Ok(summary) => page.rows.push(summary),
                Err(error) => page.notes.push(error.to_string()),
            }
        }
        page
    }

    /// Rows of a record that meet the conditions, with what they are sorted by.
    fn search(&self, record: &RecordIndex, query: &Query, text: Option<&str>) -> Result<Vec<(f64, usize)>> {
        let Some(conditions) = Conditions::of(query, record) else { return Ok(Vec::new()) };
        let entries = record.entries.iter().enumerate();
        let mut rows: Vec<usize> = entries.filter(|(_, entry)| conditions.hold(entry)).map(|(row, _)| row).collect();
        if let (Some(text), false) = (text, rows.is_empty()) {
            self.with_texts(record, |texts| texts.retain(&mut rows, text))?;
        }
        Ok(rows.into_iter().map(|row| (query.sort.key(record, row), row)).collect())
    }

    /// Does something with the texts of a record, which stay in memory if there is room.
    fn with_texts<T>(&self, record: &RecordIndex, work: impl FnOnce(&Texts) -> T) -> Result<T> {
        if let Some(texts) = record.texts.get() {
            return Ok(work(texts));
        }
        let texts = record.read(|file| Texts::read(file, 0..file.rows()))?;
        let result = work(&texts);
        let size = texts.size();
        let fits = |bytes: usize| bytes.checked_add(size).filter(|&bytes| bytes <= self.texts_in_memory);
        let reserved = self.text_bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_ok();
        if reserved && record.texts.set(texts).is_err() {
            // Another thread was faster.
            self.text_bytes.fetch_sub(size, Ordering::Relaxed);
        }
        Ok(result)
    }

    fn summary(&self, record: &RecordIndex, row: usize, with_value: bool) -> Result<Summary> {
        let mut summary = match record.texts.get() {
            Some(texts) => Summary::new(record, row, texts),
            None => Summary::new(record, row, &record.read(|file| Texts::read(file, row..row + 1))?),
        };
        summary.mean_value = summary.mean_value.filter(|_| with_value);
        Ok(summary)
    }

    /// The groups of a step in the order of the record.
    ///
    /// # Errors
    /// The step is not recorded, or its record cannot be read.
    pub fn groups(&self, step: u64) -> Result<Vec<Group>> {
        let record = self.record(step)?;
        self.with_texts(record, |texts| {
            let mut groups: Vec<Group> = Vec::new();
            for (row, entry) in record.entries.iter().enumerate() {
                if groups.last().is_none_or(|group| group.prompt_id != entry.prompt_id) {
                    let text = |column| texts.get(row, column).unwrap_or_default().to_owned();
                    groups.push(Group::new(entry, text(PROMPT), text(ANSWER)));
                }
                if let Some(group) = groups.last_mut() {
                    group.add(entry, record.word(entry.verdict) == RIGHT);
                }
            }
            groups
        })
    }

    /// The responses to a prompt of a step, with their tokens.
    ///
    /// # Errors
    /// The step or the prompt is not recorded, or the record cannot be read.
    pub fn group(&self, step: u64, prompt_id: u64) -> Result<Vec<Response>> {
        let record = self.record(step)?;
        let is_of_group = |row: &usize| record.entries[*row].prompt_id == prompt_id;
        let mut rows = (0..record.entries.len()).filter(is_of_group);
        let Some(first) = rows.next() else {
            return Err(Error::Unknown(format!("prompt {prompt_id} in the record of step {step}")));
        };
        // A run writes the responses to a prompt one after the other.
        let end = rows.next_back().unwrap_or(first) + 1;
        let mut responses = response::read(record, first..end)?;
        responses.retain(|response| response.prompt_id == prompt_id);
        Ok(responses)
    }

    /// One response, with its tokens; `row` counts from 0.
    ///
    /// # Errors
    /// The step or the row is not recorded, or the record cannot be read.
    pub fn response(&self, step: u64, row: usize) -> Result<Response> {
        let record = self.record(step)?;
        let rows = if row < record.entries.len() { row..row + 1 } else { 0..0 };
        let response = response::read(record, rows)?.pop();
        response.ok_or_else(|| Error::Unknown(format!("row {row} in the record of step {step}")))
    }

    /// Values and returns of a step's responses; none without a critic.
    pub(crate) fn values(&self, step: u64) -> Result<Vec<ValuedAnswer>> {
        let record = self.record(step)?;
        record.read(|file| {
            let column = |name: &str| file.lists::<FloatType>(name, 0..file.rows());
            let lists = column("value.list.element")?.into_iter().zip(column("return.list.element")?);
            let numbers = |list: Vec<Option<f32>>| list.into_iter().map(|number| number.unwrap_or(f32::NAN)).collect();
            let answer = |(entry, (values, returns)): (&index::Entry, (Option<Vec<_>>, Option<Vec<_>>))| {
                let is_right = record.word(entry.verdict) == RIGHT;
                Some(ValuedAnswer { is_right, values: numbers(values?), returns: numbers(returns?) })
            };
            Ok(record.entries.iter().zip(lists).filter_map(answer).collect())
        })
    }

    fn record(&self, step: u64) -> Result<&RecordIndex> {
        if let Ok(place) = self.records.binary_search_by_key(&step, RecordIndex::step) {
            return Ok(&self.records[place]);
        }
        let unreadable = self.unreadable.iter().find(|(stamp, _)| stamp.step == step);
        Err(match unreadable {
            Some((stamp, problem)) => {
                let place = format!("{}: ", stamp.path.display());
                let message = problem.strip_prefix(&place).unwrap_or(problem).to_owned();
                Error::Damaged { path: stamp.path.clone(), message }
            }
            None => Error::Unknown(format!("record of step {step}")),
        })
    }
}

impl Group {
    fn new(entry: &index::Entry, prompt: String, answer: String) -> Self {
        let (prompt_id, problem) = (entry.prompt_id, entry.problem);
        Self { prompt_id, problem, prompt, answer, responses: 0, right: 0, reward: 0.0, length: 0.0 }
    }

    fn add(&mut self, entry: &index::Entry, is_right: bool) {
        self.responses += 1;
        self.right += usize::from(is_right);
        let share = 1.0 / self.responses as f64;
        self.reward += share * (f64::from(entry.reward) - self.reward);
        self.length += share * (f64::from(entry.response_tokens) - self.length);
    }
}

/// Files, ascending by step.
trait Stamps {
    fn contains_step(&self, stamp: &Stamp) -> bool;
}

impl Stamps for Vec<Stamp> {
    /// Whether the file is there, with the same content.
    fn contains_step(&self, stamp: &Stamp) -> bool {
        self.binary_search_by_key(&stamp.step, |other| other.step).is_ok_and(|place| self[place] == *stamp)
    }
}

/// Does something on several threads, with the results in order.
fn in_parallel<T: Send>(count: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let cores = thread::available_parallelism().map_or(1, usize::from);
    let all = parallel_map(count, cores.min(MAX_THREADS), work, |_| ControlFlow::Continue(()));
    all.unwrap_or_default()
}
