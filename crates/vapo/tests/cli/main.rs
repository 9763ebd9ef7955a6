//! The program as its users meet it.

mod ablate;
mod chat;
mod evaluate;
mod plan;
mod program;
mod run;
mod words;
