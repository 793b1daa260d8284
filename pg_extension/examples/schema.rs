//! Prints the SQL that declares what a built extension library exports.
//!
//! In: two paths, the library's `.pgrxsc` section as a file, and the control file. Out: SQL on standard
//! output. Must never: write a file, or run any code of the library.
//!
//! It stands in for `cargo pgrx schema`, so that nobody has to install cargo-pgrx. Positions in the
//! sources are left out: the committed SQL changes when a declaration changes, not when a line moves.

use std::error::Error;
use std::fs;

use pgrx_sql_entity_graph::{ControlFile, PgrxSql, SqlGraphEntity, section};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(section_path), Some(control_path)) = (arguments.next(), arguments.next()) else {
        return Err("usage: schema SECTION CONTROL".into());
    };
    let section = fs::read(section_path)?;
    let control = ControlFile::try_from(fs::read_to_string(control_path)?.as_str())?;

    let mut entities = section::decode_entities(&section)?;
    // The linker's order differs between builds, and what the graph leaves open follows it.
    entities.sort();
    entities.push(SqlGraphEntity::ExtensionRoot(control));
    let sql = PgrxSql::build(entities.into_iter(), "atoll".to_owned(), false)?.to_sql()?;
    print!("{HEADING}{}", without_positions(&sql));
    Ok(())
}

/// Stands at the top of the file; the second line keeps psql from running it outside of an extension.
const HEADING: &str = "\
-- Printed from the extension's sources by scripts/pg-sql.sh: edits made here are lost.
\\echo Use \"CREATE EXTENSION atoll\" to load this file. \\quit

";

/// Drops the lines in which pgrx names source positions and groups, and nothing else.
fn without_positions(sql: &str) -> String {
    let mut kept = String::new();
    let mut dropped = false;
    for line in sql.lines() {
        let is_group = matches!(
            line,
            "/* <begin connected objects> */" | "/* </end connected objects> */"
        );
        if is_group || is_position(line) {
            dropped = true;
        } else if !(dropped && line.is_empty() && (kept.is_empty() || kept.ends_with("\n\n"))) {
            kept.push_str(line);
            kept.push('\n');
            dropped = false;
        }
    }
    kept.truncate(kept.trim_end().len());
    kept.push('\n');
    kept
}

/// True for `-- pg_extension/src/functions.rs:12` and `-- atoll_pg::functions::version`.
fn is_position(line: &str) -> bool {
    let Some(comment) = line.strip_prefix("-- ") else {
        return false;
    };
    let at_line = comment
        .rsplit_once(".rs:")
        .is_some_and(|(_, n)| n.bytes().all(|b| b.is_ascii_digit()));
    at_line || (comment.starts_with("atoll_pg::") && !comment.contains(' '))
}
