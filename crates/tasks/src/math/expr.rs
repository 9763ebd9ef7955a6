//! An answer's meaning as a tree of bounded depth.

use super::rational::Rational;

/// Functions of one argument that have a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Function {
    Sin,
    Cos,
    Tan,
    Cot,
    Sec,
    Csc,
    Arcsin,
    Arccos,
    Arctan,
    Sinh,
    Cosh,
    Tanh,
    Exp,
    /// Natural logarithm.
    Ln,
    /// A logarithm without a base: base ten, or natural, depending on the other side.
    Log,
    Abs,
    Floor,
    Ceil,
    Factorial,
    /// The real number meant by a percent sign; the percentage is its argument.
    Percent,
    /// Degrees as an angle.
    Degrees,
}

/// The relation between two sides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Relation {
    Equal,
    About,
    NotEqual,
    Less,
    AtMost,
    Greater,
    AtLeast,
    In,
}

impl Relation {
    /// The relation read from right to left.
    pub(super) fn reversed(self) -> Relation {
        match self {
            Relation::Less => Relation::Greater,
            Relation::AtMost => Relation::AtLeast,
            Relation::Greater => Relation::Less,
            Relation::AtLeast => Relation::AtMost,
            other => other,
        }
    }
}

/// What groups several items.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Brackets {
    /// Only commas, semicolons or words: the order does not matter.
    None,
    /// `\{ \}`: order and repetition do not matter.
    Set,
    /// Parentheses or square brackets; each flag says whether that end is square, that is, closed.
    Ordered {
        /// `[` rather than `(`.
        left_closed: bool,
        /// `]` rather than `)`.
        right_closed: bool,
    },
}

/// How sets are combined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SetOperation {
    Union,
    Intersection,
    Difference,
}

/// An answer or a part of one.
#[derive(Clone, Debug)]
pub(super) enum Expr {
    /// A number as written; `places` is the number of digits after its decimal point, if it has one.
    Number {
        value: Rational,
        places: Option<u32>,
    },
    /// A variable, name or word.
    Symbol(String),
    Pi,
    Euler,
    Imaginary,
    Infinity,
    Sum(Vec<Expr>),
    Product(Vec<Expr>),
    Quotient(Box<Expr>, Box<Expr>),
    Negated(Box<Expr>),
    Power(Box<Expr>, Box<Expr>),
    /// The radicand, and the degree of the root.
    Root(Box<Expr>, Box<Expr>),
    Apply(Function, Box<Expr>),
    /// The base and the argument.
    Logarithm(Box<Expr>, Box<Expr>),
    Binomial(Box<Expr>, Box<Expr>),
    /// A function or operator known only by name.
    Call(String, Vec<Expr>),
    /// First term ± second term; with the flag ∓.
    PlusMinus(Box<Expr>, Box<Expr>, bool),
    /// A value with its unit.
    Measured(Box<Expr>, String),
    /// Digits in a base.
    Based(String, u32),
    /// `a : b` as a ratio or time of day, with the original text.
    Ratio(Vec<Expr>, bool),
    Several(Brackets, Vec<Expr>),
    Matrix(Vec<Vec<Expr>>),
    Sets(SetOperation, Box<Expr>, Box<Expr>),
    Reals,
    Related(Box<Expr>, Vec<(Relation, Expr)>),
}

impl Expr {
    pub(super) fn integer(value: i64) -> Expr {
        Expr::Number { value: Rational::integer(value), places: None }
    }

    pub(super) fn negated(self) -> Expr {
        Expr::Negated(Box::new(self))
    }

    pub(super) fn quotient(self, divisor: Expr) -> Expr {
        Expr::Quotient(Box::new(self), Box::new(divisor))
    }

    pub(super) fn minus(self, other: Expr) -> Expr {
        Expr::Sum(vec![self, other.negated()])
    }

    /// The direct children, from left to right.
    pub(super) fn children(&self) -> impl Iterator<Item = &Expr> {
        use Expr::*;
        let (mut two, mut items, mut rows, mut sides) = ([None, None], &[][..], &[][..], &[][..]);
        match self {
            Number { .. } | Symbol(_) | Pi | Euler | Imaginary | Infinity | Based(..) | Reals => {}
            Sum(all) | Product(all) | Call(_, all) | Ratio(all, _) | Several(_, all) => items = all,
            Quotient(a, b) | Power(a, b) | Root(a, b) | Logarithm(a, b) | Binomial(a, b) => two = [Some(&**a), Some(b)],
            PlusMinus(a, b, _) | Sets(_, a, b) => two = [Some(&**a), Some(b)],
            Negated(inner) | Apply(_, inner) | Measured(inner, _) => two[0] = Some(&**inner),
            Matrix(all) => rows = all,
            Related(first, rest) => (two[0], sides) = (Some(&**first), rest),
        }
        let items = two.into_iter().flatten().chain(items);
        items.chain(rows.iter().flatten()).chain(sides.iter().map(|(_, side): &(Relation, Expr)| side))
    }

    /// The number of nodes.
    pub(super) fn size(&self) -> u64 {
        1 + self.children().map(Expr::size).sum::<u64>()
    }

    /// Whether the tree contains a matching node.
    pub(super) fn any(&self, fits: &impl Fn(&Expr) -> bool) -> bool {
        fits(self) || self.children().any(|child| child.any(fits))
    }

    /// The tree with each node replaced, from the leaves up.
    pub(super) fn map(self, change: &impl Fn(Expr) -> Expr) -> Expr {
        use Expr::*;
        let one = |inner: Box<Expr>| Box::new(inner.map(change));
        let all = |items: Vec<Expr>| items.into_iter().map(|item| item.map(change)).collect::<Vec<_>>();
        change(match self {
            leaf @ (Number { .. } | Symbol(_) | Pi | Euler | Imaginary | Infinity | Based(..) | Reals) => leaf,
            Sum(items) => Sum(all(items)),
            Product(items) => Product(all(items)),
            Call(name, items) => Call(name, all(items)),
            Ratio(items, clock) => Ratio(all(items), clock),
            Several(brackets, items) => Several(brackets, all(items)),
            Quotient(a, b) => Quotient(one(a), one(b)),
            Power(a, b) => Power(one(a), one(b)),
            Root(a, b) => Root(one(a), one(b)),
            Logarithm(a, b) => Logarithm(one(a), one(b)),
            Binomial(a, b) => Binomial(one(a), one(b)),
            PlusMinus(a, b, flipped) => PlusMinus(one(a), one(b), flipped),
            Sets(operation, a, b) => Sets(operation, one(a), one(b)),
            Negated(inner) => Negated(one(inner)),
            Apply(function, inner) => Apply(function, one(inner)),
            Measured(inner, unit) => Measured(one(inner), unit),
            Matrix(rows) => Matrix(rows.into_iter().map(all).collect()),
            Related(first, rest) => {
                Related(one(first), rest.into_iter().map(|(relation, side)| (relation, side.map(change))).collect())
            }
        })
    }
}
