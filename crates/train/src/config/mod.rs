//! Configuration: sections, presets, layers (defaults, file, `--set`), checks and the commented print.
//!
//! A config is built by writing one `key = value` after the other over the defaults: those of the file, then those of the command
//! line. The last layer that names a preset decides the method: the preset sets every setting that is part of a method
//! ([`Mark::Method`]), whatever the layers below say, and the keys of its own layer and of those above win over it.

mod check;
mod check_method;
mod data_files;
mod layers;
mod names;
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
