#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| wspulse_fuzz_targets::http2(data));
