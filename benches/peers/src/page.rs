//! The page of results: one section per comparison, replaced as a whole.
//!
//! In: the name of a section and its text in Markdown. Out: `docs/benchmarks.md` with that section
//! new and every other byte as it was. Must never lose another section: the page is written beside
//! the old one and renamed over it.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// The page in this checkout.
#[must_use]
pub fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/benchmarks.md")
}

/// Puts `text` between the marks of `section`, which are added at the end where they are missing.
///
/// # Errors
/// The page cannot be read or written.
pub fn replace(page: &Path, section: &str, text: &str) -> io::Result<()> {
    let old = fs::read_to_string(page)?;
    let beside = page.with_extension("md.new");
    fs::write(&beside, replaced(&old, section, text))?;
    fs::rename(&beside, page)
}

fn replaced(old: &str, section: &str, text: &str) -> String {
    let begin = format!("<!-- {section}: begin -->\n");
    let end = format!("<!-- {section}: end -->\n");
    let text = text.trim_end();
    match (old.find(&begin), old.find(&end)) {
        (Some(from), Some(to)) if from < to => {
            format!("{}{begin}{text}\n{}", &old[..from], &old[to..])
        }
        _ => format!("{}\n\n{begin}{text}\n{end}", old.trim_end()),
    }
}

#[cfg(test)]
mod tests {
    use super::replaced;

    #[test]
    fn a_section_is_replaced_and_the_others_stay() {
        let page = replaced("# Benchmarks", "a", "one\n");
        let page = replaced(&page, "b", "two");
        let page = replaced(&page, "a", "three");
        assert_eq!(
            page,
            "# Benchmarks\n\n<!-- a: begin -->\nthree\n<!-- a: end -->\n\n<!-- b: begin -->\ntwo\n<!-- b: end -->\n"
        );
    }
}
