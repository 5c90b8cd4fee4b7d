//! Test: the filter of 64-bit ARM, built on any other processor from the numbers that its calls have there.
//! The numbers are those of the kernel's asm-generic/unistd.h.

use std::collections::{BTreeMap, BTreeSet};

use super::seccomp::{Needs, compile, rules};
use crate::config::SandboxRefusal;

/// What is allowed here, and its number there.
const NUMBERS: &[(libc::c_long, i64)] = &[
    (libc::SYS_accept4, 242),
    (libc::SYS_brk, 214),
    (libc::SYS_clock_getres, 114),
    (libc::SYS_clock_gettime, 113),
    (libc::SYS_clock_nanosleep, 115),
    (libc::SYS_close, 57),
    (libc::SYS_dup3, 24),
    (libc::SYS_epoll_ctl, 21),
    (libc::SYS_epoll_pwait, 22),
    (libc::SYS_epoll_pwait2, 441),
    (libc::SYS_exit, 93),
    (libc::SYS_exit_group, 94),
    (libc::SYS_fadvise64, 223),
    (libc::SYS_fanotify_mark, 263),
    (libc::SYS_fallocate, 47),
    (libc::SYS_fchmod, 52),
    (libc::SYS_fchown, 55),
    (libc::SYS_fcntl, 25),
    (libc::SYS_fdatasync, 83),
    (libc::SYS_fgetxattr, 10),
    (libc::SYS_flistxattr, 13),
    (libc::SYS_flock, 32),
    (libc::SYS_fsetxattr, 7),
    (libc::SYS_fstat, 80),
    (libc::SYS_fstatfs, 44),
    (libc::SYS_fsync, 82),
    (libc::SYS_futex, 98),
    (libc::SYS_getdents64, 61),
    (libc::SYS_getegid, 177),
    (libc::SYS_geteuid, 175),
    (libc::SYS_getgid, 176),
    (libc::SYS_getpeername, 205),
    (libc::SYS_getpid, 172),
    (libc::SYS_getrandom, 278),
    (libc::SYS_getsockname, 204),
    (libc::SYS_getsockopt, 209),
    (libc::SYS_gettid, 178),
    (libc::SYS_gettimeofday, 169),
    (libc::SYS_getuid, 174),
    (libc::SYS_ioctl, 29),
    (libc::SYS_linkat, 37),
    (libc::SYS_lseek, 62),
    (libc::SYS_madvise, 233),
    (libc::SYS_mkdirat, 34),
    (libc::SYS_mmap, 222),
    (libc::SYS_mprotect, 226),
    (libc::SYS_mremap, 216),
    (libc::SYS_munmap, 215),
    (libc::SYS_nanosleep, 101),
    (libc::SYS_newfstatat, 79),
    (libc::SYS_openat, 56),
    (libc::SYS_openat2, 437),
    (libc::SYS_ppoll, 73),
    (libc::SYS_prctl, 167),
    (libc::SYS_pread64, 67),
    (libc::SYS_preadv, 69),
    (libc::SYS_preadv2, 286),
    (libc::SYS_prlimit64, 261),
    (libc::SYS_pwrite64, 68),
    (libc::SYS_pwritev, 70),
    (libc::SYS_read, 63),
    (libc::SYS_readlinkat, 78),
    (libc::SYS_readv, 65),
    (libc::SYS_recvfrom, 207),
    (libc::SYS_recvmsg, 212),
    (libc::SYS_renameat, 38),
    (libc::SYS_renameat2, 276),
    (libc::SYS_restart_syscall, 128),
    (libc::SYS_rseq, 293),
    (libc::SYS_rt_sigaction, 134),
    (libc::SYS_rt_sigprocmask, 135),
    (libc::SYS_rt_sigreturn, 139),
    (libc::SYS_sched_getaffinity, 123),
    (libc::SYS_sched_yield, 124),
    (libc::SYS_sendfile, 71),
    (libc::SYS_sendto, 206),
    (libc::SYS_set_robust_list, 99),
    (libc::SYS_setsockopt, 208),
    (libc::SYS_shutdown, 210),
    (libc::SYS_sigaltstack, 132),
    (libc::SYS_statx, 291),
    (libc::SYS_tgkill, 131),
    (libc::SYS_unlinkat, 35),
    (libc::SYS_utimensat, 88),
    (libc::SYS_write, 64),
    (libc::SYS_writev, 66),
];

/// Calls of older processors only: there another one of the list does the same.
const ABSENT: &[libc::c_long] = &[
    #[cfg(target_arch = "x86_64")]
    libc::SYS_epoll_wait,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_poll,
];

#[test]
fn the_filter_of_64_bit_arm_allows_the_same_calls() {
    let here = rules(Needs { folders: true, writes: true, syslog: true }).unwrap();
    let numbers: BTreeMap<_, _> = NUMBERS.iter().copied().collect();
    let unknown: Vec<_> = here.keys().filter(|call| !numbers.contains_key(call) && !ABSENT.contains(call)).collect();
    assert!(unknown.is_empty(), "calls without a number on 64-bit ARM: {unknown:?}");
    let allowed = |call: &&(libc::c_long, i64)| here.contains_key(&call.0);
    assert_eq!(NUMBERS.iter().filter(allowed).count(), NUMBERS.len(), "what is not allowed here stands in the table");
    assert_eq!(NUMBERS.iter().map(|(_, there)| there).collect::<BTreeSet<_>>().len(), NUMBERS.len());

    let count = here.len() - ABSENT.len();
    let there: BTreeMap<_, _> =
        here.into_iter().filter_map(|(call, rules)| Some((*numbers.get(&call)?, rules))).collect();
    assert_eq!(there.len(), count);
    assert!(!compile(there, SandboxRefusal::Errno, "aarch64").unwrap().is_empty());
}

#[test]
fn a_processor_without_a_filter_is_an_error_and_no_service() {
    let rules = rules(Needs::default()).unwrap();
    assert!(compile(rules, SandboxRefusal::Errno, "sparc64").is_err());
}
