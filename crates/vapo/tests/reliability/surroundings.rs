//! Runs whose output or directory goes away, and records that were damaged.

use std::{fs, io::Write, process::Stdio};

use crate::run::{Place, Session, TINY, VAPO, difference};

/// Standard output and standard error of a terminal or a pipe that was closed.
fn nobody() -> Stdio {
    let (_, writer) = std::io::pipe().unwrap();
    writer.into()
}

#[test]
fn a_run_whose_output_nobody_reads_goes_on() {
    let root = tempfile::tempdir().unwrap();
    let [read, unread] = ["read", "unread"].map(|name| Place::new(root.path().join(name), &TINY));
    assert!(read.start(1).wait().success());
    let mut command = unread.command(1);
    // A setting that is warned of, because nothing uses it.
    command.args(["--set", "algorithm.overlong_penalty=0.25"]);
    assert!(command.stdout(nobody()).stderr(nobody()).status().unwrap().success());
    assert_eq!(difference(&read.outcome(), &unread.outcome()), None);

    fs::write(unread.path.join("config.toml"), "nonsense").unwrap();
    let status = unread.command(1).stdout(nobody()).stderr(nobody()).status().unwrap();
    assert_eq!(status.code(), Some(1), "an error is an error, even if nobody reads it");
}

#[test]
fn a_run_whose_directory_was_moved_away_ends_and_goes_on_at_its_new_place() {
    let root = tempfile::tempdir().unwrap();
    let [whole, old, new] = ["whole", "old", "new"].map(|name| Place::new(root.path().join(name), &VAPO));
    assert!(whole.start(1).wait().success());
    let mut session = old.start(1);
    let metrics = old.path.join("metrics.jsonl");
    assert_eq!(session.ended_before(|| fs::read_to_string(&metrics).is_ok_and(|text| text.lines().count() > 1)), None);
    fs::rename(&old.path, &new.path).unwrap();
    let (status, printed) = (session.wait(), session.printed());
    assert_eq!(status.code(), Some(1), "{printed}");
    assert!(printed.contains(old.path.to_str().unwrap()) && printed.contains("No such file or directory"), "{printed}");
    assert!(!old.path.exists(), "a directory in place of the one that was moved");
    let mut resumed = new.start(2);
    assert!(resumed.wait().success(), "{}", resumed.printed());
    assert_eq!(difference(&whole.outcome(), &new.outcome()), None);
}

#[test]
fn damaged_lines_of_metrics_are_named_and_cost_no_other_line() {
    let root = tempfile::tempdir().unwrap();
    let place = Place::new(root.path().join("run"), &VAPO);
    assert!(place.start(1).wait().success());
    let path = place.path.join("metrics.jsonl");
    let metrics = fs::read(&path).unwrap();
    let lines: Vec<&[u8]> = metrics.split_inclusive(|byte| *byte == b'\n').collect();
    let damaged = [lines[0], &lines[1][..20], b"\n\xFF\xFE{\n", &lines[3..].concat()].concat();
    fs::write(&path, damaged).unwrap();
    fs::OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"training/glo").unwrap();

    let resumed = || Session::start(place.command(1), place.path.with_extension("log"));
    let mut first = resumed();
    assert!(first.wait().success(), "{}", first.printed());
    assert!(first.printed().contains("the rows of 2 steps"), "{}", first.printed());
    assert!(first.printed().contains("(damaged lines: 2, 3)"), "{}", first.printed());
    let left = fs::read(&path).unwrap();
    let left: Vec<&[u8]> = left.split_inclusive(|byte| *byte == b'\n').collect();
    // The last row is written again, from the checkpoint.
    assert_eq!((left.len(), &left[1..left.len() - 1]), (lines.len() - 2, &lines[3..lines.len() - 1]));
    let mut second = resumed();
    assert!(second.wait().success(), "{}", second.printed());
}
