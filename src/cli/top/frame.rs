//! What `top` shows, as lines of text: pure, so that tests see the screen.

use std::time::Duration;

use anstyle::Style;
use unicode_width::UnicodeWidthStr;

use super::source::{Look, Totals};
use super::view::View;
use crate::cli::hosts::COLUMNS;
use crate::cli::output::{
    DIM, HEADING, count, milliseconds, paint, printable, rate, span, style_of,
};
use crate::cli::table::{Table, fit};
use crate::model::Timestamp;

/// Lines above the first host, the heading of the table among them.
pub(super) const ABOVE: usize = 6;
/// Lines below the last one.
pub(super) const BELOW: usize = 1;

/// What hosts are counted by, those that hurt first; an older server counts those that live.
const HOST_STATES: [&str; 8] =
    ["cooling_down", "backing_off", "probing", "paused", "limited", "healthy", "alive", "asleep"];

const HELP: &str = "q quit  s next order  S turn it  / search  p freeze  ↑↓ PgUp PgDn  ⏎ one host";
const HELP_HOST: &str = "q quit  esc back  ↑↓ PgUp PgDn scroll  p freeze";

/// Hosts that there is room for on a screen of so many lines.
pub(super) fn room(height: usize) -> usize {
    height.saturating_sub(ABOVE + BELOW).max(1)
}

/// What a frame is drawn of.
pub(super) struct Frame<'a> {
    pub(super) url: &'a str,
    pub(super) view: &'a View,
    pub(super) look: Option<&'a Look>,
    /// Why the last look failed.
    pub(super) trouble: Option<&'a str>,
    pub(super) now: Timestamp,
}

impl Frame<'_> {
    /// The whole screen: at most `height` lines of at most `width` columns.
    pub(super) fn screen(&self, (width, height): (usize, usize)) -> Vec<String> {
        let mut lines = self.head(Some(width));
        let body = match &self.view.host {
            Some(_) => self.one_host(width, room(height) + 1),
            None => self.table(Some(width), true),
        };
        lines.extend(body.into_iter().take(room(height) + 1).map(|line| cut(line, width)));
        lines.truncate(height.saturating_sub(BELOW));
        lines.resize(height.saturating_sub(BELOW), String::new());
        lines.push(self.foot(width));
        lines
    }

    /// What is printed once: the totals and the hosts.
    pub(super) fn printed(&self, width: Option<usize>) -> String {
        let lines = self.head(width).into_iter().chain(self.table(width, false));
        lines.map(|line| line + "\n").collect()
    }

    fn head(&self, width: Option<usize>) -> Vec<String> {
        let mut title = vec![
            (HEADING, "hostline top".to_owned()),
            (DIM, printable(self.url)),
            (Style::new(), time_of_day(self.now)),
        ];
        let totals = self.look.and_then(|look| look.totals.as_ref());
        if let Some(totals) = totals {
            title.push((DIM, format!("up {}", span(Duration::from_secs(totals.uptime_s)))));
        }
        if let Some(trouble) = self.trouble {
            let first = trouble.lines().next().unwrap_or_default();
            title.push((style_of("failed"), printable(first)));
        } else if self.view.frozen {
            title.push((style_of("paused"), "frozen".into()));
        }
        let mut lines = vec![segments(&title, width)];
        match totals {
            Some(totals) => {
                lines.extend(totals.lines().iter().map(|parts| segments(parts, width)));
            }
            None if self.look.is_some() => {
                let words = "totals are shown to operators (of the workspace `default`) only";
                lines.extend([
                    segments(&[(DIM, words.into())], width),
                    String::new(),
                    String::new(),
                ]);
            }
            None => lines.extend([String::new(), String::new(), String::new()]),
        }
        lines.push(String::new());
        lines
    }

    fn table(&self, width: Option<usize>, with_choice: bool) -> Vec<String> {
        let Some(look) = self.look else { return vec!["asking the server…".into()] };
        if look.hosts.is_empty() {
            let words = match self.view.search.is_empty() && self.view.states.is_empty() {
                true => "no host actor lives: nothing is owed, or nothing is due",
                false => "no host actor is like that",
            };
            return vec![words.into()];
        }
        let mut table = Table::new(COLUMNS);
        for host in &look.hosts {
            table.push(host.row(self.now));
        }
        let mut lines = table.lines(width);
        let chosen = self.view.chosen.min(look.hosts.len() - 1) + 1;
        if with_choice && let Some(line) = lines.get_mut(chosen) {
            let plain = anstream::adapter::strip_str(line).to_string();
            let blank = width.unwrap_or_default().saturating_sub(plain.width());
            *line = paint(Style::new().invert(), &(plain + &" ".repeat(blank)));
        }
        lines
    }

    fn one_host(&self, width: usize, room: usize) -> Vec<String> {
        let wanted = self.view.host.as_deref().unwrap_or_default();
        let host = self.look.and_then(|look| look.hosts.iter().find(|host| host.host == wanted));
        let Some(host) = host else { return vec![format!("asking for {}…", printable(wanted))] };
        let text = host.in_full(self.now, Some(width));
        let lines: Vec<&str> = text.lines().collect();
        // Never past the end.
        let first = self.view.scrolled.min(lines.len().saturating_sub(room));
        lines[first..].iter().map(|line| (*line).to_owned()).collect()
    }

    fn foot(&self, width: usize) -> String {
        let view = self.view;
        if view.typing {
            return fit(&format!("/{}_  (enter keeps it, esc drops it)", view.search), width);
        }
        if view.host.is_some() {
            return paint(DIM, &fit(HELP_HOST, width));
        }
        let mut place = format!("by {}", view.sort);
        if let Some(look) = self.look.filter(|look| !look.hosts.is_empty()) {
            place += &format!(", {}–{}", view.offset + 1, view.offset + look.hosts.len());
            place += &look.total.map(|total| format!(" of {total}")).unwrap_or_default();
        }
        if !view.search.is_empty() {
            place += &format!(", with {:?}", view.search);
        }
        paint(DIM, &fit(&format!("{place}  {HELP}"), width))
    }
}

impl Totals {
    /// Three lines: a second's work, what is there, and the hosts.
    fn lines(&self) -> [Vec<(Style, String)>; 3] {
        let plain = Style::new();
        let per_second = |name: &str, value: Option<f64>| {
            value.map(|value| (plain, format!("{name} {}/s", rate(value))))
        };
        let mut work: Vec<_> = [
            per_second("accepted", self.accepted_per_s),
            per_second("delivered", self.delivered_per_s),
            per_second("failed", self.failed_per_s),
            per_second("retried", self.retried_per_s),
            per_second("refused", self.refused_per_s),
            per_second("attempts", self.attempts_per_s),
        ]
        .into_iter()
        .flatten()
        .collect();
        if let (Some(p50), Some(p99)) = (self.p50_ms, self.p99_ms) {
            let words = format!("p50 {}, p99 {}", milliseconds(p50), milliseconds(p99));
            work.push((plain, words));
        }
        let mut there = vec![(plain, format!("owed {}", count(self.pending + self.parked)))];
        if let Some(deferred) = self.deferred {
            there.push((plain, format!("deferred {}", count(deferred))));
        }
        there.push((plain, format!("in flight {}", count(self.in_flight))));
        there.push((plain, format!("behind an ordering key {}", count(self.parked))));
        let commit = milliseconds(self.store.commit_us / 1000.0);
        there.push((plain, format!("commit {commit}, {} waiting", count(self.store.waiting))));
        if let Some(why) = self.store.refuses() {
            there.push((style_of("failed"), format!("store refuses writes{why}")));
        }
        let mut hosts = vec![(plain, "hosts".to_owned())];
        for state in HOST_STATES {
            let number = self.hosts.get(state).and_then(serde_json::Value::as_u64);
            if let Some(number) = number.filter(|number| *number > 0) {
                hosts.push((style_of(state), format!("{} {state}", count(number))));
            }
        }
        if hosts.len() == 1 {
            hosts.push((DIM, "none lives".into()));
        }
        [work, there, hosts]
    }
}

impl super::source::StoreView {
    fn refuses(&self) -> Option<String> {
        match &self.refusing {
            serde_json::Value::String(why) => Some(format!(": {}", printable(why))),
            serde_json::Value::Bool(true) => Some(String::new()),
            _ => None,
        }
    }
}

/// The line; what is too wide loses its colours with its end.
fn cut(line: String, width: usize) -> String {
    let plain = anstream::adapter::strip_str(&line).to_string();
    if plain.width() > width { fit(&plain, width) } else { line }
}

/// Pieces side by side, as many as there is room for; the first that there is not is cut.
fn segments(parts: &[(Style, String)], width: Option<usize>) -> String {
    let mut line = String::new();
    let mut left = width.unwrap_or(usize::MAX);
    for (index, (style, text)) in parts.iter().enumerate() {
        let gap = if index == 0 { 0 } else { 2 };
        if left <= gap {
            break;
        }
        let text = fit(text, left - gap);
        left -= gap + text.width();
        line.push_str(&" ".repeat(gap));
        line.push_str(&paint(*style, &text));
    }
    line
}

fn time_of_day(now: Timestamp) -> String {
    let text = now.to_string();
    text.get(11..19).map(|time| format!("{time}Z")).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn look() -> Look {
        let page = json!({ "data": [
            {"host": "a.example", "alive": true, "state": "healthy", "queued": 3, "waiting": 3,
             "in_flight": 2, "in_flight_limit": 10,
             "last_minute": {"attempts": 200, "delivered": 199, "p99_ms": 12.0}},
            {"host": "b.example", "alive": true, "state": "cooling_down", "queued": 1000,
             "waiting": 41_000, "until": "2026-01-01T00:00:42Z", "reason": "20 of 20 failed"},
        ]});
        let stats = json!({"accepted_per_s": 120.0, "delivered_per_s": 118.2, "pending": 41_003,
            "parked": 1, "in_flight": 2, "deferred": 1000, "uptime_s": 3720, "p50_ms": 3.0,
            "p99_ms": 12.0, "hosts": {"healthy": 1, "limited": 0, "cooling_down": 1},
            "store": {"commit_us": 1500.0, "waiting": 0, "refusing": null}});
        Look {
            at: now(),
            totals: serde_json::from_value(stats.clone()).ok(),
            stats: Some(stats),
            hosts: serde_json::from_value(page["data"].clone()).expect("hosts"),
            page,
            total: Some(7),
        }
    }

    fn now() -> Timestamp {
        Timestamp::parse("2026-01-01T00:00:00Z").expect("a time")
    }

    fn screen(view: &View, look: Option<&Look>, size: (usize, usize)) -> Vec<String> {
        let frame = Frame { url: "http://s", view, look, trouble: None, now: now() };
        let lines = frame.screen(size);
        lines.iter().map(|line| anstream::adapter::strip_str(line).to_string()).collect()
    }

    #[test]
    fn the_screen_says_what_hurts_and_why() {
        let (view, look) = (View::new("-queued", "", ""), look());
        let lines = screen(&view, Some(&look), (140, 12));
        assert_eq!(lines.len(), 12);
        assert_eq!(lines[0], "hostline top  http://s  00:00:00Z  up 1 h 2 min");
        assert_eq!(lines[1], "accepted 120/s  delivered 118/s  p50 3.0 ms, p99 12 ms");
        assert!(lines[2].starts_with("owed 41,004  deferred 1,000  in flight 2"), "{lines:?}");
        assert_eq!(lines[3], "hosts  1 cooling_down  1 healthy");
        assert!(lines[6].starts_with("a.example  healthy"), "{lines:?}");
        assert!(lines[7].contains("cooling_down   42 s"), "{lines:?}");
        assert!(lines[7].ends_with("20 of 20 failed"), "{lines:?}");
        assert!(lines[11].starts_with("by -queued, 1–2 of 7  q quit"), "{lines:?}");
    }

    #[test]
    fn no_line_is_wider_than_the_screen_and_none_is_too_many() {
        let look = look();
        let one = View { host: Some("b.example".into()), ..View::new("name", "", "") };
        let typing = View { typing: true, ..View::new("name", "shop", "") };
        for view in [&View::new("-queued", "", ""), &one, &typing] {
            for size in [(140, 40), (80, 24), (40, 10), (10, 3), (1, 1)] {
                for look in [Some(&look), None] {
                    let lines = screen(view, look, size);
                    assert_eq!(lines.len(), size.1, "{size:?} {lines:?}");
                    let wide = lines.iter().find(|line| line.width() > size.0);
                    assert_eq!(wide, None, "{size:?}");
                }
            }
        }
    }

    #[test]
    fn one_host_is_scrolled_to_its_end_and_no_further() {
        let look = look();
        let view =
            View { host: Some("b.example".into()), scrolled: 99, ..View::new("name", "", "") };
        let lines = screen(&view, Some(&look), (80, 12));
        assert!(lines.iter().any(|line| line.contains("actor")), "{lines:?}");
    }

    #[test]
    fn trouble_stands_on_top_over_what_was_seen_last() {
        let (view, look) = (View::new("-queued", "", ""), look());
        let trouble = Some("the server at http://s cannot be reached\nmore");
        let frame = Frame { url: "http://s", view: &view, look: Some(&look), trouble, now: now() };
        let text = frame.printed(None);
        assert!(text.lines().next().is_some_and(|line| line.contains("cannot be reached")));
        assert!(text.contains("b.example") && !text.contains("more"), "{text}");
    }
}
