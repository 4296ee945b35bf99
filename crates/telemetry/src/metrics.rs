//! Prometheus metrics: one recorder a process, rendered on demand.

use std::fs;
use std::sync::OnceLock;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use metrics::{Unit, counter, describe_counter, describe_gauge, gauge};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

/// Upper bounds in seconds for everything measured in seconds: from a cached read to a slow export.
const SECONDS: [f64; 14] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Realtime's upper bounds of payloads, in bytes.
const REALTIME_BYTES: [f64; 9] = [100.0, 250.0, 500.0, 1000.0, 2000.0, 3000.0, 5000.0, 10_000.0, 25_000.0];

/// Realtime's upper bounds of latencies, in milliseconds.
const REALTIME_MILLISECONDS: [f64; 4] = [10.0, 250.0, 5000.0, 15_000.0];

/// The recorder could not be installed.
#[derive(Debug, thiserror::Error)]
#[error("another metrics recorder is installed in this process")]
pub struct InstallError;

/// Reads what the process has counted.
#[derive(Clone)]
pub struct Metrics {
    handle: PrometheusHandle,
    started: Instant,
}

/// Installs the recorder; later calls return the same one.
pub fn install() -> Result<Metrics, InstallError> {
    static INSTALLED: OnceLock<Option<Metrics>> = OnceLock::new();
    INSTALLED
        .get_or_init(|| {
            let handle = builder().ok()?.install_recorder().ok()?;
            describe_process();
            Some(Metrics { handle, started: Instant::now() })
        })
        .clone()
        .ok_or(InstallError)
}

/// Everything is measured in seconds but what Realtime's names promise otherwise.
fn builder() -> Result<PrometheusBuilder, BuildError> {
    let mut builder = PrometheusBuilder::new().set_buckets(&SECONDS)?;
    for name in ["realtime_payload_size", "realtime_tenants_payload_size"] {
        builder = builder.set_buckets_for_metric(Matcher::Full(name.to_owned()), &REALTIME_BYTES)?;
    }
    for suffix in
        ["_authorization_check", "_latency_committed_at", "_latency_inserted_at", "_duration_milliseconds"]
    {
        builder =
            builder.set_buckets_for_metric(Matcher::Suffix(suffix.to_owned()), &REALTIME_MILLISECONDS)?;
    }
    Ok(builder)
}

impl Metrics {
    /// Everything in Prometheus' text format, the process's own figures included.
    pub fn render(&self) -> String {
        self.record_process();
        self.handle.render()
    }

    /// Folds recorded histogram samples into their buckets. Call it every few seconds: samples
    /// wait in memory until then.
    pub fn upkeep(&self) {
        self.handle.run_upkeep();
    }

    fn record_process(&self) {
        if let Some(process) = Process::read() {
            gauge!("process_resident_memory_bytes").set(process.resident_bytes as f64);
            gauge!("process_virtual_memory_bytes").set(process.virtual_bytes as f64);
            gauge!("process_threads").set(process.threads as f64);
            counter!("process_cpu_milliseconds_total").absolute(process.cpu_milliseconds);
        }
        if let Ok(files) = fs::read_dir("/proc/self/fd") {
            gauge!("process_open_fds").set(files.count() as f64);
        }
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |now| now.as_secs_f64());
        gauge!("process_start_time_seconds").set(since_1970 - self.started.elapsed().as_secs_f64());
    }
}

fn describe_process() {
    describe_gauge!("process_resident_memory_bytes", Unit::Bytes, "Memory in RAM");
    describe_gauge!("process_virtual_memory_bytes", Unit::Bytes, "Address space");
    describe_gauge!("process_threads", "Threads");
    describe_gauge!("process_open_fds", "Open file descriptors");
    describe_gauge!("process_start_time_seconds", Unit::Seconds, "Start of the process since 1970");
    describe_counter!("process_cpu_milliseconds_total", Unit::Milliseconds, "CPU time, user and system");
}

/// What the kernel says about this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Process {
    /// Memory in RAM.
    pub resident_bytes: u64,
    /// Address space.
    pub virtual_bytes: u64,
    /// Threads.
    pub threads: u64,
    /// CPU time, user and system.
    pub cpu_milliseconds: u64,
}

impl Process {
    /// Reads `/proc/self/status` and `/proc/self/stat`; none where the kernel has no such files.
    pub fn read() -> Option<Process> {
        let status = fs::read_to_string("/proc/self/status").ok()?;
        let stat = fs::read_to_string("/proc/self/stat").ok()?;
        Process::parse(&status, &stat)
    }

    fn parse(status: &str, stat: &str) -> Option<Process> {
        let field = |name: &str| -> Option<u64> {
            let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
            line.split_whitespace().next()?.parse().ok()
        };
        // The program's name, in parentheses, may contain blanks: count the fields after it.
        let after_name = stat.rsplit_once(')')?.1;
        let mut ticks = after_name.split_whitespace().skip(11).map(|field| field.parse::<u64>().ok());
        let cpu_ticks = ticks.next()?? + ticks.next()??;
        Some(Process {
            resident_bytes: field("VmRSS")? * 1024,
            virtual_bytes: field("VmSize")? * 1024,
            threads: field("Threads")?,
            // The kernel's user interface has counted 100 ticks a second on every platform for decades.
            cpu_milliseconds: cpu_ticks * 10,
        })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn the_process_is_read_though_its_name_has_blanks_and_parentheses() {
        let status = "Name:\tx\nVmSize:\t  2048 kB\nVmRSS:\t  1024 kB\nThreads:\t3\n";
        let stat = "7 (a ) b) S 1 7 7 0 -1 4194560 1 0 0 0 12 30 0 0 20 0 3 0 100 1 1";
        assert_eq!(
            Process::parse(status, stat),
            Some(Process {
                resident_bytes: 1 << 20,
                virtual_bytes: 2 << 20,
                threads: 3,
                cpu_milliseconds: 420,
            })
        );
    }

    #[test]
    fn rendering_shows_what_was_counted_and_the_process() {
        let metrics = install().unwrap();
        counter!("test_requests_total", "status" => "200").increment(2);
        let text = install().unwrap().render();
        metrics.upkeep();
        assert!(text.contains("test_requests_total{status=\"200\"} 2"), "{text}");
        assert!(text.contains("# TYPE process_resident_memory_bytes gauge"), "{text}");
    }
}
