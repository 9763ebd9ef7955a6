//! Values as complex numbers of about 30 digits with a bound on their error.

use num_bigint::BigInt;

use super::budget::Budget;
use super::constant::rational;
use super::double::{Double, EULER, ONE, PI, ZERO};
use super::expr::{Expr, Function};

/// A generous bound on the relative error of one operation on 106-bit numbers.
const EPSILON: f64 = 1e-29;

/// A complex number within `error` of the true one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ball {
    pub(super) re: Double,
    pub(super) im: Double,
    pub(super) error: f64,
}

/// The values of variables, and the meaning of a logarithm without a base.
#[derive(Clone, Copy, Debug)]
pub(super) struct Point {
    pub(super) seed: u64,
    /// Whether variables are negative.
    pub(super) negative: bool,
    pub(super) natural_log: bool,
}

impl Ball {
    fn real(re: Double) -> Ball {
        Ball { re, im: ZERO, error: re.high.abs() * EPSILON }
    }

    fn integer(value: &BigInt) -> Ball {
        let re = Double::from_integer(value);
        // Up to 100 bits the two doubles hold it exactly.
        Ball { re, im: ZERO, error: if value.bits() <= 100 { 0.0 } else { re.high.abs() * EPSILON } }
    }

    fn exact(value: i32) -> Ball {
        Ball { re: Double::from_f64(f64::from(value)), im: ZERO, error: 0.0 }
    }

    fn with_error(re: Double, im: Double, error: f64) -> Option<Ball> {
        let ball = Ball { re, im, error: error + EPSILON * (re.high.abs() + im.high.abs()) };
        (ball.error.is_finite() && re.high.is_finite() && im.high.is_finite()).then_some(ball)
    }

    /// The distance of the two midpoints.
    pub(super) fn distance(self, other: Ball) -> f64 {
        Ball { re: self.re - other.re, im: self.im - other.im, error: 0.0 }.size()
    }

    pub(super) fn size(self) -> f64 {
        libm::hypot(self.re.high, self.im.high)
    }

    /// Whether the imaginary part may be zero.
    pub(super) fn is_real(self) -> bool {
        self.im.high.abs() <= self.error
    }

    fn contains_zero(self) -> bool {
        self.size() <= self.error
    }

    fn add(self, other: Ball) -> Option<Ball> {
        Ball::with_error(self.re + other.re, self.im + other.im, self.error + other.error)
    }

    fn negate(self) -> Ball {
        Ball { re: -self.re, im: -self.im, error: self.error }
    }

    pub(super) fn mul(self, other: Ball) -> Option<Ball> {
        let re = self.re * other.re - self.im * other.im;
        let im = self.re * other.im + self.im * other.re;
        let error = self.error * other.size() + other.error * self.size() + self.error * other.error;
        Ball::with_error(re, im, error + EPSILON * self.size() * other.size())
    }

    fn inverse(self) -> Option<Ball> {
        if self.size() <= 2.0 * self.error || self.size() == 0.0 {
            return None;
        }
        let square = self.re * self.re + self.im * self.im;
        let error = 2.0 * self.error / (self.size() * self.size());
        Ball::with_error(self.re / square, -self.im / square, error)
    }

    fn exp(self) -> Option<Ball> {
        let size = self.re.exp();
        let (sin, cos) = turn(self.im)?;
        Ball::with_error(size * cos, size * sin, size.high * spread(self.error)?)
    }

    /// The principal logarithm.
    fn ln(self) -> Option<Ball> {
        if self.size() <= 2.0 * self.error || self.size() == 0.0 {
            return None;
        }
        let square = self.re * self.re + self.im * self.im;
        let half = Double::from_f64(0.5);
        // On the branch cut the angle is that of the real axis, regardless of the error.
        let im = if self.is_real() { ZERO } else { self.im };
        Ball::with_error(square.ln() * half, Double::atan2(im, self.re), 2.0 * self.error / self.size() + EPSILON)
    }

    fn sqrt(self) -> Option<Ball> {
        if self.is_real() && self.re.high >= 0.0 {
            let root = self.re.sqrt();
            let error = if self.error == 0.0 { 0.0 } else { self.error / libm::sqrt(self.re.high.max(self.error)) };
            return Ball::with_error(root, ZERO, error);
        }
        self.ln()?.mul(Ball::real(Double::from_f64(0.5)))?.exp()
    }

    fn integer_power(self, exponent: i64) -> Option<Ball> {
        let mut base = if exponent < 0 { self.inverse()? } else { self };
        let mut times = exponent.unsigned_abs();
        let mut power = Ball::exact(1);
        while times > 0 {
            if times & 1 == 1 {
                power = power.mul(base)?;
            }
            times >>= 1;
            if times > 0 {
                base = base.mul(base)?;
            }
        }
        Some(power)
    }

    fn pow(self, exponent: Ball) -> Option<Ball> {
        if self.contains_zero() {
            return (self.error == 0.0 && exponent.re.high > exponent.error).then_some(Ball::exact(0));
        }
        self.ln()?.mul(exponent)?.exp()
    }

    /// The real root of odd degree of a real number, the principal one of any other.
    fn root(self, degree: i64) -> Option<Ball> {
        let fraction = Ball::exact(1).mul(Ball::exact(i32::try_from(degree).ok()?).inverse()?)?;
        match degree {
            2 => self.sqrt(),
            _ if degree % 2 != 0 && self.is_real() && self.re.high < 0.0 => Some(self.negate().pow(fraction)?.negate()),
            _ => self.pow(fraction),
        }
    }

    /// Sine and cosine, by e^(iz).
    fn sin_cos(self) -> Option<(Ball, Ball)> {
        if self.is_real() {
            let (sin, cos) = turn(self.re)?;
            return Some((
                Ball::with_error(sin, ZERO, spread(self.error)?)?,
                Ball::with_error(cos, ZERO, spread(self.error)?)?,
            ));
        }
        let forward = Ball { re: -self.im, im: self.re, error: self.error }.exp()?;
        let backward = Ball { re: self.im, im: -self.re, error: self.error }.exp()?;
        let half = Ball::real(Double::from_f64(0.5));
        let difference = forward.add(backward.negate())?.mul(half)?;
        let sin = Ball { re: difference.im, im: -difference.re, error: difference.error };
        Some((sin, forward.add(backward)?.mul(half)?))
    }

    fn arctan(self) -> Option<Ball> {
        if !self.is_real() {
            return None;
        }
        Ball::with_error(Double::atan2(self.re, ONE), ZERO, self.error + EPSILON)
    }

    /// The arcsine of a real number between -1 and 1.
    fn arcsin(self) -> Option<Ball> {
        let rest = ONE - self.re * self.re;
        if !self.is_real() || rest.high < -self.error {
            return None;
        }
        let cos = rest.sqrt();
        let slope = if self.error == 0.0 { 1.0 } else { 1.0 / cos.high.max(libm::sqrt(self.error)) };
        Ball::with_error(Double::atan2(self.re, cos), ZERO, self.error * slope + EPSILON)
    }
}

/// Sine and cosine of a real angle that is small enough to be reduced.
fn turn(angle: Double) -> Option<(Double, Double)> {
    (angle.high.abs() < 1e6).then(|| angle.sin_cos())
}

/// A bound on |e^d - 1| for |d| up to an error, including the error of reducing an angle.
fn spread(error: f64) -> Option<f64> {
    (error < 0.5).then_some(2.0 * error + 1e6 * EPSILON * EPSILON + EPSILON)
}

impl Point {
    /// The value of a scalar; `None` if it has none, is too large, or takes too much work.
    pub(super) fn evaluate(&self, expr: &Expr, budget: &Budget) -> Option<Ball> {
        budget.spend(5)?;
        match expr {
            Expr::Number { value, .. } if value.denominator == BigInt::from(1) => Some(Ball::integer(&value.numerator)),
            Expr::Number { value, .. } => Ball::real(Double::from_integer(&value.numerator))
                .mul(Ball::real(Double::from_integer(&value.denominator)).inverse()?),
            Expr::Symbol(name) => Some(self.variable(name)),
            Expr::Pi => Some(Ball::real(PI)),
            Expr::Euler => Some(Ball::real(EULER)),
            Expr::Imaginary => Some(Ball { re: ZERO, im: ONE, error: 0.0 }),
            Expr::Sum(terms) => self.fold(terms, Ball::exact(0), budget, Ball::add),
            Expr::Product(factors) => self.fold(factors, Ball::exact(1), budget, Ball::mul),
            Expr::Negated(inner) => Some(self.evaluate(inner, budget)?.negate()),
            Expr::Quotient(above, below) => self.evaluate(above, budget)?.mul(self.evaluate(below, budget)?.inverse()?),
            Expr::Power(base, exponent) => self.power(base, exponent, budget),
            Expr::Root(radicand, degree) => {
                budget.spend(100)?;
                let degree = rational(degree, budget)?.to_i64()?;
                self.evaluate(radicand, budget)?.root(degree)
            }
            Expr::Logarithm(base, argument) => {
                budget.spend(200)?;
                self.evaluate(argument, budget)?.ln()?.mul(self.evaluate(base, budget)?.ln()?.inverse()?)
            }
            Expr::Apply(function, argument) => self.apply(*function, argument, budget),
            Expr::Binomial(..) => {
                let value = rational(expr, budget)?;
                Some(Ball::real(Double::from_integer(&value.numerator)))
            }
            _ => None,
        }
    }

    fn fold(
        &self,
        parts: &[Expr],
        start: Ball,
        budget: &Budget,
        join: impl Fn(Ball, Ball) -> Option<Ball>,
    ) -> Option<Ball> {
        parts.iter().try_fold(start, |result, part| join(result, self.evaluate(part, budget)?))
    }

    fn power(&self, base: &Expr, exponent: &Expr, budget: &Budget) -> Option<Ball> {
        budget.spend(20)?;
        let constant = rational(exponent, budget);
        if let Some(whole) = constant.as_ref().and_then(|exponent| exponent.to_i64()) {
            return self.evaluate(base, budget)?.integer_power(whole);
        }
        budget.spend(100)?;
        let base = self.evaluate(base, budget)?;
        if let Some(exponent) = constant
            && let Ok(degree) = i64::try_from(&exponent.denominator)
            && let Ok(times) = i64::try_from(&exponent.numerator)
        {
            return base.root(degree)?.integer_power(times);
        }
        base.pow(self.evaluate(exponent, budget)?)
    }

    fn apply(&self, function: Function, argument: &Expr, budget: &Budget) -> Option<Ball> {
        budget.spend(100)?;
        let value = self.evaluate(argument, budget)?;
        let hyperbolic = |sign: Ball| {
            let (grows, falls) = (value.exp()?, value.negate().exp()?.mul(sign)?);
            grows.add(falls)?.mul(Ball::real(Double::from_f64(0.5)))
        };
        match function {
            Function::Sin => Some(value.sin_cos()?.0),
            Function::Cos => Some(value.sin_cos()?.1),
            Function::Tan => value.sin_cos().and_then(|(sin, cos)| sin.mul(cos.inverse()?)),
            Function::Cot => value.sin_cos().and_then(|(sin, cos)| cos.mul(sin.inverse()?)),
            Function::Sec => value.sin_cos()?.1.inverse(),
            Function::Csc => value.sin_cos()?.0.inverse(),
            Function::Arcsin => value.arcsin(),
            Function::Arccos => Ball::real(PI).mul(Ball::real(Double::from_f64(0.5)))?.add(value.arcsin()?.negate()),
            Function::Arctan => value.arctan(),
            Function::Sinh => hyperbolic(Ball::exact(-1)),
            Function::Cosh => hyperbolic(Ball::exact(1)),
            Function::Tanh => hyperbolic(Ball::exact(-1))?.mul(hyperbolic(Ball::exact(1))?.inverse()?),
            Function::Exp => value.exp(),
            Function::Ln => value.ln(),
            Function::Log if self.natural_log => value.ln(),
            Function::Log => value.ln()?.mul(Ball::real(Double::from_f64(10.0)).ln()?.inverse()?),
            Function::Abs => {
                let square = value.re * value.re + value.im * value.im;
                Ball::with_error(if value.is_real() { value.re.abs() } else { square.sqrt() }, ZERO, value.error)
            }
            Function::Percent => value.mul(Ball::exact(100).inverse()?),
            Function::Degrees => value.mul(Ball::real(PI))?.mul(Ball::exact(180).inverse()?),
            Function::Floor | Function::Ceil | Function::Factorial => {
                let value = rational(&Expr::Apply(function, Box::new(argument.clone())), budget)?;
                Some(Ball::real(Double::from_integer(&value.numerator)))
            }
        }
    }

    /// A fixed number between 1/2 and 2 (or their negatives) for each name.
    fn variable(&self, name: &str) -> Ball {
        let hash = name.bytes().fold(self.seed, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        let mixed = (hash ^ (hash >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 11;
        let value = 0.5 + 1.5 * (mixed as f64 / (1_u64 << 53) as f64);
        Ball { re: Double::from_f64(if self.negative { -value } else { value }), im: ZERO, error: 0.0 }
    }
}
