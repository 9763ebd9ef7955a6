//! How fast one core can go: the yardstick of every benchmark.

use crate::cpu::lanes::Isa;
use crate::cpu::lanes::{LANES, Lanes, dispatch};
use std::time::Instant;

/// Measures one core's fused multiply-adds, in f32 GFLOP/s (a multiply-add counts two): chains in registers, nothing else.
pub fn fma_peak_gflops(isa: Isa) -> f64 {
    const ROUNDS: usize = 2_000_000;
    let best = (0..5).map(|_| {
        let start = Instant::now();
        std::hint::black_box(chains(isa, std::hint::black_box(0.999_999), ROUNDS));
        start.elapsed().as_secs_f64()
    });
    let flops = (ROUNDS * CHAINS * LANES * 2) as f64;
    flops / best.fold(f64::INFINITY, f64::min) / 1e9
}

/// Enough independent chains to hide the latency of an addition, few enough for 16 registers of half the width.
const CHAINS: usize = 6;

#[inline(always)]
fn chains_body<L: Lanes>(factor: f32, rounds: usize) -> f32 {
    let mut sums = [L::splat(0.5); CHAINS];
    let (factor, term) = (L::splat(factor), L::splat(1e-6));
    for _ in 0..rounds {
        for sum in &mut sums {
            *sum = sum.mul_add(factor, term);
        }
    }
    sums.into_iter().map(L::sum).sum()
}
dispatch! { fn chains(factor: f32, rounds: usize) -> f32 = crate::cpu::peak::chains_body }
