//! The kernel door: every system call and all `unsafe` code. nix and libc types don't leak out of it.
//! Process: any. Each file says which privileges its calls need.

pub mod account;
#[cfg(test)]
pub mod allocations;
pub mod attempt;
pub mod attributes;
pub mod control;
pub mod credentials;
pub mod directory;
pub mod epoll;
pub mod failure;
pub mod file;
pub mod held;
pub mod inherited;
pub mod landlock;
pub mod limits;
pub mod lock_file;
pub mod memory;
pub mod output;
pub mod packet;
pub mod page_cache;
pub mod poll;
pub mod process;
pub mod random;
pub mod signals;
pub mod socket;
pub mod stamps;
pub mod watcher;
