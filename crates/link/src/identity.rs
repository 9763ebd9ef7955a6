//! What must be the same on all ranks.

use crate::error::Error;
use crate::farewell::{clip, printable};
use crate::link::Peer;

/// What a rank runs: the others must run the same, or their results would mean nothing together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The program's version.
    pub version: String,
    /// Names and fingerprints of what must be equal: `("config", "5f0c..")`, `("data", "91ab..")`.
    pub parts: Vec<(String, String)>,
}

/// No identity needs more; a longer text is cut, the same way on all ranks.
const MAX_TEXT: usize = 200;

impl Identity {
    /// As texts with their lengths: host, process, version, and the names and values of the parts.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let host = host_name();
        let process = std::process::id().to_string();
        let mut bytes = Vec::new();
        let parts = self.parts.iter().flat_map(|(name, value)| [name, value]);
        for text in [&host, &process, &self.version].into_iter().chain(parts) {
            let text = clip(text, MAX_TEXT).as_bytes();
            bytes.push(text.len() as u8);
            bytes.extend_from_slice(text);
        }
        bytes
    }

    fn from_bytes(mut bytes: &[u8]) -> Option<(Peer, Self)> {
        let mut texts = Vec::new();
        while let Some((&length, rest)) = bytes.split_first() {
            let (text, rest) = rest.split_at_checked(length.into())?;
            texts.push(printable(std::str::from_utf8(text).ok()?));
            bytes = rest;
        }
        let mut texts = texts.into_iter();
        let peer = Peer { host: texts.next()?, process: texts.next()?.parse().ok()? };
        let version = texts.next()?;
        let mut parts = Vec::new();
        while let Some(name) = texts.next() {
            parts.push((name, texts.next()?));
        }
        Some((peer, Self { version, parts }))
    }

    /// Where the ranks run, if all are the same as rank 0.
    pub(crate) fn compare(hellos: &[Vec<u8>]) -> Result<Vec<Peer>, Error> {
        let read: Option<Vec<_>> = hellos.iter().map(|hello| Self::from_bytes(hello)).collect();
        let read = read.ok_or_else(|| Error::Differs("a rank says of itself what cannot be read".into()))?;
        let differences: Vec<String> =
            read.iter().enumerate().skip(1).filter_map(|(rank, theirs)| difference(rank, theirs, &read[0])).collect();
        if differences.is_empty() {
            return Ok(read.into_iter().map(|(peer, _)| peer).collect());
        }
        Err(Error::Differs(differences.join("; ")))
    }
}

/// How `rank` differs from rank 0.
fn difference(rank: usize, theirs: &(Peer, Identity), first: &(Peer, Identity)) -> Option<String> {
    let ((peer, mine), (first_peer, expected)) = (theirs, first);
    let on = |rank: usize, peer: &Peer| format!("rank {rank} on {}", peer.host);
    let (here, there) = (on(rank, peer), on(0, first_peer));
    if mine.version != expected.version {
        let (a, b) = (&mine.version, &expected.version);
        return Some(format!("{here} runs version {a} of vapo, {there} {b}: start the same program on all ranks"));
    }
    let (part, a, b) = first_difference(&mine.parts, &expected.parts)?;
    Some(format!("{here} has another {part} ({a}) than {there} ({b}): give all ranks the same"))
}

/// The name of the first part that differs, with both values.
fn first_difference(a: &[(String, String)], b: &[(String, String)]) -> Option<(String, String, String)> {
    let absent = (String::new(), "none".to_owned());
    (0..a.len().max(b.len())).find_map(|index| {
        let (a, b) = (a.get(index).unwrap_or(&absent), b.get(index).unwrap_or(&absent));
        let name = if a.0.is_empty() { &b.0 } else { &a.0 };
        (a != b).then(|| (name.clone(), a.1.clone(), b.1.clone()))
    })
}

/// This machine's name.
pub(crate) fn host_name() -> String {
    nix::unistd::gethostname()
        .ok()
        .and_then(|name| name.into_string().ok())
        .unwrap_or_else(|| "a host without a name".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(version: &str, parts: &[(&str, &str)]) -> Vec<u8> {
        let parts = parts.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        Identity { version: version.into(), parts }.to_bytes()
    }

    #[test]
    fn every_rank_that_differs_is_named_with_what_differs() {
        let first = identity("1.0", &[("config", "aa"), ("data", "bb")]);
        assert_eq!(Identity::compare(&[first.clone(), first.clone()]).map(|peers| peers.len()).ok(), Some(2));
        let hellos = [
            first.clone(),
            identity("1.1", &[("config", "aa"), ("data", "bb")]),
            identity("1.0", &[("config", "aa"), ("data", "cc")]),
            identity("1.0", &[("config", "aa")]),
        ];
        let message = Identity::compare(&hellos).expect_err("three differ").to_string();
        let host = host_name();
        let expected = format!(
            "rank 1 on {host} runs version 1.1 of vapo, rank 0 on {host} 1.0: start the same program on all ranks; \
             rank 2 on {host} has another data (cc) than rank 0 on {host} (bb): give all ranks the same; \
             rank 3 on {host} has another data (none) than rank 0 on {host} (bb): give all ranks the same"
        );
        assert_eq!(message, expected);
    }

    #[test]
    fn what_is_no_identity_is_refused() {
        let good = identity("1.0", &[]);
        for bad in [&b""[..], b"\x05ab", b"\x01a\x01b\x01c", &good[..good.len() - 1], b"\x02\xff\xff"] {
            assert!(Identity::compare(&[good.clone(), bad.to_vec()]).is_err(), "{bad:?}");
        }
    }
}
