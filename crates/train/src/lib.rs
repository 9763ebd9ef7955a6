//! train
pub mod config;
pub mod error;
mod files;
pub mod metrics;
pub mod resources;
pub mod rundir;
