//! A cursor over untrusted bytes and the varint it reads.
//!
//! In: bytes from disk or network. Out: fields, or an error that names the offset. Must never panic, and
//! never accept two spellings of one number.

use crate::versioning::error::VersionError;

pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
    what: &'static str,
}

impl<'a> Reader<'a> {
    pub(super) fn new(bytes: &'a [u8], what: &'static str) -> Reader<'a> {
        Reader { bytes, at: 0, what }
    }

    pub(super) fn bad(&self, reason: &'static str) -> VersionError {
        VersionError::BadBytes {
            what: self.what,
            reason,
            offset: self.at,
        }
    }

    pub(super) fn left(&self) -> usize {
        self.bytes.len() - self.at
    }

    pub(super) fn take(&mut self, count: usize) -> Result<&'a [u8], VersionError> {
        if count > self.left() {
            return Err(self.bad("the bytes end too early"));
        }
        let taken = &self.bytes[self.at..self.at + count];
        self.at += count;
        Ok(taken)
    }

    pub(super) fn u8(&mut self) -> Result<u8, VersionError> {
        Ok(self.take(1)?[0])
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], VersionError> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N)?);
        Ok(array)
    }

    pub(super) fn format(&mut self, format: u8) -> Result<(), VersionError> {
        if self.left() > 0 && self.bytes[self.at] != format {
            return Err(self.bad("unknown format number"));
        }
        self.u8().map(drop)
    }

    /// Unsigned LEB128 in its shortest form.
    #[inline]
    pub(super) fn varint(&mut self) -> Result<u64, VersionError> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8()?;
            if shift == 63 && byte > 1 {
                return Err(self.bad("number above 64 bits"));
            }
            value |= u64::from(byte & 0x7F) << shift;
            if byte & 0x80 == 0 {
                if byte == 0 && shift > 0 {
                    return Err(self.bad("number not in its shortest form"));
                }
                return Ok(value);
            }
        }
        Err(self.bad("number above 64 bits"))
    }

    /// A count of items that take at least `item_bytes` each; refused before anything is allocated for them.
    pub(super) fn count(&mut self, item_bytes: usize) -> Result<usize, VersionError> {
        let count = self.varint()?;
        if count > (self.left() / item_bytes) as u64 {
            return Err(self.bad("count larger than the bytes that follow"));
        }
        Ok(count as usize)
    }

    pub(super) fn slice(&mut self) -> Result<&'a [u8], VersionError> {
        let count = self.count(1)?;
        self.take(count)
    }

    pub(super) fn end(&self) -> Result<(), VersionError> {
        if self.left() > 0 {
            return Err(self.bad("bytes left over"));
        }
        Ok(())
    }
}

pub(super) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

pub(super) fn put_slice(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}
