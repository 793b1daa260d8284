//! SQLite.

use std::path::PathBuf;
use std::time::Duration;

use rusqlite::types::ValueRef;
use rusqlite::{Connection, Row, params};

use crate::storage::Result;
use crate::storage::engine::{Engine, Key, Promise, Reader, Setup, Store, Writer};

const PUT: &str = "INSERT INTO kv VALUES (?1, ?2) ON CONFLICT (k) DO UPDATE SET v = excluded.v";
const GET: &str = "SELECT v FROM kv WHERE k = ?1";
const SCAN: &str = "SELECT k, v FROM kv WHERE k >= ?1 ORDER BY k LIMIT ?2";

/// See the module. Every thread has a connection of its own.
pub struct Sqlite {
    path: PathBuf,
    promise: Promise,
}

impl Sqlite {
    fn connect(&self) -> Result<Connection> {
        let connection = Connection::open(&self.path)?;
        connection.busy_timeout(Duration::from_secs(20))?;
        let synchronous = match self.promise {
            Promise::Buffered => "NORMAL",
            Promise::Durable => "FULL",
        };
        connection.execute_batch(&format!(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = {synchronous}; PRAGMA cache_size = -524288;
             PRAGMA mmap_size = 17179869184; PRAGMA wal_autocheckpoint = 16384;"
        ))?;
        Ok(connection)
    }
}

impl Engine for Sqlite {
    type Writer<'e> = SqliteWriter;

    const BATCH: Option<usize> = Some(1000);

    fn open(setup: &Setup) -> Result<Sqlite> {
        std::fs::create_dir_all(&setup.dir)?;
        let sqlite = Sqlite {
            path: setup.dir.join("data.sqlite"),
            promise: setup.promise,
        };
        let table = "CREATE TABLE IF NOT EXISTS kv (k BLOB PRIMARY KEY, v BLOB NOT NULL) WITHOUT ROWID";
        sqlite.connect()?.execute_batch(table)?;
        Ok(sqlite)
    }

    fn writer(&self, _thread: usize) -> Result<SqliteWriter> {
        Ok(SqliteWriter(self.connect()?))
    }

    fn settle(&mut self) -> Result<()> {
        Ok(self
            .connect()?
            .execute_batch("VACUUM; PRAGMA wal_checkpoint(TRUNCATE);")?)
    }

    fn close(self) -> Result<()> {
        // The last connection to go has checkpointed.
        Ok(())
    }
}

/// Puts.
pub struct SqliteWriter(Connection);

impl Writer for SqliteWriter {
    fn put(&mut self, key: &Key, value: &[u8]) -> Result<()> {
        self.0.prepare_cached(PUT)?.execute(params![&key[..], value])?;
        Ok(())
    }

    fn put_many(&mut self, pairs: &[(Key, Vec<u8>)]) -> Result<()> {
        let txn = self
            .0
            .transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        {
            let mut put = txn.prepare_cached(PUT)?;
            for (key, value) in pairs {
                put.execute(params![&key[..], value])?;
            }
        }
        Ok(txn.commit()?)
    }
}

impl Store for Sqlite {
    type Reader<'e> = SqliteReader;

    fn reader(&self, held: bool) -> Result<SqliteReader> {
        let connection = self.connect()?;
        if held {
            connection.execute_batch("BEGIN")?;
        }
        Ok(SqliteReader(connection))
    }
}

/// Reads. A transaction that was begun lasts as long as the connection.
pub struct SqliteReader(Connection);

fn blob<'r>(row: &'r Row<'_>, column: usize) -> Result<&'r [u8]> {
    match row.get_ref(column)? {
        ValueRef::Blob(bytes) => Ok(bytes),
        other => Err(format!("not a blob but {}", other.data_type()).into()),
    }
}

fn get(connection: &Connection, key: &Key, see: impl FnOnce(&[u8])) -> Result<bool> {
    let mut get = connection.prepare_cached(GET)?;
    let mut rows = get.query(params![&key[..]])?;
    match rows.next()? {
        Some(row) => {
            see(blob(row, 0)?);
            Ok(true)
        }
        None => Ok(false),
    }
}

impl Reader for SqliteReader {
    fn get(&mut self, key: &Key, see: impl FnOnce(&[u8])) -> Result<bool> {
        get(&self.0, key, see)
    }

    fn multi_get(&mut self, keys: &[Key], mut see: impl FnMut(usize, &[u8])) -> Result<()> {
        let txn = self.0.transaction()?;
        for (place, key) in keys.iter().enumerate() {
            get(&txn, key, |value| see(place, value))?;
        }
        Ok(txn.commit()?)
    }

    fn scan(&mut self, from: &Key, limit: usize, mut see: impl FnMut(&[u8], &[u8])) -> Result<()> {
        let mut scan = self.0.prepare_cached(SCAN)?;
        let limit = i64::try_from(limit).unwrap_or(-1);
        let mut rows = scan.query(params![&from[..], limit])?;
        while let Some(row) = rows.next()? {
            see(blob(row, 0)?, blob(row, 1)?);
        }
        Ok(())
    }
}
