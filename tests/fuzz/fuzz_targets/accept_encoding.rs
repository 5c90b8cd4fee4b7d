//! What must hold stands in `properties/accept_encoding.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| properties::accept_encoding(bytes));
