//! What figures count, and how they are shown.
//!
//! In: a figure. Out: text with its unit, three digits long where that is enough.

/// What a figure counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// Operations a second; more is better.
    PerSecond,
    /// Nanoseconds; fewer are better, as of everything below.
    Nanoseconds,
    /// Seconds.
    Seconds,
    /// Bytes.
    Bytes,
    /// Bytes for each byte of keys and values.
    PerUserByte,
    /// Things.
    Count,
}

impl Unit {
    /// Whether more is better.
    #[must_use]
    pub fn more_is_better(self) -> bool {
        self == Unit::PerSecond
    }

    /// A figure for people.
    #[must_use]
    pub fn show(self, value: f64) -> String {
        match self {
            Unit::PerSecond => format!("{}/s", short(value)),
            Unit::Nanoseconds => show_time(value),
            Unit::Seconds => show_time(value * 1e9),
            Unit::Bytes => format!("{:.1} MiB", value / f64::from(1 << 20)),
            Unit::PerUserByte => format!("{value:.2}"),
            Unit::Count => format!("{value:.0}"),
        }
    }
}

/// With three digits and a letter for thousands or millions.
fn short(value: f64) -> String {
    match value {
        v if v >= 1e7 => format!("{:.1} M", v / 1e6),
        v if v >= 1e6 => format!("{:.2} M", v / 1e6),
        v if v >= 1e5 => format!("{:.0} k", v / 1e3),
        v if v >= 1e4 => format!("{:.1} k", v / 1e3),
        v if v >= 1e3 => format!("{:.2} k", v / 1e3),
        v => format!("{v:.0}"),
    }
}

fn show_time(nanoseconds: f64) -> String {
    match nanoseconds {
        n if n >= 1e9 => format!("{:.2} s", n / 1e9),
        n if n >= 1e7 => format!("{:.0} ms", n / 1e6),
        n if n >= 1e6 => format!("{:.2} ms", n / 1e6),
        n if n >= 1e4 => format!("{:.0} µs", n / 1e3),
        n if n >= 1e3 => format!("{:.2} µs", n / 1e3),
        n => format!("{n:.0} ns"),
    }
}
