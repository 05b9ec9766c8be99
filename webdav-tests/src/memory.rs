//! What the kernel says about the memory of a process.

use std::fs;

/// The most memory that was ever resident, in MiB (`VmHWM`).
pub fn peak_mib(pid: u32) -> u64 {
    field(&format!("/proc/{pid}/status"), "VmHWM:") / 1024
}

/// Memory of its own plus its share of what others use too, in MiB (PSS).
pub fn pss_mib(pid: u32) -> u64 {
    field(&format!("/proc/{pid}/smaps_rollup"), "Pss:") / 1024
}

/// Memory of a process that is no part of a file, in MiB: how much of its code is in memory, and with
/// whom that is shared, makes no difference.
pub fn own_mib(pid: u32) -> u64 {
    field(&format!("/proc/{pid}/smaps_rollup"), "Pss_Anon:") / 1024
}

/// Starts counting the peak anew.
pub fn reset_peak(pid: u32) {
    fs::write(format!("/proc/{pid}/clear_refs"), "5").expect("our own child's counters");
}

fn field(file: &str, name: &str) -> u64 {
    let text = fs::read_to_string(file).expect("the process runs");
    let line = text
        .lines()
        .find(|line| line.starts_with(name))
        .expect("the kernel knows it");
    let number = line.split_whitespace().nth(1).expect("a number in kB");
    number.parse().expect("a number in kB")
}
