use std::{
    fs::{self, File},
    path::Path,
};

use parquet::{
    file::{reader::FileReader, serialized_reader::SerializedFileReader},
    record::{Field, Row},
};
use vapo_algo::ClipState;
use vapo_lm::{StopReason, Tokenizer};
use vapo_tasks::Verdict;

use super::{StepRecord, check, schema};
use crate::{
    batch::{
        Batch, RewardRules,
        tests::{graded, prompt},
    },
    credit::{Credit, ValueCredit},
    rollout::{GradedRollout, Prompt},
    trace::TokenTrace,
};

const RULES: RewardRules = RewardRules { right: 1.0, wrong: -1.0, max_failed_share: 1.0, overlong: None };

/// Words with a special one at the end of an answer.
fn tokenizer() -> Tokenizer {
    let json = serde_json::json!({
        "model": {"type": "WordLevel", "vocab": {"?": 0, "ask": 1, "more": 2, "yes": 3, "no": 4, "</s>": 5}, "unk_token": "?"},
        "added_tokens": [{"id": 5, "content": "</s>", "special": true, "single_word": false, "lstrip": false,
            "rstrip": false, "normalized": false}],
    });
    Tokenizer::from_json(json.to_string().as_bytes()).unwrap()
}

/// Two answers to one prompt, on a third of which the verifier failed, and one to another prompt.
fn batch<'a>([first, second]: [&'a Prompt; 2]) -> Batch<'a> {
    let mut right = graded(first, &[3, 5], Verdict::graded(true));
    right.rollout.text = "yes".into();
    right.grade.answer = Some("YES".into());
    right.grade.scores = vec![("exact".into(), Some(1.0)), ("style".into(), None)];
    right.rollout.completion.sampler_logps = vec![-2.5, -4.5];
    let mut unreadable = graded(first, &[4, 4, 4], Verdict::malformed("no answer"));
    unreadable.rollout.completion.stop = StopReason::Length;
    let mut wrong = graded(second, &[4], Verdict::graded(false));
    wrong.rollout.completion.stop = StopReason::StopString;
    let failed = graded(first, &[3], Verdict::failed("timeout"));
    Batch::new(vec![right, failed, unreadable, wrong], RULES).unwrap()
}

fn credit() -> Credit {
    let values = ValueCredit {
        old_values: vec![0.5, 0.75, 0.25, 0.125, 0.0, -0.5],
        targets: vec![9.0; 6],
        returns: vec![1.0, 1.0, -1.0, -1.0, -1.0, -1.0],
        policy_lambdas: vec![0.75, 0.875, 0.0],
    };
    let advantages = vec![0.5, 0.25, -1.25, -1.125, -1.0, -0.5];
    Credit { advantages, values: Some(values), reward_kl: None }
}

fn trace() -> TokenTrace {
    use ClipState::{Dual, High, Low, Unclipped, Unused};
    TokenTrace {
        entropy: vec![0.5, 1.5, 2.5, 3.5, 4.5, 5.5],
        ratio: vec![1.0, 1.5, 0.0, 0.0, 4.0, 0.5],
        clip: vec![Unclipped, High, Unused, Unused, Dual, Low],
    }
}

/// Of the three responses of [`batch`].
const FIRST_WRONG: [Option<usize>; 3] = [None, Some(2), Some(0)];

/// The file of step 12 with the responses to some prompts.
fn write(
    directory: &Path,
    batch: &Batch<'_>,
    credit: &Credit,
    trace: Option<&TokenTrace>,
    groups: Option<usize>,
) -> File {
    let tokenizer = tokenizer();
    let first_wrong: Vec<Option<usize>> = FIRST_WRONG.into_iter().cycle().take(batch.responses().len()).collect();
    let record = StepRecord {
        step: 12,
        policy_version: 34,
        batch,
        credit,
        first_wrong: &first_wrong,
        trace,
        tokenizer: &tokenizer,
    };
    record.write(directory, groups).unwrap();
    File::open(directory.join("step-000012.parquet")).unwrap()
}

fn rows(file: File) -> Vec<Row> {
    let reader = SerializedFileReader::new(file).unwrap();
    reader.get_row_iter(None).unwrap().collect::<std::result::Result<_, _>>().unwrap()
}

fn shown(field: &Field) -> String {
    match field {
        Field::Float(value) => format!("{value}"),
        Field::Double(value) => format!("{value}"),
        Field::Str(text) => text.clone(),
        Field::ListInternal(list) => list.elements().iter().map(shown).collect::<Vec<_>>().join(" "),
        Field::MapInternal(map) => {
            let entries = map.entries().iter().map(|(key, value)| format!("{}={}", shown(key), shown(value)));
            entries.collect::<Vec<_>>().join(" ")
        }
        other => other.to_string(),
    }
}

/// A column of all rows.
fn column(rows: &[Row], name: &str) -> Vec<String> {
    let of = |row: &Row| shown(row.get_column_iter().find(|(column, _)| *column == name).expect(name).1);
    rows.iter().map(of).collect()
}

#[test]
fn every_column_is_that_of_the_batch() {
    let root = tempfile::tempdir().unwrap();
    let prompts = [prompt(7), prompt(8)];
    let batch = batch([&prompts[0], &prompts[1]]);
    let rows = rows(write(root.path(), &batch, &credit(), Some(&trace()), None));
    for (name, expected) in [
        ("step", ["12", "12", "12"]),
        ("prompt_id", ["7", "7", "8"]),
        ("problem", ["7", "7", "8"]),
        ("data_source", ["test", "test", "test"]),
        ("prompt", ["ask more", "ask more", "ask more"]),
        ("response", ["yes", "", ""]),
        ("answer", ["a", "a", "a"]),
        ("extracted_answer", ["YES", "null", "null"]),
        ("verdict", ["right", "malformed", "wrong"]),
        ("reason", ["null", "no answer", "null"]),
        ("score", ["1", "0", "0"]),
        ("scores", ["exact=1 style=null", "null", "null"]),
        ("reward", ["1", "-1", "-1"]),
        ("stop_reason", ["stop_token", "length", "stop_string"]),
        ("prompt_tokens", ["2", "2", "2"]),
        ("response_tokens", ["2", "3", "1"]),
        ("lambda", ["0.75", "0.875", "0"]),
        ("first_wrong_token", ["null", "2", "0"]),
        ("policy_version", ["34", "34", "34"]),
        ("token_id", ["3 5", "4 4 4", "4"]),
        ("token", ["yes </s>", "no no no", "no"]),
        ("logprob", ["-3 -5", "-4 -4 -4", "-4"]),
        ("sampler_logprob", ["-2.5 -4.5", "-4 -4 -4", "-4"]),
        ("value", ["0.5 0.75", "0.25 0.125 0", "-0.5"]),
        ("advantage", ["0.5 0.25", "-1.25 -1.125 -1", "-0.5"]),
        ("return", ["1 1", "-1 -1 -1", "-1"]),
        ("entropy", ["0.5 1.5", "2.5 3.5 4.5", "5.5"]),
        ("ratio", ["1 1.5", "null null 4", "0.5"]),
        ("clip", ["none high", "unused unused dual", "low"]),
    ] {
        assert_eq!(column(&rows, name), expected, "{name}");
    }
    assert_eq!(rows[0].len(), 29, "all columns are compared");
}

/// Value pretraining has no updates of the policy, and other methods no critic.
#[test]
fn what_does_not_exist_is_null() {
    let root = tempfile::tempdir().unwrap();
    let prompts = [prompt(7), prompt(8)];
    let batch = batch([&prompts[0], &prompts[1]]);
    let without_critic = Credit { values: None, ..credit() };
    let first_group = rows(write(root.path(), &batch, &without_critic, None, Some(1)));
    assert_eq!(column(&first_group, "prompt_id"), ["7", "7"]);
    for name in ["lambda", "value", "return", "entropy", "ratio", "clip"] {
        assert_eq!(column(&first_group, name), ["null", "null"], "{name}");
    }
    assert_eq!(column(&first_group, "advantage"), ["0.5 0.25", "-1.25 -1.125 -1"]);
    assert_eq!(check(&root.path().join("step-000012.parquet"), 12).unwrap(), 2);
}

#[test]
fn large_steps_are_divided_between_responses() {
    let root = tempfile::tempdir().unwrap();
    let prompt = prompt(1);
    let lengths = [30_000, 30_000, 10_000, 70_000, 5];
    let answer = |length: usize| graded(&prompt, &vec![3; length], Verdict::graded(true));
    let responses: Vec<GradedRollout<'_>> = lengths.into_iter().map(answer).collect();
    let batch = Batch::new(responses, RULES).unwrap();
    let credit = Credit { advantages: vec![0.5; batch.num_tokens()], values: None, reward_kl: None };
    let reader = SerializedFileReader::new(write(root.path(), &batch, &credit, None, None)).unwrap();
    let sizes: Vec<i64> = reader.metadata().row_groups().iter().map(|group| group.num_rows()).collect();
    assert_eq!(sizes, [2, 1, 1, 1]);
    let rows: Vec<Row> = reader.get_row_iter(None).unwrap().map(|row| row.unwrap()).collect();
    let found: Vec<usize> = column(&rows, "advantage").iter().map(|list| list.split(' ').count()).collect();
    assert_eq!(found, lengths);
    assert_eq!(check(&root.path().join("step-000012.parquet"), 12).unwrap(), 5);
}

#[test]
fn a_file_that_cannot_be_written_is_reported_like_any_other() {
    let full = Path::new("/dev/full");
    let prompts = [prompt(7), prompt(8)];
    let (batch, credit, tokenizer) = (batch([&prompts[0], &prompts[1]]), credit(), tokenizer());
    let record = StepRecord {
        step: 12,
        policy_version: 0,
        batch: &batch,
        credit: &credit,
        first_wrong: &FIRST_WRONG,
        trace: None,
        tokenizer: &tokenizer,
    };
    let root = tempfile::tempdir().unwrap();
    std::os::unix::fs::symlink(full, root.path().join("step-000012.partial")).unwrap();
    let error = record.write(root.path(), None).unwrap_err().to_string();
    assert!(error.starts_with("cannot write ") && error.contains("step-000012.parquet: No space left"), "{error}");
}

#[test]
fn every_damage_is_found() {
    let root = tempfile::tempdir().unwrap();
    let prompts = [prompt(7), prompt(8)];
    let batch = batch([&prompts[0], &prompts[1]]);
    write(root.path(), &batch, &credit(), Some(&trace()), None);
    let path = root.path().join("step-000012.parquet");
    let whole = fs::read(&path).unwrap();
    let checked = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        check(&path, 12).map_err(|error| error.to_string().replace(&path.display().to_string(), "FILE"))
    };
    assert_eq!(checked(&whole), Ok(3));
    assert_eq!(
        check(&path, 13).unwrap_err().to_string(),
        format!("{}: row 1: is of step 12, expected 13", path.display())
    );

    let end = whole.len() - 8;
    let metadata = u32::from_le_bytes(whole[end..end + 4].try_into().unwrap()) as usize;
    for place in 4..end - metadata {
        let mut flipped = whole.clone();
        flipped[place] ^= 1;
        let error = checked(&flipped).unwrap_err();
        assert!(error.starts_with("FILE: the SHA-256 of its content is "), "byte {place}: {error}");
    }
    // Whatever is wrong with the metadata, the program goes on.
    for place in end - metadata..whole.len() {
        let mut flipped = whole.clone();
        flipped[place] ^= 1;
        let _ = checked(&flipped);
    }
    for length in [0, 3, 8, whole.len() / 2, whole.len() - 1] {
        let error = checked(&whole[..length]).unwrap_err();
        assert!(error.starts_with("FILE: not a readable Parquet file: "), "{error}");
    }
    let find = |bytes: &[u8]| whole.windows(bytes.len()).position(|window| window == bytes).unwrap();
    let version = find(schema::VERSION_KEY.as_bytes()) + schema::VERSION_KEY.len() + 2;
    assert_eq!(whole[version], b'1');
    let mut newer = whole.clone();
    newer[version] = b'2';
    assert_eq!(
        checked(&newer).unwrap_err(),
        "FILE: has the format 2, expected at most 1: a newer version of vapo wrote it"
    );
    let foreign = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tasks/tests/data/trl.parquet");
    assert_eq!(checked(&fs::read(foreign).unwrap()).unwrap_err(), "FILE: is no record: it has no vapo.records.version");
}

#[test]
fn a_record_without_a_column_that_came_later_is_complete() {
    let old = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/record-without-first-wrong-token.parquet");
    let rows = rows(File::open(&old).unwrap());
    assert_eq!((rows[0].len(), check(&old, 2).unwrap()), (28, 4));
}

/// `docs/records.md` has every column in its tables, and no other.
#[test]
fn every_column_is_documented() {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/records.md")).unwrap();
    let chapter = page.split("\n## ").find(|chapter| chapter.starts_with("Columns\n")).unwrap();
    let cells = chapter.lines().filter(|line| line.starts_with("| `")).filter_map(|line| line.split('|').nth(1));
    let documented: Vec<&str> = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2)).collect();
    let message = schema::message().unwrap();
    let columns: Vec<&str> = message.get_fields().iter().map(|column| column.name()).collect();
    assert_eq!(documented, columns);
}
