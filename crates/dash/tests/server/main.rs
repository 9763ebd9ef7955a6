//! The server over a socket, as a browser and as somebody who means harm.

mod api;
mod client;
mod events;
mod guard;
mod hostile;
mod pages;
mod runs;
