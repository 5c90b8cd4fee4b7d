//! What the tests of all providers share: a small world to ask a provider in, and the content of its answer.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use super::{Context, KnownDigests, Now, files};
use crate::config::{AccessRule, AccessRules, Cache, Config, Limits, Log, LogTarget, Site, Sites, Verb, Verbs};
use crate::log::Logs;
use crate::message::{
    Body, BodyFraming, BodySource, Fields, Filled, Finish, Handled, Method, Progress, Provided, Receive, Refusal,
    Request, Response, Status, Version, Worked,
};
use crate::stats::{Board, Boards};
use crate::sys::file::open_root;

const SILENT: Log = Log { access: LogTarget::Off, error: LogTarget::Off };

/// All that a provider's context borrows from.
pub(super) struct World {
    pub(super) config: Config,
    pub(super) root: OwnedFd,
    pub(super) boards: Boards,
    logs: Logs,
}

impl World {
    /// A world with this root, in which everyone may read and list everything.
    pub(super) fn new(root: &Path) -> Self {
        let allow = Verbs::NONE.with(Verb::Read).with(Verb::List);
        let service = Box::leak(Box::default());
        let boards = Boards { started: 1_700_000_000, service, seal: "landlock <all>".into(), slots: Vec::new() };
        Self { config: config(allow), root: open_root(root).unwrap(), boards, logs: Logs::open(&SILENT).unwrap() }
    }

    pub(super) fn allow(&mut self, allow: Verbs) {
        self.config.sites.default.access =
            AccessRules::new(vec![AccessRule { path: "/".into(), allow, ..AccessRule::default() }]);
    }

    pub(super) fn boards(&mut self, slots: Vec<&'static Board>) {
        self.boards.slots = slots;
    }

    pub(super) fn context(&self) -> Context<'_> {
        let now = Now { unix_seconds: 1_700_003_725, nanoseconds: 0 };
        Context {
            config: &self.config,
            site: &self.config.sites.default,
            now,
            root: self.root.as_fd(),
            boards: &self.boards,
            // A test's few bytes are not worth a lifetime of their own.
            cache: Box::leak(Box::new(super::Cache::new(&self.config.cache))),
            known_digests: Box::leak(Box::new(KnownDigests::new(2))),
            syncs: Box::leak(Box::default()),
            folders: Box::leak(Box::default()),
            logs: &self.logs,
            media_types: Box::leak(Box::default()),
            tally: Box::leak(Box::default()),
            scratch: Box::leak(Box::default()),
        }
    }
}

fn config(allow: Verbs) -> Config {
    let defaults = Config::default();
    Config {
        sites: Sites {
            default: Site {
                root: PathBuf::from("/"),
                index: Vec::new(),
                access: AccessRules::new(vec![AccessRule { path: "/".into(), allow, ..AccessRule::default() }]),
                ..Site::default()
            },
            named: Vec::new(),
        },
        limits: Limits { ranges: 1, body_bytes: 1 << 40, ..defaults.limits },
        cache: Cache { bytes: 0, file_bytes: 0, digests: 0 },
        log: SILENT,
        ..defaults
    }
}

/// Calls `with` with a request of this form.
pub(super) fn with_request<T>(
    method: Method,
    path: &str,
    query: Option<&str>,
    lines: &[(&str, &str)],
    with: impl FnOnce(&Request<'_>) -> T,
) -> T {
    let mut fields = Fields::default();
    for (name, value) in lines {
        assert!(fields.push(name, value.as_bytes()));
    }
    with(&Request {
        method,
        version: Version::Http11,
        raw_target: path.as_bytes(),
        path: path.as_bytes().into(),
        query,
        host: b"files.example:8080",
        fields: &fields,
        framing: BodyFraming::None,
        keep_alive: true,
        expects_continue: false,
        asterisk: false,
        visitor: crate::message::Visitor::default(),
    })
}

/// Asks a provider that needs no files, and answers at once.
pub(super) fn ask(
    provider: impl FnOnce(&Context<'_>, &Request<'_>) -> Provided,
    method: Method,
    path: &str,
    query: Option<&str>,
    lines: &[(&str, &str)],
) -> Result<Response, Refusal> {
    let world = World::new(Path::new("."));
    with_request(method, path, query, lines, |request| provider(&world.context(), request)).map(reply)
}

/// The answer, where nothing is to be received or awaited.
pub(super) fn reply(handled: Handled) -> Response {
    match handled {
        Handled::Reply(response) => response,
        Handled::Receive(_) => panic!("wants content"),
        Handled::Await(_) | Handled::Work(_) | Handled::Prepare(_) => panic!("wants work"),
    }
}

/// The answer to a request for a file.
pub(super) fn file(ctx: &mut Context<'_>, request: &Request<'_>) -> Result<Response, Refusal> {
    let mut response = Response::new(Status::OK);
    files(ctx, request, &mut response).map(|handled| reply(handled.map(|Filled| response)))
}

/// Hands content to a sink in pieces of this size, and finishes it.
pub(super) fn receive(handled: Handled, content: &[u8], piece: usize) -> Result<Response, Refusal> {
    let Handled::Receive(Receive { mut sink, .. }) = handled else { panic!("wants no content") };
    for chunk in content.chunks(piece) {
        sink.take(chunk)?;
    }
    match sink.finish(&Fields::default()) {
        Finish::Reply(outcome) => outcome,
        Finish::Job(job) => match job() {
            Worked::Done(answer) => answer,
            Worked::More(_) | Worked::Block(_) | Worked::Later(..) | Worked::Ready(_) => panic!("wants more work"),
        },
        Finish::Work(_) => panic!("wants work"),
    }
}

/// All content of a body that is made, or has been.
pub(super) fn whole(body: Body) -> Vec<u8> {
    match body {
        Body::Empty => Vec::new(),
        Body::Bytes(bytes) => bytes,
        Body::Source { mut source, .. } => drain(source.as_mut()).unwrap(),
        Body::Prepared { .. } | Body::File { .. } | Body::Parts(_) => panic!("{body:?}"),
    }
}

/// All that a source makes.
pub(super) fn drain(source: &mut dyn BodySource) -> std::io::Result<Vec<u8>> {
    let mut out = Vec::new();
    while source.fill(&mut out)? == Progress::More {}
    Ok(out)
}
