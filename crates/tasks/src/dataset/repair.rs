//! JSON as Python writes it: `NaN` and `Infinity`, which become null, and halves of surrogate pairs, which become U+FFFD.

use std::io::{self, BufRead, Read};

/// The longest sequence that is replaced: two escaped surrogates.
const LONGEST: usize = 12;
const REPLACEMENT: &[u8] = b"\\ufffd";

/// Where in a JSON text a repair stands.
#[derive(Default)]
pub(super) struct Repair {
    in_text: bool,
}

impl Repair {
    /// Appends the repaired beginning of some bytes, and returns how many were used: all of them at the `end` of the text,
    /// otherwise all but a few whose meaning depends on what follows.
    fn advance(&mut self, bytes: &[u8], end: bool, repaired: &mut Vec<u8>) -> usize {
        let mut at = 0;
        while at < bytes.len() && (end || bytes.len() - at >= LONGEST) {
            let rest = &bytes[at..];
            let (used, written) = self.step(rest);
            repaired.extend_from_slice(written.unwrap_or(&rest[..used]));
            at += used;
        }
        at
    }

    /// How many bytes belong together, and what replaces them.
    fn step(&mut self, rest: &[u8]) -> (usize, Option<&'static [u8]>) {
        match (self.in_text, rest[0]) {
            (_, b'"') => {
                self.in_text = !self.in_text;
                (1, None)
            }
            (true, b'\\') => match escape(rest) {
                Some(0xD800..=0xDBFF) if matches!(escape(rest.get(6..).unwrap_or(&[])), Some(0xDC00..=0xDFFF)) => {
                    (LONGEST, None)
                }
                Some(0xD800..=0xDFFF) => (6, Some(REPLACEMENT)),
                _ => (rest.len().min(2), None),
            },
            (false, b'N' | b'I' | b'-') => {
                let number =
                    ["NaN", "Infinity", "-Infinity"].into_iter().find(|name| rest.starts_with(name.as_bytes()));
                number.map_or((1, None), |name| (name.len(), Some(b"null")))
            }
            _ => (1, None),
        }
    }
}

/// The code unit of `\uXXXX` at the start of some bytes.
fn escape(bytes: &[u8]) -> Option<u16> {
    let digits = bytes.strip_prefix(b"\\u")?.get(..4)?;
    u16::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

/// A repaired copy of a text.
pub(super) fn repaired(text: &str) -> Vec<u8> {
    let mut copy = Vec::with_capacity(text.len());
    Repair::default().advance(text.as_bytes(), true, &mut copy);
    copy
}

/// Repairs a text while it is read.
pub(super) struct Repaired<R> {
    source: R,
    repair: Repair,
    /// Bytes that are not repaired yet.
    pending: Vec<u8>,
    ready: Vec<u8>,
    given: usize,
}

impl<R: BufRead> Repaired<R> {
    pub(super) fn new(source: R) -> Self {
        Self { source, repair: Repair::default(), pending: Vec::new(), ready: Vec::new(), given: 0 }
    }
}

impl<R: BufRead> Read for Repaired<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.given == self.ready.len() {
            self.ready.clear();
            self.given = 0;
            let read = self.source.fill_buf()?;
            let (length, end) = (read.len(), read.is_empty());
            self.pending.extend_from_slice(read);
            self.source.consume(length);
            let used = self.repair.advance(&self.pending, end, &mut self.ready);
            self.pending.drain(..used);
            if end && self.ready.is_empty() {
                return Ok(0);
            }
        }
        let length = buffer.len().min(self.ready.len() - self.given);
        buffer[..length].copy_from_slice(&self.ready[self.given..self.given + length]);
        self.given += length;
        Ok(length)
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use super::*;

    #[test]
    fn what_python_writes_becomes_json() {
        for (text, expected) in [
            (r#"{"a": NaN, "b": -Infinity, "c": [Infinity]}"#, r#"{"a": null, "b": null, "c": [null]}"#),
            (r#"{"a": "NaN \" Infinity", "b": -1}"#, r#"{"a": "NaN \" Infinity", "b": -1}"#),
            (r#"{"a": "x\ud83d"}"#, r#"{"a": "x\ufffd"}"#),
            (r#"{"a": "\ud83d\ude00\ude00"}"#, r#"{"a": "\ud83d\ude00\ufffd"}"#),
            (r#"{"a": "\\ud83d"}"#, r#"{"a": "\\ud83d"}"#),
            (r#"{"a": "\"#, r#"{"a": "\"#),
        ] {
            assert_eq!(String::from_utf8(repaired(text)).unwrap(), expected);
            for capacity in 1..20 {
                let mut copy = String::new();
                let source = BufReader::with_capacity(capacity, text.as_bytes());
                Repaired::new(source).read_to_string(&mut copy).unwrap();
                assert_eq!(copy, expected, "in pieces of {capacity}");
            }
        }
    }
}
