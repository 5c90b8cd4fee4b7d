//! The kernel door: every system call and all `unsafe` code. nix and libc types don't leak out of it.
//! Process: any. Each file says which privileges its calls need.

pub mod directory;
pub mod epoll;
pub mod failure;
pub mod file;
pub mod output;
pub mod random;
pub mod socket;
