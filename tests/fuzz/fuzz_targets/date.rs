//! What must hold stands in `properties/date.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| properties::date(bytes));
