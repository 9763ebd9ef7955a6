//! Prompts for `vapo generate`: arguments, a file, or stdin.

use std::{io::IsTerminal, path::Path};

use anyhow::{Context, Result, bail};
use serde_json::Value;
use vapo_lm::ModelConfig;
use vapo_tasks::{Problem, PromptTemplate};
use vapo_train::{TextFiles, rollout::Prompt};

use crate::args::GenerateArgs;

/// Prompts from the command line, a file or a piped stdin; `None` if they are to be typed.
pub(crate) fn prompts(args: &GenerateArgs) -> Result<Option<Vec<String>>> {
    let prompts = match &args.file {
        _ if args.interactive => return Ok(None),
        _ if !args.prompts.is_empty() => args.prompts.clone(),
        Some(path) => {
            let text = std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
            if path.extension().is_some_and(|extension| extension == "jsonl") {
                json_prompts(path, &text)?
            } else {
                lines(&text)
            }
        }
        None if std::io::stdin().is_terminal() => return Ok(None),
        None => lines(&std::io::read_to_string(std::io::stdin()).context("cannot read prompts from stdin")?),
    };
    if prompts.is_empty() {
        bail!("no prompts in {}", args.file.as_ref().map_or("stdin".into(), |path| path.display().to_string()));
    }
    Ok(Some(prompts))
}

fn lines(text: &str) -> Vec<String> {
    text.lines().filter(|line| !line.trim().is_empty()).map(str::to_string).collect()
}

fn json_prompts(path: &Path, text: &str) -> Result<Vec<String>> {
    const FIELDS: [&str; 3] = ["prompt", "problem", "question"];
    let rows = text.lines().zip(1..).filter(|(line, _)| !line.trim().is_empty());
    rows.map(|(line, number)| {
        let place = || format!("{}, row {number}", path.display());
        let row: Value = serde_json::from_str(line).with_context(place)?;
        let prompt = FIELDS.iter().find_map(|field| row[*field].as_str());
        prompt
            .map(str::to_string)
            .with_context(|| format!("{}: expected a text field {}", place(), FIELDS.join(" or ")))
    })
    .collect()
}

/// A prompt as the model reads it, in the templates of its training; `key` is its index in the random stream.
///
/// # Errors
/// The prompt is empty or too long, or the chat template refuses it.
pub(crate) fn to_prompt(
    template: &PromptTemplate,
    prompt: &str,
    key: u64,
    (text, shape): (&TextFiles, &ModelConfig),
    max_new_tokens: usize,
) -> vapo_train::Result<Prompt> {
    let problem = Problem {
        index: key,
        prompt: template.render(prompt),
        data_source: "the given prompts".into(),
        ..Problem::default()
    };
    Prompt::new(problem, key, text, shape, max_new_tokens)
}
