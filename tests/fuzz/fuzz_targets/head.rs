//! What must hold stands in `properties/head.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| properties::head(bytes));
