//! The vocabulary: LaTeX commands, function names, units and words around an answer.

use super::expr::Function;
use super::token::{Kind, WIDE};

/// Commands that print an operator, relation, bracket or separator.
const SYMBOLS: &[(&str, char)] = &[
    ("cdot", '*'),
    ("times", '*'),
    ("ast", '*'),
    ("div", '/'),
    ("le", '≤'),
    ("leq", '≤'),
    ("leqslant", '≤'),
    ("ge", '≥'),
    ("geq", '≥'),
    ("geqslant", '≥'),
    ("ne", '≠'),
    ("neq", '≠'),
    ("lt", '<'),
    ("gt", '>'),
    ("approx", '≈'),
    ("simeq", '≈'),
    ("equiv", '='),
    ("in", '∈'),
    ("cup", '∪'),
    ("cap", '∩'),
    ("setminus", '∖'),
    ("backslash", '∖'),
    ("pm", '±'),
    ("mp", '∓'),
    ("lbrace", '{'),
    ("rbrace", '}'),
    ("langle", '⟨'),
    ("rangle", '⟩'),
    ("lfloor", '⌊'),
    ("rfloor", '⌋'),
    ("lceil", '⌈'),
    ("rceil", '⌉'),
    ("lbrack", '['),
    ("rbrack", ']'),
    ("lparen", '('),
    ("rparen", ')'),
    ("vert", '|'),
    ("lvert", '|'),
    ("rvert", '|'),
    ("mid", '|'),
    ("Vert", '|'),
    ("colon", ':'),
    ("infty", '∞'),
    ("circ", '°'),
    ("degree", '°'),
    ("prime", '\''),
    ("quad", WIDE),
    ("qquad", WIDE),
    ("newline", '\n'),
    ("implies", '→'),
    ("Rightarrow", '→'),
    ("rightarrow", '→'),
    ("to", '→'),
    ("wedge", '∧'),
    ("land", '∧'),
    ("lor", '∨'),
    ("vee", '∨'),
];

/// Greek letters, variant forms included.
const GREEK: &[(&str, char)] = &[
    ("alpha", 'α'),
    ("beta", 'β'),
    ("gamma", 'γ'),
    ("delta", 'δ'),
    ("epsilon", 'ε'),
    ("varepsilon", 'ε'),
    ("zeta", 'ζ'),
    ("eta", 'η'),
    ("theta", 'θ'),
    ("vartheta", 'θ'),
    ("iota", 'ι'),
    ("kappa", 'κ'),
    ("lambda", 'λ'),
    ("mu", 'μ'),
    ("nu", 'ν'),
    ("xi", 'ξ'),
    ("pi", 'π'),
    ("rho", 'ρ'),
    ("sigma", 'σ'),
    ("tau", 'τ'),
    ("phi", 'φ'),
    ("varphi", 'φ'),
    ("chi", 'χ'),
    ("psi", 'ψ'),
    ("omega", 'ω'),
    ("Gamma", 'Γ'),
    ("Delta", 'Δ'),
    ("Theta", 'Θ'),
    ("Lambda", 'Λ'),
    ("Sigma", 'Σ'),
    ("Phi", 'Φ'),
    ("Psi", 'Ψ'),
    ("Omega", 'Ω'),
    ("triangle", '△'),
    ("angle", '∠'),
    ("ell", 'ℓ'),
    ("dots", '…'),
    ("ldots", '…'),
    ("cdots", '…'),
    ("dotsc", '…'),
];

/// Commands without meaning for an answer.
const SILENT: &[&str] = &[
    "left",
    "right",
    "middle",
    "big",
    "Big",
    "bigg",
    "Bigg",
    "bigl",
    "bigr",
    "Bigl",
    "Bigr",
    "biggl",
    "biggr",
    "displaystyle",
    "textstyle",
    "scriptstyle",
    "limits",
    "nolimits",
    "space",
    "thinspace",
    "enspace",
    "hline",
    "centering",
    "rm",
    "bf",
    "it",
    "sf",
    "tt",
    "small",
    "large",
    "Large",
    "huge",
    "nonumber",
    "notag",
    "boldsymbol",
    "therefore",
    "ensuremath",
    "par",
    "noindent",
    "strut",
];

const UPRIGHT: &[&str] = &[
    "text",
    "mathrm",
    "mbox",
    "textbf",
    "textrm",
    "textit",
    "textnormal",
    "textsf",
    "texttt",
    "operatorname",
    "mathsf",
    "hbox",
    "emph",
    "textup",
    "unit",
    "mathtt",
];

const STYLES: &[&str] = &[
    "boxed",
    "fbox",
    "mathbf",
    "mathit",
    "bm",
    "mathcal",
    "mathscr",
    "mathfrak",
    "vec",
    "hat",
    "bar",
    "tilde",
    "overrightarrow",
    "widehat",
    "underline",
    "bold",
    "smash",
    "mathstrut",
    "cancel",
];

/// Other commands with a meaning.
const OTHERS: &[&str] = &[
    "frac",
    "dfrac",
    "tfrac",
    "cfrac",
    "sqrt",
    "binom",
    "dbinom",
    "tbinom",
    "choose",
    "begin",
    "end",
    "overline",
    "dot",
    "sum",
    "prod",
    "int",
    "lim",
    "pmod",
    "bmod",
    "mod",
    "log",
    "ln",
    "emptyset",
    "varnothing",
    "mathbb",
    "min",
    "max",
    "gcd",
    "lcm",
    "det",
    "over",
];

fn find(table: &[(&str, char)], name: &str) -> Option<char> {
    table.iter().find(|(known, _)| *known == name).map(|(_, symbol)| *symbol)
}

pub(super) fn symbol(name: &str) -> Option<char> {
    find(SYMBOLS, name)
}

pub(super) fn letter(name: &str) -> Option<char> {
    find(GREEK, name)
}

pub(super) fn is_silent(name: &str) -> bool {
    SILENT.contains(&name)
}

pub(super) fn is_upright(name: &str) -> bool {
    UPRIGHT.contains(&name)
}

pub(super) fn is_style(name: &str) -> bool {
    STYLES.contains(&name)
}

/// Whether a name is a known command.
pub(super) fn is_command(name: &str) -> bool {
    name.len() > 1
        && (symbol(name).is_some()
            || letter(name).is_some()
            || is_silent(name)
            || is_upright(name)
            || is_style(name)
            || function(name).is_some()
            || OTHERS.contains(&name))
}

/// A word of plain text that means a constant.
pub(super) fn constant(word: &str) -> Option<Kind> {
    match word {
        "pi" | "Pi" => Some(Kind::Letter('π')),
        "infinity" | "inf" | "oo" | "Infinity" => Some(Kind::Symbol('∞')),
        "sqrt" | "cbrt" => Some(Kind::Command(word.to_owned())),
        "theta" | "alpha" | "beta" | "gamma" | "lambda" | "omega" => letter(word).map(Kind::Letter),
        _ => None,
    }
}

/// The function with this name, written as a command or word.
pub(super) fn function(name: &str) -> Option<Function> {
    Some(match name {
        "sin" => Function::Sin,
        "cos" => Function::Cos,
        "tan" | "tg" => Function::Tan,
        "cot" | "ctg" => Function::Cot,
        "sec" => Function::Sec,
        "csc" => Function::Csc,
        "arcsin" | "asin" => Function::Arcsin,
        "arccos" | "acos" => Function::Arccos,
        "arctan" | "atan" | "arctg" => Function::Arctan,
        "sinh" => Function::Sinh,
        "cosh" => Function::Cosh,
        "tanh" => Function::Tanh,
        "exp" => Function::Exp,
        "ln" => Function::Ln,
        "log" | "lg" => Function::Log,
        "abs" => Function::Abs,
        "floor" => Function::Floor,
        "ceil" => Function::Ceil,
        _ => return None,
    })
}

/// The inverse of a trigonometric function, as `\sin^{-1}` means it.
pub(super) fn inverse(function: Function) -> Option<Function> {
    match function {
        Function::Sin => Some(Function::Arcsin),
        Function::Cos => Some(Function::Arccos),
        Function::Tan => Some(Function::Arctan),
        _ => None,
    }
}

/// Words between the items of a list.
pub(super) fn is_connective(word: &str) -> bool {
    ["and", "or", "And", "Or", "AND", "OR"].contains(&word)
}

/// Words before an answer that carry no meaning.
pub(super) fn is_filler(word: &str) -> bool {
    let fillers = [
        "a",
        "an",
        "the",
        "about",
        "approximately",
        "exactly",
        "is",
        "are",
        "be",
        "only",
        "therefore",
        "so",
        "either",
        "all",
    ];
    fillers.contains(&word)
}

/// Units in all their spellings, singular first; the first name is the canonical one.
const UNITS: &[&[&str]] = &[
    &["percent", "percents", "pct", "percentage"],
    &["degree", "degrees", "deg"],
    &["radian", "radians", "rad"],
    &["cm", "centimeter", "centimeters", "centimetre", "centimetres", "cms"],
    &["mm", "millimeter", "millimeters", "millimetre", "millimetres"],
    &["km", "kilometer", "kilometers", "kilometre", "kilometres", "kms"],
    &["m", "meter", "meters", "metre", "metres"],
    &["inch", "inches", "in"],
    &["foot", "feet", "ft"],
    &["yard", "yards", "yd", "yds"],
    &["mile", "miles", "mi"],
    &["kg", "kilogram", "kilograms", "kgs"],
    &["g", "gram", "grams"],
    &["mg", "milligram", "milligrams"],
    &["pound", "pounds", "lb", "lbs"],
    &["ounce", "ounces", "oz"],
    &["ton", "tons"],
    &["second", "seconds", "sec", "secs", "s"],
    &["minute", "minutes", "min", "mins"],
    &["hour", "hours", "hr", "hrs", "h"],
    &["day", "days"],
    &["week", "weeks"],
    &["month", "months"],
    &["year", "years", "yr", "yrs"],
    &["dollar", "dollars", "usd", "USD"],
    &["cent", "cents"],
    &["euro", "euros"],
    &["yuan"],
    &["liter", "liters", "litre", "litres", "l", "L"],
    &["ml", "mL", "milliliter", "milliliters"],
    &["gallon", "gallons"],
    &["mph"],
    &["kph"],
    &["acre", "acres"],
    &["am", "AM"],
    &["pm", "PM"],
];

/// The canonical form of a word that is a unit.
pub(super) fn unit(word: &str) -> Option<&'static str> {
    let found = UNITS.iter().find(|names| names.contains(&word));
    let lower = word.to_ascii_lowercase();
    let found = found.or_else(|| UNITS.iter().find(|names| lower.len() > 2 && names.contains(&lower.as_str())));
    found.map(|names| names[0])
}

/// A number in words.
pub(super) fn numeral(word: &str) -> Option<i64> {
    const UNDER_TWENTY: [&str; 20] = [
        "zero",
        "one",
        "two",
        "three",
        "four",
        "five",
        "six",
        "seven",
        "eight",
        "nine",
        "ten",
        "eleven",
        "twelve",
        "thirteen",
        "fourteen",
        "fifteen",
        "sixteen",
        "seventeen",
        "eighteen",
        "nineteen",
    ];
    const TENS: [&str; 8] = ["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"];
    let lower = word.to_ascii_lowercase();
    let position = |names: &[&str]| names.iter().position(|name| *name == lower).map(|at| at as i64);
    position(&UNDER_TWENTY).or_else(|| position(&TENS).map(|at| 10 * at + 20)).or(match lower.as_str() {
        "hundred" => Some(100),
        "thousand" => Some(1000),
        _ => None,
    })
}
