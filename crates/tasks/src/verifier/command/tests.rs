use std::{ops::ControlFlow, path::Path};

use super::{super::pool::MAX_BROKEN_IN_A_ROW, *};
use crate::{Limits, Reward, Verifier, parallel_map};

/// A shell worker that handles every request with `body`, which may use `$line` and `$id`.
fn shell(body: &str) -> Vec<String> {
    let script = format!("while IFS= read -r line; do id=${{line#*\\\"id\\\":}}; id=${{id%%,*}}; {body}; done");
    ["sh", "-c", &script].map(str::to_owned).into()
}

const RIGHT: &str = r#"printf '{"id":%s,"score":1}\n' "$id""#;

fn launch(command: Vec<String>) -> Launch {
    Launch::of_program(command, None, None, Limits::default())
}

fn verifier(command: Vec<String>, workers: usize, timeout: f64) -> CommandVerifier {
    launched(launch(command), workers, timeout)
}

fn launched(launch: Launch, workers: usize, timeout: f64) -> CommandVerifier {
    CommandVerifier::new(Settings {
        launch,
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
    assert!(verifier.pool.idle() <= 3);
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
        (
            r#"printf '{"id":%s,"score":1,"x":"\377"}\n' "$id""#,
            "expected a JSON object with `id` and `score` (invalid utf-8",
        ),
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
        directory: None,
        environment: None,
        limits: Limits::default(),
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

/// A worker that answers every request with the outcome of `test`, which may use `$line`.
fn right_if(test: &str) -> Vec<String> {
    shell(&format!(r#"if {test}; then s=1; else s=0; fi; printf '{{"id":%s,"score":%s}}\n' "$id" "$s""#))
}

fn limited(command: Vec<String>, limits: Limits) -> CommandVerifier {
    launched(Launch { limits, ..launch(command) }, 1, 20.0)
}

#[test]
fn a_process_sees_only_the_variables_that_are_kept() {
    let is_set = |name: &str, environment: Option<&[&str]>| {
        let environment = environment.map(|names| names.iter().map(|&name| name.to_owned()).collect());
        let command = right_if(&format!(r#"env | grep -q "^{name}=""#));
        let verifier = launched(Launch { environment, ..launch(command) }, 1, 20.0);
        grade(&verifier, "7") == Verdict::graded(true)
    };
    assert!(std::env::var_os("CARGO_MANIFEST_DIR").is_some(), "cargo sets it for tests");
    assert!(is_set("CARGO_MANIFEST_DIR", None));
    assert!(is_set("CARGO_MANIFEST_DIR", Some(&["PATH", "CARGO_MANIFEST_DIR", "NO_SUCH_VARIABLE"])));
    assert!(!is_set("CARGO_MANIFEST_DIR", Some(&["PATH"])));
    assert!(!is_set("NO_SUCH_VARIABLE", Some(&["PATH", "NO_SUCH_VARIABLE"])));
    assert!(!is_set("CARGO_MANIFEST_DIR", Some(&[])));
}

#[test]
fn a_process_runs_in_its_directory() {
    let place = tempfile::tempdir().unwrap();
    std::fs::write(place.path().join("here"), "").unwrap();
    let run = |directory| grade(&launched(Launch { directory, ..launch(right_if("[ -f here ]")) }, 1, 20.0), "7");
    assert_eq!(run(Some(place.path().to_path_buf())), Verdict::graded(true));
    assert_eq!(run(None), Verdict::graded(false));
    let missing = launched(Launch { directory: Some("/no/place".into()), ..launch(right_if("true")) }, 1, 20.0);
    let reason = failure(&missing, "7");
    assert!(
        reason.starts_with("cannot start `sh -c ") && reason.ends_with(": there is no directory /no/place"),
        "{reason}"
    );
}

/// The responses of a process with limits: what stays below them is graded, what exceeds them fails with the limit's name.
#[test]
fn limits_end_what_exceeds_them_and_nothing_else() {
    let on_request = |name: &str, body: &str| shell(&format!(r#"case "$line" in *{name}*) {body};; esac; {RIGHT}"#));
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("file").display().to_string();
    let write = format!("head -c 3000000 /dev/zero > {file} || exit 1");
    for (body, limits, reason) in [
        (
            "while :; do :; done",
            Limits { cpu_secs: Some(1), ..Limits::default() },
            "it ended (signal: 24 (SIGXCPU): more than limits.cpu_secs), and again with a new process",
        ),
        (
            &format!("i=0; while :; do echo 0123456789abcdef >> {file}; done"),
            Limits { file_mib: Some(0), ..Limits::default() },
            "it ended (signal: 25 (SIGXFSZ): a file larger than limits.file_mib), and again with a new process",
        ),
        (&write, Limits { file_mib: Some(1), ..Limits::default() }, "it ended (exit status: 1)"),
        (
            "for n in 3 4 5 6 7 8 9; do eval \"exec $n< /dev/null\" || exit 1; done",
            Limits { open_files: Some(6), ..Limits::default() },
            "it ended (exit status: ",
        ),
        // A line of 64 MiB in a variable.
        (
            "x=$(head -c 64000000 /dev/zero | tr '\\0' a) || exit 1",
            Limits { memory_mib: Some(32), ..Limits::default() },
            "it ended (",
        ),
    ] {
        let command = on_request("exceed", body);
        let verifier = limited(command.clone(), limits);
        assert_eq!(grade(&verifier, "7"), Verdict::graded(true), "{body}");
        let found = failure(&verifier, "exceed");
        assert!(found.starts_with(reason), "{body}: {found}");
        assert_eq!(grade(&verifier, "7"), Verdict::graded(true), "{body}: others are graded as before");
    }
    let unlimited = limited(on_request("exceed", &write), Limits { memory_mib: Some(4096), ..Limits::default() });
    assert_eq!(grade(&unlimited, "exceed"), Verdict::graded(true));
}

#[test]
fn all_limits_hold_for_the_process_and_what_it_starts() {
    let limits = Limits {
        memory_mib: Some(2048),
        cpu_secs: Some(77),
        file_mib: Some(3),
        open_files: Some(50),
        processes: Some(4000),
    };
    for (line, soft) in [
        ("Max address space", 2048_u64 << 20),
        ("Max cpu time", 77),
        ("Max file size", 3 << 20),
        ("Max open files", 50),
        ("Max processes", 4000),
    ] {
        // `grep` is a child of the worker and prints its own limits.
        let command = right_if(&format!(r#"grep -Eq "^{line} +{soft} " /proc/self/limits"#));
        assert_eq!(grade(&limited(command, limits), "7"), Verdict::graded(true), "{line}");
    }
}

#[test]
fn wrong_settings_are_refused() {
    for (settings, words) in [
        (r#""limits": {"cpu_secs": 0}"#, "limits.cpu_secs is 0, expected 1 to"),
        (r#""limits": {"open_files": 2}"#, "limits.open_files is 2, expected 3 to"),
        (
            r#""limits": {"memory_mib": 18446744073709551615}"#,
            "limits.memory_mib is 18446744073709551615, expected 1 to",
        ),
        (r#""environment": ["A=1"]"#, "environment is \"A=1\", expected names of variables, without their values"),
    ] {
        let json = format!(r#"{{"kind": "command", "command": ["true"], {settings}}}"#);
        let error = serde_json::from_str::<Verifier>(&json).unwrap().validate().unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
    let json = r#"{"kind": "command", "command": ["true"], "limits": {"memory": 1}}"#;
    let error = serde_json::from_str::<Verifier>(json).unwrap_err().to_string();
    assert!(error.contains("unknown field `memory`, expected one of `memory_mib`, `cpu_secs`"), "{error}");
}

#[test]
fn a_process_killed_by_a_signal_is_named_and_not_a_reward() {
    let reason = failure(&verifier(shell("kill -9 $$"), 1, 20.0), "7");
    assert_eq!(reason, "it ended (signal: 9 (SIGKILL)), and again with a new process");
}

#[test]
fn a_process_that_ignores_signals_is_killed_all_the_same() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("pid");
    let script = format!("trap '' TERM INT HUP; echo $$ > {}; while :; do sleep 1; done", file.display());
    let stubborn = verifier(["sh", "-c", &script].map(str::to_owned).into(), 1, 0.5);
    let begun = Instant::now();
    assert!(failure(&stubborn, "7").starts_with("no reply within "));
    assert!(begun.elapsed() < Duration::from_secs(15), "{:?}", begun.elapsed());
    let pid = std::fs::read_to_string(&file).unwrap();
    wait_until("it is still alive", || !is_alive(pid.trim()));
}

#[test]
fn a_flood_of_messages_neither_blocks_nor_fills_memory() {
    let noisy = shell(&format!(r#"head -c 20000000 /dev/zero | tr '\0' x >&2; echo end >&2; {RIGHT}"#));
    assert_eq!(grade(&verifier(noisy, 1, 60.0), "7"), Verdict::graded(true));
    let reason = failure(&verifier(shell("yes error >&2"), 1, 0.5), "7");
    assert!(reason.len() < 3000 && reason.contains("its stderr ends with: error | error"), "{reason}");
}

#[test]
fn children_that_outlive_their_process_are_killed() {
    let place = tempfile::tempdir().unwrap();
    let pid_in = |name: &str| std::fs::read_to_string(place.path().join(name)).unwrap();
    // The child holds the output of a process that has ended: nothing says that no reply will come.
    let file = place.path().join("holds");
    let heir = format!("sleep 1000 & echo $! > {}; exit 3", file.display());
    let reason = failure(&verifier(shell(&heir), 1, 0.5), "7");
    assert!(reason.contains("it ended (exit status: 3), but its child processes hold its output"), "{reason}");
    wait_until("the child is still alive", || !is_alive(pid_in("holds").trim()));
    // The child holds nothing, and its parent has answered.
    let file = place.path().join("free");
    let free = format!("sleep 1000 < /dev/null > /dev/null 2>&1 & echo $! > {}; {RIGHT}; exit 0", file.display());
    let answered = verifier(shell(&free), 1, 20.0);
    assert_eq!(grade(&answered, "7"), Verdict::graded(true));
    assert!(is_alive(pid_in("free").trim()));
    drop(answered);
    wait_until("the child is still alive", || !is_alive(pid_in("free").trim()));
}
