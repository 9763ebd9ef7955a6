//! Rows of Parquet files, read with the `parquet` crate without Arrow.

use std::{
    fs::File,
    ops::ControlFlow,
    panic::{AssertUnwindSafe, catch_unwind},
    path::Path,
};

use parquet::{
    basic::Compression,
    errors::ParquetError,
    file::{metadata::ColumnChunkMetaData, reader::FileReader, serialized_reader::SerializedFileReader},
    record::Field,
};
use serde_json::{Map, Value};

use super::{
    pages::check_pages,
    row::{Each, Row},
};
use crate::Error;

/// Maximum number of columns, counting each nested one.
const MAX_COLUMNS: usize = 10_000;

/// Reads all rows. A file that makes the `parquet` crate panic (some damaged files do) also gives an error.
pub(super) fn read(path: &Path, file: File, each: &mut Each<'_>) -> Result<(), Error> {
    let damaged = || content(path, "damaged Parquet file: the decoder gave up".to_owned());
    catch_unwind(AssertUnwindSafe(|| read_file(path, file, each))).unwrap_or_else(|_| Err(damaged()))
}

fn content(path: &Path, problem: String) -> Error {
    Error::Content { path: path.to_owned(), problem }
}

fn read_file(path: &Path, file: File, each: &mut Each<'_>) -> Result<(), Error> {
    let wrong = |error: ParquetError| content(path, format!("not a readable Parquet file: {error}"));
    let pages_file = file.try_clone().map_err(|source| Error::Read { path: path.to_owned(), source })?;
    let reader = SerializedFileReader::new(file).map_err(wrong)?;
    let columns = reader.metadata().file_metadata().schema_descr().num_columns();
    if columns > MAX_COLUMNS {
        return Err(content(path, format!("{columns} columns, expected at most {MAX_COLUMNS}")));
    }
    let mut number = 0;
    for index in 0..reader.num_row_groups() {
        let group = reader.get_row_group(index).map_err(wrong)?;
        check_codecs(group.metadata().columns()).map_err(|problem| content(path, problem))?;
        check_pages(&pages_file, group.metadata().columns(), group.metadata().num_rows())
            .map_err(|problem| content(path, problem))?;
        for row in group.get_row_iter(None).map_err(wrong)? {
            number += 1;
            let fields = row.map_err(wrong)?.into_columns().into_iter();
            let fields: Map<String, Value> = fields.map(|(name, field)| (name, value(field))).collect();
            match each(number, Row { fields, text: None })? {
                ControlFlow::Continue(()) => {}
                ControlFlow::Break(()) => return Ok(()),
            }
        }
    }
    Ok(())
}

/// Refuses codecs that are not read.
fn check_codecs(columns: &[ColumnChunkMetaData]) -> Result<(), String> {
    let unread =
        |column: &&ColumnChunkMetaData| matches!(column.compression(), Compression::BROTLI(_) | Compression::LZO);
    match columns.iter().find(unread) {
        None => Ok(()),
        Some(column) => {
            let codec = column.compression().to_string();
            let codec = codec.split('(').next().unwrap_or_default().to_ascii_lowercase();
            Err(format!(
                "column `{}` is compressed with {codec}, expected zstd, snappy, gzip, LZ4 or none: write the file again, in \
                 pandas with `to_parquet(.., compression=\"zstd\")`",
                column.column_path().string()
            ))
        }
    }
}

/// A field as JSON; dates, times and decimals become strings, and so do bytes that are valid text. Other bytes (images) are omitted.
fn value(field: Field) -> Value {
    match field {
        Field::Null => Value::Null,
        Field::Bool(value) => value.into(),
        Field::Byte(value) => value.into(),
        Field::Short(value) => value.into(),
        Field::Int(value) => value.into(),
        Field::Long(value) => value.into(),
        Field::UByte(value) => value.into(),
        Field::UShort(value) => value.into(),
        Field::UInt(value) => value.into(),
        Field::ULong(value) => value.into(),
        Field::Float16(value) => f32::from(value).into(),
        Field::Float(value) => value.into(),
        Field::Double(value) => value.into(),
        Field::Str(text) => text.into(),
        Field::Bytes(bytes) => bytes.as_utf8().map_or(Value::Null, Value::from),
        Field::Group(row) => {
            Value::Object(row.into_columns().into_iter().map(|(name, field)| (name, value(field))).collect())
        }
        Field::ListInternal(list) => list.elements().iter().cloned().map(value).collect(),
        Field::MapInternal(map) => {
            let name = |key: &Field| match value(key.clone()) {
                Value::String(name) => name,
                other => other.to_string(),
            };
            Value::Object(map.entries().iter().map(|(key, field)| (name(key), value(field.clone()))).collect())
        }
        other => other.to_string().into(),
    }
}
