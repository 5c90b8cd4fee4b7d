//! Giving an upload up (draft section 4.5): DELETE takes away what has come of it.
//! Process: worker, sealed; on a helper thread. Fails with: 404, 503.
//! Of an upload that is complete it takes away the memory only; the file is deleted under its own address.

use super::charge::Charge;
use super::opening::{Opening, busy};
use super::part::Found;
use super::{UploadId, place};
use crate::content::Context;
use crate::content::quota::Quotas;
use crate::message::{Handled, Provided, Request, Response, Status, Worked};

/// Cancels it.
pub(super) fn cancel(ctx: &Context<'_>, request: &Request<'_>, id: UploadId) -> Provided {
    let place = place(ctx, request, id)?;
    let (upload, quotas) = (place.clone(), Quotas::of(ctx, &request.path)?);
    Ok(Handled::Prepare(Opening::new(place, move |found| {
        Worked::Done(match found {
            Found::Open(part) => {
                Charge::new(quotas, part.charged).give_back(&part.place);
                part.place.sync_removal();
                Ok(Response::new(Status::NO_CONTENT))
            }
            Found::Complete(..) => {
                upload.remove();
                Ok(Response::new(Status::NO_CONTENT))
            }
            Found::Busy => Err(busy()),
        })
    })))
}
