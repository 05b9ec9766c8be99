//! Where log lines go and how they look: stderr, as text or JSON.

use std::io::{IsTerminal, stderr};
use std::panic;

use tracing_subscriber::EnvFilter;

use super::config::{Config, LogFormat};

/// Starts logging; to be called once a process.
pub fn start(config: &Config) {
    // `Config` has checked the filter.
    let filter = EnvFilter::new(&config.log_level);
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(stderr)
        .with_ansi(stderr().is_terminal());
    match config.log_format {
        LogFormat::Text => lines.init(),
        LogFormat::Json => lines.json().init(),
    }
    panic::set_hook(Box::new(|panicked| {
        let place = panicked
            .location()
            .map(ToString::to_string)
            .unwrap_or_default();
        tracing::error!(place, "bug: the program panicked");
        // The message may hold a file name.
        tracing::debug!("{panicked}");
    }));
}
