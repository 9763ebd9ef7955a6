//! Checks the sizes that a row group's pages claim before anything is decompressed: a page of a hundred bytes may claim two
//! gigabytes, and the decoder would allocate them.

use std::{
    fs::File,
    io::{BufReader, Read, Seek, SeekFrom},
};

use parquet::file::metadata::ColumnChunkMetaData;

/// Maximum size of a page in bytes.
const LARGEST_PAGE: u64 = 256 << 20;
/// Maximum bytes of the pages in memory at once: for each column, a dictionary and the largest data page.
const LARGEST_PAGES: u64 = 1 << 30;
/// Values (each list element counts) that a chunk may hold regardless of its size.
const FEW_VALUES: u64 = 1 << 20;
/// Additional values that it may hold per row.
const VALUES_PER_ROW: u64 = 64;
/// Maximum length of a page header.
const LONGEST_HEADER: u64 = 1 << 20;
/// Real ones have a few dozen bytes, with statistics a few hundred.
const USUAL_HEADER: usize = 512;

/// Checks the pages of columns that are to be decoded, all of the same row group of so many rows, before the `parquet` crate
/// allocates what they claim.
///
/// # Errors
/// The claimed and the allowed size.
pub fn check_pages<'a>(
    mut file: &File,
    columns: impl IntoIterator<Item = &'a ColumnChunkMetaData>,
    rows: i64,
) -> Result<(), String> {
    let rows = u64::try_from(rows).map_err(|_| "a row group with a negative number of rows")?;
    let mut together = 0u64;
    for column in columns {
        let name = column.column_path().string();
        let found = walk(&mut file, column).map_err(|problem| format!("column `{name}`: {problem}"))?;
        together = together.saturating_add(found.dictionary.saturating_add(found.largest));
        if together > LARGEST_PAGES {
            return Err(format!("the pages of a row group claim more than {LARGEST_PAGES} bytes at once"));
        }
        let allowed = FEW_VALUES.saturating_add(rows.saturating_mul(VALUES_PER_ROW)).max(found.compressed);
        if found.values > allowed {
            return Err(format!(
                "column `{name}` claims {} values in {rows} rows and {} bytes, expected at most {allowed}",
                found.values, found.compressed
            ));
        }
    }
    Ok(())
}

/// Sums over the pages of a column chunk.
#[derive(Default)]
struct Chunk {
    /// Bytes of the dictionary page, decompressed.
    dictionary: u64,
    /// Bytes of the largest data page, decompressed.
    largest: u64,
    compressed: u64,
    values: u64,
}

fn walk(file: &mut &File, column: &ColumnChunkMetaData) -> Result<Chunk, String> {
    let start = column.dictionary_page_offset().unwrap_or(column.data_page_offset());
    let place = |value: i64| u64::try_from(value).map_err(|_| format!("a chunk at or of {value} bytes"));
    let (mut at, length) = (place(start)?, place(column.compressed_size())?);
    let end = at.saturating_add(length);
    let mut chunk = Chunk { compressed: length, ..Chunk::default() };
    while at < end {
        file.seek(SeekFrom::Start(at)).map_err(|error| error.to_string())?;
        let header = file.take(LONGEST_HEADER.min(end - at));
        let mut compact = Compact { input: BufReader::with_capacity(USUAL_HEADER, header), read: 0 };
        let page = compact.page().map_err(|problem| format!("a page header at byte {at}: {problem}"))?;
        if page.bytes > LARGEST_PAGE {
            return Err(format!("a page claims {} bytes, expected at most {LARGEST_PAGE}", page.bytes));
        }
        match page.is_dictionary {
            true => chunk.dictionary = chunk.dictionary.max(page.bytes),
            false => chunk.largest = chunk.largest.max(page.bytes),
        }
        chunk.values = chunk.values.saturating_add(page.values);
        at = at.saturating_add(compact.read).saturating_add(page.compressed);
    }
    Ok(chunk)
}

/// The relevant fields of a page header.
#[derive(Default)]
struct Page {
    is_dictionary: bool,
    bytes: u64,
    compressed: u64,
    values: u64,
}

const DICTIONARY_PAGE: i64 = 2;
/// Deepest nesting of structs in a page header.
const DEEPEST: usize = 8;

/// Reads the part of Thrift's compact protocol that page headers use.
struct Compact<R> {
    input: R,
    /// Bytes read so far.
    read: u64,
}

impl<R: Read> Compact<R> {
    /// A page header (`PageHeader` of the Parquet format).
    fn page(&mut self) -> Result<Page, String> {
        let mut page = Page::default();
        let mut id = 0;
        while let Some(kind) = self.field(&mut id)? {
            match (id, kind) {
                (1, 5) => page.is_dictionary = self.integer()? == DICTIONARY_PAGE,
                (2, 5) => page.bytes = self.size()?,
                (3, 5) => page.compressed = self.size()?,
                (5 | 7 | 8, 12) => page.values = self.number_of_values()?,
                _ => self.skip(kind, 0)?,
            }
        }
        Ok(page)
    }

    /// The first field of a data or dictionary page's own header.
    fn number_of_values(&mut self) -> Result<u64, String> {
        let (mut id, mut values) = (0, 0);
        while let Some(kind) = self.field(&mut id)? {
            match (id, kind) {
                (1, 5) => values = self.size()?,
                _ => self.skip(kind, 1)?,
            }
        }
        Ok(values)
    }

    /// The next field's type, with its number in `id`; `None` at the end of the struct.
    fn field(&mut self, id: &mut i64) -> Result<Option<u8>, String> {
        let byte = self.byte()?;
        if byte == 0 {
            return Ok(None);
        }
        *id = match byte >> 4 {
            0 => self.integer()?,
            step => id.saturating_add(i64::from(step)),
        };
        Ok(Some(byte & 15))
    }

    fn skip(&mut self, kind: u8, depth: usize) -> Result<(), String> {
        if depth > DEEPEST {
            return Err("nested too deeply".to_owned());
        }
        match kind {
            1 | 2 => Ok(()),
            3 => self.byte().map(drop),
            4..=6 => self.integer().map(drop),
            7 => (0..8).try_for_each(|_| self.byte().map(drop)),
            8 => {
                let length = self.varint()?;
                self.skip_bytes(length)
            }
            9 | 10 => {
                let head = self.byte()?;
                let length = if head >> 4 == 15 { self.varint()? } else { u64::from(head >> 4) };
                (0..length).try_for_each(|_| self.skip_element(head & 15, depth))
            }
            12 => {
                let mut id = 0;
                while let Some(kind) = self.field(&mut id)? {
                    self.skip(kind, depth + 1)?;
                }
                Ok(())
            }
            other => Err(format!("a field of the unknown type {other}")),
        }
    }

    /// An element of a list; a boolean takes a byte there.
    fn skip_element(&mut self, kind: u8, depth: usize) -> Result<(), String> {
        if matches!(kind, 1 | 2) { self.byte().map(drop) } else { self.skip(kind, depth + 1) }
    }

    fn skip_bytes(&mut self, length: u64) -> Result<(), String> {
        (0..length).try_for_each(|_| self.byte().map(drop))
    }

    fn size(&mut self) -> Result<u64, String> {
        let value = self.integer()?;
        u64::try_from(value).map_err(|_| format!("a size of {value}"))
    }

    /// A zigzag integer.
    fn integer(&mut self) -> Result<i64, String> {
        let value = self.varint()?;
        Ok((value >> 1) as i64 ^ -((value & 1) as i64))
    }

    fn varint(&mut self) -> Result<u64, String> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 127) << shift;
            if byte < 128 {
                return Ok(value);
            }
        }
        Err("a number of more than 64 bits".to_owned())
    }

    fn byte(&mut self) -> Result<u8, String> {
        let mut byte = [0];
        self.input.read_exact(&mut byte).map_err(|_| "ends too early".to_owned())?;
        self.read += 1;
        Ok(byte[0])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_a_header_written_by_hand() {
        // type DATA_PAGE, 300 bytes, 20 compressed, crc, header { 7 values, encoding 2 }, a field 9 of binary `ab`.
        let bytes = [0x15, 0, 0x15, 0xD8, 4, 0x15, 40, 0x15, 9, 0x1C, 0x15, 14, 0x15, 4, 0, 0x48, 2, b'a', b'b', 0, 99];
        let mut compact = Compact { input: &bytes[..], read: 0 };
        let page = compact.page().unwrap();
        assert_eq!((page.is_dictionary, page.bytes, page.compressed, page.values), (false, 300, 20, 7));
        assert_eq!(compact.read, bytes.len() as u64 - 1);
        for length in 0..bytes.len() - 1 {
            assert!(Compact { input: &bytes[..length], read: 0 }.page().is_err(), "{length}");
        }
        let negative = [0x25, 1, 0];
        assert_eq!(Compact { input: &negative[..], read: 0 }.page().err().unwrap(), "a size of -1");
        let deep = [0x9C; 40];
        assert_eq!(Compact { input: &deep[..], read: 0 }.page().err().unwrap(), "nested too deeply");
    }
}
