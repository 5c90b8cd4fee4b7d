//! The worker: from the fork to the seal, and the event loop behind it.
//! Process: worker. `run` has the numbered steps; what stands behind `seal` runs sealed.

mod acceptor;
mod admit;
#[cfg(test)]
mod allocation_tests;
mod await_job;
#[cfg(test)]
mod busy_tests;
pub mod check;
mod clients;
mod close_reason;
mod connection;
mod deadlines;
mod desk;
mod event_loop;
mod exchange;
mod fetch;
mod gathered;
mod grants;
mod hand_over;
mod handle;
mod identify;
mod in_memory;
mod intake;
mod introduce;
mod obey;
mod offload;
mod pace;
mod prepare;
mod queue;
mod recv;
mod recv_body;
mod reply;
mod reply_log;
#[cfg(test)]
mod representation_tests;
mod run;
pub mod sandbox;
pub mod seccomp;
#[cfg(test)]
mod seccomp_aarch64;
mod seccomp_tree;
mod send;
mod send_source;
mod share;
mod sweep;
#[cfg(test)]
mod table_tests;
#[cfg(test)]
mod tests;
mod transport;
mod verdicts;
mod vitals;

pub use run::run;
