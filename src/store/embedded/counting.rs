//! Counting for reports, inside a transaction.
//!
//! A commit counts for hundreds of hosts, and a row for each of them would cost more than the
//! deliveries do. So it gathers what it counts in memory and appends it as **one** row; the tables
//! get it later, some thousands of such rows at once (`reports`), and whoever reads a report adds
//! what is not there yet. The row is part of the commit: exact after a crash and a lost answer.
//!
//! What a workspace sends in all is the sum of its hosts, made when the row is written. Recipients
//! do not add up: who was reached is a row of its own for each subject and day, of composed
//! deliveries alone.

use std::collections::{BTreeMap, HashMap};

use rusqlite::{OptionalExtension, params};

use super::change::{Change, Row};
use super::records::Counted;
use crate::model::{Delivery, HostNumber, Settlement, StoredState, Timestamp};
use crate::store::figures::put_number;
use crate::store::{Figures, Step, Subject, Word};

/// Bytes of a recipient's digest: no two of any number of recipients share theirs.
const DIGEST: usize = 16;

/// What a transaction counted.
#[derive(Clone, Default)]
pub(super) struct Deltas {
    hosts: HashMap<(u32, HostNumber, i64), Figures>,
    /// By workspace, subject and minute: what is not of a host alone.
    others: BTreeMap<(u32, Subject, i64), Figures>,
}

impl Deltas {
    fn of_host(&mut self, lane: u32, host: HostNumber, at: Timestamp) -> &mut Figures {
        self.hosts.entry((lane, host, Step::Minute.number(at))).or_default()
    }

    fn of(&mut self, lane: u32, subject: Subject, at: Timestamp) -> &mut Figures {
        let minute = Step::Minute.number(at);
        match subject {
            Subject::Host(host) => self.of_host(lane, host, at),
            subject => self.others.entry((lane, subject, minute)).or_default(),
        }
    }

    /// One entry after the other: length and bytes of the key, minute, length and bytes of the
    /// figures. `None` when nothing was counted.
    fn encode(&self) -> Option<Vec<u8>> {
        let mut whole = BTreeMap::<(u32, i64), Figures>::new();
        let mut out = Vec::with_capacity(32 * self.hosts.len() + 64);
        let mut scratch = Vec::new();
        for ((lane, host, minute), figures) in &self.hosts {
            if figures.is_empty() {
                continue;
            }
            whole.entry((*lane, *minute)).or_default().add_summable(figures);
            let key = key(*lane, &Subject::Host(*host));
            put_entry(&mut out, &mut scratch, (&key, *minute), figures);
        }
        let whole =
            whole.iter().map(|((lane, minute), sum)| (*lane, &Subject::Workspace, *minute, sum));
        let others = self.others.iter();
        let others = others.map(|((lane, subject, minute), sum)| (*lane, subject, *minute, sum));
        // A subject may come twice, its recipients apart: whoever folds adds them up.
        for (lane, subject, minute, figures) in whole.chain(others) {
            if !figures.is_empty() {
                put_entry(&mut out, &mut scratch, (&key(lane, subject), minute), figures);
            }
        }
        (!out.is_empty()).then_some(out)
    }
}

fn put_entry(
    out: &mut Vec<u8>,
    scratch: &mut Vec<u8>,
    (key, minute): (&[u8], i64),
    figures: &Figures,
) {
    put_number(out, key.len() as u64);
    out.extend_from_slice(key);
    put_number(out, minute.cast_unsigned());
    scratch.clear();
    figures.encode(scratch);
    put_number(out, scratch.len() as u64);
    out.extend_from_slice(scratch);
}

/// How an entry names its subject: workspace, kind, name.
pub(super) fn key(lane: u32, subject: &Subject) -> Vec<u8> {
    let name = subject.name();
    let mut key = Vec::with_capacity(name.len() + 6);
    put_number(&mut key, u64::from(lane));
    key.push(subject.kind());
    key.extend_from_slice(name.as_bytes());
    key
}

impl Change<'_> {
    /// Appends what was counted, last in the transaction.
    pub(super) fn write_deltas(&self) -> rusqlite::Result<()> {
        let Some(figures) = self.effect.deltas.encode() else { return Ok(()) };
        self.connection
            .prepare_cached("INSERT INTO report_delta (figures) VALUES (?1)")?
            .execute([figures])
            .map(drop)
    }

    /// Counts a delivery that was accepted.
    pub(super) fn count_sent(&mut self, delivery: &Delivery) -> rusqlite::Result<()> {
        let (lane, host, at) = (delivery.workspace, delivery.id.host(), delivery.accepted);
        self.effect.deltas.of_host(lane, host, at).count(Word::Sent);
        let Some(provenance) = delivery.provenance.as_deref() else { return Ok(()) };
        let composed = Subject::composed(provenance);
        for subject in &composed {
            self.effect.deltas.of(lane, subject.clone(), at).count(Word::Sent);
        }
        let Some(recipient) = &provenance.recipient else { return Ok(()) };
        let digest = blake3::hash(recipient.as_bytes());
        let digest = &digest.as_bytes()[..DIGEST];
        for subject in composed.into_iter().chain([Subject::Host(host), Subject::Workspace]) {
            self.reach((lane, subject), digest, at)?;
        }
        Ok(())
    }

    /// Notes that a recipient was sent something, and counts it for the first time in its hour and
    /// day.
    fn reach(
        &mut self,
        (lane, subject): (u32, Subject),
        digest: &[u8],
        at: Timestamp,
    ) -> rusqlite::Result<()> {
        let day = Step::Day.number(at);
        let hour = 1_i64 << (Step::Hour.number(at) - day * 24);
        let hours: Option<i64> = self
            .connection
            .prepare_cached(
                "INSERT INTO reach VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT DO UPDATE SET \
                 hours = hours | ?6 WHERE hours & ?6 = 0 RETURNING hours",
            )?
            .query_row(params![day, lane, subject.kind(), subject.name(), digest, hour], |row| {
                row.get(0)
            })
            .optional()?;
        let Some(hours) = hours else { return Ok(()) };
        let figures = self.effect.deltas.of(lane, subject, at);
        figures.count(Word::RecipientsOfHour);
        if hours == hour {
            figures.count(Word::RecipientsOfDay);
        }
        Ok(())
    }

    /// Counts what was decided about a delivery that is owed, with the status of its last attempt.
    pub(super) fn count_settled(
        &mut self,
        settlement: &Settlement,
        row: &Row,
        status: Option<u16>,
    ) {
        let (host, lane, at) = (settlement.id.host(), row.lane, settlement.at);
        // What blocks its key has ended before, and had waited or not by then.
        let is_owed = !matches!(row.state, StoredState::Ended(_));
        let before = Some((row.attempts, row.due)).filter(|_| is_owed);
        self.effect.deltas.of_host(lane, host, at).count_settled(settlement, before, status);
        let counted = row.counted.as_deref().map(Counted::parse);
        for subject in counted.iter().flat_map(Counted::subjects) {
            self.effect.deltas.of(lane, subject, at).count_settled(settlement, before, status);
        }
    }
}
