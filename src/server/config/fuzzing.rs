//! Settings in any form.

use figment::Figment;
use figment::providers::Format;
use serde_saphyr::figment::Yaml;

use super::{Config, Environment};

/// Settings are taken or refused, from a file as from the environment.
pub(crate) fn config(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    let lines = text.lines().filter_map(|line| line.split_once('='));
    let variables = lines.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let environment = Environment::read(variables);
    for layers in [
        Figment::new().merge(Yaml::string(text)),
        Figment::new().merge(environment),
    ] {
        match Config::extract(&layers) {
            Ok(config) => assert!(config.check().is_ok()),
            // An error says what is wrong.
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    }
}
