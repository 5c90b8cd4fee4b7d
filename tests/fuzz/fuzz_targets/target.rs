//! What must hold stands in `properties/target.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| properties::target(bytes));
