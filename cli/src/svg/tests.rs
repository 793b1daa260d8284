//! Well-formed documents whatever is drawn.

use super::band::place_labels;
use super::figures::{byte_size, key_count, shorten_middle, thousands};
use super::*;

fn node(name: &str, share: f64) -> NodeLoad {
    NodeLoad {
        name: name.to_owned(),
        up: true,
        primary_slots: 1024,
        copy_slots: 2048,
        keys: (share * 1e6) as u64,
        bytes: (share * 1e9) as u64,
        share,
        ideal: 0.25,
    }
}

fn ring(nodes: Vec<NodeLoad>, slots: u32, runs: u32, copies: usize) -> Picture {
    let n = nodes.len();
    let each = slots / runs;
    let owners = |run: u32| (0..copies).map(|c| (run as usize + c) % n).collect();
    let runs = (0..runs)
        .map(|r| Run {
            first_slot: r * each,
            slots: each,
            owners: owners(r),
            shard: r,
        })
        .collect();
    Picture {
        title: "t".into(),
        subtitle: "s".into(),
        layout: Layout::Ring { slots, runs },
        nodes,
    }
}

fn band(labels: &[&str], share: f64) -> Picture {
    let runs = labels
        .iter()
        .map(|l| BandRun {
            label: (*l).to_owned(),
            share,
            owners: vec![0, 1],
            shard: 7,
        })
        .collect();
    let nodes = vec![node("a", 0.5), node("b", 0.5)];
    Picture {
        title: "t".into(),
        subtitle: "s".into(),
        layout: Layout::Band { runs },
        nodes,
    }
}

/// Checks that tags balance, that no character is one XML forbids, and that no number is missing.
fn check(svg: &str) {
    assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    assert!(svg.chars().all(|c| c == '\n' || !c.is_control()));
    let mut open: Vec<&str> = Vec::new();
    let mut rest = svg
        .strip_prefix("<?xml version=\"1.0\" encoding=\"UTF-8\"?>")
        .unwrap();
    while let Some(at) = rest.find('<') {
        for amp in rest[..at].split('&').skip(1) {
            assert!(
                amp.starts_with(['a', 'l', 'g', 'q', '#']) && amp.contains(';'),
                "{amp}"
            );
        }
        let end = at + rest[at..].find('>').unwrap();
        let tag = &rest[at + 1..end];
        assert!(
            !tag.contains('<') && tag.matches('"').count().is_multiple_of(2),
            "{tag}"
        );
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name));
        } else if !tag.ends_with('/') {
            open.push(tag.split_whitespace().next().unwrap());
        }
        rest = &rest[end + 1..];
    }
    assert!(open.is_empty() && rest.trim().is_empty());
}

#[test]
fn documents_are_well_formed_at_every_size() {
    for (nodes, slots, runs, copies) in [
        (1, 4096, 1, 1),
        (4, 4096, 16, 3),
        (16, 4096, 400, 6),
        (40, 1000, 5, 2),
        (3, 1, 1, 3),
        (9, 7, 7, 9),
    ] {
        let nodes = (0..nodes).map(|i| node(&format!("node-{i}"), 0.1)).collect();
        check(&draw(&ring(nodes, slots, runs, copies)));
    }
    check(&draw(&band(&["", "f", "k"], 0.3)));
    check(&draw(&band(&["k"; 500], 0.002)));
    check(&draw(&band(&[], 0.0)));
}

#[test]
fn names_and_keys_are_escaped_and_lose_control_characters() {
    let mut picture = ring(vec![node("<&\">", 0.5), node("서울-노드", 0.5)], 4096, 2, 2);
    picture.title = "a\u{1b}[31m & b\u{202e}".into();
    let svg = draw(&picture);
    check(&svg);
    assert!(svg.contains("&lt;&amp;&quot;&gt;</text>") && svg.contains("서울-노드"));
    assert!(!svg.contains("<&") && !svg.contains('\u{202e}'));
    let svg = draw(&band(&["", "\u{0}\u{7f}\n</svg>", "키<"], 0.3));
    check(&svg);
    assert!(svg.contains("키&lt;"));
}

#[test]
fn a_run_of_all_slots_is_drawn_as_two_half_turns() {
    let svg = draw(&ring(vec![node("only", 1.0)], 4096, 1, 1));
    let path = svg.lines().find(|l| l.contains("primary on only")).unwrap();
    assert_eq!(path.matches('A').count(), 4, "{path}");
    // Start and end of each half differ, otherwise a viewer draws nothing.
    assert!(
        path.contains("M304.00 188.00A240.00 240.00 0 0 1 304.00 668.00"),
        "{path}"
    );
}

#[test]
fn an_empty_cluster_has_no_undefined_figures() {
    let mut picture = ring(vec![node("a", 0.0), node("b", f64::NAN)], 4096, 4, 2);
    let svg = draw(&picture);
    check(&svg);
    assert!(svg.contains("max / mean slots"));
    picture.nodes.clear();
    check(&draw(&picture));
    check(&draw(&band(&["", "m"], 0.0)));
}

#[test]
fn labels_of_split_keys_do_not_overlap() {
    let edges: Vec<f64> = (0..=300)
        .map(|i| MARGIN + (RIGHT - MARGIN) * f64::from(i) / 300.0)
        .collect();
    let Layout::Band { runs } = band(&["some-split-key"; 300], 1.0 / 300.0).layout else {
        unreachable!()
    };
    let placed = place_labels(&runs, &edges);
    assert!(placed.len() > 30);
    for (i, a) in placed.iter().enumerate() {
        for b in &placed[i + 1..] {
            assert!(a.level != b.level || a.span.1 <= b.span.0 || b.span.1 <= a.span.0);
        }
    }
}

#[test]
fn figures_read_well() {
    assert_eq!(thousands(1_234_567), "1,234,567");
    assert_eq!(thousands(999), "999");
    assert_eq!(key_count(u64::MAX), "18,446,744 T");
    assert_eq!(byte_size(1023), "1023 B");
    assert_eq!(byte_size(1_048_575), "1.0 MiB");
    assert_eq!(byte_size(3 << 29), "1.5 GiB");
    assert_eq!(
        shorten_middle("atoll-production-eu-west-07", 14.0, 110.0),
        "atoll-…t-07"
    );
}
