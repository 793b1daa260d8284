//! Keys of every type as the bytes that are stored, ordered and hashed.
//!
//! Typed keys come in, bytes go out, the same in every language and in SQL. Encoding keeps order:
//! for two keys of one type the bytes compare as the keys do. Nothing here may ever change for a
//! released encoding, because stored data was placed by it.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::error::RoutingError;
use super::tuple;

/// How integers become bytes; part of every topology.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyEncoding {
    /// Integers are 8 bytes big-endian with the sign bit flipped: byte order is numeric order.
    #[default]
    Binary,
    /// Integers are their decimal text, as programs that hash `str(id)` have it. Byte order is
    /// then not numeric order. Integers inside tuples stay binary.
    Decimal,
}

impl KeyEncoding {
    /// The name users type.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            KeyEncoding::Binary => "binary",
            KeyEncoding::Decimal => "decimal",
        }
    }
}

impl fmt::Display for KeyEncoding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for KeyEncoding {
    type Err = RoutingError;

    fn from_str(name: &str) -> Result<Self, RoutingError> {
        match name {
            "binary" => Ok(KeyEncoding::Binary),
            "decimal" => Ok(KeyEncoding::Decimal),
            _ => Err(RoutingError::UnknownEncoding { name: name.into() }),
        }
    }
}

/// A key as the caller has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyRef<'a> {
    /// Bytes, taken as they are.
    Bytes(&'a [u8]),
    /// Text: its UTF-8 bytes, not normalised.
    Text(&'a str),
    /// An integer of any width up to 64 bits, signed.
    Int(i64),
    /// A UUID: its 16 bytes in network order.
    Uuid([u8; 16]),
    /// Several elements, ordered element by element; at most 32 levels deep to be decodable.
    Tuple(&'a [KeyRef<'a>]),
}

/// An owned key: what [`decode_tuple`](super::decode_tuple) returns.
///
/// Its order is the byte order of the encoded elements: first by type (bytes, text, integers,
/// UUIDs, tuples), then by value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum KeyBuf {
    /// As [`KeyRef::Bytes`].
    Bytes(Vec<u8>),
    /// As [`KeyRef::Text`].
    Text(String),
    /// As [`KeyRef::Int`].
    Int(i64),
    /// As [`KeyRef::Uuid`].
    Uuid([u8; 16]),
    /// As [`KeyRef::Tuple`].
    Tuple(Vec<KeyBuf>),
}

/// The bytes of a key; bytes and text are borrowed, nothing is copied for them.
///
/// ```
/// use atoll::routing::{KeyEncoding, KeyRef, encode_key};
/// let key = encode_key(&KeyRef::Int(-1), KeyEncoding::Binary);
/// assert_eq!(*key, [0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
/// assert_eq!(*encode_key(&KeyRef::Int(-1), KeyEncoding::Decimal), *b"-1");
/// ```
#[must_use]
pub fn encode_key<'a>(key: &KeyRef<'a>, encoding: KeyEncoding) -> Cow<'a, [u8]> {
    match *key {
        KeyRef::Bytes(bytes) => Cow::Borrowed(bytes),
        KeyRef::Text(text) => Cow::Borrowed(text.as_bytes()),
        KeyRef::Int(value) => match encoding {
            KeyEncoding::Binary => Cow::Owned(int_bytes(value).to_vec()),
            KeyEncoding::Decimal => Cow::Owned(value.to_string().into_bytes()),
        },
        KeyRef::Uuid(bytes) => Cow::Owned(bytes.to_vec()),
        KeyRef::Tuple(elements) => {
            let mut out = Vec::new();
            tuple::encode(elements, &mut out);
            Cow::Owned(out)
        }
    }
}

/// The bytes of an integer in [`KeyEncoding::Binary`], without the allocation of [`encode_key`]: big-endian
/// with the sign bit flipped, so that negative numbers sort first.
#[must_use]
#[inline]
pub fn int_bytes(value: i64) -> [u8; 8] {
    (value as u64 ^ (1 << 63)).to_be_bytes()
}

/// Inverse of [`int_bytes`].
pub(crate) fn int_from_bytes(bytes: [u8; 8]) -> i64 {
    (u64::from_be_bytes(bytes) ^ (1 << 63)) as i64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn encodings_are_the_documented_bytes() {
        let binary = |key: KeyRef<'_>| encode_key(&key, KeyEncoding::Binary).into_owned();
        assert_eq!(binary(KeyRef::Bytes(b"\x00a")), b"\x00a");
        assert_eq!(binary(KeyRef::Text("섬")), "섬".as_bytes());
        assert_eq!(binary(KeyRef::Int(0)), [0x80, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(binary(KeyRef::Int(i64::MIN)), [0; 8]);
        assert_eq!(binary(KeyRef::Int(i64::MAX)), [0xff; 8]);
        assert_eq!(binary(KeyRef::Uuid([7; 16])), [7; 16]);
        let decimal = |value| encode_key(&KeyRef::Int(value), KeyEncoding::Decimal).into_owned();
        assert_eq!(decimal(i64::MIN), b"-9223372036854775808");
        assert_eq!(decimal(42), b"42");
    }

    proptest! {
        #[test]
        fn integer_bytes_order_as_the_numbers_do(a: i64, b: i64) {
            prop_assert_eq!(int_bytes(a).cmp(&int_bytes(b)), a.cmp(&b));
            prop_assert_eq!(int_from_bytes(int_bytes(a)), a);
        }
    }
}
