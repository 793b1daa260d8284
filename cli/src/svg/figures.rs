//! Figures as text, and texts that fit the room they have.

use super::NodeLoad;

/// Fullest node against what it should hold, and the words that go under the figure.
///
/// With equal ideals this is maximum over mean. Before the first key the slots or ranges (`unit`)
/// themselves are compared.
pub(super) fn load_ratio(nodes: &[NodeLoad], unit: &str) -> (String, String) {
    let ideal = |n: &NodeLoad| sane(n.ideal);
    let weighted = nodes
        .windows(2)
        .any(|w| (ideal(&w[0]) - ideal(&w[1])).abs() > 1e-9);
    let slots: f64 = nodes.iter().map(|n| f64::from(n.primary_slots)).sum();
    let by_keys = nodes.iter().any(|n| sane(n.share) > 0.0);
    let ratio = nodes
        .iter()
        .filter(|n| ideal(n) > 0.0)
        .map(|n| if by_keys { sane(n.share) } else { f64::from(n.primary_slots) / slots.max(1.0) } / ideal(n))
        .fold(0.0, f64::max);
    let what = if by_keys { "load" } else { unit };
    let words = if weighted {
        format!("max {what} / ideal")
    } else {
        format!("max / mean {what}")
    };
    (
        if ratio > 0.0 {
            format!("{ratio:.2}")
        } else {
            "–".to_owned()
        },
        words,
    )
}

/// A share that can be drawn: callers divide by totals, and 0 / 0 must not reach the document.
pub(super) fn sane(share: f64) -> f64 {
    if share.is_finite() {
        share.clamp(0.0, 1.0)
    } else {
        0.0
    }
}

pub(super) fn percent(share: f64) -> String {
    format!("{:.1}%", sane(share) * 100.0)
}

pub(super) fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Keys in full as long as the column holds them, in millions and then in millions of millions beyond.
pub(super) fn key_count(n: u64) -> String {
    match n {
        0..1_000_000_000 => thousands(n),
        1_000_000_000..10_000_000_000_000 => format!("{} M", thousands(n / 1_000_000)),
        _ => format!("{} T", thousands(n / 1_000_000_000_000)),
    }
}

pub(super) fn byte_size(n: u64) -> String {
    const UNITS: [&str; 6] = ["KiB", "MiB", "GiB", "TiB", "PiB", "EiB"];
    if n < 1024 {
        return format!("{n} B");
    }
    let mut size = n as f64 / 1024.0;
    let mut unit = 0;
    // Rounding comes first, so that a hair under one MiB does not print as 1024.0 KiB.
    while (size * 10.0).round() / 10.0 >= 1024.0 && unit + 1 < UNITS.len() {
        size /= 1024.0;
        unit += 1;
    }
    format!("{size:.1} {}", UNITS[unit])
}

pub(super) fn label_room(shard: u32) -> f64 {
    10.0 + 9.0 * shard.to_string().len() as f64
}

/// Width of a character in units of the font size. The viewer's font is unknown, so this errs wide:
/// ideographs and Hangul fill a square, most other scripts stay under two thirds of one.
pub(super) fn char_width(c: char) -> f64 {
    match c {
        'i' | 'j' | 'l' | 'I' | '.' | ',' | ':' | ';' | '|' | '\'' | ' ' => 0.36,
        'm' | 'w' | 'M' | 'W' | '@' | '%' | '&' => 0.98,
        '\u{1100}'.. => 1.02,
        _ => 0.65,
    }
}

pub(super) fn text_width(text: &str, size: f64) -> f64 {
    text.chars().map(char_width).sum::<f64>() * size
}

/// `text` if it fits into `room`, else its beginning and an ellipsis.
pub(super) fn shorten(text: &str, size: f64, room: f64) -> String {
    if text_width(text, size) <= room {
        return text.to_owned();
    }
    let kept = prefix(text.chars(), size, room - size);
    kept + "…"
}

/// Like [`shorten`], but keeps both ends: the names of one cluster mostly differ in their last letters.
pub(super) fn shorten_middle(text: &str, size: f64, room: f64) -> String {
    if text_width(text, size) <= room {
        return text.to_owned();
    }
    let head = prefix(text.chars(), size, (room - size) * 0.55);
    let tail = prefix(text.chars().rev(), size, (room - size) * 0.45);
    head + "…" + &tail.chars().rev().collect::<String>()
}

pub(super) fn prefix(text: impl Iterator<Item = char>, size: f64, room: f64) -> String {
    let mut used = 0.0;
    text.take_while(|&c| {
        used += char_width(c) * size;
        used <= room
    })
    .collect()
}

/// Makes `text` safe between tags and in attributes.
///
/// Characters XML 1.0 forbids become U+FFFD, and so do those that reorder text, since a split key is
/// whatever bytes a user chose.
pub(super) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\t' | '\n' | '\r' => out.push(' '),
            '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {
                out.push('\u{fffd}');
            }
            '\u{fffe}' | '\u{ffff}' => out.push('\u{fffd}'),
            c if c.is_control() => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}
