//! Data files as people have them.

use std::{io::Write, path::Path};

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
        ("a.arrow", b"ARROW1\0\0", "is an Arrow file: convert it with"),
        ("a.arrow", b"\xFF\xFF\xFF\xFF\x10\0\0\0", "is an Arrow stream: convert it with"),
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
    std::fs::write(directory.path().join("dataset_dict.json"), b"{}").unwrap();
    problem("is a directory of the datasets library: write a file with `load_from_disk(..)[split].to_parquet(..)`");
}
