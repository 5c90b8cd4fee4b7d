//! The real binary over real sockets, as a client, an operator and the kernel see it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, reason = "a test ends so")]
#![allow(clippy::print_stderr, reason = "the runner shows it with a failed test")]
#![allow(clippy::disallowed_methods, reason = "these forbid the server what would be a hole in it; tests are clients")]

#[path = "../common/mod.rs"]
mod common;

mod audience;
mod big;
mod boards;
mod clients;
mod cold;
mod conditional;
mod errors;
mod escape;
mod exhaustion;
mod freshness;
mod generated;
mod get;
mod hang;
mod head;
mod hot_path;
mod hot_sites;
mod idle;
mod keepalive;
mod limits;
mod listing;
mod logins;
mod logs;
mod manual;
mod paths;
mod pid_file;
mod pipelining;
mod privileges;
mod proxied;
mod quick;
mod range;
mod regressions;
mod reload;
mod representations;
mod respawn;
mod resumable;
mod retire;
mod seal;
mod sites;
mod slow;
mod smuggling;
mod soak;
mod stats;
mod stop;
mod storm;
mod systemd;
mod table;
mod upgrade;
mod uploads;
