//! Which part of a key decides its slot, so that related keys can be kept together.
//!
//! An encoded key comes in, a slice of it goes out. Redis Cluster users know the tag rule.

use std::fmt;
use std::str::FromStr;

use super::error::RoutingError;

/// The part of an encoded key that is hashed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Locality {
    /// The whole key.
    #[default]
    None,
    /// What stands between the first `{` and the first `}` after it, if that is not empty; else
    /// the whole key. The rule of Redis Cluster.
    Tag,
    /// The first so many bytes (at least 1); shorter keys as a whole.
    Prefix(u16),
}

impl Locality {
    /// The bytes of `key` that decide its slot.
    #[must_use]
    #[inline]
    pub fn part<'k>(&self, key: &'k [u8]) -> &'k [u8] {
        match *self {
            Locality::None => key,
            Locality::Tag => tag(key).unwrap_or(key),
            Locality::Prefix(bytes) => &key[..key.len().min(usize::from(bytes))],
        }
    }
}

fn tag(key: &[u8]) -> Option<&[u8]> {
    let start = key.iter().position(|&byte| byte == b'{')? + 1;
    let len = key[start..].iter().position(|&byte| byte == b'}')?;
    (len > 0).then(|| &key[start..start + len])
}

impl fmt::Display for Locality {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Locality::None => f.write_str("none"),
            Locality::Tag => f.write_str("tag"),
            Locality::Prefix(bytes) => write!(f, "prefix:{bytes}"),
        }
    }
}

impl FromStr for Locality {
    type Err = RoutingError;

    fn from_str(text: &str) -> Result<Self, RoutingError> {
        let unknown = || RoutingError::UnknownLocality { name: text.into() };
        match text {
            "none" => Ok(Locality::None),
            "tag" => Ok(Locality::Tag),
            _ => {
                let bytes = text.strip_prefix("prefix:").ok_or_else(unknown)?;
                match bytes.parse() {
                    Ok(0) | Err(_) => Err(unknown()),
                    Ok(bytes) => Ok(Locality::Prefix(bytes)),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tag_is_what_redis_takes() {
        let cases: [(&[u8], &[u8]); 8] = [
            (b"{user1}.following", b"user1"),
            (b"foo{}{bar}", b"foo{}{bar}"),
            (b"foo{{bar}}zap", b"{bar"),
            (b"foo{bar}{zap}", b"bar"),
            (b"foo{bar", b"foo{bar"),
            (b"}a{b}", b"b"),
            (b"", b""),
            (b"plain", b"plain"),
        ];
        for (key, part) in cases {
            assert_eq!(
                Locality::Tag.part(key),
                part,
                "{:?}",
                key.escape_ascii().to_string()
            );
        }
    }

    #[test]
    fn short_keys_are_their_own_prefix() {
        assert_eq!(Locality::Prefix(3).part(b"abcdef"), b"abc");
        assert_eq!(Locality::Prefix(3).part(b"ab"), b"ab");
        assert_eq!("prefix:3".parse::<Locality>().unwrap(), Locality::Prefix(3));
        assert!("prefix:0".parse::<Locality>().is_err());
        assert!("prefix:65536".parse::<Locality>().is_err());
    }
}
