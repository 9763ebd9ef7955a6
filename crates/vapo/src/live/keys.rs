//! Keys of the live screen.

/// What a key does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Key {
    /// The next answer.
    Next,
    Previous,
    /// Scrolls the answer.
    Down,
    Up,
    /// Colors the answer by the next quantity.
    Quantity,
    /// Keeps the answer, or no longer.
    Hold,
    /// Leaves the screen; the run goes on with lines.
    Leave,
    /// Draws everything again.
    Redraw,
}

impl Key {
    /// The first key in what a terminal has sent, and how many bytes it is. Other keys do nothing.
    pub(crate) fn first(bytes: &[u8]) -> (Option<Self>, usize) {
        match bytes {
            // Cursor keys, in both modes of a keypad.
            [0x1b, b'[' | b'O', end, ..] if end.is_ascii_alphabetic() => {
                let key = match end {
                    b'A' => Some(Self::Up),
                    b'B' => Some(Self::Down),
                    b'C' => Some(Self::Next),
                    b'D' => Some(Self::Previous),
                    _ => None,
                };
                (key, 3)
            }
            // Any other sequence up to its final byte: a key with a number, or with a modifier.
            [0x1b, b'[', rest @ ..] => {
                let end = rest.iter().position(|byte| (0x40..=0x7e).contains(byte));
                (None, end.map_or(bytes.len(), |end| end + 3))
            }
            [0x1b] | [b'q' | b'Q', ..] => (Some(Self::Leave), 1),
            // A key together with Alt.
            [0x1b, _, ..] => (None, 2),
            [b'\t', ..] => (Some(Self::Quantity), 1),
            [b' ', ..] => (Some(Self::Hold), 1),
            [0x0c, ..] => (Some(Self::Redraw), 1),
            _ => (None, 1),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(mut bytes: &[u8]) -> Vec<Key> {
        let mut found = Vec::new();
        while !bytes.is_empty() {
            let (key, length) = Key::first(bytes);
            found.extend(key);
            bytes = &bytes[length..];
        }
        found
    }

    #[test]
    fn keys_are_read_from_what_terminals_send() {
        assert_eq!(keys(b"\x1b[C\x1bOD\t q"), [Key::Next, Key::Previous, Key::Quantity, Key::Hold, Key::Leave]);
        assert_eq!(keys(b"\x1b[B\x1b[A\x0c"), [Key::Down, Key::Up, Key::Redraw]);
        assert_eq!(keys(b"\x1b"), [Key::Leave], "Esc alone");
        assert_eq!(keys(b"x\x1b[3~\x1b[1;5C\x1b[Z\x1b[200~\x1bq\xff\x1b["), [], "unknown keys and halves of sequences");
    }
}
