//! A file that takes up room so that it can be given up: on a full disk the outcomes of what is
//! under way still have to be written, or it would be sent again after a restart.
//!
//! While it is gone nothing new is accepted, since that would eat the room that was meant for
//! outcomes. It is made again as soon as there is room for it and as much once more.

use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{FallocateFlags, fallocate, statvfs};
use rustix::io::Errno;

use crate::model::Moment;

/// Name of the file.
const BALLAST_FILE: &str = "hostline.ballast";
/// Its size: the outcomes of some ten thousand attempts, twice of what a shard may hold uncommitted.
const BALLAST_BYTES: u64 = 4 << 20;
/// How often making it again is tried while it is gone.
const AGAIN: Duration = Duration::from_secs(1);

pub(super) struct Ballast {
    path: PathBuf,
    held: bool,
    tried: Moment,
}

impl Ballast {
    /// Takes it up, or makes it where it is missing and there is room.
    pub(super) fn open(directory: &Path, now: Moment) -> Self {
        let path = directory.join(BALLAST_FILE);
        let held = match fs::metadata(&path).is_ok_and(|found| found.len() == BALLAST_BYTES) {
            true => true,
            false => make(&path).is_ok(),
        };
        Self { path, held, tried: now }
    }

    pub(super) fn is_held(&self) -> bool {
        self.held
    }

    /// Gives it up; answers whether that made room.
    pub(super) fn give_up(&mut self, now: Moment) -> bool {
        self.tried = now;
        let held = std::mem::replace(&mut self.held, false);
        held && fs::remove_file(&self.path).is_ok()
    }

    /// Makes it again where there is room, once in a while; answers whether it is there.
    pub(super) fn restore(&mut self, now: Moment) -> bool {
        if !self.held && now.since(self.tried) >= AGAIN {
            self.tried = now;
            self.held = has_room(&self.path) && make(&self.path).is_ok();
        }
        self.held
    }
}

fn has_room(path: &Path) -> bool {
    let directory = path.parent().unwrap_or(path);
    // Where it cannot be asked, making it shows.
    statvfs(directory)
        .is_ok_and(|found| found.f_bavail.saturating_mul(found.f_frsize) >= 2 * BALLAST_BYTES)
}

/// A file system that compresses or shares blocks may hold it for nothing; it is no use there.
fn make(path: &Path) -> io::Result<()> {
    let mut file = OpenOptions::new().create(true).truncate(true).write(true).open(path)?;
    let made = match fallocate(&file, FallocateFlags::empty(), 0, BALLAST_BYTES) {
        Err(Errno::OPNOTSUPP) => file.write_all(&vec![0; BALLAST_BYTES as usize]),
        allocated => allocated.map_err(io::Error::from),
    };
    if made.is_err() {
        // Half a ballast would be taken for none, and hold its room all the same.
        let _gone = fs::remove_file(path);
    }
    made
}
