//! Provider `content_upload`: PUT creates or overwrites, POST updates what exists.
//! Process: worker, sealed; the commit runs on a helper thread. Fails with: 400, and as `commit`.
//! The content goes to a temporary beside its target and takes the target's name only when it is complete:
//! a reader sees the old file or the new one, whole.

use std::io::Write;
use std::sync::Arc;

use super::Context;
use super::commit::{Commit, Rules, check_room, current, open_folder, split, write_refusal};
use super::page::link;
use super::temporary::Temporary;
use crate::message::{
    BodySink, FieldName, Finish, Handled, Preconditions, Provided, Receive, Refusal, Request, Status,
};

/// Looks at everything that can be known before the content is sent, and makes the sink for it.
///
/// # Errors
/// Whatever would make the upload fail later: better before the client has sent a gigabyte.
#[doc(alias = "content_upload")]
pub fn upload(ctx: &mut Context<'_>, request: &Request<'_>) -> Provided {
    if request.fields.contains(FieldName::ContentRange) {
        let detail = "A part of a file can't be uploaded: send the whole without Content-Range.";
        return Err(Refusal::new(Status::BAD_REQUEST, detail));
    }
    let limit_bytes = ctx.config.limits.body_bytes;
    let (folder_path, name) = split(&request.path)?;
    let folder = open_folder(ctx, folder_path)?;
    let rules = Rules {
        method: request.method,
        verbs: ctx.site.access.verbs(&request.path, &request.visitor),
        preconditions: Preconditions::of(request.fields),
    };
    rules.decide(current(&folder, name)?.as_ref())?;
    // One that is too long for `limit_bytes` is refused for that, once the sink says how much it takes.
    let announced = request.framing.length().filter(|length| *length <= limit_bytes);
    check_room(&folder, announced.unwrap_or(0))?;
    let temporary =
        Temporary::create(Arc::new(folder), ctx.config.uploads.mode).map_err(|error| write_refusal(&error))?;
    let (name, location) = (name.to_vec(), link(&request.path));
    let commit = Commit { name, location, durability: ctx.config.uploads.durability, rules };
    Ok(Handled::Receive(Receive { sink: Box::new(Sink { temporary, commit }), limit_bytes }))
}

/// Takes the content. Dropped before its end, it takes the temporary with it.
struct Sink {
    temporary: Temporary,
    commit: Commit,
}

impl BodySink for Sink {
    fn take(&mut self, chunk: &[u8]) -> Result<(), Refusal> {
        self.temporary.file().write_all(chunk).map_err(|error| write_refusal(&error))
    }

    fn finish(self: Box<Self>) -> Finish {
        let Self { temporary, commit } = *self;
        Finish::Job(Box::new(move || commit.run(temporary)))
    }
}
