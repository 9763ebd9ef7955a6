//! Data files as people have them.

use std::{
    io::Write,
    path::{Path, PathBuf},
};

use flate2::{Compression, write::GzEncoder};
use vapo_tasks::{DataOptions, Dataset, Problem, Reward, Verifier};

fn load(name: &str, bytes: &[u8]) -> Result<Dataset, String> {
    load_for(name, bytes, Verifier::Exact { marker: None })
}

fn load_for(name: &str, bytes: &[u8], verifier: Verifier) -> Result<Dataset, String> {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    read(&path, verifier)
}

fn read(path: &Path, verifier: Verifier) -> Result<Dataset, String> {
    let directory = format!("{}/", path.parent().unwrap().display());
    Dataset::load(path, &DataOptions::default(), &Reward::try_from(verifier).unwrap())
        .map_err(|error| error.to_string().replace(&directory, ""))
}

fn pairs(set: &Dataset) -> Vec<(&str, &str)> {
    set.problems.iter().map(|problem: &Problem| (problem.prompt.as_str(), problem.answer.as_str())).collect()
}

fn packed(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

const TABLE: &str = "problem,answer,level\n\"What is 1, and 1?\",2,3\n\"two\nlines \"\"quoted\"\"\",3/2,\n";

#[test]
fn tables_are_read() {
    let expected = [("What is 1, and 1?", "2"), ("two\nlines \"quoted\"", "3/2")];
    for (name, text, layout) in [
        ("a.csv", TABLE.to_owned(), "CSV, plain schema: `problem`, `answer`"),
        (
            "a.CSV",
            format!("\u{feff}{}", TABLE.replace('\n', "\r\n").replace("two\r\n", "two\n")),
            "CSV, plain schema: `problem`, `answer`",
        ),
        (
            "a.tsv",
            "problem\tanswer\nWhat is 1, and 1?\t2\n\"two\nlines \"\"quoted\"\"\"\t3/2\n".to_owned(),
            "TSV, plain schema: `problem`, `answer`",
        ),
    ] {
        let set = load(name, text.as_bytes()).unwrap();
        assert_eq!((pairs(&set), set.layout.as_str()), (expected.to_vec(), layout), "{name}");
    }
    let set = load("a.csv.gz", &packed(TABLE.as_bytes())).unwrap();
    assert_eq!(pairs(&set), expected);
    assert_eq!(set.problems[0].extra["level"], "3");
    let error = load("a.csv", b"problem,answer\np,1\nq,2,3\n").unwrap_err();
    assert_eq!(
        error,
        "a.csv, row 3: 3 fields, expected 2 as in the first line (quote fields that contain the delimiter)"
    );
    assert_eq!(load("a.csv", b"problem,problem\np,1\n").unwrap_err(), "a.csv: two columns are named \"problem\"");
    assert!(load("a.csv", b"problem,answer\n\xFFp,1\n").unwrap_err().starts_with("a.csv, row 2: not UTF-8"));
    assert_eq!(load("a.csv", b"").unwrap_err(), "a.csv holds no problems (rows read: 0)");
}

#[test]
fn packed_texts_are_read() {
    let lines = b"{\"prompt\": \"p\", \"answer\": \"1\"}\n{\"prompt\": \"q\", \"answer\": \"2\"}\n";
    let document = br#"{"data": [{"prompt": "p", "answer": "1"}, {"prompt": "q", "answer": "2"}]}"#;
    for (name, bytes, format) in [("a.jsonl.gz", &lines[..], "JSONL"), ("a.json.gz", document, "JSON")] {
        let set = load(name, &packed(bytes)).unwrap();
        assert_eq!(pairs(&set), [("p", "1"), ("q", "2")]);
        assert!(set.layout.starts_with(&format!("{format}, ")), "{}", set.layout);
    }
    let damaged = &packed(lines)[..30];
    assert!(load("a.jsonl.gz", damaged).unwrap_err().starts_with("cannot read a.jsonl.gz: "));
}

#[test]
fn what_python_writes_is_read() {
    let line = r#"{"problem": "p\ud83d", "answer": "1", "score": NaN}"#;
    let expected = [("p\u{fffd}", "1")];
    assert_eq!(pairs(&load("a.jsonl", line.as_bytes()).unwrap()), expected);
    assert_eq!(pairs(&load("a.json", format!("[{line}]").as_bytes()).unwrap()), expected);
}

#[test]
fn answers_and_messages_have_several_forms() {
    for (row, answer) in [
        (r#"{"prompt": "p", "answer": true}"#, "true"),
        (r#"{"prompt": "p", "answer": ["3/2"]}"#, "3/2"),
        (r#"{"prompt": "p", "answer": [7]}"#, "7"),
        (r#"{"prompt": "p", "label": "7"}"#, "7"),
        (r#"{"Problem": "p", "Answer": "7"}"#, "7"),
        (r#"{"messages": [{"role": "user", "content": "p"}], "label": "7"}"#, "7"),
        (r#"{"prompt": "[{\"role\": \"user\", \"content\": \"p\"}]", "label": "7"}"#, "7"),
    ] {
        assert_eq!(pairs(&load("a.jsonl", row.as_bytes()).unwrap()), [("p", answer)], "{row}");
    }
    let text = r#"{"prompt": "[{\"role\": \"system\", \"content\": \"s\"}, {\"role\": \"user\", \"content\": \"p\"}]", "answer": "7"}"#;
    let set = load("a.jsonl", text.as_bytes()).unwrap();
    assert_eq!(set.problems[0].context.as_ref().unwrap()[0].content, "s");
    assert!(set.layout.contains("(messages, written as JSON in a text)"), "{}", set.layout);
    // A list that is no conversation stays a text.
    let set = load("a.jsonl", br#"{"prompt": "[1, 2, 3]", "answer": "6"}"#).unwrap();
    assert_eq!(pairs(&set), [("[1, 2, 3]", "6")]);
}

#[test]
fn an_object_is_an_answer_for_external_verifiers_only() {
    let row =
        br#"{"prompt": "p", "reward_model": {"style": "rule", "ground_truth": {"target": 24, "numbers": [1, 2]}}}"#;
    let http =
        Verifier::Http { url: "http://127.0.0.1:9/".into(), parallel: 1, timeout: 1.0, retries: 0, range: [0.0, 1.0] };
    let set = load_for("a.jsonl", row, http).unwrap();
    assert_eq!(set.problems[0].answer, r#"{"target":24,"numbers":[1,2]}"#);
    assert_eq!(set.problems[0].answer_value.as_ref().unwrap()["target"], 24);
    let error = load("a.jsonl", row).unwrap_err();
    assert!(error.contains("field `reward_model.ground_truth` is an object, expected a string"), "{error}");
}

#[test]
fn files_that_are_not_read_say_what_they_are() {
    for (name, bytes, words) in [
        (
            "a.parquet",
            &b"version https://git-lfs.github.com/spec/v1\noid sha256:00ab\nsize 123\n"[..],
            "is a git-lfs pointer to a file of 123 bytes: fetch it with `git lfs pull`",
        ),
        ("a.jsonl", b"\xFF\xFE{\0}\0", "is UTF-16, expected UTF-8: convert it with `iconv"),
        ("a.feather", b"FEA1", "is a Feather file of version 1: write it again with"),
        ("a.arrow", &packed(b"ARROW1\0\0"), "is an Arrow file in gzip: unpack it"),
        ("a.arrow", b"\xFF\xFF\xFF\xFF\x10\0\0\0", "Arrow: damaged"),
        ("a.xlsx", b"PK\x03\x04", "is a ZIP archive or a spreadsheet"),
        ("a.jsonl.zst", b"\x28\xB5\x2F\xFD\0", "is compressed with zstd, expected gzip or no compression"),
    ] {
        let error = load(name, bytes).unwrap_err();
        assert!(error.starts_with(&format!("{name}: {words}")), "{error}");
    }
    let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00ab\nsize 123\n";
    assert!(load("a.csv", pointer).unwrap_err().contains("is a git-lfs pointer"));

    let directory = tempfile::tempdir().unwrap();
    let exact = || Verifier::Exact { marker: None };
    let problem = |words: &str| {
        let error = read(directory.path(), exact()).unwrap_err();
        assert!(error.ends_with(words), "{error}");
    };
    problem("is a directory without data files, expected a file");
    std::fs::write(directory.path().join("train-00000.parquet"), b"PAR1").unwrap();
    problem("is a directory, expected a file, for example train-00000.parquet");
    std::fs::write(directory.path().join("state.json"), br#"{"_data_files": [{"filename": "../a.arrow"}]}"#).unwrap();
    problem("its state.json names \"../a.arrow\", expected files of the directory itself");
}

fn arrow(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/arrow").join(name)
}

#[test]
fn arrow_files_are_read() {
    for name in ["stream.arrow", "file.arrow", "lz4.feather", "zstd.feather", "uncompressed.feather"] {
        let set = read(&arrow(name), Verifier::Exact { marker: None }).unwrap();
        assert_eq!(set.layout, "Arrow, verl schema: `prompt` (messages), `reward_model.ground_truth`", "{name}");
        let expected: Vec<_> = (0..6).map(|n| (format!("Solve: what is {n} + 7? é東"), (n + 7).to_string())).collect();
        let found: Vec<_> = pairs(&set).into_iter().map(|(prompt, answer)| (prompt.into(), answer.into())).collect();
        assert_eq!(found, expected, "{name}");
        assert_eq!(set.problems[3].context.as_ref().unwrap()[0].content, "Be brief.");
        assert_eq!((set.problems[4].data_source.as_str(), set.problems[5].data_source.as_str()), ("math_dapo", "sums"));
        assert_eq!(set.problems[5].origin.as_ref().unwrap().row, 6);
        let limited = DataOptions { limit: Some(5), ..DataOptions::default() };
        let reward = Reward::try_from(Verifier::Exact { marker: None }).unwrap();
        assert_eq!(Dataset::load(&arrow(name), &limited, &reward).unwrap().rows, 5);
    }
}

#[test]
fn every_arrow_type_is_read_as_pyarrow_reads_it() {
    let set = read(&arrow("types.feather"), Verifier::Exact { marker: None }).unwrap();
    let rows = std::fs::read_to_string(arrow("rows.json")).unwrap();
    let rows: Vec<serde_json::Map<String, serde_json::Value>> = serde_json::from_str(&rows).unwrap();
    assert_eq!(set.problems.len(), rows.len());
    for (problem, mut row) in set.problems.iter().zip(rows) {
        assert_eq!(row.remove("prompt").unwrap(), problem.prompt);
        assert_eq!(row.remove("answer").unwrap().to_string(), problem.answer);
        assert_eq!(problem.extra, row);
    }
}

#[test]
fn directories_of_the_datasets_library_are_read() {
    let exact = || Verifier::Exact { marker: None };
    let set = read(&arrow("saved"), exact()).unwrap();
    assert_eq!(pairs(&set)[3], ("What is 3 - 1?", "2"));
    let places: Vec<_> = set.problems.iter().map(|problem| problem.origin.as_ref().unwrap().row).collect();
    assert_eq!((places, set.problems[0].data_source.as_str()), (vec![1, 2, 3, 4], "saved"));
    let error = read(&arrow("splits"), exact()).unwrap_err();
    assert!(error.contains("is a directory of several splits, expected one of them: \""), "{error}");
    assert!(error.ends_with("splits/test\"") && error.contains("splits/train\", "), "{error}");
    assert_eq!(pairs(&read(&arrow("splits/test"), exact()).unwrap()), [("What is 0 - 1?", "-1")]);
}

#[test]
fn damaged_arrow_files_are_read_or_refused() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a.arrow");
    let (mut refused, mut loaded) = (0, 0);
    let mut tried = |bytes: &[u8]| {
        std::fs::write(&path, bytes).unwrap();
        match read(&path, Verifier::Exact { marker: None }) {
            Ok(_) => loaded += 1,
            Err(_) => refused += 1,
        }
    };
    for name in ["stream.arrow", "zstd.feather", "lz4.feather", "types.feather"] {
        let whole = std::fs::read(arrow(name)).unwrap();
        for at in (0..whole.len()).step_by(11) {
            for byte in [1, 0xFF] {
                let mut bytes = whole.clone();
                bytes[at] = byte;
                tried(&bytes);
            }
        }
        (0..whole.len()).step_by(50).for_each(|length| tried(&whole[..length]));
    }
    let whole = std::fs::read(arrow("stream.arrow")).unwrap();
    for length in [whole.len() - 9, whole.len() - 6, whole.len() - 3, whole.len() - 1] {
        let error = load("a.arrow", &whole[..length]).unwrap_err();
        assert_eq!(error, "a.arrow: Arrow: ends too early", "{length} of {} bytes", whole.len());
    }
    assert!(refused > 300 && loaded > 300, "{refused} refused, {loaded} loaded");
}

#[test]
fn what_an_arrow_file_claims_is_limited() {
    let whole = std::fs::read(arrow("zstd.feather")).unwrap();
    // The unpacked length precedes each buffer.
    let frame = whole.windows(4).position(|bytes| bytes == [0x28, 0xB5, 0x2F, 0xFD]).unwrap();
    let mut bytes = whole.clone();
    bytes[frame - 8..frame].copy_from_slice(&(1_i64 << 40).to_le_bytes());
    let error = load("a.arrow", &bytes).unwrap_err();
    assert!(error.contains("the buffers of a batch claim more than"), "{error}");
    bytes = b"\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x7F".to_vec();
    assert!(load("a.arrow", &bytes).unwrap_err().contains("a message of 2147483647 bytes"));
}
