//! Ranks that an MPI library connects, loaded at run time.
//!
//! Only point-to-point messages are used: `MPI_Allreduce` promises no order of its sums.

mod exchange;
mod ffi;
mod library;

use std::ffi::c_int;
use std::time::{Duration, Instant};

use crate::conclude::conclude;
use crate::error::Error;
use crate::farewell::{FAREWELL_BYTES, Farewell};
use crate::link::{Fault, Link, Receive, Wait};

pub use library::Launcher;

use exchange::{Exchange, PIECE, WINDOW};
use ffi::Library;

/// The tag of farewells.
const FAREWELL: c_int = 2;
/// How long farewells may take to leave: MPI may have to connect first.
const LEAVE: Duration = Duration::from_secs(1);

/// A link over an MPI library.
pub struct Mpi {
    library: &'static Library,
    name: String,
    rank: usize,
    size: usize,
    /// Where bytes lie before they are added.
    scratch: Vec<u8>,
}

impl Mpi {
    /// Loads the library and begins MPI, which can be done once in a process.
    pub fn start(launcher: &Launcher) -> Result<Self, Error> {
        let (library, file) = launcher.load().map_err(Error::Library)?;
        let version = library.version();
        // `Open MPI v4.1.4, package: ..`, `MPICH Version:      5.0.2` and more lines.
        let version: Vec<&str> = version.split([',', '\n']).next().unwrap_or_default().split_whitespace().collect();
        let name = format!("{} ({file})", version.join(" "));
        let (rank, size) = library.init().map_err(|cause| Error::Library(format!("{name} does not start: {cause}")))?;
        if let Some(expected) = launcher.size.filter(|&expected| expected != size) {
            return Err(Error::Library(format!(
                "{} ranks were started ({}), but {name} knows of {size}: it does not belong to the mpirun that started them; \
                 set VAPO_MPI_LIB to the libmpi of that mpirun",
                expected, launcher.evidence
            )));
        }
        Ok(Self { library, name, rank, size, scratch: vec![0; PIECE * WINDOW] })
    }
}

impl Link for Mpi {
    fn rank(&self) -> usize {
        self.rank
    }

    fn size(&self) -> usize {
        self.size
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn exchange(&mut self, peer: usize, send: &[u8], receive: Receive<'_>, wait: &Wait<'_>) -> Result<(), Fault> {
        let (library, size) = (self.library, self.size);
        let mut scratch = std::mem::take(&mut self.scratch);
        let mut exchange = Exchange::new(library, peer, send, receive, &mut scratch);
        let result = exchange.run(wait.patience, || news(library, size));
        if let Err(fault) = &result
            && !exchange.take_back()
        {
            // The caller's memory cannot be given back to it: the process ends here, as with an error of MPI itself.
            eprintln!("error: {}", conclude(self, fault.clone(), peer, wait));
            library.abort();
        }
        drop(exchange);
        self.scratch = scratch;
        result
    }

    fn tell(&mut self, farewell: &Farewell) {
        // MPI may need the bytes until the process ends.
        let bytes: &'static [u8; FAREWELL_BYTES] = Box::leak(Box::new(farewell.to_bytes()));
        let others = (0..self.size).filter(|&rank| rank != self.rank);
        let mut leaving: Vec<_> = others.filter_map(|rank| self.library.send(bytes, rank, FAREWELL).ok()).collect();
        let begun = Instant::now();
        while !leaving.is_empty() && begun.elapsed() < LEAVE {
            leaving.retain_mut(|one| one.is_done() == Ok(false));
            std::thread::sleep(Duration::from_millis(1));
        }
        leaving.into_iter().for_each(std::mem::forget);
    }

    fn heard(&mut self) -> Option<Fault> {
        news(self.library, self.size)
    }

    fn own_sum(&mut self, values: &mut [f32]) -> Option<Result<(), String>> {
        Some(self.library.sum(values))
    }

    fn finish(&mut self) {
        self.library.finalize();
    }
}

/// A farewell that has come. The end of a process is noticed by mpirun, which ends the others.
fn news(library: &Library, size: usize) -> Option<Fault> {
    let mut bytes = [0; FAREWELL_BYTES];
    library.poll(&mut bytes, FAREWELL).then(|| Farewell::from_bytes(&bytes, size).map(Fault::Told)).flatten()
}
