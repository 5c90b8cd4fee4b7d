//! What a path names: an index, a folder to list, a small file, a large one. Opened first, then asked what it is.
//! Process: worker, sealed. Trusts: nothing of the path. Fails with: 403, 404, 503.

use std::fs::File;
use std::io;

use super::page::link;
use super::readfile::Unread;
use super::sendfile::Keep;
use super::{Context, disposition, listing, precompressed, readfile, refuse_open, sendfile};
use crate::config::Verb;
use crate::message::{
    Body, ETag, FieldName, Filled, Handled, HttpDate, Label, Provided, Refusal, Request, Response, Status, Validators,
};
use crate::sys::failure::OpenFailure;
use crate::sys::file::{FileKind, Identity, identity, open_beneath};

/// Answers a GET or HEAD for something below the document root.
///
/// # Errors
/// 404 for what isn't there or leads out of the root, 403 for what may not be read.
pub fn files(ctx: &mut Context<'_>, request: &Request<'_>, response: &mut Response) -> ProvidedInPlace {
    let provided = file_or_folder(ctx, request, response);
    if matches!(&provided, Err(refusal) if refusal.status == Status::NOT_FOUND) && fallback(ctx, request, response) {
        return Ok(Handled::Reply(Filled));
    }
    provided
}

/// What the one provider of the hot path returns: it fills the answer in where it will be formatted.
type ProvidedInPlace = Result<Handled<Filled>, Refusal>;

fn file_or_folder(ctx: &mut Context<'_>, request: &Request<'_>, response: &mut Response) -> ProvidedInPlace {
    if request.path.ends_with(b"/") {
        return folder(ctx, request, response);
    }
    match file_at(ctx, request, &request.path, response) {
        Ok(Found::File) => Ok(Handled::Reply(Filled)),
        Ok(Found::Folder) => Err(add_slash(request)),
        Err(error) => Err(error.into_refusal()),
    }
}

/// The page of an application that routes in the browser. A last name with a dot is that of a file: a script or a
/// picture that is missing must not be answered with a page. Is there one?
fn fallback(ctx: &mut Context<'_>, request: &Request<'_>, response: &mut Response) -> bool {
    let Some(page) = ctx.site.fallback.as_deref() else { return false };
    let name = request.path.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
    !name.contains(&b'.') && matches!(file_at(ctx, request, page.as_bytes(), response), Ok(Found::File))
}

/// What stands at a path.
enum Found {
    /// A file; the answer that holds it has been filled in.
    File,
    Folder,
}

/// Why a path gives no file.
enum Missing {
    /// The kernel's word.
    Io(io::Error),
    /// The configuration's word, or ours.
    Refused(Refusal),
}

impl Missing {
    fn into_refusal(self) -> Refusal {
        match self {
            Self::Io(error) => refuse_open(&error),
            Self::Refused(refusal) => refusal,
        }
    }
}

/// The file at a path, in the coding that the client likes best.
fn file_at(
    ctx: &mut Context<'_>,
    request: &Request<'_>,
    path: &[u8],
    response: &mut Response,
) -> Result<Found, Missing> {
    let Some(original) = original(ctx, request, path)? else { return Ok(Found::Folder) };
    if ctx.config.precompressed.is_empty() {
        original.fill(ctx, path, response);
    } else {
        *response = precompressed::choose(ctx, request, path, original);
    }
    if response.status == Status::OK && disposition::is_download(request.query) {
        response.fields.push(FieldName::ContentDisposition, disposition::attachment(path));
    }
    keep_as_private_as(ctx, request, path, response);
    Ok(Found::File)
}

/// What is served of another path than the one asked for is for those who may see that one: a cache would otherwise give
/// to all what only some get.
pub(super) fn keep_as_private_as(ctx: &Context<'_>, request: &Request<'_>, path: &[u8], response: &mut Response) {
    let is_other = || *path != *request.path;
    if ctx.site.access.is_selective()
        && is_other()
        && ctx.site.access.is_for_some(path, &request.visitor)
        && response.fields.find(FieldName::CacheControl).is_none()
    {
        response.fields.push(FieldName::CacheControl, "private");
    }
}

/// A regular file that may be read, as it stands there.
pub(super) enum Original {
    /// From the cache, and still the same; last changed at this time.
    Cached(Body, i128),
    /// Opened for this request.
    Opened(File, Identity),
}

impl Original {
    /// Last change of its content, in nanoseconds since the epoch.
    pub(super) fn modified(&self) -> i128 {
        match self {
            Self::Cached(_, modified) => *modified,
            Self::Opened(_, identity) => identity.modified,
        }
    }

    /// Fills in the answer that holds it, which has nothing yet.
    pub(super) fn fill(self, ctx: &mut Context<'_>, path: &[u8], response: &mut Response) {
        match self {
            Self::Cached(body, _) => {
                ctx.tally.cache_hits += 1;
                response.hold_file(body);
            }
            Self::Opened(file, identity) => *response = represent(ctx, path, path, file, identity),
        }
    }
}

/// The answer that holds an open regular file: read and kept under this key if it is small. `name` tells its type.
pub(super) fn represent(ctx: &mut Context<'_>, key: &[u8], name: &[u8], file: File, identity: Identity) -> Response {
    if !ctx.cache.takes(&identity) {
        ctx.tally.cache_misses += 1;
        return sendfile(ctx, key, name, file, identity, Keep::Open);
    }
    match readfile(ctx, key, name, &file, identity) {
        Ok(response) => {
            ctx.tally.cache_misses += 1;
            response
        }
        // Nor will it be told at the next use.
        Err(Unread::Untold) => sendfile(ctx, key, name, file, identity, Keep::Open),
        Err(Unread::Elsewhere) => sendfile(ctx, key, name, file, identity, Keep::Not),
    }
}

/// What stands at a path; `None` for a folder.
fn original(ctx: &mut Context<'_>, request: &Request<'_>, path: &[u8]) -> Result<Option<Original>, Missing> {
    let may_read = ctx.site.access.verbs(path, &request.visitor).contains(Verb::Read);
    if may_read && let Some((body, modified)) = ctx.cache.lookup(ctx.root, path, ctx.now) {
        return Ok(Some(Original::Cached(body, modified)));
    }
    let file = ctx.cache.open(ctx.root, path, ctx.now).map_err(Missing::Io)?;
    let identity = identity(&file).map_err(Missing::Io)?;
    match identity.kind {
        FileKind::Regular if !may_read => Err(Missing::Refused(Refusal::lacking(Verb::Read, "You may not read here."))),
        FileKind::Regular => Ok(Some(Original::Opened(file, identity))),
        FileKind::Directory => Ok(None),
        FileKind::Symlink | FileKind::Special => {
            Err(Missing::Refused(Refusal::new(Status::FORBIDDEN, "This is not a regular file.")))
        }
    }
}

/// A folder is answered by the first index file that exists, else by its listing.
fn folder(ctx: &mut Context<'_>, request: &Request<'_>, response: &mut Response) -> ProvidedInPlace {
    // The buffer is the worker's, so that an index page costs no allocation.
    let mut candidate = std::mem::take(ctx.scratch);
    let mut answer = None;
    for name in &ctx.site.index {
        candidate.clear();
        candidate.extend_from_slice(&request.path);
        candidate.extend_from_slice(name.as_bytes());
        match file_at(ctx, request, &candidate, response) {
            Ok(Found::File) => answer = Some(Ok(Handled::Reply(Filled))),
            Err(Missing::Io(error)) if OpenFailure::of(&error) == OpenFailure::Absent => continue,
            Ok(Found::Folder) => continue,
            // Who may list but not read still sees the listing.
            Err(Missing::Refused(_)) => {}
            Err(Missing::Io(error)) => answer = Some(Err(refuse_open(&error))),
        }
        break;
    }
    *ctx.scratch = candidate;
    answer.unwrap_or_else(|| list(ctx, request).map(|handled| handled.fill(response)))
}

fn list(ctx: &mut Context<'_>, request: &Request<'_>) -> Provided {
    let folder = open_beneath(ctx.root, &request.path).map_err(|error| refuse_open(&error))?;
    if identity(&folder).map_err(|error| refuse_open(&error))?.kind != FileKind::Directory {
        return Err(Refusal::not_found());
    }
    listing(ctx, request, folder)
}

/// A folder without its slash: relative links of its page would lead astray, so the client is sent on, query and all.
fn add_slash(request: &Request<'_>) -> Refusal {
    let encoded = link(&request.path);
    let location = match request.query {
        Some(query) => format!("{encoded}/?{query}"),
        None => format!("{encoded}/"),
    };
    Refusal::new(Status::PERMANENT_REDIRECT, "This is a folder; its address ends with a slash.")
        .with_field(FieldName::Location, location.into())
}

/// The field lines of an open file; `name` tells its media type.
pub(super) fn label(ctx: &Context<'_>, name: &[u8], identity: &Identity) -> Label {
    Label::of_file(ctx.media_types.of_name(name), validators_of(identity, ctx.now), identity.size)
}

/// The validators of a file, as a reader gets them.
pub(super) fn validators_of(identity: &Identity, now: super::Now) -> Validators {
    let etag = tag_of(identity);
    let etag = if is_settled(identity, now) { etag } else { etag.weakened() };
    // 0 and 1 are the clocks of reproducible builds: as dates they would be true for every version of the file. A date
    // in the future is sent as the present one (RFC 9110 section 8.8.2.1).
    let seconds = identity.modified_seconds();
    let last_modified = (seconds > 1).then(|| HttpDate::from_unix_seconds(seconds.min(now.unix_seconds)));
    Validators { etag: Some(etag), last_modified }
}

/// The entity tag of a file: it changes whenever the bytes can have changed.
pub(super) fn tag_of(identity: &Identity) -> ETag {
    let mut state = [0; 48];
    let (inode_and_size, times) = state.split_at_mut(16);
    let numbers = [identity.inode, identity.size];
    for (room, number) in inode_and_size.chunks_exact_mut(8).zip(numbers) {
        room.copy_from_slice(&number.to_le_bytes());
    }
    for (room, time) in times.chunks_exact_mut(16).zip([identity.modified, identity.changed]) {
        room.copy_from_slice(&time.to_le_bytes());
    }
    ETag::of(&state)
}

/// Has enough time passed since the last change that one more would show in the time stamps?
/// They move in steps of up to 10 ms (a kernel with 100 ticks a second); twice that is safe. Only the change time counts:
/// every write moves it, too, and nobody can set it, while a modification time may well lie in the future.
#[must_use]
pub(super) fn is_settled(identity: &Identity, now: super::Now) -> bool {
    const COMMIT_NANOSECONDS: i128 = 60_000_000_000;
    // A change of the content sets both times alike, so where they differ the next one must show. An upload's differ for
    // that: it is given a time of its own, a moment before its rename, whose coarser clock may still be behind it; or, where
    // change times tell all changes, the rename alone gives it another one. Who sets a time back, as `cp -p` does, may do so
    // again.
    if (1..COMMIT_NANOSECONDS).contains(&(identity.changed - identity.modified).abs()) {
        return true;
    }
    const SETTLING_NANOSECONDS: i128 = 20_000_000;
    now.unix_nanoseconds() - identity.changed > SETTLING_NANOSECONDS
}
