//! The resolved config as TOML with a comment on every key.

use toml::{Table, Value};

use super::{Config, SECTIONS};

impl Config {
    /// The whole config with a comment on every key. Reading it gives the same config.
    pub fn to_commented_toml(&self) -> String {
        let table = Table::try_from(self).expect("a config is valid TOML");
        let mut text = String::new();
        for (section, fields) in SECTIONS {
            text.push_str(&format!("[{section}]\n"));
            for field in *fields {
                field.doc.iter().for_each(|line| text.push_str(&format!("#{line}\n")));
                text.push_str(&format!("{} = {}\n", field.name, value_of(&table, section, field.name)));
            }
            text.push('\n');
        }
        text.pop();
        text
    }
}

fn value_of<'a>(table: &'a Table, section: &str, name: &str) -> &'a Value {
    &table[section][name]
}
