//! CPU time and memory of a process and of its children, read from /proc.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

/// User and system time of one process so far, in microseconds.
pub(crate) fn cpu_micros(pid: u32) -> Result<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).context("the process is gone")?;
    // The command may contain blanks, so count from the closing parenthesis: utime and stime are fields 14 and 15.
    let after = stat.rsplit_once(')').context("odd /proc/PID/stat")?.1;
    let fields: Vec<&str> = after.split_whitespace().collect();
    let ticks: u64 =
        fields.get(11).context("utime")?.parse::<u64>()? + fields.get(12).context("stime")?.parse::<u64>()?;
    Ok(ticks * 1_000_000 / 100)
}

/// The same of each process below one.
pub(crate) fn cpu_micros_below(root: u32) -> Result<HashMap<u32, u64>> {
    let below = descendants(root)?.into_iter().filter(|pid| *pid != root);
    // One may end between the listing and this line.
    Ok(below.filter_map(|pid| Some((pid, cpu_micros(pid).ok()?))).collect())
}

/// What the processes below one have used since: of those that have ended meanwhile nothing is known.
pub(crate) fn cpu_micros_below_since(root: u32, before: &HashMap<u32, u64>) -> Result<u64> {
    let now = cpu_micros_below(root)?;
    Ok(now.iter().map(|(pid, micros)| micros.saturating_sub(before.get(pid).copied().unwrap_or(0))).sum())
}

/// Resident memory of one process, in KiB.
pub(crate) fn rss_kib(pid: u32) -> Result<u64> {
    field_kib(&format!("/proc/{pid}/status"), "VmRSS:")
}

/// The most resident memory that one process ever had, in KiB.
pub(crate) fn peak_rss_kib(pid: u32) -> Result<u64> {
    field_kib(&format!("/proc/{pid}/status"), "VmHWM:")
}

/// Proportional memory of a process and of all its descendants, in KiB: shared pages are counted once.
pub(crate) fn tree_pss_kib(root: u32) -> Result<u64> {
    let mut total = 0;
    for pid in descendants(root)? {
        // A process may end between the listing and this line.
        total += field_kib(&format!("/proc/{pid}/smaps_rollup"), "Pss:").unwrap_or(0);
    }
    Ok(total)
}

/// The process and all below it.
pub(crate) fn descendants(root: u32) -> Result<Vec<u32>> {
    let mut parents = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let Ok(pid) = entry?.file_name().to_string_lossy().parse::<u32>() else { continue };
        let Ok(stat) = fs::read_to_string(format!("/proc/{pid}/stat")) else { continue };
        let Some((_, after)) = stat.rsplit_once(')') else { continue };
        if let Some(parent) = after.split_whitespace().nth(1).and_then(|field| field.parse::<u32>().ok()) {
            parents.push((pid, parent));
        }
    }
    let mut found = vec![root];
    let mut next = 0;
    while let Some(&pid) = found.get(next) {
        found.extend(parents.iter().filter(|(_, parent)| *parent == pid).map(|(child, _)| *child));
        next += 1;
    }
    Ok(found)
}

fn field_kib(file: &str, name: &str) -> Result<u64> {
    let text = fs::read_to_string(file).with_context(|| format!("read {file}"))?;
    let line =
        text.lines().find(|line| line.starts_with(name)).with_context(|| format!("{name} in {file}"))?;
    Ok(line.split_whitespace().nth(1).context("a number")?.parse()?)
}

/// The postmaster below a backend.
pub(crate) fn postmaster(root: u32) -> Result<u32> {
    descendants(root)?
        .into_iter()
        .find(|pid| {
            fs::read_link(format!("/proc/{pid}/exe")).is_ok_and(|program| program.ends_with("postgres"))
        })
        .context("no postgres below the server")
}

/// A folder as PostgreSQL knows it: it may be one of the descriptors that it inherited.
pub(crate) fn folder_of(pid: u32, name: &str) -> Result<PathBuf> {
    match name.strip_prefix("/proc/self/") {
        Some(rest) => Ok(fs::read_link(format!("/proc/{pid}/{rest}"))?),
        None => Ok(PathBuf::from(name)),
    }
}
