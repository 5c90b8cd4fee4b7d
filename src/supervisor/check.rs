//! `--check-sandbox`: forks workers as for service, each of which is sealed and tries one act that must not be possible.
//! Process: a supervisor of its own, root until it is the service user. Trusts: the operator; of a worker the report that
//! it makes before it could be anybody's but ours. Blocks: until the worker has ended.

use std::fmt;
use std::io::{self, PipeReader, Read};
use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use super::boards::BoardPool;
use super::generation::Offer;
use super::start::{StartError, account, open_roots, system};
use super::workers::{Place, spawn_to};
use crate::config::{self, AccessRule, AccessRules, Config, ListenAddress, Site, Sites, Source, Verb, Verbs};
use crate::log::Logs;
use crate::sys::process::{self, Ended, ProcessId};
use crate::sys::socket::Listener;
use crate::sys::{attempt, credentials, file, inherited, limits, random};
use crate::worker::check::{Act, Outcome, Scene, acts, read_report, run};

/// What the check found.
#[derive(Debug)]
pub struct SandboxReport {
    /// What the seal enforces, in the words of the workers.
    seal: String,
    verdicts: Vec<(&'static Act, Verdict)>,
}

/// What came of an act.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Verdict {
    /// The kernel refused it.
    Denied(String),
    /// This kernel, or this processor, has no such call.
    Absent,
    /// It was done.
    Possible,
    /// It failed for another reason: nothing is proved.
    Unclear(String),
}

/// How many descriptors a worker of the check needs: far fewer than one that serves.
const OPEN_FILES: u64 = 256;
/// Where files of the check may lie: in the first of these that is outside every root.
const PLACES: [&str; 3] = ["/var/tmp", "/dev/shm", "/run"];

/// Tries everything that a worker of this configuration must not be able to do.
///
/// # Errors
/// What keeps a worker from being started or sealed.
pub fn check_sandbox(source: &Source) -> Result<SandboxReport, StartError> {
    // The steps of a start, see there, without what a check has no use for: nothing is bound, nobody is signalled.
    let config = config::load(source)?;
    inherited::leave_standard_input().map_err(system("leave standard input"))?;
    let account = account(&config)?;
    let roots = open_roots(&config.sites)?;
    limits::allow_open_files(OPEN_FILES).map_err(system("raise the limit of open files"))?;
    match &account {
        Some(account) => credentials::become_account(account)?,
        None => credentials::stay(config.user.as_deref(), config.group.as_deref())?,
    };
    let logs = Logs::open(&config.log)?;
    let folder = place(&roots)?;
    // Before this process shuts its memory, so that the sibling is what any other process of this user is.
    let supervisor = ProcessId::own();
    let sibling = process::fork(|| {
        let _ = credentials::drop_everything().map(|()| attempt::be_a_victim(supervisor));
        ExitCode::FAILURE
    })
    .map_err(system("start a process"))?;
    process::forbid_dumps().map_err(system("forbid dumps"))?;
    let scene = Scene::new(folder, supervisor.number(), sibling.number()).map_err(system("make files to be tried"));
    let report = scene.and_then(|scene| {
        let report = try_all(config, roots, logs, scene);
        report.map_err(system("check"))
    });
    process::kill(sibling);
    let _ = process::wait(sibling);
    report
}

/// A new folder that is outside every root: in it a worker of this configuration has no rights.
fn place(roots: &Sites<OwnedFd>) -> Result<PathBuf, StartError> {
    let real = |fd: &OwnedFd| std::fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd()));
    let roots: Vec<PathBuf> = roots.iter().filter_map(|(_, root)| real(root).ok()).collect();
    let usual = std::env::temp_dir();
    for place in std::iter::once(usual.as_path()).chain(PLACES.map(Path::new)) {
        let Ok(place) = file::open_root(place).and_then(|place| real(&place)) else { continue };
        if roots.iter().any(|root| place.starts_with(root)) {
            continue;
        }
        let number = random::bytes::<8>().map_err(system("random numbers"))?;
        let folder = place.join(format!("fileserv-check-{:016x}", u64::from_le_bytes(number)));
        // Tried, and left to be made by the scene.
        if std::fs::create_dir(&folder).and_then(|()| std::fs::remove_dir(&folder)).is_ok() {
            return Ok(folder);
        }
    }
    let why = "no folder for the files of the check is outside the roots and may be written; set TMPDIR to one";
    Err(system("make a folder")(io::Error::other(why)))
}

fn try_all(mut config: Config, mut roots: Sites<OwnedFd>, logs: Logs, mut scene: Scene) -> io::Result<SandboxReport> {
    scene.writes = config.sites.can_write();
    scene.makes_folders = config.uploads.make_folders;
    for (_, root) in roots.iter().filter(|(id, _)| !config.sites.get(*id).access.can_write()) {
        scene.read_only_roots.push(root.try_clone()?);
    }
    // The scene is one more site, with an upload folder if there is one anywhere.
    config.sites.named.push(site_of(&scene, scene.writes));
    roots.named.push(scene.root.try_clone()?);
    // A worker has the same rights over any listener; where nobody may make one of TCP, one in the file system will do.
    let (address, listener) = if scene.has_tcp() {
        let address: SocketAddr = ([127, 0, 0, 1], 0).into();
        (ListenAddress::Tcp(address), Listener::bind_tcp(address)?)
    } else {
        let path = scene.socket_path();
        (ListenAddress::Unix(path.clone()), Listener::bind_unix(&path)?)
    };
    let offer = Offer {
        number: 1,
        config: Arc::new(config),
        // Nobody logs in.
        credentials: Arc::default(),
        listeners: vec![(address.into(), Arc::new(listener))],
        roots: Arc::new(roots),
        logs,
    };
    let mut boards = BoardPool::new()?;
    let mut report = SandboxReport { seal: String::new(), verdicts: Vec::new() };
    let outcome = acts().try_for_each(|act| {
        let (seal, verdict) = try_one(&offer, &mut boards, &scene, act)?;
        report.seal = seal;
        report.verdicts.push((act, verdict));
        Ok(())
    });
    let removed = scene.remove();
    outcome.and(removed).map(|()| report)
}

/// The scene as a site: all may be read; what is in `in/` may be written, if anything may be anywhere.
fn site_of(scene: &Scene, can_write: bool) -> Site {
    let read = Verbs::NONE.with(Verb::Read).with(Verb::List);
    let write = read.with(Verb::Create).with(Verb::Replace).with(Verb::Delete);
    let rule = |path: &str, allow| AccessRule { path: path.to_owned(), allow, ..AccessRule::default() };
    let uploads = can_write.then(|| rule("/in/", write));
    let rules = uploads.into_iter().chain([rule("/", read)]).collect();
    Site { root: scene.root_path(), access: AccessRules::new(rules), ..Site::default() }
}

/// One worker, one act.
fn try_one(offer: &Offer, boards: &mut BoardPool, scene: &Scene, act: &'static Act) -> io::Result<(String, Verdict)> {
    let (reader, writer) = io::pipe()?;
    let mut also = scene.fds();
    also.push(writer.as_fd());
    // Not the first, which would sweep; it does not follow anybody.
    let place = Place { slot: 1, follows: false };
    let worker = spawn_to(offer, place, boards, 0, &also, |heritage| run(&heritage, act, scene, &writer))?;
    drop(also);
    drop(writer);
    let report = read_all(reader)?;
    let ended = process::wait(worker.pid)?;
    boards.free(worker.board, false);
    let (seal, outcome) = read_report(&report);
    let seal =
        seal.ok_or_else(|| io::Error::other(format!("a worker was not sealed, and {ended}; the log says why")))?;
    Ok((seal, judge(act, outcome, ended)))
}

/// All that was written; the end comes with the end of the worker, or of the program in its place.
fn read_all(mut reader: PipeReader) -> io::Result<Vec<u8>> {
    let mut report = Vec::new();
    reader.read_to_end(&mut report)?;
    Ok(report)
}

/// What the report of a worker and the way it ended mean together.
fn judge(act: &Act, outcome: Option<Outcome>, ended: Ended) -> Verdict {
    match (outcome, ended) {
        (Some(Outcome::Possible), _) => Verdict::Possible,
        (Some(Outcome::Refused(number)), _) => {
            let name = attempt::errno_name(number);
            match name.as_str() {
                // EXDEV is how Landlock refuses to move a file from one folder to another.
                "EPERM" | "EACCES" | "EXDEV" => Verdict::Denied(name),
                "ENOSYS" => Verdict::Absent,
                // Supervisor and sibling live as long as the check.
                "ENOENT" if act.looks_into_proc() => Verdict::Denied(name),
                _ => Verdict::Unclear(name),
            }
        }
        // Another program has run in its place, and had nothing to complain about.
        (None, Ended::Exited(0)) => Verdict::Possible,
        (None, Ended::Killed(_)) if ended.is_by_filter() => Verdict::Denied("SIGSYS".to_owned()),
        (None, ended) => Verdict::Unclear(ended.to_string()),
    }
}

impl SandboxReport {
    /// Was nothing possible, and everything tried?
    #[must_use]
    pub fn holds(&self) -> bool {
        self.verdicts.iter().all(|(_, verdict)| matches!(verdict, Verdict::Denied(_) | Verdict::Absent))
    }

    fn count(&self, is: impl Fn(&Verdict) -> bool) -> usize {
        self.verdicts.iter().filter(|(_, verdict)| is(verdict)).count()
    }
}

impl fmt::Display for SandboxReport {
    /// A table, one act a line, and what it comes to.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let longest = |of: fn(&Act) -> &str| self.verdicts.iter().map(|(act, _)| of(act).len()).max().unwrap_or(0);
        let says = |verdict: &Verdict| match verdict {
            Verdict::Denied(says) | Verdict::Unclear(says) => says.len(),
            Verdict::Absent | Verdict::Possible => 0,
        };
        let width = self.verdicts.iter().map(|(_, verdict)| says(verdict)).max().unwrap_or(0).max("ENOSYS".len());
        let (names, calls) = (longest(|act| act.name), longest(|act| act.call));
        writeln!(f, "seal: {} (one of the roots is the check's own)\n", self.seal)?;
        writeln!(f, "{:names$}  {:calls$}  {:width$}  VERDICT", "ACT", "SYSTEM CALL AND OBJECT", "SAYS")?;
        for (Act { name, call, .. }, verdict) in &self.verdicts {
            let (says, verdict) = match verdict {
                Verdict::Denied(says) => (says.as_str(), "denied"),
                Verdict::Absent => ("ENOSYS", "absent"),
                Verdict::Possible => ("", "POSSIBLE"),
                Verdict::Unclear(says) => (says.as_str(), "UNCLEAR"),
            };
            writeln!(f, "{name:names$}  {call:calls$}  {says:width$}  {verdict}")?;
        }
        let denied = self.count(|verdict| matches!(verdict, Verdict::Denied(_)));
        let absent = self.count(|verdict| matches!(verdict, Verdict::Absent));
        let possible = self.count(|verdict| matches!(verdict, Verdict::Possible));
        let unclear = self.count(|verdict| matches!(verdict, Verdict::Unclear(_)));
        let all = self.verdicts.len();
        write!(f, "\n{all} acts: {denied} denied, {absent} absent, {possible} POSSIBLE, {unclear} UNCLEAR")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_kernel_refuses_is_denied() {
        let done = Ended::Exited(0);
        let act = acts().find(|act| !act.looks_into_proc()).unwrap();
        let in_proc = acts().find(|act| act.looks_into_proc()).unwrap();
        let judge = |outcome, ended| judge(act, outcome, ended);
        let refused = |number| judge(Some(Outcome::Refused(number)), done);
        assert_eq!(refused(libc::EPERM), Verdict::Denied("EPERM".into()));
        assert_eq!(refused(libc::EXDEV), Verdict::Denied("EXDEV".into()));
        assert_eq!(refused(libc::ENOSYS), Verdict::Absent);
        assert_eq!(refused(libc::ENOENT), Verdict::Unclear("ENOENT".into()));
        let hidden = super::judge(in_proc, Some(Outcome::Refused(libc::ENOENT)), done);
        assert_eq!(hidden, Verdict::Denied("ENOENT".into()));
        assert_eq!(judge(Some(Outcome::Possible), done), Verdict::Possible);
        assert_eq!(judge(None, done), Verdict::Possible, "another program has run");
        assert_eq!(judge(None, Ended::Killed(libc::SIGSYS)), Verdict::Denied("SIGSYS".into()));
        assert_eq!(judge(None, Ended::Killed(libc::SIGKILL)), Verdict::Unclear("was killed by SIGKILL".into()));
        assert!(matches!(judge(None, Ended::Exited(1)), Verdict::Unclear(_)));
    }

    #[test]
    fn a_report_holds_only_if_everything_was_denied() {
        let report = |verdict| {
            let act = acts().next().unwrap();
            SandboxReport { seal: "all".into(), verdicts: vec![(act, Verdict::Denied("EPERM".into())), (act, verdict)] }
        };
        assert!(report(Verdict::Absent).holds());
        assert!(!report(Verdict::Possible).holds());
        assert!(!report(Verdict::Unclear("EINVAL".into())).holds());
        let text = report(Verdict::Possible).to_string();
        assert!(
            text.starts_with("seal: all (") && text.ends_with("\n2 acts: 1 denied, 0 absent, 1 POSSIBLE, 0 UNCLEAR")
        );
    }
}
