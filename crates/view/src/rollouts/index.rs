//! The columns with a value per response, of one record, kept in memory: about 60 bytes per response.

use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
    sync::OnceLock,
    time::SystemTime,
};

use parquet::data_type::{ByteArray, ByteArrayType, DataType, DoubleType, FloatType, Int32Type, Int64Type};

use super::{
    file::{self, RecordFile},
    texts::Texts,
};
use crate::error::{Error, Result};

/// Which content a file has: another one has another time or length.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) step: u64,
    pub(super) path: PathBuf,
    length: u64,
    modified: Option<SystemTime>,
}

impl Stamp {
    /// `None` if the file has been removed.
    pub(super) fn of(step: u64, path: PathBuf) -> Result<Option<Self>> {
        match fs::symlink_metadata(&path) {
            Ok(metadata) => Ok(Some(Self { step, path, length: metadata.len(), modified: metadata.modified().ok() })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(Error::Io { path, source }),
        }
    }
}

/// A text that many responses share, as its number in [`RecordIndex::words`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Word(u32);

/// One response.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub(super) prompt_id: u64,
    pub(super) problem: u64,
    /// NaN without a critic.
    pub(super) lambda: f64,
    /// NaN if the verifier gave none.
    pub(super) score: f32,
    pub(super) reward: f32,
    pub(super) prompt_tokens: u32,
    pub(super) response_tokens: u32,
    pub(super) first_wrong: Option<u32>,
    pub(super) data_source: Word,
    pub(super) verdict: Word,
    pub(super) stop_reason: Word,
}

/// The responses of one record.
#[derive(Debug)]
pub(super) struct RecordIndex {
    pub(super) stamp: Stamp,
    pub(super) entries: Vec<Entry>,
    words: Vec<Box<str>>,
    /// Set when they are first needed, if they fit into memory.
    pub(super) texts: OnceLock<Texts>,
    /// Mean value of each response, NaN without a critic; set when it is first needed.
    pub(super) mean_values: OnceLock<Vec<f32>>,
}

impl RecordIndex {
    pub(super) fn load(stamp: Stamp) -> Result<Self> {
        let path = stamp.path.clone();
        let (entries, words) = file::read(&path, |file| {
            let mut words = Words::default();
            Ok((entries(file, &mut words)?, words.words))
        })?;
        Ok(Self { stamp, entries, words, texts: OnceLock::new(), mean_values: OnceLock::new() })
    }

    pub(super) fn step(&self) -> u64 {
        self.stamp.step
    }

    pub(super) fn path(&self) -> &Path {
        &self.stamp.path
    }

    pub(super) fn word(&self, word: Word) -> &str {
        &self.words[word.0 as usize]
    }

    /// The number of a text; `None` if no response has it.
    pub(super) fn find(&self, text: &str) -> Option<Word> {
        self.words.iter().position(|word| **word == *text).map(|place| Word(place as u32))
    }

    /// Reads from the file, which must still be the one that was indexed.
    pub(super) fn read<T>(&self, work: impl FnOnce(&RecordFile) -> Result<T>) -> Result<T> {
        file::read(self.path(), |file| {
            if file.rows() != self.entries.len() {
                let (found, expected) = (file.rows(), self.entries.len());
                return Err(file.damaged(format!("now has {found} rows, it had {expected}: it was replaced")));
            }
            work(file)
        })
    }

    /// Mean value of each response. A record that cannot be read any longer counts as one without values.
    pub(super) fn mean_values(&self) -> &[f32] {
        self.mean_values.get_or_init(|| {
            let rows = 0..self.entries.len();
            let means = self.read(|file| {
                let lists = file.lists::<FloatType>("value.list.element", rows.clone())?;
                Ok(lists.iter().map(|list| list.as_deref().map_or(f32::NAN, mean)).collect())
            });
            means.unwrap_or_else(|_| vec![f32::NAN; rows.len()])
        })
    }
}

fn mean(values: &[Option<f32>]) -> f32 {
    let sum: f64 = values.iter().flatten().map(|&value| f64::from(value)).sum();
    (sum / values.len() as f64) as f32
}

/// Distinct texts.
#[derive(Default)]
struct Words {
    words: Vec<Box<str>>,
    places: HashMap<Box<str>, Word>,
}

impl Words {
    fn place(&mut self, bytes: &ByteArray) -> Word {
        let text = String::from_utf8_lossy(bytes.data());
        if let Some(&word) = self.places.get(&*text) {
            return word;
        }
        let word = Word(self.words.len() as u32);
        self.words.push((&*text).into());
        self.places.insert(text.into(), word);
        word
    }
}

fn entries(file: &RecordFile, words: &mut Words) -> Result<Vec<Entry>> {
    let rows = 0..file.rows();
    let [prompts, problems] = ["prompt_id", "problem"].map(|name| file.required::<Int64Type>(name, rows.clone()));
    let [prompt_tokens, response_tokens] =
        ["prompt_tokens", "response_tokens"].map(|name| file.required::<Int32Type>(name, rows.clone()));
    let [sources, verdicts, stops] =
        ["data_source", "verdict", "stop_reason"].map(|name| file.required::<ByteArrayType>(name, rows.clone()));
    let (prompts, problems, prompt_tokens, response_tokens) = (prompts?, problems?, prompt_tokens?, response_tokens?);
    let (sources, verdicts, stops) = (sources?, verdicts?, stops?);
    let rewards = file.required::<FloatType>("reward", rows.clone())?;
    let scores = optional::<FloatType>(file, "score")?;
    let lambdas = optional::<DoubleType>(file, "lambda")?;
    let first_wrong = optional::<Int32Type>(file, "first_wrong_token")?;
    let of = |row: usize, words: &mut Words| Entry {
        prompt_id: prompts[row] as u64,
        problem: problems[row] as u64,
        lambda: lambdas[row].unwrap_or(f64::NAN),
        score: scores[row].unwrap_or(f32::NAN),
        reward: rewards[row],
        prompt_tokens: prompt_tokens[row].max(0) as u32,
        response_tokens: response_tokens[row].max(0) as u32,
        first_wrong: first_wrong[row].and_then(|token| u32::try_from(token).ok()),
        data_source: words.place(&sources[row]),
        verdict: words.place(&verdicts[row]),
        stop_reason: words.place(&stops[row]),
    };
    Ok(rows.map(|row| of(row, words)).collect())
}

/// A value per row, null in files without the column.
fn optional<T: DataType>(file: &RecordFile, name: &str) -> Result<Vec<Option<T::T>>> {
    let rows = file.rows();
    Ok(file.column::<T>(name, 0..rows)?.unwrap_or_else(|| vec![None; rows]))
}
