//! Rotary positions, and how they are stretched for contexts longer than those of the first training.
//!
//! The formulas are those of `modeling_rope_utils.py` of transformers 5.

use super::keys::positive;
use serde_json::{Map, Value, json};
use std::f64::consts::PI;

/// The rotary positions of some layers (Su et al. 2021).
#[derive(Clone, Debug, PartialEq)]
pub struct Rope {
    /// Base of the wavelengths.
    pub theta: f64,
    /// Values of a head that are rotated, its first ones; even.
    pub rotated: usize,
    /// How frequencies are stretched, if they are.
    pub scaling: Option<RopeScaling>,
}

/// How rotary frequencies are stretched.
#[derive(Clone, Debug, PartialEq)]
pub enum RopeScaling {
    /// Every frequency is divided by the factor.
    Linear {
        /// The factor.
        factor: f64,
    },
    /// NTK-aware: nothing changes up to `max_position_embeddings`, which is as far as the engine goes. Past it, transformers
    /// changes all frequencies with every new token, so that no log-prob of a sampled token can be computed again.
    Dynamic {
        /// The factor beyond.
        factor: f64,
    },
    /// Low frequencies are divided, high ones kept.
    Llama3(Llama3Scaling),
    /// The same with a linear ramp, and larger scores (Peng et al. 2023).
    Yarn(YarnScaling),
    /// A divisor for each frequency (Ding et al. 2024).
    LongRope(LongRopeScaling),
}

/// Llama 3's stretching of rotary frequencies for long contexts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Llama3Scaling {
    /// Low frequencies are divided by this.
    pub factor: f64,
    /// Wavelengths above `original_positions / low_freq_factor` are stretched fully.
    pub low_freq_factor: f64,
    /// Wavelengths below `original_positions / high_freq_factor` are left alone.
    pub high_freq_factor: f64,
    /// Context length of the first training.
    pub original_positions: f64,
}

/// YaRN.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct YarnScaling {
    /// Low frequencies are divided by this.
    pub factor: f64,
    /// Frequencies that turn more often than this within `original_positions` are left alone.
    pub beta_fast: f64,
    /// Those that turn less often than this are divided by the factor.
    pub beta_slow: f64,
    /// Context length of the first training.
    pub original_positions: f64,
    /// What rotated queries and keys are multiplied by.
    pub amplitude: f64,
    /// Whether the ends of the ramp are rounded to whole frequencies.
    pub truncate: bool,
}

/// LongRoPE. transformers chooses between two lists of divisors by the longest text of a batch, so that a text may be scored
/// with others than it was sampled with. Here a network has one of them, by the longest text that it may see, as
/// inference servers choose by their context length.
#[derive(Clone, Debug, PartialEq)]
pub struct LongRopeScaling {
    /// Divisors for texts of at most `original_positions` tokens.
    pub short_factor: Vec<f64>,
    /// Divisors for longer texts.
    pub long_factor: Vec<f64>,
    /// Context length of the first training.
    pub original_positions: f64,
    /// What rotated queries and keys are multiplied by.
    pub amplitude: f64,
}

/// What a scaling depends on besides its own keys.
pub(super) struct Context {
    /// Longest text.
    pub(super) max_positions: f64,
    /// `original_max_position_embeddings` outside of the scaling's object.
    pub(super) original_positions: Option<f64>,
    /// Values of a head that are rotated.
    pub(super) rotated: usize,
    /// Whether `yarn` is LongRoPE.
    pub(super) yarn_is_longrope: bool,
}

/// The keys of a scaling's object; messages name the key.
struct Scaling<'a> {
    kind: &'a str,
    keys: &'a Map<String, Value>,
}

impl Scaling<'_> {
    fn optional(&self, key: &str) -> Result<Option<f64>, String> {
        let value = self.keys.get(key).filter(|value| !value.is_null());
        value.map(|value| positive(key, value).map_err(|problem| format!("rope scaling: {problem}"))).transpose()
    }

    fn number(&self, key: &str) -> Result<f64, String> {
        self.optional(key)?.ok_or_else(|| format!("rope scaling `{}` needs `{key}`", self.kind))
    }

    fn divisors(&self, key: &str, rotated: usize) -> Result<Vec<f64>, String> {
        let list = self.keys.get(key).and_then(Value::as_array);
        let list = list.ok_or_else(|| format!("rope scaling `{}` needs `{key}`, a list of numbers", self.kind))?;
        if list.len() != rotated / 2 {
            return Err(format!(
                "rope scaling `{key}` holds {} numbers, expected {}, half of the rotated part of a head",
                list.len(),
                rotated / 2
            ));
        }
        list.iter().map(|value| positive(key, value)).collect()
    }
}

impl RopeScaling {
    /// Reads `rope_parameters` or `rope_scaling` of a `config.json`.
    pub(super) fn from_json(rope: &Value, context: &Context) -> Result<Option<RopeScaling>, String> {
        let Some(keys) = rope.as_object() else { return Err(format!("rope scaling must be an object, found {rope}")) };
        let kind = match keys.get("rope_type").or(keys.get("type")) {
            None | Some(Value::Null) => "default",
            Some(kind) => kind.as_str().ok_or_else(|| format!("rope_type must be a string, found {kind}"))?,
        };
        let scaling = Scaling { kind, keys };
        Ok(Some(match kind {
            "default" => return Ok(None),
            "linear" => RopeScaling::Linear { factor: scaling.number("factor")? },
            "dynamic" => RopeScaling::Dynamic { factor: scaling.number("factor")? },
            "llama3" => RopeScaling::Llama3(Llama3Scaling::from_json(&scaling)?),
            "yarn" if !context.yarn_is_longrope => RopeScaling::Yarn(YarnScaling::from_json(&scaling, context)?),
            // Early Phi 3 files say `su` or `yarn`.
            "longrope" | "su" | "yarn" => RopeScaling::LongRope(LongRopeScaling::from_json(&scaling, context)?),
            other => {
                return Err(format!(
                    "rope scaling `{other}` is not supported (supported: default, linear, dynamic, llama3, yarn, longrope)"
                ));
            }
        }))
    }

    /// The object that [`RopeScaling::from_json`] reads.
    pub(super) fn to_json(&self) -> Value {
        match self {
            RopeScaling::Linear { factor } => json!({"rope_type": "linear", "factor": factor}),
            RopeScaling::Dynamic { factor } => json!({"rope_type": "dynamic", "factor": factor}),
            RopeScaling::Llama3(s) => json!({
                "rope_type": "llama3", "factor": s.factor,
                "low_freq_factor": s.low_freq_factor, "high_freq_factor": s.high_freq_factor,
                "original_max_position_embeddings": s.original_positions as u64,
            }),
            RopeScaling::Yarn(s) => json!({
                "rope_type": "yarn", "factor": s.factor, "beta_fast": s.beta_fast, "beta_slow": s.beta_slow,
                "attention_factor": s.amplitude, "truncate": s.truncate,
                "original_max_position_embeddings": s.original_positions as u64,
            }),
            RopeScaling::LongRope(s) => json!({
                "rope_type": "longrope", "short_factor": s.short_factor, "long_factor": s.long_factor,
                "attention_factor": s.amplitude, "original_max_position_embeddings": s.original_positions as u64,
            }),
        }
    }
}

impl RopeScaling {
    /// The object that transformers 4 asks for where [`RopeScaling::to_json`] is refused there: of LongRoPE, it takes these three
    /// keys and no others, so that the amplitude must be what follows from the context lengths.
    pub(super) fn to_json_of_transformers_4(&self, max_positions: f64) -> Option<Value> {
        let RopeScaling::LongRope(s) = self else { return None };
        let follows = long_rope_amplitude(max_positions / s.original_positions, s.original_positions);
        let lists = json!({"type": "longrope", "short_factor": s.short_factor, "long_factor": s.long_factor});
        ((s.amplitude - follows).abs() < 1e-9).then_some(lists)
    }
}

impl Rope {
    /// Rotary positions of the whole head, not stretched.
    pub(super) fn plain(theta: f64, rotated: usize) -> Rope {
        Rope { theta, rotated, scaling: None }
    }

    /// Inverse frequencies, `[rotated / 2]`, radians per token, for texts of up to `positions` tokens.
    pub(crate) fn inverse_frequencies(&self, positions: usize) -> Vec<f64> {
        let size = self.rotated as f64;
        let mut frequencies: Vec<f64> =
            (0..self.rotated / 2).map(|i| libm::pow(self.theta, -((2 * i) as f64) / size)).collect();
        match &self.scaling {
            None | Some(RopeScaling::Dynamic { .. }) => {}
            Some(RopeScaling::Linear { factor }) => frequencies.iter_mut().for_each(|f| *f /= factor),
            Some(RopeScaling::Llama3(scaling)) => frequencies.iter_mut().for_each(|f| *f = scaling.stretch(*f)),
            Some(RopeScaling::Yarn(scaling)) => scaling.stretch(self.theta, &mut frequencies),
            Some(RopeScaling::LongRope(scaling)) => {
                frequencies.iter_mut().zip(scaling.divisors(positions)).for_each(|(f, divisor)| *f /= divisor)
            }
        }
        frequencies
    }

    /// What rotated values are multiplied by.
    pub(crate) fn amplitude(&self) -> f64 {
        match &self.scaling {
            Some(RopeScaling::Yarn(scaling)) => scaling.amplitude,
            Some(RopeScaling::LongRope(scaling)) => scaling.amplitude,
            _ => 1.0,
        }
    }
}

impl Llama3Scaling {
    fn from_json(scaling: &Scaling) -> Result<Llama3Scaling, String> {
        let read = Llama3Scaling {
            factor: scaling.number("factor")?,
            low_freq_factor: scaling.number("low_freq_factor")?,
            high_freq_factor: scaling.number("high_freq_factor")?,
            original_positions: scaling.number("original_max_position_embeddings")?,
        };
        if read.high_freq_factor <= read.low_freq_factor {
            return Err(format!(
                "rope scaling high_freq_factor ({}) must be greater than low_freq_factor ({})",
                read.high_freq_factor, read.low_freq_factor
            ));
        }
        Ok(read)
    }

    /// A frequency (radians per token) after stretching.
    pub(crate) fn stretch(&self, frequency: f64) -> f64 {
        let wavelength = 2.0 * PI / frequency;
        let (long, short) =
            (self.original_positions / self.low_freq_factor, self.original_positions / self.high_freq_factor);
        if wavelength > long {
            frequency / self.factor
        } else if wavelength < short {
            frequency
        } else {
            let smooth = (self.original_positions / wavelength - self.low_freq_factor)
                / (self.high_freq_factor - self.low_freq_factor);
            (1.0 - smooth) * frequency / self.factor + smooth * frequency
        }
    }
}

impl YarnScaling {
    fn from_json(scaling: &Scaling, context: &Context) -> Result<YarnScaling, String> {
        let original_positions = scaling.optional("original_max_position_embeddings")?.unwrap_or(context.max_positions);
        let factor = scaling.optional("factor")?.unwrap_or(context.max_positions / original_positions);
        let amplitude_of = |mscale: f64| if factor <= 1.0 { 1.0 } else { 0.1 * mscale * libm::log(factor) + 1.0 };
        // transformers takes 0 as absent.
        let factor_of = |key: &str| match scaling.keys.get(key).and_then(Value::as_f64) {
            Some(0.0) => Ok(None),
            _ => scaling.optional(key),
        };
        let amplitude =
            match (scaling.optional("attention_factor")?, factor_of("mscale")?, factor_of("mscale_all_dim")?) {
                (Some(given), ..) => given,
                (None, Some(mscale), Some(all)) => amplitude_of(mscale) / amplitude_of(all),
                (None, ..) => amplitude_of(1.0),
            };
        let truncate = match scaling.keys.get("truncate") {
            None | Some(Value::Null) => true,
            Some(value) => value
                .as_bool()
                .ok_or_else(|| format!("rope scaling `truncate` must be true or false, found {value}"))?,
        };
        Ok(YarnScaling {
            factor,
            beta_fast: factor_of("beta_fast")?.unwrap_or(32.0),
            beta_slow: factor_of("beta_slow")?.unwrap_or(1.0),
            original_positions,
            amplitude,
            truncate,
        })
    }

    /// Stretches all frequencies of a head: a ramp from those that are kept to those that are divided.
    fn stretch(&self, theta: f64, frequencies: &mut [f64]) {
        let rotated = (2 * frequencies.len()) as f64;
        // The frequency that turns so often within the first training's context, as a number of its place.
        let place =
            |turns: f64| rotated * libm::log(self.original_positions / (turns * 2.0 * PI)) / (2.0 * libm::log(theta));
        let (mut low, mut high) = (place(self.beta_fast), place(self.beta_slow));
        if self.truncate {
            (low, high) = (low.floor(), high.ceil());
        }
        (low, high) = (low.max(0.0), high.min(rotated - 1.0));
        if low == high {
            high += 0.001;
        }
        for (i, frequency) in frequencies.iter_mut().enumerate() {
            let ramp = ((i as f64 - low) / (high - low)).clamp(0.0, 1.0);
            *frequency = *frequency * (1.0 - ramp) + *frequency / self.factor * ramp;
        }
    }
}

impl LongRopeScaling {
    fn from_json(scaling: &Scaling, context: &Context) -> Result<LongRopeScaling, String> {
        let own = scaling.optional("original_max_position_embeddings")?;
        let original_positions = context.original_positions.or(own).unwrap_or(context.max_positions);
        let factor = scaling.optional("factor")?.unwrap_or(context.max_positions / original_positions);
        Ok(LongRopeScaling {
            short_factor: scaling.divisors("short_factor", context.rotated)?,
            long_factor: scaling.divisors("long_factor", context.rotated)?,
            original_positions,
            amplitude: scaling
                .optional("attention_factor")?
                .unwrap_or_else(|| long_rope_amplitude(factor, original_positions)),
        })
    }

    fn divisors(&self, positions: usize) -> &[f64] {
        if positions as f64 > self.original_positions { &self.long_factor } else { &self.short_factor }
    }
}

/// What rotated values are multiplied by where a file does not say.
fn long_rope_amplitude(factor: f64, original_positions: f64) -> f64 {
    if factor <= 1.0 { 1.0 } else { (1.0 + libm::log(factor) / libm::log(original_positions)).sqrt() }
}
