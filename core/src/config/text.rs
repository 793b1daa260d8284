//! Values of options as people write them.
//!
//! In: text. Out: numbers, bytes, times; and back, so that what is shown can be read again.

use std::time::Duration;

/// How a time is written that never comes.
pub const OFF: &str = "off";

const KIB: u64 = 1 << 10;

/// A whole number; `_` may part its digits.
///
/// # Errors
/// What would be right.
pub fn parse_number(text: &str) -> Result<u64, String> {
    let plain: String = text.trim().chars().filter(|c| *c != '_').collect();
    plain
        .parse()
        .map_err(|_| "a whole number is needed, as in 100".to_owned())
}

/// `64MiB`, `64 KiB`, `1048576`.
///
/// # Errors
/// What would be right.
pub fn parse_bytes(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor = match &text[digits.len()..] {
        "" | "B" => 1,
        "KiB" => KIB,
        "MiB" => KIB * KIB,
        "GiB" => KIB * KIB * KIB,
        _ => return Err("bytes are written as a number with nothing, KiB, MiB or GiB after it".to_owned()),
    };
    parse_number(digits)?
        .checked_mul(factor)
        .ok_or_else(|| "that is more than can be counted".to_owned())
}

/// Bytes in the largest unit that divides them.
#[must_use]
pub fn show_bytes(bytes: u64) -> String {
    for (unit, name) in [(KIB * KIB * KIB, "GiB"), (KIB * KIB, "MiB"), (KIB, "KiB")] {
        if bytes > 0 && bytes.is_multiple_of(unit) {
            return format!("{}{name}", bytes / unit);
        }
    }
    bytes.to_string()
}

/// `10s`, `1500ms`, `2.5h`.
///
/// # Errors
/// What would be right.
pub fn parse_time(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let seconds = match &text[digits.len()..] {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        _ => return Err("a time needs a unit: ms, s, m, h or d, as in 10s".to_owned()),
    };
    let number: f64 = digits
        .trim()
        .parse()
        .map_err(|_| format!("{digits:?} is not a number; write 10s or 2.5h"))?;
    Duration::try_from_secs_f64(number * seconds).map_err(|_| "that is no time that can be waited".to_owned())
}

/// A time in the largest unit that divides it.
#[must_use]
pub fn show_time(time: Duration) -> String {
    let ms = whole_ms(time);
    for (unit, name) in [(86_400_000, "d"), (3_600_000, "h"), (60_000, "m"), (1000, "s")] {
        if ms > 0 && ms.is_multiple_of(unit) {
            return format!("{}{name}", ms / unit);
        }
    }
    format!("{ms}ms")
}

/// Whole milliseconds.
#[must_use]
pub fn whole_ms(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// `true` or `false`.
pub(super) fn parse_flag(text: &str) -> Result<bool, String> {
    match text.trim() {
        "true" | "yes" | "on" => Ok(true),
        "false" | "no" | "off" => Ok(false),
        _ => Err("true or false is needed".to_owned()),
    }
}

/// One of the words of a choice.
pub(super) fn parse_choice<T: Copy>(text: &str, words: &[(&str, T)]) -> Result<T, String> {
    let found = words.iter().find(|(word, _)| *word == text.trim());
    found.map(|(_, value)| *value).ok_or_else(|| {
        let all: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        format!("it has to be one of {}", all.join(", "))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_and_times_are_read_as_written_and_shown_so_that_they_can_be_read() {
        let bytes = |text, expected: Option<u64>| assert_eq!(parse_bytes(text).ok(), expected, "{text:?}");
        bytes("0", Some(0));
        bytes("1_000", Some(1000));
        bytes("64MiB", Some(64 << 20));
        bytes(" 3 KiB ", Some(3072));
        bytes("1GB", None);
        bytes("-1", None);
        bytes("", None);
        bytes("99999999999GiB", None);
        let time = |text, expected: Option<u64>| {
            let found = parse_time(text).ok().map(whole_ms);
            assert_eq!(found, expected, "{text:?}");
        };
        time("10s", Some(10_000));
        time("2.5h", Some(9_000_000));
        time("1ms", Some(1));
        time("10", None);
        time("-1s", None);
        time("infs", None);
        time("s", None);
        for number in [0, 1, 999, 1000, 1024, 60_000, 1 << 20, 90_061_000, 5 << 30] {
            assert_eq!(parse_bytes(&show_bytes(number)), Ok(number));
            assert_eq!(
                parse_time(&show_time(Duration::from_millis(number))).map(whole_ms),
                Ok(number)
            );
        }
    }
}
