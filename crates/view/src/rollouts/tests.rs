use std::{fs, path::Path};

use proptest::prelude::*;

use super::{
    synthetic::{Shape, write_records},
    *,
};

const SHAPE: Shape = Shape { prompts: 3, group_size: 4, tokens: 12 };

/// A response of three tokens about which nothing is recorded.
pub(crate) fn response() -> Response {
    Response {
        step: 1,
        row: 0,
        prompt_id: 1,
        problem: 1,
        data_source: "sums".into(),
        prompt: String::new(),
        response: String::new(),
        answer: String::new(),
        extracted_answer: None,
        verdict: "wrong".into(),
        reason: None,
        score: None,
        scores: Vec::new(),
        reward: 0.0,
        stop_reason: "stop_token".into(),
        prompt_tokens: 1,
        response_tokens: 3,
        lambda: None,
        policy_version: 0,
        first_wrong: None,
        tokens: Tokens::default(),
    }
}

/// Every response of the run, one by one.
fn all(rollouts: &Rollouts) -> Vec<Response> {
    let rows = |step| (0..).map_while(move |row| rollouts.response(step, row).ok());
    rollouts.steps().flat_map(rows).collect()
}

/// The rollouts that a query is about, in order: the obvious way.
fn slow_query(all: &[Response], query: &Query) -> Vec<(u64, usize)> {
    let contains = |text: &str, part: &str| text.to_lowercase().contains(&part.to_lowercase());
    let mut found: Vec<&Response> = all
        .iter()
        .filter(|r| query.step_min.is_none_or(|least| r.step >= least))
        .filter(|r| query.step_max.is_none_or(|greatest| r.step <= greatest))
        .filter(|r| query.verdict.as_ref().is_none_or(|verdict| r.verdict == *verdict))
        .filter(|r| query.stop_reason.as_ref().is_none_or(|reason| r.stop_reason == *reason))
        .filter(|r| query.data_source.as_ref().is_none_or(|source| r.data_source == *source))
        .filter(|r| query.reward_min.is_none_or(|least| r.reward >= least))
        .filter(|r| query.reward_max.is_none_or(|greatest| r.reward <= greatest))
        .filter(|r| query.length_min.is_none_or(|least| r.response_tokens >= least))
        .filter(|r| query.length_max.is_none_or(|greatest| r.response_tokens <= greatest))
        .filter(|r| {
            let texts = [&r.prompt, &r.response, &r.answer];
            query.text.as_ref().is_none_or(|part| texts.iter().any(|text| contains(text, part)))
        })
        .collect();
    let mean = |values: &[f32]| (values.iter().map(|&v| f64::from(v)).sum::<f64>() / values.len() as f64) as f32;
    let key = |r: &Response| match query.sort {
        Sort::Step => r.step as f64,
        Sort::Reward => f64::from(r.reward),
        Sort::Length => f64::from(r.response_tokens),
        Sort::Score => f64::from(r.score.unwrap()),
        Sort::Lambda => r.lambda.unwrap(),
        Sort::MeanValue => f64::from(mean(r.tokens.value.as_ref().unwrap())),
        Sort::Prompt => r.prompt_id as f64,
    };
    let sign = if query.descending { -1.0 } else { 1.0 };
    found.sort_by(|a, b| (sign * key(a)).total_cmp(&(sign * key(b))));
    found.iter().map(|r| (r.step, r.row)).collect()
}

fn places(page: &Page) -> Vec<(u64, usize)> {
    page.rows.iter().map(|row| (row.step, row.row)).collect()
}

fn query() -> impl Strategy<Value = Query> {
    let word =
        |words: &'static [&'static str]| proptest::option::of(prop::sample::select(words).prop_map(String::from));
    let sort = prop::sample::select(&[
        Sort::Step,
        Sort::Reward,
        Sort::Length,
        Sort::Score,
        Sort::Lambda,
        Sort::MeanValue,
        Sort::Prompt,
    ]);
    let words = (
        word(&["right", "wrong", "malformed", "none"]),
        word(&["stop_token", "length"]),
        word(&["seven", "äpfel", "ADD seVEN", "7", "", "nowhere"]),
    );
    let steps = proptest::option::of(0u64..7);
    let lengths = proptest::option::of(4u32..20);
    (words, steps.clone(), steps, proptest::option::of(0.0f32..1.5), lengths.clone(), lengths, sort, any::<bool>())
        .prop_map(
            |(
                (verdict, stop_reason, text),
                step_min,
                step_max,
                reward_min,
                length_min,
                length_max,
                sort,
                descending,
            )| {
                Query {
                    verdict,
                    stop_reason,
                    text,
                    step_min,
                    step_max,
                    reward_min,
                    length_min,
                    length_max,
                    sort,
                    descending,
                    limit: MAX_ROWS,
                    ..Query::default()
                }
            },
        )
}

/// Also when no text stays in memory.
#[test]
fn queries_find_what_a_look_at_every_response_finds() {
    let root = tempfile::tempdir().unwrap();
    let run = write_records(root.path(), 1..6, SHAPE);
    let rollouts = [TEXTS_IN_MEMORY, 3000, 0].map(|bytes| Rollouts::open_with(&run, bytes).unwrap());
    let all = all(&rollouts[0]);
    assert_eq!(all.len(), 60);
    let found = std::cell::Cell::new(0);
    proptest!(ProptestConfig::with_cases(300), |(query in query())| {
        let expected = slow_query(&all, &query);
        for rollouts in &rollouts {
            let page = rollouts.query(&query);
            prop_assert_eq!((page.total, page.of, &page.notes), (expected.len(), 60, &vec![]));
            prop_assert_eq!(places(&page), expected.clone());
        }
        found.set(found.get() + expected.len());
    });
    assert!(found.get() > 1000, "the queries find something: {found:?}");
    let kept = rollouts
        .each_ref()
        .map(|rollouts| rollouts.records.iter().filter(|record| record.texts.get().is_some()).count());
    assert_eq!((kept[0], kept[2]), (5, 0));
    assert!((1..5).contains(&kept[1]), "{kept:?}");
}

#[test]
fn pages_are_parts_of_what_was_found() {
    let root = tempfile::tempdir().unwrap();
    let rollouts = Rollouts::open(&write_records(root.path(), 1..3, SHAPE)).unwrap();
    let whole = rollouts.query(&Query { sort: Sort::Length, descending: true, ..Query::default() });
    let part = |offset, limit| {
        rollouts.query(&Query { sort: Sort::Length, descending: true, offset, limit, ..Query::default() })
    };
    assert_eq!((whole.total, whole.rows.len()), (24, 24));
    assert_eq!(part(3, 4).rows, whole.rows[3..7]);
    assert_eq!((part(23, 5).rows.len(), part(24, 5).rows.len(), part(0, 0).total), (1, 0, 24));
    let row = &whole.rows[0];
    let response = rollouts.response(row.step, row.row).unwrap();
    assert_eq!(
        (&row.verdict, &row.reason, row.reward, row.response_tokens, row.prompt_id, &row.answer, &row.extracted_answer),
        (
            &response.verdict,
            &response.reason,
            response.reward,
            response.response_tokens,
            response.prompt_id,
            &response.answer,
            &response.extracted_answer
        )
    );
    assert_eq!((row.mean_value, row.lambda), (None, response.lambda));
    let by_value = rollouts.query(&Query { sort: Sort::MeanValue, ..Query::default() });
    assert!(by_value.rows.is_sorted_by_key(|row| row.mean_value.unwrap()));
}

#[test]
fn long_texts_are_cut_in_lists_and_whole_in_responses() {
    let root = tempfile::tempdir().unwrap();
    let shape = Shape { tokens: 100, ..SHAPE };
    let rollouts = Rollouts::open(&write_records(root.path(), 1..2, shape)).unwrap();
    let summary = &rollouts.query(&Query { limit: 1, ..Query::default() }).rows[0];
    let response = rollouts.response(1, 0).unwrap();
    let start: String = response.response.chars().take(200).collect();
    assert_eq!(summary.response, format!("{start}…"));
    assert_eq!(summary.prompt, response.prompt, "short ones are whole");
}

#[test]
fn groups_have_the_figures_of_their_responses() {
    let root = tempfile::tempdir().unwrap();
    let rollouts = Rollouts::open(&write_records(root.path(), 4..6, SHAPE)).unwrap();
    let groups = rollouts.groups(5).unwrap();
    assert_eq!(groups.iter().map(|group| group.prompt_id).collect::<Vec<_>>(), [15, 16, 17]);
    for group in groups {
        let responses = rollouts.group(5, group.prompt_id).unwrap();
        let mean = |value: fn(&Response) -> f64| responses.iter().map(value).sum::<f64>() / responses.len() as f64;
        assert_eq!((group.responses, responses.len()), (4, 4));
        assert_eq!(group.right, responses.iter().filter(|response| response.verdict == "right").count());
        assert!((group.reward - mean(|r| f64::from(r.reward))).abs() < 1e-9);
        assert!((group.length - mean(|r| f64::from(r.response_tokens))).abs() < 1e-9);
        assert!(responses.iter().all(|r| (&r.prompt, &r.answer) == (&group.prompt, &group.answer)));
        let alone = responses.iter().map(|r| rollouts.response(5, r.row).unwrap()).collect::<Vec<_>>();
        assert_eq!(alone, responses, "read one by one");
    }
}

#[test]
fn what_is_not_recorded_is_named() {
    let root = tempfile::tempdir().unwrap();
    let rollouts = Rollouts::open(&write_records(root.path(), 4..6, SHAPE)).unwrap();
    let error = |result: Result<()>| result.unwrap_err().to_string();
    assert_eq!(error(rollouts.group(7, 15).map(drop)), "there is no record of step 7");
    assert_eq!(error(rollouts.group(5, 3).map(drop)), "there is no prompt 3 in the record of step 5");
    assert_eq!(error(rollouts.response(5, 12).map(drop)), "there is no row 12 in the record of step 5");
    let choices = rollouts.choices();
    assert_eq!(choices.steps, [4, 5]);
    assert_eq!(choices.verdicts.iter().collect::<Vec<_>>(), ["malformed", "right", "wrong"]);
    assert_eq!(choices.stop_reasons.iter().collect::<Vec<_>>(), ["length", "stop_token"]);
    assert_eq!(choices.data_sources.iter().collect::<Vec<_>>(), ["sums"]);
}

/// Records come, go and are replaced while a run is looked at.
#[test]
fn a_refresh_reads_what_is_new() {
    let root = tempfile::tempdir().unwrap();
    let run = write_records(root.path(), 1..4, SHAPE);
    let mut rollouts = Rollouts::open(&run).unwrap();
    rollouts.query(&Query { text: Some("add".into()), ..Query::default() });
    assert!(!rollouts.refresh().unwrap());
    let of = |rollouts: &Rollouts, step| {
        rollouts.query(&Query { step_min: Some(step), step_max: Some(step), ..Query::default() }).total
    };

    write_records(root.path(), 4..5, SHAPE);
    let file = |step: u64| root.path().join(format!("rollouts/step-{step:06}.parquet"));
    fs::remove_file(file(1)).unwrap();
    write_records(root.path(), 2..3, Shape { group_size: 5, ..SHAPE });
    // Until then the index is that of the file before.
    let error = rollouts.response(2, 0).unwrap_err().to_string();
    assert_eq!(error, format!("{}: now has 15 rows, it had 12: it was replaced", file(2).display()));
    assert!(matches!(rollouts.response(1, 0), Err(Error::Gone(path)) if path == file(1)));
    let page = rollouts.query(&Query { sort: Sort::MeanValue, ..Query::default() });
    assert_eq!((page.total, page.rows.len(), page.rows.last().unwrap().mean_value), (36, 36, None));

    assert!(rollouts.refresh().unwrap());
    assert_eq!(rollouts.steps().collect::<Vec<_>>(), [2, 3, 4]);
    assert_eq!([1, 2, 3, 4].map(|step| of(&rollouts, step)), [0, 15, 12, 12]);
    assert!(!rollouts.refresh().unwrap());
    fs::remove_dir_all(root.path()).unwrap();
    assert!(matches!(rollouts.refresh(), Err(Error::Gone(path)) if path == root.path()));
}

/// Whatever bytes are wrong, the other records are shown, and what is said names the file.
#[test]
fn damaged_files_become_notes() {
    let root = tempfile::tempdir().unwrap();
    let run = write_records(root.path(), 1..3, Shape { prompts: 2, group_size: 2, tokens: 3 });
    let path = root.path().join("rollouts/step-000002.parquet");
    let whole = fs::read(&path).unwrap();
    let length = whole.len();
    let cuts = (0..length).step_by(97).map(|cut| whole[..cut].to_vec());
    let flips = (0..length).step_by(11).map(|place| {
        let mut bytes = whole.clone();
        bytes[place] ^= 0x55;
        bytes
    });
    let mut notes = 0;
    for bytes in cuts.chain(flips) {
        fs::write(&path, &bytes).unwrap();
        let rollouts = Rollouts::open(&run).unwrap();
        let text = Query { text: Some("seven".into()), sort: Sort::MeanValue, ..Query::default() };
        let page = rollouts.query(&text);
        assert!(page.of >= 4, "the other record is there");
        let _ = (rollouts.groups(2), rollouts.response(2, 1), rollouts.choices());
        for note in rollouts.notes() {
            assert!(note.starts_with(&format!("{}: ", path.display())), "{note}");
            notes += 1;
        }
        if let Err(error) = rollouts.group(2, 4) {
            let error = error.to_string();
            assert!(
                error.starts_with(&format!("{}: ", path.display())) || error.starts_with("there is no "),
                "{error}"
            );
        }
    }
    assert!(notes > 50, "{notes}");
}

#[test]
fn other_files_are_told_apart() {
    let root = tempfile::tempdir().unwrap();
    let run = write_records(root.path(), 1..2, SHAPE);
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let file = |step: u64| root.path().join(format!("rollouts/step-{step:06}.parquet"));
    fs::copy(data.join("tasks/tests/data/trl.parquet"), file(2)).unwrap();
    std::os::unix::fs::symlink(file(1), file(3)).unwrap();
    fs::create_dir(file(4)).unwrap();
    fs::write(file(5), "").unwrap();
    let newer = {
        let mut bytes = fs::read(file(1)).unwrap();
        let key = b"vapo.records.version";
        let place = bytes.windows(key.len()).position(|window| window == key).unwrap() + key.len() + 2;
        assert_eq!(bytes[place], b'1');
        bytes[place] = b'2';
        bytes
    };
    fs::write(file(6), newer).unwrap();
    let rollouts = Rollouts::open(&run).unwrap();
    assert_eq!(rollouts.steps().collect::<Vec<_>>(), [1]);
    let notes = rollouts.notes().join("\n");
    for (step, problem) in [
        (2, "is no record: it has no vapo.records.version"),
        (3, "is a link or a directory, expected a file"),
        (4, "is a link or a directory, expected a file"),
        (5, "not a readable Parquet file: "),
        (6, "has the format 2, expected at most 1: a newer version of vapo wrote it"),
    ] {
        assert!(notes.contains(&format!("{}: {problem}", file(step).display())), "{step}:\n{notes}");
    }
    let error = rollouts.response(6, 0).unwrap_err().to_string();
    assert_eq!(
        error,
        format!("{}: has the format 2, expected at most 1: a newer version of vapo wrote it", file(6).display())
    );
}

/// A record of a version that did not have the column.
#[test]
fn a_column_that_is_missing_is_null() {
    let root = tempfile::tempdir().unwrap();
    let run = write_records(root.path(), 1..2, SHAPE);
    let old = "../train/tests/fixtures/record-without-first-wrong-token.parquet";
    fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join(old), root.path().join("rollouts/step-000002.parquet"))
        .unwrap();
    let rollouts = Rollouts::open(&run).unwrap();
    assert_eq!(rollouts.notes(), [""; 0]);
    let page = rollouts.query(&Query { step_min: Some(2), ..Query::default() });
    assert_eq!(page.total, 4);
    for row in page.rows {
        let response = rollouts.response(2, row.row).unwrap();
        assert_eq!((response.first_wrong, response.tokens.value.unwrap().len()), (None, row.response_tokens as usize));
    }
    let wrong = Query { verdict: Some("wrong".into()), step_max: Some(1), limit: 1, ..Query::default() };
    let first = rollouts.response(1, rollouts.query(&wrong).rows[0].row);
    assert!(first.unwrap().first_wrong.is_some(), "a new one has it");
}

#[test]
fn a_query_is_read_from_a_form() {
    let query: Query =
        serde_json::from_str(r#"{"verdict": "wrong", "sort": "mean_value", "reward_min": 0.5}"#).unwrap();
    let expected =
        Query { verdict: Some("wrong".into()), sort: Sort::MeanValue, reward_min: Some(0.5), ..Query::default() };
    assert_eq!((query, expected.limit), (expected.clone(), 50));
    let error = serde_json::from_str::<Query>(r#"{"verdikt": "wrong"}"#).unwrap_err().to_string();
    assert!(error.starts_with("unknown field `verdikt`, expected one of "), "{error}");
}
