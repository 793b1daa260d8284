//! The process of one engine: takes commands, one a line, and answers each.
//!
//! In: commands as JSON on stdin. Out: answers as JSON on stdout, nothing else. Ends with `Close`, when
//! stdin ends, or by being killed, which is one of the things that are measured.

use std::io::{BufRead, Write};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::engine::{Engine, Reader, Setup, Store};
use super::engines::{Atoll, Device, Fjall, Lmdb, Named, RaftEngine, Redb, Rocks, Sqlite};
use super::keys::{Choice, expect_fit, key};
use super::results::Figures;
use super::work::{self, Ground, Job};
use super::{Result, machine};

/// The longest wait for work in the background.
const REST_LIMIT: Duration = Duration::from_secs(60);

/// What a worker can be told.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum Command {
    /// Prepares choices, so that their memory is not taken for the engine's.
    Prepare,
    /// Opens the engine. Answers `seconds`, which include a get of key number `probe` if there is one.
    Open {
        /// How.
        setup: Setup,
        /// A key that is there.
        probe: Option<u64>,
    },
    /// Does a job.
    Work {
        /// What.
        job: Job,
        /// Watch how much disk it takes meanwhile: `peak_disk_bytes`.
        watch_disk: bool,
    },
    /// Has the engine order its files. Answers `seconds`.
    Settle,
    /// Waits until the engine's threads have nothing to do. Answers `seconds`.
    Rest,
    /// Answers `anonymous_bytes`, `disk_bytes` and `written_bytes`, of which the first since the opening.
    Usage,
    /// Puts keys until killed; never answers.
    PutUntilKilled {
        /// First number.
        from: u64,
        /// File that counts.
        count: PathBuf,
    },
    /// Answers how many keys are `missing`.
    Missing {
        /// First number.
        from: u64,
        /// How many there should be.
        count: u64,
    },
    /// Closes the engine and ends. Answers `seconds`.
    Close,
}

/// An answer: figures, or what went wrong.
pub type Answer = std::result::Result<Figures, String>;

/// Serves commands for `engine` until told to close.
pub fn serve(engine: Named, ground: &Ground) -> Result<()> {
    match engine {
        Named::Atoll => serve_store::<Atoll>(ground),
        Named::Rocksdb => serve_store::<Rocks>(ground),
        Named::Lmdb => serve_store::<Lmdb>(ground),
        Named::Redb => serve_store::<Redb>(ground),
        Named::Fjall => serve_store::<Fjall>(ground),
        Named::Sqlite => serve_store::<Sqlite>(ground),
        Named::RaftEngine => serve_with::<RaftEngine>(ground, &Abilities::log()),
        Named::Device => serve_with::<Device>(ground, &Abilities::log()),
    }
}

/// What can be asked of an engine of one type.
struct Abilities<E> {
    work: fn(&E, &Ground, &Job) -> Result<Figures>,
    probe: fn(&E, &Ground, u64) -> Result<()>,
    missing: fn(&E, &Ground, u64, u64) -> Result<u64>,
}

impl<E: Engine> Abilities<E> {
    fn log() -> Abilities<E> {
        Abilities {
            work: work::append::<E>,
            probe: |_, _, _| Err("a log cannot be asked for a key".into()),
            missing: |_, _, _, _| Err("a log cannot be asked for keys".into()),
        }
    }
}

fn serve_store<S: Store>(ground: &Ground) -> Result<()> {
    let abilities = Abilities {
        work: work::all::<S>,
        probe: |store: &S, ground, n| {
            let mut fits = false;
            store
                .reader(false)?
                .get(&key(n), |value| fits = ground.values.fits(n, value))?;
            expect_fit(fits, n)
        },
        missing: work::fill::missing::<S>,
    };
    serve_with(ground, &abilities)
}

fn serve_with<E: Engine>(ground: &Ground, abilities: &Abilities<E>) -> Result<()> {
    let mut state = State {
        ground,
        abilities,
        engine: None,
        setup: None,
        baseline: 0,
    };
    for line in std::io::stdin().lock().lines() {
        let command: Command = serde_json::from_str(&line?)?;
        let answer: Answer = state.obey(&command).map_err(|fault| fault.to_string());
        let mut out = std::io::stdout().lock();
        serde_json::to_writer(&mut out, &answer)?;
        out.write_all(b"\n")?;
        out.flush()?;
        if matches!(command, Command::Close) {
            break;
        }
    }
    Ok(())
}

struct State<'g, E> {
    ground: &'g Ground,
    abilities: &'g Abilities<E>,
    engine: Option<E>,
    setup: Option<Setup>,
    baseline: u64,
}

impl<E: Engine> State<'_, E> {
    fn obey(&mut self, command: &Command) -> Result<Figures> {
        match command {
            Command::Prepare => {
                self.ground.draws(Choice::Zipfian);
                Ok(Figures::default())
            }
            Command::Open { setup, probe } => self.open(setup, *probe),
            Command::Work { job, watch_disk } => self.work(job, *watch_disk),
            Command::Settle => {
                let engine = self.engine.as_mut().ok_or("not open")?;
                timed(|| engine.settle())
            }
            Command::Rest => {
                let seconds = machine::rest(REST_LIMIT)?;
                Ok(Figures::one("seconds", seconds))
            }
            Command::Usage => {
                let setup = self.setup.as_ref().ok_or("not open")?;
                let mut figures = Figures::default();
                let anonymous = machine::anonymous_bytes()?.saturating_sub(self.baseline);
                figures.set("anonymous_bytes", anonymous as f64);
                figures.set("disk_bytes", machine::disk_bytes(&setup.dir)? as f64);
                figures.set("written_bytes", machine::written_bytes()? as f64);
                Ok(figures)
            }
            Command::PutUntilKilled { from, count } => {
                work::fill::until_killed(self.engine()?, self.ground, *from, count)?;
                Err("was not killed".into())
            }
            Command::Missing { from, count } => {
                let missing = (self.abilities.missing)(self.engine()?, self.ground, *from, *count)?;
                Ok(Figures::one("missing", missing as f64))
            }
            Command::Close => {
                let engine = self.engine.take().ok_or("not open")?;
                timed(|| engine.close())
            }
        }
    }

    fn engine(&self) -> Result<&E> {
        Ok(self.engine.as_ref().ok_or("not open")?)
    }

    fn open(&mut self, setup: &Setup, probe: Option<u64>) -> Result<Figures> {
        self.setup = Some(setup.clone());
        self.baseline = machine::anonymous_bytes()?;
        let began = Instant::now();
        let engine = E::open(setup)?;
        if let Some(n) = probe {
            (self.abilities.probe)(&engine, self.ground, n)?;
        }
        let seconds = began.elapsed().as_secs_f64();
        self.engine = Some(engine);
        Ok(Figures::one("seconds", seconds))
    }

    /// Does a job. Beside its own figures there are `cpu_ns`, processor time for each operation, threads in
    /// the background included, and `other_cores`, what other programs took of the processors meanwhile.
    fn work(&self, job: &Job, watch_disk: bool) -> Result<Figures> {
        let engine = self.engine()?;
        let dir = &self.setup.as_ref().ok_or("not open")?.dir;
        let (own, all, began) = (machine::processor_time()?, machine::taken_time()?, Instant::now());
        let work = || (self.abilities.work)(engine, self.ground, job);
        let mut figures = if watch_disk {
            let (figures, peak) = machine::peak_disk_bytes(dir, work);
            let mut figures = figures?;
            figures.set("peak_disk_bytes", peak as f64);
            figures
        } else {
            work()?
        };
        let own = machine::processor_time()? - own;
        let others = (machine::taken_time()? - all).saturating_sub(own);
        figures.set(
            "other_cores",
            others.as_secs_f64() / began.elapsed().as_secs_f64(),
        );
        if let Some(operations) = figures.get("operations") {
            figures.set("cpu_ns", own.as_secs_f64() * 1e9 / operations);
        }
        Ok(figures)
    }
}

fn timed(work: impl FnOnce() -> Result<()>) -> Result<Figures> {
    let began = Instant::now();
    work()?;
    Ok(Figures::one("seconds", began.elapsed().as_secs_f64()))
}
