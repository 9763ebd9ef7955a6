//! The program as its users meet it.

mod ablate;
mod program;
mod run;
mod words;
