//! The numbers of a metrics row, without building a tree of it: lists of runs read every row of every run.

use std::fmt;

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor},
};

/// Calls `number` with each metric of a row that has one (`None`: null); other values are skipped.
///
/// # Errors
/// The line is not a JSON object.
pub(crate) fn numbers(line: &[u8], number: impl FnMut(&str, Option<f64>)) -> serde_json::Result<()> {
    let mut deserializer = serde_json::Deserializer::from_slice(line);
    (&mut deserializer).deserialize_map(Row(number))?;
    deserializer.end()
}

struct Row<F>(F);

impl<'de, F: FnMut(&str, Option<f64>)> Visitor<'de> for Row<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a row of metrics")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        let mut key = String::new();
        while map.next_key_seed(Key(&mut key))?.is_some() {
            match map.next_value()? {
                Cell::Number(value) => (self.0)(&key, Some(value)),
                Cell::Null => (self.0)(&key, None),
                Cell::Other => {}
            }
        }
        Ok(())
    }
}

/// A key, written over the one before.
struct Key<'a>(&'a mut String);

impl<'de> DeserializeSeed<'de> for Key<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a metric's name")
    }

    fn visit_str<E>(self, text: &str) -> Result<(), E> {
        self.0.clear();
        self.0.push_str(text);
        Ok(())
    }
}

/// A metric's value.
enum Cell {
    Number(f64),
    Null,
    Other,
}

impl<'de> Deserialize<'de> for Cell {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(CellVisitor)
    }
}

struct CellVisitor;

impl<'de> Visitor<'de> for CellVisitor {
    type Value = Cell;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a metric")
    }

    fn visit_f64<E>(self, value: f64) -> Result<Cell, E> {
        Ok(Cell::Number(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Cell, E> {
        Ok(Cell::Number(value as f64))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Cell, E> {
        Ok(Cell::Number(value as f64))
    }

    fn visit_unit<E>(self) -> Result<Cell, E> {
        Ok(Cell::Null)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Cell, E> {
        Ok(Cell::Other)
    }

    fn visit_str<E>(self, _: &str) -> Result<Cell, E> {
        Ok(Cell::Other)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Cell, A::Error> {
        while elements.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Cell::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Cell, A::Error> {
        while entries.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Cell::Other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Option<Vec<(String, Option<f64>)>> {
        let mut found = Vec::new();
        numbers(line.as_bytes(), |key, value| found.push((key.to_owned(), value))).ok().map(|()| found)
    }

    #[test]
    fn a_row_gives_its_numbers_and_nulls() {
        let line = r#"{"a":1,"b\"c":-2.5e3,"d":null,"e":"text","f":[1,{"g":2}],"h":{"i":3},"j":true,"k":-4}"#;
        let expected = [("a", Some(1.0)), ("b\"c", Some(-2500.0)), ("d", None), ("k", Some(-4.0))];
        assert_eq!(read(line).unwrap(), expected.map(|(key, value)| (key.to_owned(), value)));
    }

    #[test]
    fn what_is_no_object_is_an_error() {
        for line in ["", "[1]", "7", "{\"a\":1", "{\"a\":1}{", "{\"a\":}"] {
            assert_eq!(read(line), None, "{line}");
        }
    }
}
