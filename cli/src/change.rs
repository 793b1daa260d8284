//! `atoll plan` and `rebalance`: what a change of nodes would move, then moving it.

use atoll::cluster::{Change, Cluster, Plan, RebalancePhase, RebalanceProgress, RebalanceReport};
use atoll::routing::NodeSpec;
use clap::Args;

use crate::failure::{Failure, Outcome};
use crate::output::{self, Table, bytes, count, counted, duration, percent};
use crate::progress::Progress;
use crate::session::{self, DirArg};

/// The change.
#[derive(Args, Debug)]
#[group(multiple = false)]
struct ChangeArgs {
    /// A node joins and takes its share
    #[arg(long, value_name = "NODE[=WEIGHT]")]
    add: Option<NodeSpec>,

    /// A node gives up everything and leaves
    #[arg(long, value_name = "NODE")]
    remove: Option<String>,

    /// A node's share changes
    #[arg(long, value_name = "NODE=WEIGHT")]
    reweight: Option<String>,

    /// Nodes stay; slots move until everybody has its share again
    #[arg(long)]
    balance: bool,
}

impl ChangeArgs {
    fn change(&self) -> Outcome<Option<Change>> {
        if let Some(node) = &self.add {
            return Ok(Some(Change::Add(node.clone())));
        }
        if let Some(name) = &self.remove {
            return Ok(Some(Change::Remove(name.clone())));
        }
        if self.balance {
            return Ok(Some(Change::Level));
        }
        let Some(text) = &self.reweight else {
            return Ok(None);
        };
        if !text.contains('=') {
            return Err(Failure::usage(format!("--reweight {text}: write NODE=WEIGHT")));
        }
        let node: NodeSpec = text.parse()?;
        Ok(Some(Change::Reweight {
            node: node.name,
            weight: node.weight,
        }))
    }
}

/// Options of `atoll plan`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  atoll plan data --add n5
  atoll plan data --add n5=2 --json
  atoll plan data --remove n1
  atoll plan data --balance

Moves nothing; `atoll rebalance` with the same options does what the plan says.")]
pub struct PlanArgs {
    #[command(flatten)]
    dir: DirArg,

    #[command(flatten)]
    change: ChangeArgs,

    /// Print the whole plan, move by move, as JSON
    #[arg(long)]
    json: bool,
}

/// Prints a plan.
pub fn plan(args: &PlanArgs) -> Outcome {
    let change = args.change.change()?;
    let change = change.ok_or_else(|| {
        Failure::usage(
            "what shall change? --add NODE[=WEIGHT], --remove NODE, --reweight NODE=WEIGHT or --balance",
        )
    })?;
    let plan = session::with(&args.dir.dir, |cluster| Ok(cluster.plan(&change)?))?;
    print_plan(&plan, args.json)
}

/// Options of `atoll rebalance`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  atoll rebalance data --add n5 --dry-run
  atoll rebalance data --add n5
  atoll rebalance data --balance
  atoll rebalance data

Without a change it goes on with a rebalance that was interrupted.")]
pub struct RebalanceArgs {
    #[command(flatten)]
    dir: DirArg,

    #[command(flatten)]
    change: ChangeArgs,

    /// Print the plan and move nothing
    #[arg(long)]
    dry_run: bool,

    /// Print what was done (or the plan, with --dry-run) as JSON
    #[arg(long)]
    json: bool,
}

/// Carries out a change, or what is left of one.
pub fn rebalance(args: &RebalanceArgs) -> Outcome {
    let change = args.change.change()?;
    if args.dry_run {
        let change = change.ok_or_else(|| {
            Failure::usage(
                "--dry-run shows the plan of a change: add --add, --remove, --reweight or --balance",
            )
        })?;
        let plan = session::with(&args.dir.dir, |cluster| Ok(cluster.plan(&change)?))?;
        return print_plan(&plan, args.json);
    }
    let report = session::with(&args.dir.dir, |cluster| match &change {
        Some(change) => run(cluster, change).map(Some),
        None => watched(|progress| Ok(cluster.resume_rebalance(progress)?)),
    })?;
    match report {
        None if args.json => output::print("null"),
        None => output::print("nothing to do: no rebalance was interrupted"),
        Some(report) if args.json => output::print_json(&report),
        Some(report) => output::print(report_text(&report).trim_end()),
    }
}

/// Carries out a change, showing its progress.
pub fn run(cluster: &Cluster, change: &Change) -> Outcome<RebalanceReport> {
    watched(|progress| Ok(cluster.rebalance(change, progress)?))
}

fn watched<T>(work: impl FnOnce(&mut dyn FnMut(&RebalanceProgress)) -> Outcome<T>) -> Outcome<T> {
    let mut bar: Option<Progress> = None;
    let done = work(&mut |at| {
        let bar = bar.get_or_insert_with(|| Progress::new("rebalance", Some(at.bytes_total), at.bytes_done));
        bar.set_total(at.bytes_total);
        bar.at(at.bytes_done, || match at.phase {
            RebalancePhase::Preparing => "creating shards".into(),
            RebalancePhase::Copying => format!(
                "{} of {} keys, {} of {} hand-overs",
                count(at.keys_done),
                count(at.keys_total),
                at.moves_done,
                at.moves_total
            ),
            RebalancePhase::Finishing => "putting emptied shards away".into(),
        });
    });
    if let Some(bar) = bar {
        bar.finish();
    }
    done
}

/// A change in words.
pub fn in_words(change: &Change) -> String {
    match change {
        Change::Add(node) if node.weight == 1 => format!("adding {}", node.name),
        Change::Add(node) => format!("adding {} with weight {}", node.name, node.weight),
        Change::Remove(name) => format!("removing {name}"),
        Change::Reweight { node, weight } => format!("giving {node} the weight {weight}"),
        Change::Together(changes) => changes.iter().map(in_words).collect::<Vec<_>>().join(", "),
        Change::Level => "levelling".into(),
    }
}

fn print_plan(plan: &Plan, json: bool) -> Outcome {
    if json {
        output::print_json(plan)
    } else {
        output::print(plan_text(plan).trim_end())
    }
}

/// A plan as a page.
pub fn plan_text(plan: &Plan) -> String {
    let mut facts = Table::new(&["", "", "<"]);
    let mut fact = |name: &str, value: String, more: String| facts.row([name.to_string(), value, more]);
    fact("keys to copy", count(plan.keys), String::new());
    fact("bytes to copy", bytes(plan.bytes), "of one copy".into());
    fact(
        "slot copies moved",
        count(plan.copies_moved),
        format!(
            "the least possible: {} (ratio {:.3})",
            count(plan.copies_minimum),
            plan.ratio
        ),
    );
    fact(
        "keys with a new owner",
        percent(plan.primaries_fraction),
        format!("hash mod N would change {}", percent(plan.modulo_fraction)),
    );
    fact(
        "between old nodes",
        count(plan.moved_between_old_nodes),
        String::new(),
    );
    fact(
        "hand-overs",
        count(plan.moves.len() as u64),
        format!("into {}", counted(plan.new_shards.len() as u64, "new shard")),
    );
    fact(
        "fullest node",
        format!("{:.3}", plan.max_over_mean_after),
        format!("times its share; {:.3} before", plan.max_over_mean_before),
    );
    let facts = facts.render("  ");
    // The table has no headings; its first line is empty.
    let facts = facts.trim_start_matches('\n');
    let mut nodes = Table::new(&[
        "node",
        "weight",
        "owned slots",
        "after",
        "",
        "slot copies",
        "after",
        "",
    ]);
    for node in &plan.nodes {
        nodes.row([
            node.node.clone(),
            node.weight.to_string(),
            count(node.primaries_before),
            count(node.primaries_after),
            difference(node.primaries_before, node.primaries_after),
            count(node.copies_before),
            count(node.copies_after),
            difference(node.copies_before, node.copies_after),
        ]);
    }
    let mut text = format!(
        "{} (plan for topology version {}, {})\n\n{facts}\n{}",
        capitalised(&in_words(&plan.change)),
        plan.from_version,
        counted(plan.slots.into(), "slot"),
        nodes.render("  ")
    );
    for shortfall in &plan.shortfalls {
        text.push_str(&format!("\n  note: {shortfall}\n"));
    }
    text
}

fn difference(before: u64, after: u64) -> String {
    match after as i64 - before as i64 {
        0 => String::new(),
        less if less < 0 => format!("−{}", count(less.unsigned_abs())),
        more => format!("+{}", count(more.unsigned_abs())),
    }
}

fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars
        .next()
        .map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// What a rebalance did, as a page.
pub fn report_text(report: &RebalanceReport) -> String {
    let resumed = if report.resumed { ", resumed" } else { "" };
    let mut text = format!(
        "Done {}: topology version {} → {}, {} in {}{resumed}\n  {} and {} copied in {}, {} written meanwhile followed\n  \
         between old nodes: {}\n",
        in_words(&report.change),
        report.from_version,
        report.to_version,
        counted(report.slots, "slot"),
        counted(report.moves as u64, "hand-over"),
        counted(report.keys_moved, "key"),
        bytes(report.bytes_moved),
        duration(report.took),
        counted(report.versions_caught_up, "version"),
        counted(report.keys_between_old_nodes, "key"),
    );
    for (node, keys) in &report.keys_by_node {
        let size = report.bytes_by_node.get(node).copied().unwrap_or(0);
        text.push_str(&format!(
            "  {node} received {}, {}\n",
            counted(*keys, "key"),
            bytes(size)
        ));
    }
    text
}
