//! What runs came to, in words.

use std::fmt::Write as _;

use super::quantiles::Quantiles;
use super::run::Outcome;

/// The runs one after the other, and the second as a ratio to the first.
pub(super) fn text(outcomes: &[Outcome]) -> String {
    let mut out = String::new();
    for outcome in outcomes {
        one(&mut out, outcome);
    }
    if let [before, after] = outcomes {
        let _ = writeln!(
            out,
            "the second to the first: delivered a second × {:.2}, arrival p99 × {:.2}, 202 p99 × \
             {:.2}",
            ratio(after.delivered_per_s, before.delivered_per_s),
            ratio(after.arrival_us.p99 as f64, before.arrival_us.p99 as f64),
            ratio(after.accept_us.p99 as f64, before.accept_us.p99 as f64),
        );
    }
    out
}

/// The runs of an overload, and how it compares with those without.
pub(super) fn overload(runs: &[Outcome]) -> String {
    let mut out = String::new();
    for run in runs {
        one(&mut out, run);
    }
    let [takes, quiet, half, over, ..] = runs else { return out };
    let mib = over.rss_course.map(|bytes| bytes >> 20);
    let refused: u64 = over.server_refused.values().sum();
    let _ = writeln!(
        out,
        "three times what it takes\n  \
           offered     {:.0}/s, sent {:.0}/s; accepted {:.0}/s, refused {:.0}/s\n  \
           delivered   {:.0}/s meanwhile, × {:.2} of what it takes; {} behind at the end\n  \
           memory      {} MiB at the start, {} after 10 s, {} at the end\n  \
           202 p99     {:.2} ms, × {:.1} of that at half load, × {:.1} of that at 1,000/s\n  \
           from sending alone {:.2} ms, × {:.1}, × {:.1}\n  \
           lost        {}",
        takes.accepted_per_s * 3.0,
        over.sent_per_s,
        over.accepted_per_s,
        refused as f64 / over.accepted.max(1) as f64 * over.accepted_per_s,
        over.delivered_meanwhile_per_s,
        ratio(over.delivered_meanwhile_per_s, takes.delivered_per_s),
        over.behind,
        mib[0],
        mib[1],
        mib[2],
        over.accept_us.p99 as f64 / 1e3,
        ratio(over.accept_us.p99 as f64, half.accept_us.p99 as f64),
        ratio(over.accept_us.p99 as f64, quiet.accept_us.p99 as f64),
        over.accept_sent_us.p99 as f64 / 1e3,
        ratio(over.accept_sent_us.p99 as f64, half.accept_sent_us.p99 as f64),
        ratio(over.accept_sent_us.p99 as f64, quiet.accept_sent_us.p99 as f64),
        runs.iter().map(|run| run.missing).sum::<u64>(),
    );
    if let Some(crowd) = runs.get(super::overload::OVER + 1) {
        let shares = crowd.refused_shares();
        let _ = writeln!(
            out,
            "a crowd of {} that obeys: all accepted after {:.1} s; refused {:.0} % of the first \
             half's requests, {:.0} % of the second's",
            crowd.accepted,
            crowd.seconds,
            shares[0] * 100.0,
            shares[1] * 100.0
        );
    }
    out
}

/// How many times `before` is in `after`.
pub(super) fn ratio(after: f64, before: f64) -> f64 {
    if before > 0.0 { after / before } else { 0.0 }
}

fn one(out: &mut String, outcome: &Outcome) {
    let mib = |bytes: u64| bytes >> 20;
    let _ = writeln!(out, "{}", outcome.name);
    if let Some(backlog) = &outcome.backlog {
        let _ = writeln!(
            out,
            "  backlog     {} accepted, {:.0}/s; server then {} MiB",
            backlog.deliveries,
            backlog.accepted_per_s,
            mib(backlog.rss_bytes)
        );
    }
    if outcome.accepted > 0 {
        let _ = writeln!(
            out,
            "  accepted    {:>9}  {:>8.0}/s   POST → 202      {}",
            outcome.accepted,
            outcome.accepted_per_s,
            quantiles(outcome.accept_us)
        );
        let _ = writeln!(
            out,
            "  delivered   {:>9}  {:>8.0}/s   POST → arrival  {}",
            outcome.delivered,
            outcome.delivered_per_s,
            quantiles(outcome.arrival_us)
        );
        let _ = writeln!(
            out,
            "  in {:.1} s; {} missing, {} twice, {} answered 429 by the receiver",
            outcome.seconds, outcome.missing, outcome.duplicates, outcome.receiver_refused
        );
        let _ = writeln!(
            out,
            "  server      {:.1} µs CPU a delivery, {} MiB (at most {}), {} descriptors",
            outcome.cpu_us_per_delivery,
            mib(outcome.rss_bytes),
            mib(outcome.rss_peak_bytes),
            outcome.descriptors
        );
    }
    for (status, count) in &outcome.server_refused {
        let what =
            if *status == 0 { "broken connections".into() } else { format!("answers {status}") };
        let after = outcome
            .retry_after_max_s
            .map_or(String::new(), |most| format!(", Retry-After at most {most} s"));
        let _ = writeln!(out, "  refused     {count} {what}{after}");
    }
    if let Some(idle) = &outcome.idle {
        let _ = match idle.seconds {
            Some(seconds) => write!(out, "  idle        no host actor after {seconds:.1} s"),
            None => write!(out, "  idle        some host actors never stopped"),
        };
        let _ = writeln!(out, "; {} descriptors, {} MiB", idle.descriptors, mib(idle.rss_bytes));
    }
    if let Some(seconds) = outcome.restart_s {
        let _ = writeln!(out, "  kill -9     ready again after {seconds:.2} s");
    }
    let _ = writeln!(out, "  disk        a synced write takes {} µs\n", outcome.sync_us);
}

fn quantiles(latency: Quantiles) -> String {
    let ms = |micros: u64| micros as f64 / 1000.0;
    format!(
        "p50 {:.2}  p99 {:.2}  p99.9 {:.2} ms",
        ms(latency.p50),
        ms(latency.p99),
        ms(latency.p999)
    )
}
