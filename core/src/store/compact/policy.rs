//! When runs are merged, and which.
//!
//! In: bytes of the runs, newest first. Out: how many of the newest to merge into one. Pure.
//!
//! Two rules, looked at after every flush:
//!
//! 1. **Space**: once all runs but the oldest together are as large as the oldest one, everything is
//!    merged. So superseded versions never take more than the live data, plus what a merge under way
//!    has not given back yet (a table or so for each of its inputs).
//! 2. **Number**: runs fall into classes of four times the size each; four of one class are merged,
//!    with all younger ones. So there are at most three runs of each class.
//!
//! Each version is written once by the flush, at most once for each class by rule 2, and rule 1 adds
//! 1 + 1/2 + 1/4 … = 2 in a store that grows: in all at most `3 + log4(store / flush)` times.

/// Runs of one size class that are merged.
const FAN: usize = 4;
/// Runs up to this size are of the smallest class.
const SMALLEST: u64 = 16 << 20;

fn class(bytes: u64) -> u32 {
    let mut class = 0;
    let mut limit = SMALLEST;
    while bytes > limit {
        limit = limit.saturating_mul(FAN as u64);
        class += 1;
    }
    class
}

/// How many of the newest runs to merge; `None` when all is well.
pub(super) fn pick(bytes: &[u64]) -> Option<usize> {
    let (oldest, newer) = bytes.split_last()?;
    if newer.is_empty() {
        return None;
    }
    if newer.iter().sum::<u64>() >= *oldest {
        return Some(bytes.len());
    }
    let largest = bytes.iter().map(|bytes| class(*bytes)).max()?;
    (0..=largest).find_map(|limit| {
        let prefix = bytes.iter().take_while(|bytes| class(**bytes) <= limit);
        let (mut len, mut full) = (0, 0);
        for bytes in prefix {
            len += 1;
            full += usize::from(class(*bytes) == limit);
        }
        (full >= FAN).then_some(len)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn runs_are_merged_when_they_are_many_or_large() {
        let check = |mib: &[u64], expected| {
            let bytes: Vec<u64> = mib.iter().map(|mib| mib * MIB).collect();
            assert_eq!(pick(&bytes), expected, "{mib:?}");
        };
        check(&[], None);
        check(&[10], None);
        check(&[10, 500], None);
        check(&[10, 10], Some(2));
        check(&[10, 10, 10, 500], None);
        check(&[10, 10, 10, 10, 500], Some(4));
        check(&[50, 50, 10, 50, 50, 5000], Some(5));
        check(&[10, 10, 300, 310, 5000], None);
        check(&[200, 300, 500], Some(3));
    }

    /// The bounds that the head of this file states, over a store that grows to 1,024 flushes.
    #[test]
    fn number_of_runs_and_bytes_written_stay_bounded() {
        let flush = 48 * MIB;
        let (mut runs, mut written, mut most) = (Vec::<u64>::new(), 0u64, 0usize);
        for flushes in 1..=1024u64 {
            runs.insert(0, flush);
            written += flush;
            while let Some(count) = pick(&runs) {
                let merged: u64 = runs.drain(..count).sum();
                written += merged;
                runs.insert(0, merged);
            }
            most = most.max(runs.len());
            let newer: u64 = runs[..runs.len() - 1].iter().sum();
            assert!(newer < *runs.last().expect("a run"), "{runs:?}");
            let data = flush * flushes;
            let bound = 3.0 + (flushes as f64).log(4.0);
            let amplification = written as f64 / data as f64;
            assert!(amplification <= bound, "{amplification} after {flushes} flushes");
        }
        assert!(most <= 3 * 6 + 1, "{most} runs");
        println!(
            "1,024 flushes: at most {most} runs, every byte written {:.2} times",
            written as f64 / (1024.0 * flush as f64)
        );
    }
}
