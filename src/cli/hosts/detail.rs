//! One host in full, as `hosts NAME` and `top` show it.

use std::fmt::Write as _;
use std::time::Duration;

use super::view::{ControlsView, HostView, TallyView};
use crate::cli::output::{
    self, HEADING, count, milliseconds, moment, paint, percent, printable, span, style_of,
};
use crate::cli::table::{Cell, Column, Table};
use crate::model::Timestamp;

const LANES: &[Column] = &[
    Column::numbers("workspace"),
    Column::words("state"),
    Column::numbers("until"),
    Column::numbers("weight"),
    Column::numbers("share"),
    Column::numbers("queued"),
    Column::numbers("in flight"),
    Column::yielding("reason"),
];

const HISTORY: &[Column] = &[
    Column::words("from"),
    Column::words("state"),
    Column::numbers("lasted"),
    Column::yielding("reason"),
];

impl HostView {
    /// All that is known of it, for people.
    pub(in crate::cli) fn in_full(&self, now: Timestamp, width: Option<usize>) -> String {
        let mut text = format!("{}  ", paint(HEADING, &printable(&self.host)));
        text += &paint(style_of(&self.state), &self.state_word());
        text.push('\n');
        for (name, words) in self.facts(now) {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "  {name:<12} {}", printable(&words));
        }
        if !self.lanes.is_empty() {
            let _ = write!(text, "\nlanes\n{}", self.lane_table(now).text(width));
        }
        if !self.history.is_empty() {
            let _ = write!(text, "\nlast 24 hours\n{}", self.history_table(now).text(width));
        }
        text
    }

    fn facts(&self, now: Timestamp) -> Vec<(&'static str, String)> {
        let mut facts = Vec::new();
        if !self.why().is_empty() {
            facts.push(("why", self.why()));
        }
        if let Some(until) = &self.until {
            facts.push(("until", moment(until, now)));
        }
        facts.extend(self.controls.words(now).map(|words| ("operator", words)));
        let waiting = format!("{} owed", count(self.waiting));
        if !self.alive {
            facts.push(("waiting", waiting));
            facts.push(("actor", format!("none lives; shard {}", self.shard)));
            return facts;
        }
        facts.push(("waiting", format!("{waiting}, {} of them in memory", count(self.queued))));
        facts.push(("in flight", format!("{} of {}", self.in_flight, self.in_flight_limit)));
        facts.push(("budget", self.budget_words(now)));
        if let Some(success) = self.success() {
            facts.push(("success", format!("{} in the last minute", percent(success))));
        }
        for (name, tally) in [
            ("last minute", &self.last_minute),
            ("last hour", &self.last_hour),
            ("since start", &self.since_start),
        ] {
            facts.push((name, tally.words()));
        }
        let arbiter = self.arbiter.unwrap_or_default();
        let actor = format!(
            "shard {}, arbiter {arbiter}, for {}, mailbox {}, {} outcomes uncommitted",
            self.shard,
            span(Duration::from_secs(self.age_s)),
            count(self.mailbox),
            count(self.uncommitted),
        );
        facts.push(("actor", actor));
        facts
    }

    fn budget_words(&self, now: Timestamp) -> String {
        let budget = &self.budget;
        let mut words: Vec<String> = Vec::new();
        if let Some(left) = budget.remaining {
            let limit = budget.limit.map(|limit| format!(" of {}", count(limit)));
            words.push(format!("{}{} left", count(left), limit.unwrap_or_default()));
        } else if let Some(limit) = budget.limit {
            words.push(format!("{} a window", count(limit)));
        }
        words.extend(budget.resets_at.as_deref().map(|at| format!("resets {}", moment(at, now))));
        words.extend(budget.learned_rate.map(|rate| format!("learned {}/s", output::rate(rate))));
        words.extend(budget.static_rate.map(|rate| format!("set {}/s", output::rate(rate))));
        match words.is_empty() {
            true => "the host names no limit, and none was needed".into(),
            false => words.join(", "),
        }
    }

    fn lane_table(&self, now: Timestamp) -> Table {
        let mut table = Table::new(LANES);
        for lane in &self.lanes {
            let until = lane.until.as_deref().and_then(|until| output::left(until, now));
            let more = if lane.has_more { "+" } else { "" };
            table.push(vec![
                lane.workspace.to_string().into(),
                Cell::styled(lane.state.as_str(), style_of(&lane.state)),
                until.unwrap_or_else(|| "-".into()).into(),
                lane.weight.to_string().into(),
                percent(lane.share).into(),
                (count(lane.queued) + more).into(),
                lane.in_flight.to_string().into(),
                lane.reason.as_str().into(),
            ]);
        }
        table
    }

    fn history_table(&self, now: Timestamp) -> Table {
        let mut table = Table::new(HISTORY);
        for interval in &self.history {
            let to = interval.to.as_deref().and_then(Timestamp::parse).unwrap_or(now);
            let lasted = Timestamp::parse(&interval.from).map(|from| span(from.until(to)));
            let so_far = if interval.to.is_none() { " so far" } else { "" };
            table.push(vec![
                interval.from.as_str().into(),
                Cell::styled(interval.condition.as_str(), style_of(&interval.condition)),
                (lasted.unwrap_or_else(|| "-".into()) + so_far).into(),
                interval.reason.as_str().into(),
            ]);
        }
        table
    }
}

impl ControlsView {
    fn words(&self, now: Timestamp) -> Option<String> {
        let mut words = Vec::new();
        if self.paused {
            let since = self.paused_at.as_deref().map(|at| format!(" {}", moment(at, now)));
            words.push(format!("paused{}", since.unwrap_or_default()));
        }
        if self.draining {
            words.push("draining: nothing new is taken".into());
        }
        (!words.is_empty()).then(|| words.join(", "))
    }
}

impl TallyView {
    fn words(&self) -> String {
        let mut text = format!(
            "{} attempts: {} delivered, {} refused, {} to be retried, {} dead",
            count(self.attempts),
            count(self.delivered),
            count(self.refused),
            count(self.retried),
            count(self.dead),
        );
        if let (Some(p50), Some(p99)) = (self.p50_ms, self.p99_ms) {
            let _ = write!(text, "; p50 {}, p99 {}", milliseconds(p50), milliseconds(p99));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(text: &str) -> HostView {
        serde_json::from_str(text).expect("a host")
    }

    const NOW: &str = "2026-01-01T00:00:00Z";

    #[test]
    fn a_host_that_hurts_says_why_and_until_when() {
        let host = view(
            r#"{"host":"shop.example","alive":true,"shard":7,"arbiter":1,"state":"cooling_down",
                "until":"2026-01-01T00:00:42Z","reason":"20 of 20 attempts failed","in_flight":0,
                "in_flight_limit":10,"queued":12,"waiting":411,"age_s":200,
                "budget":{"limit":100,"remaining":12,"resets_at":"2026-01-01T00:00:30Z",
                          "learned_rate":4.2,"static_rate":null},
                "last_minute":{"attempts":20,"delivered":0,"refused":0,"retried":20,"dead":0,
                               "p50_ms":3.0,"p99_ms":12.0},
                "controls":{"paused":false,"draining":true},
                "lanes":[{"workspace":0,"weight":100,"share":1.0,"queued":12,"has_more":true,
                          "in_flight":0,"state":"healthy","reason":""}],
                "history":[{"condition":"cooling_down","reason":"20 of 20 attempts failed",
                            "from":"2025-12-31T23:59:42Z","to":null}]}"#,
        );
        let now = Timestamp::parse(NOW).expect("a time");
        let text = anstream::adapter::strip_str(&host.in_full(now, None)).to_string();
        for part in [
            "shop.example  cooling_down, draining\n",
            "why          20 of 20 attempts failed\n",
            "until        2026-01-01T00:00:42Z (in 42 s)\n",
            "waiting      411 owed, 12 of them in memory\n",
            "budget       12 of 100 left, resets 2026-01-01T00:00:30Z (in 30 s), learned 4.2/s\n",
            "last minute  20 attempts: 0 delivered, 0 refused, 20 to be retried, 0 dead; p50 3.0 ms",
            "operator     draining: nothing new is taken\n",
            "100%     12+",
            "18 s so far  20 of 20 attempts failed\n",
        ] {
            assert!(text.contains(part), "{part:?} is missing:\n{text}");
        }
    }

    #[test]
    fn a_host_without_an_actor_has_no_figures() {
        let host = view(r#"{"host":"a","alive":false,"shard":3,"state":"idle","waiting":0}"#);
        let now = Timestamp::parse(NOW).expect("a time");
        let text = host.in_full(now, None);
        assert!(text.contains("none lives; shard 3"), "{text}");
        assert!(!text.contains("in flight") && !text.contains("budget"), "{text}");
    }
}
