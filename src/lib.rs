//! fileserv: an HTTP file server for Linux. The layout shows the processes and the pipeline; see ARCHITECTURE.md.

pub mod auth;
pub mod cli;
pub mod config;
pub mod content;
pub mod heritage;
pub mod http;
pub mod log;
pub mod message;
pub mod stats;
pub mod supervisor;
pub mod sys;
pub mod worker;
