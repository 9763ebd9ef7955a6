use std::{ops::ControlFlow, path::Path};

use super::*;
use crate::{Reward, Verifier, parallel_map};

/// A shell worker that handles every request with `body`, which may use `$line` and `$id`.
fn shell(body: &str) -> Vec<String> {
    let script = format!("while IFS= read -r line; do id=${{line#*\\\"id\\\":}}; id=${{id%%,*}}; {body}; done");
    ["sh", "-c", &script].map(str::to_owned).into()
}

const RIGHT: &str = r#"printf '{"id":%s,"score":1}\n' "$id""#;

fn verifier(command: Vec<String>, workers: usize, timeout: f64) -> CommandVerifier {
    CommandVerifier::new(Settings {
        command,
        workers,
        timeout: Duration::from_secs_f64(timeout),
        startup: Duration::from_secs_f64(timeout),
        range: [0.0, 1.0],
    })
}

fn problem() -> Problem {
    Problem { index: 0, prompt: "?".into(), answer: "7".into(), data_source: "test".into(), ..Problem::default() }
}

fn grade(verifier: &CommandVerifier, text: &str) -> Verdict {
    verifier.grade(&problem(), text.into()).verdict
}

/// The reason of a failed verdict.
fn failure(verifier: &CommandVerifier, text: &str) -> String {
    match grade(verifier, text) {
        Verdict::Failed { reason } => reason,
        other => panic!("{other:?}"),
    }
}

/// Whether a process exists and is not a zombie.
fn is_alive(pid: &str) -> bool {
    let stat = std::fs::read_to_string(Path::new("/proc").join(pid).join("stat")).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with(" Z"))
}

fn wait_until(what: &str, holds: impl Fn() -> bool) {
    let begun = Instant::now();
    while !holds() {
        assert!(begun.elapsed() < Duration::from_secs(20), "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn many_responses_are_graded_by_a_few_processes() {
    let body = r#"case "$line" in *'"response":"7"'*) printf '{"id":%s,"score":1,"answer":"seven"}\n' "$id";;
        *) printf '{"id":%s,"score":0.25,"correct":true,"reason":"half"}\n' "$id";; esac"#;
    let verifier = verifier(shell(body), 3, 20.0);
    let work = |index: usize| verifier.grade(&problem(), if index.is_multiple_of(3) { "7" } else { "8" }.into());
    let readings = parallel_map(60, 6, work, |_| ControlFlow::Continue(())).unwrap();
    for (index, reading) in readings.iter().enumerate() {
        let (verdict, answer, remark) = match index.is_multiple_of(3) {
            true => (Verdict::graded(true), Some("seven"), None),
            false => (Verdict::Graded { score: 0.25, correct: true }, None, Some("half")),
        };
        assert_eq!(reading.verdict, verdict);
        assert_eq!((reading.answer.as_deref(), reading.remark.as_deref()), (answer, remark));
    }
    assert!(verifier.pool.lock().unwrap().idle.len() <= 3);
}

#[test]
fn a_process_that_ends_is_replaced_and_its_request_repeated_once() {
    let once = verifier(shell(&format!("{RIGHT}; exit 0")), 1, 20.0);
    for _ in 0..4 {
        assert_eq!(grade(&once, "7"), Verdict::graded(true));
    }
    let never = verifier(shell("echo 'no such module' >&2; exit 3"), 1, 20.0);
    let expected = "it ended (exit status: 3); its stderr ends with: no such module, and again with a new process";
    assert_eq!(failure(&never, "7"), expected);
    // A response that kills every process does not affect the others.
    let fragile = verifier(shell(&format!(r#"case "$line" in *bomb*) exit 9;; *) {RIGHT};; esac"#)), 2, 20.0);
    for _ in 0..3 {
        assert!(failure(&fragile, "bomb").contains("exit status: 9"));
        assert_eq!(grade(&fragile, "7"), Verdict::graded(true));
    }
}

#[test]
fn processes_that_always_break_are_given_up() {
    let verifier = verifier(shell("exit 1"), 1, 20.0);
    let reasons: Vec<String> = (0..MAX_BROKEN_IN_A_ROW).map(|_| failure(&verifier, "7")).collect();
    assert!(reasons[0].starts_with("it ended (exit status: 1)"), "{}", reasons[0]);
    let last = reasons.last().unwrap();
    assert!(last.starts_with("gave up after 16 processes in a row broke down, the last because it ended"), "{last}");
}

#[test]
fn a_process_that_hangs_is_killed_with_its_children() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("pid");
    let hang = format!("sleep 1000 & echo $! > {}; echo working >&2; wait", file.display());
    let verifier = verifier(shell(&hang), 1, 0.5);
    let begun = Instant::now();
    let reason = failure(&verifier, "7");
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    let pid = std::fs::read_to_string(&file).unwrap();
    assert!(reason.starts_with("no reply within ") && reason.contains("flushed"), "{reason}");
    assert!(reason.ends_with("its stderr ends with: working"), "{reason}");
    wait_until("the grandchild is still alive", || !is_alive(pid.trim()));
}

#[test]
fn a_process_that_does_not_read_cannot_block() {
    let deaf = verifier(["sleep", "1000"].map(str::to_owned).into(), 1, 0.5);
    let begun = Instant::now();
    let reason = failure(&deaf, &"x".repeat(1 << 20));
    assert!(reason.starts_with("no reply within ") && begun.elapsed() < Duration::from_secs(15), "{reason}");
}

#[test]
fn garbage_and_floods_are_failures_with_reasons() {
    for (body, words) in [
        ("echo hello", "expected a JSON object with `id` and `score`"),
        ("echo hello", "found `hello`"),
        (
            r#"echo '{"id":-1,"score":1}'"#,
            "expected the reply to have the request's `id` (0), found `{\"id\":-1,\"score\":1}`",
        ),
        (r#"printf '{"id":%s,"score":7}\n' "$id""#, "expected a `score` within `range` (0 to 1), found"),
        (r#"printf '{"id":%s,"score":NaN}\n' "$id""#, "expected a JSON object"),
        (r#"printf '{"id":%s}\n' "$id""#, "expected a number `score` (or a text `error`), found"),
        (r#"printf '{"id":%s,"error":"no license"}\n' "$id""#, "`no license`"),
        ("yes | tr -d '\\n'", "it wrote more than 1048576 bytes without a newline"),
        ("printf '\\377\\376\\n'", "expected a JSON object"),
        ("echo", "expected a JSON object"),
    ] {
        let reason = failure(&verifier(shell(body), 1, 20.0), "7");
        assert!(reason.contains(words), "{body}: {reason}");
    }
    let chatty = verifier(shell(&format!("{RIGHT}; yes")), 1, 20.0);
    assert_eq!(grade(&chatty, "7"), Verdict::graded(true));
    wait_until("no second line", || failure_or_right(&chatty));
}

/// Whether a second request detects the unexpected line (which may still be in transit).
fn failure_or_right(verifier: &CommandVerifier) -> bool {
    match grade(verifier, "7") {
        Verdict::Failed { reason } => {
            assert!(reason.contains("without a request") || reason.contains("expected a JSON object"), "{reason}");
            true
        }
        _ => false,
    }
}

#[test]
fn a_missing_program_is_refused_before_anything_runs() {
    let command = |program: &str| Verifier::Command {
        command: vec![program.to_owned()],
        workers: 1,
        timeout: 20.0,
        startup: 1.0,
        range: [0.0, 1.0],
    };
    let probe = |program: &str| Reward::try_from(command(program)).unwrap().probe([problem()].iter());
    let message = probe("/no/such/program").unwrap_err().to_string();
    assert!(
        message.starts_with(
            "verifier `command`: it failed on the first reference answer: cannot start `/no/such/program`: No such file"
        ),
        "{message}"
    );
    let message = probe("true").unwrap_err().to_string();
    assert!(message.contains("it ended (exit status: 0)"), "{message}");
    assert!(command("").validate().is_err());
}

#[test]
fn no_process_outlives_its_verifier() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("pid");
    let verifier = verifier(shell(&format!("echo $$ > {}; {RIGHT}", file.display())), 1, 20.0);
    assert_eq!(grade(&verifier, "7"), Verdict::graded(true));
    let pid = std::fs::read_to_string(&file).unwrap();
    assert!(is_alive(pid.trim()));
    drop(verifier);
    assert!(!Path::new("/proc").join(pid.trim()).exists(), "neither alive nor a zombie");
}
