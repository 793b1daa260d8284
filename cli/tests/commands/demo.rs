//! The demonstration on a small file, from beginning to end.

use crate::run::Place;

#[test]
fn the_demonstration_holds_and_leaves_what_was_asked_for() {
    let place = Place::new();
    let rows: String = (0..500).map(|id| format!("user{id},name {id}\n")).collect();
    place.write("users.csv", format!("id,name\n{rows}user7,changed\n"));
    let args = [
        "demo",
        "--data",
        "users.csv",
        "--key",
        "id",
        "--keep",
        "kept",
        "--svg",
        "picture.svg",
    ];
    let done = place.run(&args).code(0);
    let done = done
        .mentions("took over in epoch")
        .mentions("moved between two old nodes: 0 keys");
    done.mentions("500 records").mentions("All of it held");
    assert!(place.read("picture.svg").contains("n5"));
    place.run(&["count", "kept"]).prints("500\n");
    place
        .run(&["get", "kept", "user7"])
        .prints("{\"id\":\"user7\",\"name\":\"changed\"}\n");
    place.run(&args).code(2).says("kept is not empty");
    place.run(&["demo", "--data", "users.csv"]).code(2).says("--key");
    place
        .run(&["demo", "--data", "missing.csv", "--key", "id"])
        .code(1)
        .says("missing.csv");
}
