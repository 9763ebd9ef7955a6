//! Rotary positions stretched for contexts longer than those of the first training.

use serde_json::{Value, json};

/// How rotary frequencies are stretched.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RopeScaling {
    /// Every frequency is divided by the factor.
    Linear {
        /// The factor.
        factor: f64,
    },
    /// Low frequencies are divided, high ones kept.
    Llama3(Llama3Scaling),
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

impl RopeScaling {
    /// Reads `rope_parameters` or `rope_scaling` of a `config.json`.
    pub(crate) fn from_json(rope: &Value) -> Result<Option<RopeScaling>, String> {
        let Some(rope) = rope.as_object() else { return Err(format!("rope scaling must be an object, found {rope}")) };
        let kind = match rope.get("rope_type").or(rope.get("type")) {
            None | Some(Value::Null) => "default",
            Some(kind) => kind.as_str().ok_or_else(|| format!("rope_type must be a string, found {kind}"))?,
        };
        let number = |key: &str| {
            let value = rope.get(key).ok_or_else(|| format!("rope scaling `{kind}` needs `{key}`"))?;
            let number = value.as_f64().filter(|x| *x > 0.0 && x.is_finite());
            number.ok_or_else(|| format!("rope scaling `{key}` must be a positive number, found {value}"))
        };
        match kind {
            "default" => Ok(None),
            "linear" => Ok(Some(RopeScaling::Linear { factor: number("factor")? })),
            "llama3" => {
                let scaling = Llama3Scaling {
                    factor: number("factor")?,
                    low_freq_factor: number("low_freq_factor")?,
                    high_freq_factor: number("high_freq_factor")?,
                    original_positions: number("original_max_position_embeddings")?,
                };
                if scaling.high_freq_factor <= scaling.low_freq_factor {
                    return Err(format!(
                        "rope scaling high_freq_factor ({}) must be greater than low_freq_factor ({})",
                        scaling.high_freq_factor, scaling.low_freq_factor
                    ));
                }
                Ok(Some(RopeScaling::Llama3(scaling)))
            }
            other => Err(format!("rope scaling `{other}` is not supported (supported: default, linear, llama3)")),
        }
    }

    /// The object that [`RopeScaling::from_json`] reads.
    pub(crate) fn to_json(self) -> Value {
        match self {
            RopeScaling::Linear { factor } => json!({"rope_type": "linear", "factor": factor}),
            RopeScaling::Llama3(s) => json!({
                "rope_type": "llama3", "factor": s.factor,
                "low_freq_factor": s.low_freq_factor, "high_freq_factor": s.high_freq_factor,
                "original_max_position_embeddings": s.original_positions as u64,
            }),
        }
    }

    /// A frequency (radians per token) after stretching.
    pub(crate) fn stretch(self, frequency: f64) -> f64 {
        match self {
            RopeScaling::Linear { factor } => frequency / factor,
            RopeScaling::Llama3(scaling) => scaling.stretch(frequency),
        }
    }
}

impl Llama3Scaling {
    fn stretch(&self, frequency: f64) -> f64 {
        let wavelength = 2.0 * std::f64::consts::PI / frequency;
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
