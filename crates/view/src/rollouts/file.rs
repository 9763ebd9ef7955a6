//! Columns of a record's file: only those that are asked for are read, and only for some rows.

use std::{
    collections::HashMap,
    fs::{self, File},
    io,
    ops::Range,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

use parquet::{
    column::reader::get_typed_column_reader,
    data_type::{ByteArray, ByteArrayType, DataType},
    errors::ParquetError,
    file::{reader::FileReader, serialized_reader::SerializedFileReader},
};
use vapo_tasks::check_pages;
use vapo_train::records::check_version;

use crate::error::{Error, Result};

/// The file of a record, open for reading.
pub(super) struct RecordFile {
    path: PathBuf,
    pages: File,
    reader: SerializedFileReader<File>,
    /// Numbers of the columns by their paths.
    columns: HashMap<String, usize>,
    /// The rows of each row group.
    groups: Vec<Range<usize>>,
}

/// A column's values with their levels (see the Parquet format).
struct Levels<T> {
    values: Vec<T>,
    definition: Vec<i16>,
    repetition: Vec<i16>,
    /// The definition level of a value that is there.
    present: i16,
}

/// The lists of a column, or its absence: a row has a list or null, a list has values or nulls.
pub(super) type Lists<T> = Vec<Option<Vec<Option<T>>>>;

/// Opens a record and reads from it. Some damaged files make the decoder panic, which is reported as damage too.
pub(super) fn read<T>(path: &Path, work: impl FnOnce(&RecordFile) -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(|| work(&RecordFile::open(path)?)))
        .unwrap_or_else(|_| Err(damaged(path, "the decoder gave up")))
}

fn damaged(path: &Path, message: impl Into<String>) -> Error {
    Error::Damaged { path: path.to_owned(), message: message.into() }
}

fn io_error(path: &Path, source: io::Error) -> Error {
    match source.kind() {
        io::ErrorKind::NotFound => Error::Gone(path.to_owned()),
        _ => Error::Io { path: path.to_owned(), source },
    }
}

impl RecordFile {
    fn open(path: &Path) -> Result<Self> {
        if !fs::symlink_metadata(path).map_err(|error| io_error(path, error))?.is_file() {
            return Err(damaged(path, "is a link or a directory, expected a file"));
        }
        let file = File::open(path).map_err(|error| io_error(path, error))?;
        let pages = file.try_clone().map_err(|error| io_error(path, error))?;
        let wrong = |error: ParquetError| damaged(path, format!("not a readable Parquet file: {error}"));
        let reader = SerializedFileReader::new(file).map_err(wrong)?;
        let metadata = reader.metadata();
        check_version(metadata.file_metadata()).map_err(|problem| damaged(path, problem))?;
        let schema = metadata.file_metadata().schema_descr();
        let columns = schema.columns().iter().enumerate().map(|(number, column)| (column.path().string(), number));
        let columns = columns.collect();
        let mut groups = Vec::with_capacity(metadata.num_row_groups());
        let mut start = 0usize;
        for group in metadata.row_groups() {
            let rows = usize::try_from(group.num_rows()).ok().and_then(|rows| start.checked_add(rows));
            let end = rows.ok_or_else(|| damaged(path, format!("a row group of {} rows", group.num_rows())))?;
            groups.push(start..end);
            start = end;
        }
        Ok(Self { path: path.to_owned(), pages, reader, columns, groups })
    }

    /// Its number of rows, according to its metadata.
    pub(super) fn rows(&self) -> usize {
        self.groups.last().map_or(0, |group| group.end)
    }

    /// A damage of this file.
    pub(super) fn damaged(&self, message: impl Into<String>) -> Error {
        damaged(&self.path, message)
    }

    /// Values of some rows, or null; `None` if there is no such column, as in records of earlier versions.
    pub(super) fn column<T: DataType>(&self, name: &str, rows: Range<usize>) -> Result<Option<Vec<Option<T::T>>>> {
        let Some(levels) = self.levels::<T>(name, rows)? else { return Ok(None) };
        if levels.present == 0 {
            return Ok(Some(levels.values.into_iter().map(Some).collect()));
        }
        let mut values = levels.values.into_iter();
        Ok(Some(levels.definition.iter().map(|&level| values.next_if_present(level, levels.present)).collect()))
    }

    /// The same of a column that every record has, without nulls.
    pub(super) fn required<T: DataType>(&self, name: &str, rows: Range<usize>) -> Result<Vec<T::T>> {
        let column = self.column::<T>(name, rows)?.ok_or_else(|| self.damaged(format!("has no column {name}")))?;
        column.into_iter().collect::<Option<_>>().ok_or_else(|| self.damaged(format!("{name} is null in a row")))
    }

    /// Texts of some rows, with replacement characters where they are not UTF-8.
    pub(super) fn texts(&self, name: &str, rows: Range<usize>) -> Result<Vec<String>> {
        Ok(self.required::<ByteArrayType>(name, rows)?.iter().map(text).collect())
    }

    /// Texts that may be null.
    pub(super) fn optional_texts(&self, name: &str, rows: Range<usize>) -> Result<Vec<Option<String>>> {
        let count = rows.len();
        let column = self.column::<ByteArrayType>(name, rows)?.unwrap_or_else(|| vec![None; count]);
        Ok(column.iter().map(|value| value.as_ref().map(text)).collect())
    }

    /// The lists of some rows in the column at a path such as `value.list.element`, all null if there is no such column.
    pub(super) fn lists<T: DataType>(&self, path: &str, rows: Range<usize>) -> Result<Lists<T::T>> {
        let count = rows.len();
        let Some(levels) = self.levels::<T>(path, rows)? else { return Ok(vec![None; count]) };
        let mut lists: Lists<T::T> = Vec::with_capacity(count);
        let mut values = levels.values.into_iter();
        for (&definition, &repetition) in levels.definition.iter().zip(&levels.repetition) {
            if repetition == 0 {
                lists.push((definition > 0).then(Vec::new));
            }
            // Level 1 is a list without elements.
            if definition > 1
                && let Some(Some(list)) = lists.last_mut()
            {
                list.push(values.next_if_present(definition, levels.present));
            }
        }
        if lists.len() == count { Ok(lists) } else { Err(self.damaged(format!("{path} has too few lists"))) }
    }

    fn levels<T: DataType>(&self, path: &str, rows: Range<usize>) -> Result<Option<Levels<T::T>>> {
        let Some(&column) = self.columns.get(path) else { return Ok(None) };
        let schema = self.reader.metadata().file_metadata().schema_descr();
        let descriptor = schema.column(column);
        if descriptor.physical_type() != T::get_physical_type() {
            let (found, expected) = (descriptor.physical_type(), T::get_physical_type());
            return Err(self.damaged(format!("{path} is of type {found}, expected {expected}")));
        }
        let present = descriptor.max_def_level();
        let mut levels = Levels { values: Vec::new(), definition: Vec::new(), repetition: Vec::new(), present };
        for (number, group) in self.groups.iter().enumerate() {
            let (start, end) = (rows.start.max(group.start), rows.end.min(group.end));
            if start < end {
                let part = start - group.start..end - group.start;
                self.read_chunk::<T>((number, column), part, &mut levels)
                    .map_err(|problem| self.damaged(format!("column {path}: {problem}")))?;
            }
        }
        Ok(Some(levels))
    }

    /// Reads rows of a row group.
    fn read_chunk<T: DataType>(
        &self,
        (group, column): (usize, usize),
        rows: Range<usize>,
        levels: &mut Levels<T::T>,
    ) -> std::result::Result<(), String> {
        let wrong = |error: ParquetError| error.to_string();
        let group = self.reader.get_row_group(group).map_err(wrong)?;
        check_pages(&self.pages, [group.metadata().column(column)], group.metadata().num_rows())?;
        let mut chunk = get_typed_column_reader::<T>(group.get_column_reader(column).map_err(wrong)?);
        let skipped = chunk.skip_records(rows.start).map_err(wrong)?;
        let Levels { values, definition, repetition, .. } = levels;
        let (read, ..) = chunk.read_records(rows.len(), Some(definition), Some(repetition), values).map_err(wrong)?;
        if (skipped, read) != (rows.start, rows.len()) {
            return Err(format!("has {} rows, expected at least {}", skipped + read, rows.end));
        }
        Ok(())
    }
}

/// The next value where the levels say that there is one.
trait NextIfPresent<T> {
    fn next_if_present(&mut self, level: i16, present: i16) -> Option<T>;
}

impl<T, I: Iterator<Item = T>> NextIfPresent<T> for I {
    fn next_if_present(&mut self, level: i16, present: i16) -> Option<T> {
        if level == present { self.next() } else { None }
    }
}

pub(super) fn text(bytes: &ByteArray) -> String {
    String::from_utf8_lossy(bytes.data()).into_owned()
}
