//! Reads and overwrites together, as in the workloads A and B of YCSB, and side by side.
//!
//! In: how many of each. Out: rates and times of both, apart.

use super::Ground;
use crate::storage::Result;
use crate::storage::engine::{Reader, Store, Writer};
use crate::storage::keys::{Choice, Picker, expect_fit, key};
use crate::storage::measure::{FAST, Until, run};
use crate::storage::results::Figures;

/// Of a hundred operations, `reads` get a key and the others give it a new value with a put of its own.
pub fn mix<S: Store>(
    store: &S,
    ground: &Ground,
    reads: u64,
    threads: usize,
    choice: Choice,
    seconds: f64,
) -> Result<Figures> {
    let draws = ground.draws(choice);
    run(threads, Until::seconds(seconds), FAST, 1, |thread| {
        let mut hand = Hand::new(store, ground, draws.picker(thread as u64), thread)?;
        Ok(move |i| {
            if hand.picker.bits() % 100 < reads {
                hand.read()
            } else {
                hand.write(i)
            }
        })
    })
}

/// One thread overwrites keys as fast as it can, so that there is something to tidy up in the background;
/// another reads.
pub fn beside<S: Store>(store: &S, ground: &Ground, seconds: f64) -> Result<Figures> {
    let draws = ground.draws(Choice::Uniform);
    run(2, Until::seconds(seconds), FAST, 1, |thread| {
        let mut hand = Hand::new(store, ground, draws.picker(thread as u64), thread)?;
        Ok(move |i| if thread == 0 { hand.write(i) } else { hand.read() })
    })
}

/// A thread's means of reading and writing.
struct Hand<'g, R, W> {
    reader: R,
    writer: W,
    picker: Picker,
    ground: &'g Ground,
    value: Vec<u8>,
}

impl<'g, R: Reader, W: Writer> Hand<'g, R, W> {
    fn new<'s, S>(store: &'s S, ground: &'g Ground, picker: Picker, thread: usize) -> Result<Hand<'g, R, W>>
    where
        S: Store<Reader<'s> = R, Writer<'s> = W> + 's,
    {
        Ok(Hand {
            reader: store.reader(false)?,
            writer: store.writer(thread)?,
            picker,
            ground,
            value: Vec::new(),
        })
    }

    #[inline]
    fn read(&mut self) -> Result<usize> {
        let n = self.picker.pick();
        let mut fits = false;
        self.reader
            .get(&key(n), |value| fits = self.ground.values.fits(n, value))?;
        expect_fit(fits, n)?;
        Ok(0)
    }

    #[inline]
    fn write(&mut self, version: u64) -> Result<usize> {
        let n = self.picker.pick();
        self.ground.values.write(n, version, &mut self.value);
        self.writer.put(&key(n), &self.value)?;
        Ok(1)
    }
}
