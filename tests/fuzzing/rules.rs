//! What comes from hosts and from the operator: headers about budgets, heads of answers, settings.

use std::time::Duration;

use bytes::Bytes;
use hostline::config::{Flag, HostRules, Settings, Sources, load};
use hostline::delivery::head::{self, Scan};
use hostline::model::{
    Answer, DeliveryId, Header, HostControls, HostNumber, Method, Moment, Now, Outcome, Pending,
    Priority, Target, Timestamp, Verdict, Webhook,
};
use hostline::policy::headers;
use hostline::policy::host_state::{HostState, Step};
use hostline::policy::saved::Saved;

use crate::targets::{kept, note};

/// 2026-11-24T07:00:00Z.
pub const T0: Timestamp = Timestamp::from_millis(1_795_503_600_000);
/// No answer puts the whole host off for longer.
const HOST_WAIT_MAX: Duration = Duration::from_secs(3600);
/// Nor one delivery.
const DELIVERY_WAIT_MAX: Duration = Duration::from_secs(24 * 3600);
/// Steps of a host in which it must have come to send: each wait is one.
const STEPS: usize = 50;

pub fn after(time: Duration) -> Now {
    Now { moment: Moment::ORIGIN + time, wall: T0.plus(time) }
}

/// A host with deliveries to send.
pub fn host_state(now: Now) -> HostState {
    let mut state = HostState::new(HostRules::default(), HostControls::default(), 100, now.moment);
    for seq in 0..3 {
        state.queue_mut().offer(pending(seq));
    }
    state
}

fn pending(seq: u64) -> Pending {
    let webhook = Webhook {
        method: Method::Post,
        target: Target::from_vetted("http://a.example/").expect("a target"),
        headers: Vec::new(),
        body: Bytes::new(),
        secret_refs: Vec::new(),
    };
    Pending {
        id: DeliveryId::new(T0, HostNumber(7), seq),
        seq,
        lane: 0,
        due: T0,
        expires: T0.plus(Duration::from_secs(72 * 3600)),
        priority: Priority::Normal,
        attempts: 0,
        retries: 0,
        ordered: false,
        size: 200,
        campaign: None,
        webhook: Some(webhook.into()),
    }
}

/// When the host sends next, if it does within a day.
pub fn next_send(state: &mut HostState, from: Duration) -> Option<(Pending, Duration)> {
    let mut at = from;
    for _ in 0..STEPS {
        match state.next(after(at)) {
            Step::Send(entry) => return Some((entry, at)),
            Step::WaitUntil(moment) => {
                let until = moment.since(Moment::ORIGIN);
                // Due times are whole milliseconds.
                at = until.max(at + Duration::from_nanos(1));
            }
            Step::Fetch(_) | Step::Expire(_) | Step::Idle => return None,
        }
        if at > from + DELIVERY_WAIT_MAX * 2 {
            return None;
        }
    }
    None
}

/// Headers of an answer, as lines.
pub fn limit_headers(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let lines = text.lines().filter_map(|line| line.split_once(':'));
    let fields = lines.map(|(name, value)| Header {
        name: name.trim().to_ascii_lowercase(),
        value: value.trim().to_owned(),
    });
    let mut fields: Vec<Header> = fields.collect();
    let signals = headers::read(&fields, T0);
    assert!(signals.buckets.len() <= 64, "{} buckets", signals.buckets.len());
    let word = |given: bool| if given { "given" } else { "none" };
    let buckets = signals.buckets.iter().take(1);
    let told = buckets.map(|bucket| {
        let parts = [bucket.limit.is_some(), bucket.remaining.is_some(), bucket.reset.is_some()];
        parts.map(word).join(" ")
    });
    note(&format!("{} {}", word(signals.retry_after.is_some()), told.collect::<String>()));
    for status in [200, 429, 503, 500, 404] {
        after_an_answer(status, &fields);
    }
    // What says nothing about a budget changes nothing.
    fields.push(Header { name: "x-noise".into(), value: "retry-after: 9".into() });
    assert_eq!(headers::read(&fields, T0), signals);
}

/// Whatever a host says, it is asked again within an hour, and the delivery goes within a day.
fn after_an_answer(status: u16, fields: &[Header]) {
    let mut state = host_state(after(Duration::ZERO));
    let (first, _) = next_send(&mut state, Duration::ZERO).expect("nothing holds it");
    let answered = Duration::from_millis(50);
    let headers = fields.to_vec();
    let outcome =
        Outcome::Answered(Answer { status, headers, body: Bytes::new(), body_truncated: false });
    let ruling = state.settle(first.id, &outcome, after(answered), 0.5).expect("in flight");
    if let Verdict::Again { due, .. } = ruling.verdict {
        assert!(T0.until(due) <= answered + DELIVERY_WAIT_MAX, "due in {:?}", T0.until(due));
    }
    let now = after(answered);
    let saved = state.save(now);
    let read = Saved::parse(&saved.to_json()).expect("what was saved can be read");
    assert!(kept::same(&read, &saved), "{read:?} {saved:?}");
    let mut restored = host_state(now);
    restored.restore(&read, now);
    for (what, state) in [("", &mut state), ("restored, ", &mut restored)] {
        let standing = state.standing(now);
        assert!(
            standing.until.is_none_or(|until| until <= now.moment + HOST_WAIT_MAX * 2),
            "{what}{standing:?}"
        );
        let sent = next_send(state, answered);
        let Some((_, at)) = sent else { panic!("{what}nothing goes after {status}") };
        assert!(at <= answered + HOST_WAIT_MAX * 2, "{what}the next goes after {at:?}");
    }
}

/// The first bytes of an answer.
pub fn answer_head(data: &[u8]) {
    let kept = head::fields(data);
    assert!(kept.len() <= 64);
    let size: usize = kept.iter().map(|header| header.name.len() + header.value.len()).sum();
    // Bytes that are no text become a character of three bytes.
    assert!(size <= 3 * (8 << 10), "{size} bytes are kept");
    for header in &kept {
        assert_eq!(header.name, header.name.to_ascii_lowercase());
        assert!(!header.name.contains(['\n', ':']) && !header.value.contains('\n'));
    }
    let _signals = headers::read(&kept, T0);
    let scanned = head::scan(data);
    note(&format!("{scanned:?}"));
    let end = match scanned {
        Scan::Interim(end) | Scan::Final { end, .. } => end,
        Scan::Partial => return,
        Scan::Malformed(_) => {
            // More of it does not make it well formed.
            let longer = [data, b"\r\n\r\n"].concat();
            assert_eq!(head::scan(&longer), scanned);
            return;
        }
    };
    assert!(end <= data.len() && head::may_end(&data[..end]));
    assert_eq!(head::scan(&data[..end]), scanned, "what follows does not matter");
    for shorter in (0..end).rev().take(64) {
        assert_eq!(head::scan(&data[..shorter]), Scan::Partial, "{shorter} of {end}");
    }
}

/// A settings file; after a NUL, flags, one a line.
pub fn config(data: &[u8]) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("config.toml");
    let (file, flags) = match data.iter().position(|byte| *byte == 0) {
        Some(at) => (&data[..at], &data[at + 1..]),
        None => (data, &data[..0]),
    };
    std::fs::write(&path, file).expect("a file");
    let flags = String::from_utf8_lossy(flags);
    let flags = flags.lines().filter_map(|line| line.split_once('='));
    let flags = flags.map(|(key, value)| Flag::Set { key: key.into(), value: value.into() });
    let sources = Sources { file: Some(path), flags: flags.collect(), ..Sources::default() };
    match load(sources) {
        Err(errors) => {
            assert!(!errors.problems().is_empty());
            for problem in errors.problems() {
                assert!(!problem.wrong.is_empty() && !problem.right.is_empty(), "{problem}");
                note(&format!("{:?} {}", problem.key, problem.wrong));
            }
        }
        Ok(loaded) => {
            usable(&loaded.settings);
            // Secrets are not shown, so what names one cannot be given again; and a flag's key ends
            // at the first equals sign, which no host's name has in life.
            let is_odd = loaded.settings.hosts.keys().any(|name| name.contains('='));
            if loaded.settings.secrets.is_empty() && !is_odd {
                let again = loaded
                    .effective()
                    .into_iter()
                    .map(|item| Flag::Set { key: item.key, value: item.value.to_string() });
                let directory = folder.path().join("none");
                let sources = Sources { directory, flags: again.collect(), ..Sources::default() };
                let again =
                    load(sources).unwrap_or_else(|errors| panic!("shown, refused: {errors}"));
                assert_eq!(telling(again.settings), telling(loaded.settings));
            }
        }
    }
}

/// Without the hosts that are named and given nothing of their own: those are not shown.
fn telling(mut settings: Settings) -> Settings {
    settings.hosts.retain(|_, rules| *rules != settings.rules);
    settings
}

/// Settings that were taken make no nonsense.
fn usable(settings: &Settings) {
    assert!(settings.actors.shards > 0 && settings.actors.window > 0);
    assert!(settings.server.max_body > 0 && settings.server.max_batch > 0);
    for rules in settings.hosts.values().chain([&settings.rules]) {
        let rate = rules.limits.requests_per_second.unwrap_or(1.0);
        assert!(rate > 0.0 && rate.is_finite(), "{rate}");
        assert!(rules.limits.in_flight > 0 && rules.limits.burst != Some(0));
        assert!(rules.retry.factor.is_finite() && (0.0..=1.0).contains(&rules.retry.jitter));
        for retry in 1..20 {
            let delay = hostline::policy::backoff::delay(retry, &rules.retry, 0.99);
            assert!(delay <= rules.retry.max * 2, "{delay:?}");
        }
    }
}
