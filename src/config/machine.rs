//! What the machine has, for defaults that go by it.

use std::fs;

/// Taken where the system does not tell its memory.
const UNKNOWN: usize = 4 << 30;

/// Bytes of memory that this process may have: the machine's, or those of its control group.
pub(super) fn memory() -> usize {
    let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| total(&text));
    let group = fs::read_to_string("/sys/fs/cgroup/memory.max").ok();
    let group = group.and_then(|text| text.trim().parse().ok());
    machine.into_iter().chain(group).min().unwrap_or(UNKNOWN)
}

fn total(meminfo: &str) -> Option<usize> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: usize = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_total_is_read_in_bytes() {
        assert_eq!(total("MemTotal:        8035712 kB\nMemFree: 1 kB\n"), Some(8_035_712 << 10));
        assert_eq!(total("MemFree: 1 kB\n"), None);
    }
}
