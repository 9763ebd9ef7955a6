//! A file of problems in JSON or JSON lines: its content, its extension, the keys of problem and answer, the verifier.

use serde_json::json;
use vapo_tasks::{DataOptions, Dataset, Problem, Reward};

use super::{Directory, parts, text};

pub(crate) fn jsonl(data: &[u8]) {
    let [content, extension, prompt_key, answer_key, verifier] = parts(data);
    let directory = Directory::new();
    let path = directory.write(if extension == b"json" { "data.json" } else { "data.jsonl" }, content);
    let key = |part: &[u8]| (!part.is_empty()).then(|| text(part));
    let options = DataOptions { prompt_key: key(prompt_key), answer_key: key(answer_key), ..DataOptions::default() };
    let kind = match verifier {
        b"math" | b"numeric" => text(verifier),
        _ => "exact".to_owned(),
    };
    let reward = Reward::new(&[serde_json::from_value(json!({"kind": kind})).expect("a verifier")]).expect("a reward");
    let Ok(set) = Dataset::load(&path, &options, &reward) else { return };

    assert_eq!(set.problems.len() + set.duplicates, set.rows);
    let first = DataOptions { limit: Some(1), ..options };
    let first = Dataset::load(&path, &first, &reward).expect("the first row of a readable file");
    assert_eq!(first.problems, set.problems[..1], "a limit gives the first problems");

    let lines: String = set.problems.iter().map(line).collect();
    let path = directory.write("again.jsonl", lines.as_bytes());
    let again = Dataset::load(&path, &DataOptions::default(), &reward).expect("written problems can be read");
    let meaning = |problem: &Problem| {
        (problem.prompt.clone(), problem.context.clone(), problem.answer.clone(), problem.data_source.clone())
    };
    let meanings = |set: &Dataset| set.problems.iter().map(meaning).collect::<Vec<_>>();
    assert_eq!(meanings(&again), meanings(&set), "written problems are the same problems");
}

/// A problem as a line of a file.
fn line(problem: &Problem) -> String {
    let prompt = match &problem.context {
        None => json!(problem.prompt),
        Some(context) => {
            let earlier = context.iter().map(|message| json!({"role": message.role, "content": message.content}));
            earlier.chain([json!({"role": "user", "content": problem.prompt})]).collect()
        }
    };
    format!("{}\n", json!({"prompt": prompt, "answer": problem.answer, "data_source": problem.data_source}))
}
