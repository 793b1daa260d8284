//! What the operating system says: memory of this process, bytes it wrote, bytes of a directory.
//!
//! In: `/proc` and the file system. Out: bytes. Linux only, as everything here.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::Result;

/// How often a directory that grows is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(20);

fn field(path: &str, name: &str) -> Result<u64> {
    let text = fs::read_to_string(path)?;
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|line| line.split_whitespace().next());
    Ok(number.ok_or_else(|| format!("{path} has no {name}"))?.parse()?)
}

/// Anonymous memory of this process in bytes: what it asked for, without pages of files.
pub fn anonymous_bytes() -> Result<u64> {
    Ok(field("/proc/self/status", "RssAnon:")? * 1024)
}

/// Bytes this process has made the kernel write to disk, now or later: pages it dirtied, through system
/// calls or maps.
pub fn written_bytes() -> Result<u64> {
    field("/proc/self/io", "write_bytes:")
}

/// Bytes that the files in `dir` occupy. Files that vanish meanwhile count as gone.
pub fn disk_bytes(dir: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    let mut left = vec![dir.to_owned()];
    while let Some(dir) = left.pop() {
        let Ok(entries) = fs::read_dir(&dir) else { continue };
        for entry in entries {
            let Ok(meta) = entry
                .as_ref()
                .map_err(|_| ())
                .and_then(|entry| entry.metadata().map_err(|_| ()))
            else {
                continue;
            };
            if meta.is_dir() {
                left.push(entry?.path());
            } else {
                bytes += meta.blocks() * 512;
            }
        }
    }
    Ok(bytes)
}

/// Does `work` and returns, with what it returned, the most bytes `dir` occupied meanwhile.
pub fn peak_disk_bytes<T>(dir: &Path, work: impl FnOnce() -> T) -> (T, u64) {
    let (ended, most) = (AtomicBool::new(false), AtomicU64::new(0));
    let look = || {
        let bytes = disk_bytes(dir).unwrap_or(0);
        most.fetch_max(bytes, Ordering::Relaxed);
    };
    let done = std::thread::scope(|scope| {
        scope.spawn(|| {
            while !ended.load(Ordering::Relaxed) {
                look();
                std::thread::sleep(LOOK_EVERY);
            }
        });
        let done = work();
        ended.store(true, Ordering::Relaxed);
        done
    });
    look();
    (done, most.into_inner())
}

/// A tick, the unit in which the kernel tells times.
const TICK: Duration = Duration::from_millis(10);

/// Processor time that all programs have taken since the machine started.
pub fn taken_time() -> Result<Duration> {
    let text = fs::read_to_string("/proc/stat")?;
    let line = text.lines().next().unwrap_or_default();
    let ticks: Vec<u32> = line.split_whitespace().skip(1).flat_map(str::parse).collect();
    // User, nice, system; then idle and waiting for disks, which do not count; interrupts, and time taken by
    // other machines on the same processors.
    let taken = [0, 1, 2, 5, 6, 7].iter().filter_map(|place| ticks.get(*place));
    Ok(TICK * taken.sum::<u32>())
}

/// Processor time of this process so far.
pub fn processor_time() -> Result<Duration> {
    let text = fs::read_to_string("/proc/self/stat")?;
    // Past the name, which may contain anything: user and system time are the 12th and 13th fields.
    let fields: Vec<&str> = text.rsplit(") ").next().unwrap_or("").split(' ').collect();
    let ticks: u32 = fields[11].parse::<u32>()? + fields[12].parse::<u32>()?;
    Ok(TICK * ticks)
}

/// Waits until threads in the background have nothing more to do, at most `limit`. Returns for how many
/// seconds they had.
pub fn rest(limit: Duration) -> Result<f64> {
    let began = Instant::now();
    let (mut before, mut busy) = (processor_time()?, Duration::ZERO);
    while began.elapsed() < limit {
        std::thread::sleep(Duration::from_millis(150));
        let now = processor_time()?;
        // Threads that only look whether there is work show up as a tick now and then.
        if now - before <= TICK {
            break;
        }
        (before, busy) = (now, began.elapsed());
    }
    Ok(busy.as_secs_f64())
}

/// Names the machine: processor, how many, memory, kernel.
#[must_use]
pub fn describe() -> String {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .unwrap_or("a processor");
    let model = model.trim_start_matches([' ', '\t', ':']);
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let memory = field("/proc/meminfo", "MemTotal:").unwrap_or(0) >> 20;
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{cores} × {model}, {memory} GiB, Linux {}", kernel.trim())
}
