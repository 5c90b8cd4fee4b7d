//! Uploads: created, replaced, refused; whole or not at all; and what was acknowledged is never lost.

mod atomic;
mod attributes;
mod concurrent;
mod crash;
mod cut;
mod folders;
mod hanging;
mod locked;
mod order;
mod readers;
mod room;
mod verified;

use crate::common::{Server, until};

/// Insists that no upload leaves anything in the root itself.
fn assert_no_temporaries(server: &Server) {
    let is_ours = |name: &String| name.starts_with(".fileserv-") && name.ends_with(".new");
    until("no temporary is left", || !server.site.names().iter().any(is_ours));
}

/// The name of the temporary of an upload that has begun.
fn await_temporary(server: &Server) -> String {
    let mut found = None;
    until("an upload has begun", || {
        found = server.site.names().into_iter().find(|name| name.starts_with(".fileserv-"));
        found.is_some()
    });
    found.unwrap()
}
