//! What must hold stands in `properties/proxy_header.rs`.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| properties::proxy_header(bytes));
