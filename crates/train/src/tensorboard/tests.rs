use std::{
    fs,
    path::{Path, PathBuf},
};

use prost::Message;

use super::{
    EventCheck, EventFile, Histogram, Part, cut,
    event::{Event, Value},
    event_files, events,
    reader::file_name,
    record, tags,
};
use crate::metrics::{Row, keys};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes that TensorBoard's own `RecordWriter` and protocol buffers give (2.21).
#[test]
fn records_have_the_bytes_of_other_writers() {
    let scalar = Value { tag: "a".into(), simple_value: Some(0.5), ..Value::default() };
    for (event, expected) in [
        (Event::version(), "1800000000000000a37f4b2209000000000000f83f1a0d627261696e2e4576656e743a322a28646c"),
        (Event::of(3, vec![scalar]), "1700000000000000e7cef81e09000000000000f83f10032a0a0a080a0161150000003fde5768cd"),
    ] {
        let mut bytes = Vec::new();
        record::append(&Event { wall_time: 1.5, ..event }.encode_to_vec(), &mut bytes);
        assert_eq!(hex(&bytes), expected);
    }
}

fn row(step: u64) -> Row {
    let mut row = Row::new(step);
    row.number(keys::ENTROPY, 0.25 + step as f64);
    row.number(keys::POLICY_LOSS, None);
    row
}

/// What a session writes of a step that it evaluates.
fn add_step(file: &mut EventFile, step: u64) {
    let histogram = Histogram::of([step as f64].into_iter()).unwrap();
    file.add(step, vec![Value::histogram(tags::ADVANTAGE, histogram)]);
    file.add(step, vec![Value::text(tags::HELD_OUT_WRONG, "**wrong**".into())]);
    file.write_row(&row(step)).unwrap();
}

/// A session from the step after `steps` to `last`.
fn session(directory: &Path, steps: u64, last: u64) {
    let mut file = EventFile::new(directory.into(), steps);
    (steps + 1..=last).for_each(|step| add_step(&mut file, step));
    file.sync().unwrap();
}

fn parts(directory: &Path) -> Vec<(i64, Part)> {
    events(directory).unwrap().iter().map(|event| (event.step, event.part().unwrap())).collect()
}

fn whole(steps: std::ops::RangeInclusive<i64>) -> Vec<(i64, Part)> {
    steps.flat_map(|step| [Part::Rollouts, Part::Evaluation, Part::Row].map(|part| (step, part))).collect()
}

fn paths(directory: &Path) -> Vec<PathBuf> {
    event_files(directory).unwrap().into_iter().map(|(_, path)| path).collect()
}

#[test]
fn sessions_write_one_file_each_in_the_order_of_their_names() {
    let root = tempfile::tempdir().unwrap();
    let directory = root.path();
    EventFile::new(directory.into(), 0).sync().unwrap();
    assert!(paths(directory).is_empty(), "a session without a step has no file");
    // The clock was ahead.
    fs::write(directory.join(file_name(4_000_000_000)), "").unwrap();
    session(directory, 0, 2);
    session(directory, 2, 3);
    let names: Vec<_> = paths(directory).into_iter().map(|path| path.file_name().unwrap().to_owned()).collect();
    assert_eq!(
        names,
        [0, 1, 2].map(|n| format!("events.out.tfevents.400000000{n}.vapo")).map(std::ffi::OsString::from)
    );
    assert_eq!(parts(directory), whole(1..=3));
    let last = events(directory).unwrap().pop().unwrap().summary.unwrap().value;
    let numbers: Vec<_> = last.iter().map(|value| (value.tag.as_str(), value.simple_value)).collect();
    assert_eq!(numbers, [("training/global_step", Some(3.0)), ("actor/entropy", Some(3.25))], "no value, no scalar");
}

#[test]
fn what_a_resumed_run_writes_again_is_removed() {
    let evaluated = |step| {
        let mut row = row(step);
        row.number(keys::TIMING_EVALUATION, 1.0);
        row
    };
    let cases: [(u64, Option<Row>, &[Part]); 4] = [
        (2, None, &[Part::Rollouts, Part::Evaluation, Part::Row]),
        (2, Some(evaluated(2)), &[Part::Rollouts, Part::Evaluation]),
        (2, Some(row(2)), &[Part::Rollouts]),
        (0, Some(row(0)), &[]),
    ];
    for (step, pending, of_step) in cases {
        let root = tempfile::tempdir().unwrap();
        let directory = root.path();
        session(directory, 0, 1);
        session(directory, 1, 3);
        session(directory, 3, 4);
        assert_eq!(cut(directory, step, pending.as_ref()).unwrap(), [""; 0]);
        let step = step.cast_signed();
        let expected = [whole(1..=step - 1), of_step.iter().map(|part| (step, *part)).collect()].concat();
        assert_eq!(parts(directory), expected);
        assert_eq!(paths(directory).len(), if step == 0 { 0 } else { 2 }, "no file without values is left");
        assert_eq!(cut(directory, step.cast_unsigned(), pending.as_ref()).unwrap(), [""; 0]);
        assert_eq!(parts(directory), expected, "nothing more to cut");
    }
}

#[test]
fn half_a_record_is_cut_and_a_damaged_one_with_a_warning() {
    let root = tempfile::tempdir().unwrap();
    let directory = root.path();
    session(directory, 0, 3);
    let [path] = paths(directory).try_into().unwrap();
    let bytes = fs::read(&path).unwrap();
    let mut whole_file = EventCheck::default();
    assert!(!whole_file.follow(&path).unwrap());
    assert_eq!(whole_file.steps, [1, 2, 3]);

    fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
    assert!(EventCheck::default().follow(&path).unwrap());
    assert_eq!(cut(directory, 3, None).unwrap(), [""; 0]);
    assert_eq!(parts(directory), whole(1..=3)[..8]);
    assert!(!EventCheck::default().follow(&path).unwrap(), "it is gone");

    // In the data of the last record, in its length, and on a disk that lost power, zeros.
    let last = bytes.len() - fs::metadata(&path).unwrap().len() as usize;
    let start = bytes.len() - last;
    for (place, problem) in [(bytes.len() - 5, "data"), (start, "a length")] {
        let mut damaged = bytes.clone();
        damaged[place] ^= 1;
        fs::write(&path, &damaged).unwrap();
        let beginning = format!("{}: the record at byte {start} has ", path.display());
        let error = EventCheck::default().follow(&path).unwrap_err().to_string();
        assert_eq!(error, format!("{beginning}{problem} of another checksum"));
        assert_eq!(events(directory).unwrap_err().to_string(), error);
        let warnings = cut(directory, 9, None).unwrap();
        assert!(warnings[0].starts_with(&error) && warnings.len() == 1, "{warnings:?}");
        assert_eq!(fs::read(&path).unwrap(), bytes[..start]);
    }
}

/// A changed bit is damage or the end of the file; what comes before is read, and nothing panics.
#[test]
fn no_changed_bit_is_taken_for_a_value() {
    let root = tempfile::tempdir().unwrap();
    let directory = root.path();
    session(directory, 0, 1);
    let [path] = paths(directory).try_into().unwrap();
    let (bytes, expected) = (fs::read(&path).unwrap(), events(directory).unwrap());
    for place in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[place] ^= 1 << (place % 8);
        fs::write(&path, &damaged).unwrap();
        match events(directory) {
            Ok(found) => assert!(found.len() < expected.len() && found == expected[..found.len()], "byte {place}"),
            Err(error) => assert!(error.to_string().contains("the record at byte "), "{error}"),
        }
    }
}

#[test]
fn repeated_steps_and_other_files_are_found() {
    let root = tempfile::tempdir().unwrap();
    let directory = root.path();
    session(directory, 0, 2);
    session(directory, 1, 2);
    let (paths, mut check) = (paths(directory), EventCheck::default());
    assert!(!check.follow(&paths[0]).unwrap());
    let error = check.follow(&paths[1]).unwrap_err().to_string();
    assert!(error.ends_with(" has the rollouts of step 2 after the row of step 2"), "{error}");

    let mut headless = Vec::new();
    record::append(&Event::start(1).encode_to_vec(), &mut headless);
    fs::write(&paths[0], &headless).unwrap();
    let error = EventCheck::default().follow(&paths[0]).unwrap_err().to_string();
    assert!(error.ends_with("byte 0 is not the version of the format, with which a file begins"), "{error}");
    headless.clear();
    record::append(b"\xff", &mut headless);
    fs::write(&paths[0], &headless).unwrap();
    let error = EventCheck::default().follow(&paths[0]).unwrap_err().to_string();
    assert!(error.ends_with("the record at byte 0 is no event"), "{error}");
}

#[test]
fn a_file_that_cannot_be_made_is_named() {
    let root = tempfile::tempdir().unwrap();
    let missing = root.path().join("missing");
    let error = EventFile::new(missing.clone(), 0).write_row(&row(1)).unwrap_err().to_string();
    assert!(error.starts_with(&format!("cannot create {}", missing.join("events.out.tfevents.").display())), "{error}");
}
