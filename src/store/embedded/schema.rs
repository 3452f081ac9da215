//! The file: its directory and lock, its connections, its tables and their migrations.
//!
//! One file, since several attached ones are not committed atomically together in WAL mode.

use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, ErrorCode, OpenFlags};
use rustix::fs::{FlockOperation, flock};

/// Name of the database inside the store's directory.
pub const DATABASE_FILE: &str = "hostline.db";
/// Name of the file whose lock says that a process owns the directory.
const LOCK_FILE: &str = "hostline.lock";
/// Pages of log at which the writer moves them into the file by itself: 64 MiB. `checkpoint` does it
/// beside the writer much earlier; this bounds the log where that fails.
const CHECKPOINT_PAGES: i64 = 16_000;
/// Page cache of a reading connection. Readers hold a page for one query, so little is enough.
const READER_CACHE_BYTES: usize = 8 << 20;
/// More than the number of distinct statements, so that each is compiled once.
const STATEMENTS: usize = 128;
/// How long a connection waits for another's lock. Only recovery and checkpoints ever take one.
const BUSY: Duration = Duration::from_secs(5);

/// Each entry takes the file from the version of its index to the next.
pub(super) const MIGRATIONS: &[&str] = &[
    include_str!("schema.sql"),
    include_str!("dead_letters.sql"),
    include_str!("checksum.sql"),
    include_str!("records.sql"),
    include_str!("workspaces.sql"),
    include_str!("lanes.sql"),
    include_str!("reports.sql"),
];

/// Why a store could not be opened; says what a person can do.
#[derive(Debug)]
pub enum OpenError {
    /// The directory could not be made or written.
    Directory {
        /// Which.
        path: PathBuf,
        /// What the system said.
        why: String,
    },
    /// Another process has the store open.
    Locked {
        /// Which directory.
        path: PathBuf,
    },
    /// Written by a newer release.
    Newer {
        /// The file's schema version.
        found: i64,
        /// The newest that this release reads.
        known: i64,
    },
    /// The file is no database, or is damaged.
    Damaged {
        /// Which file.
        path: PathBuf,
        /// What the engine said.
        why: String,
    },
    /// Anything else.
    Failed {
        /// Which file.
        path: PathBuf,
        /// What the engine said.
        why: String,
    },
}

impl fmt::Display for OpenError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OpenError::Directory { path, why } => write!(
                formatter,
                "store.path {} cannot be used, as a directory whose files can be written: {why}",
                path.display()
            ),
            OpenError::Locked { path } => write!(
                formatter,
                "store.path {} is in use: another process has locked it; stop that one first, or \
                 give this one a directory of its own",
                path.display()
            ),
            OpenError::Newer { found, known } => write!(
                formatter,
                "the store has schema version {found}, newer than the {known} that this release \
                 knows; run a newer release"
            ),
            OpenError::Damaged { path, why } => write!(
                formatter,
                "{} is damaged or not a database of ours: {why}; stop here and copy the directory, \
                 then put a backup in its place, or save what can be read with `sqlite3 \
                 hostline.db .recover`, or move all its files away to begin with an empty store",
                path.display()
            ),
            OpenError::Failed { path, why } => {
                write!(formatter, "{} could not be opened: {why}", path.display())
            }
        }
    }
}

impl std::error::Error for OpenError {}

/// The lock on a store's directory; given back when dropped, and by the system when the process
/// dies in whatever way.
#[derive(Debug)]
pub(super) struct DirectoryLock(#[expect(dead_code, reason = "held, not read")] File);

/// Makes the directory where it is missing and locks it.
pub(super) fn lock(path: &Path) -> Result<DirectoryLock, OpenError> {
    let refused =
        |error: std::io::Error| OpenError::Directory { path: path.into(), why: error.to_string() };
    fs::create_dir_all(path).map_err(refused)?;
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path.join(LOCK_FILE))
        .map_err(refused)?;
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(DirectoryLock(file)),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(OpenError::Locked { path: path.into() }),
        Err(error) => Err(refused(error.into())),
    }
}

/// Opens the writing connection and brings the tables up to date.
pub(super) fn open_writer(file: &Path, cache_bytes: usize) -> Result<Connection, OpenError> {
    let mut connection = connect(file, cache_bytes).map_err(|error| explain(file, &error))?;
    let version = version(&connection).map_err(|error| explain(file, &error))?;
    let known = MIGRATIONS.len() as i64;
    if version > known {
        return Err(OpenError::Newer { found: version, known });
    }
    let missing = MIGRATIONS.get(usize::try_from(version).unwrap_or(0)..).unwrap_or_default();
    for (migration, to) in missing.iter().zip(version + 1..) {
        migrate(&mut connection, migration, to).map_err(|error| explain(file, &error))?;
    }
    // The engine opens what it may only read, too, and would refuse every write later.
    let writable = connection.execute_batch("BEGIN IMMEDIATE; ROLLBACK");
    writable.map_err(|error| explain(file, &error))?;
    Ok(connection)
}

/// Opens the writing connection of a file whose tables are known to be up to date.
pub(super) fn connect(file: &Path, cache_bytes: usize) -> rusqlite::Result<Connection> {
    let connection = Connection::open(file)?;
    connection.busy_timeout(BUSY)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    // The page size binds only while the file is empty, and must precede the log mode.
    connection.pragma_update(None, "page_size", 4096)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT_PAGES)?;
    set_memory(&connection, cache_bytes)?;
    Ok(connection)
}

/// Opens a connection that only reads.
pub(super) fn open_reader(file: &Path) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(file, flags)?;
    connection.busy_timeout(BUSY)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    set_memory(&connection, READER_CACHE_BYTES)?;
    Ok(connection)
}

/// Opens a connection that only moves the log into the file.
pub(super) fn connect_to_checkpoint(file: &Path) -> rusqlite::Result<Connection> {
    let connection = Connection::open(file)?;
    connection.busy_timeout(BUSY)?;
    // What is moved has to be on the disk in the log first, and in the file before the log begins
    // anew.
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "wal_autocheckpoint", 0)?;
    set_memory(&connection, READER_CACHE_BYTES)?;
    Ok(connection)
}

/// Moves what it can of the log into the file, without holding up anyone; how many pages are left.
pub(super) fn checkpoint_some(connection: &Connection) -> rusqlite::Result<i64> {
    connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| {
        let (logged, moved): (i64, i64) = (row.get(1)?, row.get(2)?);
        Ok(logged - moved)
    })
}

/// Moves the whole log into the file and syncs it; whether all of it went.
pub(super) fn checkpoint(connection: &Connection) -> rusqlite::Result<bool> {
    let busy: i64 =
        connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))?;
    Ok(busy == 0)
}

/// Whether an error means that the file itself is beyond use.
pub(super) fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase))
}

fn set_memory(connection: &Connection, cache_bytes: usize) -> rusqlite::Result<()> {
    // Negative means KiB. Mapped files answer I/O errors with a signal, so none is mapped.
    let kib = i64::try_from(cache_bytes / 1024).unwrap_or(i64::MAX).max(64);
    connection.pragma_update(None, "cache_size", -kib)?;
    connection.pragma_update(None, "mmap_size", 0)?;
    connection.pragma_update(None, "temp_store", "MEMORY")
}

fn version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

fn migrate(connection: &mut Connection, migration: &str, to: i64) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    transaction.execute_batch(migration)?;
    transaction.pragma_update(None, "user_version", to)?;
    transaction.commit()
}

pub(super) fn explain(file: &Path, error: &rusqlite::Error) -> OpenError {
    let (path, why) = (file.to_path_buf(), error.to_string());
    match error.sqlite_error_code() {
        _ if is_damage(error) => OpenError::Damaged { path, why },
        Some(ErrorCode::CannotOpen | ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
            OpenError::Directory { path, why }
        }
        _ => OpenError::Failed { path, why },
    }
}
