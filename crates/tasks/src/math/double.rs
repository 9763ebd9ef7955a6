//! Real numbers of 106 bits: the unevaluated sum of two doubles (Dekker 1971, Knuth), about 31 decimal digits.

use std::ops::{Add, Div, Mul, Neg, Sub};

use num_bigint::{BigInt, Sign};

/// A number `high + low` with |low| at most half a unit of high's last place.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Double {
    pub(super) high: f64,
    pub(super) low: f64,
}

pub(super) const ZERO: Double = Double { high: 0.0, low: 0.0 };
pub(super) const ONE: Double = Double { high: 1.0, low: 0.0 };
pub(super) const PI: Double = Double { high: std::f64::consts::PI, low: 1.2246467991473532e-16 };
pub(super) const EULER: Double = Double { high: std::f64::consts::E, low: 1.4456468917292502e-16 };
const LN_2: Double = Double { high: std::f64::consts::LN_2, low: 2.3190468138462996e-17 };

impl Double {
    pub(super) fn from_f64(high: f64) -> Double {
        Double { high, low: 0.0 }
    }

    fn renormalized(high: f64, low: f64) -> Double {
        let sum = high + low;
        Double { high: sum, low: low - (sum - high) }
    }

    /// The nearest number, to about 106 bits.
    pub(super) fn from_integer(value: &BigInt) -> Double {
        let magnitude = value.magnitude();
        let shift = magnitude.bits().saturating_sub(128);
        let top = u128::try_from(magnitude >> shift).unwrap_or(u128::MAX);
        let high = top as f64;
        let rest = top.wrapping_sub(high as u128) as i128 as f64;
        let sum = Double::renormalized(high, rest).scaled(shift.min(1 << 20) as i32);
        if value.sign() == Sign::Minus { -sum } else { sum }
    }

    /// The number times 2^exponent.
    fn scaled(self, exponent: i32) -> Double {
        Double { high: libm::ldexp(self.high, exponent), low: libm::ldexp(self.low, exponent) }
    }

    pub(super) fn abs(self) -> Double {
        if self.high < 0.0 { -self } else { self }
    }

    pub(super) fn sqrt(self) -> Double {
        if self.high <= 0.0 {
            return ZERO;
        }
        let root = Double::from_f64(libm::sqrt(self.high));
        let correction = (self - root * root).high / (2.0 * root.high);
        root + Double::from_f64(correction)
    }

    /// e^self: e^r by its series for |r| <= ln 2 / 1024, squared nine times.
    pub(super) fn exp(self) -> Double {
        if self.high.abs() > 700.0 {
            return Double::from_f64(libm::exp(self.high));
        }
        let halvings = (self.high / LN_2.high).round();
        let reduced = (self - LN_2 * Double::from_f64(halvings)).scaled(-9);
        let (mut term, mut sum) = (reduced, reduced);
        for k in 2..12 {
            term = term * reduced / Double::from_f64(f64::from(k));
            sum = sum + term;
        }
        // With s = e^r - 1, squaring e^r is s -> 2 s + s^2, which keeps the small part exact.
        for _ in 0..9 {
            sum = sum.scaled(1) + sum * sum;
        }
        (sum + ONE).scaled(halvings as i32)
    }

    /// The natural logarithm of a positive number, by a Newton step from the nearest double.
    pub(super) fn ln(self) -> Double {
        let start = Double::from_f64(libm::log(self.high));
        start + self * (-start).exp() - ONE
    }

    /// Sine and cosine.
    pub(super) fn sin_cos(self) -> (Double, Double) {
        let half_pi = PI.scaled(-1);
        let quarters = (self.high / half_pi.high).round();
        let reduced = self - half_pi * Double::from_f64(quarters);
        let square = -(reduced * reduced);
        let (mut sin, mut cos) = (ZERO, ZERO);
        let (mut odd, mut even) = (reduced, ONE);
        for k in 0..15 {
            let n = f64::from(2 * k);
            sin = sin + odd;
            cos = cos + even;
            even = even * square / Double::from_f64((n + 1.0) * (n + 2.0));
            odd = odd * square / Double::from_f64((n + 2.0) * (n + 3.0));
        }
        match (quarters.rem_euclid(4.0)) as u32 {
            0 => (sin, cos),
            1 => (cos, -sin),
            2 => (-sin, -cos),
            _ => (-cos, sin),
        }
    }

    /// The angle of the point (x, y), by a Newton step from the nearest double.
    pub(super) fn atan2(y: Double, x: Double) -> Double {
        let start = Double::from_f64(libm::atan2(y.high, x.high));
        let length = (x * x + y * y).sqrt();
        if length.high == 0.0 {
            return ZERO;
        }
        let (sin, cos) = start.sin_cos();
        start + (y * cos - x * sin) / length
    }
}

impl Add for Double {
    type Output = Double;
    fn add(self, other: Double) -> Double {
        let sum = self.high + other.high;
        let part = sum - self.high;
        let error = (self.high - (sum - part)) + (other.high - part);
        Double::renormalized(sum, error + self.low + other.low)
    }
}

impl Neg for Double {
    type Output = Double;
    fn neg(self) -> Double {
        Double { high: -self.high, low: -self.low }
    }
}

impl Sub for Double {
    type Output = Double;
    fn sub(self, other: Double) -> Double {
        self + -other
    }
}

impl Mul for Double {
    type Output = Double;
    fn mul(self, other: Double) -> Double {
        let product = self.high * other.high;
        let error = self.high.mul_add(other.high, -product);
        Double::renormalized(product, error + (self.high * other.low + self.low * other.high))
    }
}

impl Div for Double {
    type Output = Double;
    fn div(self, other: Double) -> Double {
        let first = self.high / other.high;
        let rest = self - other * Double::from_f64(first);
        let second = rest.high / other.high;
        let rest = rest - other * Double::from_f64(second);
        Double::renormalized(first, second) + Double::from_f64(rest.high / other.high)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_have_thirty_digits() {
        let x = Double::from_f64(3.0) / Double::from_f64(7.0);
        let near = |found: Double, high: f64, low: f64| {
            let error = (found - Double { high, low }).high.abs();
            assert!(error < 1e-29, "{found:?} is {error:e} off");
        };
        let (sin, cos) = x.sin_cos();
        near(sin * sin + cos * cos, 1.0, 0.0);
        near(x.exp().ln(), x.high, x.low);
        near(x.sqrt() * x.sqrt(), x.high, x.low);
        near(Double::atan2(sin, cos), x.high, x.low);
        near(ONE.exp(), EULER.high, EULER.low);
        near(PI.sin_cos().0, 0.0, 0.0);
        near(PI.sin_cos().1, -1.0, 0.0);
    }
}
