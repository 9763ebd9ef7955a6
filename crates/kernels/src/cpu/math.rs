//! Elementary functions over lanes: our own polynomials, so that every machine computes the same bits.

use crate::cpu::lanes::Lanes;

const LOG2_E: f32 = std::f32::consts::LOG2_E;
/// ln 2 in two parts; the first has few bits, so that `n * LN2_HIGH` is exact.
const LN2_HIGH: f32 = 0.693_359_4;
const LN2_LOW: f32 = -2.121_944_4e-4;
/// 1.5 * 2^23: adding it leaves the rounded integer in the low bits.
const ROUND: f32 = 12_582_912.0;

/// `e^x`, within 2 units in the last place; arguments below -87 give `e^-87` (1.6e-38), above 88 `e^88`.
#[inline(always)]
pub(crate) fn exp<L: Lanes>(x: L) -> L {
    let x = x.max(L::splat(-87.0)).min(L::splat(88.0));
    let shifted = x.mul_add(L::splat(LOG2_E), L::splat(ROUND));
    let n = shifted.sub(L::splat(ROUND));
    let r = n.mul_add(L::splat(-LN2_HIGH), x);
    let r = n.mul_add(L::splat(-LN2_LOW), r);
    // Degree 6 on [-ln2/2, ln2/2]: Taylor coefficients, the last two adjusted to spread the error.
    let mut p = L::splat(1.383_766e-3);
    for c in [8.376_15e-3, 4.166_795e-2, 1.666_652_5e-1, 4.999_999_3e-1, 1.0, 1.0] {
        p = p.mul_add(r, L::splat(c));
    }
    p.mul(shifted.pow2_of_low_bits())
}

/// `1 / (1 + e^-x)`.
#[inline(always)]
pub(crate) fn sigmoid<L: Lanes>(x: L) -> L {
    let one = L::splat(1.0);
    one.div(one.add(exp(L::zero().sub(x))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::lanes::Portable;

    #[test]
    fn exp_agrees_with_f64() {
        let mut worst = 0.0f64;
        for i in (-86_000..88_000).step_by(if cfg!(miri) { 9973 } else { 1 }) {
            let x = i as f32 * 1e-3;
            let got = f64::from(exp(Portable::splat(x)).to_array()[0]);
            let want = f64::from(x).exp();
            worst = worst.max(((got - want) / want).abs());
        }
        assert!(worst < 2.0 * f64::from(f32::EPSILON), "relative error {worst:e}");
        assert_eq!(exp(Portable::splat(0.0)).to_array()[0], 1.0);
        assert!(exp(Portable::splat(-1e30)).to_array()[0] < 2e-38);
    }
}
