//! How far an upload has come (draft section 4.3): HEAD, and GET, which has no more to say.
//! Process: worker, sealed; on a helper thread. Fails with: 404, 500, 503.
//! An offset that is told is a promise never to ask for those bytes again, so they are on stable storage first.

use super::opening::Opening;
use super::part::{Found, Part};
use super::{UploadId, limit, place};
use crate::content::Context;
use crate::content::commit::write_refusal;
use crate::message::{
    FieldName, Handled, Provided, Refusal, Request, Response, Status, UploadLimit, Value, Worked, boolean_text,
};

/// Tells it.
pub(super) fn tell(ctx: &Context<'_>, request: &Request<'_>, id: UploadId) -> Provided {
    let place = place(ctx, request, id)?;
    let limit = limit(ctx, &request.path);
    let upload = place.clone();
    Ok(Handled::Prepare(Opening::new(place, move |found| {
        Worked::Done(match found {
            Found::Open(part) => acknowledge(&part).map(|()| {
                let limit = UploadLimit { seconds: upload.seconds_left(part.changed), ..limit };
                state(Some(part.offset), part.record.length, false, limit)
            }),
            Found::Complete(record, changed) => {
                let limit = UploadLimit { seconds: upload.seconds_left(changed), ..limit };
                Ok(state(record.length, record.length, true, limit))
            }
            Found::Busy => Err(super::opening::busy()),
        })
    })))
}

/// Makes the offset one that may be told.
pub(super) fn acknowledge(part: &Part) -> Result<(), Refusal> {
    part.sync().map_err(|error| {
        // What the client was told before may be lost with it: there is nothing to go on with.
        part.remove();
        write_refusal(&error)
    })
}

fn state(offset: Option<u64>, length: Option<u64>, is_complete: bool, limit: UploadLimit) -> Response {
    let mut response = Response::new(Status::NO_CONTENT)
        .with_field(FieldName::UploadComplete, boolean_text(is_complete))
        .with_field(FieldName::UploadLimit, limit.to_string())
        .with_field(FieldName::CacheControl, "no-store");
    for (name, number) in [(FieldName::UploadOffset, offset), (FieldName::UploadLength, length)] {
        if let Some(number) = number {
            response.fields.push(name, Value::Number(number));
        }
    }
    response
}
