//! The digest of a served file, in the line that `sha256sum -c` reads.
//! Process: worker, sealed; a helper thread reads. Trusts: nothing. Blocks: the helper, as the disk does.
//! Fails with: 403, 404, 405, 500, 503.

use std::borrow::Cow;
use std::fs::File;
use std::io::{self, Read};

use sha2::{Digest, Sha256};

use super::hex;
use crate::config::Verb;
use crate::content::files::is_settled;
use crate::content::{Context, is_hidden, refuse_open};
use crate::message::{Body, BodySource, ETag, FieldName, PIECE_BYTES, Progress, Provided, Refusal, Response, Status};
use crate::sys::file::{FileKind, Identity, identity, open_beneath};

/// What is digested in one piece of work: with SHA instructions less than 1 ms, and enough that handing the work to the
/// helper costs little.
pub(in crate::content) const DIGEST_PIECE_BYTES: usize = 1024 * 1024;

/// The digest of the file at this decoded path beneath the root.
#[doc(alias = "content_sha256")]
#[expect(clippy::missing_errors_doc, reason = "the head of this file names the refusals of its provider")]
pub fn sha256_of_file(ctx: &Context<'_>, path: &[u8]) -> Provided {
    let name = path.strip_prefix(b"/").unwrap_or(path);
    let path = [b"/", name].concat();
    if is_hidden(&path) {
        return Err(Refusal::not_found());
    }
    if !ctx.site.access.verbs(&path).contains(Verb::Read) {
        return Err(Refusal::new(Status::FORBIDDEN, "This file may not be read."));
    }
    let file = open_beneath(ctx.root, &path).map_err(|error| refuse_open(&error))?;
    let identity = identity(&file).map_err(|error| refuse_open(&error))?;
    if identity.kind != FileKind::Regular {
        return Err(Refusal::not_found());
    }
    let source = FileDigest::new(file, identity, name, Vec::new());
    let length = Some(source.line_bytes());
    let body = Body::Source { source: Box::new(source), length };
    let mut response = Response::with_body(Status::OK, "text/plain; charset=utf-8", body)
        .with_field(FieldName::CacheControl, "no-cache");
    // A file that may still change unnoticed has no tag: even a weak one would be taken for "not modified".
    response.validators.etag = is_settled(&identity, ctx.now).then(|| tag(&path, &identity));
    Ok(response.into())
}

/// Digits of a SHA-256 digest.
const DIGITS: u64 = 64;

/// The answer is the same as long as the file is.
fn tag(path: &[u8], identity: &Identity) -> ETag {
    let Identity { device, inode, size, modified, changed, .. } = identity;
    ETag::of(&[format!("sha256 {device} {inode} {size} {modified} {changed} ").as_bytes(), path].concat())
}

/// What follows the digest.
struct LineEnd {
    text: Vec<u8>,
    /// Then a backslash stands before the digest.
    is_escaped: bool,
}

/// The end of the line as coreutils write it: a backslash and a line feed in the name are escaped, and then the line
/// begins with a backslash.
fn line_end(name: &[u8]) -> LineEnd {
    let is_escaped = name.iter().any(|byte| matches!(byte, b'\\' | b'\n'));
    let mut text = b"  ".to_vec();
    for &byte in name {
        let written: Cow<'static, [u8]> = match byte {
            b'\\' => Cow::Borrowed(b"\\\\"),
            b'\n' => Cow::Borrowed(b"\\n"),
            _ => Cow::Owned(vec![byte]),
        };
        text.extend_from_slice(&written);
    }
    text.push(b'\n');
    LineEnd { text, is_escaped }
}

/// The digest of a file in the making: it becomes one line.
pub(in crate::content) struct FileDigest {
    file: File,
    /// What the file was when it was opened.
    identity: Identity,
    digest: Sha256,
    /// Read up to now.
    bytes: u64,
    /// Kept from piece to piece; made by the first one, on the helper thread, unless an earlier digest left it.
    buf: Vec<u8>,
    line_end: LineEnd,
}

impl BodySource for FileDigest {
    fn fill(&mut self, out: &mut Vec<u8>) -> io::Result<Progress> {
        self.buf.resize(PIECE_BYTES, 0);
        for _ in 0..DIGEST_PIECE_BYTES / PIECE_BYTES {
            let count = self.file.read(&mut self.buf)?;
            if count == 0 {
                return self.finish(out);
            }
            self.digest.update(self.buf.get(..count).unwrap_or_default());
            self.bytes += count as u64;
            if self.bytes > self.identity.size {
                return Err(changed());
            }
        }
        Ok(Progress::More)
    }
}

impl FileDigest {
    /// The digest of a file that is open, under this name. `buf`: what an earlier digest has left, or nothing.
    pub(in crate::content) fn new(file: File, identity: Identity, name: &[u8], buf: Vec<u8>) -> Self {
        Self { file, identity, digest: Sha256::new(), bytes: 0, buf, line_end: line_end(name) }
    }

    /// How much there is to digest.
    pub(in crate::content) fn file_bytes(&self) -> u64 {
        self.identity.size
    }

    /// The buffer, for the next one.
    pub(in crate::content) fn into_buf(self) -> Vec<u8> {
        self.buf
    }

    /// How long the line will be.
    fn line_bytes(&self) -> u64 {
        DIGITS + self.line_end.text.len() as u64 + u64::from(self.line_end.is_escaped)
    }

    /// Writes the line, unless what was read is a mixture of two states of the file.
    fn finish(&mut self, out: &mut Vec<u8>) -> io::Result<Progress> {
        let now = identity(&self.file)?;
        let is_same = now.size == self.identity.size && now.modified == self.identity.modified;
        if self.bytes != now.size || !is_same {
            return Err(changed());
        }
        if self.line_end.is_escaped {
            out.push(b'\\');
        }
        out.extend_from_slice(hex(std::mem::take(&mut self.digest)).as_bytes());
        out.append(&mut self.line_end.text);
        Ok(Progress::End)
    }
}

fn changed() -> io::Error {
    io::Error::other("the file changed while it was digested")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Verbs;
    use crate::content::tests::{World, drain, reply, whole, with_request};
    use crate::message::Method;
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    use std::path::Path;

    fn ask(world: &World, path: &[u8]) -> Result<Response, Refusal> {
        with_request(Method::Get, "/sha256/x", None, &[], |_| sha256_of_file(&world.context(), path)).map(reply)
    }

    fn put(folder: &Path, name: &[u8], content: &[u8]) {
        std::fs::write(folder.join(OsStr::from_bytes(name)), content).unwrap();
    }

    #[test]
    fn sha256sum_reads_every_line() {
        let folder = tempfile::tempdir().unwrap();
        let world = World::new(folder.path());
        std::fs::create_dir(folder.path().join("sub folder")).unwrap();
        let names: [&[u8]; 6] = [b"plain", b"sub folder/a b", b"back\\slash", b"new\nline", b"\xff\xfe", b" *x"];
        let mut sums = Vec::new();
        for (count, name) in names.into_iter().enumerate() {
            put(folder.path(), name, &vec![b'x'; count * 1_000_000]);
            let response = ask(&world, name).unwrap();
            // It has been written this moment.
            assert!(response.validators.etag.is_none());
            let length = response.body.length().unwrap();
            let line = whole(response.body);
            assert_eq!(line.len() as u64, length);
            sums.extend(line);
        }
        assert!(sums.starts_with(b"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855  plain\n"));
        let list = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(list.path(), sums).unwrap();
        let mut check = std::process::Command::new("sha256sum");
        check.args(["--strict", "--check"]).arg(list.path()).current_dir(folder.path());
        let verdict = check.output().unwrap();
        assert!(verdict.status.success(), "{verdict:?}");
    }

    #[test]
    fn only_what_is_served_is_digested() {
        let folder = tempfile::tempdir().unwrap();
        let mut world = World::new(folder.path());
        put(folder.path(), b".hidden", b"");
        put(folder.path(), b"file", b"");
        std::os::unix::fs::symlink("/etc/passwd", folder.path().join("out")).unwrap();
        for absent in ["/.hidden", "/nothing", "/", "", "/file/x", "/out", "/../x"] {
            assert_eq!(ask(&world, absent.as_bytes()).unwrap_err(), Refusal::not_found(), "{absent}");
        }
        ask(&world, b"/file").unwrap();
        world.allow(Verbs::NONE.with(Verb::List));
        assert_eq!(ask(&world, b"/file").unwrap_err().status, Status::FORBIDDEN);
    }

    #[test]
    fn a_file_that_changes_has_no_digest() {
        let folder = tempfile::tempdir().unwrap();
        let world = World::new(folder.path());
        let first = 3 * DIGEST_PIECE_BYTES;
        for size_after in [first + 1, first - 1, 0] {
            put(folder.path(), b"file", &vec![1; first]);
            let Body::Source { mut source, .. } = ask(&world, b"file").unwrap().body else { panic!("no source") };
            assert_eq!(source.fill(&mut Vec::new()).unwrap(), Progress::More);
            put(folder.path(), b"file", &vec![1; size_after]);
            drain(source.as_mut()).unwrap_err();
        }
    }
}
