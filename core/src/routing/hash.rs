//! The hash functions of routers: names, digests, and the integers they stand for.
//!
//! Bytes come in, digests go out. Every function here is frozen: its value for given bytes is the
//! same on every machine, in every version and in the other languages, because data is placed by
//! it. Hashes whose values change between releases or processes must never be added.

use std::fmt;
use std::num::NonZeroU32;
use std::str::FromStr;

use md5::Md5;
use serde::{Deserialize, Serialize};
use sha1::{Digest as _, Sha1};
use xxhash_rust::{xxh3, xxh64};

use super::error::RoutingError;

/// A named, bit-exact hash function.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HashKind {
    /// XXH3, 64 bits (`XXH3_64bits_withSeed`), frozen since xxHash 0.8.0. The default.
    #[default]
    Xxh3,
    /// XXH64.
    Xxh64,
    /// SHA-1, all 160 bits (FIPS 180-4). For agreement with other programs, not for security.
    Sha1,
    /// MD5, all 128 bits (RFC 1321). For agreement with other programs, not for security.
    Md5,
    /// CRC-32 of zlib and PNG (polynomial 0x04C11DB7, reflected).
    Crc32,
    /// MurmurHash3_x86_32 as published by Austin Appleby, all bytes unsigned: the variant most
    /// client libraries call "murmur3".
    Murmur3,
}

impl HashKind {
    /// Every kind, in the order of the documentation.
    pub const ALL: [HashKind; 6] = [
        HashKind::Xxh3,
        HashKind::Xxh64,
        HashKind::Sha1,
        HashKind::Md5,
        HashKind::Crc32,
        HashKind::Murmur3,
    ];

    /// The name users type.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            HashKind::Xxh3 => "xxh3",
            HashKind::Xxh64 => "xxh64",
            HashKind::Sha1 => "sha1",
            HashKind::Md5 => "md5",
            HashKind::Crc32 => "crc32",
            HashKind::Murmur3 => "murmur3",
        }
    }

    /// Checks that the function takes this seed: 64 bits for xxh3 and xxh64, 32 for murmur3, none
    /// (that is, 0) for the others.
    ///
    /// # Errors
    /// [`RoutingError::BadSeed`].
    pub fn check_seed(self, seed: u64) -> Result<(), RoutingError> {
        let fits = match self {
            HashKind::Xxh3 | HashKind::Xxh64 => true,
            HashKind::Murmur3 => u32::try_from(seed).is_ok(),
            HashKind::Sha1 | HashKind::Md5 | HashKind::Crc32 => seed == 0,
        };
        if fits {
            Ok(())
        } else {
            Err(RoutingError::BadSeed {
                hash: self.name(),
                seed,
            })
        }
    }

    /// Digest of `bytes` with seed 0.
    #[must_use]
    #[inline]
    pub fn digest(self, bytes: &[u8]) -> Digest {
        self.digest_seeded(bytes, 0)
    }

    /// Digest of `bytes`; a seed the function cannot take is ignored, see [`Self::check_seed`].
    #[must_use]
    #[inline]
    pub fn digest_seeded(self, bytes: &[u8], seed: u64) -> Digest {
        match self {
            HashKind::Xxh3 => Digest::from_u64(xxh3::xxh3_64_with_seed(bytes, seed)),
            HashKind::Xxh64 => Digest::from_u64(xxh64::xxh64(bytes, seed)),
            HashKind::Sha1 => Digest::from_array::<20>(Sha1::digest(bytes).into()),
            HashKind::Md5 => Digest::from_array::<16>(Md5::digest(bytes).into()),
            HashKind::Crc32 => Digest::from_u32(crc32fast::hash(bytes)),
            HashKind::Murmur3 => Digest::from_u32(murmur3_x86_32(bytes, seed as u32)),
        }
    }

    /// The digest as an unsigned big-endian integer, modulo `n`: whole digests, so 160 bits for
    /// sha1 and 128 for md5.
    #[must_use]
    pub fn digest_mod(self, bytes: &[u8], n: NonZeroU32) -> u32 {
        self.digest_mod_seeded(bytes, 0, n)
    }

    /// [`Self::digest_mod`] with a seed.
    #[must_use]
    pub fn digest_mod_seeded(self, bytes: &[u8], seed: u64, n: NonZeroU32) -> u32 {
        let hash = match self {
            HashKind::Xxh3 => xxh3::xxh3_64_with_seed(bytes, seed),
            HashKind::Xxh64 => xxh64::xxh64(bytes, seed),
            _ => return self.digest_seeded(bytes, seed).modulo(n),
        };
        if n.is_power_of_two() {
            // Same value, without the division: the usual number of slots is a power of two.
            return (hash as u32) & (n.get() - 1);
        }
        (hash % u64::from(n.get())) as u32
    }
}

impl fmt::Display for HashKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for HashKind {
    type Err = RoutingError;

    fn from_str(name: &str) -> Result<Self, RoutingError> {
        let known = HashKind::ALL.into_iter().find(|kind| kind.name() == name);
        known.ok_or_else(|| RoutingError::UnknownHash { name: name.into() })
    }
}

/// The default hash of encoded keys: XXH3, 64 bits, seed 0.
#[must_use]
#[inline]
pub fn hash64(encoded_key: &[u8]) -> u64 {
    xxh3::xxh3_64(encoded_key)
}

/// A digest of at most 160 bits; those of one [`HashKind`] order as big-endian integers.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Digest {
    /// Left-aligned and zero-filled, so that comparing arrays compares the integers.
    bytes: [u8; 20],
    len: u8,
}

impl Digest {
    #[inline]
    fn from_array<const N: usize>(array: [u8; N]) -> Self {
        let mut bytes = [0; 20];
        bytes[..N].copy_from_slice(&array);
        Digest { bytes, len: N as u8 }
    }

    fn from_u64(value: u64) -> Self {
        Self::from_array(value.to_be_bytes())
    }

    fn from_u32(value: u32) -> Self {
        Self::from_array(value.to_be_bytes())
    }

    /// The digest, most significant byte first: 4, 8, 16 or 20 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }

    /// Remainder of the whole digest, taken as an unsigned big-endian integer.
    #[must_use]
    pub fn modulo(&self, n: NonZeroU32) -> u32 {
        let n = u64::from(n.get());
        // Horner's rule in base 2^32: the remainder stays below 2^32, so a step fits 64 bits.
        let step = |rest: u64, word: &[u8; 4]| ((rest << 32) | u64::from(u32::from_be_bytes(*word))) % n;
        let (words, tail) = self.as_bytes().as_chunks::<4>();
        debug_assert!(tail.is_empty(), "digests are whole words");
        words.iter().fold(0, step) as u32
    }

    /// The 64 most significant bits; shorter digests are shifted up, which keeps their order.
    #[inline]
    pub(crate) fn high(&self) -> u64 {
        let mut high = [0; 8];
        high.copy_from_slice(&self.bytes[..8]);
        u64::from_be_bytes(high)
    }

    /// The bits below [`Self::high`].
    #[inline]
    pub(crate) fn low(&self) -> [u8; 12] {
        let mut low = [0; 12];
        low.copy_from_slice(&self.bytes[8..]);
        low
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_bytes()
            .iter()
            .try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// MurmurHash3_x86_32 (Austin Appleby, public domain): 4-byte blocks, then a tail of up to three
/// bytes, then the length and a final mix.
fn murmur3_x86_32(bytes: &[u8], seed: u32) -> u32 {
    let scramble = |k: u32| {
        k.wrapping_mul(0xcc9e_2d51)
            .rotate_left(15)
            .wrapping_mul(0x1b87_3593)
    };
    let (blocks, tail) = bytes.as_chunks::<4>();
    let mut hash = seed;
    for block in blocks {
        hash ^= scramble(u32::from_le_bytes(*block));
        hash = hash.rotate_left(13).wrapping_mul(5).wrapping_add(0xe654_6b64);
    }
    let mut last = [0; 4];
    last[..tail.len()].copy_from_slice(tail);
    // An empty tail scrambles to 0 and changes nothing.
    hash ^= scramble(u32::from_le_bytes(last));
    hash ^= bytes.len() as u32;
    hash = (hash ^ (hash >> 16)).wrapping_mul(0x85eb_ca6b);
    hash = (hash ^ (hash >> 13)).wrapping_mul(0xc2b2_ae35);
    hash ^ (hash >> 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn n(value: u32) -> NonZeroU32 {
        NonZeroU32::new(value).unwrap()
    }

    fn check(kind: HashKind, input: &[u8], hex: &str) {
        assert_eq!(format!("{:?}", kind.digest(input)), hex, "{kind} of {input:?}");
    }

    #[test]
    fn digests_match_published_vectors() {
        check(HashKind::Sha1, b"abc", "a9993e364706816aba3e25717850c26c9cd0d89d");
        check(HashKind::Md5, b"abc", "900150983cd24fb0d6963f7d28e17f72");
        check(HashKind::Crc32, b"123456789", "cbf43926");
        check(HashKind::Xxh64, b"", "ef46db3751d8e999");
        check(HashKind::Xxh3, b"", "2d06800538d394c2");
    }

    #[test]
    fn murmur3_matches_published_vectors() {
        let cases: [(&[u8], u32, u32); 12] = [
            (b"", 0, 0),
            (b"", 1, 0x514e_28b7),
            (b"", 0xffff_ffff, 0x81f1_6f39),
            (b"\xff\xff\xff\xff", 0, 0x7629_3b50),
            (b"\x21\x43\x65\x87", 0, 0xf55b_516b),
            (b"\x21\x43\x65\x87", 0x5082_edee, 0x2362_f9de),
            (b"\x21\x43\x65", 0, 0x7e4a_8634),
            (b"\x21\x43", 0, 0xa0f7_b07a),
            (b"\x21", 0, 0x7266_1cf4),
            (b"\0\0\0\0", 0, 0x2362_f9de),
            (b"Hello, world!", 0x9747_b28c, 0x2488_4cba),
            ("ππππππππ".as_bytes(), 0x9747_b28c, 0xd580_63c1),
        ];
        for (input, seed, expected) in cases {
            assert_eq!(murmur3_x86_32(input, seed), expected, "{input:?} seed {seed:x}");
        }
    }

    #[test]
    fn modulo_takes_the_whole_digest() {
        // Python: int(hashlib.sha1(b"abc").hexdigest(), 16) % 1000003, and the same with md5.
        assert_eq!(HashKind::Sha1.digest_mod(b"abc", n(1_000_003)), 629_791);
        assert_eq!(HashKind::Md5.digest_mod(b"abc", n(1_000_003)), 577_950);
        for kind in HashKind::ALL {
            assert_eq!(kind.digest_mod(b"abc", n(1)), 0);
        }
    }

    #[test]
    fn the_short_cut_for_powers_of_two_gives_the_same_remainder() {
        for kind in [HashKind::Xxh3, HashKind::Xxh64] {
            for bits in 0..32 {
                let divisor = n(1 << bits);
                for key in 0..200u32 {
                    let key = key.to_le_bytes();
                    assert_eq!(kind.digest_mod(&key, divisor), kind.digest(&key).modulo(divisor));
                }
            }
        }
    }

    #[test]
    fn names_round_trip_and_unknown_ones_are_refused() {
        for kind in HashKind::ALL {
            assert_eq!(kind.name().parse::<HashKind>().unwrap(), kind);
        }
        assert!(matches!(
            "siphash".parse::<HashKind>(),
            Err(RoutingError::UnknownHash { .. })
        ));
    }

    #[test]
    fn only_seeded_functions_take_a_seed() {
        assert!(HashKind::Xxh3.check_seed(u64::MAX).is_ok());
        assert!(HashKind::Murmur3.check_seed(7).is_ok());
        assert!(HashKind::Murmur3.check_seed(1 << 32).is_err());
        assert!(HashKind::Sha1.check_seed(1).is_err());
        assert!(HashKind::Crc32.check_seed(0).is_ok());
    }
}
