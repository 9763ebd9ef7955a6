//! GGUF files against the models that they were made of, and against hostile bytes. Fixtures: `tools/fixtures/gguf_files.py`.

use proptest::prelude::*;
use serde_json::Value;
use std::path::{Path, PathBuf};
use vapo_lm::{Device, Head, Model, Tokenizer, WeightDtype, import_gguf};

fn fixtures() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

fn imported(file: &Path) -> Result<tempfile::TempDir, String> {
    let dir = tempfile::tempdir().unwrap();
    import_gguf(file, dir.path(), WeightDtype::Float32).map_err(|error| error.to_string())?;
    Ok(dir)
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[test]
fn imported_weights_have_the_bits_of_the_model_that_was_converted() {
    for name in ["llama", "llama_tied_odd", "qwen2", "qwen3"] {
        let dir = imported(&fixtures().join(format!("gguf/{name}.gguf"))).unwrap();
        let (got, want) = (
            Model::load(&Device::cpu(1), dir.path(), Head::Language),
            Model::load(&Device::cpu(1), &fixtures().join(name), Head::Language),
        );
        let (got, want) = (got.unwrap(), want.unwrap());
        assert!(got.weights() == want.weights(), "{name}");
        let (got, want) = (got.config(), want.config());
        assert_eq!((got.family, got.tied, got.attention), (want.family, want.tied, want.attention), "{name}");
        assert_eq!((got.rms_norm_eps, &got.ropes), (want.rms_norm_eps, &want.ropes), "{name}");
        assert_eq!((got.bos_token_id, &got.eos_token_ids), (want.bos_token_id, &want.eos_token_ids), "{name}");
        let (saved, wanted) = (json(&dir.path().join("config.json")), json(&fixtures().join(name).join("config.json")));
        for key in ["architectures", "model_type", "hidden_size", "max_position_embeddings", "vocab_size"] {
            assert_eq!(saved[key], wanted[key], "{name} {key}");
        }
    }
}

/// A mixture of the types with few bits, as llama.cpp writes it; the values are summed as the package `gguf` reads them.
#[test]
fn types_with_few_bits_become_the_weights_that_the_reference_reads() {
    let dir = tempfile::tempdir().unwrap();
    let file = fixtures().join("gguf/quantized.gguf");
    let imported = import_gguf(&file, dir.path(), WeightDtype::Float32).unwrap();
    let types: Vec<&str> = imported.types.iter().map(|(name, _)| *name).collect();
    assert_eq!(types, ["F32", "Q2_K", "Q3_K", "IQ4_NL", "IQ4_XS", "MXFP4"]);
    let model = Model::load(&Device::cpu(1), dir.path(), Head::Language).unwrap();
    let sums = json(&fixtures().join("gguf/quantized.json"));
    assert_eq!(sums.as_object().unwrap().len(), model.tensor_names().count());
    for (name, want) in sums.as_object().unwrap() {
        let values = model.tensor(name).unwrap();
        let sum: u64 = values.iter().zip(1..).map(|(value, at)| u64::from(value.to_bits()) * at).sum();
        assert_eq!(serde_json::json!(sum), *want, "{name}");
    }
    // The file names the token of a text's end, and not the one that ends a turn.
    assert_eq!(model.config().eos_token_ids, [0, 31]);
}

#[test]
fn bfloat16_is_rounded_to_the_nearest() {
    let file = fixtures().join("gguf/qwen3.gguf");
    let (exact, rounded) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    import_gguf(&file, exact.path(), WeightDtype::Float32).unwrap();
    import_gguf(&file, rounded.path(), WeightDtype::Bfloat16).unwrap();
    let weights = |dir: &Path| Model::load(&Device::cpu(1), dir, Head::Language).unwrap().weights();
    let rounding = |x: &f32| half::bf16::from_f32(*x).to_f32();
    let want: Vec<f32> = weights(exact.path()).iter().map(rounding).collect();
    assert!(weights(rounded.path()) == want);
    let config = json(&rounded.path().join("config.json"));
    assert_eq!((&config["dtype"], &config["torch_dtype"]), (&"bfloat16".into(), &"bfloat16".into()));
}

#[test]
fn an_existing_tokenizer_reads_what_was_rebuilt() {
    let dir = imported(&fixtures().join("gguf/llama.gguf")).unwrap();
    let tokenizer = Tokenizer::load(dir.path()).unwrap();
    assert_eq!((tokenizer.vocab_size(), tokenizer.token_id("t3t4")), (96, Some(95)));
    assert_eq!(
        json(&dir.path().join("generation_config.json")),
        serde_json::json!({"bos_token_id": 1, "eos_token_id": 2})
    );
    let config = json(&dir.path().join("tokenizer_config.json"));
    assert_eq!((&config["bos_token"], &config["eos_token"]), (&"t1".into(), &"t2".into()));
}

fn import_bytes(bytes: &[u8]) -> Result<(), String> {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("model.gguf");
    std::fs::write(&file, bytes).unwrap();
    imported(&file).map(drop)
}

#[test]
fn a_file_cut_anywhere_is_an_error() {
    let whole = std::fs::read(fixtures().join("gguf/qwen3.gguf")).unwrap();
    import_bytes(&whole).unwrap();
    let header = (0..6000).step_by(37);
    for length in header.chain((6000..whole.len()).step_by(9973)).chain([whole.len() - 1]) {
        let error = import_bytes(&whole[..length]).unwrap_err();
        assert!(error.contains("model.gguf: "), "{error}");
    }
}

/// A file with this much of a header, made by hand.
fn header(version: u32, tensors: u64, entries: u64, rest: &[u8]) -> Vec<u8> {
    [b"GGUF".as_slice(), &version.to_le_bytes(), &tensors.to_le_bytes(), &entries.to_le_bytes(), rest].concat()
}

fn text(text: &str) -> Vec<u8> {
    [(text.len() as u64).to_le_bytes().as_slice(), text.as_bytes()].concat()
}

#[test]
fn lying_headers_are_named() {
    let huge = u64::MAX.to_le_bytes();
    let tensor = |dimensions: &[u64], kind: u32, offset: u64| {
        let sizes: Vec<u8> = dimensions.iter().flat_map(|n| n.to_le_bytes()).collect();
        [&text("t")[..], &(dimensions.len() as u32).to_le_bytes(), &sizes, &kind.to_le_bytes(), &offset.to_le_bytes()]
            .concat()
    };
    let architecture = [text("general.architecture"), 8u32.to_le_bytes().to_vec(), text("bert")].concat();
    let twice = [architecture.clone(), architecture.clone()].concat();
    let cases: [(Vec<u8>, &str); 17] = [
        (vec![], "not a GGUF file"),
        (b"PK\x03\x04 something else".to_vec(), "not a GGUF file"),
        (header(1, 0, 0, &[]), "version 1 is not supported (supported: 2, 3)"),
        (header(3u32.swap_bytes(), 0, 0, &[]), "big-endian"),
        (header(3, u64::MAX, 0, &[]), "tensors, expected at most"),
        (header(3, 0, 1 << 40, &[]), "metadata entries, expected at most"),
        (header(3, 0, 1, &huge), "longer than the file"),
        (header(3, 0, 1, &[text("k"), vec![99, 0, 0, 0]].concat()), "`k`: has the unknown type 99"),
        (header(3, 0, 1, &[text("k"), vec![9, 0, 0, 0, 8, 0, 0, 0], huge.to_vec()].concat()), "`k`: an array of"),
        (
            header(3, 0, 1, &[text("k"), vec![8, 0, 0, 0], 2u64.to_le_bytes().to_vec(), vec![255, 254]].concat()),
            "not UTF-8",
        ),
        (header(3, 0, 2, &twice), "`general.architecture` is given twice"),
        (
            header(3, 0, 1, &architecture),
            "architecture `bert` is not supported in GGUF files (supported: llama, qwen2, qwen3)",
        ),
        (header(3, 1, 0, &tensor(&[1 << 40, 1 << 40], 0, 0)), "impossible shape"),
        (header(3, 1, 0, &tensor(&[33], 2, 0)), "rows of 33 values cannot be cut into Q4_0's blocks of 32"),
        (header(3, 1, 0, &tensor(&[256], 16, 0)), "is of type IQ2_XXS, which is not supported (supported: F32"),
        (header(3, 1, 0, &tensor(&[8], 0, u64::MAX - 31)), "does not fit"),
        (
            [header(3, 2, 0, &[tensor(&[8], 0, 0), tensor(&[8], 0, 0)].concat()), vec![0; 64]].concat(),
            "tensor `t` is given twice",
        ),
    ];
    for (bytes, want) in cases {
        let error = import_bytes(&bytes).unwrap_err();
        assert!(error.contains(want), "{error}\nexpected: {want}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// Whatever a few bytes of the header become, the answer is a model or an error.
    #[test]
    fn changed_bytes_do_no_harm(changes in prop::collection::vec((0usize..5000, any::<u8>()), 1..4)) {
        let mut bytes = std::fs::read(fixtures().join("gguf/qwen3.gguf")).unwrap();
        for (at, to) in changes {
            bytes[at] = to;
        }
        let _ = import_bytes(&bytes);
    }
}
