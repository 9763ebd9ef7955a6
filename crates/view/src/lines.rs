//! Follows a file of lines that grows, is cut short or is replaced while it is read.

use std::{
    fs::File,
    io::{BufRead, BufReader, ErrorKind, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use crate::error::{Error, Result};

/// What reads the lines.
pub(crate) trait LineSink {
    /// Forgets everything: the file is read from its start.
    fn clear(&mut self);

    /// Takes a complete line, with its number from 1.
    fn line(&mut self, number: usize, line: &[u8]);
}

/// A place in a file up to which its complete lines were read.
#[derive(Debug)]
pub(crate) struct Lines {
    path: PathBuf,
    /// Length of the lines read.
    read: u64,
    /// How many they are.
    count: usize,
    /// The last of them. A resumed run replaces the file by a shorter one and goes on from there: if this line is still where
    /// it was, so is everything before it, because rows have times in them.
    last: Vec<u8>,
}

impl Lines {
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, read: 0, count: 0, last: Vec::new() }
    }

    /// Reads the lines that came since the last time, or all of them if the file is no longer the same; returns whether
    /// anything changed. A line without an end is left for the next time. A file that does not exist is empty.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(crate) fn read_on(&mut self, sink: &mut impl LineSink) -> Result<bool> {
        let path = self.path.clone();
        self.try_read_on(sink).map_err(Error::io(&path))
    }

    fn try_read_on(&mut self, sink: &mut impl LineSink) -> std::io::Result<bool> {
        let mut file = match open_file(&self.path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(self.start_over(sink)),
            opened => opened?,
        };
        let is_changed = !self.continues(&mut file)? && self.start_over(sink);
        file.seek(SeekFrom::Start(self.read))?;
        let (mut reader, begun) = (BufReader::with_capacity(1 << 16, file), self.count);
        let mut line = Vec::new();
        loop {
            line.clear();
            reader.read_until(b'\n', &mut line)?;
            if line.last() != Some(&b'\n') {
                return Ok(is_changed || self.count > begun);
            }
            self.read += line.len() as u64;
            self.count += 1;
            sink.line(self.count, &line);
            std::mem::swap(&mut self.last, &mut line);
        }
    }

    /// Whether the last line read is where it was.
    fn continues(&self, file: &mut File) -> std::io::Result<bool> {
        let Some(place) = self.read.checked_sub(self.last.len() as u64) else { return Ok(false) };
        if file.metadata()?.len() < self.read {
            return Ok(false);
        }
        let mut found = vec![0; self.last.len()];
        file.seek(SeekFrom::Start(place))?;
        file.read_exact(&mut found)?;
        Ok(found == self.last)
    }

    /// Returns whether there was anything to forget.
    fn start_over(&mut self, sink: &mut impl LineSink) -> bool {
        let had_lines = self.count > 0;
        *self = Self::new(std::mem::take(&mut self.path));
        sink.clear();
        had_lines
    }
}

/// Opens a file, and nothing that would wait for a writer (a pipe) or never end (a device).
pub(crate) fn open_file(path: &Path) -> std::io::Result<File> {
    if !std::fs::metadata(path)?.is_file() {
        return Err(std::io::Error::new(ErrorKind::InvalidInput, "not a file"));
    }
    File::open(path)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[derive(Default)]
    struct Seen(Vec<(usize, String)>);

    impl LineSink for Seen {
        fn clear(&mut self) {
            self.0.clear();
        }

        fn line(&mut self, number: usize, line: &[u8]) {
            self.0.push((number, String::from_utf8_lossy(line).trim_end().to_owned()));
        }
    }

    impl Seen {
        fn texts(&self) -> Vec<&str> {
            assert!(self.0.iter().map(|(number, _)| *number).eq(1..=self.0.len()), "{:?}", self.0);
            self.0.iter().map(|(_, text)| text.as_str()).collect()
        }
    }

    #[test]
    fn appended_lines_are_read_once_and_an_unfinished_one_waits() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("a");
        let (mut lines, mut seen) = (Lines::new(path.clone()), Seen::default());
        assert!(!lines.read_on(&mut seen).unwrap(), "no file");
        fs::write(&path, "one\ntw").unwrap();
        assert!(lines.read_on(&mut seen).unwrap());
        assert_eq!(seen.texts(), ["one"]);
        assert!(!lines.read_on(&mut seen).unwrap(), "nothing new");
        fs::write(&path, "one\ntwo\nthree\n").unwrap();
        assert!(lines.read_on(&mut seen).unwrap());
        assert_eq!(seen.texts(), ["one", "two", "three"]);
    }

    #[test]
    fn a_file_that_was_cut_or_replaced_is_read_again() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("a");
        let (mut lines, mut seen) = (Lines::new(path.clone()), Seen::default());
        for (content, texts) in [
            ("one\ntwo\nthree\n", &["one", "two", "three"][..]),
            ("one\n", &["one"]),
            ("one\ntwo\n", &["one", "two"]),
            ("one\ntoo\nthree\n", &["one", "too", "three"]),
            ("", &[]),
        ] {
            fs::write(&path, content).unwrap();
            assert!(lines.read_on(&mut seen).unwrap(), "{content:?}");
            assert_eq!(seen.texts(), texts);
        }
        fs::write(&path, "four\n").unwrap();
        lines.read_on(&mut seen).unwrap();
        fs::remove_file(&path).unwrap();
        assert!(lines.read_on(&mut seen).unwrap());
        assert_eq!(seen.texts(), [""; 0]);
    }

    #[test]
    fn a_directory_is_an_error() {
        let root = tempfile::tempdir().unwrap();
        let error = Lines::new(root.path().into()).read_on(&mut Seen::default()).unwrap_err().to_string();
        assert_eq!(error, format!("cannot read {}: not a file", root.path().display()));
    }
}
