//! What a path holds in place of a model directory's files: said by name, with what to do.

use crate::Error;
use crate::files::read_bounded;
use serde_json::Value;
use std::path::{Component, Path};

/// Most entries of a directory that are looked at.
const MAX_ENTRIES: usize = 4096;
/// Names in a message, and characters of a name or of a text from a file.
const SHOWN: usize = 4;
const LONGEST: usize = 100;

const PUBLISHERS_OWN: &str = "weights in their publisher's own format, which is not read: use the model's files for transformers \
                              (config.json, model.safetensors, tokenizer.json), which are published beside these";

/// A part of a model directory that must be there.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Config,
    Weights,
    Tokenizer,
}

impl Part {
    fn file(self) -> &'static str {
        match self {
            Part::Config => "config.json",
            Part::Weights => "model.safetensors",
            Part::Tokenizer => "tokenizer.json",
        }
    }
}

/// The error for a path without a `config.json`: it holds another format, or nothing.
pub fn not_a_model(path: &Path) -> Error {
    absent(path, Part::Config)
}

/// The error for a directory without a part, which says what is there instead.
pub(crate) fn absent(dir: &Path, part: Part) -> Error {
    if !dir.is_dir() {
        return not_a_directory(dir);
    }
    let names = names(dir);
    let has_weights = names.iter().any(|name| name.starts_with(Part::Weights.file()));
    let other = match part {
        Part::Tokenizer if has_weights => other_tokenizer(dir, &names),
        Part::Tokenizer => other_tokenizer(dir, &names).or_else(|| other_weights(dir, &names)),
        Part::Config | Part::Weights => other_weights(dir, &names),
    };
    let (name, problem) = other.unwrap_or_else(|| ("", format!("no {}: {}", part.file(), found(&names))));
    Error::content(if name.is_empty() { dir.to_path_buf() } else { dir.join(printable(name)) }, problem)
}

/// The error for a directory that was given as a GGUF file.
pub(crate) fn directory_of_gguf(dir: &Path) -> Error {
    let names = names(dir);
    let problem = if names.iter().any(|name| name == Part::Config.file()) {
        "a model directory, expected a GGUF file: a model directory needs no import".to_owned()
    } else {
        format!("a directory, expected a GGUF file: {}", found(&names))
    };
    Error::content(dir, problem)
}

fn not_a_directory(path: &Path) -> Error {
    let problem = if !path.exists() {
        format!("does not exist{}", download(path))
    } else if is_gguf(path) {
        gguf(path, 1)
    } else {
        "a file, expected a directory with config.json, model.safetensors and tokenizer.json".to_owned()
    };
    Error::content(path, problem)
}

/// What to do about a path that may be a name on the Hugging Face Hub: `OWNER/NAME`, where there is no such directory.
fn download(path: &Path) -> String {
    let parts: Vec<Component<'_>> = path.components().collect();
    let is_local = path.parent().is_some_and(Path::is_dir);
    let is_name = parts.len() == 2 && !is_local && parts.iter().all(|part| matches!(part, Component::Normal(_)));
    match argument(path, "").as_str() {
        name if is_name && !name.is_empty() => {
            format!("; a model of the Hugging Face Hub comes with `hf download {name} --local-dir {name}`")
        }
        _ => String::new(),
    }
}

/// A file with weights that are not read, and what to do.
fn other_weights<'a>(dir: &Path, names: &'a [String]) -> Option<(&'a str, String)> {
    let at = argument(dir, "DIR");
    let first = |matches: &dyn Fn(&str) -> bool| names.iter().map(String::as_str).find(|name| matches(name));
    if let Some(name) = first(&|name| name == "adapter_config.json") {
        let base = text_in(dir, name, |json| json["base_model_name_or_path"].as_str())
            .map_or(String::new(), |base| format!(" of {base}"));
        let problem = format!(
            "an adapter{base}, not a model: merge the two with `python -c \"from peft import AutoPeftModelForCausalLM as M; \
             M.from_pretrained('{at}', dtype='auto').merge_and_unload().save_pretrained('NEW')\"` and copy the tokenizer's files to NEW"
        );
        return Some((name, problem));
    }
    let is_pickle =
        |name: &str| name.starts_with("pytorch_model") && (name.ends_with(".bin") || name.ends_with(".json"));
    if let Some(name) = first(&is_pickle) {
        let class = text_in(dir, Part::Config.file(), |json| json["architectures"][0].as_str())
            .filter(|class| !class.is_empty() && class.chars().all(|c| c.is_ascii_alphanumeric()))
            .unwrap_or("AutoModelForCausalLM".into());
        let problem = format!(
            "pickled weights, which could run code and are not read: write them as model.safetensors with `python -c \
             \"from transformers import {class} as M; M.from_pretrained('{at}', dtype='auto').save_pretrained('{at}')\"`"
        );
        return Some((name, problem));
    }
    if let Some(name) = first(&|name| name.starts_with("consolidated.")) {
        return Some((name, PUBLISHERS_OWN.to_owned()));
    }
    let is_gguf = |name: &str| is_gguf(Path::new(name));
    if let Some(name) = first(&is_gguf) {
        return Some((name, gguf(&dir.join(name), names.iter().filter(|name| is_gguf(name)).count())));
    }
    let is_shard = |name: &str| name.starts_with("model-") && name.ends_with(".safetensors");
    first(&is_shard).map(|name| {
        let problem =
            "one of several files whose index, model.safetensors.index.json, is missing: is the download complete?";
        (name, problem.to_owned())
    })
}

/// A file with a tokenizer that is not read, and what to do.
fn other_tokenizer(dir: &Path, names: &[String]) -> Option<(&'static str, String)> {
    // The class of transformers that reads it, and what it must be told.
    const SOURCES: [(&str, &str, &str); 3] = [
        ("tokenizer.model", "AutoTokenizer", ""),
        ("tekken.json", "PreTrainedTokenizerFast", ", fix_mistral_regex=True"),
        ("vocab.json", "AutoTokenizer", ""),
    ];
    let (name, class, told) = SOURCES.into_iter().find(|(source, ..)| names.iter().any(|name| name == source))?;
    let problem = format!(
        "a tokenizer in a form that is not read: write it as tokenizer.json with `python -c \"from transformers import {class} as T; \
         T.from_pretrained('{0}'{told}).save_pretrained('{0}')\"`",
        argument(dir, "DIR")
    );
    Some((name, problem))
}

fn is_gguf(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("gguf"))
}

fn gguf(path: &Path, count: usize) -> String {
    let others = if count > 1 { format!(" (one of {count})") } else { String::new() };
    format!("a GGUF file{others}: `vapo import {} NEW` makes a model directory of it", argument(path, "FILE"))
}

/// A path as a part of a command, or its placeholder: a name from elsewhere must mean nothing to a shell.
fn argument(path: &Path, placeholder: &str) -> String {
    let is_plain = |c: char| c.is_alphanumeric() || "/._-+=@:,".contains(c);
    path.to_str().filter(|text| text.chars().all(is_plain)).unwrap_or(placeholder).to_owned()
}

/// The names in a directory, in order.
fn names(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten().take(MAX_ENTRIES);
    let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}

/// What is there, in a few words.
fn found(names: &[String]) -> String {
    let shown: Vec<String> = names.iter().take(SHOWN).map(|name| printable(name)).collect();
    match names.len() {
        0 => "the directory is empty".to_owned(),
        count if count > SHOWN => format!("found {} and {} others", shown.join(", "), count - SHOWN),
        _ => format!("found {}", shown.join(", ")),
    }
}

/// A short text in a JSON file, if it can be read.
fn text_in(dir: &Path, name: &str, pick: impl FnOnce(&Value) -> Option<&str>) -> Option<String> {
    const MAX_BYTES: u64 = 1 << 20;
    let json: Value =
        serde_json::from_slice(&read_bounded(&crate::files::path_in(dir, name).ok()?, MAX_BYTES).ok()?).ok()?;
    pick(&json).map(printable)
}

/// A text from elsewhere: on one line, and not long.
fn printable(text: &str) -> String {
    text.chars().take(LONGEST).map(|c| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c }).collect()
}
