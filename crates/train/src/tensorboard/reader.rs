//! Reading event files.

use std::{
    fs::{self, File},
    io::{BufReader, Read},
    path::{Path, PathBuf},
};

use prost::Message;

use super::{
    event::Event,
    record::{HEAD, TAIL, masked_crc},
};
use crate::error::{Error, Result};

/// TensorBoard reads every file with `tfevents` in its name, in the order of the names.
const PREFIX: &str = "events.out.tfevents.";
/// Where other programs name the host.
const SUFFIX: &str = ".vapo";

/// The name of a file with this number, which is a time in seconds.
pub(super) fn file_name(number: u64) -> String {
    format!("{PREFIX}{number:010}{SUFFIX}")
}

/// The event files that runs wrote into a directory, oldest first, with their numbers; none if there is no directory.
///
/// # Errors
/// The directory cannot be read.
pub(crate) fn event_files(directory: &Path) -> Result<Vec<(u64, PathBuf)>> {
    // Runs of earlier versions have none.
    if !directory.exists() {
        return Ok(Vec::new());
    }
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).map_err(Error::io("read", directory))? {
        let path = entry.map_err(Error::io("read", directory))?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let number = name.strip_prefix(PREFIX).and_then(|rest| rest.strip_suffix(SUFFIX));
        if let Some(number) = number.and_then(|number| number.parse().ok()) {
            files.push((number, path));
        }
    }
    files.sort();
    Ok(files)
}

/// The events of all steps in a run's event files, in the order in which they were written.
///
/// # Errors
/// A file cannot be read or is damaged.
pub fn events(directory: &Path) -> Result<Vec<Event>> {
    let mut events = Vec::new();
    for (_, path) in event_files(directory)? {
        let mut reader = EventReader::open(&path)?;
        while let Found::Event(event) = reader.next()?.undamaged(&reader)? {
            events.extend(event.part().is_some().then_some(event));
        }
    }
    Ok(events)
}

/// What comes next in an event file.
pub(super) enum Found {
    Event(Event),
    /// Nothing.
    End,
    /// A part of a record: the process was killed while it wrote it.
    Half,
    /// What is wrong with the record.
    Damage(&'static str),
}

impl Found {
    /// The same, or an error if it is damage.
    pub(super) fn undamaged(self, reader: &EventReader) -> Result<Self> {
        match self {
            Self::Damage(problem) => {
                Err(Error::file(&reader.path, format!("the record at byte {} {problem}", reader.place)))
            }
            found => Ok(found),
        }
    }
}

/// Reads the events of a file one after the other.
pub(super) struct EventReader {
    path: PathBuf,
    file: BufReader<File>,
    /// Bytes of the file when it was opened.
    length: u64,
    /// Where the next record begins.
    pub(super) place: u64,
}

impl EventReader {
    pub(super) fn open(path: &Path) -> Result<Self> {
        let open = || {
            let file = File::open(path)?;
            let length = file.metadata()?.len();
            Ok(Self { path: path.into(), file: BufReader::new(file), length, place: 0 })
        };
        open().map_err(Error::io("read", path))
    }

    /// The next event; after anything else, there is none.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(super) fn next(&mut self) -> Result<Found> {
        let rest = self.length - self.place;
        if rest < HEAD {
            return Ok(if rest == 0 { Found::End } else { Found::Half });
        }
        let (length, sum) = (self.number()?, self.sum()?);
        if masked_crc(&length) != sum {
            return Ok(Found::Damage("has a length of another checksum"));
        }
        let length = u64::from_le_bytes(length);
        let Some(end) = length.checked_add(HEAD + TAIL).filter(|length| *length <= rest) else {
            return Ok(Found::Half);
        };
        let mut data = vec![0; length as usize];
        self.fill(&mut data)?;
        if masked_crc(&data) != self.sum()? {
            return Ok(Found::Damage("has data of another checksum"));
        }
        let Ok(event) = Event::decode(data.as_slice()) else {
            return Ok(Found::Damage("is no event"));
        };
        self.place += end;
        Ok(Found::Event(event))
    }

    fn number(&mut self) -> Result<[u8; 8]> {
        let mut bytes = [0; 8];
        self.fill(&mut bytes).map(|()| bytes)
    }

    fn sum(&mut self) -> Result<u32> {
        let mut bytes = [0; 4];
        self.fill(&mut bytes).map(|()| u32::from_le_bytes(bytes))
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<()> {
        self.file.read_exact(bytes).map_err(Error::io("read", &self.path))
    }
}
