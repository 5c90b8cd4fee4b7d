//! What a request wants to change, and what decides whether it may: asked before the content comes, and again at commit.
//! Process: worker, sealed. Trusts: nothing. Fails with: 400, 403, 404, 409, 412.

use std::os::fd::AsFd;
use std::sync::Arc;

use super::files::tag_of;
use super::folder::Folder;
use super::folders::{Making, NAME_LIMIT_BYTES};
use super::{Context, refuse_open};
use crate::config::{Verb, Verbs};
use crate::message::{
    FieldName, HttpDate, Method, Preconditions, Refusal, Request, Status, Validators, Value, Verdict,
    precondition_detail,
};
use crate::sys::failure::OpenFailure;
use crate::sys::file::{self, FileKind, Identity};

/// A name in an open folder, and the rules for it.
pub(super) struct Target {
    pub(super) folder: Arc<Folder>,
    pub(super) name: Vec<u8>,
    pub(super) rules: Rules,
}

/// Where a request wants to write.
pub(super) enum Destination {
    /// In a folder that is there.
    There(Target),
    /// In one that must be made first. As far as the rules go, it may.
    Missing(Making, Rules),
}

impl Target {
    /// That of a request for a new file or a new content. What can't be created without its folder is a conflict (RFC 9110
    /// section 15.5.10).
    ///
    /// # Errors
    /// As the rules say for a file that is not there, where the folder is not; 409.
    pub(super) fn to_write(ctx: &Context<'_>, request: &Request<'_>) -> Result<Destination, Refusal> {
        let (folder_path, name) = split(&request.path)?;
        let rules = Rules::of(ctx, request);
        match open_folder(ctx, folder_path) {
            Err(refusal) if refusal.status == Status::NOT_FOUND => {
                rules.decide(None)?;
                if ctx.config.uploads.make_folders {
                    Making::of(ctx, folder_path).map(|making| Destination::Missing(making, rules))
                } else {
                    Err(no_folder(false))
                }
            }
            folder => Ok(Destination::There(Self { folder: folder?, name: name.to_vec(), rules })),
        }
    }

    /// That of a request to remove a file.
    ///
    /// # Errors
    /// 404 where its folder is not there.
    pub(super) fn to_remove(ctx: &Context<'_>, request: &Request<'_>) -> Result<Self, Refusal> {
        let (folder_path, name) = split(&request.path)?;
        let folder = open_folder(ctx, folder_path)?;
        Ok(Self { folder, name: name.to_vec(), rules: Rules::of(ctx, request) })
    }

    /// What stands there now, if it may be changed.
    ///
    /// # Errors
    /// As the rules say.
    pub(super) fn decide(&self) -> Result<Option<Identity>, Refusal> {
        let current = current(&self.folder, &self.name)?;
        self.rules.decide(current.as_ref())?;
        Ok(current)
    }
}

/// The folder and the last name of a path.
pub(super) fn split(path: &[u8]) -> Result<(&[u8], &[u8]), Refusal> {
    let slash = memchr::memrchr(b'/', path).map_or(0, |at| at + 1);
    let (folder, name) = path.split_at(slash.min(path.len()));
    if name.is_empty() {
        return Err(Refusal::new(Status::CONFLICT, "This is a folder: add the name of the file to the address."));
    }
    if name.len() > NAME_LIMIT_BYTES {
        return Err(Refusal::new(Status::BAD_REQUEST, "The name of the file is longer than 255 bytes."));
    }
    Ok((folder, name))
}

/// Opens the folder of a target that is to be changed. Where there is none, there is no target.
pub(super) fn open_folder(ctx: &Context<'_>, path: &[u8]) -> Result<Arc<Folder>, Refusal> {
    ctx.folders.open(ctx.root, path)
}

/// 409: the way to the target is not there, or leads through something that is no folder.
pub(super) fn no_folder(are_made: bool) -> Refusal {
    let detail = if are_made {
        "The folder of this file can't be made: something on the way to it is not a folder."
    } else {
        "The folder of this file does not exist, and uploads make none here: it must be made on the server first."
    };
    Refusal::new(Status::CONFLICT, detail)
}

/// What has the target's name now. Only a regular file can be updated or removed.
pub(super) fn current(folder: impl AsFd, name: &[u8]) -> Result<Option<Identity>, Refusal> {
    match file::identity_of_entry(folder.as_fd(), name) {
        Ok(identity) if identity.kind == FileKind::Regular => Ok(Some(identity)),
        Ok(_) => Err(Refusal::new(Status::CONFLICT, "Something that is not a regular file has this name.")),
        Err(error) if OpenFailure::of(&error) == OpenFailure::Absent => Ok(None),
        Err(error) => Err(refuse_open(&error)),
    }
}

/// What decides whether a target may be changed.
pub(super) struct Rules {
    pub(super) method: Method,
    pub(super) verbs: Verbs,
    pub(super) preconditions: Preconditions,
}

impl Rules {
    /// Those of a request to its own path.
    pub(super) fn of(ctx: &Context<'_>, request: &Request<'_>) -> Self {
        Self {
            method: request.method,
            verbs: ctx.site.access.verbs(&request.path, &request.visitor),
            preconditions: Preconditions::of(request.fields),
        }
    }

    /// May the target, as it is now, be changed by this request?
    pub(super) fn decide(&self, current: Option<&Identity>) -> Result<(), Refusal> {
        if current.is_none() && self.method == Method::Post {
            return Err(Refusal::new(Status::NOT_FOUND, "POST updates a file that exists; PUT would create this one."));
        }
        let verb = if current.is_some() { Verb::Replace } else { Verb::Create };
        if !self.verbs.contains(verb) {
            let what = if current.is_some() { "Files may not be replaced here." } else { "No new files here." };
            return Err(Refusal::lacking(verb, what));
        }
        self.check_preconditions(current)
    }

    /// 412 with the current tag, so that the client can see what it would overwrite.
    pub(super) fn check_preconditions(&self, current: Option<&Identity>) -> Result<(), Refusal> {
        // Mostly there are none, and then no tag need be made.
        if self.preconditions.is_empty() {
            return Ok(());
        }
        let validators = current.map(|identity| Validators {
            // Under the lock no upload is under way, so the tag says all there is to say: it is strong.
            etag: Some(tag_of(identity)),
            last_modified: Some(HttpDate::from_unix_seconds(identity.modified_seconds())),
        });
        match self.preconditions.evaluate(self.method, validators) {
            Verdict::Proceed => Ok(()),
            Verdict::NotModified => Ok(()),
            Verdict::Failed(field) => {
                let detail = precondition_detail(field, current.is_some());
                let refusal = Refusal::new(Status::PRECONDITION_FAILED, detail);
                Err(match current {
                    Some(identity) => refusal.with_field(FieldName::ETag, Value::Tag(tag_of(identity))),
                    None => refusal,
                })
            }
        }
    }
}
