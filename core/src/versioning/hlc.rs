//! The hybrid logical clock: stamps that order what no cause orders.
//!
//! In: the wall clock in milliseconds, handed in by the caller, and stamps of peers. Out: stamps that
//! never go back, the mark to persist before they are used, and quarantine for stamps too far ahead.
//! Must never fold a stamp beyond the bound into the local clock: one bad clock would then win for ever.
//!
//! Source: Kulkarni et al., "Logical Physical Clocks", 2014. A stamp packs into the `u64` of
//! [`Hlc`]: 48 bits of milliseconds, 16 bits of counter, so numeric order is time order.

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

use crate::ids::Hlc;
use crate::versioning::bytes::{Reader, put_slice};
use crate::versioning::error::VersionError;
use crate::versioning::vector_clock::{check_name, name_fault};

/// How far ahead of the local wall clock a peer's stamp may be, in milliseconds, unless configured.
pub const DEFAULT_MAX_SKEW_MS: u64 = 500;
/// How far ahead the persisted mark is put, in milliseconds, unless configured. Below the skew bound,
/// because a reopened clock starts at the mark and its peers must still accept its stamps.
pub const DEFAULT_RESERVE_MS: u64 = 200;

const MAX_WALL_MS: u64 = (1 << 48) - 1;
const DAY_MS: u64 = 86_400_000;
const WHAT: &str = "stamp such as 2026-11-23T02:00:00.123Z/0007@node";
const FORMAT: u8 = 1;

/// A stamp for a local event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tick {
    /// Larger than every stamp this clock has given or observed.
    pub stamp: Hlc,
    /// If present: a new high-water mark, to be made durable **before** the stamp leaves the process.
    pub persist: Option<Hlc>,
    /// Milliseconds by which the stamp is ahead of the wall clock handed in: 0 in health. Above the skew
    /// bound, peers will quarantine what carries it; the wall clock has been set back.
    pub ahead_ms: u64,
}

/// What became of a peer's stamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Received {
    /// Within the bound; the clock is at or above it now. A mark to persist as in [`Tick::persist`].
    Accepted {
        /// New high-water mark, if one is due.
        persist: Option<Hlc>,
    },
    /// Too far ahead: the clock is untouched, the record is to be set aside and an alert raised.
    Quarantined {
        /// The stamp.
        stamp: Hlc,
        /// By how much it is ahead of the local wall clock, in milliseconds.
        ahead_ms: u64,
        /// What would have been accepted, in milliseconds.
        max_skew_ms: u64,
    },
}

/// One node's clock. Not shared between threads: put it under the lock that orders the writes.
///
/// ```
/// use atoll::versioning::{Hlc, HybridClock, Received};
/// let mut clock = HybridClock::new();
/// let first = clock.send(1_000)?;
/// let mark = first.persist.expect("the first stamp needs a mark");
/// // The wall clock goes back; stamps do not.
/// assert!(clock.send(400)?.stamp > first.stamp);
/// // A peer ten seconds ahead is set aside.
/// assert!(matches!(clock.observe(1_000, Hlc(11_000 << 16)), Received::Quarantined { ahead_ms: 10_000, .. }));
/// // After a crash, the clock goes on above everything it may have given.
/// assert!(HybridClock::reopen(mark).send(0)?.stamp > mark);
/// # Ok::<(), atoll::versioning::VersionError>(())
/// ```
#[derive(Clone, Debug)]
pub struct HybridClock {
    last: Hlc,
    /// Persisted by the caller; no stamp above it has been given.
    mark: Hlc,
    max_skew_ms: u64,
    reserve_ms: u64,
}

impl Default for HybridClock {
    fn default() -> HybridClock {
        HybridClock::new()
    }
}

impl HybridClock {
    /// The clock of a node that has never run.
    #[must_use]
    pub fn new() -> HybridClock {
        HybridClock::reopen(Hlc::ZERO)
    }

    /// The clock of a node that persisted `mark`: every stamp from now on is above it.
    #[must_use]
    pub fn reopen(mark: Hlc) -> HybridClock {
        HybridClock {
            last: mark,
            mark,
            max_skew_ms: DEFAULT_MAX_SKEW_MS,
            reserve_ms: DEFAULT_RESERVE_MS,
        }
    }

    /// The same clock with other bounds, in milliseconds.
    ///
    /// # Errors
    /// [`VersionError::BadClockBounds`] unless `reserve_ms` is below `max_skew_ms`.
    pub fn with_bounds(self, max_skew_ms: u64, reserve_ms: u64) -> Result<HybridClock, VersionError> {
        if reserve_ms >= max_skew_ms {
            return Err(VersionError::BadClockBounds {
                reserve_ms,
                skew_ms: max_skew_ms,
            });
        }
        Ok(HybridClock {
            max_skew_ms,
            reserve_ms,
            ..self
        })
    }

    /// The last stamp given or observed.
    #[must_use]
    pub fn last(&self) -> Hlc {
        self.last
    }

    /// The mark that must be durable by now.
    #[must_use]
    pub fn mark(&self) -> Hlc {
        self.mark
    }

    /// Stamps a local event: the wall clock, or one step above the last stamp if that is not later.
    ///
    /// # Errors
    /// [`VersionError::WallClockRange`] beyond 48 bits, [`VersionError::ClockExhausted`] after the last
    /// stamp there is; the clock is unchanged.
    pub fn send(&mut self, wall_ms: u64) -> Result<Tick, VersionError> {
        let next = self.last.0.checked_add(1).ok_or(VersionError::ClockExhausted)?;
        let stamp = Hlc(next).max(pack(wall_ms, 0)?);
        self.last = stamp;
        Ok(Tick {
            stamp,
            persist: self.raise_mark(),
            ahead_ms: stamp.wall_ms().saturating_sub(wall_ms),
        })
    }

    /// Joins a peer's stamp: later local stamps will be above it. Versions keep the stamp they came with.
    pub fn observe(&mut self, wall_ms: u64, stamp: Hlc) -> Received {
        let ahead_ms = stamp.wall_ms().saturating_sub(wall_ms);
        // What the clock has passed already is no news, however far the wall clock has been set back.
        if ahead_ms > self.max_skew_ms && stamp > self.last {
            return Received::Quarantined {
                stamp,
                ahead_ms,
                max_skew_ms: self.max_skew_ms,
            };
        }
        self.last = self.last.max(stamp);
        Received::Accepted {
            persist: self.raise_mark(),
        }
    }

    /// The paper's receive rule: joins a peer's stamp and stamps the receipt itself, above both.
    ///
    /// # Errors
    /// As [`HybridClock::send`]. A quarantined stamp comes back as the inner `Err`, the clock untouched.
    pub fn receive(&mut self, wall_ms: u64, stamp: Hlc) -> Result<Result<Tick, Received>, VersionError> {
        let before = self.clone();
        let observed = self.observe(wall_ms, stamp);
        let Received::Accepted { persist } = observed else {
            return Ok(Err(observed));
        };
        match self.send(wall_ms) {
            Ok(tick) => Ok(Ok(Tick {
                persist: tick.persist.or(persist),
                ..tick
            })),
            Err(error) => {
                *self = before;
                Err(error)
            }
        }
    }

    fn raise_mark(&mut self) -> Option<Hlc> {
        if self.last <= self.mark {
            return None;
        }
        self.mark = Hlc(self.last.0.saturating_add(self.reserve_ms << 16));
        Some(self.mark)
    }
}

/// The stamp of `wall_ms` since 1970 and a counter within that millisecond.
///
/// # Errors
/// [`VersionError::WallClockRange`] if the milliseconds need more than 48 bits.
pub fn pack(wall_ms: u64, counter: u16) -> Result<Hlc, VersionError> {
    if wall_ms > MAX_WALL_MS {
        return Err(VersionError::WallClockRange { wall_ms });
    }
    Ok(Hlc(wall_ms << 16 | u64::from(counter)))
}

/// A stamp and the node that gave it, as people see it: `2026-11-23T02:00:00.123Z/0007@node`.
///
/// UTC with milliseconds, the counter as four lower-case hexadecimal digits. Ordered by time, then by the
/// bytes of the name. (Under `lww`, of two equal times the **lower** node wins.)
///
/// ```
/// use atoll::versioning::HlcStamp;
/// let stamp: HlcStamp = "2026-11-23T02:00:00.123Z/0007@node".parse()?;
/// assert_eq!((stamp.hlc().wall_ms(), stamp.hlc().counter()), (1_795_399_200_123, 7));
/// assert_eq!(stamp.to_string(), "2026-11-23T02:00:00.123Z/0007@node");
/// # Ok::<(), atoll::versioning::VersionError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HlcStamp {
    hlc: Hlc,
    node: Box<str>,
}

impl HlcStamp {
    /// A stamp of `node`.
    ///
    /// # Errors
    /// [`VersionError::BadNodeName`]: names are as in a vector clock.
    pub fn new(hlc: Hlc, node: &str) -> Result<HlcStamp, VersionError> {
        check_name(node)?;
        Ok(HlcStamp {
            hlc,
            node: Box::from(node),
        })
    }

    /// The packed stamp.
    #[must_use]
    pub fn hlc(&self) -> Hlc {
        self.hlc
    }

    /// The node's name.
    #[must_use]
    pub fn node(&self) -> &str {
        &self.node
    }

    /// The one byte form of this stamp.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(11 + self.node.len());
        out.push(FORMAT);
        out.extend_from_slice(&self.hlc.0.to_le_bytes());
        put_slice(&mut out, self.node.as_bytes());
        out
    }

    /// Reads the byte form.
    ///
    /// # Errors
    /// [`VersionError::BadBytes`] for anything but the one form of a stamp.
    pub fn from_bytes(bytes: &[u8]) -> Result<HlcStamp, VersionError> {
        let (hlc, node) = decode(bytes)?;
        Ok(HlcStamp {
            hlc,
            node: Box::from(node),
        })
    }

    /// Orders two stamps in their byte form as [`Ord`] does, without allocating. Both are checked to their
    /// last byte.
    ///
    /// # Errors
    /// [`VersionError::BadBytes`] if either is not the byte form of a stamp.
    pub fn compare_encoded(left: &[u8], right: &[u8]) -> Result<Ordering, VersionError> {
        Ok(decode(left)?.cmp(&decode(right)?))
    }
}

fn decode(bytes: &[u8]) -> Result<(Hlc, &str), VersionError> {
    let mut reader = Reader::new(bytes, "stamp");
    reader.format(FORMAT)?;
    let hlc = Hlc(u64::from_le_bytes(reader.array()?));
    let node = std::str::from_utf8(reader.slice()?).map_err(|_| reader.bad("name is not UTF-8"))?;
    if name_fault(node).is_some() {
        return Err(reader.bad("bad node name"));
    }
    reader.end()?;
    Ok((hlc, node))
}

impl fmt::Display for HlcStamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = self.hlc.wall_ms();
        let (year, month, day) = date_of(ms / DAY_MS);
        let (s, milli) = (ms % DAY_MS / 1000, ms % 1000);
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{milli:03}Z/{:04x}@{}",
            s / 3600,
            s / 60 % 60,
            s % 60,
            self.hlc.counter(),
            self.node
        )
    }
}

impl FromStr for HlcStamp {
    type Err = VersionError;

    /// Reads the text form, and nothing else: no other zone, precision or case.
    ///
    /// # Errors
    /// [`VersionError::BadText`] naming the part that is wrong and the byte where it begins,
    /// [`VersionError::WallClockRange`].
    fn from_str(text: &str) -> Result<HlcStamp, VersionError> {
        // `part` is a slice of `text`: its place in it is the difference of their addresses.
        let bad = |reason: &str, part: &str| VersionError::BadText {
            what: WHAT,
            reason: format!(
                "{reason} at byte {}",
                part.as_ptr() as usize - text.as_ptr() as usize
            ),
        };
        let (time, node) = text.split_once('@').ok_or_else(|| bad("no @node", after(text)))?;
        let (time, counter) = time
            .split_once('/')
            .ok_or_else(|| bad("no /counter", after(time)))?;
        let time = time
            .strip_suffix('Z')
            .ok_or_else(|| bad("the time must end in Z (UTC)", after(time)))?;
        let (date, clock) = time
            .split_once('T')
            .ok_or_else(|| bad("no T between date and time", time))?;
        if counter.len() != 4 || !counter.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')) {
            return Err(bad(
                "the counter must be four lower-case hexadecimal digits",
                counter,
            ));
        }
        let counter_value = u16::from_str_radix(counter, 16).map_err(|_| bad("bad counter", counter))?;

        let (year_text, rest) = date.split_once('-').ok_or_else(|| bad("no month", after(date)))?;
        let year = match year_text.len() {
            5 if !year_text.starts_with('0') => number(year_text, 5),
            _ => number(year_text, 4),
        };
        let day_of_year = rest
            .split_once('-')
            .and_then(|(m, d)| Some((number(m, 2)?, number(d, 2)?)));
        let (Some(year), Some((month, day))) = (year, day_of_year) else {
            return Err(bad("the date must be YYYY-MM-DD", date));
        };
        if year < 1970 {
            return Err(bad("the year is before 1970", date));
        }
        if !(1..=12).contains(&month) || day < 1 || day > days_in(year, month) {
            return Err(bad("there is no such day", rest));
        }
        let time = clock.split_once('.').and_then(|(hms, milli)| {
            let mut parts = hms.split(':').map(|part| number(part, 2));
            let hms = (parts.next()??, parts.next()??, parts.next()??);
            parts.next().is_none().then_some((hms, number(milli, 3)?))
        });
        let Some(((hour, minute, second), milli)) = time else {
            return Err(bad("the time must be HH:MM:SS.mmm", clock));
        };
        if hour > 23 || minute > 59 || second > 59 {
            return Err(bad("there is no such time of day", clock));
        }
        if let Some(fault) = name_fault(node) {
            return Err(bad(&format!("bad node name: {fault}"), node));
        }
        let seconds = (hour * 60 + minute) * 60 + second;
        HlcStamp::new(
            pack(
                days_of(year, month, day) * DAY_MS + seconds * 1000 + milli,
                counter_value,
            )?,
            node,
        )
    }
}

/// What follows a text: nothing, in the place where something is missing.
fn after(text: &str) -> &str {
    &text[text.len()..]
}

fn number(text: &str, digits: usize) -> Option<u64> {
    (text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit()))
        .then(|| text.parse().ok())
        .flatten()
}

fn days_in(year: u64, month: u64) -> u64 {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        2 => 28 + u64::from(leap),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 to the first of January of `year`, in the Gregorian calendar.
fn days_before(year: u64) -> u64 {
    let years = year - 1;
    years * 365 + years / 4 - years / 100 + years / 400 - 719_162
}

fn days_of(year: u64, month: u64, day: u64) -> u64 {
    days_before(year) + (1..month).map(|month| days_in(year, month)).sum::<u64>() + day - 1
}

fn date_of(days: u64) -> (u64, u64, u64) {
    // Never too late: no year is longer than 366 days.
    let mut year = 1970 + days / 366;
    while days_before(year + 1) <= days {
        year += 1;
    }
    let (mut month, mut rest) = (1, days - days_before(year));
    while rest >= days_in(year, month) {
        rest -= days_in(year, month);
        month += 1;
    }
    (year, month, rest + 1)
}

#[cfg(test)]
mod tests;
