//! The program of the filter: a call is found by halving the list of those allowed, not by going through it.
//! Process: worker, on its way to the seal. Trusts: nothing. Blocks: never.
//! When a filter is put on, the kernel runs it in advance for each of its calls, and for each of those of 32-bit programs,
//! some 900, to know which need never be asked about again. A list of a hundred comparisons took most of the time of a
//! worker's start then, and calls whose arguments are looked at go through it for good.

use libc::{BPF_ABS, BPF_JA, BPF_JGE, BPF_JMP, BPF_K, BPF_LD, BPF_W};
use seccompiler::{BackendError, BpfProgram, SeccompAction, SeccompFilter, TargetArch, sock_filter};

use super::seccomp::Rules;

/// Calls that are still compared one after the other.
const CALLS_OF_A_PART: usize = 6;

/// A program that knows some neighbouring calls, and refuses all others.
struct Part {
    /// The lowest number of its calls.
    first: u32,
    program: BpfProgram,
}

/// Allows what `rules` allow, and does `refuse` to all else. Each part is a whole filter, made and checked by the crate: one
/// that looks at the processor, compares numbers and ends in a refusal. What finds the part allows nothing by itself, so a
/// wrong turn there could refuse too much and never too little.
///
/// # Errors
/// If the crate takes no such rules.
pub(super) fn compile(rules: Rules, refuse: &SeccompAction, processor: TargetArch) -> Result<BpfProgram, BackendError> {
    let mut parts = Vec::with_capacity(rules.len().div_ceil(CALLS_OF_A_PART));
    let mut rules = rules.into_iter().peekable();
    while let Some((first, _)) = rules.peek() {
        // Numbers of calls are small and positive; the crate insists on it.
        let first = u32::try_from(*first).unwrap_or(u32::MAX);
        let calls: Rules = rules.by_ref().take(CALLS_OF_A_PART).collect();
        let filter = SeccompFilter::new(calls, refuse.clone(), SeccompAction::Allow, processor)?;
        parts.push(Part { first, program: filter.try_into()? });
    }
    let mut program = vec![load_number()];
    program.extend(find(parts));
    Ok(program)
}

/// Goes to the part whose calls may have the number that was loaded.
fn find(mut low: Vec<Part>) -> BpfProgram {
    let high = low.split_off(low.len().div_ceil(2));
    let Some(first_of_high) = high.first().map(|part| part.first) else {
        return low.into_iter().flat_map(|part| part.program).collect();
    };
    let (low, high) = (find(low), find(high));
    let mut program = vec![unless_at_least(first_of_high), jump_over(&low)];
    program.extend(low);
    program.extend(high);
    program
}

/// The number of the call is the first field of `seccomp_data`.
fn load_number() -> sock_filter {
    instruction(BPF_LD | BPF_W | BPF_ABS, 0, 0)
}

/// Skips the next instruction unless the number is at least this one.
fn unless_at_least(number: u32) -> sock_filter {
    instruction(BPF_JMP | BPF_JGE | BPF_K, 1, number)
}

fn jump_over(program: &BpfProgram) -> sock_filter {
    // The kernel takes no program of more than 4096 instructions, so one whose length does not fit is refused.
    instruction(BPF_JMP | BPF_JA, 0, u32::try_from(program.len()).unwrap_or(u32::MAX))
}

fn instruction(code: u32, if_false: u8, k: u32) -> sock_filter {
    // All codes have 16 bits; 0xffff is none.
    sock_filter { code: u16::try_from(code).unwrap_or(u16::MAX), jt: 0, jf: if_false, k }
}

#[cfg(test)]
#[path = "seccomp_tree_tests.rs"]
mod tests;
