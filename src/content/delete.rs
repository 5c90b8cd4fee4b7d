//! Provider `content_delete`: removes a regular file.
//! Process: worker, sealed; the removal runs on a helper thread. Fails with: 403, 404, 409, 412.

use std::os::fd::AsFd;

use super::Context;
use super::commit::{Rules, current, lock_folder, open_folder, split, write_refusal};
use super::quota::Quotas;
use crate::config::Durability;
use crate::message::{Handled, Preconditions, Provided, Refusal, Request, Response, Status};
use crate::sys::file;

/// Removes the target, its preconditions decided under the lock of all commits.
///
/// # Errors
/// 404 if nothing is there, 409 for what is no regular file.
#[doc(alias = "content_delete")]
pub fn delete(ctx: &Context<'_>, request: &Request<'_>) -> Provided {
    let (folder_path, name) = split(&request.path)?;
    let folder = open_folder(ctx, folder_path)?;
    let rules = Rules {
        method: request.method,
        verbs: ctx.site.access.verbs(&request.path),
        preconditions: Preconditions::of(request.fields),
    };
    let quotas = Quotas::of(ctx, &request.path)?;
    let (name, durability, syncs) = (name.to_vec(), ctx.config.uploads.durability, ctx.syncs.clone());
    Ok(Handled::Await(Box::new(move || {
        let mut ledgers = quotas.lock()?;
        let lock = lock_folder(&folder)?;
        let before = current(&lock, &name)?.ok_or_else(Refusal::not_found)?;
        rules.check_preconditions(Some(&before))?;
        file::remove_entry(lock.as_fd(), &name).map_err(|error| write_refusal(&error))?;
        ledgers.refund(before.size, 0);
        drop((lock, ledgers));
        if durability == Durability::Full {
            syncs.sync(&folder).map_err(|error| write_refusal(&error))?;
        }
        Ok(Response::new(Status::NO_CONTENT))
    })))
}
