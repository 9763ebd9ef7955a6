//! Ordinary data files, and damaged or malicious ones.

use std::path::{Path, PathBuf};

use vapo_tasks::{DataOptions, Dataset, Message, PromptTemplate, Random, Reward, Stream, Verifier};

fn exact() -> Reward {
    Reward::try_from(Verifier::Exact { marker: None }).unwrap()
}

fn numeric() -> Reward {
    Reward::try_from(Verifier::Numeric { marker: None, tolerance: 0.0 }).unwrap()
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

/// Reads a file of this name and content.
fn load(name: &str, bytes: &[u8], options: &DataOptions) -> Result<Dataset, String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    let directory = format!("{}/", dir.path().display());
    Dataset::load(&path, options, &exact()).map_err(|error| error.to_string().replace(&directory, ""))
}

fn plain(name: &str, bytes: &[u8]) -> Result<Vec<(String, String)>, String> {
    let pair = |problem: vapo_tasks::Problem| (problem.prompt, problem.answer);
    Ok(load(name, bytes, &DataOptions::default())?.problems.into_iter().map(pair).collect())
}

fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter().map(|(prompt, answer)| (prompt.to_string(), answer.to_string())).collect()
}

#[test]
fn verls_parquet_with_every_codec() {
    for codec in ["none", "snappy", "zstd", "gzip", "lz4", "v2"] {
        let path = fixture(&format!("verl-{codec}.parquet"));
        let template = PromptTemplate::new("{problem}\nAnswer:").unwrap();
        let set = Dataset::load(&path, &DataOptions { template, ..Default::default() }, &numeric()).unwrap();
        assert_eq!((set.rows, set.duplicates, set.conflicting_duplicates), (24, 18, 0), "{codec}");
        assert_eq!(set.layout, "Parquet, verl schema: `prompt` (messages), `reward_model.ground_truth`");
        let problem = &set.problems[3];
        assert_eq!(problem.prompt, "Solve: what is 3 + 7? é東\nAnswer:");
        let system = Message { role: "system".into(), content: "Be brief.".into() };
        assert_eq!(problem.context, Some(vec![system]));
        assert_eq!(set.problems[1].context, Some(vec![]));
        assert_eq!((problem.answer.as_str(), problem.data_source.as_str(), problem.index), ("10", "math_dapo", 3));
        assert_eq!(problem.place(), format!("{}, row 4", path.display()));
        assert_eq!(problem.extra["ability"], "MATH");
        let info = serde_json::json!({"index": 0, "split": null, "raw": null});
        assert_eq!(problem.extra["extra_info"], info);
    }
}

#[test]
fn prompt_only_parquet_with_solutions_and_columns_that_the_user_names() {
    let set = Dataset::load(&fixture("trl.parquet"), &DataOptions::default(), &numeric()).unwrap();
    assert_eq!(set.layout, "Parquet, prompt-only schema: `prompt`, `solution`");
    let answers: Vec<&str> = set.problems.iter().map(|problem| problem.answer.as_str()).collect();
    assert_eq!(answers, ["4.5", "-3", "11"], "the last box of a solution");
    let extra = &set.problems[1].extra;
    assert_eq!(serde_json::to_value(extra).unwrap(), serde_json::json!({"weight": 2.0, "level": 2, "tags": null}));

    let named = DataOptions { answer_key: Some("level".into()), limit: Some(2), ..Default::default() };
    let set = Dataset::load(&fixture("trl.parquet"), &named, &numeric()).unwrap();
    assert_eq!(set.problems.iter().map(|problem| problem.answer.as_str()).collect::<Vec<_>>(), ["1", "2"]);

    let set = Dataset::load(&fixture("numbers.parquet"), &DataOptions::default(), &numeric()).unwrap();
    assert_eq!(set.problems[1].answer, "12345678901234567");
    let wrong = DataOptions { prompt_key: Some("text".into()), ..Default::default() };
    let error = Dataset::load(&fixture("numbers.parquet"), &wrong, &numeric()).unwrap_err().to_string();
    let expected =
        "numbers.parquet, row 1: expected a field `text`, found `question`, `answer` (data.prompt_key names another)";
    assert!(error.ends_with(expected), "{error}");
}

#[test]
fn json_in_all_its_shapes() {
    let expected = pairs(&[("a", "1"), ("b", "22222222222222222222.50")]);
    let rows = r#"{"problem": "a", "answer": "1"}, {"problem": "b", "answer": 22222222222222222222.50}"#;
    for (name, text) in [
        ("x.json", format!("\u{feff} [\n{rows}\n]")),
        ("x.jsonl", format!("[{rows}]")),
        ("x.json", r#"{"version": "1", "n": [1], "meta": {"rows": [2]}}"#.replace("[1]", &format!("[{rows}]"))),
        ("x.json", rows.replace("}, {", "}\n{")),
        ("x.jsonl", rows.replace("}, {", "}\n\n{")),
        ("x.txt", rows.replace("}, {", "}\r\n{")),
        ("x.json", format!("{{\n  \"data\":\n [{rows}]\n}}\n")),
    ] {
        assert_eq!(plain(name, text.as_bytes()).as_ref(), Ok(&expected), "{name}: {text}");
    }
    let nested = r#"{"id": {"problem": "p"}, "problem": "q", "reward_model": {"style": "rule", "ground_truth": 0.10}}"#;
    assert_eq!(plain("x.jsonl", nested.as_bytes()).unwrap(), pairs(&[("q", "0.10")]));
    let key = DataOptions { prompt_key: Some("id.problem".into()), ..Default::default() };
    assert_eq!(load("x.jsonl", nested.as_bytes(), &key).unwrap().problems[0].prompt, "p");
    let two = r#"{"train": [{"prompt": "a", "answer": "1"}], "test": [{"prompt": "b", "answer": "1"}]}"#;
    assert!(plain("x.json", two.as_bytes()).unwrap_err().contains("expected one array of rows, found several"));
}

#[test]
fn conversations() {
    let row = |messages: &str| format!(r#"{{"prompt": {messages}, "answer": "1"}}"#);
    let read = |messages: &str| load("x.jsonl", row(messages).as_bytes(), &DataOptions::default());
    let set = read(r#"[{"role": "user", "content": "a"}, {"role": "assistant", "content": ""}, {"role": "user", "content": [{"type": "text", "text": "b"}, {"text": "c"}]}]"#).unwrap();
    assert_eq!(set.layout, "JSONL, prompt-only schema: `prompt` (messages), `answer`");
    assert_eq!((set.problems[0].prompt.as_str(), set.problems[0].context.as_ref().unwrap().len()), ("bc", 2));
    for (messages, problem) in [
        ("[]", "holds no messages"),
        (r#"[{"role": "assistant", "content": "a"}]"#, "the last message is from `assistant`, expected `user`"),
        (r#"[{"role": "user", "content": " "}]"#, "the user's message is empty"),
        (r#"[{"content": "a"}]"#, "message 1 has no string `role`"),
        (r#"[{"role": "user", "content": 7}]"#, "the `content` of message 1 is a number, expected a string"),
        (r#"[{"role": "user", "content": [{"image": "x"}]}]"#, "message 1 holds something other than text"),
    ] {
        assert_eq!(read(messages).unwrap_err(), format!("x.jsonl, row 1: field `prompt`: {problem}"));
    }
    let same_words = [
        row(r#"[{"role": "user", "content": "a"}]"#),
        row(r#""a""#),
        row(r#"[{"role": "system", "content": "s"}, {"role": "user", "content": "a"}]"#),
    ];
    let set = load("x.jsonl", same_words.join("\n").as_bytes(), &DataOptions::default()).unwrap();
    assert_eq!(set.problems.len(), 3, "a text and two conversations are three questions");
}

#[test]
fn errors_of_documents_name_the_place() {
    let row = r#"{"prompt": "a", "answer": "1"}"#;
    for (text, expected) in [
        (
            format!("[{row}, {{\"prompt\": 5, \"answer\": \"1\"}}]"),
            "x.json, row 2: field `prompt` is a number, expected a string or a list of messages",
        ),
        (format!("[{row},\n 17]"), "x.json, row 2: expected a JSON object, found a number"),
        (format!("[{row},\n {{\"prompt\" 5}}]"), "x.json: not valid JSON: expected `:` at line 2 column 12"),
        (format!("[{row}"), "x.json: not valid JSON: EOF while parsing a list at line 1 column 31"),
        (format!("[{row}] x"), "x.json: not valid JSON: trailing characters at line 1 column 34"),
        (
            "{\"a\": 1}".into(),
            "x.json: expected an array of rows, or an object with one entry that is an array of rows",
        ),
        ("[]".into(), "x.json holds no problems (rows read: 0)"),
        ("".into(), "x.json: not valid JSON: EOF while parsing a value at line 1 column 0"),
    ] {
        assert_eq!(plain("x.json", text.as_bytes()).unwrap_err(), expected);
    }
    let deep = "[".repeat(100_000);
    assert!(plain("x.json", deep.as_bytes()).unwrap_err().contains("EOF while parsing a list"));
    let complete = format!("[{deep}{}]", "]".repeat(100_000));
    assert!(plain("x.json", complete.as_bytes()).unwrap_err().contains("recursion limit exceeded"));
    let deep = format!("{{\"prompt\": {deep}");
    assert!(plain("x.jsonl", deep.as_bytes()).unwrap_err().contains("recursion limit exceeded"));
    let limited = DataOptions { limit: Some(1), ..Default::default() };
    assert_eq!(load("x.json", format!("[{row}, oops").as_bytes(), &limited).unwrap().problems.len(), 1);
}

/// Reading a damaged file gives an error or problems, never a panic.
fn survive(name: &str, bytes: &[u8]) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    let _ = Dataset::load(&path, &DataOptions::default(), &numeric());
}

#[test]
fn damaged_parquet_is_an_error() {
    for name in ["verl-snappy.parquet", "verl-gzip.parquet", "verl-v2.parquet", "trl.parquet", "numbers.parquet"] {
        let whole = std::fs::read(fixture(name)).unwrap();
        for length in (0..whole.len()).step_by(whole.len() / 60) {
            survive(name, &whole[..length]);
            let missing_middle = [&whole[..length / 2], &whole[whole.len() - length / 2..]].concat();
            survive(name, &missing_middle);
        }
        for round in 0..150 {
            let mut random = Random::keyed(1, Stream::TestCase, &[round]);
            let mut bytes = whole.clone();
            for _ in 0..=random.below(4) {
                // Half of the hits go to the footer, where sizes and types are.
                let from = if random.below(2) == 0 { 4 } else { bytes.len() * 2 / 3 };
                let place = from + random.below((bytes.len() - from - 8) as u64) as usize;
                bytes[place] = random.pick(&[0, 1, 127, 128, 255, (round % 256) as u8]);
            }
            survive(name, &bytes);
        }
    }
}

#[test]
fn a_page_that_claims_too_much_is_refused_unread() {
    let whole = std::fs::read(fixture("numbers.parquet")).unwrap();
    // The first page follows the magic bytes: type, then the zigzag of its size. Two more bytes make that size 2^30.
    assert_eq!(&whole[4..7], [0x15, 4, 0x15], "a dictionary page");
    let mut claims = whole.clone();
    let size_ends = 7 + claims[7..].iter().position(|byte| *byte < 128).unwrap();
    claims.splice(7..=size_ends, [0x80, 0x80, 0x80, 0x80, 8]);
    let error = plain("x.parquet", &claims).unwrap_err();
    assert!(error.contains("claims 1073741824 bytes, expected at most 268435456"), "{error}");
    let error = plain("x.parquet", b"PAR1 and nothing else").unwrap_err();
    assert!(error.starts_with("x.parquet: not a readable Parquet file: "), "{error}");
}

#[test]
fn damaged_json_is_an_error() {
    let row = r#"{"prompt": [{"role": "user", "content": "é\u00e9\ud83d\ude42"}], "answer": -1.5e3, "x": [null, true, {"y": "z"}]}"#;
    let pieces = ["{", "}", "[", "]", "\"", "\\u", "\\ud800", ",", ":", "\n", "1e999999", "-", "null", "\u{0}", "é"];
    for (name, whole) in [("x.jsonl", format!("{row}\n{row}")), ("x.json", format!("{{\"rows\": [{row}, {row}]}}"))] {
        for place in (0..whole.len()).filter(|place| whole.is_char_boundary(*place)) {
            survive(name, &whole.as_bytes()[..place]);
            let longer = format!("{}{}{}", &whole[..place], pieces[place % pieces.len()], &whole[place..]);
            survive(name, longer.as_bytes());
            let mut bytes = whole.clone().into_bytes();
            bytes[place] = 0xFF;
            survive(name, &bytes);
        }
    }
}

/// Whole data sets, if they are available.
#[test]
fn public_files_are_read_whole() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    if !folder.is_dir() {
        eprintln!("skipped: {} does not exist", folder.display());
        return;
    }
    for (name, problems, layout) in [
        ("gsm8k_test.jsonl", 1319, "JSONL, plain schema: `problem`, `answer`"),
        ("aime_2024_dapo_prompts.jsonl", 30, "JSONL, prompt-only schema: `prompt`, `answer`"),
        ("math500.jsonl", 500, "JSONL, plain schema: `problem`, `answer`"),
    ] {
        let set = Dataset::load(&folder.join(name), &DataOptions::default(), &exact()).unwrap();
        assert_eq!((set.problems.len(), set.layout.as_str()), (problems, layout), "{name}");
    }
}
