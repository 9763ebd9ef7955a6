//! Records: the rollouts of a step as a Parquet file, with a row per response and lists of what happened to its tokens
//! (`docs/records.md`).

mod check;
mod columns;
mod file;
mod record;
mod schema;
#[cfg(test)]
mod tests;

pub(crate) use self::check::check;
pub use self::{check::check_version, record::StepRecord};
