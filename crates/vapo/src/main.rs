//! The `vapo` command.

fn main() {}
