//! Whether event files are intact, with every step once and in order.

use std::path::Path;

use super::{
    event::{Event, Part},
    reader::{EventReader, Found},
};
use crate::error::{Error, Result};

/// Follows the events of a run through its files, which are given in their order.
#[derive(Default)]
pub(crate) struct EventCheck {
    last: Option<(u64, Part)>,
    /// Steps with scalars.
    pub(crate) steps: Vec<u64>,
}

impl EventCheck {
    /// Checks the next file; tells whether it ends within a record.
    ///
    /// # Errors
    /// The file cannot be read, or what is wrong with it.
    pub(crate) fn follow(&mut self, path: &Path) -> Result<bool> {
        let mut reader = EventReader::open(path)?;
        loop {
            let place = reader.place;
            let event = match reader.next()?.undamaged(&reader)? {
                Found::Event(event) => event,
                found => return Ok(matches!(found, Found::Half)),
            };
            let checked = if place == 0 { begins(&event) } else { self.add(&event) };
            checked.map_err(|problem| Error::file(path, format!("the record at byte {place} {problem}")))?;
        }
    }

    fn add(&mut self, event: &Event) -> Result<(), String> {
        let Some(part) = event.part() else { return Ok(()) };
        let step = u64::try_from(event.step).map_err(|_| format!("is of step {}", event.step))?;
        if let Some((last, last_part)) = self.last.filter(|last| *last >= (step, part)) {
            return Err(format!(
                "has the {} of step {step} after the {} of step {last}",
                part.name(),
                last_part.name()
            ));
        }
        self.last = Some((step, part));
        self.steps.extend((part == Part::Row).then_some(step));
        Ok(())
    }
}

fn begins(event: &Event) -> Result<(), String> {
    if event.is_version() { Ok(()) } else { Err("is not the version of the format, with which a file begins".into()) }
}
