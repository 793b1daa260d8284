//! `atoll options`: every option, from the engine's own table.

use atoll::config;
use clap::Args;

use crate::failure::Outcome;
use crate::output;

/// Options of `atoll options`.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  atoll options
  atoll options --json
  atoll options --markdown > docs/OPTIONS.md")]
pub struct OptionsArgs {
    /// Print a JSON array
    #[arg(long)]
    json: bool,

    /// Print a page of Markdown
    #[arg(long, conflicts_with = "json")]
    markdown: bool,
}

/// Prints the table.
pub fn run(args: &OptionsArgs) -> Outcome {
    let table = config::table();
    if args.json {
        return output::print_json(&table);
    }
    if args.markdown {
        return output::print(config::markdown().trim_end());
    }
    let mut scope = "";
    let mut lines = Vec::new();
    for info in &table {
        if info.scope != scope {
            scope = info.scope;
            lines.push(format!(
                "{}options of a {scope}",
                if lines.is_empty() { "" } else { "\n" }
            ));
        }
        let bounds = match (&info.min, &info.max) {
            (Some(min), Some(max)) => format!(", {min} to {max}"),
            (Some(min), None) => format!(", from {min}"),
            _ => String::new(),
        };
        lines.push(format!(
            "  {} = {}  ({}{bounds})",
            info.name, info.default, info.unit
        ));
        lines.push(format!("      {}", info.doc));
    }
    output::print(&lines.join("\n"))
}
