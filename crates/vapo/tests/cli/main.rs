//! The program as users see it.

mod ablate;
mod chat;
mod evaluate;
mod plan;
mod program;
mod run;
mod words;
