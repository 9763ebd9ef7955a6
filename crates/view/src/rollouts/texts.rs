//! The texts of a record, compactly.

use std::ops::Range;

use parquet::data_type::{ByteArray, ByteArrayType};

use super::file::RecordFile;
use crate::error::Result;

/// Columns of texts, in the order of [`Texts::get`]. Searches look at the first three.
const COLUMNS: [&str; 5] = ["prompt", "response", "answer", "extracted_answer", "reason"];
pub(super) const PROMPT: usize = 0;
pub(super) const RESPONSE: usize = 1;
pub(super) const ANSWER: usize = 2;
pub(super) const EXTRACTED: usize = 3;
pub(super) const REASON: usize = 4;
const SEARCHED: [usize; 3] = [PROMPT, RESPONSE, ANSWER];

/// The texts of some rows of a record. The responses to a prompt share its text.
#[derive(Debug)]
pub(super) struct Texts {
    first_row: usize,
    text: String,
    /// Where the texts of each row are; `None`: null.
    places: Vec<[Option<(u32, u32)>; COLUMNS.len()]>,
}

impl Texts {
    pub(super) fn read(file: &RecordFile, rows: Range<usize>) -> Result<Self> {
        let mut texts =
            Self { first_row: rows.start, text: String::new(), places: vec![Default::default(); rows.len()] };
        for (column, name) in COLUMNS.into_iter().enumerate() {
            let Some(values) = file.column::<ByteArrayType>(name, rows.clone())? else { continue };
            let mut last: Option<(&ByteArray, (u32, u32))> = None;
            for (row, value) in values.iter().enumerate() {
                let Some(value) = value else { continue };
                let place = match last {
                    Some((same, place)) if same == value => place,
                    _ => texts.push(value).ok_or_else(|| file.damaged("has more than 4 GB of texts"))?,
                };
                last = Some((value, place));
                texts.places[row][column] = Some(place);
            }
        }
        texts.text.shrink_to_fit();
        Ok(texts)
    }

    fn push(&mut self, value: &ByteArray) -> Option<(u32, u32)> {
        let start = u32::try_from(self.text.len()).ok()?;
        self.text.push_str(&String::from_utf8_lossy(value.data()));
        Some((start, u32::try_from(self.text.len()).ok()?))
    }

    /// Bytes in memory.
    pub(super) fn size(&self) -> usize {
        self.text.len() + size_of_val(self.places.as_slice())
    }

    /// A text of a row, counted in the file.
    pub(super) fn get(&self, row: usize, column: usize) -> Option<&str> {
        let (start, end) = self.places[row - self.first_row][column]?;
        Some(&self.text[start as usize..end as usize])
    }

    /// Keeps the rows whose prompt, response or answer contains a text, which is given in lower case.
    pub(super) fn retain(&self, rows: &mut Vec<usize>, lowercase: &str) {
        let mut buffer = String::new();
        let mut contains = |(start, end): (u32, u32)| {
            let text = &self.text[start as usize..end as usize];
            if !text.is_ascii() {
                return text.to_lowercase().contains(lowercase);
            }
            buffer.clear();
            buffer.push_str(text);
            buffer.make_ascii_lowercase();
            buffer.contains(lowercase)
        };
        // The rows of a group have the same prompt and answer.
        let mut last = [None; SEARCHED.len()];
        rows.retain(|row| {
            let places = SEARCHED.map(|column| self.places[row - self.first_row][column]);
            places.into_iter().zip(&mut last).any(|(place, last)| {
                let Some(place) = place else { return false };
                let (_, found) = last.filter(|(same, _)| *same == place).unwrap_or_else(|| (place, contains(place)));
                *last = Some((place, found));
                found
            })
        });
    }
}
