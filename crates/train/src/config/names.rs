//! Suggestions for an unknown key: other frameworks' names for our settings, and the nearest spelling.

use super::{
    SECTIONS, absent,
    absent::ends_with,
    foreign::{RELATED, SAME},
    renamed,
};

/// Below this similarity (0 to 1), a name is not suggested.
const SIMILAR: f64 = 0.7;

/// What a key of another framework is here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Counterpart {
    /// Settings that take the same value; several are separated by `` ` and ` ``.
    Same(String),
    /// Settings that take another value, or one of several.
    Related(String),
    /// There is none, for this reason.
    Absent(&'static str),
}

/// `, did you mean ...?` for an unknown key, the reason why it has no counterpart here, or an empty text.
pub(super) fn hint(key: &str) -> String {
    match counterpart(key) {
        Some(Counterpart::Same(name) | Counterpart::Related(name)) => format!(", did you mean `{name}`?"),
        Some(Counterpart::Absent(why)) => format!(": {why}"),
        None => similar(key).map_or_else(String::new, |name| format!(", did you mean `{name}`?")),
    }
}

/// What a key that is correct in another framework, or in another section, is here.
pub(super) fn counterpart(key: &str) -> Option<Counterpart> {
    // As an option of a command line, it is written with dashes.
    let key = &key.trim_start_matches('-').replace('-', "_");
    let nested = |key: &str| foreign_name(|name| name.contains('.') && ends_with(key, name));
    let single = |key: &str| foreign_name(|name| name == last_part(key));
    // verl nests settings that are one number here: `filter_groups.enable`.
    let parents = || std::iter::successors(parent_of(key), |key| parent_of(key)).filter(|key| !is_section(key));
    nested(key)
        .or_else(|| absent::why(key).map(Counterpart::Absent))
        .or_else(|| own_name(key))
        .or_else(|| single(key))
        .or_else(|| parents().find_map(|key| nested(key).or_else(|| single(key))))
}

fn is_section(key: &str) -> bool {
    SECTIONS.iter().any(|(section, _)| *section == key)
}

fn keys() -> impl Iterator<Item = (&'static str, &'static str)> {
    SECTIONS.iter().flat_map(|(section, fields)| fields.iter().map(move |field| (*section, field.name)))
}

/// Names of other frameworks and of earlier versions.
fn foreign() -> impl Iterator<Item = (&'static str, Counterpart)> {
    let same = SAME.iter().map(|(name, ours)| (*name, Counterpart::Same((*ours).to_owned())));
    let related = RELATED.iter().chain(renamed::KEYS);
    same.chain(related.map(|(name, ours)| (*name, Counterpart::Related((*ours).to_owned()))))
}

fn foreign_name(is_meant: impl Fn(&str) -> bool) -> Option<Counterpart> {
    foreign().find(|(name, _)| is_meant(name)).map(|(_, ours)| ours)
}

/// Our settings with the same name, in other sections.
fn own_name(key: &str) -> Option<Counterpart> {
    let same: Vec<_> =
        keys().filter(|(_, own)| *own == last_part(key)).map(|(section, own)| format!("{section}.{own}")).collect();
    match &same[..] {
        [] => None,
        [one] => Some(Counterpart::Same(one.clone())),
        several => Some(Counterpart::Related(several.join("` or `"))),
    }
}

/// The nearest spelling among our names and those of other frameworks. A tie goes to the one in the same section.
fn similar(key: &str) -> Option<String> {
    let (name, section) = (last_part(key), key.split('.').next().unwrap_or_default());
    let nearness = |known: &str| strsim::normalized_damerau_levenshtein(last_part(known), name);
    let own = keys().map(|(known_section, known)| {
        let same_section = f64::from(u8::from(known_section == section)) * 0.01;
        (nearness(known) + same_section, format!("{known_section}.{known}"))
    });
    let others = foreign().filter_map(|(known, ours)| match ours {
        Counterpart::Same(ours) | Counterpart::Related(ours) => Some((nearness(known), ours)),
        Counterpart::Absent(_) => None,
    });
    let near = own.chain(others).filter(|(similarity, _)| *similarity >= SIMILAR);
    near.max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, name)| name)
}

fn parent_of(key: &str) -> Option<&str> {
    key.rsplit_once('.').map(|(parent, _)| parent)
}

fn last_part(key: &str) -> &str {
    key.rsplit('.').next().unwrap_or(key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::root::known_key;

    #[test]
    fn every_foreign_name_leads_to_settings_that_exist() {
        for (name, ours) in foreign() {
            assert_eq!(counterpart(&format!("elsewhere.{name}")), Some(ours.clone()), "{name}");
            let (Counterpart::Same(ours) | Counterpart::Related(ours)) = ours else { panic!("{name}") };
            for key in ours.split("` and `") {
                assert!(keys().any(|(section, own)| format!("{section}.{own}") == key), "there is no setting {key}");
            }
        }
    }

    /// The keys of verl's `ppo_trainer.yaml`, the options of OpenRLHF's `train_ppo_ray`, of slime and of TRL's `GRPOConfig`, and
    /// further names from other frameworks and earlier versions: each has a counterpart, or a sentence why it has none.
    #[test]
    fn every_setting_of_other_frameworks_is_answered() {
        let list = include_str!("foreign_keys.txt");
        let keys = list.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
        assert!(keys.clone().count() > 950);
        let unanswered: Vec<&str> = keys.filter(|key| known_key(key).is_none() && counterpart(key).is_none()).collect();
        assert!(unanswered.is_empty(), "{unanswered:#?}");
    }
}
