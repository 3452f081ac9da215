//! One host in simulated time against models of the limiters that hosts run.

use std::collections::BinaryHeap;

use super::*;

/// A model of a limiter, 1 ms away.
trait Limiter {
    fn answer(&mut self, millis: u64) -> Outcome;
}

struct Run {
    delivered: u64,
    refused: u64,
    refused_after_first_second: u64,
    millis: u64,
    most_in_flight: u32,
}

/// Sends `count` deliveries to the limiter, each answered after `latency` ms.
fn run(limiter: &mut dyn Limiter, count: u64, latency: u64, millis_max: u64) -> Run {
    let mut state = host(count);
    let mut answers: BinaryHeap<std::cmp::Reverse<(u64, u64)>> = BinaryHeap::new();
    let mut outcomes = HashMap::new();
    let mut run = Run {
        delivered: 0,
        refused: 0,
        refused_after_first_second: 0,
        millis: 0,
        most_in_flight: 0,
    };
    let mut serial = 0;
    while run.delivered < count && run.millis < millis_max {
        let now = at(run.millis);
        while let Some(std::cmp::Reverse((when, number))) = answers.peek().copied() {
            if when > run.millis {
                break;
            }
            answers.pop();
            let (id, outcome) = outcomes.remove(&number).expect("sent");
            match settle(&mut state, id, &outcome, now) {
                Verdict::End(End::Delivered) => run.delivered += 1,
                Verdict::Again { retries: 0, .. } => {
                    run.refused += 1;
                    run.refused_after_first_second += u64::from(run.millis > 1_500);
                }
                verdict => panic!("{verdict:?} at {}", run.millis),
            }
        }
        while let Step::Send(entry) = state.next(now) {
            serial += 1;
            outcomes.insert(serial, (entry.id, limiter.answer(run.millis)));
            answers.push(std::cmp::Reverse((run.millis + latency, serial)));
        }
        run.most_in_flight = run.most_in_flight.max(state.in_flight());
        run.millis += 1;
    }
    run
}

/// A token bucket of `rate` a second that says what `says` says.
struct Bucket {
    rate: f64,
    burst: f64,
    tokens: f64,
    at: u64,
    says: Says,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Says {
    RetryAfter,
    Headers,
    Nothing,
}

impl Bucket {
    fn new(rate: f64, says: Says) -> Self {
        Self { rate, burst: rate, tokens: rate, at: 0, says }
    }
}

impl Limiter for Bucket {
    fn answer(&mut self, millis: u64) -> Outcome {
        let gained = (millis - self.at) as f64 / 1000.0 * self.rate;
        self.tokens = (self.tokens + gained).min(self.burst);
        self.at = millis;
        let status = if self.tokens >= 1.0 { 200 } else { 429 };
        if status == 200 {
            self.tokens -= 1.0;
        }
        let remaining = format!("{}", self.tokens.floor());
        let reset = format!("{}", ((self.burst - self.tokens) / self.rate).ceil());
        let limit = format!("{}", self.burst);
        let triple = [
            ("x-ratelimit-limit", limit.as_str()),
            ("x-ratelimit-remaining", remaining.as_str()),
            ("x-ratelimit-reset", reset.as_str()),
        ];
        match (self.says, status) {
            (Says::Headers, _) => answer(status, &triple),
            (Says::RetryAfter, 429) => answer(429, &[("retry-after", "1")]),
            _ => answer(status, &[]),
        }
    }
}

/// A fixed window of a second that names its remaining and, in whole seconds, its reset.
struct FixedWindow {
    limit: u64,
    window: u64,
    used: u64,
    number: u64,
}

impl Limiter for FixedWindow {
    fn answer(&mut self, millis: u64) -> Outcome {
        let number = millis / self.window;
        if number != self.number {
            (self.number, self.used) = (number, 0);
        }
        self.used += 1;
        let status = if self.used <= self.limit { 200 } else { 429 };
        let remaining = self.limit.saturating_sub(self.used).to_string();
        let reset = ((number + 1) * self.window - millis).div_ceil(1000).to_string();
        let limit = self.limit.to_string();
        answer(
            status,
            &[
                ("ratelimit-limit", limit.as_str()),
                ("ratelimit-remaining", remaining.as_str()),
                ("ratelimit-reset", reset.as_str()),
            ],
        )
    }
}

#[test]
fn two_thousand_at_a_hundred_a_second_with_retry_after() {
    let run = run(&mut Bucket::new(100.0, Says::RetryAfter), 2_000, 1, 60_000);
    assert_eq!(run.delivered, 2_000);
    assert!(run.millis <= 22_000, "{} ms", run.millis);
    assert!(run.refused <= 20, "{} refused", run.refused);
}

#[test]
fn two_thousand_at_a_hundred_a_second_with_headers() {
    let run = run(&mut Bucket::new(100.0, Says::Headers), 2_000, 1, 60_000);
    assert_eq!(run.delivered, 2_000);
    assert!(run.millis <= 22_000, "{} ms", run.millis);
    assert!(run.refused <= 2, "{} refused", run.refused);
}

#[test]
fn a_host_that_gives_no_hint_is_held_near_its_limit() {
    let run = run(&mut Bucket::new(100.0, Says::Nothing), 6_000, 5, 120_000);
    assert_eq!(run.delivered, 6_000);
    assert!(run.millis <= 66_000, "{} ms", run.millis);
    assert!(run.refused_after_first_second <= 60, "{}", run.refused_after_first_second);
}

#[test]
fn a_fixed_window_is_used_and_not_overrun() {
    for (limit, window) in [(100, 1_000), (600, 60_000), (50, 10_000)] {
        let mut limiter = FixedWindow { limit, window, used: 0, number: 0 };
        let count = limit * 180_000 / window;
        let run = run(&mut limiter, count, 20, 400_000);
        let ideal = 180_000;
        assert_eq!(run.delivered, count);
        assert!(run.millis <= ideal * 105 / 100, "{limit}/{window}: {} ms", run.millis);
        assert!(run.refused * 100 <= count, "{limit}/{window}: {} refused", run.refused);
    }
}

#[test]
fn slow_hosts_are_not_run_over_either() {
    let run = run(&mut Bucket::new(100.0, Says::RetryAfter), 6_000, 200, 200_000);
    assert_eq!(run.delivered, 6_000);
    // Twenty-five round trips of 200 ms until the in-flight limit has ramped up, then the rate.
    assert!(run.millis <= 70_000, "{} ms", run.millis);
    assert!(run.refused_after_first_second <= 120, "{}", run.refused_after_first_second);
    assert!(run.most_in_flight <= 64);
}

/// What a minute after the first ten seconds came to.
#[derive(Debug)]
struct Minute {
    attempts: u64,
    delivered: u64,
    over_at_first: u64,
}

impl Minute {
    fn used(&self, rate: f64) -> f64 {
        self.delivered as f64 / (rate * 60.0)
    }

    fn over(&self) -> f64 {
        (self.attempts - self.delivered) as f64 / (self.attempts as f64).max(1.0)
    }
}

/// Delivers for 70 s with more waiting than can go. Each request arrives up to `jitter` ms late and
/// is answered `latency` ms after it was sent.
fn watch(limiter: &mut dyn Limiter, latency: u64, jitter: u64) -> Minute {
    watch_stalling(limiter, latency, jitter, &|_millis| false)
}

/// As [`watch`], while we ourselves neither send nor read where `stalls`.
fn watch_stalling(
    limiter: &mut dyn Limiter,
    latency: u64,
    jitter: u64,
    stalls: &dyn Fn(u64) -> bool,
) -> Minute {
    let mut state = host(40_000);
    let mut answers: BinaryHeap<std::cmp::Reverse<(u64, u64)>> = BinaryHeap::new();
    let mut outcomes = HashMap::new();
    let mut minute = Minute { attempts: 0, delivered: 0, over_at_first: 0 };
    let mut serial = 0_u64;
    let mut arrived = 0;
    for millis in (0..70_000).filter(|millis| !stalls(*millis)) {
        let now = at(millis);
        while answers.peek().is_some_and(|next| next.0.0 <= millis) {
            let std::cmp::Reverse((_, number)) = answers.pop().expect("just seen");
            let (id, outcome) = outcomes.remove(&number).expect("sent");
            let verdict = settle(&mut state, id, &outcome, now);
            let delivered = verdict == Verdict::End(End::Delivered);
            if millis < 10_000 {
                minute.over_at_first += u64::from(!delivered);
            } else {
                minute.attempts += 1;
                minute.delivered += u64::from(delivered);
            }
        }
        while let Step::Send(entry) = state.next(now) {
            serial += 1;
            let late = serial.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 40;
            // Requests of one connection pool hardly ever overtake each other.
            arrived = (millis + late % (jitter + 1)).max(arrived);
            outcomes.insert(serial, (entry.id, limiter.answer(arrived)));
            answers.push(std::cmp::Reverse((arrived.max(millis + latency), serial)));
        }
    }
    minute
}

/// A window that begins with the first request after the last has ended, as express-rate-limit, and
/// flask-limiter and slowapi by default, count.
struct Window {
    limit: u64,
    length: u64,
    used: u64,
    resets: u64,
    dialect: Dialect,
}

#[derive(Clone, Copy, Debug)]
enum Dialect {
    /// Seconds since the epoch, rounded up (express-rate-limit, flask-limiter).
    Epoch,
    /// Seconds from now, rounded up, and the length of the window.
    Delta,
    /// A fraction of seconds since the epoch, a second too late (slowapi).
    SecondLate,
}

impl Window {
    fn new(limit: u64, length: u64, dialect: Dialect) -> Self {
        Self { limit, length, used: 0, resets: 0, dialect }
    }
}

impl Limiter for Window {
    fn answer(&mut self, millis: u64) -> Outcome {
        if millis >= self.resets {
            (self.used, self.resets) = (0, millis + self.length);
        }
        self.used += 1;
        let status = if self.used <= self.limit { 200 } else { 429 };
        let epoch = at(self.resets).wall.as_millis();
        let reset = match self.dialect {
            Dialect::Epoch => epoch.div_euclid(1000) + 1,
            Dialect::Delta => (self.resets - millis).div_ceil(1000) as i64,
            Dialect::SecondLate => epoch + 1000,
        };
        let reset = match self.dialect {
            Dialect::SecondLate => format!("{}.{:03}", reset / 1000, reset % 1000),
            _ => reset.to_string(),
        };
        let policy = format!("{};w={}", self.limit, self.length / 1000);
        let (limit, remaining) =
            (self.limit.to_string(), self.limit.saturating_sub(self.used).to_string());
        let mut headers = vec![
            ("ratelimit-limit", limit.as_str()),
            ("ratelimit-remaining", remaining.as_str()),
            ("ratelimit-reset", reset.as_str()),
        ];
        if matches!(self.dialect, Dialect::Delta) {
            headers.push(("ratelimit-policy", policy.as_str()));
        }
        let wait = (self.resets - millis).div_ceil(1000).to_string();
        if status == 429 {
            headers.push(("retry-after", wait.as_str()));
        }
        answer(status, &headers)
    }
}

/// Counts the requests of the last `length` ms; its reset is when the oldest of them is forgotten,
/// up to a second late (flask-limiter with moving windows).
struct MovingWindow {
    limit: u64,
    length: u64,
    taken: std::collections::VecDeque<u64>,
}

impl Limiter for MovingWindow {
    fn answer(&mut self, millis: u64) -> Outcome {
        while self.taken.front().is_some_and(|first| first + self.length <= millis) {
            self.taken.pop_front();
        }
        let within = (self.taken.len() as u64) < self.limit;
        if within {
            self.taken.push_back(millis);
        }
        let oldest = *self.taken.front().expect("one was just taken, or it is full");
        let reset = at(oldest + self.length).wall.as_millis().div_euclid(1000) + 1;
        let (limit, reset) = (self.limit.to_string(), reset.to_string());
        let remaining = (self.limit - self.taken.len() as u64).to_string();
        let wait = (oldest + self.length - millis).div_ceil(1000).to_string();
        answer(
            if within { 200 } else { 429 },
            &[
                ("x-ratelimit-limit", limit.as_str()),
                ("x-ratelimit-remaining", remaining.as_str()),
                ("x-ratelimit-reset", reset.as_str()),
                ("retry-after", wait.as_str()),
            ],
        )
    }
}

/// nginx `limit_req`, which counts thousandths of requests in whole milliseconds.
struct Leaky {
    rate: u64,
    burst: u64,
    status: u16,
    excess: u64,
    last: Option<u64>,
}

impl Leaky {
    fn new(rate: u64, burst: u64, status: u16) -> Self {
        Self { rate, burst, status, excess: 0, last: None }
    }
}

impl Limiter for Leaky {
    fn answer(&mut self, millis: u64) -> Outcome {
        let leaked = self.last.map_or(u64::MAX, |last| self.rate * (millis - last));
        let excess = match self.last {
            Some(_) => (self.excess + 1000).saturating_sub(leaked),
            None => 0,
        };
        if excess > self.burst * 1000 {
            return answer(self.status, &[]);
        }
        (self.excess, self.last) = (excess, Some(millis));
        answer(200, &[])
    }
}

/// Judges a limiter: at least `used` of its rate, and under 1 % over it after the first window.
fn judge<L: Limiter>(name: &str, make: impl Fn() -> L, rate: f64, used: f64) {
    // Loopback, and a host that is 30 ms away.
    for (latency, jitter) in [(1, 1), (30, 1)] {
        let minute = watch(&mut make(), latency, jitter);
        let share = minute.used(rate);
        println!("{name}, {latency} ms: {share:.3} used, {minute:?}");
        assert!(share >= used, "{name}, {latency} ms: {share:.3} used, {minute:?}");
        assert!(minute.over() < 0.01, "{name}, {latency} ms: {minute:?}");
    }
}

#[test]
fn windows_are_used_however_late_their_reset_is_said_to_be() {
    use Dialect::{Delta, Epoch, SecondLate};
    for dialect in [Epoch, Delta, SecondLate] {
        judge(&format!("{dialect:?}"), || Window::new(200, 10_000, dialect), 20.0, 0.95);
        judge(&format!("{dialect:?}"), || Window::new(600, 60_000, dialect), 10.0, 0.95);
    }
    // In windows as short as the reset's error the new one is found by trying: that costs more.
    for (dialect, used) in [(Epoch, 0.85), (Delta, 0.95), (SecondLate, 0.8)] {
        judge(&format!("short {dialect:?}"), || Window::new(20, 1_000, dialect), 20.0, used);
    }
}

#[test]
fn a_moving_window_is_used_and_not_overrun() {
    let make = || MovingWindow { limit: 200, length: 10_000, taken: Default::default() };
    judge("moving", make, 20.0, 0.95);
}

#[test]
fn a_pause_of_ours_is_not_handed_on_by_a_moving_window_for_ever() {
    let once = |from: u64, length: u64| move |millis| (from..from + length).contains(&millis);
    let at_times = |millis: u64| millis % 3_000 < 300;
    let stalls: [(&str, &dyn Fn(u64) -> bool); 4] = [
        ("half a second at the first", &once(5_000, 500)),
        ("a second at the first", &once(5_000, 1_000)),
        ("a second later on", &once(15_000, 1_000)),
        ("a tenth of the time", &at_times),
    ];
    for (name, stalls) in stalls {
        for limit in [200, 1_000] {
            let mut limiter =
                MovingWindow { limit, length: 10_000, taken: std::collections::VecDeque::new() };
            let minute = watch_stalling(&mut limiter, 5, 5, stalls);
            let share = minute.used(limit as f64 / 10.0);
            println!("{name}, {limit}: {share:.3} used, {minute:?}");
            assert!(share >= 0.95, "{name}, {limit}: {share:.3} used, {minute:?}");
            assert!(minute.over() < 0.01, "{name}, {limit}: {minute:?}");
        }
    }
}

#[test]
fn buckets_that_refill_are_used_whatever_their_burst() {
    for (rate, burst) in [(100.0, 100.0), (20.0, 20.0), (100.0, 10.0), (50.0, 25.0), (10.0, 100.0)]
    {
        let make = || Bucket { rate, burst, tokens: burst, at: 0, says: Says::Headers };
        judge(&format!("{rate}/{burst}"), make, rate, 0.95);
    }
}

#[test]
fn a_limiter_that_answers_a_bare_503_is_found_and_held_near_its_limit() {
    for (rate, burst) in [(20, 20), (100, 20), (10, 0), (20, 0)] {
        // Without a burst, what arrives a millisecond early is refused.
        let used = if burst == 0 { 0.9 } else { 0.95 };
        let name = format!("{rate} r/s, burst={burst}");
        judge(&name, || Leaky::new(rate, burst, 503), rate as f64, used);
    }
    judge("429", || Leaky::new(20, 20, 429), 20.0, 0.95);
}
