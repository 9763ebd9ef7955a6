//! What a resumed run removes from event files, because it writes it again.

use std::{
    fs::{self, File},
    path::Path,
};

use super::{
    event::{Event, Part},
    reader::{EventReader, Found, event_files},
};
use crate::{
    error::{Error, Result},
    metrics::{Row, keys},
};

/// Cuts event files before the first event that a run writes again which resumes after `step`; `pending` is the row of that
/// step if it is not recorded yet. Returns warnings about events that are lost.
///
/// # Errors
/// A file cannot be read, shortened or removed.
pub(crate) fn cut(directory: &Path, step: u64, pending: Option<&Row>) -> Result<Vec<String>> {
    let mut warnings = Vec::new();
    for (_, path) in event_files(directory)? {
        warnings.extend(cut_file(&path, |event| is_kept(event, step, pending))?);
    }
    Ok(warnings)
}

/// The rollouts of the step itself are in the files before its checkpoint is, and so is its evaluation if its row has it.
fn is_kept(event: &Event, step: u64, pending: Option<&Row>) -> bool {
    let Some(part) = event.part() else { return true };
    let is_recorded = match part {
        Part::Rollouts => true,
        Part::Evaluation => pending.is_none_or(|row| row.get(keys::TIMING_EVALUATION).is_some()),
        Part::Row => pending.is_none(),
    };
    u64::try_from(event.step).is_ok_and(|of| of < step || of == step && is_recorded)
}

/// Keeps the events of a file before the first one that is not kept or cannot be read; removes it if no values are left.
fn cut_file(path: &Path, is_kept: impl Fn(&Event) -> bool) -> Result<Option<String>> {
    let mut reader = EventReader::open(path)?;
    let (mut has_values, mut warning) = (false, None);
    let end = loop {
        let place = reader.place;
        match reader.next()? {
            Found::Event(event) if is_kept(&event) => has_values |= event.part().is_some(),
            Found::Event(_) | Found::Half => break place,
            Found::End => return Ok(None),
            Found::Damage(problem) => {
                warning = Some(format!(
                    "{}: the record at byte {place} {problem}; it and what follows is removed, which TensorBoard would not read, and metrics.jsonl still has its numbers",
                    path.display(),
                ));
                break place;
            }
        }
    };
    let shorten = || {
        let file = File::options().write(true).open(path)?;
        file.set_len(end)?;
        file.sync_data()
    };
    if has_values {
        shorten().map_err(Error::io("shorten", path))?;
    } else {
        fs::remove_file(path).map_err(Error::io("remove", path))?;
    }
    Ok(warning)
}
