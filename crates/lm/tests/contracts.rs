//! The engine's contracts: same bits however rows are batched, on any number of threads, on any instruction set;
//! gradients that do not depend on micro-batches or packing; a slow twin for generation.

use std::ops::ControlFlow;
use std::path::PathBuf;
use vapo_lm::*;

use WeightDtype::{Bfloat16, Float32};

/// Each family, and every kind of layer in each type of weights.
const FAMILIES: [(&str, WeightDtype); 22] = [
    ("llama", Float32),
    ("qwen2", Float32),
    ("qwen3", Float32),
    ("llama_tied_odd", Float32),
    ("llama", Bfloat16),
    ("qwen2", Bfloat16),
    ("qwen3", Bfloat16),
    ("llama_tied_odd", Bfloat16),
    ("llama_mlp_bias", Float32),
    ("mistral", Float32),
    ("mistral", Bfloat16),
    ("ministral", Float32),
    ("phi3", Float32),
    ("qwen2_window", Float32),
    ("qwen2_yarn", Float32),
    ("gemma3_text", Float32),
    ("gemma3_text", Bfloat16),
    ("phi3_longrope_long", Float32),
    ("phi3_longrope_long", Bfloat16),
    ("olmo2", Float32),
    ("olmo3", Float32),
    ("smollm3", Float32),
];

fn directory(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

fn policy(family: (&str, WeightDtype)) -> Model {
    policy_on(&Device::cpu(1), family)
}

fn policy_on(device: &Device, (name, dtype): (&str, WeightDtype)) -> Model {
    Model::load(device, &directory(name), Head::Language).unwrap().with_dtype(dtype)
}

fn prompts(lengths: &[usize]) -> Vec<Vec<u32>> {
    lengths.iter().enumerate().map(|(i, &n)| (0..n).map(|t| ((i * 31 + t * 17 + 5) % 38) as u32).collect()).collect()
}

fn requests(prompts: &[Vec<u32>], samples: usize) -> Vec<Request<'_>> {
    prompts.iter().enumerate().map(|(i, prompt)| Request { prompt, samples, key: i as u64 }).collect()
}

fn generate(engine: &mut Engine, model: &Model, requests: &[Request], sampling: &Sampling) -> Vec<Vec<Completion>> {
    engine.generate(model, requests, sampling, 11, &mut |_, _| ControlFlow::Continue(())).unwrap()
}

fn sequences<'a>(requests: &'a [Request], samples: &'a [Vec<Completion>]) -> Vec<Sequence<'a>> {
    let pairs = requests.iter().zip(samples);
    pairs.flat_map(|(r, s)| s.iter().map(|s| Sequence { prompt: r.prompt, response: &s.tokens })).collect()
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|v| v.to_bits()).collect()
}

/// Contract 1: the log-probs recorded while sampling are, bit for bit, what a packed pass computes later.
#[test]
fn sampled_log_probs_are_the_trainers() {
    let prompts = prompts(&[1, 2, 15, 16, 17, 33, 40, 7]);
    let mut tokens = 0;
    for family in FAMILIES {
        let policy = policy(family);
        for (temperature, slots, top_p) in [(1.0, 64, 1.0), (0.6, 5, 1.0), (1.4, 1, 1.0), (1.0, 7, 0.8), (0.0, 16, 1.0)]
        {
            // Token 3 ends a sample, so lengths differ and slots are refilled while others run.
            let sampling = Sampling {
                temperature,
                top_p,
                slots,
                max_new_tokens: 40,
                stop_tokens: vec![3, 11, 40, 77],
                ..Sampling::default()
            };
            let requests = requests(&prompts, 6);
            let mut engine = Engine::new(&Device::cpu(2), 64);
            let samples = generate(&mut engine, &policy, &requests, &sampling);
            let recorded: Vec<f32> = samples.iter().flatten().flat_map(|s| s.logps.clone()).collect();
            let scale = if temperature == 0.0 { 1.0 } else { temperature };
            for micro_batch in [1, 300, 100_000] {
                let scored =
                    Engine::new(&Device::cpu(1), micro_batch).score(&policy, &sequences(&requests, &samples), scale);
                assert_eq!(bits(&recorded), bits(&scored.logp), "{family:?} T={temperature} slots={slots}");
            }
            tokens += recorded.len();
            let lengths: Vec<usize> = samples.iter().flatten().map(|s| s.tokens.len()).collect();
            if temperature > 0.0 {
                assert!(lengths.iter().min() < lengths.iter().max(), "samples of one length test nothing");
            }
        }
    }
    assert!(tokens > 10_000, "only {tokens} tokens compared");
}

/// Samples depend on their own keys alone.
#[test]
fn samples_do_not_depend_on_slots_threads_or_company() {
    let policy = policy(("qwen3", Float32));
    let prompts = prompts(&[3, 20, 9]);
    let all = requests(&prompts, 4);
    let sampling = Sampling { max_new_tokens: 30, stop_tokens: vec![3, 40], slots: 64, ..Sampling::default() };
    let want = generate(&mut Engine::new(&Device::cpu(1), 1000), &policy, &all, &sampling);
    for (threads, slots) in [(2, 64), (5, 3), (1, 1)] {
        let sampling = Sampling { slots, ..sampling.clone() };
        assert_eq!(want, generate(&mut Engine::new(&Device::cpu(threads), 10), &policy, &all, &sampling));
    }
    assert_eq!(want[1..2], generate(&mut Engine::new(&Device::cpu(1), 10), &policy, &all[1..2], &sampling));
    assert_ne!(want[0][0].tokens, want[0][1].tokens);
}

/// The slow twin: no cache, one sequence at a time, by scoring every token of the vocabulary after the prefix.
#[test]
fn generation_without_a_cache_agrees() {
    for family in FAMILIES {
        let policy = policy(family);
        let prompts = prompts(&[19]);
        let greedy = Sampling { temperature: 0.0, max_new_tokens: 24, ..Sampling::default() };
        let fast = generate(&mut Engine::new(&Device::cpu(1), 100), &policy, &requests(&prompts, 1), &greedy);
        let mut engine = Engine::new(&Device::cpu(1), 100);
        let mut text = prompts[0].clone();
        for (token, logp) in fast[0][0].tokens.iter().zip(&fast[0][0].logps) {
            let vocabulary: Vec<u32> = (0..policy.config().vocab_size as u32).collect();
            let each: Vec<Sequence> =
                vocabulary.iter().map(|v| Sequence { prompt: &text, response: std::slice::from_ref(v) }).collect();
            let scores = engine.score(&policy, &each, 1.0).logp;
            let best = scores.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            assert_eq!(
                (scores[*token as usize].to_bits(), best.to_bits()),
                (logp.to_bits(), logp.to_bits()),
                "{family:?}"
            );
            text.push(*token);
        }
    }
}

/// Contracts 2 and 3 for the whole step: scores, values, gradients and updated weights.
#[test]
fn same_bits_on_any_threads_and_instruction_set() {
    for family in FAMILIES {
        let prompts = prompts(&[5, 18, 30]);
        let requests = requests(&prompts, 3);
        let sampling = Sampling { max_new_tokens: 20, stop_tokens: vec![3, 40], ..Sampling::default() };
        let run = |device: &Device| {
            let mut engine = Engine::new(device, 80);
            let mut model = policy_on(device, family);
            let mut critic = model.to_critic();
            let samples = generate(&mut engine, &model, &requests, &sampling);
            let batch = sequences(&requests, &samples);
            let mut out = engine.score(&model, &batch, 0.9).entropy;
            let config = AdamWConfig::default();
            let mut grads = model.zero_gradients();
            engine.policy_backward(&model, &mut grads, &batch, 1.0, |_, s| TokenGrad {
                dlogp: s.logp.iter().map(|l| l.sin()).collect(),
                dentropy: Some(s.entropy.iter().map(|e| 0.01 * e).collect()),
            });
            AdamW::new(config.clone(), &model).update(&mut model, &mut grads, 1e-2);
            let mut grads = critic.zero_gradients();
            for _ in 0..2 {
                engine.critic_backward(&critic, &mut grads, &batch, |r, v| {
                    r.zip(v).map(|(i, v)| v - (i % 3) as f32).collect()
                });
                AdamW::new(config.clone(), &critic).update(&mut critic, &mut grads, 1e-2);
            }
            out.extend(engine.values(&critic, &batch));
            out.extend(samples.iter().flatten().flat_map(|s| s.logps.clone()));
            out.extend(model.weights());
            out.extend(critic.weights());
            bits(&out)
        };
        let all = devices();
        let want = run(&all[0]);
        for device in all.iter().filter(|device| device.is_exact()).chain(&[Device::cpu(3), Device::cpu(8)]) {
            let (threads, isa) = (device.threads(), device.isa().name());
            assert!(want == run(device), "{family:?}: {threads} threads, {isa}");
        }
    }
}

fn relative_difference(a: &[f32], b: &[f32]) -> f64 {
    let square = |x: f64| x * x;
    let difference: f64 = a.iter().zip(b).map(|(a, b)| square(f64::from(*a) - f64::from(*b))).sum();
    (difference / b.iter().map(|b| square(f64::from(*b))).sum::<f64>()).sqrt()
}

/// The gradient does not depend on micro-batches or on the order of packing.
#[test]
fn gradients_do_not_depend_on_micro_batches_or_order() {
    for family in FAMILIES {
        let policy = policy(family);
        let mut critic = policy.to_critic();
        critic.randomize_value_head(0.3, 5);
        let prompts = prompts(&[5, 18, 30, 2, 11, 40, 8, 23]);
        let requests = requests(&prompts, 8);
        let sampling = Sampling { max_new_tokens: 40, stop_tokens: vec![3, 40], ..Sampling::default() };
        let samples = generate(&mut Engine::new(&Device::cpu(2), 80), &policy, &requests, &sampling);
        let batch = sequences(&requests, &samples);
        let weight: Vec<f32> = (0..10_000).map(|i| ((i * 37 % 101) as f32 - 50.0) / 50.0).collect();
        // Weights stay with their tokens when the order changes.
        let run = |order: &[usize], micro_batch: usize| {
            let mut starts = vec![0];
            batch.iter().for_each(|s| starts.push(starts[starts.len() - 1] + s.response.len()));
            let token_of: Vec<usize> = order.iter().flat_map(|&i| starts[i]..starts[i + 1]).collect();
            let ordered: Vec<Sequence> = order.iter().map(|&i| batch[i]).collect();
            let mut engine = Engine::new(&Device::cpu(2), micro_batch);
            let mut grads = policy.zero_gradients();
            engine.policy_backward(&policy, &mut grads, &ordered, 1.0, |range, _| TokenGrad {
                dlogp: range.map(|i| weight[token_of[i]]).collect(),
                dentropy: None,
            });
            let mut critic_grads = critic.zero_gradients();
            engine.critic_backward(&critic, &mut critic_grads, &ordered, |range, values| {
                range.zip(values).map(|(i, v)| v - weight[token_of[i]]).collect()
            });
            [(&policy, grads), (&critic, critic_grads)].map(|(model, grads)| grads.view().to_vec(model.device()))
        };
        let order: Vec<usize> = (0..batch.len()).collect();
        let [policy_want, critic_want] = run(&order, 1_000_000);
        let mut longest_first = order.clone();
        longest_first.sort_by_key(|&i| std::cmp::Reverse(batch[i].response.len()));
        let reversed: Vec<usize> = order.iter().rev().copied().collect();
        for (order, micro_batch) in [
            (&order, 1),
            (&order, 500),
            (&order, 1200),
            (&reversed, 1_000_000),
            (&longest_first, 300),
            (&longest_first, 1),
        ] {
            let [policy_got, critic_got] = run(order, micro_batch);
            let errors =
                [relative_difference(&policy_got, &policy_want), relative_difference(&critic_got, &critic_want)];
            assert!(errors.iter().all(|e| *e < 1e-6), "{family:?}, micro-batch {micro_batch}: {errors:?}");
        }
    }
}

/// The f32 network whose weights are those of `model`, rounded.
fn rounded_twin(model: &Model) -> Model {
    let mut twin = model.clone().with_dtype(Float32);
    for (name, _) in model.tensor_shapes() {
        let rounded = |x: f32| half::bf16::from_f32(x).to_f32();
        twin.set_tensor(&name, &model.tensor(&name).unwrap().into_iter().map(rounded).collect::<Vec<_>>());
    }
    twin
}

/// The slow twin of bf16 weights: f32 weights that were rounded, in everything but the update itself.
#[test]
fn bf16_weights_are_rounded_f32_weights() {
    for (name, _) in &FAMILIES[..4] {
        let (exact, mixed) = (policy((name, Float32)), policy((name, Bfloat16)));
        let lean = Model::load_for_inference(&Device::cpu(1), &directory(name), Head::Language, Bfloat16).unwrap();
        let twin = rounded_twin(&exact);
        let prompts = prompts(&[5, 18, 30]);
        let requests = requests(&prompts, 3);
        let sampling = Sampling { max_new_tokens: 20, stop_tokens: vec![3, 40], ..Sampling::default() };
        let mut engine = Engine::new(&Device::cpu(2), 80);
        let samples = generate(&mut engine, &mixed, &requests, &sampling);
        assert_ne!(samples, generate(&mut engine, &exact, &requests, &sampling), "{name}: rounding changes nothing");
        for model in [&twin, &lean, &exact.clone().for_inference(Bfloat16)] {
            assert_eq!(samples, generate(&mut engine, model, &requests, &sampling), "{name}");
        }
        let batch = sequences(&requests, &samples);
        let mut step = |model: &mut Model| {
            let mut grads = model.zero_gradients();
            engine.policy_backward(model, &mut grads, &batch, 1.0, |_, s| TokenGrad {
                dlogp: s.logp.iter().map(|l| l.sin()).collect(),
                dentropy: None,
            });
            let before = grads.view().to_vec(model.device());
            AdamW::new(AdamWConfig::default(), model).update(model, &mut grads, 1e-3);
            before
        };
        let (mut mixed, mut twin) = (mixed, twin);
        assert!(bits(&step(&mut mixed)) == bits(&step(&mut twin)), "{name}: gradients");

        // The update goes to the exact weights, and what is read next is those, rounded.
        let masters = mixed.weights();
        let moved = masters.iter().zip(&exact.weights()).filter(|(a, b)| a != b).count();
        assert!(moved * 2 > masters.len(), "{name}: {moved} of {} masters moved", masters.len());
        assert!(masters.iter().any(|x| half::bf16::from_f32(*x).to_f32() != *x), "{name}: masters are exact");
        let (got, want) =
            (engine.score(&mixed, &batch, 1.0).logp, engine.score(&rounded_twin(&mixed), &batch, 1.0).logp);
        assert!(bits(&got) == bits(&want), "{name}: after an update");
    }
}

/// Critics too: values out of rounded weights, the head's bias among them.
#[test]
fn a_bf16_critic_is_a_rounded_one() {
    let mut critic = policy(("qwen2", Bfloat16)).to_critic();
    critic.randomize_value_head(0.3, 5);
    critic.set_value_bias(0.0);
    assert_eq!(critic.dtype(), Bfloat16);
    let text: Vec<u32> = (0..30).map(|i| i * 7 % 38).collect();
    let batch = [Sequence { prompt: &text[..9], response: &text[9..] }];
    let mut engine = Engine::new(&Device::cpu(1), 100);
    let (got, want) = (engine.values(&critic, &batch), engine.values(&rounded_twin(&critic), &batch));
    assert!(bits(&got) == bits(&want) && got.iter().any(|v| v.abs() > 1e-3), "{got:?}");
}

/// What is written of a bf16 network are its masters; a network for inference has only what it reads.
#[test]
fn masters_are_saved_exactly() {
    let (exact, mixed) = (policy(("qwen3", Float32)), policy(("qwen3", Bfloat16)));
    let dir = tempfile::tempdir().unwrap();
    mixed.save(dir.path(), Float32).unwrap();
    let again = Model::load(&Device::cpu(1), dir.path(), Head::Language).unwrap();
    assert!(again.weights() == exact.weights());
    let lean = Model::load_for_inference(&Device::cpu(1), dir.path(), Head::Language, Bfloat16).unwrap();
    let name = "model.layers.1.mlp.up_proj.weight";
    assert_eq!(lean.tensor(name), rounded_twin(&exact).tensor(name));
    lean.save(dir.path(), Bfloat16).unwrap();
    assert!(
        Model::load(&Device::cpu(1), dir.path(), Head::Language).unwrap().weights() == rounded_twin(&exact).weights()
    );
}

#[test]
fn breaking_off_gives_nothing() {
    let prompts = prompts(&[4]);
    let mut calls = 0;
    let sampling = Sampling { max_new_tokens: 30, ..Sampling::default() };
    let result = Engine::new(&Device::cpu(1), 10).generate(
        &policy(("llama", Float32)),
        &requests(&prompts, 2),
        &sampling,
        0,
        &mut |_, _| {
            calls += 1;
            if calls == 3 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        },
    );
    assert!(result.is_none());
    assert_eq!(calls, 3);
}

#[test]
fn each_completion_is_shown_once_when_it_is_finished() {
    let prompts = prompts(&[4, 1, 6]);
    let (policy, requests) = (policy(("llama", Float32)), requests(&prompts, 5));
    // Few slots, and a length of 1, which ends a sample when it is started.
    for (slots, max_new_tokens) in [(2, 9), (100, 9), (3, 1)] {
        let sampling = Sampling { max_new_tokens, slots, stop_tokens: (0..20).collect(), ..Sampling::default() };
        let mut shown = vec![vec![None; 5]; 3];
        let mut engine = Engine::new(&Device::cpu(1), 10);
        let finished = engine.generate_watched(&policy, &requests, &sampling, 0, &mut |so_far| {
            for (request, sample, completion) in so_far.latest() {
                assert!(shown[request][sample].replace(completion.clone()).is_none());
            }
            assert_eq!(shown.iter().flatten().flatten().count(), so_far.finished);
            ControlFlow::Continue(())
        });
        let shown: Vec<Vec<_>> = shown.into_iter().map(|group| group.into_iter().flatten().collect()).collect();
        assert_eq!(Some(shown), finished);
    }
}

#[test]
fn a_streamed_answer_is_the_sample_and_ends_where_it_is_streamed_tokens_to() {
    let policy = policy(("llama", Float32));
    let sampling = Sampling { max_new_tokens: 12, ..Sampling::default() };
    let (prompt, key): (&[u32], u64) = (&[3, 1, 4, 1, 5], 7);
    let mut engine = Engine::new(&Device::cpu(2), 64);
    let requests = [Request { prompt, samples: 2, key }];
    let samples = engine.generate(&policy, &requests, &sampling, 5, &mut |_, _| ControlFlow::Continue(())).unwrap();
    let mut streamed_tokens = Vec::new();
    let mut listen = |last: usize| {
        streamed_tokens.clear();
        let mut on_token = |token| {
            streamed_tokens.push(token);
            if streamed_tokens.len() == last { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        let streamed = engine.stream(&policy, (prompt, key), &sampling, 5, &mut on_token);
        assert_eq!(streamed.tokens, streamed_tokens);
        streamed
    };
    let whole = &samples[0][0];
    let begun = |tokens: usize, stop| Streamed {
        tokens: whole.tokens[..tokens].to_vec(),
        logps: whole.logps[..tokens].to_vec(),
        stop,
    };
    assert_eq!(listen(usize::MAX), begun(12, Some(StopReason::Length)));
    for tokens in [1, 4, 12] {
        assert_eq!(listen(tokens), begun(tokens, None));
    }
}
