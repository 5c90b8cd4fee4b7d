//! The worker: from the fork to the seal, and the event loop behind it.
//! Process: worker. `run` has the numbered steps; what stands behind `seal` runs sealed.

mod acceptor;
mod close_reason;
mod connection;
mod desk;
mod event_loop;
mod exchange;
mod offload;
mod recv;
#[cfg(test)]
mod representation_tests;
mod run;
pub mod sandbox;
pub mod seccomp;
mod send;
mod sweep;
#[cfg(test)]
mod tests;
mod transport;
mod vitals;

pub use run::run;
