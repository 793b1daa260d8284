//! Three nodes that may all write: a causal update, a concurrent one, a partition, and what becomes of it.
//!
//! A store in memory over the versioning room: each node keeps a set of siblings a key, a source of dots
//! and a hybrid clock; a write travels as one version. Time is made up, so every run prints the same.
//!
//! Run with `cargo run -p atoll --example versioned_store`.

use std::collections::BTreeMap;
use std::fmt::{self, Write};

use atoll::versioning::{
    Actor, Conflict, Context, DotSource, HybridClock, Incarnation, NodeId, Received, SiblingSet, Tick,
    Version, VersionError, resolver,
};

/// One node: its copy of every key, and what it stamps its writes with.
struct Node {
    name: &'static str,
    keys: BTreeMap<String, SiblingSet>,
    dots: DotSource,
    clock: HybridClock,
    wall_ms: u64,
}

/// A write on its way to the other nodes.
#[derive(Clone)]
struct Message {
    key: String,
    version: Version,
}

impl Node {
    fn new(name: &'static str, id: u64, wall_ms: u64) -> Node {
        let actor = Actor {
            node: NodeId(id),
            incarnation: Incarnation(1),
        };
        Node {
            name,
            keys: BTreeMap::new(),
            dots: DotSource::new(actor),
            clock: HybridClock::new(),
            wall_ms,
        }
    }

    fn get(&self, key: &str) -> (Vec<String>, Context) {
        let (values, context) = self.keys.get(key).map(SiblingSet::get).unwrap_or_default();
        let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
        (values.into_iter().map(text).collect(), context)
    }

    /// Writes over what `context` has seen, and hands out the message for the others.
    fn put(&mut self, key: &str, value: &str, context: &Context) -> Result<Message, VersionError> {
        self.wall_ms += 10;
        // A real node makes the mark in the tick durable first.
        let Tick { stamp, .. } = self.clock.send(self.wall_ms)?;
        let dot = self.dots.mint()?;
        let set = self.keys.entry(key.to_owned()).or_default();
        Ok(Message {
            key: key.to_owned(),
            version: set.put(dot, stamp, context, Some(value.into()))?,
        })
    }

    fn receive(&mut self, message: &Message) -> Result<(), VersionError> {
        if let Received::Quarantined { ahead_ms, .. } =
            self.clock.observe(self.wall_ms, message.version.stamp)
        {
            unreachable!("the clocks of this story are {ahead_ms} ms apart at most");
        }
        self.keys
            .entry(message.key.clone())
            .or_default()
            .apply(&message.version)
    }
}

/// Tells the story, line by line, to `out`.
pub fn tell(out: &mut impl Write) -> Result<(), Box<dyn std::error::Error>> {
    const KEY: &str = "cart:42";
    let start = 1_795_400_000_000;
    let mut seoul = Node::new("seoul", 1, start);
    let mut busan = Node::new("busan", 2, start + 3);
    // Its clock is behind: what orders writes is who had read what, not who was later.
    let mut jeju = Node::new("jeju", 3, start - 200);

    writeln!(out, "1. seoul creates {KEY}; the others receive it")?;
    let first = seoul.put(KEY, r#"["bread"]"#, &Context::new())?;
    busan.receive(&first)?;
    jeju.receive(&first)?;
    show(out, KEY, [&seoul, &busan, &jeju])?;

    writeln!(
        out,
        "2. jeju reads and adds milk: a causal update, so it replaces what it read"
    )?;
    let (_, context) = jeju.get(KEY);
    let second = jeju.put(KEY, r#"["bread","milk"]"#, &context)?;
    seoul.receive(&second)?;
    busan.receive(&second)?;
    // A late copy of the first write brings nothing back.
    busan.receive(&first)?;
    show(out, KEY, [&seoul, &busan, &jeju])?;

    writeln!(
        out,
        "3. the line to jeju is cut; busan and jeju both change the cart"
    )?;
    let (_, context) = busan.get(KEY);
    let third = busan.put(KEY, r#"["bread","eggs","milk"]"#, &context)?;
    seoul.receive(&third)?;
    let (_, context) = jeju.get(KEY);
    let fourth = jeju.put(KEY, r#"["bread","milk","tea"]"#, &context)?;
    show(out, KEY, [&seoul, &busan, &jeju])?;

    writeln!(
        out,
        "4. the line is back: neither had seen the other, so both values stand side by side"
    )?;
    // Delivered in different orders, and one of them twice.
    seoul.receive(&fourth)?;
    busan.receive(&fourth)?;
    busan.receive(&fourth)?;
    jeju.receive(&third)?;
    show(out, KEY, [&seoul, &busan, &jeju])?;
    let bytes = |node: &Node| node.keys[KEY].to_bytes();
    assert!(bytes(&seoul) == bytes(&busan) && bytes(&busan) == bytes(&jeju));
    writeln!(
        out,
        "   all three nodes hold the same {} bytes",
        bytes(&seoul).len()
    )?;

    writeln!(
        out,
        "5. the conflict, under three rules; the siblings stay stored"
    )?;
    let conflict = Conflict::report(KEY.as_bytes(), &seoul.keys[KEY], &*resolver("lww")?)?;
    let conflict = conflict.expect("two values stand side by side");
    writeln!(out, "   {conflict}")?;
    for rule in ["set_union", "siblings"] {
        writeln!(out, "   {}", conflict.replay(&*resolver(rule)?)?)?;
    }

    writeln!(
        out,
        "6. busan writes the union with the context of both: the conflict is over everywhere"
    )?;
    let (_, context) = busan.get(KEY);
    let fifth = busan.put(KEY, r#"["bread","eggs","milk","tea"]"#, &context)?;
    jeju.receive(&fifth)?;
    seoul.receive(&fifth)?;
    show(out, KEY, [&seoul, &busan, &jeju])?;
    Ok(())
}

fn show(out: &mut impl Write, key: &str, nodes: [&Node; 3]) -> fmt::Result {
    for node in nodes {
        let (values, _) = node.get(key);
        writeln!(out, "   {:<6} {}", node.name, values.join("  |  "))?;
    }
    Ok(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut story = String::new();
    tell(&mut story)?;
    print!("{story}");
    Ok(())
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_story_ends_with_one_cart_everywhere() {
        let mut story = String::new();
        super::tell(&mut story).unwrap();
        let lines: Vec<&str> = story.lines().collect();
        let side_by_side = r#"["bread","eggs","milk"]  |  ["bread","milk","tea"]"#;
        assert_eq!(
            lines.iter().filter(|line| line.ends_with(side_by_side)).count(),
            3,
            "{story}"
        );
        assert!(
            story.contains(r#"under lww:"#) && story.contains("-> 2 siblings"),
            "{story}"
        );
        let ends: Vec<&&str> = lines.iter().rev().take(3).collect();
        for line in ends {
            assert!(line.ends_with(r#" ["bread","eggs","milk","tea"]"#), "{story}");
        }
    }
}
