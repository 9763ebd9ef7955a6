//! Web pages about runs, served by the program itself: no file of them is loaded from elsewhere.
//!
//! [`Server::bind`] opens the directory of runs and a port, [`Server::serve`] answers. `guard` decides about every request
//! before any handler sees it; handlers read run directories through `site` on threads of their own, never on the one that
//! moves bytes. Nothing is written, and only what `vapo-view` lists below the directory of runs is read.
//! [`report`] puts a run into one page.

#![forbid(unsafe_code)]

mod answer;
mod api;
mod assets;
mod changes;
mod error;
mod glossary;
mod guard;
mod parameters;
mod pictures;
mod recent;
mod report;
mod server;
mod site;
mod token;

pub use error::{Error, Result};
pub use report::{Report, report};
pub use server::{Server, Settings};
