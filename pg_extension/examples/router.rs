//! Routes keys by a router's bytes, as every other language does: `Router::from_bytes` stands behind them all.
//!
//! In: `int` or `text`, and the bytes in hexadecimal digits; keys on standard input, a line each. Out: a line
//! `KEY|NODE` for each key. Must never: know anything else of the table whose keys these are.

use std::error::Error;
use std::io::{self, BufRead};

use atoll::routing::{KeyEncoding, KeyRef, Router, encode_key};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(kind), Some(hex)) = (arguments.next(), arguments.next()) else {
        return Err("usage: router int|text HEX < keys".into());
    };
    let digits = |at: usize| hex.get(at..at + 2).ok_or("an odd number of digits");
    let bytes = (0..hex.len())
        .step_by(2)
        .map(|at| Ok(u8::from_str_radix(digits(at)?, 16)?))
        .collect::<Result<Vec<u8>, Box<dyn Error>>>()?;
    let router = Router::from_bytes(&bytes)?;
    for line in io::stdin().lock().lines() {
        let line = line?;
        let key = match kind.as_str() {
            "int" => encode_key(&KeyRef::Int(line.parse()?), KeyEncoding::Binary),
            _ => line.clone().into_bytes().into(),
        };
        println!("{line}|{}", router.node(&key)?);
    }
    Ok(())
}
