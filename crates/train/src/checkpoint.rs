//! Checkpoints: Hugging Face directories of policy and critic, and the state from which a run continues.
//!
//! ```text
//! checkpoints/step-000123/
//!   policy/   config.json, model.safetensors, tokenizer.json ...
//!   critic/   the same, with a value head
//!   state/    policy.safetensors and critic.safetensors (AdamW's moments; weights too, if the directories round them), state.json
//!   config.toml
//! ```

use std::{borrow::Cow, fs, path::Path};

use safetensors::{Dtype, SafeTensors, View, serialize_to_file, tensor::TensorView};
use serde::{Deserialize, Serialize};
use vapo_lm::{Head, Model, WeightDtype};

use crate::{
    alarm::Alarms,
    base::TextFiles,
    config::{self, Config},
    error::{Error, Result},
    files::{create_directory_atomically, write_atomically},
    metrics::Row,
    network::Network,
    trainer::Counters,
};

const MOMENTS: [&str; 2] = ["first_moment", "second_moment"];
/// The exact weights, in checkpoints whose model directories hold rounded ones.
const PARAMETERS: &str = "parameters";

/// The state of a run apart from weights and moments.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RunState {
    /// Steps, updates, prompts, tokens.
    pub(crate) counters: Counters,
    /// Number of optimizer updates in the policy's moments.
    pub(crate) policy_optimizer_steps: u64,
    /// Number of optimizer updates in the critic's moments.
    pub(crate) critic_optimizer_steps: u64,
    /// Held-out accuracy of the initial policy.
    pub(crate) accuracy_before: Option<f64>,
    /// Held-out accuracy at the last evaluation.
    pub(crate) accuracy_last: Option<f64>,
    /// Number of problems in an evaluation.
    pub(crate) eval_problems: usize,
    /// The finished step's row, if it is not in `metrics.jsonl` yet.
    pub(crate) pending: Option<Row>,
    /// Alarms so far, and how long their conditions have held.
    #[serde(default)]
    pub(crate) alarms: Alarms,
    /// Wall time of all earlier sessions in seconds.
    pub(crate) wall_secs: f64,
    /// Processor seconds of all earlier sessions.
    pub(crate) cpu_secs: f64,
}

/// The contents of a checkpoint.
pub(crate) struct Snapshot<'a> {
    pub(crate) policy: &'a Network,
    pub(crate) critic: Option<&'a Network>,
    pub(crate) text: &'a TextFiles,
    pub(crate) state: &'a RunState,
    pub(crate) config: &'a Config,
}

impl Snapshot<'_> {
    /// Writes the checkpoint, completely or not at all.
    pub(crate) fn save(&self, path: &Path) -> Result<()> {
        create_directory_atomically(path, |directory| {
            let state = directory.join("state");
            fs::create_dir(&state).map_err(Error::io("create", &state))?;
            let dtype = WeightDtype::from(self.config.checkpoint.dtype);
            for (name, network) in [("policy", Some(self.policy)), ("critic", self.critic)] {
                let Some(network) = network else { continue };
                save_model(&network.model, self.text, &directory.join(name), dtype)?;
                save_network(network, &state.join(format!("{name}.safetensors")), dtype)?;
            }
            let json = serde_json::to_vec_pretty(self.state).map_err(|error| Error::file(&state, error.to_string()))?;
            write_atomically(&state.join("state.json"), &json)?;
            write_atomically(&directory.join("config.toml"), self.config.to_commented_toml().as_bytes())
        })
    }
}

impl From<config::Dtype> for WeightDtype {
    fn from(dtype: config::Dtype) -> Self {
        match dtype {
            config::Dtype::Float32 => Self::Float32,
            config::Dtype::Bfloat16 => Self::Bfloat16,
        }
    }
}

/// Writes a model directory with its tokenizer.
pub(crate) fn save_model(model: &Model, text: &TextFiles, directory: &Path, dtype: WeightDtype) -> Result<()> {
    fs::create_dir_all(directory).map_err(Error::io("create", directory))?;
    model.save(directory, dtype)?;
    text.save(directory)
}

/// Reads `state.json` of a checkpoint.
pub(crate) fn load_state(checkpoint: &Path) -> Result<RunState> {
    let path = checkpoint.join("state/state.json");
    let bytes = fs::read(&path).map_err(Error::io("read", &path))?;
    serde_json::from_slice(&bytes).map_err(|error| Error::file(&path, error.to_string()))
}

/// A network's weights from a checkpoint (`name` is `policy` or `critic`).
pub(crate) fn load_model(checkpoint: &Path, name: &str, head: Head) -> Result<Model> {
    Ok(Model::load(&checkpoint.join(name), head)?)
}

/// A network's moments from a checkpoint, and its exact weights if the model directory holds rounded ones.
pub(crate) fn load_network(checkpoint: &Path, name: &str, steps: u64, network: &mut Network) -> Result<()> {
    let path = checkpoint.join("state").join(format!("{name}.safetensors"));
    let bytes = fs::read(&path).map_err(Error::io("read", &path))?;
    let wrong = |error: safetensors::SafeTensorError| Error::file(&path, error.to_string());
    let tensors = SafeTensors::deserialize(&bytes).map_err(wrong)?;
    let optimizer = &mut network.optimizer;
    let moments = [&mut optimizer.first_moment, &mut optimizer.second_moment];
    for (name, moment) in MOMENTS.into_iter().zip(moments) {
        copy_tensor(&tensors.tensor(name).map_err(wrong)?, name, moment, &path)?;
    }
    if let Ok(parameters) = tensors.tensor(PARAMETERS) {
        network.model.change_parameters(|to| copy_tensor(&parameters, PARAMETERS, to, &path))?;
    }
    optimizer.steps = steps;
    Ok(())
}

fn copy_tensor(tensor: &TensorView<'_>, name: &str, to: &mut [f32], path: &Path) -> Result<()> {
    if tensor.dtype() != Dtype::F32 || tensor.shape() != [to.len()] {
        return Err(Error::file(
            path,
            format!(
                "{name} is {:?} {:?}, expected F32 [{}], the number of the model's parameters",
                tensor.dtype(),
                tensor.shape(),
                to.len()
            ),
        ));
    }
    let values =
        tensor.data().chunks_exact(4).map(|bytes| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]));
    to.iter_mut().zip(values).for_each(|(to, from)| *to = from);
    match to.iter().position(|value| !value.is_finite()) {
        Some(at) => Err(Error::file(path, format!("{name} holds {} at element {at}", to[at]))),
        None => Ok(()),
    }
}

fn save_network(network: &Network, path: &Path, dtype: WeightDtype) -> Result<()> {
    let optimizer = &network.optimizer;
    let moments = [&optimizer.first_moment[..], &optimizer.second_moment[..]];
    let exact = (dtype != WeightDtype::Float32).then(|| (PARAMETERS, network.model.parameters()));
    let tensors = MOMENTS.into_iter().zip(moments).chain(exact);
    let views = tensors.map(|(name, values)| (name, Flat { values, shape: [values.len()] }));
    serialize_to_file(views, None, path).map_err(|error| Error::file(path, error.to_string()))
}

/// A flat buffer to be written: it is converted only when its turn comes, so that only one buffer exists twice.
struct Flat<'a> {
    values: &'a [f32],
    shape: [usize; 1],
}

impl View for Flat<'_> {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        self.values.iter().flat_map(|value| value.to_le_bytes()).collect()
    }

    fn data_len(&self) -> usize {
        4 * self.values.len()
    }
}
