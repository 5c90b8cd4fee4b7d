//! Hearing of changes to files and folders from the kernel (fanotify(7)), each named by an open descriptor.
//! Process: worker. Made before the seal; marks are set behind it. Privileges: none. Blocks: never.
//! Not inotify: it takes paths, and a sealed worker that may watch paths learns what happens all over the system. A mark
//! by descriptor goes no further than Landlock let the descriptor be opened, and this group never gets to open a file.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;
use nix::sys::fanotify::{EventFFlags, Fanotify, InitFlags, MarkFlags, MaskFlags};
use nix::sys::statfs::{BTRFS_SUPER_MAGIC, EXT4_SUPER_MAGIC, TMPFS_MAGIC, XFS_SUPER_MAGIC, fstatfs};

use super::epoll::Bell;

/// Some 70 events; the kernel makes one of those of one kind on one file.
const BUFFER_BYTES: usize = 4096;
/// No event takes more: its words, one record, and in it a handle of at most 128 bytes. A read that leaves as much room
/// has emptied the queue.
const EVENT_BYTES: usize = 256;
/// So many full reads are made at once, some thousand events. Who makes them faster than they are read is not to keep the
/// worker from its clients.
const READS_AT_ONCE: usize = 32;
/// Where an event says how long it is, and what happened (`struct fanotify_event_metadata`); the rest names the file.
const LENGTH_AT: usize = 0;
const MASK_AT: usize = 8;

/// A group of marks, and the queue of what happened to what they stand on.
pub struct Watcher {
    group: Fanotify,
    /// Is there something in the queue?
    bell: Bell,
    buffer: Box<[u8]>,
}

/// What has changed since the last look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Changes {
    /// Something about a marked file: content, times, permissions, names.
    pub files: bool,
    /// A name has come into a folder that was marked for it.
    pub names: bool,
    /// A marked folder, or one in it, was removed; or one was moved, or closed to somebody.
    pub folders: bool,
}

impl Changes {
    /// So much that it could not be told apart.
    const UNKNOWN: Self = Self { files: true, names: true, folders: true };

    fn add(&mut self, mask: MaskFlags) {
        let own = MaskFlags::FAN_ATTRIB | MaskFlags::FAN_MOVE_SELF | MaskFlags::FAN_DELETE_SELF;
        if mask.contains(MaskFlags::FAN_Q_OVERFLOW) {
            *self = Self::UNKNOWN;
        }
        if mask.intersects(MaskFlags::FAN_CREATE | MaskFlags::FAN_MOVED_TO) {
            self.names = true;
        }
        // Events of one object are made one, but never those of a folder with others.
        let is_folder = mask.contains(MaskFlags::FAN_ONDIR);
        // A removed folder tells of it itself only when nobody has it open any more; the one it was in, at once.
        self.folders |= is_folder && mask.intersects(own | MaskFlags::FAN_DELETE);
        self.files |= !is_folder && mask.intersects(own | MaskFlags::FAN_MODIFY);
    }
}

impl Watcher {
    /// A group without marks.
    ///
    /// # Errors
    /// As fanotify_init(2): ENOSYS or EPERM where the kernel, or a filter of a container, does not let ordinary users
    /// have one (Linux 5.13 does); EMFILE when this user has too many.
    pub fn new() -> io::Result<Self> {
        // Events name files by handles: an ordinary user's group gets no descriptors, and no process ids.
        let by_handle = InitFlags::from_bits_retain(libc::FAN_REPORT_FID);
        let flags = InitFlags::FAN_CLASS_NOTIF | InitFlags::FAN_CLOEXEC | InitFlags::FAN_NONBLOCK | by_handle;
        let group = Fanotify::init(flags, EventFFlags::empty())?;
        Ok(Self { bell: Bell::of(&group)?, group, buffer: vec![0; BUFFER_BYTES].into_boxed_slice() })
    }

    /// Marks an open file: writes through any of its names, new times, permissions and names, and the loss of one. The
    /// kernel says nothing of what is written to mapped memory, by asynchronous writes (io_submit(2)), or, before Linux
    /// 6.5 or so, by splice(2).
    ///
    /// # Errors
    /// As fanotify_mark(2): ENOSPC when this user has too many marks; ENODEV, EXDEV, EOPNOTSUPP where the file system
    /// can't have any.
    pub fn watch_file(&self, file: impl AsFd) -> io::Result<()> {
        let mask =
            MaskFlags::FAN_MODIFY | MaskFlags::FAN_ATTRIB | MaskFlags::FAN_MOVE_SELF | MaskFlags::FAN_DELETE_SELF;
        self.add(mask, file)
    }

    /// Marks an open folder: that it is moved, removed, or gets other permissions, and that a folder in it is removed;
    /// with `names` also that a name comes into it.
    ///
    /// # Errors
    /// As for a file.
    pub fn watch_folder(&self, folder: impl AsFd, names: bool) -> io::Result<()> {
        let own = MaskFlags::FAN_ATTRIB | MaskFlags::FAN_MOVE_SELF | MaskFlags::FAN_DELETE_SELF | MaskFlags::FAN_DELETE;
        let of_names = if names { MaskFlags::FAN_CREATE | MaskFlags::FAN_MOVED_TO } else { MaskFlags::empty() };
        self.add(own | of_names | MaskFlags::FAN_ONDIR, folder)
    }

    fn add(&self, mask: MaskFlags, what: impl AsFd) -> io::Result<()> {
        Ok(self.group.mark(MarkFlags::FAN_MARK_ADD, mask, what, None::<&str>)?)
    }

    /// Takes all marks away.
    ///
    /// # Errors
    /// None that is known; then the marks may still be there.
    pub fn clear(&self) -> io::Result<()> {
        Ok(self.group.mark(MarkFlags::FAN_MARK_FLUSH, MaskFlags::empty(), &self.group, None::<&str>)?)
    }

    /// Reads all that has happened, or says that it may be anything where that is too much to be read at once. An event
    /// is in the queue before the call that made it returns to its caller.
    ///
    /// That epoll has told of a request, and in the same call not of this queue, spares nobody this read. It takes a list
    /// of what may be ready, and then asks one after the other: a connection that was on that list for an older reason
    /// (the second segment of the request before, a first event after it was added) is told of with a request that came
    /// while the list was gone through, and a change that was made before that request, but after the list was taken, is
    /// told of by the next call only. So is all that `recv` finds that came after epoll's return.
    ///
    /// What is mostly true, that nothing has happened, is asked of an epoll instance of its own, after the request has
    /// come. The call that puts an event into the queue puts the queue on the list of that instance before it returns;
    /// there it stays until a later look has found it empty.
    ///
    /// # Errors
    /// As read(2).
    pub fn changes(&mut self) -> io::Result<Changes> {
        let mut changes = Changes::default();
        if !self.bell.rings() {
            return Ok(changes);
        }
        for _ in 0..READS_AT_ONCE {
            match nix::unistd::read(&self.group, &mut self.buffer) {
                Ok(count) => {
                    read_events(self.buffer.get(..count).unwrap_or_default(), &mut changes);
                    if count + EVENT_BYTES <= self.buffer.len() {
                        return Ok(changes);
                    }
                }
                Err(Errno::EAGAIN) => return Ok(changes),
                Err(Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(Changes::UNKNOWN)
    }
}

impl AsFd for Watcher {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.group.as_fd()
    }
}

/// Walks over the events of a buffer. One that can't be read may have said anything.
fn read_events(mut events: &[u8], changes: &mut Changes) {
    while !events.is_empty() {
        let length = number(events, LENGTH_AT).map(u32::from_ne_bytes).and_then(|length| usize::try_from(length).ok());
        let mask = number(events, MASK_AT).map(u64::from_ne_bytes);
        let (Some(length), Some(mask)) = (length, mask) else {
            *changes = Changes::UNKNOWN;
            return;
        };
        changes.add(MaskFlags::from_bits_retain(mask));
        events = events.get(length.max(MASK_AT)..).unwrap_or_default();
    }
}

fn number<const N: usize>(event: &[u8], at: usize) -> Option<[u8; N]> {
    event.get(at..)?.first_chunk().copied()
}

/// Is the file system of this folder one whose every change passes this kernel? What others change in a file system of
/// a network, or beneath a layered one, nobody tells.
///
/// # Errors
/// As fstatfs(2).
pub fn tells_of_all_changes(folder: BorrowedFd<'_>) -> io::Result<bool> {
    let kind = fstatfs(folder)?.filesystem_type();
    Ok([EXT4_SUPER_MAGIC, XFS_SUPER_MAGIC, BTRFS_SUPER_MAGIC, TMPFS_MAGIC].contains(&kind))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, File, OpenOptions};
    use std::io::Write;

    const NOTHING: Changes = Changes { files: false, names: false, folders: false };
    const FILES: Changes = Changes { files: true, ..NOTHING };
    const NAMES: Changes = Changes { names: true, ..NOTHING };
    const FOLDERS: Changes = Changes { folders: true, ..NOTHING };

    #[test]
    fn every_change_of_a_marked_file_is_heard() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::write(at("file"), "one").unwrap();
        fs::create_dir(at("other")).unwrap();
        let mut watcher = Watcher::new().unwrap();
        watcher.watch_file(File::open(at("file")).unwrap()).unwrap();
        fs::write(at("stranger"), "x").unwrap();
        assert_eq!(watcher.changes().unwrap(), NOTHING);
        let acts: [(&str, &dyn Fn()); 9] = [
            ("written", &|| OpenOptions::new().write(true).open(at("file")).unwrap().write_all(b"t").unwrap()),
            ("linked", &|| fs::hard_link(at("file"), at("other/link")).unwrap()),
            ("written by its link", &|| fs::write(at("other/link"), "three").unwrap()),
            ("cut off", &|| OpenOptions::new().write(true).open(at("file")).unwrap().set_len(1).unwrap()),
            ("touched", &|| File::open(at("file")).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap()),
            ("closed", &|| {
                fs::set_permissions(at("file"), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
            }),
            ("moved", &|| fs::rename(at("file"), at("other/file")).unwrap()),
            ("replaced", &|| fs::rename(at("stranger"), at("other/file")).unwrap()),
            ("removed", &|| fs::remove_file(at("other/link")).unwrap()),
        ];
        for (what, act) in acts {
            act();
            assert_eq!(watcher.changes().unwrap(), FILES, "{what}");
            assert_eq!(watcher.changes().unwrap(), NOTHING, "{what}: it is told once");
        }
    }

    #[test]
    fn folders_tell_of_themselves_and_of_names_where_that_is_wanted() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir_all(at("a/b")).unwrap();
        let mut watcher = Watcher::new().unwrap();
        watcher.watch_folder(File::open(at("a")).unwrap(), false).unwrap();
        fs::write(at("a/file"), "x").unwrap();
        assert_eq!(watcher.changes().unwrap(), NOTHING);
        watcher.watch_folder(File::open(at("a")).unwrap(), true).unwrap();
        fs::write(at("a/new"), "x").unwrap();
        assert_eq!(watcher.changes().unwrap(), NAMES);
        fs::rename(at("a/b"), at("a/c")).unwrap();
        assert_eq!(watcher.changes().unwrap(), NAMES);
        fs::rename(at("a"), at("z")).unwrap();
        assert_eq!(watcher.changes().unwrap(), FOLDERS);
        fs::set_permissions(at("z"), std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
        assert_eq!(watcher.changes().unwrap(), FOLDERS);
        fs::remove_file(at("z/file")).unwrap();
        assert_eq!(watcher.changes().unwrap(), NOTHING);
        let held = File::open(at("z/c")).unwrap();
        watcher.watch_folder(&held, false).unwrap();
        fs::remove_dir(at("z/c")).unwrap();
        assert_eq!(watcher.changes().unwrap(), FOLDERS, "though somebody has it open");
        watcher.clear().unwrap();
        fs::rename(at("z"), at("a")).unwrap();
        assert_eq!(watcher.changes().unwrap(), NOTHING);
    }

    #[test]
    fn more_than_can_be_read_at_once_may_mean_anything() {
        let folder = tempfile::tempdir().unwrap();
        let mut watcher = Watcher::new().unwrap();
        let files: Vec<_> = (0..4096).map(|number| folder.path().join(number.to_string())).collect();
        for file in &files {
            watcher.watch_file(File::create(file).unwrap()).unwrap();
        }
        for file in &files {
            fs::write(file, "x").unwrap();
        }
        assert_eq!(watcher.changes().unwrap(), Changes::UNKNOWN);
        assert_eq!(watcher.changes().unwrap(), FILES, "the others");
        assert_eq!(watcher.changes().unwrap(), NOTHING);
    }

    #[test]
    fn words_that_make_no_sense_may_mean_anything() {
        let mut changes = NOTHING;
        read_events(&[1, 2, 3], &mut changes);
        assert_eq!(changes, Changes::UNKNOWN);
        let mut overflow = NOTHING;
        overflow.add(MaskFlags::FAN_Q_OVERFLOW);
        assert_eq!(overflow, Changes::UNKNOWN);
    }
}
