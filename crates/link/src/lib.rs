//! Ranks: one run on several processes and machines.
//!
//! [`Ranks`] is what a program works with. Every rank calls the same operations in the same order:
//!
//! - [`gather`](Ranks::gather), [`broadcast`](Ranks::broadcast), [`barrier`](Ranks::barrier), [`any`](Ranks::any) for
//!   bytes and decisions;
//! - [`ShardSum`], [`reduce_scatter`](Ranks::reduce_scatter) and [`gather_shares`](Ranks::gather_shares) for gradients:
//!   sums with **the same bits for any number of ranks** and any transport (see `reduce.rs`), in shares that a sharded
//!   optimizer works on.
//!
//! A [`Link`] is a transport: it moves bytes between two ranks. [`Mpi`] loads an MPI library at run time, [`Tcp`] needs
//! only the variables of torchrun or Slurm, [`Single`] is one process. [`Launch::detect`] chooses by the environment.
//!
//! ```
//! use std::time::Duration;
//! use vapo_link::{Identity, Launch, ShardSum, Transport};
//!
//! # fn main() -> Result<(), vapo_link::Error> {
//! let identity = Identity { version: "0.1.0".into(), parts: vec![("config".into(), "5f0c".into())] };
//! let (meeting, patience) = (Duration::from_secs(300), Duration::from_secs(1800));
//! let launch = Launch::detect(Transport::Auto, |name| std::env::var(name).ok())?;
//! let mut ranks = launch.begin(&identity, meeting, patience)?;
//!
//! let shards = 4;
//! let mut sum = ShardSum::new(shards, ranks.size())?;
//! let mut gradient = vec![0.0; 1000];
//! for shard in ShardSum::shards_of(shards, ranks.size(), ranks.rank()) {
//!     gradient.fill(shard as f32); // Stands for a backward pass.
//!     sum.add(&mut gradient);
//! }
//! ranks.reduce("gradients", &mut gradient)?;
//! assert_eq!(gradient[0], 6.0);
//! ranks.finish()
//! # }
//! ```
//!
//! # Failures
//!
//! Nothing waits forever, and whoever fails is named by all: a rank whose process or machine is gone, one that hangs
//! (it moves no byte for as long as `patience`), one that gives up ([`Ranks::fail`], or dropped early), one that does
//! something else than the others, or runs another version, config or data ([`Identity`]). Over MPI the end of a process
//! is noticed by mpirun, which names it and ends the others.
//!
//! # While something else is computed
//!
//! [`Ranks`] can be used from any thread, one at a time: within `std::thread::scope`, a thread can reduce one part of a
//! gradient while the backward pass fills another.

mod collect;
mod conclude;
mod error;
mod farewell;
mod identity;
mod launch;
mod link;
mod mpi;
mod ranks;
mod reduce;
mod single;
mod slurm;
mod tcp;

pub use error::Error;
pub use farewell::{Farewell, Reason};
pub use identity::Identity;
pub use launch::{Launch, Transport};
pub use link::{Fault, Link, Peer, Receive, Wait};
pub use mpi::{Launcher, Mpi};
pub use ranks::{Ranks, Traffic};
pub use reduce::{ShardSum, Shares};
pub use single::Single;
pub use tcp::{Rendezvous, Tcp};
