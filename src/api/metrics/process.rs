//! The process as the kernel sees it, under the names that all exporters use. Read from `/proc`;
//! where there is none, or it cannot be read, the metrics are left out.

use std::fs;
use std::sync::atomic::AtomicU64;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::registry::Registry;

use super::{gauge, rate};

/// Ticks of a second in what the kernel tells programs: the same on every machine this runs on.
const TICKS: f64 = 100.0;

pub(super) fn register(registry: &mut Registry) {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    if let Some(usage) = Usage::parse(&read("/proc/self/stat")) {
        let cpu = Counter::<f64, AtomicU64>::default();
        cpu.inc_by(usage.cpu_s);
        registry.register("process_cpu_seconds", "Time of processors used", cpu);
        let size = usage.virtual_bytes;
        gauge(registry, "process_virtual_memory_bytes", "Address space in use", size);
        gauge(registry, "process_threads", "Threads", usage.threads);
        if let Some(boot_s) = boot_s(&read("/proc/stat")) {
            let started = boot_s as f64 + usage.started_s;
            let help = "When the process started, seconds since the epoch";
            rate(registry, "process_start_time_seconds", help, started);
        }
    }
    if let Some(resident) = resident_bytes(&read("/proc/self/status")) {
        gauge(registry, "process_resident_memory_bytes", "Memory in use", resident);
    }
    if let Some(open) = open_descriptors() {
        gauge(registry, "process_open_fds", "Open file descriptors", open);
    }
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    if let Some(limit) = limit {
        gauge(registry, "process_max_fds", "File descriptors that may be open", limit);
    }
}

/// Parts of `/proc/self/stat`.
#[derive(Debug, PartialEq)]
struct Usage {
    cpu_s: f64,
    threads: u64,
    /// After the machine was started.
    started_s: f64,
    virtual_bytes: u64,
}

impl Usage {
    fn parse(text: &str) -> Option<Self> {
        // The name of the program stands in brackets, and may itself have spaces and brackets.
        let (_, rest) = text.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_whitespace().collect();
        // The first of these is the third of the manual's list.
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        Some(Self {
            cpu_s: (field(14)? + field(15)?) as f64 / TICKS,
            threads: field(20)?,
            started_s: field(22)? as f64 / TICKS,
            virtual_bytes: field(23)?,
        })
    }
}

/// Not from where the others are: that counts in pages, whose size differs between machines.
fn resident_bytes(text: &str) -> Option<u64> {
    let kib = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(kib.trim().strip_suffix(" kB")?.parse::<u64>().ok()? << 10)
}

/// When the machine was started, seconds since the epoch.
fn boot_s(text: &str) -> Option<u64> {
    text.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

/// Newer kernels tell the number as the size of the directory; to count a hundred thousand entries
/// would take long.
fn open_descriptors() -> Option<u64> {
    let directory = "/proc/self/fd";
    match fs::metadata(directory).ok()?.len() {
        // The entry that the reading itself takes is not there afterwards.
        0 => Some((fs::read_dir(directory).ok()?.count() as u64).saturating_sub(1)),
        count => Some(count),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_moves_no_field() {
        let text = "42 (a ) b) S 1 42 42 0 -1 4194560 100 0 0 0 150 50 0 0 20 0 9 0 5000 8192 3 18";
        let expected = Usage { cpu_s: 2.0, threads: 9, started_s: 50.0, virtual_bytes: 8192 };
        assert_eq!(Usage::parse(text), Some(expected));
        assert_eq!(Usage::parse("42 (cut"), None);
        assert_eq!(Usage::parse("42 (cut) S 1"), None);
    }

    #[test]
    fn memory_is_told_in_bytes() {
        let text = "Name:\thostline\nVmRSS:\t   51200 kB\nThreads:\t9\n";
        assert_eq!(resident_bytes(text), Some(51_200 << 10));
        assert_eq!(resident_bytes(""), None);
    }

    #[test]
    fn the_start_of_the_machine_is_found() {
        assert_eq!(boot_s("cpu 1 2\nbtime 1700000000\nprocesses 7\n"), Some(1_700_000_000));
        assert_eq!(boot_s("cpu 1 2\n"), None);
    }
}
