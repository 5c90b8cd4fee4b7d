//! Test: the program that halves the list says the same of each call as the one that goes through it.

use libc::{BPF_ALU, BPF_AND, BPF_JEQ, BPF_JGT, BPF_RET};
use seccompiler::SeccompAction;

use super::*;
use crate::worker::seccomp::{Needs, rules};

const REFUSED: u32 = 0x0005_0001;
const ALLOWED: u32 = 0x7fff_0000;

/// What the kernel sees of a call.
struct Call {
    number: u32,
    processor: u32,
    arguments: [u64; 6],
}

/// Runs the instructions of which filters are made.
fn run(program: &BpfProgram, call: &Call) -> u32 {
    let (mut place, mut register) = (0, 0);
    loop {
        let sock_filter { code, jt, jf, k } = program[place].clone();
        place += 1;
        let code = u32::from(code);
        let jump = |holds| usize::from(if holds { jt } else { jf });
        match code {
            _ if code == BPF_LD | BPF_W | BPF_ABS => {
                register = match k {
                    0 => call.number,
                    4 => call.processor,
                    _ => {
                        let argument = call.arguments[usize::try_from(k - 16).unwrap() / 8];
                        u32::try_from(if k % 8 == 0 { argument & 0xffff_ffff } else { argument >> 32 }).unwrap()
                    }
                }
            }
            _ if code == BPF_ALU | BPF_AND | BPF_K => register &= k,
            _ if code == BPF_JMP | BPF_JA => place += usize::try_from(k).unwrap(),
            _ if code == BPF_JMP | BPF_JEQ | BPF_K => place += jump(register == k),
            _ if code == BPF_JMP | BPF_JGT | BPF_K => place += jump(register > k),
            _ if code == BPF_JMP | BPF_JGE | BPF_K => place += jump(register >= k),
            _ if code == BPF_RET | BPF_K => return k,
            _ => panic!("no instruction of a filter: {code:#x}"),
        }
    }
}

/// Arguments of which some calls are allowed with one or two, and others that are near them.
fn all_arguments() -> Vec<[u64; 6]> {
    let own = u64::from(std::process::id());
    let far = [u64::try_from(libc::F_DUPFD_CLOEXEC).unwrap(), libc::TIOCOUTQ, libc::FIONBIO];
    let ones: Vec<u64> =
        (0..40).chain(far).chain([1 << 20, u64::from(u32::MAX), 1 << 32, (1 << 32) + 1, own]).collect();
    let twos: Vec<u64> = [0, 1, 2, 6, 9].into_iter().chain(far).chain([own]).collect();
    let mut all = Vec::new();
    for first in 0..6 {
        for one in &ones {
            let mut arguments = [0; 6];
            arguments[first] = *one;
            all.push(arguments);
        }
        for (second, one, two) in (0..first).flat_map(|second| {
            let twos = &twos;
            twos.iter().flat_map(move |one| twos.iter().map(move |two| (second, *one, *two)))
        }) {
            let mut arguments = [0; 6];
            (arguments[first], arguments[second]) = (one, two);
            all.push(arguments);
        }
    }
    all
}

#[test]
fn what_is_found_by_halving_is_what_the_list_has() {
    let here = std::env::consts::ARCH;
    let refuse = SeccompAction::Errno(1);
    for needs in [Needs::default(), Needs { folders: true, writes: true, syslog: true }] {
        let rules = || rules(needs).unwrap();
        let processor = || TargetArch::try_from(here).unwrap();
        let list: BpfProgram =
            SeccompFilter::new(rules(), refuse.clone(), SeccompAction::Allow, processor()).unwrap().try_into().unwrap();
        let tree = compile(rules(), &refuse, processor()).unwrap();
        // The number of the processor is the only thing that the first comparison of a filter knows.
        let own = list[1].k;
        assert!(tree.len() < 4096, "{} instructions", tree.len());
        let (listed, arguments) = (rules(), all_arguments());
        let (mut allowed, mut refused) = (0, 0);
        for number in (0..1000).chain([u32::MAX, 1 << 30, (1 << 30) + 1]) {
            // Of a call that is in no list no argument is looked at.
            let is_listed = listed.contains_key(&i64::from(number));
            for arguments in &arguments[..if is_listed { arguments.len() } else { 1 }] {
                let call = Call { number, processor: own, arguments: *arguments };
                let verdict = run(&tree, &call);
                assert_eq!(verdict, run(&list, &call), "call {number} with {arguments:?}");
                allowed += usize::from(verdict == ALLOWED);
                refused += usize::from(verdict == REFUSED);
            }
            let foreign = Call { number, processor: own ^ 1, arguments: [0; 6] };
            let verdict = run(&tree, &foreign);
            assert_eq!(verdict, run(&list, &foreign), "call {number} of another processor");
            assert!(![ALLOWED, REFUSED].contains(&verdict), "call {number} of another processor is no call of ours");
        }
        assert!(allowed > 0 && refused > 0, "{allowed} calls are allowed, {refused} refused");
    }
}
