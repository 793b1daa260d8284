//! The total order of `max` and `min`: JSON numbers by exact value, then everything else by bytes.
//!
//! Must never go through floating point: 2^53 + 1 is larger than 2^53.

use std::cmp::Ordering;

/// A decimal: 0.d1d2d3… × 10^exponent, without zeros at either end.
struct Decimal<'a> {
    negative: bool,
    exponent: i64,
    whole: &'a [u8],
    fraction: &'a [u8],
}

impl Decimal<'_> {
    fn digits(&self) -> impl Iterator<Item = u8> {
        self.whole.iter().chain(self.fraction).copied()
    }
}

fn is_digits(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(u8::is_ascii_digit)
}

fn parse(text: &[u8]) -> Option<Decimal<'_>> {
    let (negative, text) = match text {
        [b'-', rest @ ..] => (true, rest),
        _ => (false, text),
    };
    let (mantissa, power) = match text.iter().position(|byte| matches!(byte, b'e' | b'E')) {
        None => (text, 0),
        Some(at) => {
            let power = &text[at + 1..];
            let digits = power
                .strip_prefix(b"+")
                .or(power.strip_prefix(b"-"))
                .unwrap_or(power);
            // A longer exponent than this is no number anybody stores; it sorts by its bytes.
            if !is_digits(digits) || digits.len() > 9 {
                return None;
            }
            (&text[..at], std::str::from_utf8(power).ok()?.parse::<i64>().ok()?)
        }
    };
    let (mut whole, mut fraction) = match mantissa.iter().position(|byte| *byte == b'.') {
        None => (mantissa, &mantissa[..0]),
        Some(at) if is_digits(&mantissa[at + 1..]) => (&mantissa[..at], &mantissa[at + 1..]),
        Some(_) => return None,
    };
    if !is_digits(whole) || (whole.len() > 1 && whole[0] == b'0') {
        return None;
    }
    if whole == b"0" {
        whole = &whole[..0];
    }
    let mut exponent = power + whole.len() as i64;
    while let [rest @ .., b'0'] = fraction {
        fraction = rest;
    }
    if fraction.is_empty() {
        while let [rest @ .., b'0'] = whole {
            whole = rest;
        }
    }
    if whole.is_empty() {
        while let [b'0', rest @ ..] = fraction {
            (fraction, exponent) = (rest, exponent - 1);
        }
    }
    Some(Decimal {
        negative,
        exponent,
        whole,
        fraction,
    })
}

fn compare_numbers(a: &Decimal<'_>, b: &Decimal<'_>) -> Ordering {
    let sign = |n: &Decimal<'_>| match (n.digits().next(), n.negative) {
        (None, _) => 0,
        (Some(_), false) => 1,
        (Some(_), true) => -1,
    };
    let size = || {
        a.exponent
            .cmp(&b.exponent)
            .then_with(|| a.digits().cmp(b.digits()))
    };
    sign(a).cmp(&sign(b)).then_with(|| match sign(a) {
        0 => Ordering::Equal,
        1 => size(),
        _ => size().reverse(),
    })
}

pub(super) fn compare(a: &[u8], b: &[u8]) -> Ordering {
    match (parse(a), parse(b)) {
        // Two spellings of one number still need one winner.
        (Some(x), Some(y)) => compare_numbers(&x, &y).then_with(|| a.cmp(b)),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => a.cmp(b),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_ordered_exactly_and_stand_below_the_rest() {
        let rising: [&str; 19] = [
            "-1e300",
            "-10",
            "-9.5",
            "-9",
            "-0.001",
            "-0",
            "0",
            "0.0",
            "0.0009",
            "1e-3",
            "0.01",
            "1",
            "1.0",
            "9",
            "10",
            "9007199254740992",
            "9007199254740993",
            "1e17",
            "1e999999999",
        ];
        for (i, a) in rising.iter().enumerate() {
            for (j, b) in rising.iter().enumerate() {
                assert_eq!(compare(a.as_bytes(), b.as_bytes()), i.cmp(&j), "{a} {b}");
            }
        }
        for other in [
            "",
            "01",
            "1.",
            ".5",
            "+1",
            "1e",
            "1e+-2",
            "--1",
            "a",
            "1e9999999999",
        ] {
            assert_eq!(compare(b"1e999", other.as_bytes()), Ordering::Less, "{other}");
        }
    }
}
