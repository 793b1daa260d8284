//! Figures by name, and what is made of several rounds of them.
//!
//! In: the figures of one engine in one round of one row. Out: medians. A figure that was not measured
//! is absent, never zero.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Named figures of one measurement: rates per second, times in nanoseconds, sizes in bytes.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Figures(pub BTreeMap<String, f64>);

impl Figures {
    /// One figure.
    #[must_use]
    pub fn one(name: &str, value: f64) -> Figures {
        let mut figures = Figures::default();
        figures.set(name, value);
        figures
    }

    /// Sets a figure.
    pub fn set(&mut self, name: &str, value: f64) {
        self.0.insert(name.to_owned(), value);
    }

    /// The figure, if it was measured.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<f64> {
        self.0.get(name).copied()
    }
}

/// All rounds of all rows: row, engine, rounds.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Results {
    rows: BTreeMap<String, BTreeMap<String, Vec<Figures>>>,
    /// What went wrong, where: an engine that could not be measured is said to be so.
    pub failures: Vec<String>,
}

impl Results {
    /// Adds a round.
    pub fn add(&mut self, row: &str, engine: &str, figures: Figures) {
        let engines = self.rows.entry(row.to_owned()).or_default();
        engines.entry(engine.to_owned()).or_default().push(figures);
    }

    /// The median over all rounds.
    #[must_use]
    pub fn median(&self, row: &str, engine: &str, figure: &str) -> Option<f64> {
        let rounds = self.rows.get(row)?.get(engine)?;
        median(rounds.iter().filter_map(|round| round.get(figure)).collect())
    }

    /// The median of a figure over everything that was measured.
    #[must_use]
    pub fn overall(&self, figure: &str) -> Option<f64> {
        let rounds = self.rows.values().flat_map(BTreeMap::values).flatten();
        median(rounds.filter_map(|round| round.get(figure)).collect())
    }

    /// The lowest and the highest round.
    #[must_use]
    pub fn range(&self, row: &str, engine: &str, figure: &str) -> Option<(f64, f64)> {
        let rounds = self.rows.get(row)?.get(engine)?;
        let all = || rounds.iter().filter_map(|round| round.get(figure));
        Some((all().reduce(f64::min)?, all().reduce(f64::max)?))
    }
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        len if len % 2 == 1 => Some(values[middle]),
        _ => Some((values[middle - 1] + values[middle]) / 2.0),
    }
}

#[cfg(test)]
mod tests {
    use super::{Figures, Results};

    #[test]
    fn medians_leave_out_what_was_not_measured() {
        let mut results = Results::default();
        for rate in [3.0, 1.0, 8.0, 4.0] {
            results.add("get", "a", Figures::one("rate", rate));
        }
        results.add("get", "a", Figures::one("other", 9.0));
        assert_eq!(results.median("get", "a", "rate"), Some(3.5));
        assert_eq!(results.range("get", "a", "rate"), Some((1.0, 8.0)));
        assert_eq!(results.median("get", "b", "rate"), None);
        assert_eq!(results.median("get", "a", "none"), None);
    }
}
