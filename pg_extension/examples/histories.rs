//! Prints an SQL script that replays random histories of documents through the extension's rules and
//! compares with what the engine's rules made of the same.
//!
//! In: how many histories. Out: SQL on standard output, which prints a line `ok ...` or `not ok ...`.
//! Must never: name writes as the extension does. The engine counts them by node here, so that a
//! difference in naming shows.

use atoll::versioning::resolve::fields;
use atoll::versioning::{Context, Dot, Hlc, HlcStamp, Outcome, Resolver, Version, resolver};

/// SplitMix64 (Steele, Lea, Flood 2014).
struct Random(u64);

impl Random {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % n
    }

    /// A document of few names, so that writers meet, in the spelling that PostgreSQL gives back.
    fn document(&mut self, depth: u64) -> String {
        let names = ["a", "b", "x/y", "~0", "섬"];
        let mut parts = Vec::new();
        for name in names {
            if self.below(2) == 0 {
                continue;
            }
            let value = match self.below(8) {
                0 if depth > 0 => self.document(depth - 1),
                1 if depth > 0 => self.document(depth - 1),
                2 => "{}".to_owned(),
                3 => "[1, {\"a\": 2}]".to_owned(),
                4 => "null".to_owned(),
                5 => "12345678901234567890.10".to_owned(),
                n => format!("\"{n}{}\"", self.below(3)),
            };
            parts.push(format!("\"{name}\": {value}"));
        }
        format!("{{{}}}", parts.join(", "))
    }
}

/// A write: who, when, what.
struct Write {
    stamp: HlcStamp,
    doc: String,
}

/// Writes of nodes, each counted by its node.
struct Engine {
    sequences: [u64; 3],
}

const NODES: [&str; 3] = ["a", "b", "노드"];

impl Engine {
    fn write(
        &mut self,
        random: &mut Random,
        read: Option<&Version>,
        node: usize,
        ms: u64,
    ) -> (Write, Version) {
        let stamp = HlcStamp::new(Hlc(ms << 16), NODES[node]).expect("names are good");
        let doc = random.document(2);
        self.sequences[node] += 1;
        let id = atoll::routing::hash64(NODES[node].as_bytes());
        let dot = Dot::new(id, 7, self.sequences[node]);
        let value = fields::write(read, doc.as_bytes(), dot, stamp.hlc()).expect("documents are maps");
        let version = Version {
            dot,
            stamp: stamp.hlc(),
            context: Context::new(),
            value: Some(value),
        };
        (Write { stamp, doc }, version)
    }
}

fn one(rule: &dyn Resolver, versions: &[&Version]) -> Version {
    let versions: Vec<Version> = versions.iter().map(|version| (*version).clone()).collect();
    match rule.resolve(b"", &versions) {
        Ok(Outcome::One(version)) => version,
        other => panic!("{other:?}"),
    }
}

fn main() {
    let histories: u64 = std::env::args()
        .nth(1)
        .and_then(|n| n.parse().ok())
        .expect("usage: histories COUNT");
    let mut random = Random(20_261_123);
    let rule = resolver("fields").expect("the rule is built in");
    let lww = resolver("lww").expect("the rule is built in");
    let shown = |version: &Version| {
        let value = version.value.as_deref().expect("merged versions have a value");
        String::from_utf8(rule.present(value).expect("the rule made it")).expect("JSON is UTF-8")
    };

    println!("\\set QUIET on\n\\set ON_ERROR_STOP on\n\\pset format unaligned\n\\pset tuples_only on");
    println!("SET client_encoding = 'UTF8'; SET search_path = public, atoll;");
    println!(
        "CREATE TEMP TABLE histories (d0 jsonb, s0 hlc, d1 jsonb, s1 hlc, d2 jsonb, s2 hlc, d3 jsonb, s3 hlc, merged jsonb, winner text, d4 jsonb, s4 hlc, d5 jsonb, s5 hlc, final jsonb);"
    );
    println!("COPY histories FROM stdin;");
    for _ in 0..histories {
        let mut engine = Engine { sequences: [0; 3] };
        // One document; three writers who do not know of each other; one who has read all, beside one who
        // has gone on alone.
        let (w0, v0) = engine.write(&mut random, None, 0, 1);
        let ms = [2 + random.below(2), 2 + random.below(2), 2 + random.below(2)];
        let (w1, v1) = engine.write(&mut random, Some(&v0), 0, ms[0]);
        let (w2, v2) = engine.write(&mut random, Some(&v0), 1, ms[1]);
        let (w3, v3) = engine.write(&mut random, Some(&v0), 2, ms[2]);
        let merged = one(&*rule, &[&v1, &v2, &v3]);
        let winner = one(&*lww, &[&v1, &v2, &v3]);
        let winner = [(&w1, &v1), (&w2, &v2), (&w3, &v3)]
            .into_iter()
            .find_map(|(write, version)| (version.dot == winner.dot).then(|| write.stamp.to_string()))
            .expect("one of them wins");
        let (ms4, ms5) = (5 + random.below(2), 5 + random.below(2));
        let (w4, v4) = engine.write(&mut random, Some(&merged), 0, ms4);
        let (w5, v5) = engine.write(&mut random, Some(&v3), 2, ms5);
        let last = one(&*rule, &[&v5, &v4]);

        let mut row = Vec::new();
        for write in [&w0, &w1, &w2, &w3] {
            row.extend([write.doc.clone(), write.stamp.to_string()]);
        }
        row.extend([shown(&merged), winner]);
        for write in [&w4, &w5] {
            row.extend([write.doc.clone(), write.stamp.to_string()]);
        }
        row.push(shown(&last));
        println!("{}", row.join("\t").replace('\\', "\\\\"));
    }
    println!("\\.");
    println!(
        "SELECT CASE WHEN wrong = 0 AND rows = {histories} THEN 'ok ' ELSE 'not ok ' END || rows || ' histories: ' || wrong || ' differ from the engine' FROM (
    SELECT count(*) AS rows, count(*) FILTER (WHERE m -> 'doc' IS DISTINCT FROM merged OR f -> 'doc' IS DISTINCT FROM final
        OR resolve_lww(s1, s2, s3)::text IS DISTINCT FROM winner OR resolve_fields(v3, v1, v2) <> m OR resolve_fields(resolve_fields(v2, v3), v1) <> m) AS wrong
    FROM histories, write_fields(NULL, d0, s0) v0, write_fields(v0, d1, s1) v1, write_fields(v0, d2, s2) v2, write_fields(v0, d3, s3) v3,
        resolve_fields(v1, v2, v3) m, write_fields(m, d4, s4) v4, write_fields(v3, d5, s5) v5, resolve_fields(v4, v5) f) h;"
    );
}
