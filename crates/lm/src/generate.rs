//! Sampling with continuous batching: a finished sequence's slot is refilled at once, and the samples of one prompt
//! share its cache.

use crate::decoder::Pass;
use crate::engine::chunks;
use crate::sampling::Sampling;
use crate::{Engine, Model, StopStrings};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::ops::{ControlFlow, Range};
use std::sync::Arc;
use vapo_kernels::*;

/// A prompt to be completed.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// At least one token.
    pub prompt: &'a [u32],
    /// Number of completions.
    pub samples: usize,
    /// Identifies the prompt in the random stream, e.g. its row in the data.
    pub key: u64,
}

/// One completion.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Completion {
    /// Sampled tokens, the stop token included.
    pub tokens: Vec<u32>,
    /// Log-probability of each token in the temperature-scaled distribution: bit-equal to the result of [`Engine::score`].
    pub logps: Vec<f32>,
    /// Log-probability of each token in the distribution it was drawn from, after top-k, top-p and min-p.
    pub sampler_logps: Vec<f32>,
    /// Why it ended.
    pub stop: StopReason,
}

/// How far a generation is.
#[derive(Clone, Copy, Debug)]
pub struct Generated<'a> {
    /// Tokens drawn so far.
    pub tokens: usize,
    /// Completions finished so far.
    pub finished: usize,
    latest: &'a [(usize, usize)],
    done: &'a [Vec<Option<Completion>>],
}

impl<'a> Generated<'a> {
    /// The completions that were finished last, each with its request and its number among the samples of that request.
    pub fn latest(&self) -> impl Iterator<Item = (usize, usize, &'a Completion)> {
        let done = self.done;
        self.latest
            .iter()
            .filter_map(move |&(request, sample)| Some((request, sample, done[request][sample].as_ref()?)))
    }
}

/// A completion that was delivered token by token.
#[derive(Clone, Debug, PartialEq)]
pub struct Streamed {
    /// As in [`Completion`].
    pub tokens: Vec<u32>,
    /// As in [`Completion`].
    pub logps: Vec<f32>,
    /// Why it ended; none if the caller stopped it.
    pub stop: Option<StopReason>,
}

/// Why a sample ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum StopReason {
    /// A stop token, which is the sample's last token.
    StopToken,
    /// A stop string was completed by the last token.
    StopString,
    /// It reached the largest length.
    Length,
}

/// A sequence that is being decoded.
struct Running {
    request: usize,
    sample: usize,
    tokens: Vec<u32>,
    logps: Vec<f32>,
    sampler_logps: Vec<f32>,
}

/// A prompt that has been read: its cache, and the logits after its last token.
struct Prefilled {
    cache: Arc<KvCache>,
    logits: Buffer,
}

impl Engine {
    /// Samples `samples` completions of each request, `[requests][samples]`.
    ///
    /// A sample depends on the weights, the sampling settings, `seed`, its request's prompt and key and its index alone:
    /// not on the other requests, the slots or the threads. `progress` receives (tokens, completions) finished so far; when
    /// it breaks, the result is `None`.
    ///
    /// # Panics
    /// If a prompt is empty, or with `max_new_tokens` exceeds the network's positions.
    pub fn generate(
        &mut self,
        policy: &Model,
        requests: &[Request],
        sampling: &Sampling,
        seed: u64,
        progress: &mut dyn FnMut(usize, usize) -> ControlFlow<()>,
    ) -> Option<Vec<Vec<Completion>>> {
        let mut watch = |so_far: Generated<'_>| progress(so_far.tokens, so_far.finished);
        self.generate_watched(policy, requests, sampling, seed, &mut watch)
    }

    /// As [`Engine::generate`]; `watch` also gets each completion as soon as it is finished.
    ///
    /// # Panics
    /// As [`Engine::generate`].
    pub fn generate_watched(
        &mut self,
        policy: &Model,
        requests: &[Request],
        sampling: &Sampling,
        seed: u64,
        watch: &mut dyn FnMut(Generated<'_>) -> ControlFlow<()>,
    ) -> Option<Vec<Vec<Completion>>> {
        policy.assert_policy();
        let mut run = Generation::new(policy, requests, sampling, seed);
        while run.finished < run.total {
            run.latest.clear();
            run.fill_slots(self);
            run.decode_step(self);
            if watch(run.so_far()).is_break() {
                return None;
            }
        }
        let samples = run.done.into_iter().map(|group| group.into_iter().map(|s| s.expect("finished")).collect());
        Some(samples.collect())
    }

    /// Samples one completion and calls `on_token` with each token as soon as it is drawn: the tokens of sample 0 of the same
    /// request to [`Engine::generate`]. If `on_token` breaks, the completion ends with that token.
    ///
    /// # Panics
    /// As [`Engine::generate`].
    pub fn stream(
        &mut self,
        policy: &Model,
        (prompt, key): (&[u32], u64),
        sampling: &Sampling,
        seed: u64,
        on_token: &mut dyn FnMut(u32) -> ControlFlow<()>,
    ) -> Streamed {
        policy.assert_policy();
        let requests = [Request { prompt, samples: 1, key }];
        let mut run = Generation::new(policy, &requests, sampling, seed);
        loop {
            if run.running.is_empty() {
                run.fill_slots(self)
            } else {
                run.decode_step(self)
            }
            let so_far = match (&run.done[0][0], run.running.first()) {
                (Some(sample), _) => (&sample.tokens, &sample.logps, Some(sample.stop)),
                (None, Some(running)) => (&running.tokens, &running.logps, None),
                (None, None) => unreachable!("the only sample is running or done"),
            };
            let (tokens, logps, stop) = so_far;
            let breaks = on_token(tokens[tokens.len() - 1]).is_break();
            if breaks || stop.is_some() {
                return Streamed { tokens: tokens.clone(), logps: logps.clone(), stop: stop.filter(|_| !breaks) };
            }
        }
    }
}

/// The state of one call of [`Engine::generate`].
struct Generation<'a> {
    policy: &'a Model,
    requests: &'a [Request<'a>],
    sampling: &'a Sampling,
    seed: u64,
    /// (request, sample) not yet started, in order.
    waiting: VecDeque<(usize, usize)>,
    prefilled: Vec<Option<Prefilled>>,
    running: Vec<Running>,
    /// Caches of the running sequences.
    caches: Vec<SampleCache>,
    /// Memory of finished samples, for the next.
    spare: Vec<KvCache>,
    done: Vec<Vec<Option<Completion>>>,
    /// (request, sample) finished last.
    latest: Vec<(usize, usize)>,
    finished: usize,
    total: usize,
    tokens: usize,
}

impl<'a> Generation<'a> {
    fn new(policy: &'a Model, requests: &'a [Request<'a>], sampling: &'a Sampling, seed: u64) -> Self {
        for r in requests {
            let longest = r.prompt.len() + sampling.max_new_tokens;
            assert!(!r.prompt.is_empty() && policy.fits(longest), "a prompt of {} tokens does not fit", r.prompt.len());
        }
        let order = requests.iter().enumerate().flat_map(|(r, request)| (0..request.samples).map(move |s| (r, s)));
        let waiting: VecDeque<(usize, usize)> = order.collect();
        Generation {
            policy,
            requests,
            sampling,
            seed,
            total: waiting.len(),
            waiting,
            prefilled: requests.iter().map(|_| None).collect(),
            running: Vec::new(),
            caches: Vec::new(),
            spare: Vec::new(),
            done: requests.iter().map(|r| vec![None; r.samples]).collect(),
            latest: Vec::new(),
            finished: 0,
            tokens: 0,
        }
    }

    fn so_far(&self) -> Generated<'_> {
        Generated { tokens: self.tokens, finished: self.finished, latest: &self.latest, done: &self.done }
    }

    /// Starts waiting samples while there are free slots.
    fn fill_slots(&mut self, engine: &mut Engine) {
        while self.running.len() < self.sampling.slots.max(1) {
            let Some((request, sample)) = self.waiting.pop_front() else { return };
            if self.prefilled[request].is_none() {
                self.prefill(engine, request);
            }
            let Some(prompt) = &self.prefilled[request] else { unreachable!("just prefilled") };
            let running = Running { request, sample, tokens: Vec::new(), logps: Vec::new(), sampler_logps: Vec::new() };
            let drawn = self.draw(&engine.device, std::slice::from_ref(&running), prompt.logits.view())[0];
            let (cache, prompt_tokens) = (Arc::clone(&prompt.cache), self.requests[request].prompt.len());
            if sample + 1 == self.requests[request].samples {
                self.prefilled[request] = None;
            }
            if let Some(running) = self.accept(running, drawn) {
                let own = self.spare.pop().unwrap_or_else(|| self.new_cache(&engine.device));
                self.caches.push(start_sample(&engine.device, cache, prompt_tokens, own));
                self.running.push(running);
            }
        }
    }

    /// Memory for one sample, large enough for any prompt.
    fn new_cache(&self, device: &Device) -> KvCache {
        let tokens = SampleCache::own_tokens(self.sampling.max_new_tokens);
        KvCache::new(device, self.policy.config.attention, self.policy.layout.layers.len(), tokens)
    }

    /// Reads the prompt of `first` and of the requests after it that will soon find a free slot.
    fn prefill(&mut self, engine: &mut Engine, first: usize) {
        let mut free = self.sampling.slots.max(1) - self.running.len();
        let mut tokens = 0;
        let mut end = first;
        while end < self.requests.len() {
            let r = &self.requests[end];
            tokens += r.prompt.len();
            if end > first && (free == 0 || tokens > engine.micro_batch_tokens()) {
                break;
            }
            free = free.saturating_sub(r.samples);
            end += 1;
        }
        for (request, prefilled) in (first..end).zip(prefill(engine, self.policy, &self.requests[first..end])) {
            self.prefilled[request] = Some(prefilled);
        }
    }

    /// One more token for every running sequence.
    fn decode_step(&mut self, engine: &mut Engine) {
        let rows = self.running.len();
        if rows == 0 {
            return;
        }
        let ids: Vec<u32> = self.running.iter().filter_map(|r| r.tokens.last().copied()).collect();
        let positions: Vec<u32> = self.caches.iter().map(|c| c.len() as u32).collect();
        let (device, config, caches) = (&engine.device, &self.policy.config, &mut self.caches);
        let pass = Pass { device, model: self.policy, ids: &ids, positions: &positions };
        pass.forward(false, &mut engine.work, &mut |layer, qkv, out| {
            append(device, layer, qkv, caches);
            decode_attention(device, config.layer_attention(layer), layer, qkv, caches, out);
        });
        self.caches.iter_mut().for_each(SampleCache::advance);
        engine.gather_and_norm(self.policy, &(0..rows).collect::<Vec<usize>>());
        engine.logits(self.policy, 0..rows);
        let drawn = self.draw(&engine.device, &self.running, engine.head.logits.view());
        let running = std::mem::take(&mut self.running);
        let caches = std::mem::take(&mut self.caches);
        for ((running, cache), drawn) in running.into_iter().zip(caches).zip(drawn) {
            match self.accept(running, drawn) {
                Some(running) => {
                    self.running.push(running);
                    self.caches.push(cache);
                }
                None => self.spare.push(cache.into_own()),
            }
        }
    }

    /// The next token of each of `running`, from its row of logits.
    fn draw(&self, device: &Device, running: &[Running], logits: View) -> Vec<Drawn> {
        let key = |r: &Running| [self.seed, self.requests[r.request].key, r.sample as u64, r.tokens.len() as u64];
        let keys: Vec<[u64; 4]> = running.iter().map(key).collect();
        let mut drawn = vec![Drawn::default(); running.len()];
        sample_rows(device, logits, &self.sampling.params(), &keys, &mut drawn);
        drawn
    }

    /// Appends a token; returns the sequence if it continues, and stores it as done if this was its last.
    fn accept(&mut self, mut running: Running, drawn: Drawn) -> Option<Running> {
        self.tokens += 1;
        running.tokens.push(drawn.token);
        running.logps.push(drawn.logp);
        running.sampler_logps.push(drawn.sampler_logp);
        let completes = |s: &StopStrings| s.completed_by_last(&running.tokens);
        let stop = if self.sampling.stop_tokens.contains(&drawn.token) {
            StopReason::StopToken
        } else if self.sampling.stop_strings.as_ref().is_some_and(completes) {
            StopReason::StopString
        } else if running.tokens.len() >= self.sampling.max_new_tokens {
            StopReason::Length
        } else {
            return Some(running);
        };
        self.done[running.request][running.sample] = Some(Completion {
            tokens: running.tokens,
            logps: running.logps,
            sampler_logps: running.sampler_logps,
            stop,
        });
        self.latest.push((running.request, running.sample));
        self.finished += 1;
        None
    }
}

/// Runs prompts through the network together; their caches and the logits after their last tokens.
fn prefill(engine: &mut Engine, policy: &Model, requests: &[Request]) -> Vec<Prefilled> {
    let (shape, num_layers) = (policy.config.attention, policy.layout.layers.len());
    let ids: Vec<u32> = requests.iter().flat_map(|r| r.prompt.iter().copied()).collect();
    let positions: Vec<u32> = requests.iter().flat_map(|r| 0..r.prompt.len() as u32).collect();
    let mut offsets = vec![0];
    for r in requests {
        offsets.push(offsets[offsets.len() - 1] + r.prompt.len());
    }
    let mut caches: Vec<KvCache> =
        requests.iter().map(|r| KvCache::new(&engine.device, shape, num_layers, r.prompt.len())).collect();
    let trees: Vec<Tree> =
        ranges(&offsets).map(|r| Tree { first_row: r.start, prefix: r.len(), branches: Vec::new() }).collect();
    let device = &engine.device;
    let pass = Pass { device, model: policy, ids: &ids, positions: &positions };
    pass.forward(false, &mut engine.work, &mut |layer, qkv, out| {
        attention(device, policy.config.layer_attention(layer), qkv, &trees, out);
        fill(device, layer, qkv, &offsets, &mut caches);
    });
    let last: Vec<usize> = offsets[1..].iter().map(|end| end - 1).collect();
    engine.gather_and_norm(policy, &last);
    let vocab = policy.config.vocab_size;
    let mut prefilled = Vec::with_capacity(requests.len());
    let mut caches = caches.into_iter();
    for rows in chunks(requests.len(), vocab) {
        engine.logits(policy, rows.clone());
        let logits = engine.head.logits.view();
        for (row, cache) in caches.by_ref().take(rows.len()).enumerate() {
            let mut own = Buffer::zeros(&engine.device, vocab);
            copy(&engine.device, logits.slice(row * vocab..(row + 1) * vocab), own.view_mut());
            prefilled.push(Prefilled { cache: Arc::new(cache), logits: own });
        }
    }
    prefilled
}

fn ranges(offsets: &[usize]) -> impl Iterator<Item = Range<usize>> {
    offsets.windows(2).map(|w| w[0]..w[1])
}
