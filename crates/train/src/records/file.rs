//! The file of a record.

use std::{
    io::{self, Write},
    path::Path,
    sync::Arc,
};

use parquet::{
    basic::{Compression, Encoding, ZstdLevel},
    errors::ParquetError,
    file::{
        metadata::KeyValue,
        properties::{EnabledStatistics, WriterProperties},
        writer::SerializedFileWriter,
    },
    schema::types::ColumnPath,
};
use sha2::{Digest, Sha256};

use super::{
    columns::{RowGroup, write_rows},
    record::StepRecord,
    schema::{self, SUM_KEY, VERSION, VERSION_KEY},
};
use crate::{
    checksums::hex,
    error::{Error, Result},
    files::fill_atomically,
    rundir::record_name,
};

impl StepRecord<'_> {
    /// Writes the file of the step into a directory, with the responses to its first `groups` prompts.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self, directory: &Path, groups: Option<usize>) -> Result<()> {
        let path = directory.join(record_name(self.step));
        let all = self.batch.groups();
        let recorded = &all[..groups.map_or(all.len(), |groups| groups.min(all.len()))];
        let end = recorded.last().map_or(0, |group| group.end);
        fill_atomically(&path, |file| self.encode(end, file).map_err(|error| problem(&path, error)))
    }

    /// Encodes the first `end` responses.
    fn encode(&self, end: usize, output: impl Write + Send) -> std::result::Result<(), ParquetError> {
        let output = Hashed { output, hash: Sha256::new() };
        let mut file = SerializedFileWriter::new(output, schema::message()?, Arc::new(properties()?))?;
        for responses in self.row_groups(end) {
            let mut rows = RowGroup::new(file.next_row_group()?, self.lengths(responses.clone()));
            write_rows(self, responses, &mut rows)?;
            rows.close()?;
        }
        file.flush()?;
        let sum = hex(file.inner().hash.clone());
        file.append_key_value_metadata(KeyValue::new(VERSION_KEY.into(), VERSION.to_string()));
        file.append_key_value_metadata(KeyValue::new(SUM_KEY.into(), sum));
        file.close().map(drop)
    }
}

/// What went wrong, as for any other file.
fn problem(path: &Path, error: ParquetError) -> Error {
    match error {
        ParquetError::External(source) => match source.downcast::<io::Error>() {
            Ok(source) => Error::io("write", path)(*source),
            Err(source) => Error::file(path, source.to_string()),
        },
        error => Error::file(path, error.to_string()),
    }
}

/// Nothing in a file depends on time or place, so that a resumed run writes the same bytes.
fn properties() -> std::result::Result<WriterProperties, ParquetError> {
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_offset_index_disabled(true);
    // Hardly two of these numbers are equal, but their exponents are alike.
    let floats = schema::FLOATS.iter().map(|name| ColumnPath::from(schema::elements(name)));
    let properties = floats.fold(properties, |properties, path| {
        properties
            .set_column_dictionary_enabled(path.clone(), false)
            .set_column_statistics_enabled(path.clone(), EnabledStatistics::None)
            .set_column_encoding(path, Encoding::BYTE_STREAM_SPLIT)
    });
    Ok(properties.build())
}

/// Passes everything on, and hashes it.
struct Hashed<W> {
    output: W,
    hash: Sha256,
}

impl<W: Write> Write for Hashed<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.output.write(bytes)?;
        self.hash.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }
}
