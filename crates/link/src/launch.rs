//! From the environment of a process to its link.

use std::time::Duration;

use crate::error::Error;
use crate::identity::Identity;
use crate::mpi::{Launcher, Mpi};
use crate::ranks::Ranks;
use crate::slurm;
use crate::tcp::{Rendezvous, Tcp};

/// How ranks are to be connected.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Transport {
    /// As the environment says: MPI under mpirun, TCP under torchrun and srun, otherwise one process.
    #[default]
    Auto,
    /// By an MPI library.
    Mpi,
    /// By TCP, whatever started the ranks.
    Tcp,
    /// One process, whatever the environment says.
    Off,
}

/// How this process was started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Launch {
    /// Alone.
    Single,
    /// As a rank of MPI.
    Mpi(Launcher),
    /// As a rank that meets the others over TCP.
    Tcp(Rendezvous),
}

impl Launch {
    /// Chooses by the environment's variables, which `variable` looks up.
    ///
    /// | started by | variables | link |
    /// |---|---|---|
    /// | torchrun | `TORCHELASTIC_RUN_ID`, `RANK`, `WORLD_SIZE`, `MASTER_ADDR`, `MASTER_PORT` | TCP at the port after torchrun's own |
    /// | Open MPI's mpirun | `OMPI_COMM_WORLD_SIZE` | MPI |
    /// | MPICH's and Intel's mpiexec, `srun --mpi=pmi2` | `PMI_SIZE` | MPI |
    /// | anything that sets them, as Kubernetes' training operators do | `RANK`, `WORLD_SIZE`, `MASTER_ADDR`, `MASTER_PORT` | TCP |
    /// | srun | `SLURM_STEP_ID`, `SLURM_STEP_NUM_TASKS`, `SLURM_PROCID`, `SLURM_STEP_NODELIST` | TCP |
    /// | another starter that speaks PMIx | `PMIX_RANK` | MPI |
    ///
    /// The first row that fits counts. A size of 1 is one process. `VAPO_MPI_LIB` names the library, `VAPO_LINK_PORT` the
    /// port at which rank 0 is met; under srun, `MASTER_ADDR` and `MASTER_PORT` replace what is derived from the job.
    pub fn detect(transport: Transport, variable: impl Fn(&str) -> Option<String>) -> Result<Self, Error> {
        let environment = Environment(&variable);
        let launch = match transport {
            Transport::Off => Ok(Self::Single),
            Transport::Auto => environment.automatic(),
            Transport::Mpi => environment.mpi(),
            Transport::Tcp => environment.tcp(),
        };
        launch.map_err(Error::Environment)
    }

    /// Whether the environment's variables say that this process is another rank than the first, whatever connects them.
    pub fn is_another_rank(variable: impl Fn(&str) -> Option<String>) -> bool {
        let environment = Environment(&variable);
        let ranks = [&TORCHRUN, &OPEN_MPI, &PMI].into_iter().chain(environment.has("SLURM_STEP_ID").then_some(&SLURM));
        ranks.into_iter().any(|names| matches!(environment.place(names), Ok(Some((rank, _))) if rank > 0))
    }

    /// Connects to the other ranks, within `meeting`, and compares `identity` with theirs; `patience` as in
    /// [`Ranks::begin`].
    pub fn begin(self, identity: &Identity, meeting: Duration, patience: Duration) -> Result<Ranks, Error> {
        match self {
            Self::Single => Ok(Ranks::single()),
            Self::Mpi(launcher) => Ranks::begin(Box::new(Mpi::start(&launcher)?), identity, patience),
            Self::Tcp(rendezvous) => Ranks::begin(Box::new(Tcp::meet(&rendezvous, meeting)?), identity, patience),
        }
    }
}

/// Pairs of variables that tell rank and size, with who sets them.
const TORCHRUN: Names = Names { rank: "RANK", size: "WORLD_SIZE", who: "torchrun" };
const OPEN_MPI: Names = Names { rank: "OMPI_COMM_WORLD_RANK", size: "OMPI_COMM_WORLD_SIZE", who: "Open MPI's mpirun" };
const PMI: Names = Names { rank: "PMI_RANK", size: "PMI_SIZE", who: "mpiexec" };
const SLURM: Names = Names { rank: "SLURM_PROCID", size: "SLURM_STEP_NUM_TASKS", who: "srun" };

struct Names {
    rank: &'static str,
    size: &'static str,
    who: &'static str,
}

struct Environment<'a>(&'a dyn Fn(&str) -> Option<String>);

impl Environment<'_> {
    fn automatic(&self) -> Result<Launch, String> {
        if self.has("TORCHELASTIC_RUN_ID") {
            return self.meets(&TORCHRUN);
        }
        for names in [&OPEN_MPI, &PMI] {
            if let Some((_, size)) = self.place(names)? {
                return Ok(if size > 1 { self.library(names, size) } else { Launch::Single });
            }
        }
        if self.place(&TORCHRUN)?.is_some() {
            return self.meets(&TORCHRUN);
        }
        // A batch script has a SLURM_PROCID too, but is no step.
        if self.has("SLURM_STEP_ID") && self.place(&SLURM)?.is_some() {
            return self.meets(&SLURM);
        }
        if self.has("PMIX_RANK") {
            return self.mpi();
        }
        Ok(Launch::Single)
    }

    fn mpi(&self) -> Result<Launch, String> {
        for names in [&OPEN_MPI, &PMI] {
            if let Some((_, size)) = self.place(names)? {
                return Ok(self.library(names, size));
            }
        }
        let evidence = if self.has("PMIX_RANK") { "PMIX_RANK" } else { "the transport is set to `mpi`" };
        Ok(Launch::Mpi(Launcher {
            size: None,
            evidence: evidence.into(),
            open_mpi: false,
            library: self.named_library(),
        }))
    }

    fn tcp(&self) -> Result<Launch, String> {
        for names in [&TORCHRUN, &OPEN_MPI, &PMI] {
            if self.place(names)?.is_some() {
                return self.meets(names);
            }
        }
        if self.has("SLURM_STEP_ID") && self.place(&SLURM)?.is_some() {
            return self.meets(&SLURM);
        }
        Err("the transport is set to `tcp`, but nothing says which rank this is: start it by torchrun, srun or mpirun, \
             or set RANK, WORLD_SIZE, MASTER_ADDR and MASTER_PORT"
            .into())
    }

    fn library(&self, names: &Names, size: usize) -> Launch {
        let evidence = format!("{}={size}", names.size);
        let open_mpi = names.size == OPEN_MPI.size;
        Launch::Mpi(Launcher { size: Some(size), evidence, open_mpi, library: self.named_library() })
    }

    fn named_library(&self) -> Option<std::path::PathBuf> {
        (self.0)("VAPO_MPI_LIB").filter(|path| !path.is_empty()).map(Into::into)
    }

    /// The meeting place of ranks that `names` counts.
    fn meets(&self, names: &Names) -> Result<Launch, String> {
        let Some((rank, size)) = self.place(names)? else { return Ok(Launch::Single) };
        if size == 1 {
            return Ok(Launch::Single);
        }
        let slurm = names.rank == SLURM.rank;
        let first = || ["SLURM_STEP_NODELIST", "SLURM_JOB_NODELIST"].into_iter().find_map(self.0);
        let derived = || first().filter(|_| slurm).and_then(|list| slurm::first_host(&list));
        let host = (self.0)("MASTER_ADDR").filter(|host| !host.is_empty()).or_else(derived);
        let port = self.port(slurm)?;
        match (host, port) {
            (Some(host), Some(port)) => Ok(Launch::Tcp(Rendezvous { rank, size, host, port })),
            (host, _) => {
                let missing = if host.is_none() { "MASTER_ADDR" } else { "MASTER_PORT" };
                Err(format!(
                    "{}={rank} and {}={size} make this one of {size} ranks, but {missing} is not set: set MASTER_ADDR to the \
                     machine of rank 0 and MASTER_PORT to a free port there",
                    names.rank, names.size
                ))
            }
        }
    }

    fn port(&self, slurm: bool) -> Result<Option<u16>, String> {
        if let Some(port) = self.number("VAPO_LINK_PORT")? {
            return Ok(Some(port));
        }
        if let Some(port) = self.number::<u16>("MASTER_PORT")? {
            // torchrun itself listens there.
            let beside = if self.has("TORCHELASTIC_RUN_ID") { 1 } else { 0 };
            return Ok(Some(port.checked_add(beside).unwrap_or(port - 1)));
        }
        let job = self.number("SLURM_JOB_ID")?.filter(|_| slurm);
        let step = self.number("SLURM_STEP_ID")?;
        Ok(job.zip(step).map(|(job, step)| slurm::port(job, step)))
    }

    /// Rank and size, if both are set; one without the other is an error.
    fn place(&self, names: &Names) -> Result<Option<(usize, usize)>, String> {
        let Names { rank: rank_name, size: size_name, who } = names;
        match (self.number::<usize>(rank_name)?, self.number::<usize>(size_name)?) {
            (None, None) => Ok(None),
            (Some(rank), Some(size)) if rank < size => Ok(Some((rank, size))),
            (Some(rank), Some(size)) => Err(format!(
                "{rank_name} is {rank} and {size_name} {size}: expected a rank less than the number of ranks"
            )),
            (rank, _) => {
                let (set, missing) = if rank.is_some() { (rank_name, size_name) } else { (size_name, rank_name) };
                Err(format!(
                    "{set} is set and {missing} is not: {who} sets both; unset {set} for a run on one process, \
                     or switch ranks off (transport `off`)"
                ))
            }
        }
    }

    fn number<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>, String> {
        let Some(text) = (self.0)(name).filter(|text| !text.is_empty()) else { return Ok(None) };
        text.trim().parse().map(Some).map_err(|_| format!("{name} is {text:?}: expected a whole number"))
    }

    fn has(&self, name: &str) -> bool {
        (self.0)(name).is_some_and(|text| !text.is_empty())
    }
}

#[cfg(test)]
mod tests;
