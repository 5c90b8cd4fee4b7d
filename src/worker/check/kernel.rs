//! Acts on the kernel's larger interfaces: mounts, identities, keys, code in memory.
//! Process: a worker of `--check-sandbox`, sealed.

use super::Act;
use crate::sys::{attempt, credentials};

pub(super) const ACTS: &[Act] = &[
    Act { name: "mount a file system", call: "mount of tmpfs", attempt: |_| attempt::mount() },
    Act { name: "unmount one", call: "umount2", attempt: |_| attempt::unmount() },
    Act { name: "mount the newer way", call: "fsopen", attempt: |_| attempt::open_file_system() },
    Act { name: "copy a tree of mounts", call: "open_tree", attempt: |_| attempt::open_tree() },
    Act { name: "change the root", call: "chroot", attempt: |_| attempt::chroot() },
    Act { name: "exchange the root", call: "pivot_root", attempt: |_| attempt::pivot_root() },
    Act {
        name: "enter a user namespace of its own",
        call: "unshare CLONE_NEWUSER",
        attempt: |_| attempt::unshare_users(),
    },
    Act { name: "stop sharing descriptors", call: "unshare CLONE_FILES", attempt: |_| attempt::unshare_files() },
    Act { name: "enter another namespace", call: "setns", attempt: |_| attempt::join_namespace() },
    Act { name: "become root", call: "setresuid 0", attempt: |_| attempt::become_root() },
    Act { name: "set its user", call: "setuid to itself", attempt: |_| attempt::set_user(credentials::user_id()) },
    Act { name: "join the group of root", call: "setresgid 0", attempt: |_| attempt::join_root() },
    Act { name: "leave its groups", call: "setgroups", attempt: |_| attempt::leave_groups() },
    Act { name: "set capabilities", call: "capset", attempt: |_| attempt::set_capabilities() },
    Act { name: "rename the machine", call: "sethostname", attempt: |_| attempt::rename_machine() },
    Act { name: "set the clock", call: "clock_settime", attempt: |_| attempt::set_clock() },
    Act { name: "read the kernel's log", call: "syslog", attempt: |_| attempt::read_kernel_log() },
    Act { name: "write the quotas of all", call: "quotactl", attempt: |_| attempt::use_quotas() },
    Act { name: "make a ring of system calls", call: "io_uring_setup", attempt: |_| attempt::make_ring() },
    Act { name: "look at programs in the kernel", call: "bpf", attempt: |_| attempt::use_bpf() },
    Act { name: "catch page faults", call: "userfaultfd", attempt: |_| attempt::catch_faults() },
    Act { name: "count events of the processor", call: "perf_event_open", attempt: |_| attempt::count_events() },
    Act {
        name: "reach the user's keys",
        call: "keyctl of the user's keyring",
        attempt: |_| attempt::ask_for_keyring(),
    },
    Act { name: "add a key", call: "add_key", attempt: |_| attempt::add_key() },
    Act { name: "ask for a key", call: "request_key", attempt: |_| attempt::request_key() },
    Act { name: "make a file in memory", call: "memfd_create", attempt: |_| attempt::make_memory_file() },
    Act { name: "make memory that outlives it", call: "shmget", attempt: |_| attempt::make_shared_memory() },
    Act { name: "make a queue that outlives it", call: "msgget", attempt: |_| attempt::make_message_queue() },
    Act { name: "make what it wrote executable", call: "mprotect PROT_EXEC", attempt: |_| attempt::make_code() },
    Act {
        name: "make it executable by a key",
        call: "pkey_mprotect PROT_EXEC",
        attempt: |_| attempt::make_code_by_key(),
    },
    Act { name: "map memory for code", call: "mmap PROT_EXEC", attempt: |_| attempt::map_code() },
    Act {
        name: "make all memory executable",
        call: "personality READ_IMPLIES_EXEC",
        attempt: |_| attempt::make_reading_executing(),
    },
    Act { name: "add a filter", call: "seccomp", attempt: |_| attempt::use_seccomp() },
    Act { name: "add a rule", call: "landlock_create_ruleset", attempt: |_| attempt::make_ruleset() },
];
