//! Rows of JSON: an object per line, or an array of objects.

use std::{
    collections::BTreeMap,
    fmt,
    io::{BufRead, BufReader, Read},
    ops::ControlFlow,
    path::Path,
};

use serde::{
    Deserializer,
    de::{DeserializeSeed, Error as _, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Value, value::RawValue};

use super::{
    repair::{Repaired, repaired},
    row::{Each, Row, kind},
};
use crate::{Error, RowError};

/// Longest line, in bytes.
const LONGEST_ROW: u64 = 64 << 20;

/// Reads an object per line; blank lines are not rows, but count in row numbers.
pub(super) fn read_lines(path: &Path, mut reader: impl BufRead, each: &mut Each<'_>) -> Result<(), Error> {
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        let read = (&mut reader).take(LONGEST_ROW + 1).read_until(b'\n', &mut line);
        if read.map_err(|source| Error::Read { path: path.to_owned(), source })? == 0 {
            break;
        }
        let wrong = |source| Error::Row { path: path.to_owned(), row: number, source };
        if line.len() as u64 > LONGEST_ROW {
            return Err(wrong(RowError::TooLong { limit: LONGEST_ROW }));
        }
        let not_utf8 = |e: std::str::Utf8Error| wrong(RowError::NotUtf8 { column: e.valid_up_to() + 1 });
        let text = std::str::from_utf8(&line).map_err(not_utf8)?.trim_end();
        if text.trim_start().is_empty() {
            continue;
        }
        if each(number, parse(text).map_err(wrong)?)?.is_break() {
            break;
        }
    }
    Ok(())
}

/// Reads an array of objects, or an object of which one entry is such an array; one row is in memory at a time.
pub(super) fn read_document(path: &Path, reader: impl BufRead, each: &mut Each<'_>) -> Result<(), Error> {
    let mut rows = Rows { path, each, number: 0, outcome: Ok(()), tables: 0 };
    let mut json = serde_json::Deserializer::from_reader(BufReader::new(Repaired::new(reader)));
    let parsed = DeserializeSeed::deserialize(&mut rows, &mut json).and_then(|()| json.end());
    let tables = rows.tables;
    // A row's own error, or an early stop, also reaches the parser as an error.
    match (std::mem::replace(&mut rows.outcome, Ok(())), parsed) {
        (Err(Stop::Wrong(error)), _) => Err(error),
        (Err(Stop::Enough), _) => Ok(()),
        (Ok(()), Err(error)) => Err(content(path, format!("not valid JSON: {error}"))),
        (Ok(()), Ok(())) if tables == 0 => {
            Err(content(path, "expected an array of rows, or an object with one entry that is an array of rows".into()))
        }
        (Ok(()), Ok(())) => Ok(()),
    }
}

fn content(path: &Path, problem: String) -> Error {
    Error::Content { path: path.to_owned(), problem }
}

/// Why reading ended before the end of the file.
enum Stop {
    Enough,
    Wrong(Error),
}

/// Extracts the rows of a document as they are parsed.
struct Rows<'a, 'e> {
    path: &'a Path,
    each: &'a mut Each<'e>,
    number: usize,
    outcome: Result<(), Stop>,
    /// Arrays that held rows.
    tables: usize,
}

impl Rows<'_, '_> {
    fn row(&mut self, text: &RawValue) -> Result<(), Stop> {
        self.number += 1;
        let wrong = |source| Stop::Wrong(Error::Row { path: self.path.to_owned(), row: self.number, source });
        let row = parse(text.get()).map_err(wrong)?;
        match (self.each)(self.number, row) {
            Ok(ControlFlow::Continue(())) => Ok(()),
            Ok(ControlFlow::Break(())) => Err(Stop::Enough),
            Err(error) => Err(Stop::Wrong(error)),
        }
    }
}

impl<'de> DeserializeSeed<'de> for &mut Rows<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(Document(self))
    }
}

/// The whole document.
struct Document<'r, 'a, 'e>(&'r mut Rows<'a, 'e>);

impl<'de> Visitor<'de> for Document<'_, '_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of rows or an object that contains one")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, sequence: A) -> Result<(), A::Error> {
        Entry(self.0).visit_seq(sequence)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while map.next_key::<IgnoredAny>()?.is_some() {
            map.next_value_seed(Entry(self.0))?;
        }
        Ok(())
    }
}

/// An entry of a document that is an object: the rows, or something else.
struct Entry<'r, 'a, 'e>(&'r mut Rows<'a, 'e>);

impl<'de> DeserializeSeed<'de> for Entry<'_, '_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Entry<'_, '_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<(), A::Error> {
        self.0.tables += 1;
        if self.0.tables > 1 {
            return Err(A::Error::custom("expected one array of rows, found several"));
        }
        while let Some(row) = sequence.next_element::<Box<RawValue>>()? {
            if let Err(stop) = self.0.row(&row) {
                self.0.outcome = Err(stop);
                return Err(A::Error::custom("stopped"));
            }
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }
}

/// Reads one row's text.
fn parse(text: &str) -> Result<Row, RowError> {
    let parsed = serde_json::from_str(text).map(|value| (value, text.to_owned()));
    let (value, text) = match parsed {
        Ok(read) => read,
        // As Python writes it, perhaps; otherwise the error of the text as it is.
        Err(error) => {
            let text =
                String::from_utf8(repaired(text)).map_err(|_| not_json(serde::de::Error::custom("not UTF-8")))?;
            let value = serde_json::from_str(&text).map_err(|_| not_json(error))?;
            (value, text)
        }
    };
    match value {
        Value::Object(fields) => Ok(Row { fields, text: Some(text) }),
        other => Err(RowError::NotAnObject { found: kind(&other) }),
    }
}

/// The digits of a number at a path of a row's text, because a parsed number loses those beyond the 17th.
pub(super) fn number_as_written(text: &str, path: &[&str]) -> Result<String, RowError> {
    let Some((name, rest)) = path.split_first() else { return Ok(text.to_owned()) };
    let row: BTreeMap<String, &RawValue> = serde_json::from_str(text).map_err(not_json)?;
    match row.get(*name) {
        Some(value) => number_as_written(value.get(), rest),
        None => Err(RowError::MissingField { expected: format!("`{name}`"), found: "no such field".to_owned() }),
    }
}

fn not_json(error: serde_json::Error) -> RowError {
    let message = error.to_string();
    let (message, _) = message.split_once(" at line ").unwrap_or((&message, ""));
    RowError::NotJson { column: error.column(), message: message.to_owned() }
}
