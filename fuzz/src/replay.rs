//! Every target on its corpus and on mutations of it.

use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::{TARGETS, run};

/// Time for the mutations of each target's corpus.
const MUTATIONS: Duration = Duration::from_millis(1500);
/// A mutation makes an input at most this much longer, in bytes.
const LONGEST: usize = 64;

#[test]
fn the_corpus_and_mutations_of_it() {
    let failures: Vec<String> = TARGETS.iter().filter_map(|(name, _)| replay(name).err()).collect();
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// A target's first failure.
fn replay(name: &str) -> Result<(), String> {
    let corpus: Vec<Vec<u8>> = files(name).iter().map(|path| fs::read(path).unwrap()).collect();
    assert!(!corpus.is_empty(), "{name} has no corpus");
    corpus.iter().try_for_each(|input| check(name, input))?;
    let (begun, mut random, mut count) = (Instant::now(), Random(1), 0);
    while begun.elapsed() < MUTATIONS {
        check(name, &random.mutation(&corpus))?;
        count += 1;
    }
    println!("{name}: {} inputs, {count} mutations", corpus.len());
    Ok(())
}

#[test]
fn every_target_has_a_program() {
    let programs = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz_targets");
    let mut programs: Vec<String> =
        fs::read_dir(programs).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    programs.sort();
    let targets: Vec<String> = TARGETS.iter().map(|(name, _)| format!("{name}.rs")).collect();
    assert_eq!(programs, targets);
}

/// The files of a target's corpus, always in the same order.
fn files(name: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(name);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// Runs a target; an input that fails is kept in a file.
fn check(name: &str, input: &[u8]) -> Result<(), String> {
    catch_unwind(|| run(name, input)).map_err(|_| {
        let path = std::env::temp_dir().join(format!("vapo-fuzz-{name}"));
        fs::write(&path, input).unwrap();
        format!("{name} fails on the {} bytes that are now in {}", input.len(), path.display())
    })
}

/// Random numbers (SplitMix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, end: usize) -> usize {
        (self.next() % end.max(1) as u64) as usize
    }

    /// An input with one to four changes, each a flipped bit, another byte, or a piece removed, or taken from any input.
    fn mutation(&mut self, corpus: &[Vec<u8>]) -> Vec<u8> {
        let mut input = corpus[self.below(corpus.len())].clone();
        for _ in 0..1 + self.below(4) {
            let at = self.below(input.len());
            let end = at + self.below(LONGEST.min(input.len() - at));
            match self.below(4) {
                0 if !input.is_empty() => input[at] ^= 1 << self.below(8),
                1 if !input.is_empty() => input[at] = self.next() as u8,
                2 => drop(input.drain(at..end)),
                _ => {
                    let other = &corpus[self.below(corpus.len())];
                    let from = self.below(other.len());
                    let length = self.below(LONGEST.min(other.len() - from) + 1);
                    input.splice(at..at, other[from..from + length].iter().copied());
                }
            }
        }
        input
    }
}
