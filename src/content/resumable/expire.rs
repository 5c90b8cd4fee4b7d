//! Uploads that nobody goes on with: removed when their time is over.
//! Process: worker, on the thread that sweeps. Trusts: files of our own user only. Blocks: as the disk does.

use std::fs::File;
use std::os::fd::AsFd;

use super::id::{Kind, UploadId};
use crate::content::temporary::is_still_named;
use crate::sys::file::{self, FileKind, Identity};

/// Removes the upload that this entry of a folder belongs to, if it was changed last before this time, in seconds since
/// the epoch. True if it was.
pub(in crate::content) fn expire_entry(folder: &File, name: &[u8], our_uid: u32, before: u64) -> bool {
    let Some((id, kind)) = UploadId::of_name(name) else { return false };
    let find = |kind: Kind| {
        let identity = file::identity_of_entry(folder.as_fd(), id.name(kind).as_bytes()).ok()?;
        (identity.kind == FileKind::Regular && identity.uid == our_uid).then_some(identity)
    };
    let is_old = |identity: &Identity| identity.modified_seconds() < before;
    let look = || (find(Kind::Part), find(Kind::Record));
    let has_expired =
        |(part, record): (Option<Identity>, Option<Identity>)| [part, record].iter().flatten().all(is_old);
    let remove = |kind: Kind| file::remove_entry(folder.as_fd(), id.name(kind).as_bytes());
    let (part, record) = look();
    if !has_expired((part, record)) {
        return false;
    }
    match (kind, part, record) {
        (Kind::Part, Some(_), record) => {
            let Ok(file) = file::open_entry(folder.as_fd(), name) else { return false };
            // Who has the lock goes on with it, and who had it a moment ago may have done so.
            if file.try_lock().is_err() || !is_still_named(folder, name, &file) || !has_expired(look()) {
                return false;
            }
            (record.is_none() || remove(Kind::Record).is_ok()) && remove(Kind::Part).is_ok()
        }
        // The memory of an upload that is complete.
        (Kind::Record, None, Some(_)) => remove(Kind::Record).is_ok(),
        (Kind::Part, None, _) | (Kind::Record, _, _) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, SystemTime, UNIX_EPOCH};

    #[test]
    fn only_what_is_old_and_ours_and_free_goes() {
        let folder = tempfile::tempdir().unwrap();
        let opened = File::open(folder.path()).unwrap();
        let uid = file::identity(&opened).unwrap().uid;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let put = |name: &str, age: u64| {
            let file = File::create(folder.path().join(name)).unwrap();
            file.set_modified(UNIX_EPOCH + Duration::from_secs(now - age)).unwrap();
            file
        };
        let [old, fresh, half, complete, held] =
            [1, 2, 3, 4, 5].map(|number| UploadId::of_query(Some(&format!("upload={number:032}"))).unwrap());
        for (id, kind, age) in [
            (old, Kind::Part, 100),
            (old, Kind::Record, 90),
            (fresh, Kind::Part, 10),
            (fresh, Kind::Record, 90),
            (half, Kind::Part, 100),
            (complete, Kind::Record, 100),
            (held, Kind::Record, 100),
        ] {
            put(&id.name(kind), age);
        }
        let holder = put(&held.name(Kind::Part), 100);
        holder.lock().unwrap();
        put("thesis.part", 100);
        let names = || {
            let mut names: Vec<_> = std::fs::read_dir(folder.path())
                .unwrap()
                .map(|it| it.unwrap().file_name().into_string().unwrap())
                .collect();
            names.sort();
            names
        };
        let sweep = |uid| names().iter().filter(|name| expire_entry(&opened, name.as_bytes(), uid, now - 50)).count();
        assert_eq!(sweep(uid + 1), 0);
        assert_eq!(sweep(uid), 3);
        assert_eq!(
            names(),
            [
                fresh.name(Kind::Part),
                fresh.name(Kind::Record),
                held.name(Kind::Part),
                held.name(Kind::Record),
                "thesis.part".to_owned()
            ]
        );
    }
}
