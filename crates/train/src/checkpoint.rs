//! Checkpoints: Hugging Face directories of policy and critic, and the state from which a run continues.
//!
//! ```text
//! checkpoints/step-000123/
//!   policy/   config.json, model.safetensors, tokenizer.json ...
//!   critic/   the same, with a value head
//!   state/    state.json; policy.safetensors and critic.safetensors: AdamW's moments, and the exact weights if the
//!             directories round them, each tensor as `first_moment.<name>`, `second_moment.<name>`, `weights.<name>`
//!   config.toml
//!   SHA256SUMS  checksums of all files (since format 3); `sha256sum --check SHA256SUMS` verifies them too
//! ```
//!
//! Tensors are row-major and named as in the model directories, so that a checkpoint does not depend on how a device
//! stores them. `format_version` in state.json counts changes of this description.

use std::{borrow::Cow, fs, path::Path};

use safetensors::{Dtype, View};
use serde::{Deserialize, Serialize};
use vapo_lm::{Buffer, Head, Model, TensorFile, WeightDtype, little_endian, split_legacy_buffer};
use vapo_tasks::plain_words;

use crate::{
    alarm::Alarms,
    base::TokenizerFiles,
    checksums::{self, CHECKSUMS, checksums},
    config::Config,
    error::{Error, Result},
    files::{create_subdirectory_atomically, write_atomically, write_tensors},
    fingerprint::DataFingerprint,
    metrics::Row,
    network::Network,
    networks::{Networks, State},
    trainer::Counters,
};

/// The version that is written. Format 1 named no version and stored flat buffers in the order of the processor's memory;
/// format 2 had no checksums.
const FORMAT_VERSION: u32 = 3;
/// The first version with checksums.
const CHECKSUMMED: u32 = 3;
/// The last version with flat buffers.
const FLAT_BUFFERS: u32 = 1;

const MOMENTS: [&str; 2] = ["first_moment", "second_moment"];
/// The exact weights, in checkpoints whose model directories hold rounded ones.
const WEIGHTS: &str = "weights";
/// What format 1 called them.
const FLAT_WEIGHTS: &str = "parameters";

/// The state of a run apart from weights and moments.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RunState {
    /// The checkpoint's format.
    #[serde(default = "unversioned")]
    pub(crate) format_version: u32,
    /// The program that wrote it; empty before format 3.
    #[serde(default)]
    pub(crate) vapo_version: String,
    /// Steps, updates, prompts, tokens.
    pub(crate) counters: Counters,
    /// Number of optimizer updates in the policy's moments.
    pub(crate) policy_optimizer_steps: u64,
    /// Number of optimizer updates in the critic's moments.
    pub(crate) critic_optimizer_steps: u64,
    /// Updates of the policy that were skipped since the last one whose gradient was finite.
    #[serde(default)]
    pub(crate) policy_skipped: u64,
    /// The same for the critic.
    #[serde(default)]
    pub(crate) critic_skipped: u64,
    /// Held-out accuracy of the initial policy.
    pub(crate) accuracy_before: Option<f64>,
    /// Held-out accuracy at the last evaluation.
    pub(crate) accuracy_last: Option<f64>,
    /// Number of problems in an evaluation.
    pub(crate) eval_problems: usize,
    /// The trained policy with the best held-out accuracy so far.
    #[serde(default)]
    pub(crate) best: Option<Best>,
    /// The finished step's row, if it is not in `metrics.jsonl` yet.
    pub(crate) pending: Option<Row>,
    /// The user's problems that the run began with.
    #[serde(default)]
    pub(crate) data: Option<DataFingerprint>,
    /// Alarms so far, and how long their conditions have held.
    #[serde(default)]
    pub(crate) alarms: Alarms,
    /// Wall time of all earlier sessions in seconds.
    pub(crate) wall_secs: f64,
    /// Processor seconds of all earlier sessions.
    pub(crate) cpu_secs: f64,
}

impl RunState {
    /// Whether the checkpoint that it was read from has checksums.
    pub(crate) fn has_checksums(&self) -> bool {
        self.format_version >= CHECKSUMMED
    }
}

/// A policy by its held-out accuracy.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Best {
    /// Steps before the evaluation.
    pub step: u64,
    /// Its result.
    pub accuracy: f64,
}

/// The contents of a checkpoint.
pub(crate) struct Snapshot<'a> {
    pub(crate) networks: Networks<'a>,
    pub(crate) files: TokenizerFiles,
    pub(crate) state: RunState,
    pub(crate) config: Cow<'a, Config>,
}

impl Snapshot<'_> {
    /// The same with a copy of the networks ([`Networks::into_owned`]).
    pub(crate) fn into_owned(self, earlier: Option<Networks<'static>>) -> Snapshot<'static> {
        Snapshot {
            networks: self.networks.into_owned(earlier),
            files: self.files,
            state: self.state,
            config: Cow::Owned(self.config.into_owned()),
        }
    }

    /// Writes the checkpoint, completely or not at all.
    pub(crate) fn save(&self, path: &Path) -> Result<()> {
        create_subdirectory_atomically(path, |directory| {
            let state = directory.join("state");
            fs::create_dir(&state).map_err(Error::io("create", &state))?;
            let dtype = WeightDtype::from(self.config.checkpoint.dtype);
            for (name, network) in [("policy", Some(&self.networks.policy)), ("critic", self.networks.critic.as_ref())]
            {
                let Some(network) = network else { continue };
                save_model(&network.model, &self.files, &directory.join(name), dtype)?;
                save_network(network, &state.join(format!("{name}.safetensors")), dtype)?;
            }
            let written = RunState {
                format_version: FORMAT_VERSION,
                vapo_version: env!("CARGO_PKG_VERSION").into(),
                ..self.state.clone()
            };
            let json = serde_json::to_vec_pretty(&written).map_err(|error| Error::file(&state, error.to_string()))?;
            write_atomically(&state.join("state.json"), &json)?;
            let config = self.config.as_ref().clone().with_absolute_paths()?;
            write_atomically(&directory.join("config.toml"), config.to_commented_toml().as_bytes())?;
            write_atomically(&directory.join(CHECKSUMS), checksums(directory)?.as_bytes())
        })
    }
}

/// Compares a checkpoint's files with its checksums, if its format has them.
///
/// # Errors
/// A file is damaged, or `state.json` belongs to a newer version.
pub(crate) fn verify(checkpoint: &Path) -> Result<()> {
    if lacks_checksums(checkpoint)? {
        return Ok(());
    }
    checksums::verify(checkpoint)?;
    load_state(checkpoint).map(drop)
}

/// Whether the format of a checkpoint is one without checksums.
fn lacks_checksums(checkpoint: &Path) -> Result<bool> {
    Ok(!checkpoint.join(CHECKSUMS).exists() && !load_state(checkpoint)?.has_checksums())
}

/// Compares the files of one network of a checkpoint (`policy` or `critic`) with the checksums, for a command that reads
/// nothing else of it. A network without the rest of its checkpoint has none.
///
/// # Errors
/// A file is damaged.
pub fn verify_network(checkpoint: &Path, name: &str) -> Result<()> {
    let is_whole = [CHECKSUMS, "state/state.json"].iter().any(|file| checkpoint.join(file).exists());
    if !is_whole || lacks_checksums(checkpoint)? { Ok(()) } else { checksums::verify_part(checkpoint, name) }
}

/// Writes a model directory with its tokenizer.
pub(crate) fn save_model(model: &Model, files: &TokenizerFiles, directory: &Path, dtype: WeightDtype) -> Result<()> {
    fs::create_dir_all(directory).map_err(Error::io("create", directory))?;
    model.save(directory, dtype)?;
    files.save(directory)
}

fn unversioned() -> u32 {
    FLAT_BUFFERS
}

/// Reads `state.json` of a checkpoint.
///
/// # Errors
/// It is missing or wrong, or of a newer format.
pub(crate) fn load_state(checkpoint: &Path) -> Result<RunState> {
    /// All that other formats have in common.
    #[derive(Deserialize)]
    struct Version {
        #[serde(default = "unversioned")]
        format_version: u32,
    }
    let path = checkpoint.join("state/state.json");
    let bytes = fs::read(&path).map_err(Error::io("read", &path))?;
    let wrong = |error: serde_json::Error| Error::file(&path, plain_words(&error.to_string()));
    let Version { format_version } = serde_json::from_slice(&bytes).map_err(wrong)?;
    if format_version > FORMAT_VERSION {
        return Err(Error::Run(format!(
            "{}: format_version is {format_version}, expected at most {FORMAT_VERSION}: a newer version of vapo wrote this checkpoint, use that version to resume",
            path.display()
        )));
    }
    serde_json::from_slice(&bytes).map_err(wrong)
}

/// Reads a network's moments from a checkpoint (`name` is `policy` or `critic`), and its exact weights where the model directory
/// holds rounded ones.
///
/// # Errors
/// The file is missing or damaged, or its tensors are not those of the network.
pub(crate) fn load_network(checkpoint: &Path, name: &str, state: &RunState, network: &mut Network) -> Result<()> {
    let path = checkpoint.join("state").join(format!("{name}.safetensors"));
    let file = StateFile { file: TensorFile::open(&path)?, flat: state.format_version <= FLAT_BUFFERS };
    let Network { model, optimizer, skipped, .. } = network;
    let moments = [&mut optimizer.first_moment, &mut optimizer.second_moment];
    for (group, moment) in MOMENTS.into_iter().zip(moments) {
        file.read(group, model, |model, tensor, values| model.set_tensor_in(moment, tensor, values))?;
    }
    let weights = if file.flat { FLAT_WEIGHTS } else { WEIGHTS };
    if file.file.names().iter().any(|name| name.starts_with(weights)) {
        file.read(weights, model, |model, tensor, values| model.set_tensor(tensor, values))?;
    }
    (optimizer.steps, *skipped) = match model.head() {
        Head::Language => (state.policy_optimizer_steps, state.policy_skipped),
        Head::Value => (state.critic_optimizer_steps, state.critic_skipped),
    };
    Ok(())
}

/// A network's file in `state/`.
struct StateFile {
    file: TensorFile,
    /// Of format 1: one flat tensor per group.
    flat: bool,
}

impl StateFile {
    /// Gives `set` the tensors of a group by their names in the model, row-major, one at a time.
    fn read(&self, group: &str, model: &mut Model, mut set: impl FnMut(&mut Model, &str, &[f32])) -> Result<()> {
        if self.flat {
            let flat = self.values(group, None)?;
            let tensors = split_legacy_buffer(model, &flat).ok_or_else(|| {
                let problem =
                    format!("{group} has {} values, which is not what the checkpoint's model needs", flat.len());
                Error::file(self.file.path(), problem)
            })?;
            tensors.iter().for_each(|(name, values)| set(model, name, values));
            return Ok(());
        }
        let shapes = model.tensor_shapes();
        let of_model = |name: &str| shapes.iter().any(|(known, _)| known == name);
        let in_file = self.file.names();
        let mut in_group = in_file.iter().filter_map(|name| name.strip_prefix(group)?.strip_prefix('.'));
        if let Some(name) = in_group.find(|name| !of_model(name)) {
            let problem = format!("holds {group}.{name}, which the checkpoint's model does not have");
            return Err(Error::file(self.file.path(), problem));
        }
        for (name, shape) in &shapes {
            set(model, name, &self.values(&format!("{group}.{name}"), Some(shape))?);
        }
        Ok(())
    }

    /// The values of a tensor, which is F32 and has the shape, if one is given.
    fn values(&self, name: &str, shape: Option<&[usize]>) -> Result<Vec<f32>> {
        if let Some(info) = self.file.info(name)
            && (info.dtype != Dtype::F32 || shape.is_some_and(|shape| info.shape != shape))
        {
            let (dtype, found) = (info.dtype, &info.shape);
            let expected = shape.map_or(String::new(), |shape| format!(" {shape:?}"));
            return Err(Error::file(
                self.file.path(),
                format!("{name} is {dtype:?} {found:?}, expected F32{expected} as the checkpoint's model needs"),
            ));
        }
        Ok(self.file.read(name)?)
    }
}

fn save_network(network: &State<'_>, path: &Path, dtype: WeightDtype) -> Result<()> {
    let (model, optimizer) = (network.model.as_ref(), network.optimizer.as_ref());
    let moments = [&optimizer.first_moment, &optimizer.second_moment].map(Some);
    let exact = (dtype != WeightDtype::Float32).then_some((WEIGHTS, None));
    let groups = MOMENTS.into_iter().zip(moments).chain(exact);
    let tensors = groups.flat_map(|(group, buffer)| {
        let shapes = model.tensor_shapes().into_iter();
        shapes.map(move |(name, shape)| (format!("{group}.{name}"), Tensor { model, buffer, name, shape }))
    });
    write_tensors(tensors, path)
}

/// A tensor on its way to a file, read from its device when its turn comes, so that only one exists twice.
struct Tensor<'a> {
    model: &'a Model,
    /// A buffer of the model's layout; without one, the weights.
    buffer: Option<&'a Buffer>,
    name: String,
    shape: Vec<usize>,
}

impl View for Tensor<'_> {
    fn dtype(&self) -> Dtype {
        Dtype::F32
    }

    fn shape(&self) -> &[usize] {
        &self.shape
    }

    fn data(&self) -> Cow<'_, [u8]> {
        let values = match self.buffer {
            Some(buffer) => self.model.tensor_in(buffer, &self.name),
            None => self.model.tensor(&self.name),
        };
        Cow::Owned(little_endian(&values.expect("a tensor of this model")))
    }

    fn data_len(&self) -> usize {
        size_of::<f32>() * self.shape.iter().product::<usize>()
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use safetensors::{SafeTensors, tensor::TensorView};
    use vapo_lm::Device;

    use super::*;
    use crate::{base::TextFiles, config::OptimizerConfig};

    /// A checkpoint of a tiny chain model that vapo wrote before formats had versions, with rounded model directories.
    fn format_1() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/run-format-1/checkpoints/step-000002")
    }

    fn load(checkpoint: &Path, name: &str, head: Head) -> Result<Network> {
        let model = Model::load(&Device::cpu(1), &checkpoint.join(name), head)?;
        let mut network = Network::new(model, &OptimizerConfig::default(), 1);
        load_network(checkpoint, name, &load_state(checkpoint)?, &mut network)?;
        Ok(network)
    }

    /// FNV-1a over weights and moments, tensor by tensor.
    fn hash(network: &Network) -> u64 {
        let Network { model, optimizer, .. } = network;
        let of_tensor = |name: &str| {
            let [first, second] = [&optimizer.first_moment, &optimizer.second_moment]
                .map(|moment| model.tensor_in(moment, name).unwrap());
            [model.tensor(name).unwrap(), first, second].concat()
        };
        let values = model.tensor_names().flat_map(of_tensor);
        let bytes = values.flat_map(f32::to_le_bytes);
        bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
    }

    /// The hashes are those that the program of that time computed from the same files.
    #[test]
    fn format_1_is_read_and_what_is_written_reads_the_same() {
        for (name, head, want, steps) in
            [("policy", Head::Language, 0x7b62_30eb_503b_5073, 1), ("critic", Head::Value, 0x50b7_9cb1_9e91_f84f, 2)]
        {
            let network = load(&format_1(), name, head).unwrap();
            assert_eq!((hash(&network), network.optimizer.steps), (want, steps), "{name}");

            let again = tempfile::tempdir().unwrap();
            fs::create_dir_all(again.path().join("state")).unwrap();
            fs::create_dir_all(again.path().join(name)).unwrap();
            network.model.save(&again.path().join(name), WeightDtype::Bfloat16).unwrap();
            let file = again.path().join("state").join(format!("{name}.safetensors"));
            save_network(&State::from(&network), &file, WeightDtype::Bfloat16).unwrap();
            let state = RunState { format_version: FORMAT_VERSION, ..load_state(&format_1()).unwrap() };
            fs::write(again.path().join("state/state.json"), serde_json::to_vec(&state).unwrap()).unwrap();
            let network = load(again.path(), name, head).unwrap();
            assert_eq!((hash(&network), network.optimizer.steps), (want, steps), "{name} in the format of today");
            let written = TensorFile::open(&file).unwrap();
            let norm = written.info("second_moment.model.norm.weight").unwrap();
            assert_eq!(norm.shape, [16], "named as in the model directory, without fill");
        }
    }

    const NETWORKS: [(&str, Head); 2] = [("policy", Head::Language), ("critic", Head::Value)];

    fn snapshot<'a>(policy: &'a Network, critic: &'a Network) -> Snapshot<'a> {
        Snapshot {
            networks: Networks { policy: policy.into(), critic: Some(critic.into()) },
            files: TextFiles::load(&format_1().join("policy")).unwrap().files,
            state: load_state(&format_1()).unwrap(),
            config: Cow::Owned(Config::default()),
        }
    }

    /// The checkpoint of format 1, written in the present one.
    fn rewritten() -> tempfile::TempDir {
        let [policy, critic] = NETWORKS.map(|(name, head)| load(&format_1(), name, head).unwrap());
        let root = tempfile::tempdir().unwrap();
        snapshot(&policy, &critic).save(&root.path().join("step-000002")).unwrap();
        root
    }

    #[test]
    fn a_checkpoint_holds_what_it_was_given_and_its_versions() {
        let root = rewritten();
        let path = root.path().join("step-000002");
        for (name, head) in NETWORKS {
            let [written, given] = [&path, &format_1()].map(|checkpoint| load(checkpoint, name, head).unwrap());
            assert_eq!((hash(&written), written.optimizer.steps), (hash(&given), given.optimizer.steps), "{name}");
            assert!(path.join(name).join("tokenizer.json").is_file());
        }
        let (written, given) = (load_state(&path).unwrap(), load_state(&format_1()).unwrap());
        assert_eq!((given.format_version, given.vapo_version.as_str()), (1, ""));
        let versions = (written.format_version, written.vapo_version.as_str());
        assert_eq!(versions, (FORMAT_VERSION, env!("CARGO_PKG_VERSION")));
        assert_eq!(RunState { format_version: 1, vapo_version: String::new(), ..written }, given);
    }

    /// The memory of the copy is that of an earlier checkpoint, whose values must not stay.
    #[test]
    fn a_copy_in_the_memory_of_an_earlier_one_is_written_to_the_same_bytes() {
        let root = tempfile::tempdir().unwrap();
        let [policy, critic] = NETWORKS.map(|(name, head)| load(&format_1(), name, head).unwrap());
        let [other_policy, other_critic] = NETWORKS.map(|(name, head)| {
            let model = Model::load(&Device::cpu(1), &format_1().join(name), head).unwrap();
            Network::new(model, &OptimizerConfig::default(), 1)
        });
        let earlier = snapshot(&other_policy, &other_critic).into_owned(None);
        let copy = snapshot(&policy, &critic).into_owned(Some(earlier.networks));
        let sums = |snapshot: &Snapshot<'_>, name: &str| {
            snapshot.save(&root.path().join(name)).unwrap();
            fs::read_to_string(root.path().join(name).join(CHECKSUMS)).unwrap()
        };
        assert_eq!(sums(&copy, "copied"), sums(&snapshot(&policy, &critic), "written"));
    }

    #[test]
    fn checkpoints_are_verified_from_format_3_on_even_if_their_list_is_gone() {
        verify(&format_1()).unwrap();
        verify_network(&format_1(), "policy").unwrap();
        let root = rewritten();
        let path = root.path().join("step-000002");
        verify(&path).unwrap();
        fs::write(path.join("policy/tokenizer.json"), "{}").unwrap();
        let damage = verify(&path).unwrap_err().to_string();
        assert!(damage.starts_with(&format!("{}: ", path.join("policy/tokenizer.json").display())), "{damage}");
        assert_eq!(verify_network(&path, "policy").unwrap_err().to_string(), damage);
        verify_network(&path, "critic").unwrap();
        fs::remove_file(path.join(CHECKSUMS)).unwrap();
        let damage = verify(&path).unwrap_err().to_string();
        assert!(damage.starts_with(&format!("cannot read {}: ", path.join(CHECKSUMS).display())), "{damage}");
    }

    #[test]
    fn tensors_of_another_network_are_refused() {
        let root = rewritten();
        let path = root.path().join("step-000002");
        fs::copy(path.join("state/critic.safetensors"), path.join("state/policy.safetensors")).unwrap();
        let error = load(&path, "policy", Head::Language).err().unwrap().to_string();
        assert!(error.contains("holds first_moment.score."), "{error}");
        assert!(error.ends_with(", which the checkpoint's model does not have"), "{error}");
    }

    #[test]
    fn a_tensor_of_another_type_or_shape_is_refused() {
        let root = rewritten();
        let path = root.path().join("step-000002");
        let file = path.join("state/policy.safetensors");
        let bytes = fs::read(&file).unwrap();
        let written = SafeTensors::deserialize(&bytes).unwrap();
        let changed = "first_moment.model.norm.weight";
        for (dtype, shape) in [(Dtype::I32, vec![16]), (Dtype::F32, vec![4, 4])] {
            let tensors = written.tensors().into_iter().map(|(name, tensor)| {
                let (dtype, shape) =
                    if name == changed { (dtype, shape.clone()) } else { (tensor.dtype(), tensor.shape().to_vec()) };
                (name, TensorView::new(dtype, shape, tensor.data()).unwrap())
            });
            write_tensors(tensors, &file).unwrap();
            let error = load(&path, "policy", Head::Language).err().unwrap().to_string();
            let expected = "expected F32 [16] as the checkpoint's model needs";
            assert_eq!(error, format!("{}: {changed} is {dtype:?} {shape:?}, {expected}", file.display()));
        }
    }

    #[test]
    fn a_newer_format_is_refused_before_its_fields_are_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state/state.json");
        fs::create_dir(directory.path().join("state")).unwrap();
        fs::write(&path, r#"{"format_version": 4, "a_field_of_tomorrow": {}}"#).unwrap();
        let expected = "format_version is 4, expected at most 3: a newer version of vapo wrote this checkpoint, \
                        use that version to resume";
        assert_eq!(load_state(directory.path()).unwrap_err().to_string(), format!("{}: {expected}", path.display()));
    }
}
