//! Every metric and its name. Knows nothing of HTTP; see `scrape` for the page.

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// Bounds of the duration buckets in seconds: from a cached PROPFIND to a large upload.
const SECONDS: [f64; 10] = [0.001, 0.005, 0.02, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0, 300.0];

/// The metrics of one server process.
pub(crate) struct Metrics {
    registry: Registry,
    requests: Family<Outcome, Counter>,
    durations: Family<Class, Histogram, fn() -> Histogram>,
    received: Counter,
    sent: Counter,
    auth_failures: Family<Reason, Counter>,
    connections: Gauge,
    connections_refused: Counter,
    jobs: Family<Ended, Counter>,
    job_successes: Family<Named, Gauge>,
    resident: Gauge,
    collections: Counter,
    collect_freed: Counter,
    collect_moved: Counter,
    scrub_verified: Counter,
    scrub_damaged: Gauge,
    scrub_last_pass: Gauge,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    class: &'static str,
    status: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Class {
    class: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ended {
    job: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Named {
    job: &'static str,
}

/// One finished request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Finished {
    /// `read`, `write`, `list` or `other`.
    pub class: &'static str,
    /// `2xx` and the like.
    pub status: &'static str,
    /// From the head of the request to the end of the response.
    pub duration: Duration,
    /// Bytes of the request body.
    pub received: u64,
    /// Bytes of the response body.
    pub sent: u64,
}

impl Metrics {
    /// All metrics at zero.
    pub(crate) fn new() -> Arc<Self> {
        let buckets: fn() -> Histogram = || Histogram::new(SECONDS);
        let mut new = Self {
            registry: Registry::with_prefix("sync"),
            requests: Family::default(),
            durations: Family::new_with_constructor(buckets),
            received: Counter::default(),
            sent: Counter::default(),
            auth_failures: Family::default(),
            connections: Gauge::default(),
            connections_refused: Counter::default(),
            jobs: Family::default(),
            job_successes: Family::default(),
            resident: Gauge::default(),
            collections: Counter::default(),
            collect_freed: Counter::default(),
            collect_moved: Counter::default(),
            scrub_verified: Counter::default(),
            scrub_damaged: Gauge::default(),
            scrub_last_pass: Gauge::default(),
        };
        new.name();
        Arc::new(new)
    }

    fn name(&mut self) {
        let Self { registry, .. } = self;
        registry.register("http_requests", "Finished requests", self.requests.clone());
        registry.register_with_unit(
            "http_request_duration",
            "Time from the request's head to the response's end",
            Unit::Seconds,
            self.durations.clone(),
        );
        let bytes = "Bytes of request bodies";
        registry.register_with_unit("http_received", bytes, Unit::Bytes, self.received.clone());
        let bytes = "Bytes of response bodies, as sent";
        registry.register_with_unit("http_sent", bytes, Unit::Bytes, self.sent.clone());
        registry.register(
            "auth_failures",
            "Refused log-ins",
            self.auth_failures.clone(),
        );
        registry.register("connections", "Open connections", self.connections.clone());
        registry.register(
            "connections_refused",
            "Connections closed because their address had too many",
            self.connections_refused.clone(),
        );
        registry.register("job_runs", "Runs of jobs that ended", self.jobs.clone());
        registry.register_with_unit(
            "job_last_success_timestamp",
            "When a job of this process last ended well, since 1970",
            Unit::Seconds,
            self.job_successes.clone(),
        );
        let rounds = "Rounds of collection";
        registry.register("collections", rounds, self.collections.clone());
        let (freed, moved) = (&self.collect_freed, &self.collect_moved);
        let text = "Bytes of segment files given back to the disk";
        registry.register_with_unit("collect_freed", text, Unit::Bytes, freed.clone());
        let text = "Bytes moved to empty segments that were mostly dead";
        registry.register_with_unit("collect_moved", text, Unit::Bytes, moved.clone());
        self.name_scrub();
        let Self { registry, .. } = self;
        let memory = "Memory of the process that is in RAM";
        registry.register_with_unit(
            "process_resident_memory",
            memory,
            Unit::Bytes,
            self.resident.clone(),
        );
    }

    fn name_scrub(&mut self) {
        let Self { registry, .. } = self;
        let text = "Bytes of sealed records and rows that this process has opened to verify them";
        let verified = self.scrub_verified.clone();
        registry.register_with_unit("scrub_verified", text, Unit::Bytes, verified);
        let text = "Records and contents that are known to be damaged";
        registry.register("scrub_damaged", text, self.scrub_damaged.clone());
        let text = "When everything sealed was last opened, since 1970; 0 is never";
        let pass = self.scrub_last_pass.clone();
        registry.register_with_unit("scrub_last_pass_timestamp", text, Unit::Seconds, pass);
    }

    /// Counts a request.
    pub(crate) fn finished(&self, request: Finished) {
        let Finished {
            class,
            status,
            duration,
            received,
            sent,
        } = request;
        self.requests
            .get_or_create(&Outcome { class, status })
            .inc();
        self.durations
            .get_or_create(&Class { class })
            .observe(duration.as_secs_f64());
        self.received.inc_by(received);
        self.sent.inc_by(sent);
    }

    /// Counts a refused log-in.
    pub(crate) fn auth_failed(&self, reason: &'static str) {
        self.auth_failures.get_or_create(&Reason { reason }).inc();
    }

    /// Counts a run of a job that ended `now`, in seconds since 1970.
    pub(crate) fn job_ended(&self, job: &'static str, well: bool, now: i64) {
        let outcome = if well { "ok" } else { "failed" };
        self.jobs.get_or_create(&Ended { job, outcome }).inc();
        if well {
            self.job_successes.get_or_create(&Named { job }).set(now);
        }
    }

    /// Counts a connection for as long as the guard lives.
    pub(crate) fn connection(self: &Arc<Self>) -> OpenConnection {
        self.connections.inc();
        OpenConnection(Arc::clone(self))
    }

    /// Counts a connection that was not served.
    pub(crate) fn connection_refused(&self) {
        self.connections_refused.inc();
    }

    /// Counts a round of collection, and its bytes.
    pub(crate) fn collected(&self, freed: u64, moved: u64) {
        self.collections.inc();
        self.collect_freed.inc_by(freed);
        self.collect_moved.inc_by(moved);
    }

    /// Counts verified bytes, and says how much is damaged and when the last pass ended, in seconds since
    /// 1970.
    pub(crate) fn scrubbed(&self, bytes: u64, damaged: u64, last_pass: i64) {
        self.scrub_verified.inc_by(bytes);
        self.scrub_damaged
            .set(i64::try_from(damaged).unwrap_or(i64::MAX));
        self.scrub_last_pass.set(last_pass);
    }

    /// Everything in the `OpenMetrics` text format. `resident` is the process's memory in bytes.
    pub(crate) fn encode(&self, resident: Option<i64>) -> String {
        if let Some(bytes) = resident {
            self.resident.set(bytes);
        }
        let mut page = String::new();
        text::encode(&mut page, &self.registry).expect("writing to a String never fails");
        page
    }
}

/// An open connection; counts down when dropped.
pub(crate) struct OpenConnection(Arc<Metrics>);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.connections.dec();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_counted_is_on_the_page() {
        let metrics = Metrics::new();
        let open = metrics.connection();
        metrics.finished(Finished {
            class: "read",
            status: "2xx",
            duration: Duration::from_millis(3),
            received: 7,
            sent: 11,
        });
        metrics.auth_failed("wrong");
        metrics.job_ended("trash", true, 1_800_000_000);
        metrics.job_ended("trash", false, 1_800_003_600);
        metrics.collected(5, 0);
        metrics.scrubbed(9, 2, 1_800_000_000);
        let page = metrics.encode(Some(4096));
        for line in [
            "sync_http_requests_total{class=\"read\",status=\"2xx\"} 1",
            "sync_http_request_duration_seconds_bucket{le=\"0.005\",class=\"read\"} 1",
            "sync_http_received_bytes_total 7",
            "sync_http_sent_bytes_total 11",
            "sync_auth_failures_total{reason=\"wrong\"} 1",
            "sync_connections 1",
            "sync_job_runs_total{job=\"trash\",outcome=\"ok\"} 1",
            "sync_job_runs_total{job=\"trash\",outcome=\"failed\"} 1",
            "sync_job_last_success_timestamp_seconds{job=\"trash\"} 1800000000",
            "sync_collections_total 1",
            "sync_collect_freed_bytes_total 5",
            "sync_process_resident_memory_bytes 4096",
            "sync_scrub_verified_bytes_total 9",
            "sync_scrub_damaged 2",
            "sync_scrub_last_pass_timestamp_seconds 1800000000",
        ] {
            assert!(page.contains(line), "{line} is not in\n{page}");
        }
        drop(open);
        assert!(metrics.encode(None).contains("sync_connections 0"));
    }
}
