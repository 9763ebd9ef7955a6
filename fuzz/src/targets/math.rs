//! A generated answer, written in two ways: both mean the same.

use arbitrary::{Arbitrary, Unstructured};
use vapo_tasks::math::{self, Equality};

/// Larger answers may use up what a comparison may cost.
const LARGEST: usize = 8;
/// Longer texts contain answers, but are not answers themselves (in bytes).
const LONGEST: usize = 150;

pub(crate) fn math(data: &[u8]) {
    let Ok(answer) = Answer::arbitrary(&mut Unstructured::new(data)) else { return };
    if answer.size() > LARGEST {
        return;
    }
    let [latex, plain] = [answer.latex(), answer.plain()];
    if latex.len() > LONGEST {
        return;
    }
    for (gold, given) in [(&latex, &plain), (&plain, &latex)] {
        assert_eq!(math::compare(gold, given), Equality::Equal, "{gold}   {given}");
        let boxed = format!("So the result is \\boxed{{{given}}}.");
        assert!(math::grade(math::Rule::Boxed, math::Rounding::Strict, gold, &boxed).is_correct(), "{gold}   {boxed}");
    }
}

#[derive(Arbitrary, Debug)]
enum Answer {
    Value(Value),
    /// `(1, 2)`.
    Tuple(Value, Value),
    /// `\{1, 2\}`.
    Set(Value, Value),
    /// `x = 1`.
    Equation(Variable, Value),
}

#[derive(Arbitrary, Debug)]
enum Value {
    Integer(u16),
    Decimal(u8, u8),
    Variable(Variable),
    Pi,
    Root(u8),
    Fraction(u16, u8),
    Negated(Box<Value>),
    Sum(Box<Value>, Box<Value>),
    Difference(Box<Value>, Box<Value>),
    Product(Box<Value>, Box<Value>),
    Power(Variable, u8),
}

#[derive(Arbitrary, Clone, Copy, Debug)]
enum Variable {
    X,
    Y,
    N,
}

impl Answer {
    fn size(&self) -> usize {
        match self {
            Answer::Value(value) | Answer::Equation(_, value) => value.size(),
            Answer::Tuple(first, second) | Answer::Set(first, second) => first.size() + second.size(),
        }
    }

    fn latex(&self) -> String {
        match self {
            Answer::Value(value) => format!("${}$", value.latex()),
            Answer::Tuple(first, second) => format!("\\left({},\\,{}\\right)", first.latex(), second.latex()),
            Answer::Set(first, second) => format!("\\{{{}, {}\\}}", first.latex(), second.latex()),
            Answer::Equation(variable, value) => format!("{} = {}", variable.name(), value.latex()),
        }
    }

    fn plain(&self) -> String {
        match self {
            Answer::Value(value) => value.plain(),
            Answer::Tuple(first, second) => format!("({}, {})", first.plain(), second.plain()),
            Answer::Set(first, second) => format!("\\{{{},{}\\}}", second.plain(), first.plain()),
            Answer::Equation(variable, value) => format!("{}={}", variable.name(), value.plain()),
        }
    }
}

impl Value {
    fn size(&self) -> usize {
        match self {
            Value::Negated(inner) => 1 + inner.size(),
            Value::Sum(left, right) | Value::Difference(left, right) | Value::Product(left, right) => {
                1 + left.size() + right.size()
            }
            _ => 1,
        }
    }

    fn latex(&self) -> String {
        match self {
            Value::Integer(value) => value.to_string(),
            Value::Decimal(whole, part) => format!("{whole}.{part:03}"),
            Value::Variable(variable) => variable.name().to_owned(),
            Value::Pi => "\\pi".to_owned(),
            Value::Root(radicand) => format!("\\sqrt{{{radicand}}}"),
            Value::Fraction(above, below) => format!("\\frac{{{above}}}{{{}}}", u16::from(*below) + 1),
            Value::Negated(inner) => format!("-\\left({}\\right)", inner.latex()),
            Value::Sum(left, right) => format!("{} + {}", left.latex(), right.latex()),
            Value::Difference(left, right) => format!("{} - \\left({}\\right)", left.latex(), right.latex()),
            Value::Product(left, right) => {
                format!("\\left({}\\right) \\cdot \\left({}\\right)", left.latex(), right.latex())
            }
            Value::Power(variable, exponent) => format!("{}^{{{}}}", variable.name(), exponent % 8 + 1),
        }
    }

    fn plain(&self) -> String {
        match self {
            Value::Integer(value) => value.to_string(),
            Value::Decimal(whole, part) => format!("{whole}.{part:03}0"),
            Value::Variable(variable) => variable.name().to_owned(),
            Value::Pi => "π".to_owned(),
            Value::Root(radicand) => format!("sqrt({radicand})"),
            Value::Fraction(above, below) => format!("({above}/{})", u16::from(*below) + 1),
            Value::Negated(inner) => format!("-({})", inner.plain()),
            Value::Sum(left, right) => format!("{}+{}", right.plain(), left.plain()),
            Value::Difference(left, right) => format!("{}-({})", left.plain(), right.plain()),
            Value::Product(left, right) => format!("({})*({})", right.plain(), left.plain()),
            Value::Power(variable, exponent) => format!("{}^{}", variable.name(), exponent % 8 + 1),
        }
    }
}

impl Variable {
    fn name(self) -> &'static str {
        match self {
            Variable::X => "x",
            Variable::Y => "y",
            Variable::N => "n",
        }
    }
}
