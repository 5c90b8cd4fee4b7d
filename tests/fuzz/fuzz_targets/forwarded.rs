//! What must hold stands in `properties/forwarded.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| properties::forwarded(bytes));
