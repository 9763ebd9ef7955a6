//! The values of arrays as JSON.

use serde_json::{Map, Value};

use super::{
    array::{Array, bit, damaged},
    flat::integer,
    schema::Kind,
};

/// Takes values out of arrays, up to a number of bytes in all: a short file may repeat a long text without end.
pub(super) struct Values {
    /// Bytes left, each value counted as a few.
    left: u64,
}

/// What a value is counted as, besides its text.
const PER_VALUE: u64 = 8;

impl Values {
    pub(super) fn new(bytes: u64) -> Values {
        Values { left: bytes }
    }

    fn spend(&mut self, bytes: u64) -> Result<(), String> {
        self.left = self.left.checked_sub(bytes).ok_or("its values, written out, take more than 1 GiB in one batch")?;
        Ok(())
    }

    /// A value; dates, times and decimals become strings, and so do bytes that are valid text. Other bytes are omitted.
    pub(super) fn at(&mut self, array: &Array, row: usize) -> Result<Value, String> {
        self.spend(PER_VALUE)?;
        if !array.is_valid(row) {
            return Ok(Value::Null);
        }
        if let Some(dictionary) = &array.dictionary {
            let mut index = usize::try_from(number(array, row)?).map_err(|_| damaged())?;
            for values in dictionary {
                if index < values.length {
                    return self.at(values, index);
                }
                index -= values.length;
            }
            return Err(damaged());
        }
        let items = array.items.all();
        Ok(match array.kind {
            Kind::Null => Value::Null,
            Kind::Bool => bit(items, row).into(),
            Kind::Signed(_) => i64::try_from(number(array, row)?).map_err(|_| damaged())?.into(),
            Kind::Unsigned(_) => u64::try_from(number(array, row)?).map_err(|_| damaged())?.into(),
            Kind::Float(width) => float(items, row, width).ok_or_else(damaged)?.into(),
            Kind::Decimal(_, scale) => decimal(number(array, row)?, scale).into(),
            Kind::Date(4) => date(number(array, row)? as i64).into(),
            Kind::Date(_) => timestamp(number(array, row)? as i64, 1_000).into(),
            Kind::Timestamp(per_second) => timestamp(number(array, row)? as i64, per_second).into(),
            Kind::Text(width) => {
                let text = array.enclosed(row, width).and_then(|range| array.texts[0].all().get(range));
                self.text(text.ok_or_else(damaged)?)?
            }
            Kind::TextView => self.text(view(array, row).ok_or_else(damaged)?)?,
            Kind::FixedBytes(width) => self.text(&items[row * width..][..width])?,
            Kind::List(width) => self.list(&array.children[0], array.enclosed(row, width).ok_or_else(damaged)?)?.into(),
            Kind::FixedList(size) => self.list(&array.children[0], row * size..(row + 1) * size)?.into(),
            Kind::Struct => Value::Object(self.fields(array, row)?),
            Kind::Map => {
                let mut map = Map::new();
                for entry in array.enclosed(row, 4).ok_or_else(damaged)? {
                    let [names, values] = array.children[0].children.as_slice() else { return Err(damaged()) };
                    let name = match self.at(names, entry)? {
                        Value::String(name) => name,
                        other => other.to_string(),
                    };
                    map.insert(name, self.at(values, entry)?);
                }
                Value::Object(map)
            }
        })
    }

    /// The fields of a row by their names.
    fn fields(&mut self, array: &Array, row: usize) -> Result<Map<String, Value>, String> {
        let fields = array.names.iter().zip(&array.children);
        fields.map(|(name, child)| Ok((name.clone(), self.at(child, row)?))).collect()
    }

    fn list(&mut self, items: &Array, range: std::ops::Range<usize>) -> Result<Vec<Value>, String> {
        range.map(|row| self.at(items, row)).collect()
    }

    fn text(&mut self, bytes: &[u8]) -> Result<Value, String> {
        self.spend(bytes.len() as u64)?;
        Ok(std::str::from_utf8(bytes).map_or(Value::Null, Value::from))
    }
}

/// An integer of any width.
fn number(array: &Array, row: usize) -> Result<i128, String> {
    let items = array.items.all();
    let (width, signed) = match array.kind {
        Kind::Unsigned(width) => (width, false),
        Kind::Signed(width) | Kind::Decimal(width, _) | Kind::Date(width) => (width, true),
        _ => (8, true),
    };
    let bytes = row.checked_mul(width).and_then(|at| items.get(at..)?.get(..width)).ok_or_else(damaged)?;
    let negative = signed && bytes.last().is_some_and(|byte| *byte >= 128);
    let mut whole = [if negative { 0xFF } else { 0 }; 16];
    whole.get_mut(..width).ok_or_else(damaged)?.copy_from_slice(bytes);
    Ok(i128::from_le_bytes(whole))
}

fn float(items: &[u8], row: usize, width: usize) -> Option<f64> {
    let at = row.checked_mul(width)?;
    Some(match width {
        2 => half(u16::from_le_bytes(integer(items, at)?)),
        4 => f32::from_le_bytes(integer(items, at)?).into(),
        _ => f64::from_le_bytes(integer(items, at)?),
    })
}

/// A number of 16 bits: a sign, five bits of exponent, ten of fraction.
fn half(bits: u16) -> f64 {
    let (exponent, fraction) = (i32::from(bits >> 10 & 31), f64::from(bits & 1023));
    let size = match exponent {
        0 => fraction * 2f64.powi(-24),
        31 if fraction == 0.0 => f64::INFINITY,
        31 => f64::NAN,
        _ => (1024.0 + fraction) * 2f64.powi(exponent - 25),
    };
    if bits >> 15 == 1 { -size } else { size }
}

/// The text to which a view refers, or which it holds.
fn view(array: &Array, row: usize) -> Option<&[u8]> {
    let view = array.items.all().get(row.checked_mul(16)?..)?.get(..16)?;
    let int = |at| usize::try_from(i32::from_le_bytes(integer(view, at)?)).ok();
    let length = int(0)?;
    if length <= 12 {
        return view.get(4..4 + length);
    }
    let (buffer, start) = (int(8)?, int(12)?);
    array.texts.get(buffer)?.all().get(start..start.checked_add(length)?)
}

fn decimal(value: i128, scale: i32) -> String {
    let digits = value.unsigned_abs().to_string();
    let sign = if value < 0 { "-" } else { "" };
    match usize::try_from(scale).unwrap_or(0).min(100) {
        0 => format!("{sign}{digits}"),
        places => {
            let padded = format!("{digits:0>width$}", width = places + 1);
            let (whole, fraction) = padded.split_at(padded.len() - places);
            format!("{sign}{whole}.{fraction}")
        }
    }
}

/// The date so many days after 1970-01-01, in the Gregorian calendar.
fn date(days: i64) -> String {
    // Years begin in March, so that a leap day is the last of its year.
    let days = i128::from(days) + 719_468;
    let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let (month, day) = (if month < 10 { month + 3 } else { month - 9 }, day - (153 * month + 2) / 5 + 1);
    let year = year + era * 400 + i128::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

fn timestamp(value: i64, per_second: i64) -> String {
    let (seconds, fraction) = (value.div_euclid(per_second), value.rem_euclid(per_second));
    let (day, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let time = format!("{} {:02}:{:02}:{:02}", date(day), second / 3_600, second / 60 % 60, second % 60);
    let places = per_second.ilog10() as usize;
    if fraction == 0 { time } else { format!("{time}.{fraction:0places$}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_and_decimals_are_texts() {
        assert_eq!((date(0), date(11_016), date(-1)), ("1970-01-01".into(), "2000-02-29".into(), "1969-12-31".into()));
        assert_eq!(timestamp(-1, 1_000), "1969-12-31 23:59:59.999");
        assert_eq!((decimal(-5, 2), decimal(1234, 0)), ("-0.05".into(), "1234".into()));
        assert_eq!((half(0x3C00), half(0xC000), half(1)), (1.0, -2.0, 2f64.powi(-24)));
    }
}
