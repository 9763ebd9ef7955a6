//! The word that a browser must know where other machines reach the server.

use sha2::{Digest, Sha256};

use crate::error::{Error, Result};

/// Bytes of a random token: more than anybody can try.
const RANDOM_BYTES: usize = 16;
/// A shorter one could be guessed.
const MIN_CHARACTERS: usize = 8;
const MAX_CHARACTERS: usize = 200;

/// A token that opens the server.
#[derive(Clone, Debug)]
pub(crate) struct Token(String);

impl Token {
    /// A token from the system's random numbers.
    pub(crate) fn random() -> Result<Self> {
        let mut bytes = [0; RANDOM_BYTES];
        let system = |error: getrandom::Error| Error::System {
            action: "make a token",
            source: std::io::Error::other(error.to_string()),
        };
        getrandom::fill(&mut bytes).map_err(system)?;
        Ok(Self(bytes.iter().map(|byte| format!("{byte:02x}")).collect()))
    }

    /// A chosen token, which must do without escapes in a URL and in a cookie.
    pub(crate) fn chosen(text: &str) -> Result<Self> {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || "-._~".contains(c);
        if !(MIN_CHARACTERS..=MAX_CHARACTERS).contains(&text.len()) || !text.chars().all(is_plain) {
            return Err(Error::Token(format!(
                "the token has {} characters, expected {MIN_CHARACTERS} to {MAX_CHARACTERS} of A-Z a-z 0-9 - . _ ~ (--token random makes one)",
                text.chars().count()
            )));
        }
        Ok(Self(text.to_owned()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether somebody else's word is the token. The time that this takes says nothing about how much of it is right: every
    /// byte is compared, and what is compared are digests.
    pub(crate) fn is(&self, word: &str) -> bool {
        let pairs = Sha256::digest(&self.0).into_iter().zip(Sha256::digest(word));
        let difference = pairs.fold(0, |difference, (a, b)| difference | (a ^ b));
        std::hint::black_box(difference) == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_tokens_are_long_and_differ() {
        let [a, b] = [(); 2].map(|()| Token::random().unwrap());
        assert_eq!(a.as_str().len(), 2 * RANDOM_BYTES);
        assert_ne!(a.as_str(), b.as_str());
        assert!(Token::chosen(a.as_str()).is_ok());
    }

    #[test]
    fn only_the_whole_word_is_the_token() {
        let token = Token::chosen("correct-horse").unwrap();
        assert!(token.is("correct-horse"));
        for wrong in ["", "correct-hors", "correct-horse ", "Correct-horse", "correct-horsf", "dorrect-horse"] {
            assert!(!token.is(wrong), "{wrong}");
        }
    }

    #[test]
    fn a_token_fits_into_a_url() {
        for bad in ["", "short12", "with space", "semicolon;", "per%20cent", "ümlaut-token", &"x".repeat(201)] {
            let error = Token::chosen(bad).unwrap_err().to_string();
            assert!(error.contains("expected 8 to 200"), "{bad}: {error}");
        }
    }
}
