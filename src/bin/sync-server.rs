//! The server's program: settings, logging, then the command.

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use sync_server::server::cli::{Cli, Command};
use sync_server::server::config::Config;
use sync_server::server::{Error, run_command, telemetry};

/// Threads for blocking work (files, hashing). Each may hold a chunk, so few keep memory small.
const BLOCKING_THREADS: usize = 16;

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let mut stderr = std::io::stderr();
            // Nothing is left to tell a closed stderr.
            drop(writeln!(stderr, "sync-server: {error}"));
            error.exit_code()
        }
    }
}

fn run(cli: Cli) -> Result<(), Error> {
    // A variable that is not UTF-8 cannot be one of ours that is right.
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let config = Config::load(cli.config.as_deref(), environment, &cli.flags)?;
    telemetry::start(&config);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .max_blocking_threads(BLOCKING_THREADS)
        .enable_all()
        .build()?;
    runtime.block_on(run_command(cli.command.unwrap_or(Command::Serve), config))
}
