//! `vapo bench`: how fast this machine trains and samples with a network of a given shape, relative to the machine's peak.

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use serde_json::json;
use std::path::PathBuf;
use std::time::Instant;
use vapo_kernels::{Panels, Weight, Write, bf16, linear, linear_dw, linear_dx, panels_len, round_to_bf16};
use vapo_lm::*;
use vapo_train::{Config, MemoryPlan, Shapes, Usage, config::AdvantageKind, resident_memory};

use crate::{
    args::{Dtype, MOST_THREADS, at_most},
    rates::{sample, texts, training},
};

/// Measure training, decoding and prefill speed on this machine.
///
/// Every rate is the median of several rounds. Shares are of one core's peak rate of fused multiply-adds, measured
/// immediately before and after each round, so they are meaningful even on a busy machine, unlike rates.
#[derive(Args, Debug)]
pub(crate) struct BenchArgs {
    /// A standard shape and its work.
    #[arg(long, value_enum, default_value_t = Shape::M1, conflicts_with = "model")]
    shape: Shape,
    /// Use the shape in this Hugging Face directory's config.json instead (with random weights).
    #[arg(long, value_name = "DIR")]
    model: Option<PathBuf>,
    /// Type of the weights.
    #[arg(long, value_enum, default_value_t = Dtype::Float32)]
    dtype: Dtype,
    /// Number of sequences sampled at once, instead of the shape's default.
    #[arg(long, value_parser = clap::builder::RangedU64ValueParser::<usize>::new().range(1..=1024))]
    batch: Option<usize>,
    /// Number of threads; 0 for all cores.
    #[arg(long, default_value_t = 1, value_parser = at_most(MOST_THREADS))]
    threads: usize,
    /// Rounds of each measurement.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Print one JSON object instead of a table.
    #[arg(long)]
    json: bool,
}

/// The shapes used for comparing speed.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Shape {
    /// 4.6 M parameters: vocabulary 512, width 256, 6 layers, 4 heads of 64, 2 kv heads, ffn 704.
    M1,
    /// SmolLM2-135M's shape: vocabulary 49152, width 576, 30 layers, 9 heads of 64, 3 kv heads, ffn 1536.
    M2,
}

/// What is trained and sampled.
#[derive(Clone, Copy)]
struct Work {
    /// Sequences per update, and tokens per sequence.
    train: (usize, usize),
    /// Sequences, prompt tokens and new tokens of one batch of samples.
    sample: (usize, usize, usize),
}

impl BenchArgs {
    fn config(&self) -> Result<(String, ModelConfig, Work)> {
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
        Ok(match (&self.model, self.shape) {
            (Some(dir), _) => (dir.display().to_string(), ModelConfig::load(dir)?, large),
            (None, Shape::M1) => ("m1".into(), sizes(512, 256, 6, 4, 2, 704), small),
            (None, Shape::M2) => ("m2".into(), sizes(49152, 576, 30, 9, 3, 1536), large),
        })
    }
}

/// Tokens per pass.
const MICRO_BATCH_TOKENS: usize = 2048;

/// Refuses a shape that does not fit in memory, counted as for a run without a critic.
fn check_memory(shape: &ModelConfig, work: Work, dtype: Dtype) -> Result<()> {
    let mut config = Config::default();
    config.model.dtype = dtype.setting();
    config.algorithm.advantage = AdvantageKind::Group;
    config.algorithm.updates_per_rollout = 1;
    config.run.micro_batch_tokens = MICRO_BATCH_TOKENS;
    (config.rollout.prompts_per_step, config.rollout.group_size) = (work.train.0.max(work.sample.0), 1);
    config.rollout.slots = work.sample.0;
    config.rollout.max_new_tokens = work.train.1.max(work.sample.2);
    config.eval.problems = 0;
    let shapes = Shapes { policy: shape.clone(), critic: None };
    let plan = MemoryPlan::of_run(&config, &shapes, work.sample.1, resident_memory().unwrap_or(0));
    Ok(plan.check_machine()?)
}

/// One round of one kind of work.
struct Round {
    tokens: usize,
    flops: f64,
    wall_secs: f64,
    cpu_secs: f64,
    /// One core's peak at the time, GFLOP/s.
    peak_gflops: f64,
}

impl Round {
    /// Runs `work`, which returns the number of tokens it made and of floating-point operations it needed.
    fn measure(isa: Isa, work: impl FnOnce() -> (usize, f64)) -> Round {
        let before = fma_peak_gflops(isa);
        let (start, cpu) = (Instant::now(), Usage::now().cpu_secs);
        let (tokens, flops) = work();
        let (wall_secs, cpu_secs) = (start.elapsed().as_secs_f64(), Usage::now().cpu_secs - cpu);
        Round { tokens, flops, wall_secs, cpu_secs, peak_gflops: 0.5 * (before + fma_peak_gflops(isa)) }
    }

    fn peak_frac(&self) -> f64 {
        self.flops / self.cpu_secs / 1e9 / self.peak_gflops
    }
}

fn median(rounds: &[Round], of: impl Fn(&Round) -> f64) -> f64 {
    let mut values: Vec<f64> = rounds.iter().map(of).collect();
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Runs the benchmark and prints it.
pub(crate) fn run(args: &BenchArgs) -> Result<()> {
    anyhow::ensure!(args.rounds > 0, "--rounds must be at least 1");
    let (name, config, mut work) = args.config().context("--model")?;
    work.sample.0 = args.batch.unwrap_or(work.sample.0);
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = if args.threads == 0 { cores } else { args.threads };
    check_memory(&config, work, args.dtype)?;
    let mut engine = Engine::new(threads, MICRO_BATCH_TOKENS);
    let isa = engine.device().isa();
    let dtype = args.dtype.weights();
    let mut model = Model::random(config, Head::Language, 1).with_dtype(dtype);
    let rounds = |f: &mut dyn FnMut() -> (usize, f64)| -> Vec<Round> {
        f(); // untimed: fills caches and pages
        (0..args.rounds).map(|_| Round::measure(isa, &mut *f)).collect()
    };

    let gemm = {
        let mut products = products(&model, engine.device(), work);
        rounds(&mut || gemm_pass(engine.device(), &mut products))
    };
    let prefill = rounds(&mut || prefill_pass(&mut engine, &model, work));
    let decode = rounds(&mut || decode_pass(&mut engine, &model, work));
    let mut optimizer = AdamW::new(AdamWConfig::default(), model.flat_len());
    let mut grads = model.zero_gradients();
    let train = rounds(&mut || train_pass(&mut engine, &mut model, &mut optimizer, &mut grads, work));

    let rows = [("train", &train), ("decode", &decode), ("prefill", &prefill), ("gemm", &gemm)];
    let all = [&train, &decode, &prefill, &gemm].into_iter().flatten();
    let fma_peak = all.map(|r| r.peak_gflops).fold(0.0, f64::max);
    let peak_rss_mb = Usage::now().peak_rss_mb;
    if args.json {
        let mut object = json!({
            "shape": name, "dtype": dtype.name(), "parameters": model.num_params(), "isa": isa.name(), "threads": threads,
            "rounds": args.rounds, "fma_peak_gflops": round(fma_peak, 2),
        });
        for (row, rounds) in rows {
            object[format!("{row}_peak_frac")] = json!(round(median(rounds, Round::peak_frac), 4));
            if row != "gemm" {
                object[format!("{row}_tokens_per_cpu_s")] =
                    json!(round(median(rounds, |r| r.tokens as f64 / r.cpu_secs), 1));
                object[format!("{row}_tokens_per_s")] =
                    json!(round(median(rounds, |r| r.tokens as f64 / r.wall_secs), 1));
            }
        }
        object["peak_rss_mb"] = json!(round(peak_rss_mb, 1));
        println!("{object}");
        return Ok(());
    }
    println!(
        "{name}: {:.1} M parameters in {}, {threads} thread(s), {}, one core's peak {fma_peak:.0} GFLOP/s",
        model.num_params() as f64 / 1e6,
        dtype.name(),
        isa.name()
    );
    println!("{:<10} {:>12} {:>16} {:>10}   work per round", "", "tokens/s", "tokens/CPU s", "of peak");
    let (s, n) = work.train;
    let (b, p, new) = work.sample;
    let notes = [
        format!("forward, backward, AdamW of {s} x {n} tokens"),
        format!("{b} samples of {new} tokens after prompts of {p}, prefill included"),
        format!("{b} prompts of {p} tokens"),
        "the matrix products of training alone".to_string(),
    ];
    for ((row, rounds), note) in rows.into_iter().zip(notes) {
        let rate =
            |of: &dyn Fn(&Round) -> f64| if row == "gemm" { "-".into() } else { format!("{:.0}", median(rounds, of)) };
        let wall = rate(&|r| r.tokens as f64 / r.wall_secs);
        let cpu = rate(&|r| r.tokens as f64 / r.cpu_secs);
        println!("{row:<10} {wall:>12} {cpu:>16} {:>9.1}%   {note}", 100.0 * median(rounds, Round::peak_frac));
    }
    println!("peak memory {peak_rss_mb:.0} MB");
    Ok(())
}

fn round(x: f64, digits: i32) -> f64 {
    let scale = 10f64.powi(digits);
    (x * scale).round() / scale
}

fn train_pass(
    engine: &mut Engine,
    model: &mut Model,
    optimizer: &mut AdamW,
    grads: &mut [f32],
    work: Work,
) -> (usize, f64) {
    let (count, length) = work.train;
    let texts = texts(count, length + 1, model.config().vocab_size);
    let flops = training(engine, model, grads, &texts);
    optimizer.update(engine, model, grads, 1e-4);
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
        let mut buffer = Buffer::zeros(len);
        buffer.iter_mut().enumerate().for_each(|(i, x)| *x = (i % 13) as f32 * 0.1);
        buffer
    };
    let shapes = layer.iter().map(|&shape| (shape, c.num_layers)).chain([((c.vocab_size, c.hidden_size), 1)]);
    shapes
        .map(|((outputs, inputs), times)| {
            let weight = filled(panels_len(outputs, inputs));
            let rounded = (model.dtype() == WeightDtype::Bfloat16).then(|| {
                let mut rounded = Buffer::zeros(weight.len());
                round_to_bf16(device, &weight, &mut rounded);
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
                dw: filled(panels_len(outputs, inputs)),
            }
        })
        .collect()
}

/// Every product: forward, gradient of the input and gradient of the weight, as many times as in training.
fn gemm_pass(device: &Device, products: &mut [Product]) -> (usize, f64) {
    let mut flops = 0.0;
    for Product { outputs, inputs, times, weight, rounded, x, y, dx, dw } in products {
        let panels = rounded.as_ref().map_or(Panels::F32(weight), |rounded| Panels::Bf16(rounded));
        let w = Weight { panels, outputs: *outputs, inputs: *inputs };
        for _ in 0..*times {
            linear(device, x, &[w], y, Write::Replace);
            linear_dx(device, y, &[w], dx, Write::Replace);
            linear_dw(device, x, y, *outputs, 0, *outputs, dw);
        }
        flops += 6.0 * (x.len() * *outputs * *times) as f64;
    }
    (0, flops)
}
