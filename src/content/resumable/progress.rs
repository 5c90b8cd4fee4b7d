//! Telling a client while its content comes how far its upload is on stable storage, so that it can let go of what it
//! holds for a second try (draft section 4.2.2: 104 with `Upload-Offset`).
//! Process: worker, sealed. Trusts: nothing. Blocks: never.

use std::time::{Duration, Instant};

use crate::message::{FieldName, Interim, Request, ResponseFields, Status, UploadState, Value, Version};

/// Not more often than this: each offset that is told costs a sync.
const EVERY: Duration = Duration::from_secs(5);
/// And not for less than this: many slow clients together must not keep the disk busy with syncs.
const EVERY_BYTES: u64 = 4 << 20;

/// What the client of one request is told on the way.
pub(super) struct Progress {
    /// The iteration of the draft that it speaks; `None`: it is told nothing.
    version: Option<u64>,
    told: u64,
    told_at: Instant,
    /// Stored, and not told yet.
    untold: Option<u64>,
}

impl Progress {
    /// That of a request whose content begins here, and that speaks this iteration of the draft.
    pub(super) fn new(version: Option<u64>, start: u64) -> Self {
        Self { version, told: start, told_at: Instant::now(), untold: None }
    }

    /// Is it time to store what has come up to this offset, and to tell it?
    pub(super) fn is_due(&self, offset: u64) -> bool {
        self.version.is_some() && offset.saturating_sub(self.told) >= EVERY_BYTES && self.told_at.elapsed() >= EVERY
    }

    /// This offset is stored.
    pub(super) fn note(&mut self, offset: u64) {
        (self.told, self.told_at, self.untold) = (offset, Instant::now(), Some(offset));
    }

    /// What is to be told now.
    pub(super) fn interim(&mut self) -> Option<Box<Interim>> {
        let (offset, version) = (self.untold.take()?, self.version?);
        let mut fields = ResponseFields::default();
        fields.push(FieldName::UploadOffset, Value::Number(offset));
        fields.push(FieldName::UploadDraftInteropVersion, Value::Number(version));
        Some(Box::new(Interim { status: Status::UPLOAD_RESUMPTION_SUPPORTED, fields }))
    }
}

/// The iteration of the draft in which a request can be told something before its answer.
pub(super) fn version_for_interim(request: &Request<'_>) -> Option<u64> {
    let state = UploadState::of(request.fields);
    state.interop_version.filter(|_| request.version == Version::Http11 && state.may_have_interim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_offset_is_told_once_and_only_to_who_understands_it() {
        let mut progress = Progress::new(Some(9), 7);
        let Some(earlier) = Instant::now().checked_sub(EVERY) else { return };
        assert!(!progress.is_due(7 + EVERY_BYTES), "too soon");
        progress.told_at = earlier;
        assert!(!progress.is_due(6 + EVERY_BYTES), "too little");
        assert!(progress.is_due(7 + EVERY_BYTES));
        assert!(progress.interim().is_none(), "not stored yet");
        progress.note(7 + EVERY_BYTES);
        assert!(!progress.is_due(7 + 2 * EVERY_BYTES));
        let interim = progress.interim().unwrap();
        assert_eq!(interim.fields.find(FieldName::UploadOffset), Some(&Value::Number(7 + EVERY_BYTES)));
        assert!(progress.interim().is_none(), "told already");
        let stranger = Progress { told_at: earlier, ..Progress::new(None, 0) };
        assert!(!stranger.is_due(u64::MAX));
    }
}
