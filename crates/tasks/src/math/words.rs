//! The vocabulary: LaTeX commands, function names, units and words around an answer.

use super::expr::Function;
use super::token::{Kind, WIDE};

/// Commands that print an operator, relation, bracket or separator.
const SYMBOLS: &[(&str, char)] = &[
    ("cdot", '*'),
    ("times", '*'),
    ("ast", '*'),
    ("star", '*'),
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
    "blacksquare",
    "square",
    "Box",
    "qed",
    "checkmark",
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
    "nicefrac",
    "sfrac",
    "flatfrac",
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
    "top",
    "intercal",
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
pub(super) fn constant(word: &str) -> Option<Kind<'_>> {
    match word {
        "pi" | "Pi" => Some(Kind::Letter('π')),
        "infinity" | "inf" | "oo" | "Infinity" => Some(Kind::Symbol('∞')),
        "sqrt" | "cbrt" => Some(Kind::Command(word)),
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
        "indeed",
        "simply",
        "just",
        "now",
        "precisely",
        "roughly",
        "around",
        "nearly",
        "therefore",
        "so",
        "either",
        "all",
    ];
    fillers.contains(&word)
}

/// A number in words.
pub(super) fn numeral(word: &str) -> Option<u64> {
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
    let position = |names: &[&str]| names.iter().position(|name| name.eq_ignore_ascii_case(word)).map(|at| at as u64);
    let power = || scale(word).filter(|factor| ![12, 20].contains(factor));
    position(&UNDER_TWENTY).or_else(|| position(&TENS).map(|at| 10 * at + 20)).or_else(power)
}

/// Words that scale the number before them.
const SCALES: &[(&str, u64)] = &[
    ("dozen", 12),
    ("dozens", 12),
    ("score", 20),
    ("hundred", 100),
    ("hundreds", 100),
    ("thousand", 1_000),
    ("thousands", 1_000),
    ("million", 1_000_000),
    ("millions", 1_000_000),
    ("billion", 1_000_000_000),
    ("billions", 1_000_000_000),
    ("trillion", 1_000_000_000_000),
    ("trillions", 1_000_000_000_000),
    ("lakh", 100_000),
    ("lakhs", 100_000),
    ("crore", 10_000_000),
    ("crores", 10_000_000),
];

/// Words for parts of a whole, which divide the number before them.
const PARTS: &[(&str, u64)] = &[
    ("half", 2),
    ("halves", 2),
    ("third", 3),
    ("thirds", 3),
    ("quarter", 4),
    ("quarters", 4),
    ("fourth", 4),
    ("fourths", 4),
    ("fifth", 5),
    ("fifths", 5),
    ("sixth", 6),
    ("sixths", 6),
    ("seventh", 7),
    ("sevenths", 7),
    ("eighth", 8),
    ("eighths", 8),
    ("ninth", 9),
    ("ninths", 9),
    ("tenth", 10),
    ("tenths", 10),
    ("hundredth", 100),
    ("hundredths", 100),
    ("thousandth", 1_000),
    ("thousandths", 1_000),
];

/// The number of a word in a table, ignoring case.
fn number_of(table: &[(&str, u64)], word: &str) -> Option<u64> {
    table.iter().find(|(name, _)| name.eq_ignore_ascii_case(word)).map(|(_, number)| *number)
}

/// The factor of a word that scales the number before it.
pub(super) fn scale(word: &str) -> Option<u64> {
    number_of(SCALES, word)
}

/// The parts that a word divides a whole into: `half`, `quarters`.
pub(super) fn part(word: &str) -> Option<u64> {
    number_of(PARTS, word)
}

/// The end of an ordinal number in digits.
pub(super) fn is_ordinal(word: &str) -> bool {
    ["st", "nd", "rd", "th"].contains(&word)
}

/// Words that begin a remark after an answer: `20 when k = 5`.
pub(super) fn begins_remark(word: &str) -> bool {
    const WORDS: [&str; 23] = [
        "when",
        "whenever",
        "if",
        "for",
        "where",
        "as",
        "because",
        "since",
        "which",
        "given",
        "with",
        "is",
        "are",
        "was",
        "were",
        "that",
        "provided",
        "but",
        "after",
        "before",
        "out",
        "assuming",
        "according",
    ];
    WORDS.contains(&word)
}

/// Words that deny what stands next to them.
pub(super) fn is_denial(word: &str) -> bool {
    const WORDS: [&str; 13] = [
        "not",
        "never",
        "no",
        "cannot",
        "isn",
        "aren",
        "doesn",
        "don",
        "incorrect",
        "wrong",
        "false",
        "impossible",
        "invalid",
    ];
    WORDS.iter().any(|denial| denial.eq_ignore_ascii_case(word))
}

/// Whether a run of letters is a word of a text rather than a product of variables.
pub(super) fn is_text(word: &str) -> bool {
    is_small_word(word) || begins_remark(word) || is_denial(word) || is_ordinal(word)
}

/// Short words of a text that are never products of variables.
pub(super) fn is_small_word(word: &str) -> bool {
    const WORDS: [&str; 18] = [
        "no", "yes", "on", "so", "it", "if", "is", "at", "by", "of", "to", "or", "and", "not", "the", "odd", "all",
        "any",
    ];
    WORDS.contains(&word)
}

/// Ordinal numbers in words, other than `second`, which is also a unit, and those that name parts of a whole.
const ORDINALS: &[(&str, u64)] = &[
    ("first", 1),
    ("eleventh", 11),
    ("twelfth", 12),
    ("thirteenth", 13),
    ("fourteenth", 14),
    ("fifteenth", 15),
    ("sixteenth", 16),
    ("seventeenth", 17),
    ("eighteenth", 18),
    ("nineteenth", 19),
    ("twentieth", 20),
];

/// An ordinal number in words.
pub(super) fn ordinal(word: &str) -> Option<u64> {
    number_of(ORDINALS, word)
}
