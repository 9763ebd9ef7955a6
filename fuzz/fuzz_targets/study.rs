#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| vapo_fuzz::run("study", data));
