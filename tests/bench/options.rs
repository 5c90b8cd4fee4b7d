//! The command line: which rows, how many rounds.

use std::path::PathBuf;

use clap::{Parser, ValueEnum};

/// Measures fileserv beside nginx, h2o and lighttpd in one run and prints ratios; nothing passes or fails by time.
#[derive(Debug, Parser)]
#[command(name = "tests/bench/run")]
pub(crate) struct Options {
    /// Rows to measure; all, if none is named
    #[arg(value_enum, value_name = "ROW")]
    rows: Vec<Row>,

    /// Rounds of each row; the median counts
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u16).range(1..=99))]
    rounds: u16,

    /// Three rounds of shorter samples: for a first look, not for a claim
    #[arg(long)]
    pub(crate) quick: bool,

    /// A million files instead of a hundred thousand in the row `files`; 4 GiB of disk
    #[arg(long)]
    pub(crate) million: bool,

    /// Measure this program instead of the one that was just built
    #[arg(long, value_name = "FILE", default_value = env!("CARGO_BIN_EXE_fileserv"), hide_default_value = true)]
    pub(crate) binary: PathBuf,

    /// A folder on a disk, for the files and for durable uploads; some 4 GiB
    #[arg(long, value_name = "FOLDER", default_value_os_t = std::env::temp_dir(), overrides_with = "disk")]
    pub(crate) disk: PathBuf,

    /// A folder in memory, for uploads that are not synced; some 3 GiB
    #[arg(long, value_name = "FOLDER", default_value = "/dev/shm", overrides_with = "memory")]
    pub(crate) memory: PathBuf,

    /// Be the floor: answer here without reading what is asked
    #[arg(long, value_name = "ADDRESS", hide = true, requires = "floor_reply")]
    pub(crate) floor: Option<std::net::SocketAddr>,

    /// What the floor answers
    #[arg(long, value_name = "FILE", hide = true)]
    pub(crate) floor_reply: Option<PathBuf>,

    /// `cargo bench` says that it is one
    #[arg(long, hide = true)]
    pub(crate) bench: bool,
}

impl Options {
    pub(crate) fn wants(&self, row: Row) -> bool {
        self.rows.is_empty() || self.rows.contains(&row)
    }

    pub(crate) fn rounds(&self) -> usize {
        usize::from(if self.quick { self.rounds.min(3) } else { self.rounds })
    }
}

/// What can be measured alone; the doc comments are the help's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Row {
    /// 1 KiB, kept connections
    #[value(name = "1k")]
    OneKib,
    /// 10 KiB, kept connections
    #[value(name = "10k")]
    TenKib,
    /// 100 KiB, kept connections
    #[value(name = "100k")]
    HundredKib,
    /// A path at which nothing is
    #[value(name = "404")]
    NotFound,
    /// If-None-Match with the file's own tag
    #[value(name = "304")]
    NotModified,
    /// 1 KiB out of 1 GiB
    #[value(name = "206")]
    Range,
    /// Sixteen requests in one piece
    #[value(name = "pipe16")]
    Pipelined,
    /// 10,000 files of 4 KiB at random
    #[value(name = "rand10k")]
    RandomFiles,
    /// A connection for each request
    Close,
    /// 1 KiB with everybody's access log on
    Log,
    /// PUT of 1 KiB, in memory and not synced; on a disk as by default
    #[value(name = "put1k")]
    SmallPut,
    /// CPU of a 1 GiB download
    #[value(name = "get1g")]
    Download,
    /// Rate of a 1 GiB upload
    #[value(name = "put1g")]
    Upload,
    /// Small requests beside eight bulk downloads
    Bulk,
    /// Small requests beside a durable upload, a cold read, a drawing
    Latency,
    /// Memory of kept connections
    Idle,
    /// From exec to the first 200
    Start,
    /// Who of two workers gets the connections
    Share,
    /// CPU a request with 1, 100 and 10,000 connections
    Connections,
    /// CPU a request with 10 and 100,000 files
    Files,
    /// CPU a request with 1 and 8 workers
    Workers,
}
