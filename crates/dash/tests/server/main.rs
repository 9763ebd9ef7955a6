//! The server over a socket, as a browser and as somebody who means harm.

mod client;
mod guard;
mod pages;
