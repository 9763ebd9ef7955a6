//! Errors of a job on several ranks.

/// Why ranks could not begin or go on together.
///
/// A message names the rank, where it ran and what it did; each rank that still can gives the same one.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The variables of the program that started the ranks do not fit together.
    #[error("{0}")]
    Environment(String),

    /// The MPI library is missing or cannot be used.
    #[error("{0}")]
    Library(String),

    /// The ranks did not find each other.
    #[error("{0}")]
    Meeting(String),

    /// Ranks were started with other programs, settings or data.
    #[error("{0}")]
    Differs(String),

    /// The number of ranks cannot share the work.
    #[error("{0}")]
    Shares(String),

    /// A rank ended, or its machine did.
    #[error(
        "{place} ended in `{stage}` without a word (its own output or its machine's log says why); \
         start the job again to go on from the last checkpoint"
    )]
    Ended {
        /// The rank that ended.
        rank: usize,
        /// It, where it ran, its process.
        place: String,
        /// What the others did with it.
        stage: String,
    },

    /// A rank hangs, or computes for longer than the others wait.
    #[error(
        "{place} has sent and taken nothing for {seconds} s in `{stage}`: it hangs, or what it computes takes longer than the deadline"
    )]
    Silent {
        /// The rank that nobody heard of.
        rank: usize,
        /// It, where it ran, its process.
        place: String,
        /// What the others waited for.
        stage: String,
        /// How long they waited.
        seconds: f64,
    },

    /// This rank came after the others had given up on it.
    #[error("{place}, this process, came too late to `{stage}`: the others no longer wait for it")]
    Late {
        /// This rank, where it runs, its process.
        place: String,
        /// What the others waited for.
        stage: String,
    },

    /// A rank said that it cannot go on, or what came from it was not what must come.
    #[error("{place} cannot go on: {cause}")]
    Failed {
        /// The rank whose fault it is.
        rank: usize,
        /// It, where it ran, its process.
        place: String,
        /// The cause in its own words.
        cause: String,
    },
}
