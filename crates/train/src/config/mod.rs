//! Configuration: sections, presets, layers (defaults, file, `--set`), checks and the commented print.
//!
//! A config is built by applying one `key = value` after the other to the defaults: first the file's, then the command line's.
//! The last layer that names a preset determines the method: the preset overrides every setting that is part of a method
//! ([`Mark::Method`]) in the layers below, and is overridden by the keys in its own layer and in those above.

mod absent;
mod check;
mod check_method;
mod data_files;
mod foreign;
mod layers;
mod limit;
mod load;
mod names;
mod other_format;
mod paths;
mod preset;
mod print;
mod renamed;
mod resolve;
mod root;
mod schema;
mod sections;
mod unused;

pub use data_files::{DataFile, DataFiles};
pub use layers::{Role, Settings};
pub use preset::{COMMON, PRESETS, Preset};
pub use resolve::Resolved;
pub use root::{Config, SECTIONS, is_marked};
pub use schema::{Field, Mark};
pub use sections::*;
