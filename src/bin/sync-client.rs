//! The client's program: the command line, logging, then the command.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use clap::Parser;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use sync_server::client::cli::{Cli, Command};
use sync_server::client::commands::run;
use sync_server::client::heap;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::prelude::*;

/// Threads for what waits for the disk. Few, because each may hold a part of a file.
const BLOCKING_THREADS: usize = 4;

/// Thousands of files come at a time, and a usual limit is 1,024. More is the system's to allow.
fn open_many_files() {
    let now = getrlimit(Resource::Nofile);
    let most = Rlimit {
        current: now.maximum,
        ..now
    };
    // With less it goes on: what cannot be opened is tried again.
    setrlimit(Resource::Nofile, most).ok();
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    open_many_files();
    let level = match cli.verbose {
        0 => LevelFilter::WARN,
        1 => LevelFilter::INFO,
        _ => LevelFilter::DEBUG,
    };
    // What libraries say of each of their steps is for those who work on them.
    let ours = Targets::new()
        .with_target("sync_server", level)
        .with_default(level.min(LevelFilter::WARN));
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .without_time()
        .with_target(false);
    tracing_subscriber::registry()
        .with(lines.with_filter(ours))
        .init();
    if matches!(cli.command, Command::Daemon) {
        heap::give_back();
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(BLOCKING_THREADS)
        .enable_all()
        .build();
    let done = match runtime {
        Ok(runtime) => runtime.block_on(run(cli)),
        Err(error) => {
            drop(writeln!(std::io::stderr(), "sync-client: {error}"));
            return ExitCode::FAILURE;
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing is left to tell a closed stderr.
            drop(writeln!(std::io::stderr(), "sync-client: {error}"));
            error.exit_code()
        }
    }
}
