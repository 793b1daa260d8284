//! Who does what when: every row is measured engine by engine before the next one begins.
//!
//! In: a plan. Out: all results. Each round of a row starts with another engine, so that a machine that
//! slows down slows down everybody. An engine that fails is left out from there on and named as failed.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use super::Result;
use super::engine::{Promise, Setup};
use super::engines::{Kind, Named};
use super::keys::Choice;
use super::plan::Plan;
use super::process::Worker;
use super::results::{Figures, Results};
use super::work::Job;
use super::worker::Command;

/// Measures everything.
pub fn conduct(plan: &Plan) -> Result<Results> {
    let mut conductor = Conductor {
        plan,
        results: Results::default(),
        failed: Vec::new(),
        next_number: 1 << 40,
    };
    if plan.dir.exists() {
        fs::remove_dir_all(&plan.dir)?;
    }
    fs::create_dir_all(&plan.dir)?;
    conductor.fresh_fills()?;
    if plan.needs_keys() {
        conductor.loaded()?;
        conductor.openings()?;
    }
    conductor.durable()?;
    fs::remove_dir_all(&plan.dir)?;
    Ok(conductor.results)
}

struct Conductor<'p> {
    plan: &'p Plan,
    results: Results,
    failed: Vec<Named>,
    /// Keys that nobody has put yet begin here.
    next_number: u64,
}

/// A row of a loaded engine: its name, how often at most, and what to do.
type Row = (&'static str, usize, Job);

impl Conductor<'_> {
    /// Those of `kinds` that still take part, another one first in every round.
    fn engines(&self, kinds: &[Kind], round: usize) -> Vec<Named> {
        let all = self.plan.engines.iter().copied();
        let mut engines: Vec<Named> = all
            .filter(|engine| kinds.contains(&engine.kind()) && !self.failed.contains(engine))
            .collect();
        if !engines.is_empty() {
            let by = round % engines.len();
            engines.rotate_left(by);
        }
        engines
    }

    fn new_numbers(&mut self) -> u64 {
        self.next_number += 1 << 32;
        self.next_number
    }

    /// Keeps figures, or the failure and who is out because of it.
    fn note(&mut self, row: &str, engine: Named, outcome: Result<Figures>) {
        match outcome {
            Ok(figures) => {
                let rate = figures.get("all_rate").or(figures.get("rate"));
                let main = rate.or(figures.get("seconds")).or(figures.get("missing"));
                eprintln!("{row:<22} {:<12} {:>14.3}", engine.id(), main.unwrap_or(f64::NAN));
                self.results.add(row, engine.id(), figures);
            }
            Err(fault) => {
                eprintln!("{row:<22} {:<12} failed: {fault}", engine.id());
                self.results
                    .failures
                    .push(format!("{} at `{row}`: {fault}", engine.title()));
                self.failed.push(engine);
            }
        }
    }

    fn dir(&self, engine: Named, what: &str) -> PathBuf {
        self.plan.dir.join(format!("{}-{what}", engine.id()))
    }

    fn worker(&self, engine: Named, value_bytes: usize) -> Result<Worker> {
        Worker::start(engine, self.plan.records, value_bytes)
    }

    /// Fills of new, empty engines.
    fn fresh_fills(&mut self) -> Result<()> {
        let both = [Kind::Store, Kind::Log];
        for round in 0..self.plan.rounds {
            for (row, threads, batched) in [
                ("fill-1", 1, false),
                ("fill-2", 2, false),
                ("fill-batch", 1, true),
                ("fill-1k", 1, false),
                ("burst-1", 1, false),
                ("burst-2", 2, false),
            ] {
                if !self.plan.wants(row) {
                    continue;
                }
                let bursts = row.starts_with("burst");
                for engine in self.engines(&both, round) {
                    // Only Atoll lets its user choose to tidy up later.
                    if bursts && engine != Named::Atoll {
                        continue;
                    }
                    let is_1k = row == "fill-1k";
                    let job = Job::Fill {
                        from: 0,
                        count: if is_1k {
                            self.plan.records / 4
                        } else {
                            self.plan.records
                        },
                        threads,
                        batched,
                        loads: false,
                        seconds: self.plan.fill_seconds,
                    };
                    let value_bytes = if is_1k { 1024 } else { self.plan.value_bytes };
                    let figures = self.fresh_fill(engine, value_bytes, !bursts, job);
                    self.note(row, engine, figures);
                }
            }
        }
        Ok(())
    }

    fn fresh_fill(&self, engine: Named, value_bytes: usize, tidies: bool, job: Job) -> Result<Figures> {
        let dir = self.dir(engine, "fill");
        let mut worker = self.worker(engine, value_bytes)?;
        let setup = Setup {
            dir: dir.clone(),
            promise: Promise::Buffered,
            tidies,
        };
        worker.ask(&Command::Open { setup, probe: None })?;
        let mut figures = worker.ask(&Command::Work {
            job,
            watch_disk: false,
        })?;
        let after = worker.ask(&Command::Rest)?.get("seconds").unwrap_or(0.0);
        if let (Some(operations), Some(seconds)) = (figures.get("operations"), figures.get("seconds")) {
            figures.set("sustained", operations / (seconds + after));
        }
        worker.close()?;
        fs::remove_dir_all(&dir)?;
        Ok(figures)
    }

    /// Engines with all keys: loaded, scanned, settled, read, overwritten.
    fn loaded(&mut self) -> Result<()> {
        let mut workers = Vec::new();
        for engine in self.engines(&[Kind::Store], 0) {
            match self.load(engine) {
                Ok((worker, figures)) => {
                    workers.push((engine, worker));
                    self.note("load", engine, Ok(figures));
                }
                Err(fault) => self.note("load", engine, Err(fault)),
            }
        }
        self.rows(
            &mut workers,
            &[
                ("scan-filled-first", 1, Job::ScanAll),
                ("scan-filled", 3, Job::ScanAll),
            ],
        );
        self.each(&mut workers, "settle", |worker| {
            let mut figures = worker.ask(&Command::Settle)?;
            worker.ask(&Command::Rest)?;
            figures.0.extend(worker.ask(&Command::Usage)?.0);
            Ok(figures)
        });
        self.rows(&mut workers, &self.reads());
        self.each(&mut workers, "memory", |worker| worker.ask(&Command::Usage));
        self.rows(&mut workers, &self.writes());
        self.each(&mut workers, "after", |worker| worker.ask(&Command::Usage));
        for (engine, worker) in workers {
            if !self.failed.contains(&engine) {
                let closed = worker.close();
                self.note("close", engine, closed);
            }
        }
        Ok(())
    }

    fn load(&self, engine: Named) -> Result<(Worker, Figures)> {
        let mut worker = self.worker(engine, self.plan.value_bytes)?;
        worker.ask(&Command::Prepare)?;
        let setup = Setup {
            dir: self.dir(engine, "loaded"),
            promise: Promise::Buffered,
            tidies: true,
        };
        worker.ask(&Command::Open { setup, probe: None })?;
        let job = Job::Fill {
            from: 0,
            count: self.plan.records,
            threads: 1,
            batched: false,
            loads: true,
            seconds: 1e6,
        };
        let figures = worker.ask(&Command::Work {
            job,
            watch_disk: true,
        })?;
        worker.ask(&Command::Rest)?;
        Ok((worker, figures))
    }

    fn reads(&self) -> Vec<Row> {
        let seconds = self.plan.seconds;
        let get = |threads, choice, hit, held| Job::Get {
            threads,
            choice,
            hit,
            held,
            seconds,
        };
        let (even, few) = (Choice::Uniform, Choice::Zipfian);
        vec![
            ("scan-settled", usize::MAX, Job::ScanAll),
            ("get-1", usize::MAX, get(1, even, true, false)),
            ("get-2", usize::MAX, get(2, even, true, false)),
            ("get-held-1", usize::MAX, get(1, even, true, true)),
            ("get-held-2", usize::MAX, get(2, even, true, true)),
            ("get-zipfian-1", usize::MAX, get(1, few, true, false)),
            ("get-zipfian-2", usize::MAX, get(2, few, true, false)),
            ("miss-1", usize::MAX, get(1, even, false, false)),
            ("miss-2", usize::MAX, get(2, even, false, false)),
            ("multi-get-1", usize::MAX, Job::MultiGet { threads: 1, seconds }),
            ("multi-get-2", usize::MAX, Job::MultiGet { threads: 2, seconds }),
            ("scan-100", usize::MAX, Job::ScanSome { limit: 100, seconds }),
        ]
    }

    fn writes(&self) -> Vec<Row> {
        let seconds = self.plan.seconds;
        let mix = |reads, threads, choice| Job::Mix {
            reads,
            threads,
            choice,
            seconds,
        };
        let (even, few) = (Choice::Uniform, Choice::Zipfian);
        vec![
            ("ycsb-b-1", usize::MAX, mix(95, 1, few)),
            ("ycsb-b-2", usize::MAX, mix(95, 2, few)),
            ("ycsb-a-1", usize::MAX, mix(50, 1, few)),
            ("ycsb-a-2", usize::MAX, mix(50, 2, few)),
            ("overwrite-1", usize::MAX, mix(0, 1, even)),
            ("overwrite-2", usize::MAX, mix(0, 2, even)),
            ("overwrite-zipfian-1", usize::MAX, mix(0, 1, few)),
            (
                "beside",
                usize::MAX,
                Job::Beside {
                    seconds: 4.0 * seconds,
                },
            ),
        ]
    }

    /// Every round of a row before the next row; writers rest after their turn.
    fn rows(&mut self, workers: &mut [(Named, Worker)], rows: &[Row]) {
        for (row, most, job) in rows.iter().filter(|(row, ..)| self.plan.wants(row)) {
            let writes = matches!(job, Job::Mix { .. } | Job::Beside { .. } | Job::Append { .. });
            for round in 0..self.plan.rounds.min(*most) {
                let by = round % workers.len().max(1);
                for i in 0..workers.len() {
                    let len = workers.len();
                    let (engine, worker) = &mut workers[(i + by) % len];
                    if self.failed.contains(engine) {
                        continue;
                    }
                    let mut job = job.clone();
                    if let Job::Append { from, .. } = &mut job {
                        *from = self.next_number;
                        self.next_number += 1 << 32;
                    }
                    let command = Command::Work {
                        job,
                        watch_disk: false,
                    };
                    let figures = worker.ask(&command).and_then(|figures| {
                        if writes {
                            worker.ask(&Command::Rest)?;
                        }
                        Ok(figures)
                    });
                    self.note(row, *engine, figures);
                }
            }
        }
    }

    fn each(
        &mut self,
        workers: &mut [(Named, Worker)],
        row: &str,
        mut work: impl FnMut(&mut Worker) -> Result<Figures>,
    ) {
        for (engine, worker) in workers {
            if !self.failed.contains(engine) {
                let figures = work(worker);
                self.note(row, *engine, figures);
            }
        }
    }

    /// Opening what was closed, and what was killed.
    fn openings(&mut self) -> Result<()> {
        for round in 0..self.plan.rounds {
            for engine in self.engines(&[Kind::Store], round) {
                if self.plan.wants("open-clean") {
                    let figures = self.open_clean(engine);
                    self.note("open-clean", engine, figures);
                }
            }
        }
        for round in 0..self.plan.rounds {
            for engine in self.engines(&[Kind::Store], round) {
                if self.plan.wants("open-killed") {
                    let from = self.new_numbers();
                    let figures = self.open_killed(engine, from);
                    self.note("open-killed", engine, figures);
                }
            }
        }
        Ok(())
    }

    fn setup(&self, engine: Named, promise: Promise) -> Setup {
        Setup {
            dir: self.dir(engine, "loaded"),
            promise,
            tidies: true,
        }
    }

    fn open_clean(&self, engine: Named) -> Result<Figures> {
        let mut worker = self.worker(engine, self.plan.value_bytes)?;
        let open = Command::Open {
            setup: self.setup(engine, Promise::Buffered),
            probe: Some(0),
        };
        let mut figures = worker.ask(&open)?;
        figures.0.extend(worker.ask(&Command::Usage)?.0);
        worker.close()?;
        Ok(figures)
    }

    fn open_killed(&self, engine: Named, from: u64) -> Result<Figures> {
        let count = self.plan.dir.join("acknowledged");
        fs::write(&count, [0; 8])?;
        let open = Command::Open {
            setup: self.setup(engine, Promise::Buffered),
            probe: Some(0),
        };
        let mut victim = self.worker(engine, self.plan.value_bytes)?;
        victim.ask(&open)?;
        victim.tell(&Command::PutUntilKilled {
            from,
            count: count.clone(),
        })?;
        std::thread::sleep(Duration::from_secs_f64(self.plan.seconds.max(0.3)));
        victim.kill()?;
        let acknowledged = fs::read(&count)?;
        let acknowledged = u64::from_le_bytes(acknowledged.as_slice().try_into()?);
        let mut worker = self.worker(engine, self.plan.value_bytes)?;
        let mut figures = worker.ask(&open)?;
        let missing = Command::Missing {
            from,
            count: acknowledged,
        };
        figures.0.extend(worker.ask(&missing)?.0);
        figures.set("acknowledged", acknowledged as f64);
        worker.close()?;
        Ok(figures)
    }

    /// Puts that wait for the disk, beside a loop that does nothing else.
    fn durable(&mut self) -> Result<()> {
        if !self.plan.wants_any(&["durable-1", "durable-8"]) {
            return Ok(());
        }
        let mut workers = Vec::new();
        for engine in self.engines(&[Kind::Store, Kind::Log, Kind::Floor], 0) {
            let setup = self.setup(engine, Promise::Durable);
            let mut worker = self.worker(engine, self.plan.value_bytes)?;
            match worker.ask(&Command::Open { setup, probe: None }) {
                Ok(_) => workers.push((engine, worker)),
                Err(fault) => self.note("durable-1", engine, Err(fault)),
            }
        }
        let seconds = self.plan.seconds.min(1.0);
        let append = |threads| Job::Append {
            from: 0,
            threads,
            seconds,
        };
        // The disk is what varies most, so it is asked more often.
        for _ in 0..2 {
            let rows = [
                ("durable-1", usize::MAX, append(1)),
                ("durable-8", usize::MAX, append(8)),
            ];
            self.rows(&mut workers, &rows);
        }
        for (engine, worker) in workers {
            if !self.failed.contains(&engine) {
                let closed = worker.close();
                self.note("close-durable", engine, closed);
            }
        }
        Ok(())
    }
}
