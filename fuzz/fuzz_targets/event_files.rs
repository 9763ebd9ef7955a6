#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| vapo_fuzz::run("event_files", data));
