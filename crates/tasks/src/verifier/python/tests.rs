use std::path::PathBuf;

use serde_json::{Value, json};

use std::time::{Duration, Instant};

use super::*;
use crate::{Message, Reward, RewardTerm, Verifier};

/// Whether tests of Python can run here.
fn has_python() -> bool {
    let found = std::process::Command::new("python3").arg("-c").arg("").status().is_ok_and(|status| status.success());
    if !found {
        eprintln!("left out: there is no python3");
    }
    found
}

/// A file of Python functions that is deleted at the end.
struct Source {
    place: tempfile::TempDir,
}

impl Source {
    fn new(text: &str) -> Source {
        let place = tempfile::tempdir().unwrap();
        std::fs::write(place.path().join("rewards.py"), text).unwrap();
        Source { place }
    }

    fn path(&self) -> PathBuf {
        self.place.path().join("rewards.py")
    }

    fn function(&self, name: &str) -> PythonFunction {
        PythonFunction { workers: 1, ..PythonFunction::new(&self.path(), name) }
    }

    fn verifier(&self, name: &str) -> PythonVerifier {
        PythonVerifier::new(&self.function(name)).unwrap()
    }
}

/// Problems of which each has its number as `level`.
fn problems(count: u64) -> Vec<Problem> {
    let problem = |index| Problem {
        index,
        prompt: format!("{index}?"),
        answer: "7".into(),
        data_source: "sums".into(),
        extra: json!({"level": index}).as_object().unwrap().clone(),
        ..Problem::default()
    };
    (0..count).map(problem).collect()
}

/// Scores of responses, each to a problem of its own: `None` for what failed or does not apply.
fn scores(verifier: &PythonVerifier, responses: &[&str]) -> Vec<Option<f32>> {
    readings(verifier, responses).into_iter().map(|reading| reading?.verdict.score()).collect()
}

fn readings(verifier: &PythonVerifier, responses: &[&str]) -> Vec<Option<Reading>> {
    let problems = problems(responses.len() as u64);
    let attempts =
        problems.iter().zip(responses).map(|(problem, response)| Attempt { problem, response: (*response).into() });
    verifier.grade_all(&attempts.collect::<Vec<_>>())
}

/// The reason of each failed verdict.
fn failures(verifier: &PythonVerifier, responses: &[&str]) -> Vec<Option<String>> {
    let reason = |reading: Option<Reading>| reading?.verdict.reason().map(str::to_owned);
    readings(verifier, responses).into_iter().map(reason).collect()
}

fn failure(verifier: &PythonVerifier, response: &str) -> String {
    failures(verifier, &[response]).remove(0).expect("a failure")
}

/// Code that records the arguments of its last call in a file.
const RECORD: &str = r#"
import json, os
def record(**arguments):
    with open(os.path.join(os.path.dirname(__file__), "arguments.json"), "w") as file:
        json.dump(arguments, file)
"#;

#[test]
fn verl_s_parameters_get_the_answer_and_the_whole_row() {
    if !has_python() {
        return;
    }
    let code = r#"
def compute_score(data_source, solution_str, ground_truth, extra_info=None):
    record(data_source=data_source, solution_str=solution_str, ground_truth=ground_truth, extra_info=extra_info)
    return 1
def brief(solution_str, ground_truth, format_score=0.25):
    return format_score if solution_str == ground_truth else {"score": 0, "acc": True, "pred": 42}
"#;
    let source = Source::new(&format!("{RECORD}{code}"));
    let row =
        json!({"prompt": "2+5", "reward_model": {"style": "rule"}, "level": 3, "extra_info": {"index": 9, "level": 4}});
    let problem = Problem {
        answer: "{..}".into(),
        answer_value: Some(json!({"target": [7]})),
        data_source: "sums".into(),
        row: Some(row.as_object().unwrap().clone().into()),
        ..Problem::default()
    };
    let reading = source.verifier("compute_score").grade(&problem, "so 7".into());
    assert_eq!(reading.verdict, Verdict::graded(true));
    let arguments: Value =
        serde_json::from_slice(&std::fs::read(source.place.path().join("arguments.json")).unwrap()).unwrap();
    let extra_info = json!({"prompt": "2+5", "reward_model": {"style": "rule"}, "level": 4, "index": 9});
    let expected = json!({"data_source": "sums", "solution_str": "so 7", "ground_truth": {"target": [7]}, "extra_info": extra_info});
    assert_eq!(arguments, expected);
    // Only parameters that a function has are given; a dict may say whether the answer is right, and what it is.
    let brief = source.verifier("brief");
    let found = readings(&brief, &["7", "8"]).into_iter().flatten().collect::<Vec<_>>();
    assert_eq!(found[0].verdict, Verdict::Graded { score: 0.25, correct: false });
    assert_eq!(found[1].verdict, Verdict::Graded { score: 0.0, correct: true });
    assert_eq!(found[1].answer.as_deref(), Some("42"));
}

#[test]
fn trl_s_parameters_get_columns_as_lists_and_completions_in_the_form_of_the_prompt() {
    if !has_python() {
        return;
    }
    let code = r#"
def reward(prompts, completions, level, **columns):
    record(prompts=prompts, completions=completions, level=level, **columns)
    return [None if one is None else one / 10 for one in level]
"#;
    let source = Source::new(&format!("{RECORD}{code}"));
    let verifier = PythonVerifier::new(&PythonFunction { batch: 8, ..source.function("reward") }).unwrap();
    let mut problems = problems(3);
    problems[1].extra = json!({"prompt": "unused", "solution": "seven"}).as_object().unwrap().clone();
    let system = Message { role: "system".into(), content: "Be brief.".into() };
    problems[2].context = Some(vec![system]);
    let responses = ["a", "b", "c"];
    let attempts: Vec<Attempt<'_>> = problems
        .iter()
        .zip(responses)
        .map(|(problem, response)| Attempt { problem, response: response.into() })
        .collect();
    let found: Vec<Option<f32>> =
        verifier.grade_all(&attempts).into_iter().map(|reading| reading?.verdict.score()).collect();
    assert_eq!(found, [Some(0.0), None, Some(0.2)], "one call, in which one row has no `level`");
    let arguments: Value =
        serde_json::from_slice(&std::fs::read(source.place.path().join("arguments.json")).unwrap()).unwrap();
    let chat = json!([{"role": "system", "content": "Be brief."}, {"role": "user", "content": "2?"}]);
    let expected = json!({
        "prompts": ["0?", "1?", chat],
        "completions": ["a", "b", [{"role": "assistant", "content": "c"}]],
        "level": [0, null, 2],
        "solution": [null, "seven", null],
        "ground_truth": ["7", "7", "7"],
        "data_source": ["sums", "sums", "sums"],
    });
    assert_eq!(arguments, expected);
}

#[test]
fn the_example_works_with_both_kinds_of_parameters_and_with_messages() {
    if !has_python() {
        return;
    }
    let file = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../configs/rewards/rewards.py");
    let of =
        |name: &str| PythonVerifier::new(&PythonFunction { workers: 1, ..PythonFunction::new(&file, name) }).unwrap();
    let verl = readings(&of("compute_score"), &["4 + 3 = 7", "8", "none"]);
    let verdicts: Vec<Verdict> = verl.iter().flatten().map(|reading| reading.verdict.clone()).collect();
    assert_eq!(verdicts, [true, false, false].map(Verdict::graded));
    assert_eq!(verl[1].as_ref().unwrap().answer.as_deref(), Some("8"));
    assert_eq!(scores(&of("brevity"), &["", &"x".repeat(250), &"x".repeat(900)]), [Some(1.0), Some(0.5), Some(0.0)]);
    let mut problem = problems(1).remove(0);
    problem.context = Some(Vec::new());
    assert!(of("politeness").grade_all(&[Attempt { problem: &problem, response: "please".into() }])[0].is_none());
    problem.extra.insert("polite".into(), true.into());
    assert_eq!(of("politeness").grade(&problem, "yes, please".into()).verdict, Verdict::graded(true));
    assert_eq!(of("politeness").grade(&problem, "no".into()).verdict, Verdict::graded(false));
}

#[test]
fn async_functions_of_one_batch_wait_together() {
    if !has_python() {
        return;
    }
    let code = r#"
import asyncio
async def slow(data_source, solution_str, ground_truth):
    await asyncio.sleep(1.5)
    if solution_str == "bad":
        raise ValueError("bad")
    return 1
"#;
    let source = Source::new(code);
    let slow = source.verifier("slow");
    let found = scores(&slow, &["a"]);
    assert_eq!(found, [Some(1.0)]);
    let begun = Instant::now();
    assert_eq!(scores(&slow, &["a", "bad", "c", "d"]), [Some(1.0), None, Some(1.0), Some(1.0)]);
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
}

/// Functions that fail in every way, chosen by the response.
const FAILING: &str = r#"
import math, os, sys, time, ctypes
class Liar:
    def __str__(self):
        raise RuntimeError("no")
class Scalar:
    def __init__(self, value):
        self.value = value
    def item(self):
        return self.value
def inner(text):
    return {"list": [1], "text": "0.5", "none": None, "empty": {}, "nan": float("nan"), "inf": {"score": math.inf},
            "two": 2, "nested": {"score": "1"}, "true": True, "scalar": Scalar(0.5), "strange": Scalar(Liar())}[text]
def compute_score(data_source, solution_str, ground_truth, extra_info=None):
    print("a message", flush=True)
    os.system("echo from a child")
    os.write(1, b"raw\n")
    if solution_str == "exit":
        sys.exit(3)
    if solution_str == "gone":
        os._exit(3)
    if solution_str == "crash":
        ctypes.string_at(0)
    if solution_str == "hang":
        time.sleep(1000)
    if solution_str == "liar":
        raise Exception(Liar())
    if solution_str == "long":
        raise ValueError("\ud800\0" + "x" * 10_000_000)
    if solution_str == "input":
        return len(sys.stdin.read())
    return inner(solution_str)
def reward(completions, **columns):
    return [compute_score("", completion, "") for completion in completions]
"#;

#[test]
fn what_is_no_score_is_a_failure_with_row_and_traceback_and_others_are_graded() {
    if !has_python() {
        return;
    }
    let source = Source::new(FAILING);
    let verifier = source.verifier("compute_score");
    let table = [
        ("true", None),
        (
            "missing",
            Some(
                "KeyError: 'missing'; traceback: rewards.py:32 in compute_score: return inner(solution_str) > rewards.py:12 in inner: return {",
            ),
        ),
        ("list", Some("it returned list [1], expected a number")),
        ("text", Some("it returned str '0.5', expected a number")),
        ("none", Some("it returned None, expected a number")),
        ("empty", Some("it returned a dict without `score`: dict {}")),
        ("nan", Some("it returned nan, expected a finite number")),
        ("inf", Some("it returned inf, expected a finite number")),
        (
            "two",
            Some("it returned 2, which is not within `range` (0 to 1); set `range` to the lowest and highest score"),
        ),
        ("nested", Some("it returned str '1', expected a number")),
        ("strange", Some("it returned Scalar <custom_module.Scalar object")),
        ("exit", Some("SystemExit: 3; traceback: rewards.py:")),
        ("liar", Some("Exception: (Exception that cannot be printed)")),
        ("long", Some("ValueError: ? xxxxxxx")),
        ("gone", Some("it ended (exit status: 3); its stderr ends with: ")),
        ("crash", Some("it ended (signal: 11 (SIGSEGV)")),
        ("scalar", None),
    ];
    let responses = table.map(|(response, _)| response);
    for (index, (found, (response, expected))) in failures(&verifier, &responses).into_iter().zip(table).enumerate() {
        match (found, expected) {
            (None, None) => {}
            (Some(reason), Some(words)) => {
                let place = format!("problem {index} of sums: ");
                assert!(reason.starts_with(&format!("{place}{words}")), "{response}: {reason}");
                assert!(reason.len() < 2600 && !reason.contains(char::is_control), "{response}: {}", reason.len());
            }
            (found, _) => panic!("{response}: {found:?}"),
        }
    }
    assert_eq!(scores(&verifier, &["input", "scalar"]), [Some(0.0), Some(0.5)], "and it goes on");
}

#[test]
fn a_call_for_several_prompts_that_fails_is_repeated_for_each() {
    if !has_python() {
        return;
    }
    let source = Source::new(FAILING);
    let verifier = source.verifier("reward");
    let found = scores(&verifier, &["true", "none", "missing", "scalar", "gone", "two", "true"]);
    assert_eq!(found, [Some(1.0), None, None, Some(0.5), None, None, Some(1.0)]);
    let reasons = failures(&verifier, &["none", "missing", "gone"]);
    assert_eq!(reasons[0], None, "None says that it does not apply");
    assert!(
        reasons[1].as_ref().unwrap().starts_with("problem 1 of sums: KeyError: 'missing'; traceback: "),
        "{reasons:?}"
    );
    let ended = "problem 2 of sums: it ended (exit status: 3)";
    let again = ", and again with a new process";
    assert!(
        reasons[2].as_ref().is_some_and(|reason| reason.starts_with(ended) && reason.ends_with(again)),
        "{reasons:?}"
    );
    // Responses to one prompt are never separated.
    let problem = &problems(1)[0];
    let attempts = ["true", "missing"].map(|response| Attempt { problem, response: response.into() });
    let group = verifier.grade_all(&attempts);
    assert!(group.iter().all(|reading| matches!(reading.as_ref().unwrap().verdict, Verdict::Failed { .. })));
}

#[test]
fn lists_of_the_wrong_kind_or_length_are_failures() {
    if !has_python() {
        return;
    }
    let code = r#"
class Array:
    def __init__(self, values): self.values = values
    def tolist(self): return self.values
def short(completions, **columns): return [1] * (len(completions) + 1)
def number(completions, **columns): return 1.0
def text(completions, **columns): return "1" * len(completions)
def array(completions, **columns): return Array([0.5] * len(completions))
def missing(completions, completion_ids, **columns): return [1] * len(completions)
"#;
    let source = Source::new(code);
    assert_eq!(scores(&source.verifier("array"), &["a", "b"]), [Some(0.5), Some(0.5)]);
    for (name, words) in [
        ("short", "it returned a list of 2, expected 1: one for each completion"),
        ("number", "it returned float 1.0, expected a list of 1 numbers or None"),
        ("text", "it returned str '1', expected a list of 1 numbers or None"),
        ("missing", "TypeError: missing() missing 1 required positional argument: 'completion_ids'"),
    ] {
        assert_eq!(failure(&source.verifier(name), "a"), format!("problem 0 of sums: {words}"));
    }
}

#[test]
fn one_response_that_hangs_is_shown_where_and_costs_only_itself() {
    if !has_python() {
        return;
    }
    let source = Source::new(FAILING);
    let verifier = PythonVerifier::new(&PythonFunction { timeout: 6.0, ..source.function("compute_score") }).unwrap();
    assert_eq!(scores(&verifier, &["true"]), [Some(1.0)]);
    let begun = Instant::now();
    let found = failures(&verifier, &["true", "hang", "scalar", "true"]);
    assert!(begun.elapsed() < Duration::from_secs(6), "{:?}", begun.elapsed());
    let reason = found[1].as_ref().expect("a failure");
    assert!(reason.starts_with("problem 1 of sums: no reply within "), "{reason}");
    assert!(reason.contains("hangs") && reason.contains("rewards.py\", line 25 in compute_score"), "{reason}");
    assert_eq!([&found[0], &found[2], &found[3]], [&None, &None, &None]);
}

#[test]
fn a_function_that_always_hangs_costs_one_deadline() {
    if !has_python() {
        return;
    }
    let source = Source::new(FAILING);
    for name in ["compute_score", "reward"] {
        let verifier = PythonVerifier::new(&PythonFunction { timeout: 2.0, ..source.function(name) }).unwrap();
        assert_eq!(scores(&verifier, &["true"]), [Some(1.0)]);
        let begun = Instant::now();
        let batches: Vec<_> = (0..8).map(|_| failures(&verifier, &["hang"; 8])).collect();
        assert!(begun.elapsed() < Duration::from_secs(6), "{name}: {:?}", begun.elapsed());
        let reasons: Vec<String> = batches.into_iter().flatten().flatten().collect();
        assert_eq!(reasons.len(), 64, "{name}: every response is failed");
        assert!(
            reasons[0].contains("no reply within ") && reasons[63].contains("not graded: no process had answered"),
            "{name}: {} | {}",
            reasons[0],
            reasons[63]
        );
    }
}

#[test]
fn what_cannot_be_loaded_is_refused_before_anything_runs() {
    let probe = |function: PythonFunction| {
        let reward = Reward::try_from(Verifier::Python(function))?;
        reward.probe([problems(1).remove(0)].iter())
    };
    let missing = probe(PythonFunction::new("no/such.py".as_ref(), "f")).unwrap_err().to_string();
    assert!(missing.starts_with("cannot read no/such.py: No such file"), "{missing}");
    let source = Source::new("");
    let directory = probe(PythonFunction::new(source.place.path(), "f")).unwrap_err().to_string();
    assert!(directory.ends_with(": it is no file"), "{directory}");
    let interpreter = PythonFunction { interpreter: "no-such-python".into(), ..source.function("f") };
    let message = probe(interpreter).unwrap_err().to_string();
    assert!(message.contains("cannot start `no-such-python`: No such file"), "{message}");
    if !has_python() {
        return;
    }
    for (code, words) in [
        ("def f(:\n", "SyntaxError: invalid syntax (rewards.py, line 1)"),
        (
            "import no_such_module",
            "ModuleNotFoundError: No module named 'no_such_module'; traceback: rewards.py:1 in <module>: import no_such_module",
        ),
        ("def g(): pass\nh = 1", "it has no function `f`; it has g"),
        ("f = 3", "it has no function `f`; it has none"),
        (
            "def f(a, b): pass",
            "`f(a, b)` has neither verl's parameters (data_source, solution_str, ground_truth, extra_info) nor TRL's (prompts, completions and columns of the data by name)",
        ),
        ("f = dict", "the parameters of `f` cannot be read"),
        ("import os\nos._exit(4)", "it ended (exit status: 4)"),
        ("import sys\nsys.exit(4)", "SystemExit: 4"),
        (
            "def f(completions, **columns): return completions[0].upper()",
            "problem 0 of sums: it returned str '7', expected a list of 1 numbers or None",
        ),
    ] {
        let source = Source::new(code);
        let message = probe(source.function("f")).unwrap_err().to_string();
        let known = "verifier `python`: it failed on the first reference answer: ";
        assert!(message.starts_with(known) && message.contains(words), "{code}: {message}");
    }
    let endless = Source::new("import time\ntime.sleep(1000)");
    let message = probe(PythonFunction { startup: 1.0, ..endless.function("f") }).unwrap_err().to_string();
    assert!(message.contains("the file cannot be loaded: no reply within 1."), "{message}");
    // A reward that does not apply to the first row is none that fails.
    let source = Source::new("def f(completions, **columns): return [None] * len(completions)");
    probe(source.function("f")).unwrap();
}

#[test]
fn modules_next_to_the_file_are_found_and_slow_starts_are_waited_for() {
    if !has_python() {
        return;
    }
    let source = Source::new("import time, beside\ntime.sleep(0.6)\ndef f(solution_str): return beside.SCORE");
    std::fs::write(source.place.path().join("beside.py"), "SCORE = 0.75").unwrap();
    let verifier = PythonVerifier::new(&PythonFunction { timeout: 0.5, ..source.function("f") }).unwrap();
    assert_eq!(scores(&verifier, &["a"]), [Some(0.75)]);
}

#[test]
fn any_text_reaches_the_function_as_it_is() {
    if !has_python() {
        return;
    }
    let code = "def f(solution_str): return {'score': 1, 'pred': f'{len(solution_str)} {sum(map(ord, solution_str))}'}";
    let source = Source::new(code);
    let verifier = source.verifier("f");
    let responses = ["\0", "\u{1f600}\u{fffd}\u{2028}\r\n\"\\", "{\"id\": 0}\n{\"id\": 1}", "", &"é\0".repeat(1 << 19)];
    let answers: Vec<String> =
        readings(&verifier, &responses).into_iter().map(|one| one.unwrap().answer.unwrap()).collect();
    let expected = responses.map(|text| {
        let sum: u64 = text.chars().map(|c| u64::from(u32::from(c))).sum();
        format!("{} {sum}", text.chars().count())
    });
    assert_eq!(answers, expected);
}

#[test]
fn replies_of_something_else_are_failures() {
    let kept = |line: &[u8]| exchange::read(line, 3, 2, [0.0, 1.0]).map(|called| called.map(|readings| readings.len()));
    assert_eq!(kept(br#"{"id": 3, "results": [null, {"score": 1}]}"#), Ok(Ok(2)));
    assert_eq!(kept(br#"{"id": 3, "error": "a\nb\u0007"}"#), Ok(Err("a b ".to_owned())));
    for line in [
        &br#"{"id": 4, "results": [null, null]}"#[..],
        br#"{"id": 3, "results": [null]}"#,
        br#"{"id": 3}"#,
        br#"{"id": 3, "results": [1, 2]}"#,
        br#"{"id": 3, "results": [null, {"score": NaN}]}"#,
        b"hello",
        b"\xff",
        b"",
    ] {
        let message = kept(line).unwrap_err();
        assert!(message.starts_with("expected ") && message.len() < 700, "{message}");
    }
    let outside =
        exchange::read(br#"{"id": 3, "results": [{"score": 1e300}, {}]}"#, 3, 2, [0.0, 1.0]).unwrap().unwrap();
    assert!(outside.iter().flatten().all(|reading| matches!(reading.verdict, Verdict::Failed { .. })));
}

#[test]
fn a_process_that_writes_past_the_runner_is_replaced() {
    if !has_python() {
        return;
    }
    // The runner keeps its own copy of the pipe, with the next free number.
    let code = r#"
import os
def f(solution_str):
    for number in range(3, 9):
        try:
            os.write(number, b"x" * 3_000_000 if solution_str == "flood" else b"noise\n") if solution_str != "fine" else 0
        except OSError:
            pass
    return 1
"#;
    let source = Source::new(code);
    let verifier = source.verifier("f");
    let found = failures(&verifier, &["fine", "noise", "flood", "fine"]);
    assert_eq!([&found[0], &found[3]], [&None, &None], "{found:?}");
    assert!(found[1].as_ref().unwrap().contains("expected a reply of vapo's own runner"), "{found:?}");
    assert!(found[2].as_ref().unwrap().contains("bytes without a newline"), "{found:?}");
}

#[test]
fn several_rewards_are_weighed_and_those_that_do_not_apply_are_left_out() {
    if !has_python() {
        return;
    }
    let code = r#"
def known(completions, level, **columns): return [None if one else 1.0 for one in level]
def long(completions, **columns): return [None if text == "?" else len(text) / 10 for text in completions]
def broken(completions, **columns): raise ValueError("broken")
"#;
    let source = Source::new(code);
    let term = |name: &str, weight| RewardTerm {
        name: Some(name.into()),
        weight,
        ..Verifier::Python(source.function(name)).into()
    };
    let reward = Reward::new(&[term("known", 2.0), term("long", 0.5)]).unwrap();
    let problems = problems(2);
    let grade = |row: usize, text: &str| reward.grade(&problems[row], text.into());
    let both = grade(0, "12345");
    assert_eq!(both.scores, [("known".into(), Some(1.0)), ("long".into(), Some(0.5))]);
    assert_eq!(both.reward(1.0, 0.0), Some(2.0 + 0.5 * 0.5));
    let second = grade(1, "12345");
    assert_eq!(second.scores, [("long".into(), Some(0.5))], "the second decides");
    assert_eq!(second.reward(1.0, 0.0), Some(0.5 * 0.5));
    let none = grade(1, "?");
    let reason = "problem 1 of sums: no verifier applies to it: each returned None";
    assert_eq!((none.verdict.reason(), none.reward(1.0, 0.0)), (Some(reason), None));
    let secs = reward.secs();
    assert_eq!(secs.iter().map(|(name, _)| &**name).collect::<Vec<_>>(), ["known", "long"]);
    assert!(secs.iter().all(|(_, secs)| *secs > 0.0), "{secs:?}");
    let failing = Reward::new(&[term("long", 1.0), term("broken", 1.0)]).unwrap();
    let reason = failing.grade(&problems[0], "1".into()).verdict.reason().unwrap().to_owned();
    assert!(reason.starts_with("broken: problem 0 of sums: ValueError: broken; traceback: rewards.py:4"), "{reason}");
}

#[test]
fn settings_are_checked() {
    let parse = |json: &str| serde_json::from_str::<Verifier>(json).map_err(|error| error.to_string());
    let plain = parse(r#"{"kind": "python", "file": "a.py"}"#).unwrap();
    assert_eq!(plain, Verifier::Python(PythonFunction::new("a.py".as_ref(), "compute_score")));
    assert!(plain.validate().is_ok(), "whether the file exists is found out when it is needed");
    assert_eq!(plain.outside_action().as_deref(), Some("run `python3 a.py`"));
    for (settings, words) in [
        (r#""file": """#, "file is \"\", expected the path of a Python file"),
        (r#""file": "a.py", "function": "a.b""#, "function is \"a.b\", expected the name of a function in the file"),
        (r#""file": "a.py", "interpreter": """#, "interpreter is \"\", expected the name or path of a program"),
        (r#""file": "a.py", "batch": 0"#, "batch is 0, expected 1 to 1024"),
        (r#""file": "a.py", "timeout": 0"#, "timeout is 0, expected more than 0"),
        (r#""file": "a.py", "range": [1, 0]"#, "range is [1, 0], expected two numbers"),
        (r#""file": "a.py", "limits": {"cpu_secs": 0}"#, "limits.cpu_secs is 0"),
    ] {
        let verifier = parse(&format!(r#"{{"kind": "python", {settings}}}"#)).unwrap();
        let message = verifier.validate().unwrap_err().to_string();
        assert!(message.starts_with(words), "{message}");
    }
    assert!(parse(r#"{"kind": "python"}"#).unwrap_err().contains("missing field `file`"));
    assert!(
        parse(r#"{"kind": "python", "file": "a.py", "functon": "f"}"#).unwrap_err().contains("unknown field `functon`")
    );
}

#[test]
fn no_process_outlives_its_verifier() {
    if !has_python() {
        return;
    }
    let source = Source::new("import os\ndef f(solution_str): return {'score': 1, 'pred': os.getpid()}");
    let verifier = source.verifier("f");
    let pid = verifier.grade(&problems(1)[0], "a".into()).answer.unwrap();
    let process = PathBuf::from("/proc").join(&pid);
    assert!(process.exists() || !PathBuf::from("/proc/self").exists());
    drop(verifier);
    assert!(!process.exists());
}
