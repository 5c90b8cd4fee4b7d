//! What must hold stands in `properties/config.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| properties::config(bytes));
