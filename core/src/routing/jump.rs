//! Jump consistent hash: numbered buckets, no table, growth and shrinking at the end only.
//!
//! A 64-bit number and a count of buckets come in, a bucket goes out (J. Lamping, E. Veach, "A fast,
//! minimal memory, consistent hash algorithm", 2014, figure 1). From n to n + 1 buckets a key stays or
//! moves to the new bucket. A bucket in the middle cannot be taken away: use `hrw` or slots for that.

use std::num::NonZeroU32;

use super::hash::hash64;

/// Bucket of a number that is spread evenly over 64 bits.
#[must_use]
pub fn jump(mut number: u64, buckets: NonZeroU32) -> u32 {
    let (mut bucket, mut next) = (0u64, 0u64);
    while next < u64::from(buckets.get()) {
        bucket = next;
        number = number.wrapping_mul(2_862_933_555_777_941_757).wrapping_add(1);
        // Exactly the double arithmetic of the paper: results differ in other precisions.
        let step = (1u64 << 31) as f64 / ((number >> 33) + 1) as f64;
        next = ((bucket + 1) as f64 * step) as u64;
    }
    bucket as u32
}

/// Bucket of an encoded key: [`jump`] of its xxh3 hash.
#[must_use]
pub fn jump_key(key: &[u8], buckets: NonZeroU32) -> u32 {
    jump(hash64(key), buckets)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_bucket_takes_keys_from_all_others_and_nothing_else_moves() {
        let n = |n| NonZeroU32::new(n).unwrap();
        let mut moved = 0;
        for key in 0..100_000u64 {
            let number = hash64(&key.to_le_bytes());
            let (old, new) = (jump(number, n(9)), jump(number, n(10)));
            assert!(new == old || new == 9);
            moved += u32::from(new != old);
        }
        assert!((9_500..10_500).contains(&moved), "a tenth moves, {moved} did");
        assert_eq!(jump(u64::MAX, n(1)), 0);
        assert!(jump(0, n(u32::MAX)) < u32::MAX);
    }
}
