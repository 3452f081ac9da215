//! Reports and the activity log as plain maps: each count goes to its minute, hour and day at once.

use std::collections::BTreeMap;

use crate::model::{
    DEFAULT_WORKSPACE, Delivery, HostName, HostNumber, Provenance, Settlement, Timestamp, Verdict,
};
use crate::store::reports::{HostNews, Ration, common};
use crate::store::{
    Activity, ActivityFilter, ConditionChange, Figures, Kept, Logged, Page, ReportPoints,
    ReportQuery, Step, Subject, Word,
};

/// A bit for each hour of a day, by recipient.
type Reached = BTreeMap<String, u32>;

#[derive(Default)]
pub(super) struct Reports {
    figures: BTreeMap<(Step, i64, u32, Subject), Figures>,
    reach: BTreeMap<(i64, u32, Subject), Reached>,
    /// Oldest first, with a number that none had before, and what it has in common with others.
    log: Vec<Line>,
    lines: u64,
    ration: Ration,
}

struct Line {
    number: u64,
    workspace: u32,
    same: Option<String>,
    logged: Logged,
}

/// A delivery that something was decided about, as it was before.
pub(super) struct Before<'a> {
    pub(super) delivery: &'a Delivery,
    /// Attempts it had had and when it was due, where it was owed.
    pub(super) owed: Option<(u32, Timestamp)>,
    /// Status of its last attempt, that of the settlement included.
    pub(super) status: Option<u16>,
    /// Whether it holds its ordering key back from now on.
    pub(super) blocks: bool,
}

impl Reports {
    fn add(&mut self, (lane, subject): (u32, &Subject), at: Timestamp, figures: &Figures) {
        for step in Step::ALL {
            let mut figures = figures.clone();
            if step != Step::Hour {
                figures.forget(Word::RecipientsOfHour);
            }
            if step != Step::Day {
                figures.forget(Word::RecipientsOfDay);
            }
            let key = (step, step.number(at), lane, subject.clone());
            self.figures.entry(key).or_default().add(&figures);
        }
    }

    fn subjects(delivery: &Delivery) -> Vec<Subject> {
        let mut subjects = vec![Subject::Workspace, Subject::Host(delivery.id.host())];
        subjects.extend(delivery.provenance.iter().flat_map(|from| Subject::composed(from)));
        subjects
    }

    /// Counts a delivery that was accepted.
    pub(super) fn sent(&mut self, delivery: &Delivery) {
        let (lane, at) = (delivery.workspace, delivery.accepted);
        let day = Step::Day.number(at);
        let hour = 1_u32 << (Step::Hour.number(at) - day * 24);
        let recipient = delivery.provenance.as_ref().and_then(|from| from.recipient.clone());
        for subject in Self::subjects(delivery) {
            let mut figures = Figures::default();
            figures.count(Word::Sent);
            if let Some(recipient) = &recipient {
                let reached = self.reach.entry((day, lane, subject.clone())).or_default();
                let hours = reached.entry(recipient.clone()).or_default();
                if *hours == 0 {
                    figures.count(Word::RecipientsOfDay);
                }
                if *hours & hour == 0 {
                    figures.count(Word::RecipientsOfHour);
                }
                *hours |= hour;
            }
            self.add((lane, &subject), at, &figures);
        }
    }

    /// Counts what was decided, and notes an end without success.
    pub(super) fn settled(&mut self, settlement: &Settlement, before: &Before<'_>) {
        let delivery = before.delivery;
        let mut figures = Figures::default();
        figures.count_settled(settlement, before.owed, before.status);
        if !figures.is_empty() {
            for subject in Self::subjects(delivery) {
                self.add((delivery.workspace, &subject), settlement.at, &figures);
            }
        }
        let Verdict::End(end) = settlement.verdict else { return };
        let host = delivery.id.host();
        if end.is_dead_letter() {
            let mut entry = Activity {
                at: settlement.at,
                kind: end.as_str().to_owned(),
                host: Some(delivery.host.clone()),
                delivery: Some(settlement.id),
                status: before.status,
                detail: settlement.why(),
                ..Activity::default()
            };
            self.note_end(delivery, &mut entry);
        }
        if before.blocks {
            let key = delivery.ordering_key.as_deref().unwrap_or("");
            let entry = Activity {
                at: settlement.at,
                kind: "key_blocked".to_owned(),
                host: Some(delivery.host.clone()),
                delivery: Some(settlement.id),
                detail: format!("ordering key {key:?} waits for it"),
                ..Activity::default()
            };
            self.note(delivery.workspace, host, entry);
        }
    }

    fn note_end(&mut self, delivery: &Delivery, entry: &mut Activity) {
        let composed = delivery.provenance.as_deref().filter(|from| is_composed(from));
        if let Some(provenance) = composed {
            entry.of(provenance);
            if self.ration.take(delivery.workspace, entry.at) {
                return self.write(delivery.workspace, None, entry.clone());
            }
            entry.recipient = None;
        }
        self.note(delivery.workspace, delivery.id.host(), entry.clone());
    }

    /// Writes an entry of its own, unless there is one that it has all in common with.
    pub(super) fn write(&mut self, workspace: u32, same: Option<String>, entry: Activity) {
        let earlier = self.log.iter_mut().rev().find(|line| same.is_some() && line.same == same);
        if let Some(line) = earlier {
            line.logged.count += 1;
            line.logged.first_at = line.logged.first_at.min(entry.at);
            line.logged.entry = entry;
            return;
        }
        self.lines += 1;
        let logged = Logged { first_at: entry.at, count: 1, entry };
        self.log.push(Line { number: self.lines, workspace, same, logged });
    }

    fn note(&mut self, workspace: u32, host: HostNumber, entry: Activity) {
        let same = common(workspace, host, &entry);
        self.write(workspace, Some(same), entry);
    }

    /// Notes a change of a host, for the operators and for each workspace that waits for it.
    pub(super) fn note_condition(
        &mut self,
        (host, name): (HostNumber, &HostName),
        was: Option<&str>,
        change: &ConditionChange,
        lanes: &[u32],
    ) {
        let Some(news) = HostNews::of(was, change.condition) else { return };
        let guests = lanes.iter().copied().filter(|lane| *lane != DEFAULT_WORKSPACE);
        let operators = Some(DEFAULT_WORKSPACE).filter(|_| !news.is_asked());
        for lane in operators.into_iter().chain(guests) {
            let entry = Activity {
                at: change.at,
                kind: news.as_str().to_owned(),
                host: Some(name.clone()),
                detail: news.detail(lane == DEFAULT_WORKSPACE, &change.reason),
                ..Activity::default()
            };
            self.note(lane, host, entry);
        }
    }

    pub(super) fn report(&self, query: &ReportQuery) -> ReportPoints {
        let (step, steps) = (query.step, query.steps());
        let key = |at| (step, at, query.workspace, query.subject.clone());
        let point = |at| Some((step.start(at), self.figures.get(&key(at))?.clone()));
        let points = steps.clone().filter_map(point).collect();
        if step == Step::Minute || steps.is_empty() {
            return ReportPoints { points, recipients: None };
        }
        let hours = step.millis() / Step::Hour.millis();
        let hours = steps.start * hours..steps.end * hours;
        let mut who = std::collections::BTreeSet::new();
        for ((day, lane, subject), reached) in &self.reach {
            if *lane != query.workspace || *subject != query.subject {
                continue;
            }
            let within = |hour: &i64| hours.contains(&(day * 24 + hour));
            let mask = (0..24).filter(within).fold(0, |mask, hour| mask | 1 << hour);
            who.extend(reached.iter().filter(|(_, hours)| *hours & mask != 0).map(|(who, _)| who));
        }
        ReportPoints { points, recipients: Some(who.len() as u64) }
    }

    pub(super) fn forget(&mut self, kept: Kept, now: Timestamp) {
        let first = |step: Step| {
            let kept = [kept.minutes, kept.hours, kept.days][step as usize];
            step.number(now.minus(kept))
        };
        self.figures.retain(|(step, at, _, _), _| *at >= first(*step));
        let day = Step::Day.number(now.minus(kept.hours));
        self.reach.retain(|(at, _, _), _| *at >= day);
        let before = now.minus(kept.activity);
        self.log.retain(|line| line.logged.entry.at >= before);
    }

    pub(super) fn activity(
        &self,
        filter: &ActivityFilter,
        below: u64,
        limit: usize,
    ) -> Page<Logged> {
        let mut page = Page { rows: Vec::new(), next: None };
        for line in self.log.iter().rev().filter(|line| line.number < below) {
            if line.workspace != filter.workspace || !filter.shows(&line.logged.entry) {
                continue;
            }
            if page.rows.len() == limit {
                page.next = Some((line.number + 1).to_string());
                break;
            }
            page.rows.push(line.logged.clone());
        }
        page
    }

    pub(super) fn logged(&self, filter: &ActivityFilter, limit: usize) -> (Vec<Logged>, bool) {
        let of_workspace = self.log.iter().filter(|line| line.workspace == filter.workspace);
        let mut found: Vec<Logged> = of_workspace
            .filter(|line| filter.shows(&line.logged.entry))
            .map(|line| line.logged.clone())
            .collect();
        found.sort_by_key(|logged| std::cmp::Reverse(logged.entry.at));
        let all = found.len() <= limit;
        found.truncate(limit);
        (found, all)
    }
}

/// Whether there is a campaign, canvas or template that it is counted under.
fn is_composed(provenance: &Provenance) -> bool {
    provenance.subject().is_some() || provenance.template.is_some()
}
