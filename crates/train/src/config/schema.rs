//! The macro that declares a section of the configuration: every field once, with its default, its documentation
//! and marks for the kinds of settings.

/// One setting: its name within its section, its documentation and its marks.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Name within the section, e.g. `group_size`.
    pub name: &'static str,
    /// The lines of the field's doc comment; also the comment in a printed config.
    pub doc: &'static [&'static str],
    /// Its marks.
    pub marks: &'static [Mark],
}

impl Field {
    /// Whether it has this mark.
    pub fn has(&self, mark: Mark) -> bool {
        self.marks.contains(&mark)
    }
}

/// A property of a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// Part of a method: every preset sets it.
    Method,
    /// Used only by policy training: runs that differ only in such settings pretrain the same critic.
    PolicyOnly,
    /// A number that switches something off if it is 0.
    ZeroIsOff,
    /// A path.
    Path,
}

/// Declares a settings struct with `serde` (unknown keys rejected, missing keys defaulted), `Default` and `FIELDS`.
/// Doc comments of fields become both rustdoc and the comments of `Config::to_commented_toml`; `#[marks(..)]` lists a
/// field's [`Mark`]s.
macro_rules! settings {
    (
        $(#[$outer:meta])*
        pub struct $name:ident {
            $(
                $(#[doc = $doc:literal])+ $(#[serde($($serde:tt)+)])? $(#[marks($($mark:ident),+)])?
                pub $field:ident: $type:ty = $default:expr,
            )+
        }
    ) => {
        $(#[$outer])*
        #[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(deny_unknown_fields, default)]
        pub struct $name {
            $( $(#[doc = $doc])+ $(#[serde($($serde)+)])? pub $field: $type, )+
        }

        impl Default for $name {
            fn default() -> Self {
                Self { $( $field: $default, )+ }
            }
        }

        impl $name {
            /// Name and documentation of every field, in order.
            pub const FIELDS: &'static [$crate::config::Field] =
                &[$( $crate::config::Field {
                    name: stringify!($field),
                    doc: &[$($doc),+],
                    marks: &[$($($crate::config::Mark::$mark),+)?],
                }, )+];
        }
    };
}
pub(crate) use settings;

/// Declares serde forms of an optional setting: its value, or a word for its absence. TOML has no null,
/// and a printed config shows every key.
macro_rules! or_word {
    ($( $(#[$meta:meta])* $module:ident = $word:literal; )+) => {
        $(
            $(#[$meta])*
            pub(crate) mod $module {
                use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

                pub(crate) fn serialize<T, S>(value: &Option<T>, serializer: S) -> Result<S::Ok, S::Error>
                where
                    T: Serialize,
                    S: Serializer,
                {
                    match value {
                        Some(value) => value.serialize(serializer),
                        None => $word.serialize(serializer),
                    }
                }

                pub(crate) fn deserialize<'de, T, D>(deserializer: D) -> Result<Option<T>, D::Error>
                where
                    T: serde::de::DeserializeOwned,
                    D: Deserializer<'de>,
                {
                    let value = toml::Value::deserialize(deserializer)?;
                    if value.as_str() == Some($word) {
                        return Ok(None);
                    }
                    T::deserialize(value).map(Some).map_err(|error| {
                        D::Error::custom(vapo_tasks::plain_words_or(error.message(), Some($word)))
                    })
                }
            }
        )+
    };
}

or_word! {
    /// "off": there is none.
    or_off = "off";
    /// "policy": the same as the policy's.
    or_policy = "policy";
    /// "all": no limit.
    or_all = "all";
}

/// Serde form of a choice that is parsed and printed by name.
pub(crate) mod by_name {
    use std::{fmt::Display, str::FromStr};

    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(crate) fn serialize<T: Display, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(value)
    }

    pub(crate) fn deserialize<'de, T, D>(deserializer: D) -> Result<T, D::Error>
    where
        T: FromStr<Err: Display>,
        D: Deserializer<'de>,
    {
        String::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

/// A value from a table; a message names the key that is wrong, because it is no longer there if the table lacks that key.
pub(crate) fn from_table<T: serde::de::DeserializeOwned>(table: toml::Table) -> Result<T, String> {
    let error = match T::deserialize(table.clone()) {
        Ok(value) => return Ok(value),
        Err(error) => error.message().to_owned(),
    };
    let culprit = table.keys().filter(|key| *key != "kind").find(|key| {
        let mut without = table.clone();
        without.remove(*key);
        T::deserialize(without).err().is_none_or(|other| other.message() != error)
    });
    let plain = vapo_tasks::plain_words(&error);
    Err(match culprit {
        Some(key) if error.starts_with("invalid") || error.starts_with("unknown variant") => format!("{key}: {plain}"),
        _ => plain,
    })
}

/// Serde form of the terms of a reward: one term or a list, each a verifier's name or a table.
pub(crate) mod terms {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
    use toml::{Table, Value};
    use vapo_tasks::{RewardTerm, Verifier};

    use crate::config::{renamed, schema::from_table};

    pub(crate) fn serialize<S: Serializer>(terms: &[RewardTerm], serializer: S) -> Result<S::Ok, S::Error> {
        match terms {
            [term] if parse(Value::String(term.verifier.kind().into())).is_ok_and(|plain| plain == *term) => {
                term.verifier.kind().serialize(serializer)
            }
            terms => terms.serialize(serializer),
        }
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<RewardTerm>, D::Error> {
        let terms = match Value::deserialize(deserializer)? {
            Value::Array(terms) => terms,
            term => vec![term],
        };
        terms.into_iter().map(parse).collect::<Result<_, String>>().map_err(D::Error::custom)
    }

    fn parse(term: Value) -> Result<RewardTerm, String> {
        let known = || Verifier::KINDS.join(", ");
        if let Some(message) = renamed::verifier(&term) {
            return Err(message);
        }
        let table = match term {
            Value::String(kind) if Verifier::KINDS.contains(&kind.as_str()) => {
                Table::from_iter([("kind".to_owned(), Value::String(kind))])
            }
            Value::String(kind) => return Err(format!("there is no verifier `{kind}`, expected one of {}", known())),
            Value::Table(table) => table,
            other => return Err(format!("expected a verifier's name or a table, found {other}")),
        };
        let kind = table.get("kind").cloned();
        match kind {
            Some(Value::String(kind)) => {
                from_table::<RewardTerm>(table).map_err(|problem| format!("verifier `{kind}`: {problem}"))
            }
            _ => Err(format!("expected a table with a `kind`, which is one of {}", known())),
        }
    }
}
