//! Whether a record is complete and undamaged.

use std::{
    fs::{self, File},
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

use parquet::{
    errors::ParquetError,
    file::{metadata::FileMetaData, reader::FileReader, serialized_reader::SerializedFileReader},
    record::{Field, Row},
};
use sha2::{Digest, Sha256};

use super::schema::{self, SUM_KEY, VERSION, VERSION_KEY};
use crate::{
    checksums::hex,
    error::{Error, Result},
};

/// After a file's metadata come its length and the word PAR1.
const FOOTER: usize = 8;

/// Checks that a file is the record of `step`, and that nothing in it is damaged; returns its number of responses.
///
/// # Errors
/// Says what is wrong with it.
pub(crate) fn check(path: &Path, step: u64) -> Result<usize> {
    let bytes = fs::read(path).map_err(Error::io("read", path))?;
    let file = File::open(path).map_err(Error::io("read", path))?;
    // The decoder panics on some damaged files.
    let checked = catch_unwind(AssertUnwindSafe(|| check_file(&bytes, file, step)));
    let checked = checked.unwrap_or_else(|_| Err("damaged: the decoder gave up".into()));
    checked.map_err(|problem| Error::file(path, problem))
}

fn check_file(bytes: &[u8], file: File, step: u64) -> Result<usize, String> {
    let wrong = |error: ParquetError| format!("not a readable Parquet file: {error}");
    let reader = SerializedFileReader::new(file).map_err(wrong)?;
    let metadata = reader.metadata().file_metadata();
    check_version(metadata)?;
    let sum = hex(Sha256::new_with_prefix(content(bytes).ok_or("has no end")?));
    let expected = entry(metadata, SUM_KEY).unwrap_or_default();
    if sum != expected {
        return Err(format!("the SHA-256 of its content is {sum:.8}.., expected {expected:.8}.. as in its metadata"));
    }
    let mut rows = 0;
    for row in reader.get_row_iter(None).map_err(wrong)? {
        rows += 1;
        check_row(&row.map_err(wrong)?, step).map_err(|problem| format!("row {rows}: {problem}"))?;
    }
    Ok(rows)
}

/// Checks that a Parquet file is a record, of a version that this program knows.
///
/// # Errors
/// Says what it is instead.
pub fn check_version(metadata: &FileMetaData) -> Result<(), String> {
    match entry(metadata, VERSION_KEY).and_then(|version| version.parse::<u32>().ok()) {
        Some(version) if version > VERSION => {
            Err(format!("has the format {version}, expected at most {VERSION}: a newer version of vapo wrote it"))
        }
        Some(_) => Ok(()),
        None => Err(format!("is no record: it has no {VERSION_KEY}")),
    }
}

fn entry<'a>(metadata: &'a FileMetaData, key: &str) -> Option<&'a str> {
    metadata.key_value_metadata()?.iter().find(|entry| entry.key == key)?.value.as_deref()
}

/// What a file holds before its metadata.
fn content(bytes: &[u8]) -> Option<&[u8]> {
    let end = bytes.len().checked_sub(FOOTER)?;
    let length = u32::from_le_bytes(bytes[end..end + 4].try_into().ok()?);
    bytes.get(..end.checked_sub(length as usize)?)
}

/// The row is of the step, and its lists have an element per token.
fn check_row(row: &Row, step: u64) -> Result<(), String> {
    let field = |name: &str| {
        let found = row.get_column_iter().find(|(column, _)| *column == name);
        found.map(|(_, field)| field).ok_or_else(|| format!("has no column {name}"))
    };
    let found = field("step")?;
    if *found != Field::Long(step as i64) {
        return Err(format!("is of step {found}, expected {step}"));
    }
    let Field::Int(tokens) = field("response_tokens")? else {
        return Err("response_tokens is no number".into());
    };
    for name in schema::lists() {
        match field(name)? {
            Field::Null => {}
            Field::ListInternal(list) if list.len() == *tokens as usize => {}
            Field::ListInternal(list) => {
                return Err(format!("{name} has {} elements, expected {tokens}", list.len()));
            }
            _ => return Err(format!("{name} is no list")),
        }
    }
    Ok(())
}
