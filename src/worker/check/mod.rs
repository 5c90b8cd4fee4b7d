//! What a sealed worker must not be able to do, one act after the other, each with a way to try it.
//! Process: a worker of `--check-sandbox`: sealed as every worker is, it tries one act, says what came of it and ends.
//! The list is what SECURITY.md promises; a promise without an act here is only words.

mod files;
mod kernel;
mod network;
mod processes;
mod scene;

use std::io::{self, Write};
use std::process::ExitCode;

use super::run::seal;
use crate::heritage::Heritage;
use crate::log::{LatestLogs, Level};

pub use scene::Scene;

/// Something that must not be possible.
#[derive(Debug)]
pub struct Act {
    /// What an attacker would do.
    pub name: &'static str,
    /// By which system call, on which object.
    pub call: &'static str,
    /// Tries it once: `Ok` means that it was possible.
    attempt: fn(&Scene) -> io::Result<()>,
}

impl Act {
    /// Is another process looked for in `/proc`? Where that hides whom one may not trace (`hidepid`, as ProtectProc= of
    /// systemd has it), a process that lives is not found there, and that is the refusal.
    #[must_use]
    pub fn looks_into_proc(&self) -> bool {
        self.call.contains(" of /proc/PID/")
    }
}

/// All acts.
pub fn acts() -> impl Iterator<Item = &'static Act> {
    [files::ACTS, network::ACTS, processes::ACTS, kernel::ACTS].into_iter().flatten()
}

/// What a worker reports of its act.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was done.
    Possible,
    /// The kernel said this error number.
    Refused(i32),
}

/// What stands at the end of the words about the seal.
const END_OF_WORDS: u8 = b'\n';

/// Seals this worker, says into `report` what the seal enforces, tries the act, and says what came of it.
#[must_use]
pub fn run(heritage: &Heritage, act: &Act, scene: &Scene, mut report: impl Write) -> ExitCode {
    let sealed = match seal(heritage, &LatestLogs::new(heritage.logs.clone())) {
        Ok(sealed) => sealed,
        Err(error) => {
            heritage.logs.error(Level::Error, format_args!("the worker of the check: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let mut words = sealed.words().into_bytes();
    words.push(END_OF_WORDS);
    let number = match (report.write_all(&words), (act.attempt)(scene)) {
        (Err(_), _) => return ExitCode::FAILURE,
        (Ok(()), Ok(())) => 0,
        // An error of no number is none of the kernel's: the act could not be tried.
        (Ok(()), Err(error)) => error.raw_os_error().unwrap_or(i32::MAX),
    };
    match report.write_all(&number.to_le_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Reads a report: the words about the seal, and what came of the act; `None` where that was not said.
#[must_use]
pub fn read_report(report: &[u8]) -> (Option<String>, Option<Outcome>) {
    let mut parts = report.splitn(2, |byte| *byte == END_OF_WORDS);
    let (words, rest) = (parts.next(), parts.next());
    let words = rest.and(words).map(|words| String::from_utf8_lossy(words).into_owned());
    let number = rest.and_then(|rest| rest.try_into().ok()).map(i32::from_le_bytes);
    let outcome = number.map(|number| if number == 0 { Outcome::Possible } else { Outcome::Refused(number) });
    (words, outcome)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn a_report_is_read_as_far_as_it_goes() {
        assert_eq!(read_report(b""), (None, None));
        assert_eq!(read_report(b"sealed"), (None, None), "the worker died before it was sealed");
        assert_eq!(read_report(b"sealed\n"), (Some("sealed".into()), None), "it died of its act");
        let refused = [b"sealed\n" as &[u8], &13_i32.to_le_bytes()].concat();
        assert_eq!(read_report(&refused), (Some("sealed".into()), Some(Outcome::Refused(13))));
        let number_with_newline = [b"sealed\n" as &[u8], &10_i32.to_le_bytes()].concat();
        assert_eq!(read_report(&number_with_newline).1, Some(Outcome::Refused(10)));
        assert_eq!(read_report(b"sealed\n\0\0\0\0").1, Some(Outcome::Possible));
    }

    #[test]
    fn each_act_stands_once() {
        let names: HashSet<_> = acts().map(|act| act.name).collect();
        let calls: HashSet<_> = acts().map(|act| act.call).collect();
        assert_eq!((names.len(), calls.len()), (acts().count(), acts().count()));
    }
}
