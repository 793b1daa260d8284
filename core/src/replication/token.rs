//! What a session has seen, so that another replica can prove it has seen it too.
//!
//! In: positions of acknowledged writes. Out: opaque bytes a client carries around, and the
//! verdict of one replica on them. A position counts only with its epoch: a length alone cannot
//! tell a replica that is ahead from one that took another turn.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use super::ReplicationError;
use super::progress::LogShape;
use crate::ids::{Epoch, Lsn, ShardId, Uuid};

const MAGIC: [u8; 4] = *b"ATKN";
const FORMAT: u32 = 1;
const HEADER_BYTES: usize = 28;
const ENTRY_BYTES: usize = 20;
/// Epochs remembered for one shard. A session would have to live through more failovers than
/// this, with a lost write before the first, to be told too little.
const MAX_EPOCHS: usize = 8;

/// Positions of one cluster's shards that a reader wants to see: for each shard and epoch the end
/// of the last write.
///
/// Made of acknowledged writes, merged by sessions, opaque to clients. The empty token asks for
/// nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Token {
    cluster: Option<Uuid>,
    positions: BTreeMap<(ShardId, Epoch), Lsn>,
}

/// Whether a replica has what a token asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It has.
    Serves,
    /// It is still behind.
    Behind,
    /// It never will: the write was truncated when another leader took over.
    Lost {
        /// Epoch of the lost write.
        epoch: Epoch,
        /// End of the lost write.
        end: Lsn,
    },
}

impl Token {
    /// The token of one write.
    #[must_use]
    pub fn of_write(cluster: Uuid, shard: ShardId, epoch: Epoch, end: Lsn) -> Token {
        Token {
            cluster: Some(cluster),
            positions: BTreeMap::from([((shard, epoch), end)]),
        }
    }

    /// Cluster the token belongs to; `None` for the empty token.
    #[must_use]
    pub fn cluster(&self) -> Option<Uuid> {
        self.cluster
    }

    /// Whether it asks for nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.positions.is_empty()
    }

    /// What it asks of one shard's log: ends by epoch, ascending.
    pub fn of_shard(&self, shard: ShardId) -> impl Iterator<Item = (Epoch, Lsn)> + '_ {
        let range = (shard, Epoch(0))..=(shard, Epoch(u64::MAX));
        self.positions
            .range(range)
            .map(|((_, epoch), end)| (*epoch, *end))
    }

    /// Shards it asks something of, ascending.
    pub fn shards(&self) -> impl Iterator<Item = ShardId> + '_ {
        let mut last = None;
        self.positions
            .keys()
            .filter_map(move |(shard, _)| (last.replace(*shard) != Some(*shard)).then_some(*shard))
    }

    /// Asks for what either of the two asks for.
    ///
    /// # Errors
    /// [`ReplicationError::ForeignToken`] when they belong to different clusters.
    pub fn merge(&mut self, other: &Token) -> Result<(), ReplicationError> {
        if let (Some(ours), Some(theirs)) = (self.cluster, other.cluster)
            && ours != theirs
        {
            return Err(ReplicationError::ForeignToken);
        }
        self.cluster = self.cluster.or(other.cluster);
        for (key, end) in &other.positions {
            let kept = self.positions.entry(*key).or_insert(*end);
            *kept = (*kept).max(*end);
        }
        self.forget_old_epochs();
        Ok(())
    }

    fn forget_old_epochs(&mut self) {
        let shards: Vec<ShardId> = self.shards().collect();
        for shard in shards {
            let epochs: Vec<Epoch> = self.of_shard(shard).map(|(epoch, _)| epoch).collect();
            for epoch in epochs.iter().rev().skip(MAX_EPOCHS) {
                self.positions.remove(&(shard, *epoch));
            }
        }
    }

    /// Verdict of a replica of `shard` whose log has this shape and is applied to its end.
    ///
    /// Only meaningful on a log that follows the current leader's.
    #[must_use]
    pub fn standing(&self, shard: ShardId, log: &LogShape) -> Standing {
        let newest = log.position().epoch;
        let mut standing = Standing::Serves;
        for (epoch, end) in self.of_shard(shard) {
            match log.end_of(epoch) {
                Some(last) if end <= last => {}
                // The epoch may still grow here, or has not arrived yet.
                _ if epoch >= newest => standing = Standing::Behind,
                _ => return Standing::Lost { epoch, end },
            }
        }
        standing
    }

    /// Canonical bytes: equal tokens have equal bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEADER_BYTES + self.positions.len() * ENTRY_BYTES + 4);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&FORMAT.to_le_bytes());
        bytes.extend_from_slice(&self.cluster.unwrap_or(Uuid::NIL).0);
        bytes.extend_from_slice(&(self.positions.len() as u32).to_le_bytes());
        for ((shard, epoch), end) in &self.positions {
            bytes.extend_from_slice(&shard.0.to_le_bytes());
            bytes.extend_from_slice(&epoch.0.to_le_bytes());
            bytes.extend_from_slice(&end.0.to_le_bytes());
        }
        let crc = crc32c::crc32c(&bytes);
        bytes.extend_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Inverse of [`Token::to_bytes`].
    ///
    /// # Errors
    /// [`ReplicationError::BadToken`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Token, ReplicationError> {
        let bad = |what| ReplicationError::BadToken { what };
        if bytes.len() < HEADER_BYTES + 4 || bytes[..4] != MAGIC {
            return Err(bad("it does not begin like one"));
        }
        let (body, crc) = bytes.split_at(bytes.len() - 4);
        if crc != crc32c::crc32c(body).to_le_bytes() {
            return Err(bad("the checksum does not fit"));
        }
        let u32_at = |at: usize| u32::from_le_bytes([body[at], body[at + 1], body[at + 2], body[at + 3]]);
        let u64_at = |at: usize| u64::from(u32_at(at)) | u64::from(u32_at(at + 4)) << 32;
        if u32_at(4) != FORMAT {
            return Err(bad("its format version is not known"));
        }
        let count = u32_at(24) as usize;
        if body.len() - HEADER_BYTES != count.saturating_mul(ENTRY_BYTES) {
            return Err(bad("its length does not fit"));
        }
        let mut cluster = [0u8; 16];
        cluster.copy_from_slice(&body[8..24]);
        let cluster = Some(Uuid(cluster)).filter(|cluster| *cluster != Uuid::NIL);
        let mut positions = BTreeMap::new();
        for at in (HEADER_BYTES..body.len()).step_by(ENTRY_BYTES) {
            let key = (ShardId(u32_at(at)), Epoch(u64_at(at + 4)));
            if positions.last_key_value().is_some_and(|(last, _)| *last >= key) {
                return Err(bad("its entries are not in order"));
            }
            positions.insert(key, Lsn(u64_at(at + 12)));
        }
        Ok(Token { cluster, positions })
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_bytes()
            .iter()
            .try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for Token {
    type Err = ReplicationError;

    fn from_str(text: &str) -> Result<Token, ReplicationError> {
        let digits: Vec<u8> = text
            .bytes()
            .map(|c| match c {
                b'0'..=b'9' => Some(c - b'0'),
                b'a'..=b'f' => Some(c - b'a' + 10),
                _ => None,
            })
            .collect::<Option<_>>()
            .ok_or(ReplicationError::BadToken {
                what: "it is not lower-case hexadecimal",
            })?;
        let (pairs, rest) = digits.as_chunks::<2>();
        if !rest.is_empty() {
            return Err(ReplicationError::BadToken {
                what: "it has half a byte",
            });
        }
        Token::from_bytes(
            &pairs
                .iter()
                .map(|[high, low]| high << 4 | low)
                .collect::<Vec<u8>>(),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CLUSTER: Uuid = Uuid([9; 16]);

    fn token(entries: &[(u32, u64, u64)]) -> Token {
        let mut token = Token::default();
        for (shard, epoch, end) in entries {
            let one = Token::of_write(CLUSTER, ShardId(*shard), Epoch(*epoch), Lsn(*end));
            token.merge(&one).unwrap();
        }
        token
    }

    fn log(vector: &[(u64, u64)], end: u64) -> LogShape {
        LogShape::new(
            vector.iter().map(|(e, l)| (Epoch(*e), Lsn(*l))).collect(),
            Lsn(end),
        )
    }

    #[test]
    fn a_replica_serves_waits_or_says_that_the_write_was_lost() {
        let check = |entries: &[(u32, u64, u64)], log: LogShape, expected: Standing| {
            assert_eq!(
                token(entries).standing(ShardId(1), &log),
                expected,
                "{entries:?} {log:?}"
            );
        };
        check(&[], log(&[], 0), Standing::Serves);
        check(&[(2, 9, 900)], log(&[(1, 0)], 80), Standing::Serves);
        check(&[(1, 1, 80)], log(&[(1, 0)], 80), Standing::Serves);
        check(&[(1, 1, 88)], log(&[(1, 0)], 80), Standing::Behind);
        check(&[(1, 2, 88)], log(&[(1, 0)], 80), Standing::Behind);
        check(&[(1, 1, 80)], log(&[(1, 0), (3, 80)], 160), Standing::Serves);
        // Longer than the token asks for, and still without the write: epoch 3 began below it.
        let lost = Standing::Lost {
            epoch: Epoch(1),
            end: Lsn(88),
        };
        check(&[(1, 1, 88)], log(&[(1, 0), (3, 80)], 160), lost);
        let lost = Standing::Lost {
            epoch: Epoch(2),
            end: Lsn(88),
        };
        check(&[(1, 2, 88)], log(&[(1, 0), (3, 80)], 160), lost);
        // One write lost weighs more than another still to come.
        check(&[(1, 2, 88), (1, 4, 300)], log(&[(1, 0), (3, 80)], 160), lost);
    }

    #[test]
    fn the_text_is_that_of_the_format_page() {
        let text = "41544b4e01000000090909090909090909090909090909090200000001000000020000000000000\
                    040000000000000000200000001000000000000000800000000000000";
        let token = token(&[(1, 2, 64), (2, 1, 8)]).to_string();
        assert_eq!(token[..token.len() - 8], *text);
    }

    #[test]
    fn tokens_of_two_clusters_do_not_mix() {
        let mut ours = token(&[(1, 1, 8)]);
        let theirs = Token::of_write(Uuid([1; 16]), ShardId(1), Epoch(1), Lsn(8));
        assert!(matches!(ours.merge(&theirs), Err(ReplicationError::ForeignToken)));
    }

    #[test]
    fn a_merged_token_keeps_a_bounded_number_of_epochs() {
        let entries: Vec<(u32, u64, u64)> = (1..100).map(|epoch| (1, epoch, epoch * 10)).collect();
        let token = token(&entries);
        let kept: Vec<u64> = token.of_shard(ShardId(1)).map(|(epoch, _)| epoch.0).collect();
        assert_eq!(kept, (92..100).collect::<Vec<u64>>());
    }

    #[test]
    fn no_damaged_token_is_believed() {
        let good = token(&[(1, 1, 8), (1, 2, 16), (7, 1, 99)]).to_bytes();
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(Token::from_bytes(&bad).is_err(), "bit {bit}");
        }
        for len in 0..good.len() {
            assert!(Token::from_bytes(&good[..len]).is_err(), "length {len}");
        }
        for text in ["", "zz", "41544b4", "ATKN"] {
            assert!(text.parse::<Token>().is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn bytes_and_text_come_back_as_they_went(
            entries in proptest::collection::vec((0u32..5, 0u64..5, any::<u64>()), 0..20),
        ) {
            let token = token(&entries);
            prop_assert_eq!(&Token::from_bytes(&token.to_bytes()).unwrap(), &token);
            prop_assert_eq!(&token.to_string().parse::<Token>().unwrap(), &token);
        }

        #[test]
        fn merging_commutes_and_repeats_harmlessly(
            a in proptest::collection::vec((0u32..4, 0u64..20, 0u64..9), 0..20),
            b in proptest::collection::vec((0u32..4, 0u64..20, 0u64..9), 0..20),
        ) {
            let (a, b) = (token(&a), token(&b));
            let (mut ab, mut ba) = (a.clone(), b.clone());
            ab.merge(&b).unwrap();
            ba.merge(&a).unwrap();
            prop_assert_eq!(ab.positions.clone(), ba.positions.clone());
            ba.merge(&ab).unwrap();
            prop_assert_eq!(ab, ba);
        }

        #[test]
        fn arbitrary_bytes_are_refused_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = Token::from_bytes(&bytes);
        }
    }
}
