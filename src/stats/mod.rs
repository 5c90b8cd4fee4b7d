//! Counters that survive a worker: one board a worker in shared memory, added up for `/stats`.
//! Process: both. A worker writes its own board only; everyone distrusts the others'.

mod board;
mod tally;

pub use board::{Board, Boards, Service, WorkerState};
pub use tally::Tally;
