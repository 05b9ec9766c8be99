//! The `SYNC_*` variables as a layer of the configuration.
//!
//! Values stay text, so that a password of digits keeps its leading zeros; the fields read text.

use figment::value::{Dict, Map, Value};
use figment::{Error, Metadata, Profile, Provider};

const PREFIX: &str = "SYNC_";
/// Separates the section from the key.
const NESTING: &str = "__";
/// Names that read like a flat key but belong to a section, as the contract spells them.
const FLAT: &[(&str, &str)] = &[("tls_cert", "tls.cert"), ("tls_key", "tls.key")];
/// Names that belong to the client and to the tests.
const FOREIGN: &[&str] = &["SYNC_CLIENT", "SYNC_PASSWORD", "SYNC_TEST_"];

/// What the environment says about the configuration.
#[derive(Clone, Debug)]
pub struct Environment(Vec<(String, String)>);

impl Environment {
    /// Keeps the variables meant for the server; empty ones count as unset, since that is what
    /// compose files pass for a variable nobody gave a value.
    pub fn read(variables: impl Iterator<Item = (String, String)>) -> Self {
        let mine = variables.filter(|(name, value)| {
            name.starts_with(PREFIX)
                && !value.is_empty()
                && !FOREIGN.iter().any(|foreign| name.starts_with(foreign))
        });
        Self(mine.collect())
    }
}

impl Provider for Environment {
    fn metadata(&self) -> Metadata {
        Metadata::named("the environment").interpolater(|_profile, keys| variable(keys))
    }

    fn data(&self) -> Result<Map<Profile, Dict>, Error> {
        let mut values = Dict::new();
        for (name, text) in &self.0 {
            let key = key(name);
            merge(&mut values, &key, text);
        }
        Ok(Profile::Default.collect(values))
    }
}

fn key(name: &str) -> String {
    let key = name[PREFIX.len()..].to_lowercase().replace(NESTING, ".");
    let flat = FLAT.iter().find(|(flat, _)| *flat == key);
    flat.map_or(key, |(_, nested)| (*nested).to_owned())
}

fn variable(keys: &[&str]) -> String {
    format!("{PREFIX}{}", keys.join(NESTING).to_uppercase())
}

fn merge(values: &mut Dict, key: &str, text: &str) {
    match key.split_once('.') {
        None => {
            values.insert(key.to_owned(), Value::from(text));
        }
        Some((section, rest)) => {
            let mut inner = match values.remove(section) {
                Some(Value::Dict(_, inner)) => inner,
                _ => Dict::new(),
            };
            merge(&mut inner, rest, text);
            values.insert(section.to_owned(), Value::from(inner));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn foreign_and_empty_variables_are_left_alone() {
        let names = [
            "PATH",
            "SYNC_CLIENT_DIR",
            "SYNC_PASSWORD",
            "SYNC_TEST_X",
            "SYNC_PORT",
        ];
        let read = Environment::read(names.iter().map(|n| ((*n).to_owned(), "1".to_owned())));
        assert_eq!(read.0, [("SYNC_PORT".to_owned(), "1".to_owned())]);
        let empty = Environment::read([("SYNC_PORT".to_owned(), String::new())].into_iter());
        assert!(empty.0.is_empty());
    }

    #[test]
    fn two_variables_of_one_section_are_both_kept() {
        let pairs = [("SYNC_TLS_CERT", "a"), ("SYNC_TLS__MIN_VERSION", "1.3")];
        let read = Environment::read(pairs.iter().map(|(n, v)| ((*n).into(), (*v).into())));
        let data = read.data().unwrap();
        let tls = data[&Profile::Default]["tls"].as_dict().unwrap();
        assert_eq!(tls.len(), 2);
    }
}
