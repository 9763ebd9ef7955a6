//! Web pages about runs, served by the program itself: no file of them is loaded from elsewhere.
//!
//! [`Server::bind`] opens the directory of runs and a port, [`Server::serve`] answers. `guard` decides about every request
//! before any handler sees it.

#![forbid(unsafe_code)]

mod answer;
mod assets;
mod error;
mod guard;
mod parameters;
mod server;
mod token;

pub use error::{Error, Result};
pub use server::{Server, Settings};
