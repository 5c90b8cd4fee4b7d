//! What must hold stands in `properties/want_digest.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| properties::want_digest(bytes));
