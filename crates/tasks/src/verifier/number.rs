//! Numbers as people and models write them, found in text and compared exactly.

use std::{fmt, str::FromStr};

use num_bigint::BigInt;
use num_integer::Integer;

/// Longer numbers are rejected, so that no response can make the comparison slow.
const MAX_DIGITS: usize = 1000;

/// A rational number; the denominator is positive.
#[derive(Clone, Debug)]
pub(super) struct Rational {
    numerator: BigInt,
    denominator: BigInt,
}

impl Rational {
    /// Whether |self - other| <= tolerance.
    pub(super) fn is_within(&self, tolerance: &Rational, other: &Rational) -> bool {
        let left = &self.numerator * &other.denominator;
        let right = &other.numerator * &self.denominator;
        let difference = if left > right { left - right } else { right - left };
        difference * &tolerance.denominator <= &tolerance.numerator * (&self.denominator * &other.denominator)
    }
}

impl fmt::Display for Rational {
    /// In lowest terms, so that equal numbers have equal texts.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let divisor = self.numerator.gcd(&self.denominator);
        let (numerator, denominator) = (&self.numerator / &divisor, &self.denominator / &divisor);
        if denominator == BigInt::from(1) { write!(f, "{numerator}") } else { write!(f, "{numerator}/{denominator}") }
    }
}

/// A number as written in a text: `-$1,234.50`, `3/4`, `.5`, `1e-3`.
///
/// A percent sign, unit or period after it is not part of it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Literal<'a> {
    negative: bool,
    /// Digits before the decimal point, possibly with thousands separators; may be empty.
    whole: &'a str,
    /// Digits after the decimal point.
    decimals: &'a str,
    /// The power of ten, with sign; may be empty.
    exponent: &'a str,
    denominator: Option<&'a str>,
}

impl Literal<'_> {
    /// The exact value, or the reason why there is none.
    pub(super) fn value(&self) -> Result<Rational, String> {
        let divisor = self.denominator.unwrap_or("1");
        let digits: String = self.whole.chars().chain(self.decimals.chars()).filter(char::is_ascii_digit).collect();
        let longest = digits.len().max(divisor.len());
        if longest > MAX_DIGITS {
            return Err(format!("a number of {longest} digits, at most {MAX_DIGITS} are read"));
        }
        let exponent = match self.exponent {
            "" => 0,
            text => text
                .parse::<i64>()
                .ok()
                .filter(|exponent| exponent.unsigned_abs() <= MAX_DIGITS as u64)
                .ok_or_else(|| format!("a power of ten beyond 1e{MAX_DIGITS} or 1e-{MAX_DIGITS}"))?,
        };
        let shift = exponent - self.decimals.len() as i64;
        let power = BigInt::from(10).pow(shift.unsigned_abs() as u32);
        let (mut numerator, mut denominator) = (parse_digits(&digits), parse_digits(divisor));
        if denominator == BigInt::ZERO {
            return Err("a division by zero".to_owned());
        }
        if shift < 0 {
            denominator *= power
        } else {
            numerator *= power
        }
        if self.negative {
            numerator = -numerator;
        }
        Ok(Rational { numerator, denominator })
    }
}

fn parse_digits(digits: &str) -> BigInt {
    BigInt::from_str(digits).expect("the scanner collects ASCII digits only, at least one")
}

/// Finds the numbers of a text from left to right, in time linear in its length.
///
/// Digits after a letter, an underscore or a caret (`m2`, `x_1`, `x^2`) are names and powers, not numbers. A minus
/// is a sign if it is directly before the number (with at most a currency sign between) and nothing precedes it that
/// it could be subtracted from.
pub(super) fn literals(text: &str) -> impl Iterator<Item = Literal<'_>> {
    let bytes = text.as_bytes();
    let mut at = 0;
    // Where a run of digits and slashes that is not a fraction (such as a date) continues.
    let mut after_slash = None;
    std::iter::from_fn(move || {
        loop {
            at += bytes[at..].iter().position(u8::is_ascii_digit)?;
            let before = at.checked_sub(1).map(|i| bytes[i]);
            if before.is_some_and(|b| b.is_ascii_alphabetic() || b == b'_' || b == b'^') {
                at = skip_digits(bytes, at);
                continue;
            }
            let (literal, end) = scan(text, at, after_slash == Some(at));
            after_slash = (bytes.get(end) == Some(&b'/')).then_some(end + 1);
            at = end;
            return Some(literal);
        }
    })
}

/// Parses the number whose first digit is at `first`; also returns where it ends.
fn scan(text: &str, first: usize, after_slash: bool) -> (Literal<'_>, usize) {
    let bytes = text.as_bytes();
    let starts_with_point =
        first > 0 && bytes[first - 1] == b'.' && !(first > 1 && bytes[first - 2].is_ascii_alphanumeric());
    let (start, whole_end) = if starts_with_point { (first - 1, first - 1) } else { (first, skip_whole(text, first)) };
    let digit_at = |i: usize| bytes.get(i).is_some_and(u8::is_ascii_digit);

    let mut end = whole_end;
    let mut decimals = "";
    if bytes.get(end) == Some(&b'.') && digit_at(end + 1) {
        end = skip_digits(bytes, end + 1);
        decimals = &text[whole_end + 1..end];
    }
    let mut exponent = "";
    if matches!(bytes.get(end), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
        let exponent_end = skip_digits(bytes, end + 1 + sign);
        let glued = bytes.get(exponent_end).is_some_and(u8::is_ascii_alphabetic);
        if digit_at(end + 1 + sign) && !glued {
            exponent = &text[end + 1..exponent_end];
            end = exponent_end;
        }
    }
    let mut denominator = None;
    if !after_slash && bytes.get(end) == Some(&b'/') && digit_at(end + 1) {
        let denominator_end = skip_digits(bytes, end + 1);
        let goes_on = matches!(bytes.get(denominator_end), Some(b'/' | b'.')) && digit_at(denominator_end + 1);
        if !goes_on {
            denominator = Some(&text[end + 1..denominator_end]);
            end = denominator_end;
        }
    }
    let whole = &text[start..whole_end];
    (Literal { negative: has_minus(&text[..start]), whole, decimals, exponent, denominator }, end)
}

fn skip_digits(bytes: &[u8], start: usize) -> usize {
    start + bytes[start.min(bytes.len())..].iter().take_while(|b| b.is_ascii_digit()).count()
}

/// Skips digits, and groups of three after a thousands separator: comma, no-break space or thin space.
fn skip_whole(text: &str, start: usize) -> usize {
    let bytes = text.as_bytes();
    let mut end = skip_digits(bytes, start);
    if end - start > 3 || bytes[start] == b'0' {
        return end;
    }
    let Some(separator) = text[end..].chars().next() else {
        return end;
    };
    if !matches!(separator, ',' | '\u{a0}' | '\u{2009}' | '\u{202f}') {
        return end;
    }
    while text[end..].starts_with(separator) {
        let group = end + separator.len_utf8();
        let group_end = skip_digits(bytes, group);
        if group_end - group != 3 {
            break;
        }
        end = group_end;
    }
    end
}

/// Whether the text before a number ends with its minus sign.
fn has_minus(before: &str) -> bool {
    let before = before.strip_suffix(['$', '€', '£', '¥']).unwrap_or(before);
    let before = before.strip_suffix('\\').unwrap_or(before);
    let Some(before) = before.strip_suffix(['-', '\u{2212}']) else {
        return false;
    };
    !before.ends_with(|c: char| c.is_alphanumeric() || matches!(c, ')' | ']' | '}' | '%' | '-' | '\u{2212}'))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each number of a text as "numerator/denominator".
    fn numbers(text: &str) -> Vec<String> {
        literals(text)
            .map(|literal| match literal.value() {
                Ok(value) => format!("{}/{}", value.numerator, value.denominator),
                Err(reason) => reason,
            })
            .collect()
    }

    #[test]
    fn reads_numbers_as_people_write_them() {
        for (text, expected) in [
            ("42", "42/1"),
            ("it is 42.", "42/1"),
            ("-7", "-7/1"),
            ("\u{2212}7", "-7/1"),
            ("+7", "7/1"),
            ("3.50", "350/100"),
            (".5", "5/10"),
            ("-.5", "-5/10"),
            ("1,234", "1234/1"),
            ("$1,234,567.89!", "123456789/100"),
            ("1\u{202f}234\u{202f}567", "1234567/1"),
            ("-$5", "-5/1"),
            ("-\\$5", "-5/1"),
            ("$-5", "-5/1"),
            ("3/4", "3/4"),
            ("-3/4.", "-3/4"),
            ("1.5/2", "15/20"),
            ("50%", "50/1"),
            ("1e3", "1000/1"),
            ("2.5E-2", "25/1000"),
            ("2e", "2/1"),
            ("007", "7/1"),
            ("**18**", "18/1"),
            ("\\boxed{18}", "18/1"),
            ("5x", "5/1"),
            ("答案是5", "5/1"),
            ("1/0", "a division by zero"),
        ] {
            assert_eq!(numbers(text), [expected], "{text}");
        }
    }

    #[test]
    fn distinguishes_numbers() {
        for (text, expected) in [
            ("10-3=7", vec!["10/1", "3/1", "7/1"]),
            ("2-5=-3", vec!["2/1", "5/1", "-3/1"]),
            ("(1)-2", vec!["1/1", "2/1"]),
            ("1--2", vec!["1/1", "2/1"]),
            ("1, 2,3", vec!["1/1", "2/1", "3/1"]),
            ("1,2345", vec!["1/1", "2345/1"]),
            ("1234,567", vec!["1234/1", "567/1"]),
            ("0,123", vec!["0/1", "123/1"]),
            ("1,234,56", vec!["1234/1", "56/1"]),
            ("12/25/2024", vec!["12/1", "25/1", "2024/1"]),
            ("10:30", vec!["10/1", "30/1"]),
            ("m2, x_1, x^2, H2O", vec![]),
            ("3-5 items", vec!["3/1", "5/1"]),
            ("no number, not even a . or -", vec![]),
        ] {
            assert_eq!(numbers(text), expected, "{text}");
        }
    }

    #[test]
    fn refuses_numbers_that_would_be_slow_to_compare() {
        assert_eq!(numbers(&"9".repeat(1001)), ["a number of 1001 digits, at most 1000 are read"]);
        assert_eq!(numbers("1e1001 1e-99999999999999999999"), ["a power of ten beyond 1e1000 or 1e-1000"; 2]);
        assert_eq!(literals(&"1/".repeat(500_000)).count(), 500_000);
        assert_eq!(literals(&"1,234".repeat(200_000)).count(), 200_001);
    }

    #[test]
    fn compares_exactly() {
        let value = |text| literals(text).next().unwrap().value().unwrap();
        let within = |a, b, tolerance| value(a).is_within(&value(tolerance), &value(b));
        assert!(within("0.5", "1/2", "0"));
        assert!(within("2/4", "1/2", "0"));
        assert!(within("-0", "0", "0"));
        assert!(within("1e2", "100.0", "0"));
        assert!(!within("5", "-5", "0"));
        // Equal as 64-bit floats.
        assert!(!within("9007199254740993", "9007199254740992", "0"));
        assert!(!within("0.1", "0.1000000000000000055511151231257827", "0"));
        assert!(within("3.14", "3.15", "0.01"));
        assert!(within("3.15", "3.14", "0.01"));
        assert!(!within("3.14", "3.1501", "0.01"));
        assert!(within("0.333", "1/3", "0.001"));
    }
}
