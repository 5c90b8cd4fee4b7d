//! Provider `content_delete`: removes a regular file.
//! Process: worker, sealed; the removal runs on a helper thread. Fails with: 403, 404, 409, 412.

use std::os::fd::AsFd;

use super::Context;
use super::commit::{unsynced_refusal, write_refusal};
use super::locks::{Held, Locks};
use super::quota::Quotas;
use super::served::tell_operator;
use super::syncs::FolderSyncs;
use super::target::{Target, current};
use crate::config::Durability;
use crate::log::Logs;
use crate::message::{Handled, Provided, Refusal, Request, Response, Status, Worked};
use crate::sys::file;

/// Removes the target, its preconditions decided under the lock of all commits.
///
/// # Errors
/// 404 if nothing is there, 409 for what is no regular file.
#[doc(alias = "content_delete")]
pub fn delete(ctx: &Context<'_>, request: &Request<'_>) -> Provided {
    let removal = Removal {
        target: Target::to_remove(ctx, request)?,
        durability: ctx.config.uploads.durability,
        syncs: ctx.syncs.clone(),
        logs: ctx.logs.clone(),
        path: request.path.to_vec(),
    };
    let locks = Locks::new(removal.target.folder.clone(), Quotas::of(ctx, &request.path)?);
    Ok(Handled::Await(Box::new(move || {
        locks.change(Box::new(move |held| {
            let (logs, path) = (removal.logs.clone(), removal.path.clone());
            let removed = held.and_then(|held| removal.run(held));
            Worked::Done(removed.map_err(|refusal| {
                tell_operator(&logs, Some(&path), &refusal);
                Refusal { os_error: None, ..refusal }
            }))
        }))
    })))
}

/// What will remove the target.
struct Removal {
    target: Target,
    durability: Durability,
    syncs: FolderSyncs,
    logs: Logs,
    /// The target's path, decoded.
    path: Vec<u8>,
}

impl Removal {
    fn run(self, held: Held<'_>) -> Result<Response, Refusal> {
        let Target { folder, name, rules } = self.target;
        let Held { lock, mut ledgers } = held;
        let before = current(&*folder, &name)?.ok_or_else(Refusal::not_found)?;
        rules.check_preconditions(Some(&before))?;
        file::remove_entry(folder.as_fd(), &name).map_err(|error| write_refusal(&error))?;
        ledgers.refund(before.size, 0);
        drop((lock, ledgers));
        if self.durability == Durability::Full {
            let detail = "The file is removed, but the disk has not confirmed it: a crash may bring it back.";
            self.syncs.sync(&folder).map_err(unsynced_refusal(&self.logs, &self.path, detail))?;
        }
        Ok(Response::new(Status::NO_CONTENT))
    }
}
