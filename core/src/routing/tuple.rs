//! Composite keys: an order-preserving encoding of several elements, and its inverse.
//!
//! Elements come in, bytes go out, and comparing the bytes compares the tuples element by element;
//! a tuple sorts before every longer one that begins with it, and its bytes are a prefix of theirs,
//! so "all keys beginning with these elements" is one range. The layout stands in the format
//! document. Decoding arbitrary bytes gives an error, never a panic.
//!
//! | type | bytes |
//! |---|---|
//! | bytes | `02`, contents with `00` written as `00 FF`, then `00 01` |
//! | text | `03`, UTF-8 with `00` written as `00 FF`, then `00 01` |
//! | integer | `04`, 8 bytes big-endian with the sign bit flipped |
//! | uuid | `05`, 16 bytes |
//! | tuple | `06`, its elements, then `01` |

use super::error::RoutingError;
use super::key::{KeyBuf, KeyRef, int_bytes, int_from_bytes};

const TUPLE_END: u8 = 0x01;
const BYTES: u8 = 0x02;
const TEXT: u8 = 0x03;
const INT: u8 = 0x04;
const UUID: u8 = 0x05;
const TUPLE: u8 = 0x06;

const ESCAPE: u8 = 0x00;
/// Follows [`ESCAPE`] at the end of contents; below [`ESCAPED_ZERO`], so the shorter sorts first.
const CONTENTS_END: u8 = 0x01;
const ESCAPED_ZERO: u8 = 0xff;

/// Deepest nesting that is decoded: hostile bytes must not exhaust the stack.
const MAX_DEPTH: usize = 32;

/// Appends the elements of a tuple to `out`.
pub(crate) fn encode(elements: &[KeyRef<'_>], out: &mut Vec<u8>) {
    for element in elements {
        match *element {
            KeyRef::Tuple(inner) => nested(out, |out| encode(inner, out)),
            KeyRef::Bytes(bytes) => contents(BYTES, bytes, out),
            KeyRef::Text(text) => contents(TEXT, text.as_bytes(), out),
            KeyRef::Int(value) => int(value, out),
            KeyRef::Uuid(bytes) => uuid(bytes, out),
        }
    }
}

/// The bytes of a composite key: the inverse of [`decode_tuple`], for those who have its elements as it gives them.
///
/// ```
/// use atoll::routing::{KeyBuf, decode_tuple, encode_tuple};
/// let key = encode_tuple(&[KeyBuf::Text("user".into()), KeyBuf::Int(7)]);
/// assert_eq!(decode_tuple(&key)?, [KeyBuf::Text("user".into()), KeyBuf::Int(7)]);
/// # Ok::<(), atoll::routing::RoutingError>(())
/// ```
#[must_use]
pub fn encode_tuple(elements: &[KeyBuf]) -> Vec<u8> {
    let mut out = Vec::new();
    encode_owned(elements, &mut out);
    out
}

fn encode_owned(elements: &[KeyBuf], out: &mut Vec<u8>) {
    for element in elements {
        match element {
            KeyBuf::Tuple(inner) => nested(out, |out| encode_owned(inner, out)),
            KeyBuf::Bytes(bytes) => contents(BYTES, bytes, out),
            KeyBuf::Text(text) => contents(TEXT, text.as_bytes(), out),
            KeyBuf::Int(value) => int(*value, out),
            KeyBuf::Uuid(bytes) => uuid(*bytes, out),
        }
    }
}

fn nested(out: &mut Vec<u8>, inner: impl FnOnce(&mut Vec<u8>)) {
    out.push(TUPLE);
    inner(out);
    out.push(TUPLE_END);
}

fn int(value: i64, out: &mut Vec<u8>) {
    out.push(INT);
    out.extend_from_slice(&int_bytes(value));
}

fn uuid(bytes: [u8; 16], out: &mut Vec<u8>) {
    out.push(UUID);
    out.extend_from_slice(&bytes);
}

fn contents(kind: u8, bytes: &[u8], out: &mut Vec<u8>) {
    out.push(kind);
    for &byte in bytes {
        out.push(byte);
        if byte == ESCAPE {
            out.push(ESCAPED_ZERO);
        }
    }
    out.extend_from_slice(&[ESCAPE, CONTENTS_END]);
}

/// The elements of a composite key.
///
/// # Errors
/// [`RoutingError::BadTuple`] where the bytes are not what encoding a tuple gives, also when tuples
/// nest more than 32 deep.
pub fn decode_tuple(bytes: &[u8]) -> Result<Vec<KeyBuf>, RoutingError> {
    let mut reader = Reader { bytes, at: 0 };
    // One list per tuple that is still open; the outermost has no end mark.
    let mut open = vec![Vec::new()];
    while let Some(kind) = reader.next() {
        let offset = reader.at - 1;
        let bad = |what| RoutingError::BadTuple { offset, what };
        let element = match kind {
            BYTES => KeyBuf::Bytes(reader.contents()?),
            TEXT => {
                let text = String::from_utf8(reader.contents()?);
                KeyBuf::Text(text.map_err(|_| bad("text that is not UTF-8"))?)
            }
            INT => KeyBuf::Int(int_from_bytes(reader.array()?)),
            UUID => KeyBuf::Uuid(reader.array()?),
            TUPLE if open.len() <= MAX_DEPTH => {
                open.push(Vec::new());
                continue;
            }
            TUPLE => return Err(bad("tuples nested more than 32 deep")),
            TUPLE_END if open.len() > 1 => KeyBuf::Tuple(open.pop().expect("more than one list is open")),
            TUPLE_END => return Err(bad("the end of a tuple that was not begun")),
            _ => return Err(bad("an unknown element type")),
        };
        open.last_mut()
            .expect("the outermost list stays open")
            .push(element);
    }
    match open.pop() {
        Some(elements) if open.is_empty() => Ok(elements),
        _ => Err(RoutingError::BadTuple {
            offset: reader.at,
            what: "the end of a tuple is missing",
        }),
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn next(&mut self) -> Option<u8> {
        let byte = self.bytes.get(self.at).copied();
        self.at += usize::from(byte.is_some());
        byte
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], RoutingError> {
        let rest = &self.bytes[self.at..];
        let Some(array) = rest.first_chunk::<N>() else {
            return Err(RoutingError::BadTuple {
                offset: self.at,
                what: "the element is cut short",
            });
        };
        self.at += N;
        Ok(*array)
    }

    fn contents(&mut self) -> Result<Vec<u8>, RoutingError> {
        let mut out = Vec::new();
        loop {
            match self.next() {
                Some(ESCAPE) => match self.next() {
                    Some(CONTENTS_END) => return Ok(out),
                    Some(ESCAPED_ZERO) => out.push(0),
                    _ => {
                        let what = "00 must be followed by 01 or FF";
                        return Err(RoutingError::BadTuple {
                            offset: self.at,
                            what,
                        });
                    }
                },
                Some(byte) => out.push(byte),
                None => {
                    let what = "the element is cut short";
                    return Err(RoutingError::BadTuple {
                        offset: self.at,
                        what,
                    });
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn encode_bufs(elements: &[KeyBuf], out: &mut Vec<u8>) {
        for element in elements {
            match element {
                KeyBuf::Bytes(bytes) => encode(&[KeyRef::Bytes(bytes)], out),
                KeyBuf::Text(text) => encode(&[KeyRef::Text(text)], out),
                KeyBuf::Int(value) => encode(&[KeyRef::Int(*value)], out),
                KeyBuf::Uuid(bytes) => encode(&[KeyRef::Uuid(*bytes)], out),
                KeyBuf::Tuple(inner) => {
                    out.push(TUPLE);
                    encode_bufs(inner, out);
                    out.push(TUPLE_END);
                }
            }
        }
    }

    fn elements() -> impl Strategy<Value = Vec<KeyBuf>> {
        // Few distinct bytes, so that common prefixes, zeros and 0xff are frequent.
        let byte = prop_oneof![Just(0u8), Just(1), Just(2), Just(0xff), any::<u8>()];
        let leaf = prop_oneof![
            vec(byte, 0..4).prop_map(KeyBuf::Bytes),
            "[\0ab섬]{0,3}".prop_map(KeyBuf::Text),
            any::<i64>().prop_map(KeyBuf::Int),
            (-2i64..2).prop_map(KeyBuf::Int),
            any::<[u8; 16]>().prop_map(KeyBuf::Uuid),
        ];
        let element = leaf.prop_recursive(3, 12, 3, |inner| vec(inner, 0..3).prop_map(KeyBuf::Tuple));
        vec(element, 0..4)
    }

    #[test]
    fn the_layout_is_the_documented_one() {
        let mut out = Vec::new();
        let inner = [KeyRef::Int(1)];
        let tuple = [KeyRef::Text("a\0b"), KeyRef::Tuple(&inner), KeyRef::Bytes(b"")];
        encode(&tuple, &mut out);
        let expected = b"\x03a\x00\xffb\x00\x01\x06\x04\x80\0\0\0\0\0\0\x01\x01\x02\x00\x01";
        assert_eq!(out, expected);
    }

    #[test]
    fn hostile_nesting_is_refused() {
        let deep = [vec![TUPLE; 40], vec![TUPLE_END; 40]].concat();
        assert!(decode_tuple(&deep).is_err());
        let allowed = [vec![TUPLE; 32], vec![TUPLE_END; 32]].concat();
        assert!(decode_tuple(&allowed).is_ok());
    }

    proptest! {
        #[test]
        fn byte_order_is_element_order_and_decoding_inverts(a in elements(), b in elements()) {
            let (mut x, mut y) = (Vec::new(), Vec::new());
            encode_bufs(&a, &mut x);
            encode_bufs(&b, &mut y);
            prop_assert_eq!(x.cmp(&y), a.cmp(&b));
            prop_assert_eq!(decode_tuple(&x).unwrap(), a);
        }

        #[test]
        fn decoding_arbitrary_bytes_never_panics_and_accepts_only_encodings(bytes in vec(0u8..8, 0..24)) {
            if let Ok(elements) = decode_tuple(&bytes) {
                let mut again = Vec::new();
                encode_bufs(&elements, &mut again);
                prop_assert_eq!(again, bytes);
            }
        }
    }
}
