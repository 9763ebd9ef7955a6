//! The program as its users meet it.

mod program;
mod run;
mod words;
