//! What the process takes, under the names that all programs have for it
//! (<https://prometheus.io/docs/instrumenting/writing_clientlibs/#process-metrics>). Child processes are not included.

use std::fs;

use super::{Exposition, Kind};
use crate::sys;

/// Adds the metrics of this process, which was started at `start_time`. What the system does not tell is left out.
pub fn write_process(text: &mut Exposition, start_time: f64) {
    let cpu = sys::processor_time().as_secs_f64();
    text.one(
        Kind::Counter,
        "process_cpu_seconds_total",
        "Processor time of the server, without ffmpeg and yt-dlp, in seconds.",
        cpu,
    );
    text.one(
        Kind::Gauge,
        "process_start_time_seconds",
        "When the server was started, in seconds since 1970.",
        start_time,
    );
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let limits = fs::read_to_string("/proc/self/limits").unwrap_or_default();
    // The one that reads the directory is gone again.
    let open_fds =
        fs::read_dir("/proc/self/fd").ok().map(|entries| entries.count().saturating_sub(1));
    let gauges = [
        (
            "process_resident_memory_bytes",
            "Resident memory of the server, in bytes.",
            kibibytes(&status, "VmRSS:"),
        ),
        (
            "process_virtual_memory_bytes",
            "Virtual memory of the server, in bytes.",
            kibibytes(&status, "VmSize:"),
        ),
        ("process_open_fds", "Open descriptors of the server.", open_fds.map(|count| count as f64)),
        ("process_max_fds", "The limit of open descriptors.", max_fds(&limits)),
    ];
    for (name, help, value) in gauges {
        if let Some(value) = value {
            text.one(Kind::Gauge, name, help, value);
        }
    }
}

/// Returns a size from /proc/PID/status (proc(5)), in bytes.
fn kibibytes(status: &str, name: &str) -> Option<f64> {
    let rest = status.lines().find_map(|line| line.strip_prefix(name))?;
    rest.trim().strip_suffix(" kB")?.parse::<f64>().ok().map(|size| size * 1024.0)
}

/// Returns the soft limit of descriptors from /proc/PID/limits (proc(5)).
fn max_fds(limits: &str) -> Option<f64> {
    let rest = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    match rest.split_whitespace().next()? {
        "unlimited" => Some(f64::INFINITY),
        soft => soft.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_system_tells_them() {
        let mut text = Exposition::default();
        write_process(&mut text, 1.5);
        let text = text.finish();
        assert_eq!(text.lines().filter(|line| !line.starts_with('#')).count(), 6, "{text}");
        assert_eq!(kibibytes("VmSize:\t    8 kB\nVmRSS:\t  4 kB\n", "VmRSS:"), Some(4096.0));
        let limits =
            "Limit\nMax open files            1024                 4096                 files\n";
        assert_eq!(max_fds(limits), Some(1024.0));
    }
}
