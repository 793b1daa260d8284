//! The command from its options to its bytes.

use atoll::routing::{HashKind, Ketama, Topology, TopologySpec};
use clap::Parser;

use super::*;

#[derive(Parser)]
struct Command {
    #[command(flatten)]
    route: RouteArgs,
}

fn args(options: &str) -> RouteArgs {
    let words = std::iter::once("route").chain(options.split_whitespace());
    Command::try_parse_from(words).unwrap().route
}

fn run_on(options: &str, input: &[u8]) -> (Vec<u8>, Result<(), RouteFailure>) {
    let args = args(options);
    let mut output = Vec::new();
    let outcome = Job::new(&args).and_then(|mut job| job.route(BufReader::new(input), &mut output));
    (output, outcome)
}

fn check(options: &str, input: &[u8], expected: &[u8]) {
    let (output, outcome) = run_on(options, input);
    outcome.unwrap();
    let shown = |bytes: &[u8]| bytes.escape_ascii().to_string();
    assert_eq!(shown(&output), shown(expected), "{options}");
}

fn check_refused(options: &str, input: &[u8], message: &str) {
    let (_, outcome) = run_on(options, input);
    let failure = outcome.unwrap_err();
    assert_eq!(
        (failure.message.as_str(), failure.exit_code),
        (message, 2),
        "{options}"
    );
}

#[test]
fn modulo_prints_nodes_or_numbers() {
    // md5("abc") = 9001…7f72, even; md5("") = d41d…427e, even; sha1("abc") ends in 9d, odd.
    check(
        "--algorithm modulo --hash md5 --buckets 2",
        b"abc\n\n",
        b"abc\t0\n\t0\n",
    );
    check("--algorithm modulo --hash sha1 --nodes a,b", b"abc", b"abc\tb\n");
    check(
        "--algorithm modulo --hash crc32 --buckets 4294967295",
        b"123456789",
        b"123456789\t3421780262\n",
    );
}

#[test]
fn jump_spreads_numbers_as_they_are_and_keys_by_their_hash() {
    // From the reference implementation of the paper.
    check(
        "--algorithm jump --input u64 --buckets 1000",
        b"0\n1\n18446744073709551615\n",
        b"0\t0\n1\t549\n18446744073709551615\t313\n",
    );
    check("--algorithm jump --buckets 1", b"any", b"any\t0\n");
    check("--algorithm jump --nodes a", b"any", b"any\ta\n");
}

#[test]
fn foreign_formats_refuse_what_they_do_not_know() {
    check_refused(
        "--algorithm redis --nodes a",
        b"",
        "--nodes has no meaning with --algorithm redis",
    );
    check_refused(
        "--algorithm jump --nodes a=2",
        b"",
        "node \"a\" has weight 2: jump knows no weights, use ring or slots",
    );
    check_refused(
        "--algorithm maglev --nodes a,b --table-size 1000",
        b"",
        "table size 1000: a prime number from the number of nodes (2) to 16777216 is needed",
    );
    for algorithm in ["modulo", "jump"] {
        check_refused(
            &format!("--algorithm {algorithm} --nodes a,b --replicas 2"),
            b"",
            &format!("--replicas has no meaning with --algorithm {algorithm}"),
        );
    }
    for algorithm in ["ketama", "nginx"] {
        check_refused(
            &format!("--algorithm {algorithm} --nodes a,b=0"),
            b"",
            &format!("node \"b\" has weight 0, which {algorithm} cannot express: leave the node out"),
        );
    }
    check_refused(
        "--algorithm cassandra --locality tag",
        b"",
        "--locality has no meaning with --algorithm cassandra",
    );
    check_refused(
        "--algorithm jump --input u64 --buckets 3 --encoding decimal",
        b"",
        "--encoding has no meaning with --algorithm jump --input u64: the number itself is spread",
    );
    check_refused(
        "--algorithm ring --nodes a --table-size 7",
        b"",
        "--table-size has no meaning with --algorithm ring",
    );
    check_refused(
        "--algorithm nginx",
        b"",
        "nginx needs --nodes N1,N2... or --buckets N",
    );
    check_refused(
        "--algorithm jump --buckets 0",
        b"",
        "no nodes: at least one is needed",
    );
}

#[test]
fn json_says_what_the_number_is() {
    let cases: [(&str, &[u8], &[u8]); 6] = [
        ("--algorithm redis", b"foo", br#"{"key":"foo","slot":12182}"#),
        ("--algorithm cassandra", b"", br#"{"key":"","token":0}"#),
        (
            "--algorithm jump --input u64 --nodes a,b",
            b"0",
            br#"{"bucket":0,"key":"0","nodes":["a"]}"#,
        ),
        (
            "--algorithm range --split-at b",
            b"c\"",
            br#"{"key":"c\"","range":1}"#,
        ),
        (
            "--algorithm ring --nodes a",
            b"\xff",
            br#"{"key_hex":"ff","nodes":["a"]}"#,
        ),
        (
            "--algorithm slots --nodes a --slots 1",
            b"k",
            br#"{"key":"k","nodes":["a"],"slot":0}"#,
        ),
    ];
    for (options, line, expected) in cases {
        check(
            &format!("{options} --json"),
            &[line, b"\n"].concat(),
            &[expected, b"\n"].concat(),
        );
    }
}

#[test]
fn a_locality_rule_keeps_keys_together() {
    let (output, outcome) = run_on(
        "--algorithm modulo --buckets 1000000 --locality tag",
        b"{u}a\n{u}b\nu\n",
    );
    outcome.unwrap();
    let text = String::from_utf8(output).unwrap();
    let answers: Vec<&str> = text
        .lines()
        .map(|line| line.split_once('\t').unwrap().1)
        .collect();
    assert!(
        answers.len() == 3 && answers.iter().all(|answer| *answer == answers[0]),
        "{answers:?}"
    );
}

#[test]
fn ketama_takes_the_next_servers_of_the_list_for_replicas() {
    let nodes = NodeSpec::parse_list("a,b,c").unwrap();
    let owner = usize::from(Ketama::new(&nodes).unwrap().owner(b"k"));
    let names = ["a", "b", "c", "a", "b"];
    let expected = format!("k\t{},{},{}\n", names[owner], names[owner + 1], names[owner + 2]);
    check(
        "--algorithm ketama --nodes a,b,c --replicas 3",
        b"k",
        expected.as_bytes(),
    );
}

#[test]
fn keys_are_the_bytes_of_their_lines() {
    let options = "--algorithm range --split-at b --nodes low,high";
    check(
        options,
        b"a\r\n\xff\xfe\n\nb",
        b"a\r\tlow\n\xff\xfe\thigh\n\tlow\nb\thigh\n",
    );
    check(options, b"", b"");
    check("--algorithm range --split-at 0b --input hex", b"", b"");
}

#[test]
fn ranges_are_numbered_without_nodes_and_split_in_the_form_of_the_input() {
    check(
        "--algorithm range --split-at g,n",
        b"a\ng\nz\n",
        b"a\t0\ng\t1\nz\t2\n",
    );
    check(
        "--algorithm range --split-at -5,10 --input i64",
        b"-6\n-5\n9\n10\n",
        b"-6\t0\n-5\t1\n9\t1\n10\t2\n",
    );
    check(
        "--algorithm range --split-at 80 --input hex",
        b"7fff\n80\n\n",
        b"7fff\t0\n80\t1\n\t0\n",
    );
}

#[test]
fn the_ring_prints_distinct_replicas() {
    let (output, outcome) = run_on(
        "--algorithm ring --nodes a,b=3,c --replicas 3 --hash sha1",
        b"k\n",
    );
    outcome.unwrap();
    let line = String::from_utf8(output).unwrap();
    let mut nodes: Vec<&str> = line.trim_end().split_once('\t').unwrap().1.split(',').collect();
    nodes.sort_unstable();
    assert_eq!(nodes, ["a", "b", "c"]);
    let short = args("--algorithm ring --nodes a,b --replicas 3");
    let warning = Job::new(&short).unwrap().warning().unwrap();
    assert_eq!(
        warning,
        "3 replicas asked for, 2 nodes can hold keys: every key gets 2"
    );
}

#[test]
fn slots_are_the_default_and_follow_a_fresh_topology() {
    let nodes = NodeSpec::parse_list("a,b=2,c").unwrap();
    let (topology, _) = Topology::create(&TopologySpec::new(nodes, 3, 2)).unwrap();
    let keys: Vec<String> = (0..500).map(|i| format!("user:{i}")).collect();
    let line = |key: &String| {
        let names = topology.node_names(topology.shard_of(key.as_bytes()));
        format!("{key}\t{}\n", names.join(","))
    };
    let expected: String = keys.iter().map(line).collect();
    check(
        "--nodes a,b=2,c --replicas 2",
        keys.join("\n").as_bytes(),
        expected.as_bytes(),
    );
}

#[test]
fn integers_are_encoded_before_they_are_hashed() {
    let ring = "--algorithm modulo --hash md5 --buckets 1000";
    let bucket = |key: &[u8]| HashKind::Md5.digest_mod(key, 1000.try_into().unwrap());
    let line = |key: &[u8]| format!("42\t{}\n", bucket(key)).into_bytes();
    check(
        &format!("{ring} --input i64"),
        b"42",
        &line(&[0x80, 0, 0, 0, 0, 0, 0, 42]),
    );
    check(
        &format!("{ring} --input u64 --encoding decimal"),
        b"42",
        &line(b"42"),
    );
    let max = u64::MAX.to_string();
    let expected = format!("{max}\t{}\n", bucket(max.as_bytes()));
    check(
        &format!("{ring} --input u64 --encoding decimal"),
        max.as_bytes(),
        expected.as_bytes(),
    );
}

#[test]
fn bad_lines_are_named_and_what_came_before_is_printed() {
    let options = "--algorithm modulo --buckets 1 --input i64";
    let (output, outcome) = run_on(options, b"1\n2\nx\n3\n");
    assert_eq!(output, b"1\t0\n2\t0\n");
    let expected = "line 3: \"x\" is not a whole number from -9223372036854775808 to 9223372036854775807";
    assert_eq!(outcome.unwrap_err(), usage(expected));
    for line in ["", "+1", " 1", "1\r", "9223372036854775808"] {
        assert!(
            run_on(options, format!("{line}\n").as_bytes()).1.is_err(),
            "{line:?}"
        );
    }
    let hex = "--algorithm modulo --buckets 1 --input hex";
    check_refused(hex, b"0g\n", "line 1: \"0g\" is not pairs of hexadecimal digits");
    check_refused(
        hex,
        b"00\n012\n",
        "line 2: \"012\" is not pairs of hexadecimal digits",
    );
    check_refused(
        "--algorithm modulo --buckets 1 --input u64",
        b"9223372036854775808",
        "line 1: 9223372036854775808 is above 9223372036854775807, the largest integer the binary key encoding holds",
    );
}

#[test]
fn bad_usage_is_told_exactly() {
    let cases = [
        ("--algorithm ring", "ring needs --nodes N1,N2... or --buckets N"),
        (
            "--algorithm modulo",
            "modulo needs --nodes N1,N2... or --buckets N",
        ),
        (
            "--algorithm modulo --buckets 0",
            "no nodes: at least one is needed",
        ),
        (
            "--algorithm modulo --nodes a=2,b",
            "node \"a\" has weight 2: modulo knows no weights, use ring or slots",
        ),
        (
            "--algorithm modulo --nodes a --vnodes 3",
            "--vnodes has no meaning with --algorithm modulo",
        ),
        (
            "--algorithm range --nodes a",
            "range needs its split keys: --split-at A,B,C",
        ),
        (
            "--algorithm range --split-at b,a",
            "split key 1 (\"a\") is not above the one before it: split keys must ascend and differ",
        ),
        (
            "--algorithm range --split-at b --nodes a",
            "1 split keys make 2 ranges, 1 nodes are given",
        ),
        ("--nodes a,a", "node \"a\" is named twice"),
        (
            "--nodes a --hash siphash",
            "unknown hash \"siphash\": one of xxh3, xxh64, sha1, md5, crc32, murmur3",
        ),
        (
            "--nodes a --encoding hex",
            "unknown key encoding \"hex\": one of binary, decimal",
        ),
        (
            "--nodes a --replicas 0",
            "0 replicas: the primary counts, so at least 1 is needed",
        ),
        (
            "--algorithm ring --nodes a --vnodes 0",
            "0 virtual nodes: at least 1 is needed",
        ),
        (
            "--nodes a=0",
            "every node has weight 0: at least one must be able to hold keys",
        ),
    ];
    for (options, message) in cases {
        check_refused(options, b"key\n", message);
    }
    assert!(Command::try_parse_from(["route", "--algorithm", "compass"]).is_err());
    assert!(Command::try_parse_from(["route", "--nodes", "a", "--buckets", "2"]).is_err());
}

#[test]
fn a_reader_that_went_away_ends_the_command_quietly() {
    struct Gone;
    impl Write for Gone {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let args = args("--algorithm modulo --buckets 3");
    Job::new(&args)
        .unwrap()
        .route(BufReader::new(&b"a\n"[..]), Gone)
        .unwrap();
}
