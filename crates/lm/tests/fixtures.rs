//! The engine against PyTorch: numbers that `tools/fixtures/engine.py` computed in f64.

use safetensors::SafeTensors;
use std::path::{Path, PathBuf};
use vapo_lm::*;

const FAMILIES: [&str; 19] = [
    "llama",
    "llama_tied_odd",
    "llama_bias",
    "llama_mlp_bias",
    "llama_yarn",
    "llama_dynamic",
    "mistral",
    "ministral",
    "qwen2",
    "qwen2_window",
    "qwen2_yarn",
    "qwen3",
    "gemma3_text",
    "phi3",
    "phi3_longrope",
    "phi3_longrope_long",
    "olmo2",
    "olmo3",
    "smollm3",
];

struct Fixture {
    dir: PathBuf,
    bytes: Vec<u8>,
}

impl Fixture {
    fn new(family: &str) -> Fixture {
        let dir = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(family);
        let bytes = std::fs::read(dir.join("expected.safetensors")).unwrap();
        Fixture { dir, bytes }
    }

    fn floats(&self, name: &str) -> Vec<f32> {
        let tensors = SafeTensors::deserialize(&self.bytes).unwrap();
        let view = tensors.tensor(name).unwrap_or_else(|_| panic!("no `{name}` in the fixture"));
        view.data().chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect()
    }

    fn integers(&self, name: &str) -> Vec<usize> {
        let tensors = SafeTensors::deserialize(&self.bytes).unwrap();
        let view = tensors.tensor(name).unwrap();
        view.data().chunks_exact(8).map(|b| i64::from_le_bytes(b.try_into().unwrap()) as usize).collect()
    }

    fn tokens(&self, name: &str) -> Vec<u32> {
        self.integers(name).into_iter().map(|t| t as u32).collect()
    }

    fn policy(&self) -> Model {
        self.load(&self.dir, Head::Language)
    }

    fn critic(&self) -> Model {
        self.load(&self.dir.join("critic"), Head::Value)
    }

    /// A network as the fixture's script ran it: LongRoPE once with texts of the first training's length, once with longer.
    fn load(&self, dir: &Path, head: Head) -> Model {
        let mut model = Model::load(&Device::cpu(1), dir, head).unwrap();
        if self.dir.ends_with("phi3_longrope") {
            model.limit_positions(64);
        }
        model
    }
}

/// Splits the fixture's tokens into sequences.
fn sequences<'a>(fixture: &Fixture, tokens: &'a [u32]) -> Vec<Sequence<'a>> {
    let mut rest = tokens;
    let shapes = fixture.integers("lengths").into_iter().zip(fixture.integers("prompt_lengths"));
    shapes
        .map(|(length, prompt)| {
            let (here, after) = rest.split_at(length);
            rest = after;
            Sequence { prompt: &here[..prompt], response: &here[prompt..] }
        })
        .collect()
}

/// Largest difference, relative to the largest value wanted.
fn worst(got: &[f32], want: &[f32]) -> f32 {
    assert_eq!(got.len(), want.len());
    let scale = want.iter().fold(1e-6f32, |m, w| m.max(w.abs()));
    got.iter().zip(want).fold(0.0f32, |m, (g, w)| m.max((g - w).abs())) / scale
}

fn gradient(fixture: &Fixture, engine: &mut Engine, policy: &Model, grads: &mut Buffer) -> f32 {
    let tokens = fixture.tokens("tokens");
    let (w, u) = (fixture.floats("weights"), fixture.floats("entropy_weights"));
    let mut total = 0.0;
    let temperature = fixture.floats("temperature")[0];
    engine.policy_backward(policy, grads, &sequences(fixture, &tokens), temperature, |range, scored| {
        let (w, u) = (&w[range.clone()], &u[range]);
        for i in 0..w.len() {
            total += w[i] * scored.logp[i] + u[i] * scored.entropy[i];
        }
        TokenGrad { dlogp: w.to_vec(), dentropy: Some(u.to_vec()) }
    });
    total
}

#[test]
fn logits_log_probs_and_entropy() {
    for family in FAMILIES {
        let fixture = Fixture::new(family);
        let policy = fixture.policy();
        let tokens = fixture.tokens("tokens");
        let temperature = fixture.floats("temperature")[0];
        let mut engine = Engine::new(&Device::cpu(2), 40);
        let scored = engine.score(&policy, &sequences(&fixture, &tokens), temperature);
        assert!(worst(&scored.logp, &fixture.floats("logp")) < 2e-5, "{family}");
        assert!(worst(&scored.entropy, &fixture.floats("entropy")) < 2e-5, "{family}");
        // Logits, one position at a time: log-probabilities of every token after each prefix.
        let vocab = policy.config().vocab_size;
        let logits = fixture.floats("logits");
        let last = fixture.integers("lengths")[0];
        for (t, row) in logits.chunks(vocab).take(last).enumerate() {
            let log_sum = row.iter().map(|z| f64::from(*z).exp()).sum::<f64>().ln();
            let all: Vec<u32> = (0..vocab as u32).collect();
            let each: Vec<Sequence> =
                all.iter().map(|v| Sequence { prompt: &tokens[..=t], response: std::slice::from_ref(v) }).collect();
            let got = engine.score(&policy, &each, 1.0).logp;
            let want: Vec<f32> = row.iter().map(|z| (f64::from(*z) - log_sum) as f32).collect();
            assert!(worst(&got, &want) < 2e-5, "{family} position {t}");
        }
    }
}

#[test]
fn loss_and_every_gradient() {
    for family in FAMILIES {
        let fixture = Fixture::new(family);
        let policy = fixture.policy();
        for micro_batch in [1, 1000] {
            let mut grads = policy.zero_gradients();
            let loss = gradient(&fixture, &mut Engine::new(&Device::cpu(1), micro_batch), &policy, &mut grads);
            assert!(worst(&[loss], &fixture.floats("loss")) < 2e-5, "{family}");
            for name in policy.tensor_names() {
                let got = policy.tensor_in(&grads, name).unwrap();
                let error = worst(&got, &fixture.floats(&format!("grad.{name}")));
                assert!(error < 5e-5, "{family} {name}: {error:e}");
            }
        }
    }
}

#[test]
fn three_steps_of_adamw() {
    for family in FAMILIES {
        let fixture = Fixture::new(family);
        let mut policy = fixture.policy();
        let mut engine = Engine::new(&Device::cpu(2), 1000);
        let config = AdamWConfig { weight_decay: 0.1, ..AdamWConfig::default() };
        let mut optimizer = AdamW::new(config, &policy);
        let mut grads = policy.zero_gradients();
        let norms: Vec<f32> = (0..3)
            .map(|_| {
                gradient(&fixture, &mut engine, &policy, &mut grads);
                optimizer.update(&mut policy, &mut grads, 1e-2)
            })
            .collect();
        assert!(worst(&norms, &fixture.floats("grad_norms")) < 2e-4, "{family} {norms:?}");
        for name in policy.tensor_names() {
            let error = worst(&policy.tensor(name).unwrap(), &fixture.floats(&format!("adamw.{name}")));
            assert!(error < 2e-3, "{family} {name}: {error:e}");
        }
    }
}

#[test]
fn critic_values_and_gradients() {
    for family in FAMILIES {
        let fixture = Fixture::new(family);
        let critic = fixture.critic();
        let tokens = fixture.tokens("tokens");
        let sequences = sequences(&fixture, &tokens);
        let mut engine = Engine::new(&Device::cpu(2), 30);
        assert!(worst(&engine.values(&critic, &sequences), &fixture.floats("values")) < 2e-5, "{family}");
        let (w, returns) = (fixture.floats("value_weights"), fixture.floats("returns"));
        let mut grads = critic.zero_gradients();
        engine.critic_backward(&critic, &mut grads, &sequences, |range, values| {
            range.zip(values).map(|(i, v)| w[i] * (v - returns[i])).collect()
        });
        for name in critic.tensor_names() {
            let error =
                worst(&critic.tensor_in(&grads, name).unwrap(), &fixture.floats(&format!("critic_grad.{name}")));
            assert!(error < 5e-5, "{family} {name}: {error:e}");
        }
    }
}

/// A reward model (`..ForSequenceClassification` with one label) has the same head without a bias.
#[test]
fn a_reward_model_is_a_critic_whose_bias_is_zero() {
    for family in FAMILIES {
        let fixture = Fixture::new(family);
        let dir = tempfile::tempdir().unwrap();
        let critic = fixture.dir.join("critic");
        let bytes = std::fs::read(critic.join("model.safetensors")).unwrap();
        let all = SafeTensors::deserialize(&bytes).unwrap();
        let without_bias = all.iter().filter(|(name, _)| *name != "score.bias");
        safetensors::serialize_to_file(without_bias, None, &dir.path().join("model.safetensors")).unwrap();
        let config = std::fs::read_to_string(critic.join("config.json")).unwrap();
        let config = config.replace("ForTokenClassification", "ForSequenceClassification");
        std::fs::write(dir.path().join("config.json"), config).unwrap();

        let bias = Model::load(&Device::cpu(1), &critic, Head::Value).unwrap().tensor("score.bias").unwrap()[0];
        assert!(bias != 0.0, "{family}");
        let want: Vec<f32> = fixture.floats("values").iter().map(|value| value - bias).collect();
        let tokens = fixture.tokens("tokens");
        let model = fixture.load(dir.path(), Head::Value);
        let got = Engine::new(&Device::cpu(1), 100).values(&model, &sequences(&fixture, &tokens));
        assert!(worst(&got, &want) < 2e-5, "{family}");
    }
}

#[test]
fn greedy_continuation() {
    for family in FAMILIES {
        let fixture = Fixture::new(family);
        let prompt = fixture.tokens("greedy_prompt");
        let want = fixture.tokens("greedy");
        let sampling = Sampling { temperature: 0.0, max_new_tokens: want.len(), ..Sampling::default() };
        let requests = [Request { prompt: &prompt, samples: 1, key: 0 }];
        let go_on = &mut |_, _| std::ops::ControlFlow::Continue(());
        let samples =
            Engine::new(&Device::cpu(1), 64).generate(&fixture.policy(), &requests, &sampling, 0, go_on).unwrap();
        assert_eq!(samples[0][0].tokens, want, "{family}");
    }
}

/// Files of transformers 4 spell rotary positions, windows and defaults in other ways.
#[test]
fn configs_of_older_files_describe_the_same_network() {
    let mut compared = 0;
    for family in FAMILIES {
        let fixture = Fixture::new(family);
        let Ok(older) = std::fs::read(fixture.dir.join("config.v4.json")) else { continue };
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("config.json"), older).unwrap();
        let (new, old) = (ModelConfig::load(&fixture.dir).unwrap(), ModelConfig::load(dir.path()).unwrap());
        assert_eq!(
            (new.family, new.attention, new.query_scale),
            (old.family, old.attention, old.query_scale),
            "{family}"
        );
        assert_eq!((&new.layers, &new.ropes), (&old.layers, &old.ropes), "{family}");
        assert_eq!((new.activation, new.biases, new.tied), (old.activation, old.biases, old.tied), "{family}");
        assert_eq!(new.max_position_embeddings, old.max_position_embeddings, "{family}");
        compared += 1;
    }
    assert!(compared > 10, "only {compared} files");
}

#[test]
fn files_there_and_back() {
    for family in FAMILIES {
        let fixture = Fixture::new(family);
        let policy = fixture.policy();
        let dir = tempfile::tempdir().unwrap();
        policy.save(dir.path(), WeightDtype::Float32).unwrap();
        let again = Model::load(&Device::cpu(1), dir.path(), Head::Language).unwrap();
        assert!(policy.weights() == again.weights(), "{family}");
        let (saved, read) = (policy.config(), again.config());
        assert_eq!(
            (saved.attention, &saved.layers, &saved.ropes),
            (read.attention, &read.layers, &read.ropes),
            "{family}"
        );
        let critic_dir = dir.path().join("critic");
        std::fs::create_dir(&critic_dir).unwrap();
        let mut critic = policy.to_critic();
        critic.randomize_value_head(0.1, 1);
        critic.save(&critic_dir, WeightDtype::Float32).unwrap();
        assert!(
            critic.weights() == Model::load(&Device::cpu(1), &critic_dir, Head::Value).unwrap().weights(),
            "{family}"
        );
        // A critic made from a policy has the same decoder.
        let tokens = fixture.tokens("tokens");
        let values = Engine::new(&Device::cpu(1), 100).values(&policy.to_critic(), &sequences(&fixture, &tokens));
        assert!(values.iter().all(|v| *v == 0.0));
        let error = Model::load(&Device::cpu(1), dir.path(), Head::Value).err().unwrap().to_string();
        assert!(error.contains("no tensor `score.weight`"), "{error}");
    }
}

/// Published files describe the same networks in the words of transformers 4.
#[test]
fn both_spellings_of_a_configuration_are_one_network() {
    let all = FAMILIES.map(Fixture::new);
    let twice = || all.iter().filter(|fixture| fixture.dir.join("config.v4.json").exists());
    assert!(twice().count() > 10);
    for fixture in twice() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::copy(fixture.dir.join("config.v4.json"), dir.path().join("config.json")).unwrap();
        std::fs::copy(fixture.dir.join("model.safetensors"), dir.path().join("model.safetensors")).unwrap();
        let older = fixture.load(dir.path(), Head::Language);
        let tokens = fixture.tokens("tokens");
        let score = |policy| Engine::new(&Device::cpu(1), 100).score(policy, &sequences(fixture, &tokens), 1.0).logp;
        assert!(score(&older) == score(&fixture.policy()), "{:?}", fixture.dir);
    }
}

/// To go beyond the first context, people add `rope_scaling` to a file, also to one that has `rope_parameters`.
#[test]
fn an_added_scaling_counts() {
    let fixture = Fixture::new("qwen2_yarn");
    let read = |name: &str| -> serde_json::Value {
        serde_json::from_slice(&std::fs::read(fixture.dir.join(name)).unwrap()).unwrap()
    };
    let mut config = read("config.json");
    config["rope_parameters"] = serde_json::json!({"rope_type": "default", "rope_theta": 100.0});
    config["rope_scaling"] = read("config.v4.json")["rope_scaling"].take();
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("config.json"), config.to_string()).unwrap();
    let ropes = |dir: &Path| ModelConfig::load(dir).unwrap().ropes;
    assert_eq!(ropes(dir.path()), ropes(&fixture.dir));
}

/// transformers 4 reads the rotated part and the original context outside of the scaling, of which it takes no other keys.
#[test]
fn saved_phi_is_readable_by_transformers_4() {
    let saved = |family| {
        let dir = tempfile::tempdir().unwrap();
        Fixture::new(family).policy().save(dir.path(), WeightDtype::Float32).unwrap();
        let config = std::fs::read(dir.path().join("config.json")).unwrap();
        serde_json::from_slice::<serde_json::Value>(&config).unwrap()
    };
    for family in ["phi3", "phi3_longrope", "phi3_longrope_long"] {
        assert_eq!(saved(family)["partial_rotary_factor"], 0.75, "{family}");
    }
    for (family, original) in [("phi3_longrope", 64), ("phi3_longrope_long", 8)] {
        let config = saved(family);
        assert_eq!(config["original_max_position_embeddings"], original, "{family}");
        let scaling = config["rope_scaling"].as_object().unwrap();
        let known = ["type", "short_factor", "long_factor"];
        assert!(scaling.len() == known.len() && known.iter().all(|key| scaling.contains_key(*key)), "{family}");
    }
}

/// Whoever may read `config.json` may read the weights as well.
#[cfg(unix)]
#[test]
fn saved_weights_have_the_permissions_of_the_other_files() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    Fixture::new("llama").policy().save(dir.path(), WeightDtype::Float32).unwrap();
    let mode = |name: &str| std::fs::metadata(dir.path().join(name)).unwrap().permissions().mode();
    assert_eq!(format!("{:o}", mode("model.safetensors")), format!("{:o}", mode("config.json")));
}
