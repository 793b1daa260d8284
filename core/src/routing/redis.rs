//! The key slots of Redis Cluster: CRC-16 (XMODEM) modulo 16,384, with the `{tag}` rule.
//!
//! A key comes in, its slot goes out (Redis Cluster specification, "Hash tags"). What stands between
//! the first `{` and the first `}` after it is hashed in place of the key, unless that is empty.

/// Slots of a Redis Cluster.
pub const SLOTS: u16 = 16_384;

/// Slot of a key.
#[must_use]
pub fn redis_slot(key: &[u8]) -> u16 {
    crc16(tag(key)) % SLOTS
}

fn tag(key: &[u8]) -> &[u8] {
    let position = |bytes: &[u8], wanted: u8| bytes.iter().position(|&byte| byte == wanted);
    let Some(open) = position(key, b'{') else {
        return key;
    };
    match position(&key[open + 1..], b'}') {
        None | Some(0) => key,
        Some(len) => &key[open + 1..][..len],
    }
}

/// Polynomial 0x1021, initial value 0, not reflected: `crc16(b"123456789") == 0x31C3`.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, &byte| {
        (crc << 8) ^ TABLE[usize::from((crc >> 8) as u8 ^ byte)]
    })
}

const TABLE: [u16; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = (byte as u16) << 8;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 0x8000 != 0 {
                (crc << 1) ^ 0x1021
            } else {
                crc << 1
            };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_value_and_the_tag_rule_of_the_specification_hold() {
        assert_eq!(crc16(b"123456789"), 0x31C3);
        assert_eq!(redis_slot(b"{user1000}.following"), redis_slot(b"user1000"));
        for whole in [&b"foo{}{bar}"[..], b"{", b"a}b{c", b""] {
            assert_eq!(tag(whole), whole);
        }
        assert_eq!(tag(b"foo{{bar}}zap"), b"{bar");
        assert_eq!(tag(b"foo{bar}{zap}"), b"bar");
    }
}
