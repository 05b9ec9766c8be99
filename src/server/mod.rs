//! HTTP on top of the rules: connections, sessions, routes and what wraps them.

mod api;
pub mod cli;
mod collecting;
mod commands;
mod compress;
pub mod config;
mod error;
#[cfg(any(test, fuzzing))]
pub(crate) mod fuzzing;
mod garmin;
mod healthcheck;
mod listener;
mod middleware;
mod ops;
mod password;
mod pieces;
mod rekeyed;
mod resealing;
mod router;
mod scrubbing;
mod session;
mod snapshotting;
mod startup;
pub mod telemetry;
mod tls;
mod web;
pub mod webdav;

use std::io::{Write, stdout};
use std::net::SocketAddr;
use std::sync::Arc;

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use commands::run as run_command;
pub use error::{Error, Result};

use crate::jobs::{JOBS, Schedule, Site, collect, reseal};
use crate::store::watch_others;
use crate::tree::free_uploads;
use crate::types::Clock;
use config::Config;
use listener::Listener;
use ops::metrics::Metrics;
use router::Shell;
use tls::Tls;

/// Runs the server until SIGTERM or SIGINT.
pub async fn serve(config: Config) -> Result<()> {
    let clock = Clock::system();
    let mut served = startup::lock(&config).await?;
    let tls = Tls::open(&config.tls)?;
    let metrics = Metrics::new();
    let listener = bind(&config, tls.clone(), Arc::clone(&metrics)).await?;
    let opened = startup::open(&config, clock.clone()).await?;
    let login = startup::first_account(&opened, &config, &clock).await?;
    let store = Arc::clone(&opened.store);
    if !store.meta.is_shared() || served.is_alone() {
        reseal::free(&store.meta).await?;
    }
    if store.meta.is_shared() && served.is_alone() {
        free_uploads(&store).await?;
        served.let_in(&config)?;
    }
    // No other server runs here; nor does a command that collects, when its lock is free.
    if !store.meta.is_shared()
        && let Some(_lock) = collect::lock(&config.data_path)?
    {
        store.process.bury_others(&store.meta).await?;
    }

    let stop = stop_on_signal()?;
    let tasks = TaskTracker::new();
    if let Some(tls) = &tls {
        tasks.spawn(Arc::clone(tls).keep_fresh(stop.clone()));
    }
    if store.meta.is_shared() {
        let (store, stop) = (Arc::clone(&store), stop.clone());
        tasks.spawn(rekeyed::watch(Arc::clone(&store), stop.clone()));
        tasks.spawn(async move { stop.run_until_cancelled(watch_others(store)).await });
    }
    let site = Site {
        store: Arc::clone(&store),
        clock: clock.clone(),
        stop: stop.clone(),
    };
    let url = startup::url(listener.address()?, tls.is_some());
    let mut text = startup::greeting(&config, opened.key, login.as_ref(), &url);
    text.push_str(&ready_line(listener.address()?, tls.is_some()));
    let beating = CancellationToken::new();
    spawn_jobs(&tasks, &config, &site, &metrics, &beating);
    let shell = shell(
        &config,
        opened,
        metrics,
        clock,
        (stop.clone(), tasks.clone()),
    );
    let router = router::routes(shell);
    stdout().write_all(text.as_bytes())?;
    stdout().flush()?;

    listener.run(router, stop).await;
    beating.cancel();
    tasks.close();
    tasks.wait().await;
    store.close().await;
    Ok(())
}

/// What the server does by itself, until it stops; `beating` ends when the last request is done.
fn spawn_jobs(
    tasks: &TaskTracker,
    config: &Config,
    site: &Site,
    metrics: &Arc<Metrics>,
    beating: &CancellationToken,
) {
    let (store, beating) = (Arc::clone(&site.store), beating.clone());
    tasks.spawn(async move { store.process.run(&store, &beating).await });
    tasks.spawn(collecting::run(
        site.clone(),
        config.clone(),
        Arc::clone(metrics),
    ));
    tasks.spawn(snapshotting::run(
        site.clone(),
        config.clone(),
        Arc::clone(metrics),
    ));
    tasks.spawn(scrubbing::run(
        site.clone(),
        config.clone(),
        Arc::clone(metrics),
    ));
    tasks.spawn(resealing::run(site.clone(), config.collect.rate.as_u64()));
    let schedule = Schedule {
        site: site.clone(),
        rules: startup::rules(config),
        jobs: JOBS,
    };
    let (clock, metrics) = (site.clock.clone(), Arc::clone(metrics));
    tasks.spawn(schedule.run(config.jobs.start_after, move |job, result| {
        metrics.job_ended(job, result.is_ok(), clock.now().secs());
    }));
}

async fn bind(config: &Config, tls: Option<Arc<Tls>>, metrics: Arc<Metrics>) -> Result<Listener> {
    let address = SocketAddr::new(config.bind, config.port);
    let bound = Listener::bind(address, &config.http, &config.trusted_proxies, tls, metrics).await;
    bound.map_err(|source| Error::Bind { address, source })
}

/// What scripts wait for, exactly in this form.
fn ready_line(address: SocketAddr, tls: bool) -> String {
    format!(
        "listening on {}://{address}\n",
        if tls { "https" } else { "http" }
    )
}

fn shell(
    config: &Config,
    opened: startup::Opened,
    metrics: Arc<Metrics>,
    clock: Clock,
    (stop, tasks): (CancellationToken, TaskTracker),
) -> Shell {
    let apple_files = match config.webdav.apple_files {
        config::AppleFiles::Keep => webdav::AppleFiles::Keep,
        config::AppleFiles::Hide => webdav::AppleFiles::Hide,
        config::AppleFiles::Swallow => webdav::AppleFiles::Swallow,
    };
    let dav = webdav::Dav::new("/dav/")
        .with_apple_files(apple_files)
        .with_hosts(config.webdav.own_hosts.clone());
    Shell {
        store: opened.store,
        accounts: opened.accounts,
        dav,
        metrics,
        metrics_token: config.metrics_token.clone(),
        proxies: config.trusted_proxies.as_slice().into(),
        clock,
        stop,
        tasks,
    }
}

/// A token that is cancelled by SIGTERM (systemd, containers) and SIGINT (Ctrl-C).
fn stop_on_signal() -> Result<CancellationToken> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let stop = CancellationToken::new();
    let stopping = stop.clone();
    // It lives as long as the process and has nothing to finish.
    tokio::spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping");
        stopping.cancel();
    });
    Ok(stop)
}
