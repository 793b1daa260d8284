//! The table against the options themselves, and against the page it is printed on.

use std::time::Duration;

use super::*;
use crate::store::{Compaction, VerifyPayload, WritePath};

/// Fields of options, as their debug output names them.
fn fields(options: &impl std::fmt::Debug) -> Vec<String> {
    let text = format!("{options:#?}");
    let fields = text.lines().filter_map(|line| line.strip_prefix("    "));
    fields
        .filter(|line| !line.starts_with([' ', '}', ']', ')']))
        .filter_map(|line| Some(line.split_once(':')?.0.to_owned()))
        .collect()
}

fn check_rows<O: OptionSet + std::fmt::Debug>() {
    let options = O::defaults();
    let fields = fields(&options);
    let rows = O::rows().0;
    for field in &fields {
        assert!(rows.iter().any(|row| row.field == field), "{field} is in no row");
    }
    for (i, row) in rows.iter().enumerate() {
        assert!(
            fields.iter().any(|field| field == row.field),
            "{} sets no field",
            row.name
        );
        assert!(
            rows[..i].iter().all(|other| other.name != row.name),
            "{} comes twice",
            row.name
        );
        assert!(
            row.doc.ends_with('.') && !row.doc.contains(['|', '\n']),
            "{}",
            row.doc
        );
        // What is shown can be set, and changes nothing.
        let mut copy = O::defaults();
        let shown = (row.get)(&options);
        copy.set_option(row.name, &shown)
            .unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(format!("{copy:?}"), format!("{options:?}"));
        let Some((min, max)) = row.bounds else { continue };
        for bound in [min, max] {
            copy.set_option(row.name, &super::shown(row.unit, bound))
                .unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(copy.option(row.name), Ok(super::shown(row.unit, bound)));
        }
        for outside in [min.checked_sub(1), max.checked_add(1)].into_iter().flatten() {
            let error = copy
                .set_option(row.name, &super::shown(row.unit, outside))
                .unwrap_err();
            assert!(matches!(error, OptionError::OutOfRange { .. }), "{error}");
            assert_eq!(
                copy.option(row.name),
                Ok(super::shown(row.unit, max)),
                "nothing has changed"
            );
        }
    }
}

#[test]
fn every_field_has_a_row_whose_defaults_and_bounds_can_be_set() {
    check_rows::<StoreOptions>();
    check_rows::<ClusterOptions>();
    assert_eq!(fields(&StoreOptions::defaults()).len(), 9);
}

#[test]
fn options_are_set_by_name_and_text() {
    let mut options = StoreOptions::defaults();
    let mut set = |name: &str, value: &str| {
        options
            .set_option(name, value)
            .unwrap_or_else(|error| panic!("{error}"))
    };
    set("create", "no");
    set("cluster", "00112233-4455-6677-8899-aabbccddeeff");
    set("shard", "7");
    set("node", "18446744073709551615");
    set("write_path", "pwrite");
    set("segment_max_bytes", "8MiB");
    set("compaction", "background:16MiB");
    set("table_bytes", "65536");
    set("sync_interval", "off");
    set("min_free_bytes", "0");
    set("verify_payload", "first_touch");
    assert!(!options.create);
    assert_eq!(options.min_free_bytes, 0);
    assert_eq!(options.verify_payload, VerifyPayload::FirstTouch);
    assert_eq!(
        options.identity.cluster.to_string(),
        "00112233-4455-6677-8899-aabbccddeeff"
    );
    assert_eq!((options.identity.shard.0, options.identity.node), (7, u64::MAX));
    assert_eq!(options.write_path, WritePath::Pwrite);
    assert_eq!(
        (options.segment_max_bytes, options.table_bytes),
        (8 << 20, 64 << 10)
    );
    assert_eq!(
        options.compaction,
        Compaction::Background {
            rate_bytes_per_s: 16 << 20
        }
    );
    assert_eq!(options.sync_interval, None);
    options.set_option("sync_interval", "250ms").expect("a time");
    assert_eq!(options.sync_interval, Some(Duration::from_millis(250)));
    assert_eq!(options.option("compaction").as_deref(), Ok("background:16MiB"));
}

#[test]
fn errors_say_what_would_be_right() {
    let mut options = StoreOptions::defaults();
    let mut check = |name: &str, value: &str, expected: &str| {
        let error = options.set_option(name, value).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    };
    check("segment_bytes", "1MiB", "did you mean segment_max_bytes?");
    check("Write-Path", "map", "did you mean write_path?");
    check("서버", "1", "`atoll options` lists them");
    check("", "1", "no option \"\" of a store");
    check("write_path", "mmap", "one of auto, map, pwrite");
    check("segment_max_bytes", "64MB", "KiB, MiB or GiB");
    check("segment_max_bytes", "1GiB", "between 1MiB and 512MiB");
    check("table_bytes", "0", "between 64KiB and 56MiB");
    check("sync_interval", "10", "ms, s, m, h or d");
    check("sync_interval", "0s", "between 1ms and 1d");
    check("compaction", "background:fast", "KiB, MiB or GiB");
    check("shard", "4294967296", "between 0 and 4294967295");
    check("cluster", "12", "32 hexadecimal digits");
    check("create", "maybe", "true or false");
}

#[test]
fn page_of_the_docs_is_what_the_table_prints() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/OPTIONS.md");
    if std::env::var_os("ATOLL_BLESS").is_some() {
        std::fs::write(&path, markdown()).expect("page written");
    }
    let page = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    assert!(
        page == markdown(),
        "docs/OPTIONS.md: write it again with `atoll options --markdown`"
    );
}
