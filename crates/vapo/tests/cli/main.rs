//! The program as users see it.

mod ablate;
mod chat;
#[cfg(feature = "dash")]
mod dash;
mod evaluate;
#[cfg(feature = "screen")]
mod live;
mod plan;
mod plot;
mod program;
mod python;
#[path = "../common/ranks.rs"]
mod ranks;
mod rollouts;
mod run;
mod show;
mod words;
