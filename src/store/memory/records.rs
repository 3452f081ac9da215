//! Records and counts as plain maps.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::model::{End, Provenance, Settlement, Timestamp, Verdict};
use crate::store::audit_up_to;
use crate::store::{Count, CountKey, Expect, Record, RecordKind, RecordWrite, Writes, hour_of};

#[derive(Default)]
pub(super) struct Records {
    records: BTreeMap<(u32, RecordKind, String), Record>,
    tally: BTreeMap<(String, Timestamp, CountKey), i64>,
}

impl Records {
    pub(super) fn get(&self, workspace: u32, kind: RecordKind, key: &str) -> Option<Record> {
        self.records.get(&(workspace, kind, key.to_owned())).cloned()
    }

    /// The place of the first record that is not as expected.
    pub(super) fn stale(&self, workspace: u32, writes: &[RecordWrite]) -> Option<usize> {
        writes.iter().position(|write| {
            let version = self.get(workspace, write.kind, &write.key).map(|record| record.version);
            match write.expect {
                Expect::Any => false,
                Expect::Absent => version.is_some(),
                Expect::Version(wanted) => version != Some(wanted),
            }
        })
    }

    pub(super) fn write(&mut self, (workspace, at): (u32, Timestamp), writes: Writes) {
        for RecordWrite { kind, key, due, value, .. } in writes.records {
            let version = self.get(workspace, kind, &key).map_or(1, |record| record.version + 1);
            match value {
                Some(value) => {
                    let record = Record { key: key.clone(), version, due, value };
                    self.records.insert((workspace, kind, key), record);
                }
                None => drop(self.records.remove(&(workspace, kind, key))),
            }
        }
        for (key, number) in writes.counts {
            self.count(key, at, number);
        }
    }

    fn count(&mut self, key: CountKey, at: Timestamp, number: i64) {
        *self.tally.entry((key.subject.clone(), hour_of(at), key)).or_default() += number;
    }

    /// Counts what became of a composed delivery.
    pub(super) fn settled(
        &mut self,
        settlement: &Settlement,
        provenance: Option<&Provenance>,
        status: Option<u16>,
    ) {
        let Some((subject, part)) = provenance.and_then(Provenance::counted) else { return };
        let what = match (settlement.verdict, status) {
            (Verdict::Again { .. }, _) if settlement.attempt.is_none() => return,
            (Verdict::Again { .. }, _) => "retried".to_owned(),
            (Verdict::End(End::Delivered), _) => "delivered".to_owned(),
            (Verdict::End(end), Some(status)) => format!("{} {status}", end.as_str()),
            (Verdict::End(end), None) => end.as_str().to_owned(),
        };
        self.count(CountKey { subject: subject.to_owned(), part, what }, settlement.at, 1);
    }

    pub(super) fn scan(
        &self,
        (workspace, kind): (u32, RecordKind),
        (prefix, after): (&str, Option<&str>),
        limit: usize,
    ) -> Vec<Record> {
        let from = (workspace, kind, after.unwrap_or(prefix).to_owned());
        let mut found: Vec<Record> = Vec::new();
        for ((of, of_kind, key), record) in self.records.range(from..) {
            if (*of, *of_kind) != (workspace, kind)
                || !key.starts_with(prefix)
                || found.len() == limit
            {
                break;
            }
            if Some(key.as_str()) != after {
                found.push(record.clone());
            }
        }
        found
    }

    pub(super) fn due(&self, workspace: u32, kind: RecordKind, limit: usize) -> Vec<Record> {
        let of_kind = self.records.range((workspace, kind, String::new())..);
        let of_kind = of_kind
            .take_while(|((of, of_kind, _), _)| (*of, *of_kind) == (workspace, kind))
            .map(|(_, record)| record);
        let mut due: Vec<Record> = of_kind.filter(|record| record.due.is_some()).cloned().collect();
        due.sort_by_key(|record| record.due);
        due.truncate(limit);
        due
    }

    pub(super) fn tally(&self, subject: &str, from: Timestamp, until: Timestamp) -> Vec<Count> {
        let rows = self
            .tally
            .iter()
            .filter(|((of, hour, _), _)| of == subject && *hour >= hour_of(from) && *hour < until);
        let rows = rows.map(|((_, hour, key), number)| Count {
            key: key.clone(),
            hour: *hour,
            number: *number,
        });
        rows.collect()
    }

    /// Deletes counts, and entries of the audit log, from before these times.
    pub(super) fn forget(&mut self, counts: Timestamp, audit: Timestamp) {
        self.tally.retain(|(_, hour, _), _| *hour >= counts);
        let place = audit_up_to(audit.minus(Duration::from_millis(1)));
        self.records.retain(|(_, kind, key), _| {
            let old = key.split_once('/').is_some_and(|(_, at)| *at >= *place);
            *kind != RecordKind::Audit || !old
        });
    }
}
