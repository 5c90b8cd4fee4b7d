//! What an operator can look up: the pid file, which is locked as long as somebody serves, and beside it a file that tells
//! what came of the last reload and the last upgrade.
//! Process: supervisor, opened while it still is root; and who asks by `--signal`. Blocks: never.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::sys::lock_file::LockFile;
use crate::sys::process::ProcessId;

/// What a supervisor is asked to do, and what comes of it only later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Task {
    Reload,
    Upgrade,
}

/// How often a task was begun and done, and what came of the last one. Who asks notes `begun`: what is done under a
/// higher number was begun after he asked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Progress {
    pub(super) begun: u64,
    pub(super) done: u64,
    /// Why the last one failed; empty if it did not.
    pub(super) failure: String,
}

/// Both tasks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Outcomes {
    reload: Progress,
    upgrade: Progress,
}

/// The last line: what has no end was read while it was written.
const END: &str = "end";
/// A failure in so many bytes, as it is written; a longer one is cut. All must fit what is read of such a file.
const FAILURE_LIMIT_BYTES: usize = 1500;

impl Outcomes {
    pub(super) fn of(&self, task: Task) -> &Progress {
        match task {
            Task::Reload => &self.reload,
            Task::Upgrade => &self.upgrade,
        }
    }

    fn of_mut(&mut self, task: Task) -> &mut Progress {
        match task {
            Task::Reload => &mut self.reload,
            Task::Upgrade => &mut self.upgrade,
        }
    }

    /// `None` for what was read while it was written.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut outcomes = Self::default();
        for line in text.lines() {
            let mut words = line.splitn(4, ' ');
            let task = match words.next()? {
                "reload" => Task::Reload,
                "upgrade" => Task::Upgrade,
                END => return Some(outcomes),
                _ => continue,
            };
            let mut number = || words.next()?.parse().ok();
            let (begun, done) = (number()?, number()?);
            let failure = unescape(words.next().unwrap_or_default());
            *outcomes.of_mut(task) = Progress { begun, done, failure };
        }
        None
    }

    pub(super) fn text(&self) -> String {
        let line = |name: &str, Progress { begun, done, failure }: &Progress| {
            format!("{name} {begun} {done} {}\n", escape(failure))
        };
        format!("{}{}{END}\n", line("reload", &self.reload), line("upgrade", &self.upgrade))
    }
}

/// On one line, and not longer than may be: it is cut before the letter, escaped or not, that would be too much.
fn escape(text: &str) -> String {
    let mut line = String::with_capacity(text.len().min(FAILURE_LIMIT_BYTES));
    for letter in text.chars() {
        let before = line.len();
        match letter {
            '\\' => line.push_str("\\\\"),
            '\n' => line.push_str("\\n"),
            other => line.push(other),
        }
        if line.len() > FAILURE_LIMIT_BYTES {
            line.truncate(before);
            break;
        }
    }
    line
}

/// Takes back that a line end is `\n` and a backslash is two.
fn unescape(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        if letter == '\\' {
            plain.push(if letters.next() == Some('n') { '\n' } else { '\\' });
        } else {
            plain.push(letter);
        }
    }
    plain
}

/// The open files.
#[derive(Debug)]
pub(super) struct PidFile {
    pub(super) path: PathBuf,
    pub(super) lock: LockFile,
    pub(super) journal: LockFile,
}

/// Why there is no pid file.
#[derive(Debug, thiserror::Error)]
pub enum PidFileError {
    /// Somebody else has it.
    #[error("another fileserv runs already: {holder} holds {}", path.display())]
    Taken {
        /// Which file.
        path: PathBuf,
        /// Who, as far as the file tells.
        holder: String,
    },
    /// There is something of value under that name.
    #[error("{} is no pid file, for it does not hold a number: name another file, or remove it", .0.display())]
    Foreign(PathBuf),
    /// It can't be opened, locked or written.
    #[error("can't use the pid file {}: {source}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What the kernel said.
        source: io::Error,
    },
}

/// The file beside a pid file.
pub(super) fn journal_path(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(".state");
    name.into()
}

impl PidFile {
    /// Makes and locks it, and writes the own process id into it.
    pub(super) fn take(path: &Path) -> Result<Self, PidFileError> {
        let at = |path: &Path| {
            let path = path.to_owned();
            move |source| PidFileError::File { path, source }
        };
        let lock = LockFile::open(path).map_err(at(path))?;
        let text = lock.read().map_err(at(path))?;
        let number = text.trim();
        if !number.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(PidFileError::Foreign(path.to_owned()));
        }
        if !lock_patiently(&lock).map_err(at(path))? {
            let holder = if number.is_empty() { "some process".to_owned() } else { format!("process {number}") };
            return Err(PidFileError::Taken { path: path.to_owned(), holder });
        }
        let journal_path = journal_path(path);
        let journal = LockFile::open(&journal_path).map_err(at(&journal_path))?;
        let text = journal.read().map_err(at(&journal_path))?;
        if !text.is_empty() && Outcomes::parse(&text).is_none() {
            return Err(PidFileError::Foreign(journal_path));
        }
        let file = Self { path: path.to_owned(), lock, journal };
        file.say_who().map_err(at(path))?;
        Ok(file)
    }

    fn say_who(&self) -> io::Result<()> {
        self.lock.write(&format!("{}\n", ProcessId::own()))
    }
}

/// Who asks by `--signal` whether the lock is free holds it for a moment.
fn lock_patiently(lock: &LockFile) -> io::Result<bool> {
    const TRIES: u32 = 10;
    for _ in 0..TRIES {
        if lock.try_lock()? {
            return Ok(true);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    Ok(false)
}

/// The supervisor's side of both files; without a pid file nothing is written.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) file: Option<PidFile>,
    pub(super) outcomes: Outcomes,
}

impl Record {
    pub(super) fn new(file: Option<PidFile>, outcomes: Outcomes) -> Self {
        let record = Self { file, outcomes };
        record.write();
        record
    }

    /// From now on this process is the one that serves.
    pub(super) fn take_over(&self) {
        if let Some(file) = &self.file {
            // It was open for writing a moment ago; a full disk leaves it empty, and the lock says that somebody is there.
            let _ = file.say_who();
        }
    }

    pub(super) fn begin(&mut self, task: Task) {
        self.outcomes.of_mut(task).begun += 1;
        self.write();
    }

    /// Was it begun, and is not done?
    pub(super) fn is_busy(&self, task: Task) -> bool {
        let progress = self.outcomes.of(task);
        progress.begun > progress.done
    }

    /// The task that was begun last is done; `failure` is empty if it went well.
    pub(super) fn finish(&mut self, task: Task, failure: &str) {
        let progress = self.outcomes.of_mut(task);
        *progress = Progress { begun: progress.begun, done: progress.begun, failure: failure.to_owned() };
        self.write();
    }

    /// Nobody serves any more. The folder may belong to root, so the file stays, empty.
    pub(super) fn close(&self) {
        if let Some(file) = &self.file {
            let _ = file.lock.write("");
        }
    }

    /// A full disk loses the news, and no more: who waits for it sees the process end at last.
    fn write(&self) {
        if let Some(file) = &self.file {
            let _ = file.journal.write(&self.outcomes.text());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_are_read_as_they_were_written_and_never_half() {
        let mut record = Record::new(None, Outcomes::default());
        record.begin(Task::Reload);
        record.finish(Task::Reload, "f.toml:1:1: wrong\n    x\\n = 1\n    ^");
        record.begin(Task::Upgrade);
        let text = record.outcomes.text();
        let back = Outcomes::parse(&text).unwrap();
        assert_eq!(back.of(Task::Upgrade), &Progress { begun: 1, done: 0, failure: String::new() });
        assert_eq!((back.of(Task::Reload).done, back.of(Task::Reload).failure.lines().count()), (1, 3));
        for end in 0..text.len() - 1 {
            assert_eq!(Outcomes::parse(&text[..end]), None, "{end}");
        }
    }

    #[test]
    fn failure_of_any_length_fits_what_is_read_of_the_file() {
        let folder = tempfile::tempdir().unwrap();
        for letter in ["ü", "\\", "\n", "a\\"] {
            let mut record = Record::new(Some(PidFile::take(&folder.path().join("pid")).unwrap()), Outcomes::default());
            let failure = letter.repeat(5000);
            for task in [Task::Reload, Task::Upgrade] {
                record.begin(task);
                record.finish(task, &failure);
            }
            let text = record.file.as_ref().unwrap().journal.read().unwrap();
            let back = Outcomes::parse(&text).unwrap_or_else(|| panic!("{letter:?} is not read back"));
            for task in [Task::Reload, Task::Upgrade] {
                let told = &back.of(task).failure;
                assert!(told.len() > FAILURE_LIMIT_BYTES / 2 - 2 && failure.starts_with(told), "{letter:?}: {told}");
            }
        }
    }

    #[test]
    fn second_taker_is_told_who_was_first_and_foreign_files_stay() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("pid");
        let first = PidFile::take(&path).unwrap();
        let error = PidFile::take(&path).unwrap_err().to_string();
        assert!(error.contains(&format!("process {} holds", ProcessId::own())), "{error}");
        drop(first);
        // Other tests fork, and their children have the lock until they close what is not theirs.
        while PidFile::take(&path).is_err() {
            std::thread::yield_now();
        }
        std::fs::write(&path, "root:x:0:0").unwrap();
        assert!(matches!(PidFile::take(&path), Err(PidFileError::Foreign(_))));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "root:x:0:0");
    }
}
