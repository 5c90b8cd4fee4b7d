//! The rows, in the order in which they are printed.

mod beside;
mod bulk;
mod growth;
mod latency;
mod requests;
mod standing;

use std::time::Duration;

use super::options::Options;
use super::servers::{Kind, Running, Setup, Uploads};
use super::site::Site;

/// What every row needs.
pub(crate) struct Run<'a> {
    pub(crate) options: &'a Options,
    pub(crate) site: Site,
}

/// All that are wanted.
pub(crate) fn measure(options: &Options) {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).expect("a limit");
    setrlimit(Resource::RLIMIT_NOFILE, most, most).expect("it can be raised");
    let run = Run { options, site: Site::make(options) };
    requests::measure(&run);
    bulk::measure(&run);
    beside::measure(&run);
    latency::measure(&run);
    standing::measure(&run);
    growth::measure(&run);
}

impl Run<'_> {
    /// How long a sample takes.
    fn sample(&self) -> Duration {
        Duration::from_millis(if self.options.quick { 200 } else { 400 })
    }

    /// How long one takes that looks for the worst hundredth.
    fn long_sample(&self) -> Duration {
        self.sample() * 5 / 2
    }

    /// Starts one of each, all alike.
    fn start(&self, kinds: &[Kind], setup: &Setup) -> Vec<Running> {
        let own_root = |setup: Setup| match setup.uploads {
            Uploads::Off => setup,
            Uploads::Unsynced => Setup { root: self.site.uploads_in_memory(), ..setup },
            Uploads::Durable => Setup { root: self.site.uploads_on_disk(), ..setup },
        };
        kinds.iter().map(|kind| Running::start(*kind, own_root(setup.clone()), &self.site)).collect()
    }
}
