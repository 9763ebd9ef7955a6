//! Conversations with a model through pipes.

use std::{
    io::{BufRead, BufReader, Write},
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;

use crate::program::Place;

/// A small model whose template writes a question as `q=` and an answer as `a:`, and the system message in front.
fn model(place: &Place) {
    let small = ["--updates", "1", "--demonstrations", "2", "--hidden-size", "16", "--layers", "1"];
    place.vapo(&[&["pretrain", "--out", "model"], &small[..]].concat()).ok();
    place.write(
        "model/chat_template.jinja",
        "{% for m in messages %}{{ m.content }}{{ ':' if m.role == 'assistant' else '=' }}{% endfor %}",
    );
}

fn talk(place: &Place, more: &[&str], lines: &str) -> (Vec<Value>, String) {
    let args = [&["generate", "--model", "model", "-i", "--json", "--max-new-tokens", "6"], more].concat();
    let done = place.vapo_with_input(&args, lines);
    let printed = done.stderr.clone();
    (done.ok().lines().map(|line| serde_json::from_str(line).unwrap()).collect(), printed)
}

fn tokens(row: &Value, key: &str) -> Vec<u64> {
    row[key].as_array().unwrap().iter().filter_map(Value::as_u64).collect()
}

#[test]
fn turns_are_kept_as_tokens() {
    let place = Place::new();
    model(&place);
    let (rows, printed) = talk(&place, &[], "7a\n\n2b\n/reset\n7a\n/system 5\n7a\n/sing\n/quit\nnever read\n");
    assert_eq!(rows.len(), 4, "{printed}");
    assert!(printed.contains("a conversation") && printed.contains("there is no command /sing"), "{printed}");
    let (first, second) = (&rows[0], &rows[1]);
    let so_far = [tokens(first, "prompt_tokens"), tokens(first, "response_tokens")].concat();
    let asked = tokens(second, "prompt_tokens");
    assert_eq!(asked[..so_far.len()], so_far[..], "sampled tokens do not change");
    // `:` after the answer, then `2b=`.
    let colon = tokens(&rows[0], "prompt_tokens");
    assert_eq!(asked.len(), so_far.len() + 4);
    assert_eq!(tokens(&rows[2], "prompt_tokens"), colon, "a new conversation");
    assert_eq!(tokens(&rows[3], "prompt_tokens").len(), colon.len() + 2, "`5=` in front");
    assert_eq!(talk(&place, &[], "7a\n2b\n").0, rows[..2], "the same lines, the same answers");
    assert_ne!(talk(&place, &["--seed", "1"], "7a\n2b\n").0, rows[..2]);

    // Scoring the samples gives the same bits.
    place.write("talk.jsonl", &rows.iter().map(|row| format!("{row}\n")).collect::<String>());
    let scored = place.vapo(&["score", "--model", "model", "--data", "talk.jsonl"]).ok();
    for (row, scored) in rows.iter().zip(scored.lines()) {
        let scored: Value = serde_json::from_str(scored).unwrap();
        let wanted: Vec<f32> = row["logprobs"].as_array().unwrap().iter().map(|x| x.as_f64().unwrap() as f32).collect();
        let found: Vec<f32> =
            scored["logprobs"].as_array().unwrap().iter().map(|x| x.as_f64().unwrap() as f32).collect();
        assert_eq!(found, wanted);
    }
}

#[test]
fn answers_go_on_and_end_where_the_context_does() {
    let place = Place::new();
    model(&place);
    // No token ends an answer; only the maximum length does.
    let config = place.read("model/config.json");
    let endless = config.replace("\"eos_token_id\": 1", "\"eos_token_id\": null");
    assert_ne!(endless, config);
    place.write("model/config.json", &endless);
    let (rows, printed) = talk(&place, &["--raw"], "7a+2b\n/more\n/reset\n");
    assert!(printed.contains("/more continues") && printed.contains("each line is a separate prompt"), "{printed}");
    let [first, more] = &rows[..] else { panic!("{rows:?}") };
    assert_eq!(first["stop"], "length");
    let whole = [tokens(first, "prompt_tokens"), tokens(first, "response_tokens")].concat();
    assert_eq!((tokens(more, "prompt_tokens"), tokens(first, "prompt_tokens").len()), (whole, 6));

    let long = "7a+2b".repeat(102);
    let args = ["generate", "--model", "model", "-i", "--max-new-tokens", "400"];
    let done = place.vapo_with_input(&args, &format!("{long}\n/more\n"));
    assert_eq!(done.stdout.trim_end().chars().count(), 1, "511 of 512 tokens are the question: {}", done.stdout);
    assert!(done.stderr.contains("the model's context holds 512 tokens"), "{}", done.stderr);
    assert!(done.stderr.contains("no room for an answer"), "{}", done.stderr);
}

#[test]
fn the_first_ctrl_c_ends_nothing() {
    let place = Place::new();
    model(&place);
    let mut child = place.start_with_input(&["generate", "--model", "model", "-i", "--json"]);
    let (mut input, mut printed) = (child.stdin.take().unwrap(), BufReader::new(child.stderr.take().unwrap()));
    let mut line = String::new();
    printed.read_line(&mut line).unwrap();
    assert!(line.contains("Ctrl-D exits"), "{line}");
    // An answer shows that the program is ready.
    writeln!(input, "7a").unwrap();
    let mut answers = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(answers.next().unwrap().unwrap().contains("logprobs"));
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGINT).unwrap();
    let begun = Instant::now();
    line.clear();
    while !line.contains("Ctrl-C again") {
        assert!(begun.elapsed() < Duration::from_secs(60) && printed.read_line(&mut line).unwrap() > 0, "{line}");
    }
    writeln!(input, "2b\n/quit").unwrap();
    assert!(answers.next().unwrap().unwrap().contains("logprobs"));
    assert_eq!(child.wait().unwrap().code(), Some(0));
}
