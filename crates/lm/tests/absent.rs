//! Directories and files that are not model directories: said by name, with what to do.

use serde_json::json;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use vapo_lm::{Device, Head, Model, Tokenizer, WeightDtype, import_gguf};

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// A directory with these files, of this content.
fn directory(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, content) in files {
        std::fs::write(dir.path().join(name), content).unwrap();
    }
    dir
}

/// The same with the `config.json` of a good model.
fn with_config(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = directory(files);
    std::fs::copy(fixture("qwen3/config.json"), dir.path().join("config.json")).unwrap();
    dir
}

/// What is said of a path, from its name on.
fn said(path: &Path, error: &dyn std::fmt::Display) -> String {
    let text = error.to_string().replace(path.to_str().unwrap(), "DIR");
    assert!(!text.contains('\n'), "{text}");
    text
}

fn model(dir: &Path) -> String {
    said(dir, &Model::load(&Device::cpu(1), dir, Head::Language).err().unwrap())
}

fn tokenizer(dir: &Path) -> String {
    said(dir, &Tokenizer::load(dir).err().unwrap())
}

fn import(path: &Path) -> String {
    let out = tempfile::tempdir().unwrap();
    said(path, &import_gguf(path, out.path(), WeightDtype::Float32).err().unwrap())
}

const ADAPTER: &str = r#"{"peft_type": "LORA", "base_model_name_or_path": "Qwen/Qwen3-8B"}"#;
const MERGE: &str = "DIR/adapter_config.json: an adapter of Qwen/Qwen3-8B, not a model: merge the two with `python -c \"from peft \
                     import AutoPeftModelForCausalLM as M; M.from_pretrained('DIR', dtype='auto').merge_and_unload()\
                     .save_pretrained('NEW')\"` and copy the tokenizer's files to NEW";

#[test]
fn an_adapter_is_to_be_merged() {
    let files = [("adapter_config.json", ADAPTER), ("adapter_model.safetensors", ""), ("tokenizer.json", "{}")];
    assert_eq!(model(directory(&files).path()), MERGE);
    assert_eq!(model(with_config(&files).path()), MERGE);
    // What it says of itself is shown on one line, and not at length.
    let lie = json!({"base_model_name_or_path": format!("a\nb{}", "c".repeat(9000))}).to_string();
    let error = model(directory(&[("adapter_config.json", &lie)]).path());
    assert!(error.contains("an adapter of a\u{fffd}bcc") && error.len() < 500, "{error}");
    assert!(model(directory(&[("adapter_config.json", "{")]).path()).contains("an adapter, not a model"));
}

#[test]
fn pickled_weights_are_to_be_written_anew() {
    let want = |name: &str, class: &str| {
        format!(
            "DIR/{name}: pickled weights, which could run code and are not read: write them as model.safetensors with `python -c \
             \"from transformers import {class} as M; M.from_pretrained('DIR', dtype='auto').save_pretrained('DIR')\"`"
        )
    };
    let single = "pytorch_model.bin";
    assert_eq!(model(with_config(&[(single, "PK")]).path()), want(single, "Qwen3ForCausalLM"));
    let (first, second) = ("pytorch_model-00001-of-00002.bin", "pytorch_model-00002-of-00002.bin");
    let shards = with_config(&[("pytorch_model.bin.index.json", "{}"), (first, "PK"), (second, "PK")]);
    assert_eq!(model(shards.path()), want(first, "Qwen3ForCausalLM"));
    // A critic's class is not that of a language model; what is no name is not repeated.
    for (architecture, class) in [("Qwen2ForSequenceClassification", ""), ("a'; import os; '", "AutoModelForCausalLM")]
    {
        let dir = with_config(&[(single, "PK")]);
        let path = dir.path().join("config.json");
        let config = std::fs::read_to_string(&path).unwrap().replace("Qwen3ForCausalLM", architecture);
        std::fs::write(path, config).unwrap();
        assert_eq!(model(dir.path()), want(single, if class.is_empty() { architecture } else { class }));
    }
}

#[test]
fn weights_in_other_forms_are_named() {
    let published = "weights in their publisher's own format, which is not read: use the model's files for transformers \
                     (config.json, model.safetensors, tokenizer.json), which are published beside these";
    for name in ["consolidated.00.pth", "consolidated.safetensors"] {
        let dir = directory(&[(name, ""), ("params.json", "{}"), ("tokenizer.model", "")]);
        assert_eq!(model(dir.path()), format!("DIR/{name}: {published}"));
    }
    let gguf = directory(&[("README.md", ""), ("a.Q4_K_M.gguf", ""), ("b.GGUF", "")]);
    let want =
        "DIR/a.Q4_K_M.gguf: a GGUF file (one of 2): `vapo import DIR/a.Q4_K_M.gguf NEW` makes a model directory of it";
    assert_eq!((model(gguf.path()), tokenizer(gguf.path())), (want.into(), want.into()));
    // A name that a shell would take for a command is not a part of one.
    let odd = directory(&[("$(reboot).gguf", "")]);
    let want = "DIR/$(reboot).gguf: a GGUF file: `vapo import FILE NEW` makes a model directory of it";
    assert_eq!(model(odd.path()), want);
    let file = gguf.path().join("b.GGUF");
    assert_eq!(model(&file), "DIR: a GGUF file: `vapo import DIR NEW` makes a model directory of it");

    let shard = with_config(&[("model-00002-of-00004.safetensors", "")]);
    let want = "DIR/model-00002-of-00004.safetensors: one of several files whose index, model.safetensors.index.json, is missing: is \
                the download complete?";
    assert_eq!(model(shard.path()), want);
}

#[test]
fn what_is_there_is_listed_where_nothing_is_known() {
    assert_eq!(model(directory(&[]).path()), "DIR: no config.json: the directory is empty");
    let files = [("b\u{7}", ""), ("a", ""), ("c", ""), ("d", ""), ("e", ""), ("f", "")];
    assert_eq!(model(directory(&files).path()), "DIR: no config.json: found a, b\u{fffd}, c, d and 2 others");
    assert_eq!(model(with_config(&[]).path()), "DIR: no model.safetensors: found config.json");
    assert_eq!(tokenizer(with_config(&[]).path()), "DIR: no tokenizer.json: found config.json");
    let file = directory(&[("model.bin", "")]);
    let want = "DIR: a file, expected a directory with config.json, model.safetensors and tokenizer.json";
    assert_eq!(model(&file.path().join("model.bin")), want);
    assert_eq!(model(&file.path().join("nothing")), "DIR: does not exist");
    assert_eq!(model(&file.path().join("nothing.gguf")), "DIR: does not exist");
    assert_eq!(model(Path::new("src/nothing")), "DIR: does not exist");
    let want = "DIR: does not exist; a model of the Hugging Face Hub comes with `hf download DIR --local-dir DIR`";
    assert_eq!(model(Path::new("Qwen/Qwen3-8B")), want);
    assert_eq!(model(Path::new("Qwen/Qwen3$8B")), "DIR: does not exist");
}

#[test]
fn slow_tokenizers_are_to_be_converted() {
    for (files, name, class, told) in [
        (&["tokenizer.model", "special_tokens_map.json"][..], "tokenizer.model", "AutoTokenizer", ""),
        (&["merges.txt", "vocab.json"], "vocab.json", "AutoTokenizer", ""),
        (&["tekken.json", "pytorch_model.bin"], "tekken.json", "PreTrainedTokenizerFast", ", fix_mistral_regex=True"),
    ] {
        let files: Vec<(&str, &str)> = files.iter().map(|name| (*name, "")).collect();
        let want = format!(
            "DIR/{name}: a tokenizer in a form that is not read: write it as tokenizer.json with `python -c \"from transformers import \
             {class} as T; T.from_pretrained('DIR'{told}).save_pretrained('DIR')\"`"
        );
        assert_eq!(tokenizer(with_config(&files).path()), want);
    }
}

#[test]
fn missing_shards_are_counted() {
    let index = json!({"weight_map": {"a": "1.safetensors", "b": "2.safetensors", "c": "3.safetensors"}}).to_string();
    let dir = with_config(&[("model.safetensors.index.json", &index), ("2.safetensors", "")]);
    let want = "DIR/model.safetensors.index.json: names 3 files, of which 2 do not exist, first `1.safetensors`: is the download complete?";
    assert_eq!(model(dir.path()), want);
}

#[test]
fn pointers_of_git_are_to_be_fetched() {
    let pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:00ab\nsize 4976698672\n";
    let want = |name: &str| {
        format!("DIR/{name}: a git-lfs pointer to a file of 4976698672 bytes: fetch it with `git lfs pull`")
    };
    let good = with_config(&[("model.safetensors", pointer), ("tokenizer.json", pointer)]);
    assert_eq!(model(good.path()), want("model.safetensors"));
    assert_eq!(tokenizer(good.path()), want("tokenizer.json"));
    for name in ["config.json", "generation_config.json", "model.safetensors.index.json"] {
        let dir = with_config(&[]);
        std::fs::write(dir.path().join(name), pointer).unwrap();
        assert_eq!(model(dir.path()), want(name));
    }
    let index = json!({"weight_map": {"a": "1.safetensors"}}).to_string();
    let shards = with_config(&[("model.safetensors.index.json", &index), ("1.safetensors", pointer)]);
    assert_eq!(model(shards.path()), want("1.safetensors"));
    let gguf = directory(&[("m.gguf", pointer)]);
    let want = "DIR: a git-lfs pointer to a file of 4976698672 bytes: fetch it with `git lfs pull`";
    assert_eq!(import(&gguf.path().join("m.gguf")), want);
    let lie = directory(&[("m.gguf", "version https://git-lfs size\nsize a\u{7}b\n")]);
    assert_eq!(import(&lie.path().join("m.gguf")), "DIR: a git-lfs pointer to a file: fetch it with `git lfs pull`");
}

#[test]
fn links_to_nothing_are_no_missing_files() {
    let dir = with_config(&[]);
    for name in ["model.safetensors", "tokenizer.json"] {
        symlink("../../blobs/0123", dir.path().join(name)).unwrap();
    }
    let want = |name: &str| format!("DIR/{name}: a link to a file that does not exist: is the download complete?");
    assert_eq!((model(dir.path()), tokenizer(dir.path())), (want("model.safetensors"), want("tokenizer.json")));
}

#[test]
fn a_directory_is_not_imported() {
    let want = "DIR: a model directory, expected a GGUF file: a model directory needs no import";
    assert_eq!(import(&fixture("qwen3")), want);
    assert_eq!(import(directory(&[("m.gguf", "")]).path()), "DIR: a directory, expected a GGUF file: found m.gguf");
}
