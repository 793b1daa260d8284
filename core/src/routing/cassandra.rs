//! The Murmur3 token of Apache Cassandra and its relatives.
//!
//! An encoded partition key comes in, its token goes out: the first half of MurmurHash3_x64_128 with
//! seed 0 (A. Appleby, public domain) as Cassandra computes it, which is not as published: the bytes of
//! the tail are **signed**, so keys with bytes from 0x80 on differ from other libraries. The smallest
//! number is no token and becomes the largest. The empty key gets 0, as in the drivers; the server
//! refuses empty partition keys.

const C1: u64 = 0x87c3_7b91_1142_53d5;
const C2: u64 = 0x4cf5_ad43_2745_937f;

/// Token of a key.
#[must_use]
pub fn cassandra_token(key: &[u8]) -> i64 {
    let (mut h1, mut h2) = (0u64, 0u64);
    let (blocks, tail) = key.as_chunks::<16>();
    for block in blocks {
        let (words, _) = block.as_chunks::<8>();
        h1 ^= scramble_first(u64::from_le_bytes(words[0]));
        h1 = h1.rotate_left(27).wrapping_add(h2);
        h1 = h1.wrapping_mul(5).wrapping_add(0x52dc_e729);
        h2 ^= scramble_second(u64::from_le_bytes(words[1]));
        h2 = h2.rotate_left(31).wrapping_add(h1);
        h2 = h2.wrapping_mul(5).wrapping_add(0x3849_5ab5);
    }
    let (low, high) = tail.split_at(tail.len().min(8));
    // Empty halves scramble to 0 and change nothing.
    h2 ^= scramble_second(signed(high));
    h1 ^= scramble_first(signed(low));
    let len = key.len() as u64;
    h1 ^= len;
    h2 ^= len;
    h1 = h1.wrapping_add(h2);
    h2 = h2.wrapping_add(h1);
    let token = mix(h1).wrapping_add(mix(h2)) as i64;
    if token == i64::MIN { i64::MAX } else { token }
}

/// Up to eight bytes, least significant first, each with its sign spread over the bytes above it.
fn signed(bytes: &[u8]) -> u64 {
    (0u32..).zip(bytes).fold(0, |word, (at, &byte)| {
        word ^ ((byte as i8 as i64 as u64) << (8 * at))
    })
}

fn scramble_first(word: u64) -> u64 {
    word.wrapping_mul(C1).rotate_left(31).wrapping_mul(C2)
}

fn scramble_second(word: u64) -> u64 {
    word.wrapping_mul(C2).rotate_left(33).wrapping_mul(C1)
}

fn mix(mut word: u64) -> u64 {
    word = (word ^ (word >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    word = (word ^ (word >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    word ^ (word >> 33)
}
