//! Keys `user:N` as programs have them: short, of nearly equal length, in no order.

/// Keys, one behind the other.
pub struct Keys {
    bytes: Vec<u8>,
    ends: Vec<u32>,
}

impl Keys {
    /// `count` different keys in a random but fixed order.
    #[must_use]
    pub fn users(count: usize) -> Keys {
        let mut keys = Keys {
            bytes: Vec::new(),
            ends: Vec::new(),
        };
        for i in 0..count as u64 {
            // Odd multipliers permute the numbers below a power of two.
            let n = (i.wrapping_mul(0x9E37_79B9) ^ 0x5bd1) & 0xF_FFFF;
            keys.bytes.extend_from_slice(format!("user:{n}").as_bytes());
            keys.ends.push(keys.bytes.len() as u32);
        }
        keys
    }

    /// All keys, in order.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(&0).chain(&self.ends);
        starts
            .zip(&self.ends)
            .map(|(&start, &end)| &self.bytes[start as usize..end as usize])
    }

    /// Number of keys.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }
}
