//! What must hold stands in `properties/chunked.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| properties::chunked(bytes));
