use proptest::prelude::*;

use super::*;

/// 2026-11-24T07:00:00Z.
const T0_S: i64 = 1_795_503_600;

fn t0() -> Timestamp {
    Timestamp::from_millis(T0_S * 1000)
}

fn headers(pairs: &[(&str, &str)]) -> Vec<Header> {
    let header = |(name, value): &(&str, &str)| Header {
        name: (*name).to_owned(),
        value: (*value).to_owned(),
    };
    pairs.iter().map(header).collect()
}

/// Reads headers written as lines; `{now}` and `{now+30}` stand for epoch seconds.
fn read_lines(lines: &str) -> Signals {
    let mut list = Vec::new();
    for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (name, value) = line.split_once(':').expect("name: value");
        let value = value
            .trim()
            .replace("{now+30}", &(T0_S + 30).to_string())
            .replace("{now+30ms}", &((T0_S + 30) * 1000).to_string())
            .replace("{now-30}", &(T0_S - 30).to_string());
        list.push((name.to_owned(), value));
    }
    let pairs: Vec<(&str, &str)> =
        list.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    read(&headers(&pairs), t0())
}

/// `limit/remaining reset~ window`, `-` for what is unsaid, `~` for a coarse reset, ` | ` between
/// buckets.
fn shown(signals: &Signals) -> String {
    let count = |count: Option<u64>| count.map_or("-".to_owned(), |count| count.to_string());
    let time = |time: Option<Duration>| time.map_or("-".to_owned(), |time| format!("{time:?}"));
    let bucket = |bucket: &Bucket| {
        let mark = if bucket.coarse { "~" } else { "" };
        format!(
            "{}/{} {}{mark} {}",
            count(bucket.limit),
            count(bucket.remaining),
            time(bucket.reset),
            time(bucket.window)
        )
    };
    signals.buckets.iter().map(bucket).collect::<Vec<_>>().join(" | ")
}

#[test]
fn a_reset_is_told_apart_by_one_rule() {
    let second = Duration::from_secs(1);
    let ms = Duration::from_millis(1);
    let cases: &[(&str, Option<(Duration, bool)>)] = &[
        // delta seconds
        ("0", Some((Duration::ZERO, true))),
        ("30", Some((30 * second, true))),
        (" 30 ", Some((30 * second, true))),
        ("0.25", Some((250 * ms, false))),
        ("64.57", Some((64_570 * ms, false))),
        ("2.0", Some((2 * second, false))),
        ("999999999", Some((999_999_999 * second, true))),
        // epoch seconds
        ("1795503600", Some((Duration::ZERO, true))),
        ("1795503630", Some((30 * second, true))),
        ("1795503570", Some((Duration::ZERO, true))),
        ("1795503600.5", Some((500 * ms, false))),
        ("1795417200", Some((Duration::ZERO, true))), // a day ago
        ("1795417199", None),
        ("1798268400", Some((32 * 86_400 * second, true))), // 32 days ahead
        ("1798268401", None),
        ("1000000000", None),
        ("4294967295", None),
        // epoch milliseconds
        ("1795503630000", Some((30 * second, false))),
        ("1795503600250", Some((250 * ms, false))),
        ("1000000000000", None),
        ("1795503600000000", None), // microseconds
        ("99999999999999999999999", None),
        // Go durations
        ("1s", Some((second, true))),
        ("6m0s", Some((360 * second, true))),
        ("1h2m3.5s", Some((3_723_500 * ms, false))),
        ("12ms", Some((12 * ms, false))),
        ("20us", Some((Duration::from_micros(20), false))),
        ("20µs", Some((Duration::from_micros(20), false))),
        ("1d", Some((86_400 * second, true))),
        // HTTP dates: IMF-fixdate, RFC 850, asctime
        ("Tue, 24 Nov 2026 07:00:30 GMT", Some((30 * second, true))),
        ("Tuesday, 24-Nov-26 07:00:30 GMT", Some((30 * second, true))),
        ("Tue Nov 24 07:00:30 2026", Some((30 * second, true))),
        ("Sun, 06 Nov 1994 08:49:37 GMT", Some((Duration::ZERO, true))),
        // ISO 8601
        ("2026-11-24T07:00:30Z", Some((30 * second, true))),
        ("2026-11-24T07:00:30.250Z", Some((30_250 * ms, false))),
        ("2026-11-24T07:00:30.2500000Z", Some((30_250 * ms, false))),
        ("2026-11-24T08:00:30+01:00", Some((30 * second, true))),
        ("2026-11-24T07:00:30", Some((30 * second, true))),
        ("2026-11-24 07:00:30", Some((30 * second, true))),
        ("2026-11-24 07:00:30 UTC", Some((30 * second, true))),
        ("2026-11-24 08:00:30 +0100", Some((30 * second, true))),
        ("2026-11-24 07:00:30 +0000 UTC", Some((30 * second, true))),
        ("2018-03-13T00:00:00Z", Some((Duration::ZERO, true))),
        // RFC 2822 and JavaScript
        ("Tue, 24 Nov 2026 08:00:30 +0100", Some((30 * second, true))),
        (
            "Tue Nov 24 2026 08:00:30 GMT+0100 (Central European Standard Time)",
            Some((30 * second, true)),
        ),
        ("Tue Nov 24 2026 07:00:30 GMT", Some((30 * second, true))),
        // none of these
        ("", None),
        ("  ", None),
        ("-1", None),
        ("+5", None),
        ("soon", None),
        ("inf", None),
        ("NaN", None),
        ("1e3", None),
        ("0x10", None),
        (".", None),
        ("1.2.3", None),
        ("5 minutes", None),
        ("2026-13-45T99:00:00Z", None),
        ("Tue Foo 24 2026 07:00:30 GMT", None),
        ("Tue Nov 24 2026 07:00:30 GMT+99", None),
        ("m", None),
        ("5mm", None),
        ("٣", None),
    ];
    for (text, expected) in cases {
        let read = reset_in(text, t0()).map(|reset| (reset.wait, reset.coarse));
        assert_eq!(read, *expected, "{text:?}");
    }
}

#[test]
fn retry_after_in_all_its_forms() {
    let cases: &[(&str, Option<f64>)] = &[
        ("retry-after: 120", Some(120.0)),
        ("retry-after: 2.0", Some(2.0)),
        ("retry-after: 0", Some(0.0)),
        ("retry-after: 64.57", Some(64.57)),
        ("retry-after: Tue, 24 Nov 2026 07:02:00 GMT", Some(120.0)),
        ("retry-after: Tuesday, 24-Nov-26 07:02:00 GMT", Some(120.0)),
        ("retry-after: Tue Nov 24 07:02:00 2026", Some(120.0)),
        ("retry-after: Mon, 01 Jan 2001 00:00:00 GMT", Some(0.0)),
        ("retry-after: {now+30}", Some(30.0)),
        ("retry-after-ms: 1500", Some(1.5)),
        ("x-ms-retry-after-ms: 250", Some(0.25)),
        ("x-ratelimit-retry-after: 9", Some(9.0)),
        // the longest counts
        ("retry-after: 5\nretry-after: 7", Some(7.0)),
        ("retry-after: 5, 7, 6", Some(7.0)),
        ("retry-after: 2\nretry-after-ms: 1200", Some(2.0)),
        ("retry-after: soon\nretry-after: 3", Some(3.0)),
        // garbage
        ("retry-after: soon", None),
        ("retry-after: -5", None),
        ("retry-after: 5, soon", None),
        ("retry-after:", None),
        ("retry-after: ,", None),
        ("retry-after-ms: 1s", None),
    ];
    for (lines, seconds) in cases {
        let expected = seconds.map(Duration::from_secs_f64);
        assert_eq!(read_lines(lines).retry_after, expected, "{lines}");
    }
}

#[test]
fn a_date_is_measured_against_the_answerers_own_clock() {
    // Its clock is an hour behind ours, and it asks for a minute.
    let skewed = read_lines(
        "date: Tue, 24 Nov 2026 06:00:00 GMT
         retry-after: Tue, 24 Nov 2026 06:01:00 GMT
         x-ratelimit-reset: 1795500020",
    );
    assert_eq!(skewed.retry_after, Some(Duration::from_secs(60)));
    assert_eq!(shown(&skewed), "-/- 20s~ -");
    let undated = read_lines("date: yesterday\nretry-after: Tue, 24 Nov 2026 07:01:00 GMT");
    assert_eq!(undated.retry_after, Some(Duration::from_secs(60)));
}

#[test]
fn within_the_second_of_the_date_our_own_clock_is_the_finer_one() {
    let list = headers(&[
        ("date", "Tue, 24 Nov 2026 07:00:00 GMT"),
        ("retry-after", "Tue, 24 Nov 2026 07:00:01 GMT"),
        ("x-ratelimit-reset", "1795503601"),
    ]);
    let signals = read(&list, Timestamp::from_millis(T0_S * 1000 + 700));
    assert_eq!(signals.retry_after, Some(Duration::from_secs(1)), "never too short");
    assert_eq!(signals.buckets[0].reset, Some(Duration::from_millis(300)));
    assert!(signals.buckets[0].coarse);
}

#[test]
fn every_dialect_is_understood() {
    let cases: &[(&str, &str, &str)] = &[
        (
            "GitHub",
            "x-ratelimit-limit: 5000\nx-ratelimit-remaining: 4987\nx-ratelimit-used: 13
             x-ratelimit-reset: {now+30}\nx-ratelimit-resource: core",
            "5000/4987 30s~ -",
        ),
        (
            "Twitter",
            "x-rate-limit-limit: 900\nx-rate-limit-remaining: 0\nx-rate-limit-reset: {now+30}",
            "900/0 30s~ -",
        ),
        (
            "GitLab",
            "ratelimit-limit: 60\nratelimit-observed: 67\nratelimit-remaining: 0
             ratelimit-reset: {now+30}",
            "60/0 30s~ -",
        ),
        (
            "GitLab without remaining",
            "ratelimit-limit: 60\nratelimit-observed: 17",
            "60/43 - -",
        ),
        (
            "Reddit",
            "x-ratelimit-used: 1\nx-ratelimit-remaining: 599.7\nx-ratelimit-reset: 30",
            "-/599 30s~ -",
        ),
        (
            "Vimeo",
            "x-ratelimit-limit: 50\nx-ratelimit-remaining: 3
             x-ratelimit-reset: 2026-11-24T07:00:30+00:00",
            "50/3 30s~ -",
        ),
        (
            "Akamai",
            "x-ratelimit-limit: 50\nx-ratelimit-remaining: 3
             x-ratelimit-next: 2026-11-24T07:00:30.172Z",
            "50/3 30.172s -",
        ),
        (
            "Discord",
            "x-ratelimit-limit: 5\nx-ratelimit-remaining: 0\nx-ratelimit-reset: {now+30}.123
             x-ratelimit-reset-after: 29.5\nx-ratelimit-bucket: abcd1234
             x-ratelimit-scope: user\nx-ratelimit-global: true",
            "5/0 29.5s -",
        ),
        (
            "Atlassian",
            "x-ratelimit-limit: 100\nx-ratelimit-remaining: 7\nx-ratelimit-interval-seconds: 60
             x-ratelimit-fillrate: 50\nretry-after: 0",
            "100/7 - 120s",
        ),
        ("Shopify", "x-shopify-shop-api-call-limit: 32/40", "40/8 - -"),
        ("Shopify overrun", "x-shopify-shop-api-call-limit: 41/40", "40/0 - -"),
        ("Salesforce", "sforce-limit-info: api-usage=18/5000", "5000/4982 - -"),
        ("Rachio", "x-ratelimit-reset: 2026-11-24T07:00:30Z", "-/- 30s~ -"),
        (
            "lemlist",
            "x-ratelimit-reset: Tue Nov 24 2026 08:00:30 GMT+0100 (heure normale d’Europe)",
            "-/- 30s~ -",
        ),
        (
            "Envoy",
            "x-ratelimit-limit: 10, 10;w=1;name=\"per, second\", 1000;w=3600
             x-ratelimit-remaining: 9\nx-ratelimit-reset: 1",
            "10/9 1s~ 1s | 1000/- - 3600s",
        ),
        (
            "draft 3 with three windows",
            "ratelimit-limit: 10, 10;w=1, 100;w=60\nratelimit-remaining: 4\nratelimit-reset: 1",
            "10/4 1s~ 1s | 100/- - 60s",
        ),
        (
            "draft 6",
            "ratelimit-limit: 100\nratelimit-remaining: 50\nratelimit-reset: 30
             ratelimit-policy: 100;w=60;comment=\"fixed\"",
            "100/50 30s~ 60s",
        ),
        (
            "draft 7",
            "ratelimit: limit=100, remaining=50, reset=30\nratelimit-policy: 100;w=60",
            "100/50 30s~ 60s",
        ),
        (
            "draft 7 with two policies",
            "ratelimit-policy: 10;w=1, 100;w=60\nratelimit: limit=100,remaining=50,reset=30",
            "100/50 30s~ 60s | 10/- - 1s",
        ),
        (
            "draft 8 and later",
            "ratelimit-policy: \"burst\";q=100;w=60,\"daily\";q=1000;w=86400
             ratelimit: \"burst\";r=45;t=30",
            "100/45 30s~ 60s | 1000/- - 86400s",
        ),
        (
            "draft 8 in two lines",
            "ratelimit: \"burst\";r=45;t=30\nratelimit: \"daily\";r=900;t=3000
             ratelimit-policy: \"daily\";q=1000;w=86400\nratelimit-policy: \"burst\";q=100;w=60",
            "100/45 30s~ 60s | 1000/900 3000s~ 86400s",
        ),
        ("draft 8 with tokens for names", "ratelimit: default;r=0;t=5", "-/0 5s~ -"),
        ("draft 8 with a policy unknown", "ratelimit: \"x\";r=2;t=1.5", "-/2 1.5s -"),
        (
            "draft 8 counting bytes too",
            "ratelimit-policy: \"b\";q=100000;w=60;qu=\"content-bytes\", \"r\";q=5;w=1;qu=\"requests\"
             ratelimit: \"b\";r=45;t=30, \"r\";r=4;t=1",
            "5/4 1s~ 1s",
        ),
        (
            "Kong",
            "ratelimit-limit: 60\nratelimit-remaining: 8\nratelimit-reset: 30
             x-ratelimit-limit-minute: 60\nx-ratelimit-remaining-minute: 8
             x-ratelimit-limit-hour: 1000\nx-ratelimit-remaining-hour: 900",
            "60/8 30s~ - | 60/8 - 60s | 1000/900 - 3600s",
        ),
        (
            "OpenAI",
            "x-ratelimit-limit-requests: 60\nx-ratelimit-remaining-requests: 59
             x-ratelimit-reset-requests: 6m0s\nx-ratelimit-limit-tokens: 150000
             x-ratelimit-remaining-tokens: 149984\nx-ratelimit-reset-tokens: 12ms",
            "60/59 360s~ -",
        ),
        (
            "Anthropic",
            "anthropic-ratelimit-requests-limit: 50\nanthropic-ratelimit-requests-remaining: 49
             anthropic-ratelimit-requests-reset: 2026-11-24T07:00:30Z
             anthropic-ratelimit-input-tokens-remaining: 0",
            "50/49 30s~ -",
        ),
        (
            "HubSpot",
            "x-hubspot-ratelimit-max: 100\nx-hubspot-ratelimit-remaining: 98
             x-hubspot-ratelimit-interval-milliseconds: 10000
             x-hubspot-ratelimit-daily: 250000\nx-hubspot-ratelimit-daily-remaining: 249000",
            "100/98 - 10s | 250000/249000 - 86400s",
        ),
        ("Azure", "x-ms-ratelimit-remaining-subscription-writes: 1199", "-/1199 - -"),
        (
            "AspNetCoreRateLimit",
            "x-rate-limit-limit: 15m\nx-rate-limit-remaining: 2
             x-rate-limit-reset: 2026-11-24T07:00:30.5000000Z",
            "-/2 30.5s 900s",
        ),
        (
            "milliseconds by name",
            "x-ratelimit-remaining: 1\nx-ratelimit-reset-ms: 1500",
            "-/1 1.5s -",
        ),
        (
            "epoch milliseconds",
            "x-ratelimit-remaining: 1\nx-ratelimit-reset: {now+30ms}",
            "-/1 30s -",
        ),
        ("past", "x-ratelimit-remaining: 0\nx-ratelimit-reset: {now-30}", "-/0 0ns~ -"),
        (
            "fields in step",
            "x-ratelimit-limit: 20, 100\nx-ratelimit-remaining: 5\nx-ratelimit-remaining: 80
             x-ratelimit-reset: 1, 60",
            "20/5 1s~ - | 100/80 60s~ -",
        ),
        (
            "repeated out of step",
            "x-ratelimit-limit: 20\nx-ratelimit-remaining: 5\nx-ratelimit-remaining: 3
             x-ratelimit-reset: 4, 9",
            "20/3 9s~ -",
        ),
        ("overrun", "x-ratelimit-limit: 10\nx-ratelimit-remaining: -3", "10/0 - -"),
        ("no limit at all", "x-ratelimit-limit: -1\nx-ratelimit-remaining: -1", ""),
        ("too great", "x-ratelimit-limit: 99999999999999999999999", "18446744073709551615/- - -"),
        ("garbage", "x-ratelimit-limit: many\nx-ratelimit-remaining: few\nx-ratelimit-reset: ?", ""),
        ("garbage structured", "ratelimit: ;;;\nratelimit-policy: \"", ""),
        ("a window alone is no bucket", "x-ratelimit-interval-seconds: 60", ""),
        ("none", "content-type: text/plain\nx-request-id: 7\nserver: nginx", ""),
    ];
    for (sender, lines, expected) in cases {
        assert_eq!(shown(&read_lines(lines)), *expected, "{sender}");
    }
}

#[test]
fn a_hostile_answer_yields_few_buckets() {
    let names: Vec<String> = (0..500).map(|n| format!("x-ratelimit-limit-k{n}")).collect();
    let pairs: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "1")).collect();
    assert_eq!(read(&headers(&pairs), t0()).buckets.len(), fields::ITEMS_MAX);
    let long = "1;w=1,".repeat(10_000);
    let listed = read(&headers(&[("ratelimit-limit", &long)]), t0());
    assert!(listed.buckets.len() <= fields::ITEMS_MAX);
}

fn any_name() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        "date",
        "retry-after",
        "retry-after-ms",
        "ratelimit",
        "ratelimit-policy",
        "ratelimit-limit",
        "ratelimit-reset",
        "x-ratelimit-limit",
        "x-ratelimit-remaining",
        "x-ratelimit-used",
        "x-ratelimit-reset",
        "x-ratelimit-reset-after",
        "x-ratelimit-fillrate",
        "x-ratelimit-interval-seconds",
        "x-shopify-shop-api-call-limit",
        "sforce-limit-info",
    ]);
    prop_oneof![known.prop_map(str::to_owned), "x-rate-?limit-[a-z-]{0,12}", any::<String>()]
}

fn any_value() -> impl Strategy<Value = String> {
    let bytes = prop::collection::vec(any::<u8>(), 0..60);
    prop_oneof![
        any::<String>(),
        bytes.prop_map(|bytes| String::from_utf8_lossy(&bytes).into_owned()),
        "[0-9.,;=/ wrtq\"a-]{0,40}",
        "[0-9]{1,30}(\\.[0-9]{0,30})?",
        "([0-9.]{1,12}(h|m|s|ms|µs|d)){1,4}",
        "[0-9]{1,5}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}:[0-9]{2}(\\.[0-9]{1,9})?( UTC|Z|[+-][0-9:]{4,5}| [+-][0-9]{4})?",
        "(Mon|Tue|Sunday),? [0-9]{1,2}[ -](Nov|Feb)[ -][0-9]{2,5} [0-9]{2}:[0-9]{2}:[0-9]{2} (GMT|[+-][0-9]{4})",
        "(Mon|Tue) (Nov|Feb) [0-9]{1,3} [0-9]{4,6} [0-9]{2}:[0-9]{2}:[0-9]{2} GMT[+-]?[0-9]{0,4}",
        "(\"[a-c]\"|[a-c]|[0-9]{1,3})(;[qwrt]=[0-9.]{1,18}){0,4}(, [a-c]=[0-9]{1,15})?",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn no_answer_makes_the_reader_panic(
        pairs in prop::collection::vec((any_name(), any_value()), 0..12),
        received in any::<i64>(),
    ) {
        let list: Vec<Header> =
            pairs.into_iter().map(|(name, value)| Header { name, value }).collect();
        let signals = read(&list, Timestamp::from_millis(received));
        prop_assert!(signals.buckets.len() <= fields::ITEMS_MAX);
    }

    #[test]
    fn no_text_makes_reset_in_panic(text in any_value(), now in any::<i64>()) {
        reset_in(&text, Timestamp::from_millis(now));
    }

    #[test]
    fn a_delta_is_read_back(wait in 0u32..999_999_999) {
        let reset = reset_in(&wait.to_string(), t0());
        prop_assert_eq!(
            reset,
            Some(Reset { wait: Duration::from_secs(wait.into()), coarse: true })
        );
    }

    #[test]
    fn a_later_epoch_is_never_a_shorter_wait(
        one in 0i64..32 * 86_400,
        two in 0i64..32 * 86_400,
    ) {
        let read = |ahead: i64| reset_in(&(T0_S + ahead).to_string(), t0()).map(|r| r.wait);
        prop_assert_eq!(one.cmp(&two), read(one).cmp(&read(two)));
    }
}

#[test]
fn a_reset_measured_against_a_date_of_another_second_counts_as_whole_seconds() {
    for (received_ms, coarse) in [(999, false), (1_500, true)] {
        let lines = [
            ("date", "Tue, 24 Nov 2026 07:00:00 GMT"),
            ("x-ratelimit-remaining", "5"),
            ("x-ratelimit-reset", "1795503610.250"),
        ];
        let received = Timestamp::from_millis(T0_S * 1000 + received_ms);
        let signals = read(&headers(&lines), received);
        assert_eq!(signals.buckets[0].coarse, coarse, "{received_ms}");
    }
}
