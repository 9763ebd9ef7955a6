//! Regression of bits: hashes of samples, scores, gradients and updated weights, taken before the kernels moved behind
//! the device boundary. A change of speed or structure keeps them; a change of arithmetic has to say why it does not.

use std::{ops::ControlFlow, path::PathBuf};
use vapo_lm::*;

use WeightDtype::{Bfloat16, Float32};

/// FNV-1a over the bits of numbers and tokens.
struct Hash(u64);

impl Hash {
    fn new() -> Hash {
        Hash(0xcbf2_9ce4_8422_2325)
    }

    fn add(&mut self, word: u32) {
        for byte in word.to_le_bytes() {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn floats(&mut self, values: &[f32]) {
        values.iter().for_each(|value| self.add(value.to_bits()));
    }

    fn samples(&mut self, samples: &[Vec<Completion>]) {
        for sample in samples.iter().flatten() {
            sample.tokens.iter().for_each(|&token| self.add(token));
            self.floats(&sample.logps);
            self.floats(&sample.sampler_logps);
            self.add(sample.stop as u32);
        }
    }
}

fn load(name: &str, head: Head, dtype: WeightDtype) -> Model {
    let mut directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
    if head == Head::Value {
        directory.push("critic");
    }
    Model::load(&Device::cpu(1), &directory, head).unwrap().with_dtype(dtype)
}

/// Answers of several lengths to prompts of several lengths, under every way of sampling.
fn sample(engine: &mut Engine, policy: &Model) -> (Vec<Vec<u32>>, Vec<Vec<Completion>>, u64) {
    let lengths = [1, 2, 15, 16, 17, 33, 40, 7];
    let prompts: Vec<Vec<u32>> =
        lengths.iter().map(|&n| (0..n).map(|t| ((n * 31 + t * 17 + 5) % 90) as u32).collect()).collect();
    let requests: Vec<Request> =
        prompts.iter().enumerate().map(|(i, prompt)| Request { prompt, samples: 4, key: i as u64 }).collect();
    let base = Sampling { max_new_tokens: 40, stop_tokens: vec![3, 11, 40, 77], slots: 7, ..Sampling::default() };
    let mut hash = Hash::new();
    let mut generate = |sampling: &Sampling| {
        let samples = engine.generate(policy, &requests, sampling, 11, &mut |_, _| ControlFlow::Continue(())).unwrap();
        hash.samples(&samples);
        samples
    };
    generate(&Sampling { temperature: 0.0, ..base.clone() });
    generate(&Sampling { top_p: 0.8, temperature: 0.6, ..base.clone() });
    generate(&Sampling { top_k: Some(5), min_p: 0.05, temperature: 1.4, ..base.clone() });
    let samples = generate(&base);
    (prompts, samples, hash.0)
}

/// Two updates; the hash covers scores, gradients, weights and moments, each tensor by name.
fn train(
    engine: &mut Engine,
    model: &mut Model,
    backward: impl Fn(&mut Engine, &Model, &mut Buffer, &mut Hash),
) -> u64 {
    let mut hash = Hash::new();
    let mut grads = model.zero_gradients();
    let config = AdamWConfig { weight_decay: 0.1, max_grad_norm: Some(0.5), ..AdamWConfig::default() };
    let mut optimizer = AdamW::new(config, model);
    let names: Vec<String> = model.tensor_names().map(String::from).collect();
    for _ in 0..2 {
        backward(engine, model, &mut grads, &mut hash);
        names.iter().for_each(|name| hash.floats(&model.tensor_in(&grads, name).unwrap()));
        let norm = optimizer.update(model, &mut grads, 1e-2);
        hash.floats(&[norm]);
    }
    for name in &names {
        hash.floats(&model.tensor(name).unwrap());
        hash.floats(&model.tensor_in(&optimizer.first_moment, name).unwrap());
        hash.floats(&model.tensor_in(&optimizer.second_moment, name).unwrap());
    }
    hash.0
}

fn hashes(name: &str, dtype: WeightDtype) -> [u64; 3] {
    let (mut policy, mut critic) = (load(name, Head::Language, dtype), load(name, Head::Value, dtype));
    let mut engine = Engine::new(&Device::cpu(2), 150);
    let (prompts, samples, sampled) = sample(&mut engine, &policy);
    let sequences: Vec<Sequence> = prompts
        .iter()
        .zip(&samples)
        .flat_map(|(prompt, group)| group.iter().map(move |sample| Sequence { prompt, response: &sample.tokens }))
        .collect();
    let policy_hash = train(&mut engine, &mut policy, |engine, model, grads, hash| {
        engine.policy_backward(model, grads, &sequences, 0.9, |_, scored| {
            hash.floats(&scored.logp);
            hash.floats(&scored.entropy);
            let count = scored.logp.len();
            TokenGrad {
                dlogp: (0..count).map(|i| ((i * 7 % 11) as f32 - 5.0) * 0.02).collect(),
                dentropy: Some((0..count).map(|i| (i % 3) as f32 * 0.01).collect()),
            }
        });
    });
    let critic_hash = train(&mut engine, &mut critic, |engine, model, grads, hash| {
        engine.critic_backward(model, grads, &sequences, |_, values| {
            hash.floats(values);
            values.iter().enumerate().map(|(i, v)| (v - (i % 2) as f32) * 0.01).collect()
        });
    });
    [sampled, policy_hash, critic_hash]
}

/// Samples, policy updates, critic updates.
const TAKEN_BEFORE: [(&str, WeightDtype, [u64; 3]); 8] = [
    ("llama", Float32, [0x8e30_11dd_b729_a09f, 0xc470_c80e_8d59_5c3f, 0xdb93_f582_87ea_abf3]),
    ("qwen2", Float32, [0x6132_499a_cd7d_2a19, 0xbe8d_58ad_0bd0_f5cd, 0x61da_22b2_bee0_a2a6]),
    ("qwen3", Float32, [0x628b_4310_16aa_c4f4, 0x2bd3_c41e_4c2e_ca32, 0xcb56_9099_8d0a_af88]),
    ("llama_tied_odd", Float32, [0xb402_3407_7e86_e994, 0xf63f_d1bb_6db9_7af7, 0x9962_0d35_525f_c24e]),
    ("llama", Bfloat16, [0x946b_7104_3435_4bdc, 0x4aed_8649_25f0_5d82, 0x047c_6abb_2352_9616]),
    ("qwen2", Bfloat16, [0x9b75_8e3d_1b9f_8ba7, 0x0d2b_392d_fd66_1770, 0x5abf_e203_751b_bb31]),
    ("qwen3", Bfloat16, [0x14b7_b944_7823_27a5, 0x24ce_5384_84cc_c73c, 0x9880_b8bc_1c96_ccbb]),
    ("llama_tied_odd", Bfloat16, [0x2398_3a10_8fdc_25d2, 0xbddf_ff67_5948_ab8a, 0x0189_7121_3073_5055]),
];

#[test]
fn every_bit_is_what_it_was() {
    let differing: Vec<String> = TAKEN_BEFORE
        .iter()
        .filter_map(|&(name, dtype, want)| {
            let got = hashes(name, dtype);
            (got != want).then(|| format!("{name} {dtype:?}: {got:#018x?}"))
        })
        .collect();
    assert!(differing.is_empty(), "{}", differing.join("\n"));
}
