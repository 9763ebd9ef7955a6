//! What a data file is, by its name and its first bytes, and a reader of its text.

use std::{
    fs::File,
    io::{self, BufRead, BufReader, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use flate2::read::MultiGzDecoder;

use super::{arrow, directory};
use crate::Error;

/// Number of bytes used to recognize a text's format.
const HEAD: usize = 1 << 20;
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";
const GZIP: &[u8] = b"\x1F\x8B";
const PARQUET: &[u8] = b"PAR1";
const LFS_POINTER: &[u8] = b"version https://git-lfs";

/// Beginnings of files that are not read, what they are, and what to do.
const REFUSED: [(&[u8], &str); 9] = [
    (arrow::FILE, "is an Arrow file in gzip: unpack it with `gunzip`"),
    (arrow::CONTINUATION, "is an Arrow stream in gzip: unpack it with `gunzip`"),
    (b"FEA1", "is a Feather file of version 1: write it again with `pyarrow.feather.write_feather`"),
    (b"\xFF\xFE", "is UTF-16, expected UTF-8: convert it with `iconv -f UTF-16 -t UTF-8`"),
    (b"\xFE\xFF", "is UTF-16, expected UTF-8: convert it with `iconv -f UTF-16 -t UTF-8`"),
    (b"PK\x03\x04", "is a ZIP archive or a spreadsheet, expected the file in it: unpack it, or save the sheet as CSV"),
    (b"\x28\xB5\x2F\xFD", "is compressed with zstd, expected gzip or no compression: unpack it with `zstd -d`"),
    (b"BZh", "is compressed with bzip2, expected gzip or no compression: unpack it with `bunzip2`"),
    (b"\x89PNG", "is a picture, expected a data file"),
];

/// A file's format.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Format {
    Parquet,
    Arrow,
    Json,
    JsonLines,
    /// With this delimiter.
    Csv(u8),
}

impl Format {
    pub(super) fn name(self) -> &'static str {
        match self {
            Format::Parquet => "Parquet",
            Format::Arrow => "Arrow",
            Format::Json => "JSON",
            Format::JsonLines => "JSONL",
            Format::Csv(b'\t') => "TSV",
            Format::Csv(_) => "CSV",
        }
    }
}

/// An opened data file.
pub(super) enum Source {
    Parquet(File),
    /// At the first message.
    Arrow(File),
    /// The files of a directory that the datasets library wrote.
    Files(Vec<PathBuf>),
    /// UTF-8 without a byte order mark, unpacked.
    Text(Format, Box<dyn BufRead>),
}

/// Opens a file.
///
/// # Errors
/// It cannot be read, or is of a kind that is not: the message says which, and what to do.
pub(super) fn open(path: &Path) -> Result<Source, Error> {
    let unreadable = |source| Error::Read { path: path.to_owned(), source };
    if path.is_dir() {
        return directory::files(path).map(Source::Files).map_err(|problem| refused(path, &problem));
    }
    let mut file = File::open(path).map_err(unreadable)?;
    let mut head = Vec::new();
    (&file).take(64).read_to_end(&mut head).map_err(unreadable)?;
    file.rewind().map_err(unreadable)?;
    if head.starts_with(PARQUET) {
        return Ok(Source::Parquet(file));
    }
    if head.starts_with(arrow::FILE) {
        file.seek(SeekFrom::Start(arrow::FILE.len() as u64)).map_err(unreadable)?;
        return Ok(Source::Arrow(file));
    }
    if head.starts_with(arrow::CONTINUATION) {
        return Ok(Source::Arrow(file));
    }
    let packed = head.starts_with(GZIP);
    let unpacked: Box<dyn Read> = if packed { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) };
    let mut reader = BufReader::with_capacity(HEAD, unpacked);
    let head = reader.fill_buf().map_err(unreadable)?;
    if head.starts_with(LFS_POINTER) {
        let text = String::from_utf8_lossy(&head[..head.len().min(256)]).into_owned();
        let size = text.lines().find_map(|line| line.strip_prefix("size ")).unwrap_or("?").to_owned();
        return Err(refused(
            path,
            &format!("is a git-lfs pointer to a file of {size} bytes: fetch it with `git lfs pull`"),
        ));
    }
    if let Some((_, what)) = REFUSED.iter().find(|(start, _)| head.starts_with(start)) {
        return Err(refused(path, what));
    }
    if head.starts_with(PARQUET) {
        return Err(refused(
            path,
            "is a Parquet file in gzip: unpack it with `gunzip` (Parquet compresses its own pages)",
        ));
    }
    let mark = if head.starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len() } else { 0 };
    reader.consume(mark);
    let format = text_format(path, packed, &mut reader).map_err(unreadable)?;
    Ok(Source::Text(format, Box::new(reader)))
}

fn refused(path: &Path, problem: &str) -> Error {
    Error::Content { path: path.to_owned(), problem: problem.to_owned() }
}

/// The format of a text. CSV and TSV are recognized by the name. JSON is one document or has one on each line: an array is
/// one document, and so is an object in a file named `.json`, unless its first line is complete and others follow.
fn text_format(path: &Path, packed: bool, reader: &mut impl BufRead) -> io::Result<Format> {
    let name = path.to_string_lossy().to_ascii_lowercase();
    let name = name.strip_suffix(".gz").filter(|_| packed).unwrap_or(&name);
    match name.rsplit_once('.').map(|(_, extension)| extension) {
        Some("csv") => return Ok(Format::Csv(b',')),
        Some("tsv") => return Ok(Format::Csv(b'\t')),
        _ => {}
    }
    let head = reader.fill_buf()?;
    let text = head.trim_ascii_start();
    if text.starts_with(b"[") {
        return Ok(Format::Json);
    }
    let is_json = name.ends_with(".json");
    let mut lines = text.split(|byte| *byte == b'\n');
    let first = lines.next().unwrap_or_default();
    let more = lines.any(|line| !line.trim_ascii().is_empty());
    let complete = serde_json::from_slice::<serde::de::IgnoredAny>(first).is_ok();
    Ok(if is_json && !(complete && more) { Format::Json } else { Format::JsonLines })
}
