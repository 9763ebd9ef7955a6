//! `vapo bench`: how fast this machine trains and samples with a network of a given shape, relative to the machine's peak.

mod link;
mod report;

use std::time::Instant;

use anyhow::{Context, Result};
use vapo_kernels::{Columns, Values, Weight, Write, bf16, linear, linear_dw, linear_dx, round_to_bf16};
use vapo_lm::*;
use vapo_train::{Config, MemoryPlan, Shapes, Usage, config::AdvantageKind, resident_memory};

use crate::{
    args::{BenchArgs, BenchShape, Dtype},
    rates::{sample, texts, training},
};
use report::{Measurement, Report, Round};

/// What is trained and sampled.
#[derive(Clone, Copy)]
struct Work {
    /// Sequences per update, and tokens per sequence.
    train: (usize, usize),
    /// Sequences, prompt tokens and new tokens of one batch of samples.
    sample: (usize, usize, usize),
}

/// The name of the shape to measure, the shape, and its work.
fn shape(args: &BenchArgs) -> Result<(String, ModelConfig, Work)> {
    let small = Work { train: (32, 256), sample: (64, 32, 224) };
    let large = Work { train: (4, 128), sample: (16, 32, 32) };
    let sizes = |vocab_size, hidden_size, num_layers, num_heads, num_kv_heads, intermediate_size| {
        ModelConfig::new(Sizes {
            vocab_size,
            hidden_size,
            intermediate_size,
            num_layers,
            num_heads,
            num_kv_heads,
            max_positions: 512,
        })
    };
    Ok(match (&args.model, args.shape) {
        (Some(dir), _) => (dir.display().to_string(), ModelConfig::load(dir)?, large),
        (None, BenchShape::M1) => ("m1".into(), sizes(512, 256, 6, 4, 2, 704), small),
        (None, BenchShape::M2) => ("m2".into(), sizes(49152, 576, 30, 9, 3, 1536), large),
    })
}

/// Tokens per pass.
const MICRO_BATCH_TOKENS: usize = 2048;

/// Refuses a shape that does not fit in memory, counted as for a run without a critic.
fn check_memory(shape: &ModelConfig, work: Work, dtype: Dtype) -> Result<()> {
    let mut config = Config::default();
    config.model.dtype = dtype.setting();
    config.algorithm.advantage = AdvantageKind::Group;
    config.algorithm.minibatches_per_epoch = 1;
    config.run.micro_batch_tokens = MICRO_BATCH_TOKENS;
    (config.rollout.prompts_per_step, config.rollout.group_size) = (work.train.0.max(work.sample.0), 1);
    config.rollout.slots = work.sample.0;
    config.rollout.max_new_tokens = work.train.1.max(work.sample.2);
    config.eval.problems = 0;
    let shapes = Shapes { policy: shape.clone(), critic: None };
    let plan = MemoryPlan::of_run(&config, &shapes, work.sample.1, resident_memory().unwrap_or(0));
    Ok(plan.check_machine()?)
}

/// Measures a round of `work`, which returns the tokens processed and the floating-point operations needed.
fn measure(isa: Isa, work: impl FnOnce() -> (usize, f64)) -> Round {
    let before = fma_peak_gflops(isa);
    let (start, cpu) = (Instant::now(), Usage::now().cpu_secs);
    let (tokens, flops) = work();
    let (wall_secs, cpu_secs) = (start.elapsed().as_secs_f64(), Usage::now().cpu_secs - cpu);
    Round { tokens, flops, wall_secs, cpu_secs, peak_gflops: 0.5 * (before + fma_peak_gflops(isa)) }
}

/// Runs the benchmark and prints it.
pub(crate) fn run(args: &BenchArgs) -> Result<()> {
    anyhow::ensure!(args.rounds > 0, "--rounds must be at least 1");
    if args.link {
        return link::run(args);
    }
    let (shape, config, mut work) = shape(args).context("--model")?;
    work.sample.0 = args.batch.unwrap_or(work.sample.0);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = if args.threads == 0 { cores } else { args.threads };
    check_memory(&config, work, args.dtype)?;
    let device = Device::cpu(threads);
    let mut engine = Engine::new(&device, MICRO_BATCH_TOKENS);
    let isa = engine.device().isa();
    let dtype = args.dtype.weights();
    let mut model = Model::random(&device, config, Head::Language, 1).with_dtype(dtype);
    let measurements = measurements(args.rounds, &mut engine, &mut model, work);
    let report = Report {
        shape,
        dtype: dtype.name(),
        parameters: model.num_params(),
        isa: isa.name(),
        threads,
        measurements,
        peak_rss_mb: Usage::now().peak_rss_mb,
    };
    if args.json {
        println!("{}", report.to_json());
    } else {
        print!("{}", report.to_text());
    }
    Ok(())
}

/// Measures every kind of work, the matrix products first: the updates change the model.
fn measurements(number: usize, engine: &mut Engine, model: &mut Model, work: Work) -> Vec<Measurement> {
    let isa = engine.device().isa();
    let rounds = |pass: &mut dyn FnMut() -> (usize, f64)| -> Vec<Round> {
        pass(); // untimed: fills caches and pages
        (0..number).map(|_| measure(isa, &mut *pass)).collect()
    };
    let gemm = {
        let mut products = products(model, engine.device(), work);
        rounds(&mut || gemm_pass(engine.device(), &mut products))
    };
    let prefill = rounds(&mut || prefill_pass(engine, model, work));
    let decode = rounds(&mut || decode_pass(engine, model, work));
    let mut optimizer = AdamW::new(AdamWConfig::default(), model);
    let mut grads = model.zero_gradients();
    let train = rounds(&mut || train_pass(engine, model, &mut optimizer, &mut grads, work));
    let (sequences, length) = work.train;
    let (samples, prompt, new) = work.sample;
    let measurement = |name, rounds, work| Measurement { name, work, rounds };
    vec![
        measurement("train", train, format!("forward, backward, AdamW of {sequences} x {length} tokens")),
        measurement(
            "decode",
            decode,
            format!("{samples} samples of {new} tokens after prompts of {prompt}, prefill included"),
        ),
        measurement("prefill", prefill, format!("{samples} prompts of {prompt} tokens")),
        measurement("gemm", gemm, "only the matrix products of training".into()),
    ]
}

fn train_pass(
    engine: &mut Engine,
    model: &mut Model,
    optimizer: &mut AdamW,
    grads: &mut Buffer,
    work: Work,
) -> (usize, f64) {
    let (count, length) = work.train;
    let texts = texts(count, length + 1, model.config().vocab_size);
    let flops = training(engine, model, grads, &texts);
    optimizer.update(model, grads, 1e-4);
    (count * length, flops)
}

fn decode_pass(engine: &mut Engine, model: &Model, work: Work) -> (usize, f64) {
    let (count, prompt, new) = work.sample;
    sample(engine, model, &texts(count, prompt, model.config().vocab_size), new);
    let (_, flops) = prefill_flops(model.config(), work);
    // The first token comes from the prefill.
    let decoded = (count * (new - 1)) as f64;
    let pass = PassSize { tokens: decoded, keys: prompt as f64 + new as f64 / 2.0, scored: decoded };
    (count * new, flops + model.config().forward_flops(Head::Language, pass))
}

fn prefill_pass(engine: &mut Engine, model: &Model, work: Work) -> (usize, f64) {
    let (count, prompt, _) = work.sample;
    sample(engine, model, &texts(count, prompt, model.config().vocab_size), 1);
    prefill_flops(model.config(), work)
}

fn prefill_flops(c: &ModelConfig, work: Work) -> (usize, f64) {
    let (count, prompt, _) = work.sample;
    let tokens = count * prompt;
    let pass = PassSize { tokens: tokens as f64, keys: prompt as f64 / 2.0, scored: count as f64 };
    (tokens, c.forward_flops(Head::Language, pass))
}

/// A matrix product in training: its operands and how many times it occurs in the network.
struct Product {
    outputs: usize,
    inputs: usize,
    times: usize,
    weight: Buffer,
    /// The rounded weight, if bf16 is measured.
    rounded: Option<Buffer<bf16>>,
    x: Buffer,
    y: Buffer,
    dx: Buffer,
    dw: Buffer,
}

/// The products of a layer and of the head, whose operands have as many rows as one micro-batch.
fn products(model: &Model, device: &Device, work: Work) -> Vec<Product> {
    let c = model.config();
    let rows = (work.train.0 * work.train.1).min(512);
    let a = c.attention;
    let (queries, keys) = (a.heads * a.head_size, a.kv_heads * a.head_size);
    let layer = [
        (queries + 2 * keys, c.hidden_size),
        (c.hidden_size, queries),
        (2 * c.intermediate_size, c.hidden_size),
        (c.hidden_size, c.intermediate_size),
    ];
    let filled = |len: usize| {
        let values: Vec<f32> = (0..len).map(|i| (i % 13) as f32 * 0.1).collect();
        Buffer::from_slice(device, &values)
    };
    let shapes = layer.iter().map(|&shape| (shape, c.num_layers)).chain([((c.vocab_size, c.hidden_size), 1)]);
    shapes
        .map(|((outputs, inputs), times)| {
            let weight = filled(device.matrix_len(outputs, inputs));
            let rounded = (model.dtype() == WeightDtype::Bfloat16).then(|| {
                let mut rounded = Buffer::zeros(device, weight.len());
                round_to_bf16(device, weight.view(), rounded.view_mut());
                rounded
            });
            Product {
                outputs,
                inputs,
                times,
                weight,
                rounded,
                x: filled(rows * inputs),
                y: filled(rows * outputs),
                dx: filled(rows * inputs),
                dw: filled(device.matrix_len(outputs, inputs)),
            }
        })
        .collect()
}

/// Every product: forward, gradient of the input and gradient of the weight, as many times as in training.
fn gemm_pass(device: &Device, products: &mut [Product]) -> (usize, f64) {
    let mut flops = 0.0;
    for Product { outputs, inputs, times, weight, rounded, x, y, dx, dw } in products {
        let values = rounded.as_ref().map_or(Values::F32(weight.view()), |rounded| Values::Bf16(rounded.view()));
        let w = Weight { values, outputs: *outputs, inputs: *inputs };
        for _ in 0..*times {
            linear(device, x.view(), &[w], y.view_mut(), Write::Replace);
            linear_dx(device, y.view(), &[w], dx.view_mut(), Write::Replace);
            linear_dw(device, x.view(), y.view(), Columns::all(*outputs), dw.view_mut());
        }
        flops += 6.0 * (x.len() * *outputs * *times) as f64;
    }
    (0, flops)
}
