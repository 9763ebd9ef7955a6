//! Units and currencies.

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
    &["dollar", "dollars", "usd", "USD", "bucks"],
    &["cent", "cents"],
    &["euro", "euros", "EUR"],
    &["yuan", "RMB", "CNY"],
    &["rupee", "rupees", "Rs", "INR"],
    &["dm", "decimeter", "decimeters", "decimetre", "decimetres"],
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
    let named = |word: &str| UNITS.iter().find(|names| names.contains(&word)).map(|names| names[0]);
    let folds = word.len() > 2 && word.bytes().any(|b| b.is_ascii_uppercase());
    named(word).or_else(|| folds.then(|| word.to_ascii_lowercase()).and_then(|lower| named(&lower)))
}

/// Factors of a unit in words, after or before its name.
const POWERS: &[(&str, i32)] = &[("square", 2), ("sq", 2), ("squared", 2), ("cubic", 3), ("cubed", 3)];

/// A unit of several words in a canonical notation: `cm^2` for `square centimeters`, `m/s` for `m s^-1` and `meters per second`.
pub(super) fn normal(unit: &str) -> String {
    let mut parts: Vec<(String, i32)> = Vec::new();
    let (mut sign, mut pending) = (1, 1);
    let spaced = unit.replace('/', " per ");
    for word in spaced.split(' ').filter(|word| !word.is_empty()) {
        let (name, exponent) = word.split_once('^').unwrap_or((word, ""));
        let exponent: i32 = exponent.trim_matches('^').parse().unwrap_or(1);
        match POWERS.iter().find(|(power, _)| *power == name) {
            Some((_, power)) if matches!(name, "squared" | "cubed") => {
                if let Some((_, exponent)) = parts.last_mut() {
                    *exponent = exponent.saturating_mul(*power);
                }
            }
            Some((_, power)) => pending = *power,
            None if name == "per" => sign = -1,
            None => {
                parts.push((name.to_owned(), exponent.saturating_mul(sign * pending)));
                pending = 1;
            }
        }
    }
    let written = |(name, exponent): &(String, i32)| match exponent.unsigned_abs() {
        1 => name.clone(),
        power => format!("{name}^{power}"),
    };
    let side = |sign: i32| parts.iter().filter(move |part| part.1.signum() == sign).map(written);
    let above = side(1).collect::<Vec<_>>().join(" ");
    std::iter::once(above).chain(side(-1)).collect::<Vec<_>>().join("/")
}

/// The unit of an amount of money, from a name that may stand before it: `USD 25`.
pub(super) fn currency(word: &str) -> Option<&'static str> {
    Some(match word {
        "dollar" | "dollars" | "USD" | "US" | "usd" | "AUD" | "CAD" | "SGD" => "dollar",
        "EUR" | "eur" | "euro" | "euros" => "euro",
        "GBP" => "pound",
        "RMB" | "CNY" => "yuan",
        "Rs" | "INR" | "rupee" | "rupees" => "rupee",
        _ => return None,
    })
}
