//! Damaged and lying model directories: an error that names the place, never a panic or unbounded memory.

use proptest::prelude::*;
use safetensors::Dtype;
use safetensors::tensor::{TensorView, serialize_to_file};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use vapo_lm::{ChatTemplate, Device, Head, Model, ModelConfig, Tokenizer};

fn fixture() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/qwen3")
}

/// A copy of a good model directory.
fn copy() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for name in ["config.json", "model.safetensors", "generation_config.json"] {
        std::fs::copy(fixture().join(name), dir.path().join(name)).unwrap();
    }
    dir
}

fn load(dir: &Path) -> Result<Model, String> {
    Model::load(&Device::cpu(1), dir, Head::Language).map_err(|error| error.to_string())
}

fn config() -> Value {
    serde_json::from_slice(&std::fs::read(fixture().join("config.json")).unwrap()).unwrap()
}

/// What is said of the fixture's config with these keys changed.
fn with_keys(keys: Value) -> Result<ModelConfig, String> {
    let dir = copy();
    let mut config = config();
    for (key, value) in keys.as_object().unwrap() {
        config[key] = value.clone();
    }
    std::fs::write(dir.path().join("config.json"), config.to_string()).unwrap();
    ModelConfig::load(dir.path()).map_err(|error| error.to_string())
}

#[test]
fn settings_that_would_change_the_arithmetic_are_refused_by_name() {
    with_keys(json!({})).unwrap();
    for (keys, want) in [
        (
            json!({"model_type": "gemma"}),
            "model_type `gemma` is not supported (supported: llama, mistral, ministral, qwen2, qwen3, gemma3_text, phi3,",
        ),
        (
            json!({"model_type": "mistral", "attention_bias": true}),
            "`attention_bias`: true is not supported for mistral",
        ),
        (json!({"mlp_bias": true}), "`mlp_bias`: true is not supported for qwen3"),
        (json!({"hidden_act": "gelu"}), "hidden_act `gelu` is not supported"),
        (json!({"quantization_config": {"quant_method": "gptq"}}), "quantization_config (`gptq`) is not supported"),
        (json!({"final_logit_softcapping": 30.0}), "final_logit_softcapping 30.0 is not supported"),
        (json!({"use_bidirectional_attention": true}), "`use_bidirectional_attention`: true is not supported"),
        (json!({"partial_rotary_factor": 0.5}), "partial_rotary_factor 0.5 is not supported for qwen3"),
        (json!({"model_type": "phi3", "partial_rotary_factor": 0.2}), "of a head of 16 numbers makes 3"),
        (json!({"rope_parameters": {"rope_type": "ntk"}}), "rope scaling `ntk` is not supported (supported: default,"),
        (
            json!({"rope_parameters": {"rope_type": "yarn", "factor": -4.0}}),
            "rope scaling: key `factor` must be a positive",
        ),
        (json!({"rope_parameters": {"rope_type": "yarn", "truncate": 1}}), "rope scaling `truncate` must be true or"),
        (
            json!({"model_type": "phi3", "rope_parameters": {"rope_type": "yarn", "factor": 4.0}}),
            "rope scaling `yarn` needs `short_factor`, a list",
        ),
        (json!({"rope_parameters": {"rope_type": "dynamic"}}), "rope scaling `dynamic` needs `factor`"),
        (
            json!({"rope_parameters": null, "rope_scaling": {"type": "longrope"}}),
            "`longrope` needs `short_factor`, a list",
        ),
        (
            json!({"rope_parameters": {"rope_type": "longrope", "short_factor": [1.0], "long_factor": [2.0]}}),
            "rope scaling `short_factor` holds 1 numbers, expected 8",
        ),
        (
            json!({"layer_types": ["chunked_attention", "full_attention"]}),
            "key `layer_types` holds \"chunked_attention\"",
        ),
        (json!({"layer_types": ["full_attention"]}), "key `layer_types` holds 1 layers, num_hidden_layers is 2"),
        (
            json!({"model_type": "llama", "layer_types": ["sliding_attention", "full_attention"]}),
            "`sliding_attention` is not supported for llama",
        ),
        (
            json!({"model_type": "smollm3", "no_rope_layers": [1]}),
            "`no_rope_layers` must be a list of 2 zeros and ones",
        ),
    ] {
        let error = with_keys(keys).unwrap_err();
        assert!(error.contains(want) && error.contains("config.json: "), "{error}\nexpected: {want}");
    }
}

/// The windows of the fixture's two layers with these keys changed.
fn windows(keys: Value) -> Vec<Option<usize>> {
    with_keys(keys).unwrap().layers.iter().map(|layer| layer.window).collect()
}

#[test]
fn windows_are_where_the_keys_of_a_family_say() {
    let qwen = |keys: Value| {
        let mut all =
            json!({"layer_types": null, "use_sliding_window": true, "sliding_window": 64, "max_window_layers": 1});
        all.as_object_mut().unwrap().extend(keys.as_object().unwrap().clone());
        windows(all)
    };
    assert_eq!(qwen(json!({})), [None, Some(64)]);
    assert_eq!(qwen(json!({"layer_types": ["sliding_attention", "full_attention"]})), [Some(64), None]);
    assert_eq!(qwen(json!({"max_window_layers": 2})), [None, None]);
    assert_eq!(qwen(json!({"use_sliding_window": false})), [None, None]);
    assert_eq!(qwen(json!({"sliding_window": 128})), [None, None], "no text is longer");
    assert_eq!(qwen(json!({"model_type": "llama"})), [None, None]);
    // Mistral's default, unless it is null.
    assert_eq!(qwen(json!({"model_type": "mistral"})), [Some(64), Some(64)]);
    assert_eq!(qwen(json!({"model_type": "mistral", "sliding_window": null})), [None, None]);
    let dir = copy();
    let mut absent = config();
    absent["model_type"] = json!("mistral");
    absent["max_position_embeddings"] = json!(8192);
    absent.as_object_mut().unwrap().remove("sliding_window");
    std::fs::write(dir.path().join("config.json"), absent.to_string()).unwrap();
    assert_eq!(ModelConfig::load(dir.path()).unwrap().layers[1].window, Some(4096));
    let gemma =
        json!({"model_type": "gemma3_text", "layer_types": null, "sliding_window": 8, "sliding_window_pattern": 2});
    assert_eq!(windows(gemma), [Some(8), None]);
}

#[test]
fn absurd_numbers_are_refused_before_memory_is_taken() {
    let huge = 1u64 << 30;
    for (keys, want) in [
        (json!({"vocab_size": huge, "hidden_size": huge}), "the sizes make"),
        (json!({"num_hidden_layers": huge}), "num_hidden_layers (1073741824) must be at most 10000"),
        (json!({"max_position_embeddings": huge}), "max_position_embeddings x head_dim / 2"),
        (json!({"max_position_embeddings": 1 << 22}), "(4194304 x 8) must be at most 16777216 in a network of"),
        (json!({"vocab_size": u64::MAX}), "key `vocab_size` must be an integer between 1 and"),
        (json!({"hidden_size": -3}), "key `hidden_size` must be an integer"),
        (json!({"intermediate_size": 2.5}), "key `intermediate_size` must be an integer"),
        (json!({"num_attention_heads": 0}), "key `num_attention_heads` must be an integer"),
        (json!({"num_key_value_heads": 3}), "must be a multiple of num_key_value_heads (3)"),
        (json!({"head_dim": 15}), "head_dim (15) must be even"),
        (json!({"rms_norm_eps": "small"}), "key `rms_norm_eps` must be a positive number"),
        (json!({"rope_parameters": {"rope_theta": -1.0}}), "key `rope_theta` must be a positive number"),
        (json!({"tie_word_embeddings": "yes"}), "key `tie_word_embeddings` must be true or false"),
        (json!({"eos_token_id": [2, 9999]}), "key `eos_token_id` holds 9999, expected tokens below vocab_size (96)"),
    ] {
        let error = with_keys(keys).unwrap_err();
        assert!(error.contains(want), "{error}\nexpected: {want}");
    }
}

#[test]
fn end_tokens_come_from_the_generation_config() {
    let dir = copy();
    std::fs::write(dir.path().join("generation_config.json"), r#"{"eos_token_id": [2, 7]}"#).unwrap();
    assert_eq!(ModelConfig::load(dir.path()).unwrap().eos_token_ids, [2, 7]);
    std::fs::write(dir.path().join("generation_config.json"), r#"{"eos_token_id": 96}"#).unwrap();
    let error = ModelConfig::load(dir.path()).unwrap_err().to_string();
    assert!(error.contains("generation_config.json: key `eos_token_id` holds 96"), "{error}");
}

/// The fixture's tensors: shape and f32 bytes.
type Tensors = BTreeMap<String, (Vec<usize>, Vec<u8>)>;

fn tensors() -> Tensors {
    let bytes = std::fs::read(fixture().join("model.safetensors")).unwrap();
    let file = safetensors::SafeTensors::deserialize(&bytes).unwrap();
    file.iter().map(|(name, view)| (name.to_string(), (view.shape().to_vec(), view.data().to_vec()))).collect()
}

fn write(path: &Path, tensors: &Tensors) {
    let views = tensors
        .iter()
        .map(|(name, (shape, bytes))| (name.clone(), TensorView::new(Dtype::F32, shape.clone(), bytes).unwrap()));
    serialize_to_file(views, None, path).unwrap();
}

/// What is said of the fixture's weights after a change.
fn with_tensors(change: impl FnOnce(&mut Tensors)) -> Result<Model, String> {
    let dir = copy();
    let mut tensors = tensors();
    change(&mut tensors);
    write(&dir.path().join("model.safetensors"), &tensors);
    load(dir.path())
}

const QUERIES: &str = "model.layers.1.self_attn.q_proj.weight";
const EMBEDDING: &str = "model.embed_tokens.weight";

/// Something that happens to a file.
type Change<'a> = &'a dyn Fn(&mut Tensors);

#[test]
fn wrong_tensors_are_named() {
    let set =
        |bytes: &mut Vec<u8>, at: usize, value: f32| bytes[4 * at..4 * at + 4].copy_from_slice(&value.to_le_bytes());
    let error = |change: Change<'_>| with_tensors(change).err().unwrap();
    let cases: [(Change<'_>, &str); 6] = [
        (&|t| set(&mut t.get_mut(QUERIES).unwrap().1, 5, f32::NAN), "q_proj.weight` holds NaN at element 5"),
        (
            &|t| set(&mut t.get_mut(EMBEDDING).unwrap().1, 9, f32::INFINITY),
            "embed_tokens.weight` holds inf at element 9",
        ),
        (&|t| drop(t.remove(QUERIES)), "no tensor `model.layers.1.self_attn.q_proj.weight`"),
        (&|t| t.get_mut(QUERIES).unwrap().0.reverse(), "q_proj.weight` has shape [24, 64], config.json says [64, 24]"),
        (
            &|t| drop(t.insert("model.layers.0.self_attn.q_proj.bias".into(), (vec![1], vec![0; 4]))),
            "`model.layers.0.self_attn.q_proj.bias` has no place in the network",
        ),
        (
            &|t| drop(t.insert("lm_head.weight".into(), (t[EMBEDDING].0.clone(), vec![0; t[EMBEDDING].1.len()]))),
            "`lm_head.weight` differs from `model.embed_tokens.weight`, but config.json says tie_word_embeddings: true",
        ),
    ];
    for (change, want) in cases {
        let error = error(change);
        assert!(
            error.contains(want) && error.contains("model.safetensors: ") || error.contains("no tensor"),
            "{error}\nexpected: {want}"
        );
    }
}

#[test]
fn a_tied_table_may_be_there_twice_or_under_either_name() {
    let want = load(&fixture()).unwrap();
    let twice = with_tensors(|t| drop(t.insert("lm_head.weight".into(), t[EMBEDDING].clone()))).unwrap();
    let renamed = with_tensors(|t| {
        let table = t.remove(EMBEDDING).unwrap();
        t.insert("lm_head.weight".into(), table);
    });
    assert!(twice.weights() == want.weights() && renamed.unwrap().weights() == want.weights());
}

#[test]
fn types_that_are_not_read_are_named() {
    let dir = copy();
    let bytes = std::fs::read(fixture().join("model.safetensors")).unwrap();
    let length = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    let header = String::from_utf8(bytes[8..8 + length].to_vec()).unwrap().replacen("\"F32\"", "\"I32\"", 1);
    std::fs::write(
        dir.path().join("model.safetensors"),
        [&bytes[..8], header.as_bytes(), &bytes[8 + length..]].concat(),
    )
    .unwrap();
    let error = load(dir.path()).err().unwrap();
    assert!(error.contains("is I32, expected F32, BF16 or F16"), "{error}");
}

/// The fixture in two shards, with this index.
fn sharded(index: Option<Value>) -> tempfile::TempDir {
    let dir = copy();
    std::fs::remove_file(dir.path().join("model.safetensors")).unwrap();
    let all = tensors();
    let middle = all.keys().nth(all.len() / 2).unwrap().clone();
    let (mut first, mut map) = (all.clone(), serde_json::Map::new());
    let second = first.split_off(&middle);
    for (name, part) in [("a.safetensors", &first), ("b.safetensors", &second)] {
        write(&dir.path().join(name), part);
        map.extend(part.keys().map(|tensor| (tensor.clone(), json!(name))));
    }
    let index = index.unwrap_or(json!({"metadata": {}, "weight_map": map}));
    std::fs::write(dir.path().join("model.safetensors.index.json"), index.to_string()).unwrap();
    dir
}

#[test]
fn shards_are_one_model_and_lies_about_them_are_errors() {
    assert!(load(sharded(None).path()).unwrap().weights() == load(&fixture()).unwrap().weights());
    let error = |map: Value| load(sharded(Some(json!({"weight_map": map}))).path()).err().unwrap();
    for (map, want) in [
        (json!({}), "weight_map names no file"),
        (
            json!({"x": "c.safetensors"}),
            "names 1 files, of which 1 do not exist, first `c.safetensors`: is the download complete?",
        ),
        (json!({"x": "../a.safetensors"}), "`../a.safetensors` is not the name of a file in this directory"),
        (json!({"x": "/etc/passwd"}), "`/etc/passwd` is not the name of a file in this directory"),
        (json!({"x": ".."}), "`..` is not the name of a file in this directory"),
        (json!({"x": ""}), "`` is not the name of a file in this directory"),
        (json!({"x": 3}), "a value of the wrong kind at line 1 column "),
        (json!({"x": "a.safetensors"}), "no tensor `model."),
    ] {
        let error = error(map);
        assert!(error.contains(want), "{error}\nexpected: {want}");
    }
    let dir = sharded(None);
    write(&dir.path().join("b.safetensors"), &tensors());
    let error = load(dir.path()).err().unwrap();
    assert!(error.contains("a.safetensors as well"), "{error}");
}

/// Every file of a model directory that is read when there is one.
const FILES: [&str; 7] = [
    "config.json",
    "generation_config.json",
    "model.safetensors",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
];

/// What is said of a directory by all that read it.
fn read_all(dir: &Path) -> Vec<Result<(), String>> {
    vec![
        load(dir).map(drop),
        Tokenizer::load(dir).map(drop).map_err(|error| error.to_string()),
        ChatTemplate::load(dir).map(drop).map_err(|error| error.to_string()),
    ]
}

/// A directory with all of them.
fn complete() -> tempfile::TempDir {
    let dir = copy();
    let tokenizer =
        json!({"version": "1.0", "added_tokens": [], "model": {"type": "BPE", "vocab": {"a": 0}, "merges": []}});
    for (name, content) in [
        ("tokenizer.json", tokenizer.to_string()),
        ("tokenizer_config.json", "{}".into()),
        ("special_tokens_map.json", "{}".into()),
        ("chat_template.jinja", "{{ messages }}".into()),
    ] {
        std::fs::write(dir.path().join(name), content).unwrap();
    }
    assert!(read_all(dir.path()).iter().all(Result::is_ok));
    dir
}

#[test]
fn links_do_not_lead_out_of_a_model_directory() {
    for name in FILES {
        let (dir, elsewhere) = (complete(), tempfile::tempdir().unwrap());
        let (path, target) = (dir.path().join(name), elsewhere.path().join(name));
        std::fs::rename(&path, &target).unwrap();
        symlink(&target, &path).unwrap();
        let errors: Vec<String> = read_all(dir.path()).into_iter().filter_map(Result::err).collect();
        let want = format!(
            "{name}: a link to {}, which is outside of the directory",
            target.canonicalize().unwrap().display()
        );
        assert!(!errors.is_empty() && errors.iter().all(|error| error.contains(&want)), "{errors:?}\nexpected: {want}");

        // A link to another file of the directory is as good as the file.
        std::fs::remove_file(&path).unwrap();
        std::fs::copy(&target, dir.path().join("other")).unwrap();
        symlink("other", &path).unwrap();
        assert!(read_all(dir.path()).iter().all(Result::is_ok), "{name}");
    }
}

#[test]
fn a_shard_may_not_be_a_link_that_leads_out() {
    let (dir, elsewhere) = (sharded(None), tempfile::tempdir().unwrap());
    let (path, target) = (dir.path().join("b.safetensors"), elsewhere.path().join("b"));
    std::fs::rename(&path, &target).unwrap();
    symlink(&target, &path).unwrap();
    let error = load(dir.path()).err().unwrap();
    assert!(error.contains("b.safetensors: a link to "), "{error}");
}

#[test]
fn a_snapshot_of_a_hugging_face_cache_may_link_to_its_blobs_alone() {
    let cache = tempfile::tempdir().unwrap();
    let model = |name: &str| {
        let model = cache.path().join(name);
        let snapshot = model.join("snapshots/0123abc");
        std::fs::create_dir_all(&snapshot).unwrap();
        std::fs::create_dir_all(model.join("blobs")).unwrap();
        snapshot
    };
    let (snapshot, other, files) = (model("models--one"), model("models--other"), complete());
    for (number, name) in FILES.iter().enumerate() {
        std::fs::copy(files.path().join(name), snapshot.join(format!("../../blobs/{number}"))).unwrap();
        symlink(format!("../../blobs/{number}"), snapshot.join(name)).unwrap();
        symlink(format!("../../../models--one/blobs/{number}"), other.join(name)).unwrap();
    }
    assert!(read_all(&snapshot).iter().all(Result::is_ok), "{:?}", read_all(&snapshot));
    assert!(read_all(&other).iter().all(|read| read.as_ref().is_err_and(|error| error.contains("outside of"))));
}

#[test]
fn what_is_not_a_file_is_not_opened() {
    for name in FILES {
        let dir = complete();
        let path = dir.path().join(name);
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        let errors: Vec<String> = read_all(dir.path()).into_iter().filter_map(Result::err).collect();
        assert!(errors.iter().any(|error| error.ends_with(&format!("{name}: not a file"))), "{errors:?}");
    }
}

#[test]
fn a_file_of_another_length_is_an_error() {
    let whole = std::fs::read(fixture().join("model.safetensors")).unwrap();
    let dir = copy();
    let path = dir.path().join("model.safetensors");
    for length in [0, 1, 7, 8, 9, 500, whole.len() / 2, whole.len() - 1] {
        std::fs::write(&path, &whole[..length]).unwrap();
        let error = load(dir.path()).err().unwrap();
        assert!(error.contains("model.safetensors: "), "{error}");
    }
    std::fs::write(&path, [&whole[..], &[0]].concat()).unwrap();
    assert!(load(dir.path()).err().unwrap().contains("truncated or oversized"));
}

#[test]
fn overlapping_and_overflowing_tensors_are_errors() {
    let dir = copy();
    let tensor = |shape: Value, offsets: [u64; 2]| json!({"dtype": "F32", "shape": shape, "data_offsets": offsets});
    for header in [
        json!({"a": tensor(json!([2]), [0, 8]), "b": tensor(json!([2]), [4, 12])}),
        json!({"a": tensor(json!([2]), [0, 8]), "b": tensor(json!([2]), [12, 20])}),
        json!({"a": tensor(json!([1u64 << 62, 1u64 << 62]), [0, 8])}),
        json!({"a": tensor(json!([3]), [0, 8])}),
        json!({"a": tensor(json!([2]), [8, 0])}),
        json!({"a": tensor(json!([2]), [0, u64::MAX])}),
    ] {
        let text = header.to_string();
        let bytes = [&(text.len() as u64).to_le_bytes()[..], text.as_bytes(), &[0; 20]].concat();
        std::fs::write(dir.path().join("model.safetensors"), bytes).unwrap();
        let error = load(dir.path()).err().unwrap();
        assert!(error.contains("model.safetensors: "), "{error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn changed_bytes_of_a_safetensors_header_do_no_harm(changes in prop::collection::vec((0usize..2500, any::<u8>()), 1..4)) {
        let dir = copy();
        let mut bytes = std::fs::read(fixture().join("model.safetensors")).unwrap();
        for (at, to) in changes {
            bytes[at] = to;
        }
        std::fs::write(dir.path().join("model.safetensors"), bytes).unwrap();
        let _ = load(dir.path());
    }

    #[test]
    fn changed_bytes_of_a_config_do_no_harm(changes in prop::collection::vec((0usize..800, any::<u8>()), 1..4)) {
        let dir = copy();
        let mut bytes = std::fs::read(fixture().join("config.json")).unwrap();
        for (at, to) in changes {
            let length = bytes.len();
            bytes[at % length] = to;
        }
        std::fs::write(dir.path().join("config.json"), bytes).unwrap();
        let _ = load(dir.path());
    }

    #[test]
    fn changed_bytes_of_a_tokenizer_do_no_harm(changes in prop::collection::vec((0usize..3000, any::<u8>()), 1..4)) {
        let json = json!({
            "version": "1.0", "truncation": null, "padding": null,
            "added_tokens": [{"id": 3, "content": "<s>", "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true}],
            "normalizer": {"type": "NFC"},
            "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
                {"type": "Split", "pattern": {"Regex": "\\p{N}{1,3}|\\s+(?!\\S)"}, "behavior": "Isolated", "invert": false},
                {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true}]},
            "post_processor": {"type": "TemplateProcessing",
                "single": [{"SpecialToken": {"id": "<s>", "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
                "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
                "special_tokens": {"<s>": {"id": "<s>", "ids": [3], "tokens": ["<s>"]}}},
            "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
            "model": {"type": "BPE", "dropout": null, "unk_token": null, "continuing_subword_prefix": null, "end_of_word_suffix": null,
                "fuse_unk": false, "byte_fallback": false, "ignore_merges": false, "vocab": {"a": 0, "b": 1, "ab": 2, "<s>": 3}, "merges": [["a", "b"]]},
        });
        let mut bytes = serde_json::to_vec(&json).unwrap();
        prop_assert!(Tokenizer::from_json(&bytes).is_ok());
        for (at, to) in changes {
            let length = bytes.len();
            bytes[at % length] = to;
        }
        if let Ok(tokenizer) = Tokenizer::from_json(&bytes) {
            let _ = tokenizer.encode("abba <s> 1234").map(|tokens| tokenizer.decode(&tokens));
        }
    }
}

#[test]
fn a_tokenizer_must_not_know_more_than_the_network() {
    let tokenizer = |tokens: usize| {
        let vocab: BTreeMap<String, usize> = (0..tokens).map(|id| (format!("t{id}"), id)).collect();
        let json =
            json!({"version": "1.0", "added_tokens": [], "model": {"type": "BPE", "vocab": vocab, "merges": []}});
        Tokenizer::from_json(json.to_string().as_bytes()).unwrap()
    };
    let config = ModelConfig::load(&fixture()).unwrap();
    tokenizer(96).check_fits(&config).unwrap();
    let error = tokenizer(97).check_fits(&config).unwrap_err();
    assert_eq!(error, "tokenizer.json holds token 96 (\"t96\"), expected tokens below the model's vocab_size (96)");
}
