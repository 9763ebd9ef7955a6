//! TensorBoard: event files with every step's metrics, histograms of its rollouts and sampled texts
//! (`docs/tensorboard.md`).
//!
//! Each session of a run appends to a file of its own. A resumed run first cuts what it will write again from the
//! files of earlier sessions, so that together they have every step once.

mod check;
mod cut;
mod event;
mod histogram;
mod reader;
mod record;
mod sample;
pub mod tags;
#[cfg(test)]
mod tests;
mod writer;

pub(crate) use self::{check::EventCheck, cut::cut, reader::event_files, writer::EventFile};
pub use self::{
    event::{Event, Metadata, Part, Plugin, SessionLog, Summary, Tensor, Value},
    histogram::Histogram,
    reader::events,
};
