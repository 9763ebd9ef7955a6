//! Problems in, verdicts out: data sets, built-in worlds and verifiers. Strings only, no tensors.
//!
//! A [`Task`] provides training problems in a seeded order, holds out others for evaluation, and grades responses:
//!
//! - [`DataTask`]: a user's problems ([`Dataset`]) with a [`Reward`];
//! - [`BuiltinTask`]: problems generated from their index, with demonstrations to pretrain a small model on,
//!   a tokenizer, and the position where a response went wrong.
//!
//! Everything random depends only on (seed, purpose, index) ([`Random`]), so any problem, step or epoch can be
//! generated without those before it.

#![forbid(unsafe_code)]

pub mod builtin;
mod data_task;
mod dataset;
mod error;
mod grade;
pub mod math;
mod parallel;
mod problem;
mod random;
mod reward;
mod sampler;
mod template;
mod verifier;
mod wording;

pub use builtin::{BuiltinTask, World};
pub use data_task::{DataTask, TrainSet};
pub use dataset::{DataOptions, Dataset, check_pages};
pub use error::{Error, RowError};
pub use grade::{Grade, Response, Verdict};
pub use parallel::parallel_map;
pub use problem::{Attempt, Message, Origin, Problem, Task};
pub use random::{Random, Stream};
pub use reward::{Reward, RewardTerm, check_terms, reward_range};
pub use sampler::{Mixture, Sampler};
pub use template::PromptTemplate;
pub use verifier::{Limits, PythonFunction, Verifier, kill_workers, read_reply, read_results};
pub use wording::{plain_words, plain_words_or};
