//! The last words of a rank, and text that comes from another process.

/// A farewell's size on the wire, and what of it is text.
pub(crate) const FAREWELL_BYTES: usize = 512;
const HEAD: usize = 16;
const TEXT_BYTES: usize = FAREWELL_BYTES - HEAD;

/// The last words of a rank.
#[derive(Debug, Clone, PartialEq)]
pub struct Farewell {
    /// Who speaks.
    pub from: usize,
    /// Whom it is about.
    pub about: usize,
    /// What happened to `about`.
    pub reason: Reason,
    /// What `about` did, or the cause in words.
    pub text: String,
}

/// Why a rank gives up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// It waited too long for another one; the text is the stage.
    Waited,
    /// Another one ended without a word; the text is the stage.
    Ended,
    /// The rank itself cannot go on, or talking to it failed; the text is the cause.
    Failed,
    /// Nothing: the job is complete.
    Done,
}

const REASONS: [Reason; 4] = [Reason::Waited, Reason::Ended, Reason::Failed, Reason::Done];

impl Farewell {
    /// As `[from u32][about u32][reason u32][length u32][text]`, padded with zeros.
    pub(crate) fn to_bytes(&self) -> [u8; FAREWELL_BYTES] {
        let text = clip(&self.text, TEXT_BYTES);
        let mut bytes = [0; FAREWELL_BYTES];
        let head = [self.from as u32, self.about as u32, self.reason as u32, text.len() as u32];
        for (place, number) in bytes.chunks_exact_mut(4).zip(head) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        bytes[HEAD..HEAD + text.len()].copy_from_slice(text.as_bytes());
        bytes
    }

    /// Reads what one of `size` ranks wrote with [`to_bytes`](Self::to_bytes); `None` for anything else.
    pub(crate) fn from_bytes(bytes: &[u8; FAREWELL_BYTES], size: usize) -> Option<Self> {
        let mut head =
            bytes.chunks_exact(4).map(|four| u32::from_le_bytes([four[0], four[1], four[2], four[3]]) as usize);
        let (from, about, reason, length) = (head.next()?, head.next()?, head.next()?, head.next()?);
        if from >= size || about >= size {
            return None;
        }
        let text = std::str::from_utf8(bytes.get(HEAD..HEAD.checked_add(length)?)?).ok()?;
        Some(Self { from, about, reason: *REASONS.get(reason)?, text: printable(text) })
    }
}

/// The longest beginning of `text` that has at most `limit` bytes.
pub(crate) fn clip(text: &str, limit: usize) -> &str {
    let end = (0..=limit.min(text.len())).rev().find(|&end| text.is_char_boundary(end));
    &text[..end.unwrap_or(0)]
}

/// Control characters would let another process write anything on this one's terminal.
pub(crate) fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_farewell_survives_the_wire_and_noise_does_not_panic() {
        let long = Farewell { from: 3, about: 7, reason: Reason::Failed, text: "\u{1b}[2J disk full ".repeat(100) };
        let read = Farewell::from_bytes(&long.to_bytes(), 8).expect("what was written can be read");
        assert_eq!((read.from, read.about, read.reason), (3, 7, Reason::Failed));
        assert!(read.text.starts_with(" [2J disk full") && read.text.len() > 400, "{}", read.text);
        assert_eq!(Farewell::from_bytes(&[0xff; FAREWELL_BYTES], 8), None);
        assert_eq!(Farewell::from_bytes(&long.to_bytes(), 7), None, "rank 7 of 7");
    }
}
