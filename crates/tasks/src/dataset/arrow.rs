//! Rows of Arrow IPC files and streams, as `datasets`, pandas (Feather) and polars write them.
//!
//! The crates that read Arrow take longer to build than everything else here, and trust the sizes that a file claims. Of
//! Arrow, only rows are needed, so this reads the messages and their buffers itself.

mod array;
mod flat;
mod schema;
mod value;

use std::{
    fs::File,
    io::{BufReader, Read},
    path::Path,
    rc::Rc,
};

use serde_json::Map;

use self::{
    array::{Array, Batch, Dictionaries, LARGEST_BATCH, damaged},
    flat::Table,
    schema::Field,
    value::Values,
};
use super::row::{Each, Row};
use crate::Error;

/// The beginning of a file; the stream follows. Then the file repeats where its messages are, which is not needed.
pub(super) const FILE: &[u8] = b"ARROW1\0\0";
/// The beginning of a message.
pub(super) const CONTINUATION: &[u8] = b"\xFF\xFF\xFF\xFF";
/// Longest description of a message.
const LONGEST_HEADER: u64 = 16 << 20;
/// A dictionary may come in so many parts.
const MAX_DELTAS: usize = 1_000;

const SCHEMA: u8 = 1;
const DICTIONARY: u8 = 2;
const RECORDS: u8 = 3;

/// Reads all rows of a file that is at the first message of its stream; rows are numbered from the number given.
/// Returns the number of the next row; `None` if no more are wanted.
pub(super) fn read(path: &Path, file: File, first: usize, each: &mut Each<'_>) -> Result<Option<usize>, Error> {
    let mut stream = Stream { input: BufReader::new(file), fields: Vec::new(), dictionaries: Dictionaries::new() };
    let wrong = |problem: String| Error::Content { path: path.to_owned(), problem };
    let mut number = first;
    while let Some((columns, rows)) = stream.batch().map_err(|problem| wrong(format!("Arrow: {problem}")))? {
        let mut values = Values::new(LARGEST_BATCH);
        for row in 0..rows {
            let mut fields = Map::new();
            for (field, column) in stream.fields.iter().zip(&columns) {
                let name = &field.name;
                let value = values.at(column, row);
                let value = value.map_err(|problem| wrong(format!("column `{}`: {problem}", name.escape_debug())))?;
                fields.insert(name.clone(), value);
            }
            number += 1;
            if each(number - 1, Row { fields, text: None })?.is_break() {
                return Ok(None);
            }
        }
    }
    Ok(Some(number))
}

/// A message: its description, and the bytes that follow it.
struct Message {
    header: Vec<u8>,
    body: Vec<u8>,
}

struct Stream {
    input: BufReader<File>,
    fields: Vec<Field>,
    dictionaries: Dictionaries,
}

impl Stream {
    /// The columns of the next batch of rows, and the number of rows; `None` at the end.
    fn batch(&mut self) -> Result<Option<(Vec<Array>, usize)>, String> {
        while let Some(Message { header, body }) = self.message()? {
            let message = Table::root(&header).ok_or_else(damaged)?;
            let content = message.table(2).ok_or_else(damaged)?;
            match message.byte(1) {
                SCHEMA => self.fields = schema::fields(content)?,
                DICTIONARY => self.dictionary(content, body)?,
                RECORDS => {
                    let mut batch = Batch::new(content, body, &self.dictionaries);
                    let columns: Vec<Array> =
                        self.fields.iter().map(|field| batch.array(field)).collect::<Result<_, _>>()?;
                    let rows = usize::try_from(content.long(0)).map_err(|_| damaged())?;
                    if columns.is_empty() || columns.iter().any(|column| column.length < rows) {
                        return Err(damaged());
                    }
                    return Ok(Some((columns, rows)));
                }
                _ => {}
            }
        }
        Ok(None)
    }

    /// Takes in the values of a dictionary, or more of them.
    fn dictionary(&mut self, content: Table<'_>, body: Vec<u8>) -> Result<(), String> {
        let number = content.long(0);
        let field = self.fields.iter().find_map(|field| with_dictionary(field, number)).ok_or_else(damaged)?;
        let values = Field { dictionary: None, ..field.clone() };
        let records = content.table(1).ok_or_else(damaged)?;
        let array = Rc::new(Batch::new(records, body, &self.dictionaries).array(&values)?);
        let known = self.dictionaries.entry(number).or_default();
        if content.byte(2) == 0 {
            known.clear();
        }
        if known.len() == MAX_DELTAS {
            return Err(format!("a dictionary in more than {MAX_DELTAS} parts"));
        }
        known.push(array);
        Ok(())
    }

    /// The next message; `None` at the mark of the end, or at the end of a stream without one.
    fn message(&mut self) -> Result<Option<Message>, String> {
        let early = || "ends too early".to_owned();
        let start = self.take(4)?;
        if start.is_empty() {
            return Ok(None);
        }
        // Before version 0.15 of Arrow, the length came first.
        let start = if start == CONTINUATION { self.take(4)? } else { start };
        let length = start.try_into().map(u32::from_le_bytes).map_err(|_| early())?;
        if length == 0 {
            return Ok(None);
        }
        if u64::from(length) > LONGEST_HEADER {
            return Err(format!("a message of {length} bytes, expected at most {LONGEST_HEADER}"));
        }
        let header = self.take(length.into())?;
        let body = Table::root(&header).ok_or_else(damaged)?.long(3);
        let body = u64::try_from(body).map_err(|_| damaged())?;
        if body > LARGEST_BATCH {
            return Err(format!(
                "a batch of {body} bytes, expected at most {LARGEST_BATCH}: write the file with smaller ones"
            ));
        }
        let bytes = self.take(body)?;
        if bytes.len() as u64 != body {
            return Err(early());
        }
        Ok(Some(Message { header, body: bytes }))
    }

    /// The next bytes; fewer at the end of the file.
    fn take(&mut self, length: u64) -> Result<Vec<u8>, String> {
        let mut bytes = Vec::new();
        (&mut self.input).take(length).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
        Ok(bytes)
    }
}

/// The column, or part of one, whose values are in a dictionary.
fn with_dictionary(field: &Field, number: i64) -> Option<&Field> {
    if field.dictionary.is_some_and(|(own, _)| own == number) {
        return Some(field);
    }
    field.children.iter().find_map(|child| with_dictionary(child, number))
}
