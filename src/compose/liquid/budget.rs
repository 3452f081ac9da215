//! What a rendering may cost. There is no clock: fuel is charged in proportion to the work of each
//! step, so the same template over the same values ends at the same place on any machine.

use super::write::Builder;

/// Steps. One is a few tens of nanoseconds, so this is some tenth of a second of one core; a body
/// of a few hundred bytes needs about fifty.
const FUEL: u64 = 1_000_000;
/// Bytes of output of all parts together: twice the largest body that is taken by default.
const OUTPUT: usize = 2 << 20;
/// Bytes of one text or array that is built on the way.
const STRING: usize = 1 << 20;
/// Bytes of all texts and arrays that are built on the way. None is counted as freed, so this
/// bounds the memory of a rendering.
const BUILT: usize = 16 << 20;
/// Bytes that are looked at or copied for one unit of fuel. The digests, the slowest of the
/// filters, take about a tenth of a microsecond for as many.
const BYTES_PER_FUEL: usize = 64;
/// Bytes that an item of an array is charged for: its size in memory.
const ITEM: usize = 40;

/// What is left to spend. One for all parts of a webhook.
#[derive(Clone, Debug)]
pub struct Budget {
    /// Steps.
    pub fuel: u64,
    /// Bytes of output.
    pub output: usize,
    /// Bytes of one text or array on the way.
    pub string: usize,
    /// Bytes of all texts and arrays on the way.
    pub built: usize,
}

impl Default for Budget {
    fn default() -> Self {
        Self { fuel: FUEL, output: OUTPUT, string: STRING, built: BUILT }
    }
}

impl Budget {
    /// Pays for one step.
    pub(super) fn step(&mut self) -> Result<(), String> {
        self.burn(1)
    }

    /// Pays for looking at `bytes`.
    pub(super) fn read(&mut self, bytes: usize) -> Result<(), String> {
        self.burn((bytes / BYTES_PER_FUEL) as u64)
    }

    /// Pays for `count` steps.
    pub(super) fn burn(&mut self, count: u64) -> Result<(), String> {
        match self.fuel.checked_sub(count) {
            Some(left) => {
                self.fuel = left;
                Ok(())
            }
            None => {
                self.fuel = 0;
                Err("the template does too much work; loop over fewer items".into())
            }
        }
    }

    /// Pays for a text of `bytes` that is built.
    pub(super) fn build(&mut self, bytes: usize) -> Result<(), String> {
        self.read(bytes)?;
        if bytes > self.string {
            return Err(too_long(self.string));
        }
        match self.built.checked_sub(bytes) {
            Some(left) => {
                self.built = left;
                Ok(())
            }
            None => Err("the template builds too much text on the way; shorten it".into()),
        }
    }

    /// Pays for an array of `count` items that is built.
    pub(super) fn items(&mut self, count: usize) -> Result<(), String> {
        self.burn(count as u64)?;
        self.build(count.saturating_mul(ITEM))
    }

    /// A text to build, which stops at what is left.
    pub(super) fn builder(&self) -> Builder {
        Builder::new(self.string.min(self.built))
    }
}

/// Why a text is given up.
pub(super) fn too_long(limit: usize) -> String {
    format!("a text or array on the way is over {limit} bytes; shorten it")
}
