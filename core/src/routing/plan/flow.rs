//! Amounts that satisfy everybody: a small transport problem.
//!
//! Sources with supplies, sinks with demands and the edges between them come in; the amount on every
//! edge goes out. A greedy pass that fills whole demands from few edges keeps the number of moves
//! small; augmenting paths (Ford and Fulkerson 1956) then satisfy what greed left open. Edges,
//! sources and sinks are taken in order, so the answer is deterministic.

use std::collections::VecDeque;

/// Something may go from a source to a sink.
#[derive(Clone, Copy, Debug)]
pub(super) struct Edge {
    pub(super) source: usize,
    pub(super) sink: usize,
    /// Edges of a lower cost are used first: 0 where the target exists, 1 where it must be made.
    pub(super) cost: u8,
}

/// How much goes over each edge; as much of the demands is met as the supplies allow.
pub(super) fn solve(supplies: &[u64], demands: &[u64], edges: &[Edge]) -> Vec<u64> {
    let mut state = State {
        left: supplies.to_vec(),
        open: demands.to_vec(),
        flow: vec![0; edges.len()],
        by_sink: group(edges, demands.len(), |edge| edge.sink),
        by_source: group(edges, supplies.len(), |edge| edge.source),
        edges,
    };
    state.fill_greedily();
    for sink in 0..demands.len() {
        while state.open[sink] > 0 && state.augment(sink) {}
    }
    state.flow
}

fn group(edges: &[Edge], groups: usize, by: impl Fn(&Edge) -> usize) -> Vec<Vec<usize>> {
    let mut grouped = vec![Vec::new(); groups];
    edges
        .iter()
        .enumerate()
        .for_each(|(index, edge)| grouped[by(edge)].push(index));
    grouped
}

struct State<'e> {
    edges: &'e [Edge],
    by_sink: Vec<Vec<usize>>,
    by_source: Vec<Vec<usize>>,
    /// Supply not yet used.
    left: Vec<u64>,
    /// Demand not yet met.
    open: Vec<u64>,
    flow: Vec<u64>,
}

impl State<'_> {
    /// The largest demands first, each from its cheapest and then best filled source.
    fn fill_greedily(&mut self) {
        let mut sinks: Vec<usize> = (0..self.open.len()).collect();
        sinks.sort_by_key(|&sink| std::cmp::Reverse(self.open[sink]));
        for sink in sinks {
            while self.open[sink] > 0 {
                let open = self.open[sink];
                let best = self.by_sink[sink]
                    .iter()
                    .copied()
                    .filter(|&edge| self.left_at(edge) > 0);
                // A source that fits exactly is used up and needs no further move.
                let rank = |&edge: &usize| {
                    let left = self.left_at(edge);
                    (self.edges[edge].cost, left != open, std::cmp::Reverse(left))
                };
                let Some(edge) = best.min_by_key(rank) else {
                    break;
                };
                let amount = open.min(self.left_at(edge));
                self.flow[edge] += amount;
                self.left[self.edges[edge].source] -= amount;
                self.open[sink] -= amount;
            }
        }
    }

    fn left_at(&self, edge: usize) -> u64 {
        self.left[self.edges[edge].source]
    }

    /// Meets some of an open demand by letting other sinks change to sources with supply left;
    /// returns whether that was possible. Breadth first, so paths are short and the search ends.
    fn augment(&mut self, sink: usize) -> bool {
        // How a sink was reached: it gives up an edge so that the edge's source can serve another.
        let mut reached: Vec<Option<(usize, usize)>> = vec![None; self.open.len()];
        let mut seen_sink = vec![false; self.open.len()];
        let mut seen_source = vec![false; self.left.len()];
        let mut queue = VecDeque::from([sink]);
        seen_sink[sink] = true;
        while let Some(at) = queue.pop_front() {
            for &edge in &self.by_sink[at] {
                let source = self.edges[edge].source;
                if std::mem::replace(&mut seen_source[source], true) {
                    continue;
                }
                if self.left[source] > 0 {
                    self.shift(sink, edge, &reached);
                    return true;
                }
                for &other in self.by_source[source]
                    .iter()
                    .filter(|&&other| self.flow[other] > 0)
                {
                    let other_sink = self.edges[other].sink;
                    if !std::mem::replace(&mut seen_sink[other_sink], true) {
                        reached[other_sink] = Some((other, edge));
                        queue.push_back(other_sink);
                    }
                }
            }
        }
        false
    }

    /// Adds flow over `last` and along the path by which its sink was reached.
    fn shift(&mut self, sink: usize, last: usize, reached: &[Option<(usize, usize)>]) {
        let mut steps = Vec::new();
        let mut at = self.edges[last].sink;
        while let Some((given_up, taken)) = reached[at] {
            steps.push((given_up, taken));
            at = self.edges[taken].sink;
        }
        let mut amount = self.left[self.edges[last].source].min(self.open[sink]);
        for &(given_up, _) in &steps {
            amount = amount.min(self.flow[given_up]);
        }
        self.left[self.edges[last].source] -= amount;
        self.flow[last] += amount;
        for (given_up, taken) in steps {
            self.flow[given_up] -= amount;
            self.flow[taken] += amount;
        }
        self.open[sink] -= amount;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edge(source: usize, sink: usize) -> Edge {
        Edge {
            source,
            sink,
            cost: 1,
        }
    }

    #[test]
    fn what_greed_leaves_open_is_met_by_a_detour() {
        // Sink 0 takes all of source 0 first, but sink 1 can be served by nobody else.
        let edges = [edge(0, 0), edge(1, 0), edge(0, 1)];
        assert_eq!(solve(&[10, 7], &[8, 6], &edges), [4, 4, 6]);
    }

    #[test]
    fn impossible_demands_stay_open() {
        assert_eq!(solve(&[3], &[5, 5], &[edge(0, 1)]), [3]);
        assert!(solve(&[3], &[5], &[]).is_empty());
    }

    #[test]
    fn existing_targets_are_used_first() {
        let edges = [
            edge(0, 0),
            Edge {
                source: 1,
                sink: 0,
                cost: 0,
            },
        ];
        assert_eq!(solve(&[9, 4], &[6], &edges), [2, 4]);
    }
}
