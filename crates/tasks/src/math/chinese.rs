//! Chinese around and inside an answer, translated into the notation that the lexer reads.

use num_bigint::BigInt;

/// Words and their translations, longer words before their beginnings.
const TRANSLATIONS: &[(&str, &str)] = &[
    ("或者", " or "),
    ("或", " or "),
    ("以及", " and "),
    ("并且", " and "),
    ("和", " and "),
    ("与", " and "),
    ("及", " and "),
    ("且", " and "),
    ("大于等于", "\\ge "),
    ("大于或等于", "\\ge "),
    ("不小于", "\\ge "),
    ("小于等于", "\\le "),
    ("小于或等于", "\\le "),
    ("不大于", "\\le "),
    ("不等于", "\\ne "),
    ("大于", ">"),
    ("小于", "<"),
    ("等于", "="),
    ("属于", "\\in "),
    ("根号", "\\sqrt "),
    ("平方厘米", "\\text{cm}^2"),
    ("平方分米", "\\text{dm}^2"),
    ("平方毫米", "\\text{mm}^2"),
    ("平方千米", "\\text{km}^2"),
    ("平方公里", "\\text{km}^2"),
    ("平方米", "\\text{m}^2"),
    ("立方厘米", "\\text{cm}^3"),
    ("立方分米", "\\text{dm}^3"),
    ("立方米", "\\text{m}^3"),
    ("厘米", "\\text{cm}"),
    ("毫米", "\\text{mm}"),
    ("分米", "\\text{dm}"),
    ("千米", "\\text{km}"),
    ("公里", "\\text{km}"),
    ("米", "\\text{m}"),
    ("千克", "\\text{kg}"),
    ("公斤", "\\text{kg}"),
    ("毫克", "\\text{mg}"),
    ("克", "\\text{g}"),
    ("吨", "\\text{ton}"),
    ("毫升", "\\text{ml}"),
    ("升", "\\text{liter}"),
    ("小时", "\\text{hour}"),
    ("分钟", "\\text{minute}"),
    ("秒", "\\text{second}"),
    ("天", "\\text{day}"),
    ("周", "\\text{week}"),
    ("个月", "\\text{month}"),
    ("年", "\\text{year}"),
    ("元", "\\text{yuan}"),
    ("度", "^\\circ "),
    ("无解", "\\emptyset "),
    ("空集", "\\emptyset "),
    ("全体实数", "\\mathbb{R}"),
    ("任意实数", "\\mathbb{R}"),
    ("所有实数", "\\mathbb{R}"),
    ("实数集", "\\mathbb{R}"),
    ("不存在", "DNE"),
    ("不是", "\\text{ not }"),
    ("大约", "\\approx "),
    ("约", "\\approx "),
    ("答案", " "),
    ("一共有", " "),
    ("一共", " "),
    ("共有", " "),
    ("共", " "),
    ("有", " "),
    ("当", "\\text{ when }"),
    ("其中", "\\text{ where }"),
    ("因为", "\\text{ because }"),
];

/// More characters than this are several numbers.
const LONGEST_NUMERAL: usize = 40;

/// Whether a character is Chinese.
pub(super) fn is_chinese(c: char) -> bool {
    matches!(c, '\u{4e00}'..='\u{9fff}')
}

/// A piece of Chinese text.
#[derive(Debug, PartialEq)]
pub(super) enum Piece {
    /// A number in words.
    Number(BigInt),
    /// A power of ten that multiplies the number before it.
    Scale(BigInt),
    /// `百分之`: the number that follows is a percentage.
    PercentOf,
    /// `分之`: the number before it divides the one that follows.
    PartsOf,
    /// A known word, in LaTeX.
    Known(&'static str),
    /// Any other word: a unit, a name.
    Word,
}

/// The piece at the start of a text that begins with a Chinese character, and its length in bytes.
pub(super) fn piece(text: &str) -> (Piece, usize) {
    for (marker, piece) in [("百分之", Piece::PercentOf), ("分之", Piece::PartsOf)] {
        if text.starts_with(marker) {
            return (piece, marker.len());
        }
    }
    if let Some((word, meaning)) = TRANSLATIONS.iter().find(|(word, _)| text.starts_with(word)) {
        return (Piece::Known(meaning), word.len());
    }
    let digits = text.char_indices().take(LONGEST_NUMERAL);
    let digits = digits.take_while(|(_, c)| figure(*c).is_some() || power(*c).is_some());
    if let Some((last, c)) = digits.last() {
        let length = last + c.len_utf8();
        return (numeral(&text[..length]), length);
    }
    let word = text.char_indices().take_while(|(at, c)| *at == 0 || is_chinese(*c) && is_unknown(&text[*at..]));
    let length = word.last().map_or(0, |(at, c)| at + c.len_utf8());
    (Piece::Word, length)
}

fn is_unknown(text: &str) -> bool {
    let first = text.chars().next().unwrap_or(' ');
    figure(first).is_none() && power(first).is_none() && !TRANSLATIONS.iter().any(|(word, _)| text.starts_with(word))
}

fn figure(c: char) -> Option<u64> {
    match c {
        '零' | '〇' => Some(0),
        '两' => Some(2),
        _ => "一二三四五六七八九".chars().position(|digit| digit == c).map(|at| at as u64 + 1),
    }
}

fn power(c: char) -> Option<u64> {
    match c {
        '十' => Some(10),
        '百' => Some(100),
        '千' => Some(1_000),
        '万' => Some(10_000),
        '亿' => Some(100_000_000),
        _ => None,
    }
}

/// The value of a number in Chinese words, or of powers of ten alone.
fn numeral(text: &str) -> Piece {
    let powers_only = text.chars().all(|c| power(c).is_some()) && !text.starts_with('十');
    if powers_only {
        return Piece::Scale(text.chars().filter_map(power).fold(BigInt::from(1), |product, power| product * power));
    }
    let (mut total, mut section, mut digit) = (BigInt::ZERO, BigInt::ZERO, None::<u64>);
    for c in text.chars() {
        match (figure(c), power(c)) {
            (Some(figure), _) => digit = Some(figure),
            (None, Some(power)) if power < 10_000 => {
                section += digit.take().unwrap_or(1) * power;
            }
            (None, Some(power)) => {
                section += digit.take().unwrap_or(0);
                total = (total + std::mem::take(&mut section)) * power;
            }
            _ => {}
        }
    }
    Piece::Number(total + section + digit.unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_of_chinese() {
        for (text, expected, length) in [
            ("二十三", Piece::Number(23.into()), 9),
            ("三百零五个", Piece::Number(305.into()), 12),
            ("十二", Piece::Number(12.into()), 6),
            ("一万二千", Piece::Number(12_000.into()), 12),
            ("万元", Piece::Scale(10_000.into()), 3),
            ("平方厘米", Piece::Known("\\text{cm}^2"), 12),
            ("苹果或", Piece::Word, 6),
            ("分之一", Piece::PartsOf, 6),
        ] {
            assert_eq!(piece(text), (expected, length), "{text}");
        }
    }
}
