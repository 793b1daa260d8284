//! CRC-32C of the few bytes that records are made of.
//!
//! A checksum so far and bytes come in, the checksum goes out: the value of
//! [`crc32c::crc32c_append`], always. That crate is made for long input, where it runs three lanes at
//! once; for the forty to a few hundred bytes of a record its preparations cost more than the sum.
//! Records of that size take the plain loop over the processor's instruction here.

/// From here on three lanes pay.
const LONG: usize = 1024;

/// Continues the CRC-32C `crc` over `bytes`.
#[inline]
pub(super) fn append(crc: u32, bytes: &[u8]) -> u32 {
    #[cfg(target_arch = "x86_64")]
    if bytes.len() < LONG && std::arch::is_x86_feature_detected!("sse4.2") {
        #[expect(unsafe_code, reason = "an instruction that not every processor has")]
        // SAFETY: the processor has SSE 4.2, asked in the line above.
        return unsafe { append_short(crc, bytes) };
    }
    crc32c::crc32c_append(crc, bytes)
}

/// Continues `crc` over the fixed part of a header and the key behind it.
#[inline]
pub(super) fn append_header(crc: u32, fixed: &[u8; 44], key: &[u8]) -> u32 {
    #[cfg(target_arch = "x86_64")]
    if key.len() < LONG && std::arch::is_x86_feature_detected!("sse4.2") {
        #[expect(unsafe_code, reason = "an instruction that not every processor has")]
        // SAFETY: the processor has SSE 4.2, asked in the line above.
        return unsafe { append_short_header(crc, fixed, key) };
    }
    append(append(crc, fixed), key)
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "sse4.2")]
fn append_short_header(crc: u32, fixed: &[u8; 44], key: &[u8]) -> u32 {
    append_short(append_short(crc, fixed), key)
}

/// Eight bytes at a time, then what is left in steps of 4, 2 and 1.
#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "sse4.2")]
#[inline]
fn append_short(crc: u32, bytes: &[u8]) -> u32 {
    use std::arch::x86_64::{_mm_crc32_u8, _mm_crc32_u16, _mm_crc32_u32, _mm_crc32_u64};
    let (words, mut rest) = bytes.as_chunks::<8>();
    let mut sum = u64::from(!crc);
    for word in words {
        sum = _mm_crc32_u64(sum, u64::from_le_bytes(*word));
    }
    let mut sum = sum as u32;
    if let Some((head, tail)) = rest.split_first_chunk::<4>() {
        sum = _mm_crc32_u32(sum, u32::from_le_bytes(*head));
        rest = tail;
    }
    if let Some((head, tail)) = rest.split_first_chunk::<2>() {
        sum = _mm_crc32_u16(sum, u16::from_le_bytes(*head));
        rest = tail;
    }
    if let [last] = rest {
        sum = _mm_crc32_u8(sum, *last);
    }
    !sum
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{append, append_header};

    #[test]
    fn every_length_and_alignment_gives_the_value_of_the_crate() {
        let bytes: Vec<u8> = (0..4096u32)
            .map(|i| (i.wrapping_mul(2_654_435_761) >> 24) as u8)
            .collect();
        for start in 0..9 {
            for len in (0..300).chain([1015, 1023, 1024, 1025, 3000]) {
                let part = &bytes[start..start + len];
                assert_eq!(append(7, part), crc32c::crc32c_append(7, part), "{start} {len}");
            }
        }
        let fixed = bytes.first_chunk().expect("long enough");
        for len in (0..100).chain([1023, 1024, 2000]) {
            let whole = crc32c::crc32c_append(7, &bytes[..44 + len]);
            assert_eq!(append_header(7, fixed, &bytes[44..44 + len]), whole, "{len}");
        }
        // RFC 3720, B.4: 32 bytes of zeros.
        assert_eq!(append(0, &[0; 32]), 0x8a91_36aa);
    }

    proptest! {
        #[test]
        fn a_sum_goes_on_where_it_stopped(crc: u32, bytes: Vec<u8>, cut: prop::sample::Index) {
            let cut = cut.index(bytes.len() + 1);
            prop_assert_eq!(append(append(crc, &bytes[..cut]), &bytes[cut..]), crc32c::crc32c_append(crc, &bytes));
        }
    }
}
