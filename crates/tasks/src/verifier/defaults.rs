//! Defaults of the settings of verifiers.

pub(super) fn ten_seconds() -> f64 {
    10.0
}

pub(super) fn a_minute() -> f64 {
    60.0
}

pub(super) fn from_0_to_1() -> [f64; 2] {
    [0.0, 1.0]
}

pub(super) fn three() -> usize {
    3
}

pub(super) fn eight() -> usize {
    8
}

pub(super) fn one_per_core(workers: usize) -> usize {
    if workers == 0 { std::thread::available_parallelism().map_or(1, Into::into) } else { workers }
}
