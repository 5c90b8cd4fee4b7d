//! Acts on processes: new ones, the supervisor, and a sibling of the same user.
//! Process: a worker of `--check-sandbox`, sealed.

use std::fs::{self, File};
use std::os::fd::AsFd;
use std::sync::atomic::AtomicU8;

use super::Act;
use super::scene::PROGRAM;
use crate::sys::attempt;

/// A byte that stands at the same place in all processes of the check.
static MARK: AtomicU8 = AtomicU8::new(7);

pub(super) const ACTS: &[Act] = &[
    Act { name: "fork", call: "fork", attempt: |_| attempt::fork() },
    Act { name: "make a process", call: "clone SIGCHLD", attempt: |_| attempt::clone(0) },
    Act { name: "make a process, the newer way", call: "clone3", attempt: |_| attempt::clone3() },
    Act {
        name: "make a process that is root in a world of its own",
        call: "clone CLONE_NEWUSER",
        attempt: |_| attempt::clone(attempt::NEW_USER),
    },
    Act {
        name: "start a thread",
        call: "clone or clone3 of the C library",
        attempt: |_| std::thread::Builder::new().spawn(|| {}).map(drop),
    },
    Act { name: "execute a program", call: "execve of /bin/true", attempt: |_| attempt::execute(PROGRAM) },
    Act {
        name: "execute a program that is open",
        call: "execveat of a descriptor from before the seal",
        attempt: |scene| match &scene.program {
            Some(program) => attempt::execute_open(program.as_fd()),
            None => attempt::execute(PROGRAM),
        },
    },
    Act {
        name: "execute a program from memory",
        call: "memfd_create, write and execveat",
        attempt: |scene| match &scene.program {
            Some(program) => attempt::execute_from_memory(program),
            None => attempt::make_memory_file(),
        },
    },
    Act {
        name: "trace the supervisor",
        call: "ptrace PTRACE_SEIZE of the supervisor",
        attempt: |scene| attempt::trace(scene.supervisor),
    },
    Act {
        name: "read the memory of the supervisor",
        call: "process_vm_readv of the supervisor",
        attempt: |scene| attempt::read_memory(scene.supervisor, &MARK),
    },
    Act {
        name: "write the memory of the supervisor",
        call: "process_vm_writev of the supervisor",
        attempt: |scene| attempt::write_memory(scene.supervisor, &MARK),
    },
    Act {
        name: "open the memory of the supervisor",
        call: "openat of /proc/PID/mem of the supervisor",
        attempt: |scene| File::open(format!("/proc/{}/mem", scene.supervisor)).map(drop),
    },
    Act {
        name: "read the environment of the supervisor",
        call: "openat of /proc/PID/environ of the supervisor",
        attempt: |scene| fs::read(format!("/proc/{}/environ", scene.supervisor)).map(drop),
    },
    Act {
        name: "have the kernel kill the supervisor sooner",
        call: "openat O_WRONLY of /proc/PID/oom_score_adj of the supervisor",
        attempt: |scene| {
            File::options().write(true).open(format!("/proc/{}/oom_score_adj", scene.supervisor)).map(drop)
        },
    },
    Act {
        name: "signal the supervisor",
        call: "kill of the supervisor",
        attempt: |scene| attempt::signal(scene.supervisor),
    },
    Act {
        name: "signal a thread of the supervisor",
        call: "tkill of the supervisor",
        attempt: |scene| attempt::signal_thread(scene.supervisor),
    },
    Act {
        name: "signal the supervisor and no other",
        call: "tgkill of the supervisor",
        attempt: |scene| attempt::signal_thread_of(scene.supervisor),
    },
    Act {
        name: "have the kernel signal the supervisor",
        call: "fcntl F_SETOWN of the supervisor",
        attempt: |scene| attempt::send_signals_to(scene.listener.as_fd(), scene.supervisor),
    },
    Act {
        name: "take hold of the supervisor",
        call: "pidfd_open of the supervisor",
        attempt: |scene| attempt::open_process(scene.supervisor),
    },
    Act {
        name: "read the limits of the supervisor",
        call: "prlimit64, reading, of the supervisor",
        attempt: |scene| attempt::read_limit(scene.supervisor),
    },
    Act {
        name: "set the limits of the supervisor",
        call: "prlimit64, writing, of the supervisor",
        attempt: |scene| attempt::set_limit(scene.supervisor, &scene.limit),
    },
    Act {
        name: "choose the processors of the supervisor",
        call: "sched_setaffinity of the supervisor",
        attempt: |scene| attempt::choose_processors(scene.supervisor),
    },
    Act {
        name: "choose the scheduler of the supervisor",
        call: "sched_setscheduler of the supervisor",
        attempt: |scene| attempt::choose_scheduler(scene.supervisor),
    },
    Act {
        name: "choose the scheduling of the supervisor",
        call: "sched_setparam of the supervisor",
        attempt: |scene| attempt::choose_priority(scene.supervisor),
    },
    Act {
        name: "slow down the supervisor",
        call: "setpriority of the supervisor",
        attempt: |scene| attempt::set_priority(scene.supervisor, scene.nice),
    },
    Act {
        name: "slow down the disk of the supervisor",
        call: "ioprio_set of the supervisor",
        attempt: |scene| attempt::set_disk_priority(scene.supervisor),
    },
    Act {
        name: "compare itself with the supervisor",
        call: "kcmp of the supervisor",
        attempt: |scene| attempt::compare(scene.supervisor),
    },
    Act {
        name: "trace a sibling",
        call: "ptrace PTRACE_SEIZE of a sibling",
        attempt: |scene| attempt::trace(scene.sibling),
    },
    Act {
        name: "read the memory of a sibling",
        call: "process_vm_readv of a sibling",
        attempt: |scene| attempt::read_memory(scene.sibling, &MARK),
    },
    Act {
        name: "write the memory of a sibling",
        call: "process_vm_writev of a sibling",
        attempt: |scene| attempt::write_memory(scene.sibling, &MARK),
    },
    Act {
        name: "open the memory of a sibling",
        call: "openat of /proc/PID/mem of a sibling",
        attempt: |scene| File::open(format!("/proc/{}/mem", scene.sibling)).map(drop),
    },
    Act {
        name: "read the environment of a sibling",
        call: "openat of /proc/PID/environ of a sibling",
        attempt: |scene| fs::read(format!("/proc/{}/environ", scene.sibling)).map(drop),
    },
    Act {
        name: "have the kernel kill a sibling sooner",
        call: "openat O_WRONLY of /proc/PID/oom_score_adj of a sibling",
        attempt: |scene| File::options().write(true).open(format!("/proc/{}/oom_score_adj", scene.sibling)).map(drop),
    },
    Act { name: "signal a sibling", call: "kill of a sibling", attempt: |scene| attempt::signal(scene.sibling) },
    Act {
        name: "signal a thread of a sibling",
        call: "tkill of a sibling",
        attempt: |scene| attempt::signal_thread(scene.sibling),
    },
    Act {
        name: "signal a sibling and no other",
        call: "tgkill of a sibling",
        attempt: |scene| attempt::signal_thread_of(scene.sibling),
    },
    Act {
        name: "have the kernel signal a sibling",
        call: "fcntl F_SETOWN of a sibling",
        attempt: |scene| attempt::send_signals_to(scene.listener.as_fd(), scene.sibling),
    },
    Act {
        name: "take hold of a sibling",
        call: "pidfd_open of a sibling",
        attempt: |scene| attempt::open_process(scene.sibling),
    },
    Act {
        name: "read the limits of a sibling",
        call: "prlimit64, reading, of a sibling",
        attempt: |scene| attempt::read_limit(scene.sibling),
    },
    Act {
        name: "set the limits of a sibling",
        call: "prlimit64, writing, of a sibling",
        attempt: |scene| attempt::set_limit(scene.sibling, &scene.limit),
    },
    Act {
        name: "choose the processors of a sibling",
        call: "sched_setaffinity of a sibling",
        attempt: |scene| attempt::choose_processors(scene.sibling),
    },
    Act {
        name: "choose the scheduler of a sibling",
        call: "sched_setscheduler of a sibling",
        attempt: |scene| attempt::choose_scheduler(scene.sibling),
    },
    Act {
        name: "choose the scheduling of a sibling",
        call: "sched_setparam of a sibling",
        attempt: |scene| attempt::choose_priority(scene.sibling),
    },
    Act {
        name: "slow down a sibling",
        call: "setpriority of a sibling",
        attempt: |scene| attempt::set_priority(scene.sibling, scene.nice),
    },
    Act {
        name: "slow down the disk of a sibling",
        call: "ioprio_set of a sibling",
        attempt: |scene| attempt::set_disk_priority(scene.sibling),
    },
    Act {
        name: "compare itself with a sibling",
        call: "kcmp of a sibling",
        attempt: |scene| attempt::compare(scene.sibling),
    },
    Act { name: "take memory away from a process", call: "process_mrelease", attempt: |_| attempt::release_memory() },
    Act {
        name: "choose a signal for what happens to a file",
        call: "fcntl F_SETSIG",
        attempt: |scene| attempt::choose_signal(scene.listener.as_fd()),
    },
    Act {
        name: "hold up others at a file",
        call: "fcntl F_SETLEASE",
        attempt: |scene| attempt::lease(scene.leased.as_fd()),
    },
    Act {
        name: "ask for signals about a file",
        call: "ioctl FIOASYNC",
        attempt: |scene| attempt::ask_for_signals(scene.listener.as_fd()),
    },
    Act {
        name: "type into a terminal",
        call: "ioctl TIOCSTI",
        attempt: |scene| match &scene.terminal {
            Some(terminal) => attempt::type_into(terminal.as_fd()),
            None => attempt::type_into(scene.log.as_fd()),
        },
    },
    Act {
        name: "reach what a file system has of its own",
        call: "ioctl FS_IOC_GETFLAGS",
        attempt: |scene| attempt::ask_for_flags(scene.log.as_fd()),
    },
    Act { name: "leave its process group", call: "setpgid", attempt: |_| attempt::leave_group() },
    Act { name: "leave its session", call: "setsid", attempt: |_| attempt::leave_session() },
    Act { name: "let others read its memory", call: "prctl PR_SET_DUMPABLE", attempt: |_| attempt::be_readable() },
    Act { name: "outlive its supervisor", call: "prctl PR_SET_PDEATHSIG", attempt: |_| attempt::outlive_supervisor() },
    Act {
        name: "change its own limits",
        call: "prlimit64, writing, of itself",
        attempt: |scene| attempt::set_own_limit(&scene.limit),
    },
];
