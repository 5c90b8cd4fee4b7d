//! What must hold stands in `properties/range.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| properties::range(bytes));
