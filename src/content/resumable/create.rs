//! Beginning an upload (draft section 4.2): PUT or POST to the target, with `Upload-Complete`.
//! Process: worker, sealed; the files are made on a helper thread. Fails with: 400, 413, and as `upload`.
//! A client that could not be told where to resume, and that sends everything at once, has an upload like any other.

use std::sync::Arc;

use super::charge::Charge;
use super::digests::Announced;
use super::part::Place;
use super::progress::version_for_interim;
use super::record::Record;
use super::sink::{Intent, Sink, check_size, inconsistent};
use super::{UploadId, limit, place_in};
use crate::content::Context;
use crate::content::commit::{Commit, write_refusal};
use crate::content::folder::Folder;
use crate::content::page::link;
use crate::content::room::Room;
use crate::content::target::{Destination, Target, split};
use crate::content::upload::refuse_what_is_no_whole;
use crate::message::{
    BodyFraming, FieldName, Handled, Interim, Provided, Receive, Refusal, Request, ResponseFields, Status, UploadState,
    Work, Worked,
};

/// Does this request to a target begin a resumable upload?
#[must_use]
pub fn begins_upload(request: &Request<'_>) -> bool {
    let state = UploadState::of(request.fields);
    match state.is_complete {
        Some(false) => true,
        Some(true) => version_for_interim(request).is_some() && request.framing != BodyFraming::None,
        None => false,
    }
}

/// Looks at everything that can be known before the content is sent, and begins the upload.
///
/// # Errors
/// Whatever would make it fail later, and lengths that contradict each other.
pub fn create(ctx: &Context<'_>, request: &Request<'_>) -> Provided {
    refuse_what_is_no_whole(request)?;
    let state = UploadState::of(request.fields);
    let is_last = state.is_complete == Some(true);
    let destination = Target::to_write(ctx, request)?;
    if let Destination::There(target) = &destination {
        target.decide()?;
    }
    let announced = Announced::of(request.fields, ctx.config.cache.digests > 0)?;
    let content_bytes = request.framing.length();
    let length = whole_length(&state, is_last, 0, content_bytes, None)?;
    let limit = limit(ctx, &request.path);
    check_size(&limit, 0, content_bytes.unwrap_or(0))?;
    check_size(&limit, length.unwrap_or(0), length.unwrap_or(0))?;
    let expected = length.or(content_bytes).unwrap_or(0);
    let min_free = ctx.config.uploads.min_free;
    let (commit, folder) = match destination {
        Destination::There(Target { folder, rules, .. }) => {
            let commit = Commit::of(ctx, &request.path, rules)?;
            // Until the commit both files exist.
            commit.quotas.check(expected)?;
            (commit, Ok(folder))
        }
        Destination::Missing(making, rules) => (Commit::without_quotas(ctx, &request.path, rules)?, Err(making)),
    };
    let id = UploadId::random().map_err(|error| write_refusal(&error))?;
    let (_, name) = split(&request.path)?;
    let place = place_in(ctx, name, id);
    let address = format!("{}?{}", link(&request.path), id.query());
    let interim = interim(request, &address, limit.to_string());
    let mut intent = Intent { address: Some(address), ..Intent::of(ctx, request, Some(commit), announced, limit)? };
    let record = Record::new(link(name), request.method, request.fields, length);
    let begin = move |folder: Arc<Folder>, intent: Intent| -> Result<Box<Beginning>, Refusal> {
        Room::check(&folder, Some(expected), min_free)?;
        let room = Room::check(&folder, None, min_free)?;
        Ok(Box::new(Beginning { place: place(folder), record, intent, is_last, room, interim, expected }))
    };
    Ok(Handled::Prepare(match folder {
        Ok(folder) => begin(folder, intent)?,
        Err(making) => making.before(move |folder, quotas| {
            intent.charge = Charge::new(quotas, 0);
            begin(folder, intent).map(Work::advance)
        }),
    }))
}

/// 104, for those who understand it, before content that may break off.
fn interim(request: &Request<'_>, address: &str, limit: String) -> Option<Box<Interim>> {
    let version = version_for_interim(request)?;
    if request.framing == BodyFraming::None {
        return None;
    }
    let mut fields = ResponseFields::default();
    fields.push(FieldName::Location, address.to_owned());
    fields.push(FieldName::UploadLimit, limit);
    fields.push(FieldName::UploadDraftInteropVersion, crate::message::Value::Number(version));
    Some(Box::new(Interim { status: Status::UPLOAD_RESUMPTION_SUPPORTED, fields }))
}

/// How long the whole is, from all that a request says of it and what was known before (draft section 4.1.3).
///
/// # Errors
/// 400 if they don't agree.
pub(super) fn whole_length(
    state: &UploadState,
    is_last: bool,
    start: u64,
    content_bytes: Option<u64>,
    known: Option<u64>,
) -> Result<Option<u64>, Refusal> {
    let end = content_bytes.map(|bytes| start.saturating_add(bytes));
    let said = [known, state.length, end.filter(|_| is_last)];
    let length = said.into_iter().flatten().next();
    if said.into_iter().flatten().any(|other| Some(other) != length) {
        return Err(inconsistent("The lengths that this request and those before it tell of the upload do not agree."));
    }
    if length.is_some_and(|length| end.unwrap_or(start) > length) {
        return Err(inconsistent("The content would go beyond the length that was told for this upload."));
    }
    Ok(length)
}

/// An upload that is about to begin.
struct Beginning {
    place: Place,
    record: Record,
    intent: Intent,
    is_last: bool,
    room: Room,
    interim: Option<Box<Interim>>,
    /// How long the whole will be at least.
    expected: u64,
}

impl Work for Beginning {
    fn advance(self: Box<Self>) -> Worked {
        let Self { place, record, mut intent, is_last, room, interim, expected } = *self;
        // Folders that were made for it must be there as long as it is.
        let synced = intent.commit.as_ref().map_or(Ok(()), Commit::sync_ancestors);
        let may_begin = synced.map_err(|error| write_refusal(&error)).and_then(|()| intent.charge.check(expected));
        match may_begin.and_then(|()| place.begin(record)) {
            Ok(part) => {
                intent.commit = intent.commit.filter(|_| is_last);
                let sink = Sink::new(part, intent, room);
                // The sink itself has the limits, for it can say which.
                Worked::Ready(Receive { sink, limit_bytes: u64::MAX, interim })
            }
            Err(refusal) => Worked::Done(Err(refusal)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_is_said_of_the_length_must_agree() {
        let length = |said, is_last, start, content, known| {
            let state = UploadState { length: said, ..UploadState::default() };
            whole_length(&state, is_last, start, content, known).map_err(|refusal| refusal.status.code())
        };
        assert_eq!(length(None, false, 0, Some(5), None), Ok(None));
        assert_eq!(length(None, true, 0, Some(5), None), Ok(Some(5)));
        assert_eq!(length(None, true, 7, Some(5), None), Ok(Some(12)));
        assert_eq!(length(None, true, 7, None, None), Ok(None));
        assert_eq!(length(Some(12), true, 7, Some(5), Some(12)), Ok(Some(12)));
        assert_eq!(length(Some(12), false, 7, Some(4), None), Ok(Some(12)));
        assert_eq!(length(Some(12), false, 7, Some(5), None), Ok(Some(12)));
        assert_eq!(length(Some(12), false, 7, Some(6), None), Err(400));
        assert_eq!(length(Some(12), true, 7, Some(4), None), Err(400));
        assert_eq!(length(Some(12), false, 7, None, Some(13)), Err(400));
        assert_eq!(length(Some(6), false, 7, None, None), Err(400));
        assert_eq!(length(None, true, u64::MAX, Some(5), Some(4)), Err(400));
    }
}
