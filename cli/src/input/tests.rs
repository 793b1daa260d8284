//! Formats, good and bad, and the csv crate as a second opinion.

use std::io::{Cursor, Read};

use super::*;

fn select(format: Format) -> Selection {
    Selection::new(format, "id")
}

fn reader(select: &Selection, text: &[u8]) -> Result<Box<dyn RecordReader>, InputError> {
    open_limited(Box::new(Cursor::new(text.to_vec())), select, 256)
}

/// Every item as `key=value` or `!line: reason`.
fn read_all(select: &Selection, text: impl AsRef<[u8]>) -> Vec<String> {
    let mut reader = reader(select, text.as_ref()).unwrap();
    drain(reader.as_mut())
}

fn drain(reader: &mut dyn RecordReader) -> Vec<String> {
    let mut all = Vec::new();
    loop {
        match reader.next().unwrap() {
            Item::Record(record) => all.push(format!(
                "{}={}",
                String::from_utf8(record.key).unwrap(),
                String::from_utf8(record.value).unwrap()
            )),
            Item::Rejected(rejected) => all.push(format!("!{}: {}", rejected.line, rejected.reason)),
            Item::End => return all,
        }
    }
}

fn check(format: Format, text: impl AsRef<[u8]>, expected: &[&str]) {
    assert_eq!(read_all(&select(format), text), expected);
}

fn check_error(format: Format, text: &[u8], expected: &str) {
    let error = reader(&select(format), text).err().expect("an error").to_string();
    assert!(error.contains(expected), "{error}");
}

#[test]
fn csv_knows_quotes_line_ends_and_byte_order_marks() {
    check(
        Format::Csv,
        "id,name\n1,a\n2,b\n",
        &[r#"1={"id":"1","name":"a"}"#, r#"2={"id":"2","name":"b"}"#],
    );
    check(
        Format::Csv,
        "\u{feff}id,name\r\n1,a\r\n",
        &[r#"1={"id":"1","name":"a"}"#],
    );
    check(
        Format::Csv,
        "id,n\n1,\"a \"\"b\"\", c\"\n",
        &[r#"1={"id":"1","n":"a \"b\", c"}"#],
    );
    check(
        Format::Csv,
        "id,n\n1,\"two\nlines\"\n2,x\n",
        &[r#"1={"id":"1","n":"two\nlines"}"#, r#"2={"id":"2","n":"x"}"#],
    );
    check(Format::Csv, "n,id\n\n,7\n", &[r#"7={"n":"","id":"7"}"#]);
    check(
        Format::Csv,
        "id,n\n1,a \"quoted\" word\n",
        &[r#"1={"id":"1","n":"a \"quoted\" word"}"#],
    );
    check(Format::Csv, "id\n1", &[r#"1={"id":"1"}"#]);
    check(Format::Tsv, "id\tn\n1\ta,b\n", &[r#"1={"id":"1","n":"a,b"}"#]);
}

#[test]
fn csv_rejects_what_is_no_record_and_goes_on() {
    check(
        Format::Csv,
        "id,n\n1,a\n2\n3,c,d\n4,e\n",
        &[
            r#"1={"id":"1","n":"a"}"#,
            "!3: 1 fields where the header has 2",
            "!4: 3 fields where the header has 2",
            r#"4={"id":"4","n":"e"}"#,
        ],
    );
    check(
        Format::Csv,
        "id,n\n,a\n\"2\n\",b\n3,c\n",
        &[
            "!2: the key column \"id\" is empty",
            "2\n={\"id\":\"2\\n\",\"n\":\"b\"}",
            r#"3={"id":"3","n":"c"}"#,
        ],
    );
    check(
        Format::Csv,
        b"id,n\n1,\xff\xfe\n2,b\n",
        &["!2: not valid UTF-8 after 1 bytes", r#"2={"id":"2","n":"b"}"#],
    );
    // The two halves of one character, on either side of a comma that is not there for the decoder.
    check(Format::Csv, b"id,n,m\n1,\xc3,\xa4\n", &["!2: not valid UTF-8"]);
}

#[test]
fn csv_that_is_cut_off_is_noticed() {
    let all = read_all(&select(Format::Csv), "id,n\n1,a\n2,\"b and so");
    assert_eq!(all.len(), 2);
    assert!(
        all[1].starts_with("!3: a quotation mark is still open at the end of the file"),
        "{}",
        all[1]
    );
    check(
        Format::Csv,
        "id,n\n1,a\n2",
        &[
            r#"1={"id":"1","n":"a"}"#,
            "!3: 1 fields where the header has 2; the file may be cut off",
        ],
    );
    let mut reader = reader(&select(Format::Csv), b"id,n\n1,a").unwrap();
    drain(reader.as_mut());
    assert!(reader.ends_without_newline());
}

#[test]
fn headers_must_name_every_column_once() {
    check_error(Format::Csv, b"", "is empty");
    check_error(Format::Csv, b"\n\n", "is empty");
    check_error(
        Format::Csv,
        b"a,b\n1,2\n",
        r#"has no column "id"; its columns are "a", "b""#,
    );
    check_error(Format::Csv, b"id,n,n\n", r#"names the column "n" twice"#);
    check_error(Format::Csv, b"id,\"n\n1,2\n", "never closed");
    check_error(Format::Csv, b"id,\xff\n", "not valid UTF-8");
}

#[test]
fn quotation_marks_can_be_ordinary_characters() {
    let plain = Selection {
        quotes: false,
        ..select(Format::Tsv)
    };
    assert_eq!(
        read_all(&plain, "id\tn\n1\t\"a\n2\tb\"\n"),
        [r#"1={"id":"1","n":"\"a"}"#, r#"2={"id":"2","n":"b\""}"#]
    );
}

#[test]
fn over_long_records_are_rejected_and_passed_over() {
    let long = "x".repeat(1000);
    let all = read_all(
        &select(Format::Csv),
        format!("id,n\n1,{long}\n2,\"{long}\n{long}\"\n3,c\n"),
    );
    assert!(
        all[0].starts_with("!2: the record is longer than 256 bytes"),
        "{}",
        all[0]
    );
    assert!(
        all[1].starts_with("!3: the record is longer than 256 bytes"),
        "{}",
        all[1]
    );
    assert_eq!(all[2..], [r#"3={"id":"3","n":"c"}"#]);
    let all = read_all(
        &select(Format::JsonLines),
        format!("{{\"id\":1,\"n\":\"{long}\"}}\n{{\"id\":2}}\n"),
    );
    assert!(all[0].starts_with("!1: the record is longer"), "{}", all[0]);
    assert_eq!(all[1..], [r#"2={"id":2}"#]);
    let all = read_all(
        &select(Format::Deb822),
        format!("id: 1\nN: {long}\nM: 2\n\nid: 2\n"),
    );
    assert!(all[0].starts_with("!1: the record is longer"), "{}", all[0]);
    assert_eq!(all[1..], [r#"2={"id":"2"}"#]);
}

#[test]
fn json_lines_are_kept_as_they_stand() {
    check(
        Format::JsonLines,
        "{\"n\": 1.50, \"id\": \"a\"}\n\n  {\"id\":12345678901234567890123}\r\n",
        &[
            "a={\"n\": 1.50, \"id\": \"a\"}",
            "12345678901234567890123={\"id\":12345678901234567890123}",
        ],
    );
    check(
        Format::JsonLines,
        "\u{feff}{\"id\":\"k\\u00fc\",\"m\":{\"id\":2}}",
        &["kü={\"id\":\"k\\u00fc\",\"m\":{\"id\":2}}"],
    );
}

#[test]
fn json_lines_reject_what_is_no_object_with_a_key() {
    check(
        Format::JsonLines,
        "[1]\n\"x\"\n7\nnull\ntrue\n",
        &[
            "!1: an array, not a JSON object",
            "!2: a string, not a JSON object",
            "!3: a number, not a JSON object",
            "!4: null, not a JSON object",
            "!5: a truth value, not a JSON object",
        ],
    );
    check(
        Format::JsonLines,
        "{\"n\":1}\n{\"id\":null}\n{\"id\":\"\"}\n{\"id\":[1]}\n{\"id\":1,\"id\":2}\n",
        &[
            "!1: the field \"id\" is missing",
            "!2: the key field \"id\" is neither text nor a number: null",
            "!3: the key field \"id\" is empty",
            "!4: the key field \"id\" is neither text nor a number: [1]",
            "!5: the field \"id\" is given twice",
        ],
    );
    check(
        Format::JsonLines,
        "{\"id\":1} x\n{\"id\":1,}\n",
        &[
            "!1: not valid JSON: trailing characters (column 10)",
            "!2: not valid JSON: trailing comma (column 9)",
        ],
    );
    check(
        Format::JsonLines,
        b"{\"id\":\"\xff\"}\n",
        &["!1: not valid UTF-8 after 7 bytes"],
    );
    check(
        Format::JsonLines,
        "[\n{\"id\":1}\n",
        &[
            "!1: an array, not a JSON object; if the file is one JSON array, \
         `jq -c '.[]' FILE` makes lines of it",
            "1={\"id\":1}",
        ],
    );
}

#[test]
fn json_lines_that_are_cut_off_are_noticed() {
    check(
        Format::JsonLines,
        "{\"id\":1}\n{\"id\":2,\"n\":\"ab",
        &[
            "1={\"id\":1}",
            "!2: not valid JSON: EOF while parsing a string (column 15); the file may be cut off",
        ],
    );
}

#[test]
fn stanzas_have_continuation_lines_and_comments() {
    let text = "# head\n\nid: a\nDescription: short\n more\n .\n\tend  \nX:\n one\n# note\n two\n\n \n# only\n\nId: b\n";
    check(
        Format::Deb822,
        text,
        &[
            r#"a={"id":"a","Description":"short\nmore\n.\nend","X":"\none\ntwo"}"#,
            r#"b={"Id":"b"}"#,
        ],
    );
}

#[test]
fn stanzas_reject_what_is_no_field() {
    check(
        Format::Deb822,
        "id: a\nID: b\n\nName: x\n\n more\n\nid: c\nnonsense\n\nid:\n\nid: d\n",
        &[
            "!1: the field \"ID\" is given twice",
            "!4: the field \"id\" is missing",
            "!6: line 1 of the stanza continues a field, and there is none before it",
            "!8: line 2 of the stanza is not `Field: value`",
            "!11: the key field \"id\" is empty",
            r#"d={"id":"d"}"#,
        ],
    );
    check(
        Format::Deb822,
        "id: a\nN: b\n\nid: c\nN: d and so",
        &[
            r#"a={"id":"a","N":"b"}"#,
            "!4: the last line has no line end: the file is cut off",
        ],
    );
}

#[test]
fn one_column_can_be_the_value() {
    let one = |format| Selection {
        value: Some("v".into()),
        ..select(format)
    };
    assert_eq!(read_all(&one(Format::Csv), "id,v\n1,a\n"), ["1=a"]);
    assert_eq!(
        read_all(
            &one(Format::JsonLines),
            "{\"id\":1,\"v\":\"a\\nb\"}\n{\"id\":2,\"v\":{\"x\": 1}}\n{\"id\":3}\n"
        ),
        ["1=a\nb", "2={\"x\": 1}", "!3: the value field \"v\" is missing"]
    );
    assert_eq!(read_all(&one(Format::Deb822), "id: 1\nv: a\n"), ["1=a"]);
}

#[test]
fn compressed_and_utf16_inputs_are_refused_by_name() {
    check_error(
        Format::Csv,
        b"\x1f\x8b\x08\x00abc",
        "`zcat FILE | atoll import DIR -",
    );
    check_error(Format::Csv, b"\xfd7zXZ\x00abc", "xzcat");
    check_error(Format::Deb822, b"\x04\x22\x4d\x18abc", "lz4cat");
    check_error(Format::JsonLines, b"\x28\xb5\x2f\xfdabc", "zstdcat");
    check_error(Format::JsonLines, b"\xff\xfe{\x00", "iconv");
}

#[test]
fn rejected_text_is_kept_as_it_stands() {
    let mut reader = reader(&select(Format::Csv), b"id,n\r\n1\r\n\"2\"\"\n\xff\",\r\n").unwrap();
    let texts = std::iter::from_fn(|| match reader.next().unwrap() {
        Item::Rejected(rejected) => Some(rejected.text),
        _ => None,
    });
    assert_eq!(
        texts.collect::<Vec<_>>(),
        [b"1".to_vec(), b"\"2\"\"\n\xff\",".to_vec()]
    );
}

#[test]
fn reading_goes_on_at_every_position() {
    let inputs = [
        (Format::Csv, "id,n\n1,\"a\nb\"\n\n2\n3,c\r\n4,d"),
        (
            Format::JsonLines,
            "\u{feff}{\"id\":1}\n\n{\"id\":2}\nx\n{\"id\":4}\n",
        ),
        (
            Format::Deb822,
            "id: 1\nN: a\n b\n\n\n# c\nid: 2\n\nx\n\nid: 4\n\n",
        ),
    ];
    for (format, text) in inputs {
        let whole = read_all(&select(format), text);
        for taken in 0..=whole.len() {
            let mut first = reader(&select(format), text.as_bytes()).unwrap();
            for _ in 0..taken {
                first.next().unwrap();
            }
            let at = first.position();
            let mut second = reader(&select(format), text.as_bytes()).unwrap();
            let rest = text.as_bytes()[at.offset as usize..].to_vec();
            second.continue_at(Box::new(Cursor::new(rest)), at);
            assert_eq!(drain(second.as_mut()), whole[taken..], "{format} after {taken}");
        }
    }
}

/// Gives one byte at a time, so that every boundary falls between two chunks.
struct Trickle(Cursor<Vec<u8>>);

impl Read for Trickle {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let one = buffer.len().min(1);
        self.0.read(&mut buffer[..one])
    }
}

/// Small random texts over the bytes that matter (xorshift64, Marsaglia 2003).
fn random_texts(count: usize, alphabet: &[u8]) -> Vec<Vec<u8>> {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 33) as usize % below
    };
    let mut text = |_| {
        (0..random(24))
            .map(|_| alphabet[random(alphabet.len())])
            .collect()
    };
    (0..count).map(&mut text).collect()
}

#[test]
fn rows_are_those_of_the_csv_crate() {
    for text in random_texts(20_000, b"ab,,\"\"\n\r") {
        let mut input = b"id,n\n".to_vec();
        input.extend_from_slice(&text);
        let mut theirs = csv::ReaderBuilder::new().flexible(true).from_reader(&input[..]);
        let their_rows: Vec<Vec<String>> = theirs
            .records()
            .map(|row| row.unwrap().iter().map(str::to_string).collect())
            .collect();
        let chunked: Box<dyn Read> = Box::new(Trickle(Cursor::new(input.clone())));
        let mut ours = open(chunked, &select(Format::Csv)).unwrap();
        for row in their_rows {
            match ours.next().unwrap() {
                Item::Record(record) => {
                    let expected = serde_json::json!({"id": row[0], "n": row[1]});
                    assert_eq!(
                        serde_json::from_slice::<serde_json::Value>(&record.value).unwrap(),
                        expected
                    );
                    assert_eq!(row.len(), 2, "{}", input.escape_ascii());
                }
                Item::Rejected(rejected) => {
                    let open = rejected.reason.starts_with("a quotation mark");
                    let ragged =
                        rejected.reason.starts_with(&format!("{} fields", row.len())) && row.len() != 2;
                    let keyless = rejected.reason.contains("is empty") && row[0].is_empty();
                    assert!(
                        open || ragged || keyless,
                        "{}: {}",
                        input.escape_ascii(),
                        rejected.reason
                    );
                }
                Item::End => panic!("a row is missing: {}", input.escape_ascii()),
            }
        }
        assert_eq!(ours.next().unwrap(), Item::End, "{}", input.escape_ascii());
    }
}

#[test]
fn no_bytes_make_a_reader_panic_or_lose_its_place() {
    let alphabet = b"id:,\t\"{}[]1\n\n\r #\\\xc3\xa4\xff";
    for format in [Format::Csv, Format::Tsv, Format::JsonLines, Format::Deb822] {
        for text in random_texts(3_000, alphabet) {
            let mut input = if matches!(format, Format::Csv) {
                b"id,n\n".to_vec()
            } else {
                b"id\tn\n".to_vec()
            };
            input.extend_from_slice(&text);
            let Ok(mut reader) = reader(&select(format), &input) else {
                continue;
            };
            while reader.next().unwrap() != Item::End {}
            assert_eq!(
                reader.position().offset,
                input.len() as u64,
                "{}",
                input.escape_ascii()
            );
        }
    }
}
