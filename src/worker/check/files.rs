//! Acts on files: what lies outside the roots, and what may only be read.
//! Process: a worker of `--check-sandbox`, sealed.

use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::Path;

use super::{Act, Scene};
use crate::sys::{attempt, failure};

/// In the order in which an attacker would try them.
pub(super) const ACTS: &[Act] = &[
    Act {
        name: "read a file outside the root",
        call: "openat of an absolute path",
        attempt: |scene| fs::read(scene.path("secret")?.to_string_lossy().as_ref()).map(drop),
    },
    Act {
        name: "read it by ..",
        call: "openat of ../secret from the root",
        attempt: |scene| attempt::open_at(scene.root.as_fd(), c"../secret"),
    },
    Act {
        name: "read it by .. without rules",
        call: "openat2 of ../secret from the root, resolve = 0",
        attempt: |scene| attempt::open_anyhow(scene.root.as_fd(), c"../secret"),
    },
    Act {
        name: "read it by a symbolic link",
        call: "openat of a link in the root to ../secret",
        attempt: |scene| attempt::open_at(scene.root.as_fd(), c"out"),
    },
    Act {
        name: "read it through its own descriptors",
        call: "openat of /proc/self/fd/ROOT/../secret",
        attempt: |scene| fs::read(format!("/proc/self/fd/{}/../secret", scene.root.as_raw_fd())).map(drop),
    },
    Act {
        name: "read it through its own root",
        call: "openat beneath /proc/self/root",
        attempt: |scene| fs::read(format!("/proc/self/root{}", scene.path("secret")?.to_string_lossy())).map(drop),
    },
    Act {
        name: "read what everybody may",
        call: "openat of /etc/passwd",
        attempt: |_| fs::read("/etc/passwd").map(drop),
    },
    Act {
        name: "read its own memory as a file",
        call: "openat of /proc/self/mem",
        attempt: |_| fs::File::open("/proc/self/mem").map(drop),
    },
    Act {
        name: "list a folder outside the root",
        call: "openat and getdents64 of an absolute path",
        attempt: |scene| fs::read_dir(scene.path("away")?.to_string_lossy().as_ref()).map(drop),
    },
    Act {
        name: "list the folder above the root",
        call: "openat of .. from the root",
        attempt: |scene| attempt::open_at(scene.root.as_fd(), c".."),
    },
    Act {
        name: "list the root of the system",
        call: "openat and getdents64 of /",
        attempt: |_| fs::read_dir("/").map(drop),
    },
    Act {
        name: "write a file outside the root",
        call: "openat O_WRONLY of an absolute path",
        attempt: |scene| attempt::open_to_write(&scene.path("away/written")?),
    },
    Act {
        name: "make a file outside the root",
        call: "openat O_CREAT of an absolute path",
        attempt: |scene| attempt::make_file(&scene.path("away/new")?),
    },
    Act {
        name: "remove a file outside the root",
        call: "unlinkat of an absolute path",
        attempt: |scene| attempt::remove(&scene.path("away/removed")?),
    },
    Act {
        name: "move a file out of the root",
        call: "renameat2 from the folder of uploads",
        attempt: |scene| attempt::rename(&scene.path("root/in/moved")?, &scene.path("away/taken")?),
    },
    Act {
        name: "move a file into the root",
        call: "renameat2 to the folder of uploads",
        attempt: |scene| attempt::rename(&scene.path("away/moved")?, &scene.path("root/in/brought")?),
    },
    Act {
        name: "link a file out of the root",
        call: "linkat from the folder of uploads",
        attempt: |scene| attempt::link(&scene.path("root/in/linked")?, &scene.path("away/link")?),
    },
    Act {
        name: "link a file into the root",
        call: "linkat to the folder of uploads",
        attempt: |scene| attempt::link(&scene.path("secret")?, &scene.path("root/in/link")?),
    },
    Act {
        name: "write where only reading is allowed",
        call: "openat O_WRONLY of a file in the root",
        attempt: |scene| attempt::open_to_write(&scene.path("root/file")?),
    },
    Act {
        name: "make a file there",
        call: "openat O_CREAT in the root",
        attempt: |scene| attempt::make_file(&scene.path("root/new")?),
    },
    Act {
        name: "remove a file there",
        call: "unlinkat in the root",
        attempt: |scene| attempt::remove(&scene.path("root/removed")?),
    },
    Act {
        name: "rename a file there",
        call: "renameat2 in the root",
        attempt: |scene| attempt::rename(&scene.path("root/renamed")?, &scene.path("root/other")?),
    },
    Act {
        name: "cut off a file there",
        call: "truncate in the root",
        attempt: |scene| attempt::truncate(&scene.path("root/cut")?),
    },
    Act {
        name: "make a folder there",
        call: "mkdirat in the root",
        attempt: |scene| attempt::make_folder(&scene.path("root/folder")?),
    },
    Act {
        name: "write in the roots of the configuration that are only read",
        call: "openat O_TMPFILE in each of them",
        attempt: |scene| match scene.read_only_roots.is_empty() {
            // All may be written: the check has one of its own that may not.
            true => attempt::make_nameless(scene.root.as_fd()),
            false => any(scene.read_only_roots.iter().map(|root| attempt::make_nameless(root.as_fd()))),
        },
    },
    Act {
        name: "make a folder where uploads go, unless they may",
        call: "mkdirat in the folder of uploads",
        attempt: |scene| {
            let name = if scene.makes_folders { "away/folder" } else { "root/in/folder" };
            attempt::make_folder(&scene.path(name)?)
        },
    },
    Act {
        name: "make a device where uploads go",
        call: "mknodat S_IFCHR in the folder of uploads",
        attempt: |scene| attempt::make_device(&scene.path("root/in/device")?),
    },
    Act {
        name: "make a named pipe there",
        call: "mknodat S_IFIFO in the folder of uploads",
        attempt: |scene| attempt::make_pipe(&scene.path("root/in/pipe")?),
    },
    Act {
        name: "make a symbolic link there",
        call: "symlinkat in the folder of uploads",
        attempt: |scene| attempt::make_link_to_root(&scene.path("root/in/to-root")?),
    },
    Act {
        name: "make a set-user-id file there",
        call: "openat O_CREAT 04755 in the folder of uploads",
        attempt: |scene| attempt::make_setuid(&scene.path("root/in/setuid")?),
    },
    Act {
        name: "let an open file be set-user-id",
        call: "fchmod 04755 of an own file",
        attempt: |scene| attempt::become_setuid(scene.log.as_fd()),
    },
    Act {
        name: "empty a log",
        call: "ftruncate of a descriptor from before the seal",
        attempt: |scene| attempt::truncate_open(scene.log.as_fd()),
    },
    Act {
        name: "let a log be overwritten",
        call: "fcntl F_SETFL of a descriptor from before the seal",
        attempt: |scene| attempt::clear_flags(scene.log.as_fd()),
    },
    Act {
        name: "overwrite a log",
        call: "pwritev2 RWF_NOAPPEND of a descriptor from before the seal",
        attempt: |scene| attempt::overwrite(scene.log.as_fd()),
    },
    Act {
        name: "cut a hole into a log",
        call: "fallocate of a descriptor from before the seal",
        attempt: |scene| attempt::punch_hole(scene.log.as_fd()),
    },
    Act {
        name: "change permissions by path",
        call: "fchmodat of an own file outside the root",
        attempt: |scene| attempt::chmod(&scene.path("away/owned")?),
    },
    Act {
        name: "change permissions by path, the newer way",
        call: "fchmodat2 of an own file outside the root",
        attempt: |scene| attempt::chmod_newly(&scene.path("away/owned")?),
    },
    Act {
        name: "change the owner by path",
        call: "fchownat of an own file outside the root",
        attempt: |scene| attempt::chown(&scene.path("away/owned")?),
    },
    Act {
        name: "change times by path",
        call: "utimensat of an own file outside the root",
        attempt: |scene| attempt::set_times(&scene.path("away/owned")?),
    },
    Act {
        name: "change attributes by path",
        call: "setxattr of an own file outside the root",
        attempt: |scene| attempt::set_attribute(&scene.path("away/owned")?),
    },
    Act {
        name: "list attributes by path",
        call: "listxattr of an own file outside the root",
        attempt: |scene| attempt::list_attributes(&scene.path("away/owned")?),
    },
    // Where uploads are allowed, their descriptors need these calls: the same by path is tried in their place.
    Act {
        name: "change permissions of what is only read, unless uploads are allowed",
        call: "fchmod of a served file",
        attempt: |scene| match scene.writes {
            true => attempt::chmod(&scene.path("away/owned")?),
            false => attempt::chmod_open(scene.shown.as_fd()),
        },
    },
    Act {
        name: "change its owner, unless uploads are allowed",
        call: "fchown of a served file",
        attempt: |scene| match scene.writes {
            true => attempt::chown(&scene.path("away/owned")?),
            false => attempt::chown_open(scene.shown.as_fd()),
        },
    },
    Act {
        name: "change its times, unless uploads are allowed",
        call: "utimensat without a path of a served file",
        attempt: |scene| match scene.writes {
            true => attempt::set_times(&scene.path("away/owned")?),
            false => attempt::set_times_open(scene.shown.as_fd()),
        },
    },
    Act {
        name: "change its attributes, unless uploads are allowed",
        call: "fsetxattr of a served file",
        attempt: |scene| match scene.writes {
            true => attempt::set_attribute(&scene.path("away/owned")?),
            false => attempt::set_attribute_open(scene.shown.as_fd()),
        },
    },
    Act { name: "watch files elsewhere", call: "inotify_init1", attempt: |_| attempt::watch_files() },
    Act { name: "watch all files", call: "fanotify_init", attempt: |_| attempt::watch_all_files() },
    Act {
        name: "watch a folder outside the root",
        call: "fanotify_mark of an absolute path",
        attempt: |scene| attempt::watch_path(group(scene)?, &scene.path("away")?),
    },
    Act {
        name: "watch it through a descriptor",
        call: "openat of it, fanotify_mark without a path",
        attempt: |scene| {
            let folder = fs::File::open(Path::new(scene.path("away")?.to_string_lossy().as_ref()))?;
            attempt::watch_open(group(scene)?, folder.as_fd())
        },
    },
    Act {
        name: "name a file without a path",
        call: "name_to_handle_at of a file outside the root",
        attempt: |scene| attempt::handle_of(&scene.path("secret")?),
    },
    Act {
        name: "open a file without a path",
        call: "open_by_handle_at",
        attempt: |scene| attempt::open_handle(scene.log.as_fd()),
    },
];

/// What a worker hears of changes by. Where nobody may have one, there is nothing to try.
fn group(scene: &Scene) -> io::Result<BorrowedFd<'_>> {
    scene.watcher.as_ref().map(AsFd::as_fd).ok_or_else(failure::no_such_call)
}

/// The first that was possible, or the last refusal.
fn any(attempts: impl Iterator<Item = std::io::Result<()>>) -> std::io::Result<()> {
    let mut last = Ok(());
    for attempt in attempts {
        if attempt.is_ok() {
            return Ok(());
        }
        last = attempt;
    }
    last
}
