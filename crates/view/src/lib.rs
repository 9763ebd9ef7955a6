//! What people see of a run: lists of runs, metrics over the steps, rollouts token by token, the story of a run.
//!
//! It reads run directories and prints, draws and serves nothing: the program and `vapo-dash` do. A run may be written, cut
//! short or deleted while it is read; what cannot be read is reported next to what can.

#![forbid(unsafe_code)]

pub mod critic;
mod error;
pub mod quantity;
pub mod rollouts;

pub use critic::CriticView;
pub use error::{Error, Result};
pub use quantity::{Quantity, Scale};
pub use rollouts::Rollouts;
