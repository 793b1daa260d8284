//! The table of options.

use crate::run::Place;

#[test]
fn options_are_printed_for_people_programs_and_the_docs() {
    let place = Place::new();
    let table = place.run(&["options", "--json"]).code(0).json();
    let rows = table.as_array().expect("an array");
    let find = |scope: &str, name: &str| {
        let row = rows
            .iter()
            .find(|row| row["scope"] == scope && row["name"] == name);
        row.unwrap_or_else(|| panic!("no {name} of a {scope}")).clone()
    };
    let segment = find("store", "segment_max_bytes");
    assert_eq!(
        (&segment["default"], &segment["min"]),
        (&"64MiB".into(), &"1MiB".into())
    );
    assert_eq!(find("cluster", "background")["default"], "true");
    place
        .run(&["options"])
        .code(0)
        .mentions("options of a store\n")
        .mentions("\n  table_bytes = 32MiB  (bytes, 64KiB to 56MiB)\n");
    let page = place.run(&["options", "--markdown"]).code(0).out;
    let kept = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/OPTIONS.md"));
    assert_eq!(page, kept.expect("the page is there"));
    place.run(&["options", "--json", "--markdown"]).code(2);
}
