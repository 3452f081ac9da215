//! Whether the files are what they should be: found out when they are opened, and while they are
//! read. SQLite has no checksums in its file and drops the rest of a log at the first bad frame
//! without a word, so what it cannot tell is kept beside it.
//!
//! - `hostline.commits` holds the number of the last commit that was acknowledged, and its time.
//!   It is written after each one without a sync: it may lag behind the file after a loss of power,
//!   and is never ahead of it. A file that is behind has lost something; so has a clock.
//! - `hostline.suspect` says that damage was met while running. The process ends, and the next
//!   opening looks through the whole file before it serves anything: it refuses, or it knows that
//!   the file is sound. So no supervisor restarts it in circles.
//!
//! A small file is looked through at every opening, a large one while it serves, and a very large
//! one only when it is suspect. What is sent carries a checksum besides.

use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use xxhash_rust::xxh3::xxh3_64;

use super::schema::{DATABASE_FILE, MIGRATIONS, OpenError, is_damage};
use crate::model::Timestamp;

/// Name of the file with the number of the last acknowledged commit.
const COMMITS_FILE: &str = "hostline.commits";
/// Name of the file that says that damage was met.
const SUSPECT_FILE: &str = "hostline.suspect";
/// A file of at most so many bytes is looked through before it serves: a few tenths of a second.
const AT_ONCE_MAX: u64 = 64 << 20;
/// A larger one is looked through while it serves, up to so many bytes: some seconds of a core.
const WHILE_SERVING_MAX: u64 = 4 << 30;
/// Its tables, one after another so that none holds up a checkpoint for long; with their indexes.
const TABLES: [&str; 8] =
    ["counts", "host", "delivery", "body", "tag", "attempt", "interval", "idempotency"];
/// Findings that are shown: the first ones say what it is.
const FINDINGS_MAX: u32 = 5;

/// The number of the last acknowledged commit, beside the file.
pub(super) struct Mark {
    file: File,
    /// The number that it held when it was opened.
    pub found: i64,
    /// The time of that commit; the epoch where none is known.
    pub wall: Timestamp,
}

impl Mark {
    pub(super) fn open(directory: &Path) -> Result<Self, OpenError> {
        let path = directory.join(COMMITS_FILE);
        let refused =
            |error: io::Error| OpenError::Directory { path: path.clone(), why: error.to_string() };
        let mut options = OpenOptions::new();
        let options = options.create(true).truncate(false).read(true).write(true);
        let file = options.open(&path).map_err(refused)?;
        // A line that is not whole tells nothing.
        let text = fs::read_to_string(&path).unwrap_or_default();
        let (found, wall) = read_mark(&text).unwrap_or_default();
        Ok(Self { file, found, wall })
    }

    /// Notes a commit. Where this fails, a later loss may go unnoticed; nothing is lost by it.
    pub(super) fn note(&self, commits: i64, wall: Timestamp) {
        let _unnoted = self.file.write_all_at(mark_line(commits, wall).as_bytes(), 0);
    }
}

fn mark_line(commits: i64, wall: Timestamp) -> String {
    let numbers = format!("{commits:020} {:020}", wall.as_millis());
    format!("{numbers} {:016x}\n", xxh3_64(numbers.as_bytes()))
}

/// What a line says, where it is as it was written.
fn read_mark(line: &str) -> Option<(i64, Timestamp)> {
    let mut words = line.split_whitespace();
    let commits = words.next()?.parse().ok()?;
    let wall = Timestamp::from_millis(words.next()?.parse().ok()?);
    (mark_line(commits, wall) == line).then_some((commits, wall))
}

/// The files of a store, as they are before the engine touches them: it deletes the log of an
/// empty file.
pub(super) fn before_opening(file: &Path, mark: &Mark) -> Result<(), OpenError> {
    let is_empty = fs::metadata(file).map_or(true, |found| found.is_file() && found.len() == 0);
    let log = beside(file, "-wal");
    let has_log = fs::metadata(&log).is_ok_and(|found| found.len() > 0);
    if !is_empty || (mark.found <= 0 && !has_log) {
        return Ok(());
    }
    let why = match mark.found {
        commits @ 1.. => format!("it is missing or empty, though {commits} commits were made here"),
        _ => "it is missing or empty, though its log is there".to_owned(),
    };
    let hint = format!("{why} (an empty store begins without {COMMITS_FILE} and the log, too)");
    Err(OpenError::Damaged { path: file.into(), why: hint })
}

/// Whether a file is looked through after its opening, too.
pub(super) enum LookOn {
    No,
    WhileServing,
}

/// Looks through a file that was just opened: all of it when it is small or suspect.
pub(super) fn at_opening(file: &Path, connection: &Connection) -> Result<LookOn, OpenError> {
    let damaged = |why: String| OpenError::Damaged { path: file.into(), why };
    let read = |error: rusqlite::Error| damaged(error.to_string());
    if schema_text(connection).map_err(read)? != schema_of_ours().map_err(read)? {
        return Err(damaged("its tables are not those of its version".into()));
    }
    let suspect = beside_all(file, SUSPECT_FILE);
    let size = |path: PathBuf| fs::metadata(path).map_or(0, |found| found.len());
    let bytes = size(file.into()) + size(beside(file, "-wal"));
    if bytes > AT_ONCE_MAX && !suspect.exists() {
        return Ok(if bytes > WHILE_SERVING_MAX { LookOn::No } else { LookOn::WhileServing });
    }
    if let Some(findings) = look_through(connection, None).map_err(read)? {
        return Err(damaged(findings));
    }
    // Where it cannot be removed, the next opening looks again: slow, but right.
    let _kept = fs::remove_file(suspect);
    Ok(LookOn::No)
}

/// Looks through a file that serves.
pub(super) fn look_on(connection: &Connection) -> rusqlite::Result<Option<String>> {
    for table in TABLES {
        if let Some(findings) = look_through(connection, Some(table))? {
            return Ok(Some(findings));
        }
    }
    Ok(None)
}

/// Every page, row and index entry of a table or of the whole file. Answers what is wrong.
fn look_through(connection: &Connection, table: Option<&str>) -> rusqlite::Result<Option<String>> {
    let sql = match table {
        Some(table) => format!("PRAGMA integrity_check({table})"),
        None => format!("PRAGMA integrity_check({FINDINGS_MAX})"),
    };
    let mut statement = connection.prepare(&sql)?;
    let findings: Vec<String> =
        statement.query_map([], |row| row.get(0))?.collect::<rusqlite::Result<_>>()?;
    if findings.iter().all(|finding| finding == "ok") {
        return Ok(None);
    }
    Ok(Some(findings[..findings.len().min(FINDINGS_MAX as usize)].join("; ")))
}

/// Says so when acknowledged commits are missing, and keeps the log that may hold them: the next
/// commit writes over it.
pub(super) fn report_lost_commits(file: &Path, mark: &Mark, commits: i64) {
    let missing = mark.found - commits;
    if missing <= 0 {
        return;
    }
    let (log, kept) = (beside(file, "-wal"), beside(file, &format!("-wal.{commits}")));
    let copied = fs::copy(log, &kept).is_ok();
    let kept = if copied { kept.display().to_string() } else { "no log was there".to_owned() };
    log::error!(
        commits = missing, kept = kept.as_str();
        "acknowledged commits are missing: the log was damaged or cut, or an older copy of the \
         store was put in its place; what it holds is served"
    );
}

/// Leaves word for the next opening. Best effort: without it a small file is checked all the same.
pub(super) fn leave_word(file: &Path, why: &str) {
    let _unsaid = fs::write(beside_all(file, SUSPECT_FILE), why);
}

/// Whether an error is a single row's: it was read, and makes no sense.
pub(super) fn is_of_row(error: &rusqlite::Error) -> bool {
    use rusqlite::Error::{
        FromSqlConversionFailure, IntegralValueOutOfRange, InvalidColumnType, Utf8Error,
    };
    debug_assert!(!is_damage(error) || !matches!(error, FromSqlConversionFailure(..)));
    matches!(
        error,
        FromSqlConversionFailure(..)
            | IntegralValueOutOfRange(..)
            | InvalidColumnType(..)
            | Utf8Error(..)
    )
}

fn schema_text(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut statement = connection.prepare(
        "SELECT type || ' ' || name || ' ' || tbl_name || ' ' || coalesce(sql, '') \
         FROM sqlite_schema WHERE name NOT LIKE 'sqlite_stat%' ORDER BY 1",
    )?;
    statement.query_map([], |row| row.get(0))?.collect()
}

fn schema_of_ours() -> rusqlite::Result<Vec<String>> {
    let model = Connection::open_in_memory()?;
    for migration in MIGRATIONS {
        model.execute_batch(migration)?;
    }
    schema_text(&model)
}

fn beside(file: &Path, suffix: &str) -> PathBuf {
    let mut path = file.as_os_str().to_owned();
    path.push(suffix);
    path.into()
}

fn beside_all(file: &Path, name: &str) -> PathBuf {
    debug_assert!(file.ends_with(DATABASE_FILE), "the database stands in the store's directory");
    file.with_file_name(name)
}
