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
    argument: u32,
}

/// Runs the instructions of which filters are made. All arguments are alike, with an empty upper half.
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
                    _ if k % 8 == 0 => call.argument,
                    _ => 0,
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
        let (mut allowed, mut refused) = (0, 0);
        for number in (0..1000).chain([u32::MAX, 1 << 30, (1 << 30) + 1]) {
            for argument in (0..40).chain([1 << 20, u32::MAX, std::process::id()]) {
                let call = Call { number, processor: own, argument };
                let verdict = run(&tree, &call);
                assert_eq!(verdict, run(&list, &call), "call {number} with {argument}");
                allowed += usize::from(verdict == ALLOWED);
                refused += usize::from(verdict == REFUSED);
            }
            let foreign = Call { number, processor: own ^ 1, argument: 0 };
            let verdict = run(&tree, &foreign);
            assert_eq!(verdict, run(&list, &foreign), "call {number} of another processor");
            assert!(![ALLOWED, REFUSED].contains(&verdict), "call {number} of another processor is no call of ours");
        }
        assert!(allowed > 0 && refused > allowed, "{allowed} calls are allowed, {refused} refused");
    }
}
