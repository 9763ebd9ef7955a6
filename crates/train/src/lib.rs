//! The training loop: config, rollouts, batches, evaluation, checkpoints, records.
//!
//! # Tour
//!
//! 1. [`config`]: [`config::Resolved::load`] reads a file and `key=value` overrides over a preset, and checks them.
//! 2. [`Run::create`] loads models and problems and makes the run directory ([`rundir`]); [`Run::resume`] continues a run;
//!    [`Run::train`] trains, evaluates, saves.
//! 3. `step`: one training step, from start to end. Its stages have their own types:
//!    [`rollout::Prompt`] -> [`rollout::Rollout`] -> [`rollout::GradedRollout`] -> [`batch::Batch`] -> [`credit::Credit`] ->
//!    [`report::StepReport`] -> [`metrics::Row`].
//! 4. [`sampling`]: a step's responses, with dynamic sampling. [`update`] and `objective`: the losses as closures inside the
//!    model's backward pass. [`diagnostics`]: those of the critic. [`trace`] and `records`: what happened
//!    to each token, in files. [`alarm`]: warnings about unhealthy runs.
//! 5. [`eval::evaluate`]: held-out accuracy. [`Scorer`]: log-probs and values of given texts. [`pretrain::pretrain`]: making a built-in base model.
//!
//! A caller monitors a run through an [`observer::Observer`] and stops it through an `AtomicBool`.

#![forbid(unsafe_code)]

pub mod alarm;
mod base;
pub mod batch;
mod chat;
mod checkpoint;
mod checksums;
pub mod config;
pub mod credit;
mod decoding;
pub mod diagnostics;
mod division;
pub mod dump;
mod error;
pub mod eval;
pub mod evaluation;
mod files;
mod fingerprint;
mod fork;
mod grading;
mod import;
pub mod inspect;
mod links;
mod lock;
mod memory;
pub mod metrics;
mod models;
mod network;
mod networks;
mod objective;
pub mod observer;
mod passes;
mod phase;
pub mod pretrain;
mod problems;
mod progress;
pub mod records;
pub mod replay;
pub mod report;
mod resources;
mod resume;
pub mod rollout;
mod run;
pub mod rundir;
pub mod sampling;
mod score;
mod setup;
mod shapes;
mod stage;
mod step;
mod summary;
pub mod tensorboard;
pub mod timing;
pub mod trace;
mod trainer;
pub mod update;
mod workload;
mod writer;

pub use base::{LanguageModel, ModelDirectory, TextFiles};
pub use checkpoint::{Best, verify_network};
pub use config::Config;
pub use decoding::eval_sampling;
pub use division::Division;
pub use error::{Error, Result};
pub use eval::{Evaluator, evaluate};
pub use evaluation::{Evaluation, Measure};
pub use files::write_atomically;
pub use fork::fork;
pub use import::import;
pub use lock::Holder;
pub use memory::MemoryPlan;
pub use metrics::{Row, keys::is_time_field};
pub use models::base_directory;
pub use observer::{Event, Observer};
pub use phase::Phase;
pub use problems::{PromptLengths, built_in_task, load_held_out_task, load_task, prompt_lengths};
pub use progress::Progress;
pub use resources::{Usage, available_memory, resident_memory};
pub use run::{Outcome, Run};
pub use rundir::RunDir;
pub use score::{RowReader, ScoredRow, Scorer, TokenRow};
pub use setup::{device, is_another_rank, launch, memory_plan, threads};
pub use shapes::Shapes;
pub use stage::Stage;
pub use summary::{AccuracySummary, CriticSummary, RunSummary};
pub use trainer::{Counters, CriticQuality};
pub use update::value_bound;
pub use vapo_link::Launch;
pub use vapo_tasks::plain_words;
pub use workload::{
    MeanLengths, StageWork, Work, evaluation_work, exchanged_bytes, exchanged_in_evaluation, step_work,
};
