//! The command `fileserv`.

fn main() {}
