//! Getting hold of an upload that an older request may still have: asked for again and again, not for long.
//! Process: worker, sealed; on helper threads, and on none between two looks. Fails with: 404, 503.
//! The older request looks once a second whether it is wanted, and with each piece of content.

use std::time::{Duration, Instant};

use super::part::{Found, Place};
use crate::message::{FieldName, Refusal, Status, Value, Work, Worked};

/// Some looks of the older request, and the time to leave.
const PATIENCE: Duration = Duration::from_secs(5);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(5);

/// What is done with an upload that was found.
type Then = Box<dyn FnOnce(Found) -> Worked + Send>;

/// A request that waits for its upload.
pub(super) struct Opening {
    place: Place,
    begun: Option<Instant>,
    then: Then,
}

impl Opening {
    /// Looks for the upload and does this with it; `then` never sees one that is busy.
    pub(super) fn new(place: Place, then: impl FnOnce(Found) -> Worked + Send + 'static) -> Box<Self> {
        Box::new(Self { place, begun: None, then: Box::new(then) })
    }
}

impl Work for Opening {
    fn advance(mut self: Box<Self>) -> Worked {
        match self.place.find() {
            Ok(Found::Busy) if self.begun.get_or_insert_with(Instant::now).elapsed() < PATIENCE => {
                Worked::Later(PAUSE, Box::new(move || self.advance()))
            }
            Ok(Found::Busy) => Worked::Done(Err(busy())),
            Ok(found @ (Found::Open(_) | Found::Complete(..))) => (self.then)(found),
            Err(refusal) => Worked::Done(Err(refusal)),
        }
    }
}

/// Somebody does not leave: a request whose last step takes the disk its time.
pub(super) fn busy() -> Refusal {
    Refusal::new(Status::SERVICE_UNAVAILABLE, "An earlier request of this upload is still under way.")
        .with_field(FieldName::RetryAfter, Value::Number(1))
}
