//! How fast this machine does each kind of work, measured in a few seconds on a reduced network.

use std::{ops::ControlFlow, time::Instant};

use vapo_lm::{
    AdamW, AdamWConfig, Buffer, Device, Engine, Head, Model, ModelConfig, PassSize, Request, Sampling, Sequence,
    TokenGrad, WeightDtype,
};
use vapo_train::{StageWork, Usage, Work};

/// Number of weights of the reduced network: more than any cache holds, few enough to be created in a second.
const SLICE_WEIGHTS: usize = 20_000_000;
/// Maximum tokens per pass, and sequences and new tokens of a decoding round.
const PASS_TOKENS: usize = 512;
const DECODED_SEQUENCES: usize = 64;
const DECODED_TOKENS: usize = 8;
/// Positions of the reduced network; each needs a row of rotary angles.
const MAX_POSITIONS: usize = 4096;
/// Minimum duration of a measurement, which is repeated until then.
const MIN_SECS: f64 = 0.2;

/// Work per second: floating-point operations, or weights for the optimizer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rate {
    /// Wall time.
    pub(crate) per_sec: f64,
    /// Processor time of all threads.
    pub(crate) per_cpu_sec: f64,
}

/// The rates of all kinds of work.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rates {
    pub(crate) prefill: Rate,
    pub(crate) decode: Rate,
    pub(crate) forward: Rate,
    pub(crate) training: Rate,
    pub(crate) optimizer: Rate,
}

impl Rates {
    /// Measures the kernels of a network of this shape with passes of `micro_batch_tokens` tokens and `slots` sequences
    /// decoded at once, on a reduced network: fewer layers, heads, inner columns and tokens, the same width.
    pub(crate) fn measure(
        shape: &ModelConfig,
        dtype: WeightDtype,
        threads: usize,
        micro_batch_tokens: usize,
        slots: usize,
    ) -> Rates {
        let device = Device::cpu(threads);
        let mut engine = Engine::new(&device, micro_batch_tokens);
        let mut model = Model::random(&device, slice(shape), Head::Language, 1).with_dtype(dtype);
        let tokens = micro_batch_tokens.clamp(16, PASS_TOKENS).min(4 * model.config().max_position_embeddings);
        let length = tokens.min(128).min(model.config().max_position_embeddings - 1);
        let texts = texts(tokens.div_ceil(length), length + 1, model.config().vocab_size);
        let decoded = slots.clamp(1, DECODED_SEQUENCES);
        let prefill = measure(|| prefill(&mut engine, &model, &texts));
        let decode = measure_decoding(&mut engine, &model, decoded);
        let forward = measure(|| forward(&mut engine, &model, &texts));
        let mut grads = model.zero_gradients();
        let training = measure(|| training(&mut engine, &model, &mut grads, &texts));
        let mut optimizer = AdamW::new(AdamWConfig::default(), &model);
        let optimizer = measure(|| {
            optimizer.update(&mut model, &mut grads, 1e-6);
            model.flat_len() as f64
        });
        Rates { prefill, decode, forward, training, optimizer }
    }

    pub(crate) fn of(&self, work: Work) -> Rate {
        match work {
            Work::Prefill => self.prefill,
            Work::Decode => self.decode,
            Work::Forward => self.forward,
            Work::Training => self.training,
            Work::Optimizer => self.optimizer,
        }
    }

    /// Seconds that a stage takes.
    pub(crate) fn secs(&self, stage: &StageWork) -> f64 {
        stage.amount / self.of(stage.work).per_sec
    }

    /// Processor seconds that a stage takes.
    pub(crate) fn cpu_secs(&self, stage: &StageWork) -> f64 {
        stage.amount / self.of(stage.work).per_cpu_sec
    }
}

/// A network of the same width with about [`SLICE_WEIGHTS`] weights: layers and vocabulary are reduced by the same factor,
/// and if one layer is still too large, its heads and inner columns. The whole network if it is no larger.
fn slice(shape: &ModelConfig) -> ModelConfig {
    let mut slice = shape.clone();
    slice.max_position_embeddings = shape.max_position_embeddings.min(MAX_POSITIONS);
    let weights = Model::num_params_of(shape, Head::Language);
    if weights <= SLICE_WEIGHTS {
        return slice;
    }
    let share = |number: usize, share: f64, multiple: usize| {
        let cut = (number as f64 * share.min(1.0)).round() as usize;
        cut.next_multiple_of(multiple).min(number).max(1)
    };
    let cut = SLICE_WEIGHTS as f64 / weights as f64;
    slice.num_layers = share(shape.num_layers, cut, 1);
    // What rounding up the layers added is removed from their inner size and from the vocabulary.
    let layers_share = slice.num_layers as f64 / shape.num_layers as f64;
    slice.vocab_size = share(shape.vocab_size, cut, 16);
    if layers_share > 2.0 * cut {
        let inside = cut / layers_share;
        slice.intermediate_size = share(shape.intermediate_size, inside, 16);
        let groups = shape.attention.heads / shape.attention.kv_heads;
        slice.attention.kv_heads = share(shape.attention.kv_heads, inside, 1);
        slice.attention.heads = slice.attention.kv_heads * groups;
    }
    slice
}

/// Repeats `work`, which returns its amount, and counts after a first call that warms up caches.
fn measure(mut work: impl FnMut() -> f64) -> Rate {
    work();
    let (begun, cpu) = (Instant::now(), Usage::now().cpu_secs);
    let mut amount = 0.0;
    while begun.elapsed().as_secs_f64() < MIN_SECS {
        amount += work();
    }
    let cpu_secs = (Usage::now().cpu_secs - cpu).max(1e-6);
    Rate { per_sec: amount / begun.elapsed().as_secs_f64(), per_cpu_sec: amount / cpu_secs }
}

/// The rate of decoding alone: rounds with several new tokens minus rounds with one, which comes from the prompt.
fn measure_decoding(engine: &mut Engine, model: &Model, sequences: usize) -> Rate {
    let config = model.config();
    let new = DECODED_TOKENS.min(config.max_position_embeddings - 1);
    let prompts = texts(sequences, (config.max_position_embeddings - new).min(32), config.vocab_size);
    let keys = prompts[0].len() as f64 + new as f64 / 2.0;
    let decoded = (sequences * (new - 1)) as f64;
    let flops = config.forward_flops(Head::Language, PassSize { tokens: decoded, keys, scored: decoded });
    let (mut all, mut first) = (Rounds::default(), Rounds::default());
    sample(engine, model, &prompts, new);
    while all.secs - first.secs < MIN_SECS && all.count < 64 {
        all.time(|| sample(engine, model, &prompts, new));
        first.time(|| sample(engine, model, &prompts, 1));
    }
    let amount = flops * f64::from(all.count);
    // On a busy machine the round with one token may take longer: the difference is at least a tenth.
    let left = |all: f64, first: f64| (all - first).max(0.1 * all).max(1e-6);
    Rate { per_sec: amount / left(all.secs, first.secs), per_cpu_sec: amount / left(all.cpu_secs, first.cpu_secs) }
}

/// Time of several rounds.
#[derive(Default)]
struct Rounds {
    secs: f64,
    cpu_secs: f64,
    count: u32,
}

impl Rounds {
    fn time(&mut self, work: impl FnOnce()) {
        let (begun, cpu) = (Instant::now(), Usage::now().cpu_secs);
        work();
        self.secs += begun.elapsed().as_secs_f64();
        self.cpu_secs += Usage::now().cpu_secs - cpu;
        self.count += 1;
    }
}

/// Tokens without meaning.
pub(crate) fn texts(count: usize, length: usize, vocab: usize) -> Vec<Vec<u32>> {
    (0..count).map(|i| (0..length).map(|t| ((i * 7919 + t * 104_729 + i * t) % vocab) as u32).collect()).collect()
}

/// Samples `new` tokens after each prompt, all prompts at once.
pub(crate) fn sample(engine: &mut Engine, model: &Model, prompts: &[Vec<u32>], new: usize) {
    let requests: Vec<Request> =
        prompts.iter().enumerate().map(|(i, prompt)| Request { prompt, samples: 1, key: i as u64 }).collect();
    let sampling = Sampling { max_new_tokens: new, slots: prompts.len(), ..Sampling::default() };
    engine.generate(model, &requests, &sampling, 0, &mut |_, _| ControlFlow::Continue(()));
}

/// One forward and backward pass over texts, scoring all tokens but the first of each; returns the number of operations.
pub(crate) fn training(engine: &mut Engine, model: &Model, grads: &mut Buffer, texts: &[Vec<u32>]) -> f64 {
    let sequences = sequences(texts);
    let tokens = size(texts).tokens;
    engine.policy_backward(model, grads, &sequences, 1.0, |range, _| TokenGrad {
        dlogp: range.map(|i| -((i % 5) as f32 - 1.5) / tokens as f32).collect(),
        dentropy: None,
    });
    model.config().training_flops(Head::Language, size(texts))
}

fn forward(engine: &mut Engine, model: &Model, texts: &[Vec<u32>]) -> f64 {
    engine.score(model, &sequences(texts), 1.0);
    model.config().forward_flops(Head::Language, size(texts))
}

fn prefill(engine: &mut Engine, model: &Model, texts: &[Vec<u32>]) -> f64 {
    sample(engine, model, texts, 1);
    let tokens = texts.iter().map(Vec::len).sum::<usize>() as f64;
    let size = PassSize { tokens, keys: texts[0].len() as f64 / 2.0, scored: texts.len() as f64 };
    model.config().forward_flops(Head::Language, size)
}

fn sequences(texts: &[Vec<u32>]) -> Vec<Sequence<'_>> {
    texts.iter().map(|text| Sequence { prompt: &text[..1], response: &text[1..] }).collect()
}

fn size(texts: &[Vec<u32>]) -> PassSize {
    let tokens = texts.iter().map(|text| text.len() - 1).sum::<usize>() as f64;
    PassSize { tokens, keys: (texts[0].len() - 1) as f64 / 2.0, scored: tokens }
}

#[cfg(test)]
mod tests {
    use vapo_lm::Sizes;

    use super::*;

    fn shape(hidden: usize, layers: usize, heads: [usize; 2], inner: usize, vocab: usize) -> ModelConfig {
        ModelConfig::new(Sizes {
            vocab_size: vocab,
            hidden_size: hidden,
            intermediate_size: inner,
            num_layers: layers,
            num_heads: heads[0],
            num_kv_heads: heads[1],
            max_positions: 4096,
        })
    }

    #[test]
    fn a_slice_keeps_the_width_and_has_about_the_weights_that_are_wanted() {
        let small = shape(64, 2, [4, 4], 176, 43);
        assert_eq!(slice(&small), small);
        for large in [
            shape(576, 30, [9, 3], 1536, 49152),
            shape(896, 24, [14, 2], 4864, 151_936),
            shape(5120, 64, [40, 8], 27648, 152_064),
        ] {
            let slice = slice(&large);
            let weights = Model::num_params_of(&slice, Head::Language);
            assert!((SLICE_WEIGHTS / 2..3 * SLICE_WEIGHTS).contains(&weights), "{weights} weights: {slice:?}");
            assert_eq!(slice.hidden_size, large.hidden_size);
            assert_eq!(slice.attention.heads % slice.attention.kv_heads, 0);
        }
    }

    #[test]
    fn rates_are_measured() {
        let rates = Rates::measure(&shape(32, 2, [2, 1], 64, 40), WeightDtype::Bfloat16, 1, 64, 4);
        for work in [Work::Prefill, Work::Decode, Work::Forward, Work::Training, Work::Optimizer] {
            let Rate { per_sec, per_cpu_sec } = rates.of(work);
            assert!(per_sec > 1e4 && per_sec < 1e13 && per_cpu_sec > 1e4 && per_cpu_sec < 1e13, "{work:?} {rates:?}");
        }
    }
}
