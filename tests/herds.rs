//! Herds and flapping in simulated time: what a host gets when ten thousand deliveries have waited
//! for it, and when it goes up and down.

mod common;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use common::{Arrival, Reply, Sim, Wanted, mins, secs, simulated};
use hostline::config::Settings;
use hostline::delivery::{Engine, HostCondition};
use hostline::model::HostName;

const HOST: &str = "shop.example";
/// When the host comes back.
const BACK: Duration = Duration::from_secs(130);
const WAITING: usize = 10_000;

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// `None` where its actor has stopped, since nothing waits.
async fn condition(sim: &Sim) -> Option<HostCondition> {
    let host = HostName::from_normalised(HOST);
    sim.engine.host(host).await.map(|snapshot| snapshot.state)
}

/// Arrivals in each tenth of a second from `from` on.
fn tenths(arrivals: &[Arrival], from: Duration, count: usize) -> Vec<usize> {
    let mut tenths = vec![0; count];
    for arrival in arrivals.iter().filter(|arrival| arrival.at >= from) {
        let number = (arrival.at - from).as_millis() as usize / 100;
        if let Some(tenth) = tenths.get_mut(number) {
            *tenth += 1;
        }
    }
    tenths
}

/// A token bucket that refuses with `Retry-After`, or names its limit; counts what it refused.
struct Bucket {
    rate: f64,
    tokens: f64,
    at: Duration,
    names: bool,
    refused: usize,
}

impl Bucket {
    fn new(rate: f64, names: bool) -> Self {
        Self { rate, tokens: rate, at: Duration::ZERO, names, refused: 0 }
    }

    fn answer(&mut self, at: Duration) -> Reply {
        let gained = (at - self.at).as_secs_f64() * self.rate;
        (self.tokens, self.at) = ((self.tokens + gained).min(self.rate), at);
        let within = self.tokens >= 1.0;
        self.tokens -= f64::from(u8::from(within));
        self.refused += usize::from(!within);
        let mut headers = Vec::new();
        if self.names {
            let reset = ((self.rate - self.tokens) / self.rate).ceil();
            headers.push(("x-ratelimit-limit", self.rate.to_string()));
            headers.push(("x-ratelimit-remaining", self.tokens.floor().to_string()));
            headers.push(("x-ratelimit-reset", reset.to_string()));
        }
        if !within {
            headers.push(("retry-after", "1".to_owned()));
        }
        Reply::Status(if within { 200 } else { 429 }, headers)
    }
}

/// A host that has worked for twenty seconds, was down until [`BACK`], and for which ten thousand
/// have come to wait. Answers all arrivals and how often it was refused after it came back.
async fn herd(settings: Settings, limit: Option<Bucket>) -> (Vec<Arrival>, usize) {
    let sim = Sim::with(settings).await;
    let limit = Arc::new(Mutex::new(limit));
    let limiting = limit.clone();
    sim.rule(HOST, move |arrival| {
        if arrival.at >= secs(20) && arrival.at < BACK {
            return Reply::Refuse;
        }
        match &mut *limiting.lock().expect("not poisoned") {
            Some(bucket) => bucket.answer(arrival.at),
            None => Reply::status(200),
        }
    });
    // A host that is busy until it goes down…
    for _ in 0..200 {
        sim.submit_many(HOST, 12).await;
        sim.run_for(millis(100)).await;
    }
    // …and then fails until it is left alone.
    sim.submit_many(HOST, 500).await;
    while condition(&sim).await != Some(HostCondition::CoolingDown) {
        assert!(sim.arrivals(HOST).last().is_none_or(|last| last.at < BACK), "never left alone");
        sim.run_for(millis(100)).await;
    }
    sim.submit_many(HOST, WAITING - 500).await;
    let refused = |limit: &Mutex<Option<Bucket>>| {
        limit.lock().expect("not poisoned").as_ref().map_or(0, |bucket| bucket.refused)
    };
    let before = refused(&limit);
    sim.run_for(mins(4)).await;
    assert_ne!(condition(&sim).await, Some(HostCondition::CoolingDown), "no relapse");
    (sim.arrivals(HOST), refused(&limit) - before)
}

/// The first arrival after the host came back, with which the probing begins.
fn reopening(arrivals: &[Arrival]) -> Duration {
    arrivals.iter().find(|arrival| arrival.at >= BACK).expect("it was probed").at
}

#[test]
fn a_herd_meets_a_host_with_a_static_limit_at_that_limit() {
    simulated(async {
        let mut settings = Settings::default();
        settings.rules.limits.requests_per_second = Some(100.0);
        let (arrivals, _) = herd(settings, None).await;
        let tenths = tenths(&arrivals, reopening(&arrivals), 50);
        println!("{tenths:?}");
        assert!(tenths.iter().all(|count| *count <= 12), "{tenths:?}");
        assert!(tenths[2..].iter().all(|count| *count >= 8), "{tenths:?}");
    });
}

#[test]
fn a_herd_meets_a_host_that_limits_it_within_that_limit() {
    simulated(async {
        for names in [true, false] {
            let bucket = Bucket::new(100.0, names);
            let (arrivals, refused) = herd(Settings::default(), Some(bucket)).await;
            let tenths = tenths(&arrivals, reopening(&arrivals), 50);
            println!("{names}: {refused} refused, {tenths:?}");
            let first: usize = tenths[..10].iter().sum();
            assert!(first <= 130, "{names}: {first} in the first second, {tenths:?}");
            assert!(refused <= 20, "{names}: {refused} refused, {tenths:?}");
        }
    });
}

#[test]
fn a_herd_meets_a_host_without_a_limit_at_its_usual_rate_first_and_then_at_a_ramp() {
    simulated(async {
        let (arrivals, _) = herd(Settings::default(), None).await;
        let tenths = tenths(&arrivals, reopening(&arrivals), 100);
        println!("{tenths:?}");
        // It is taken to bear two hundred a second; it got 120 before it went down.
        assert!(tenths[..10].iter().all(|count| *count <= 25), "{tenths:?}");
        let seconds: Vec<usize> = tenths.chunks(10).map(|second| second.iter().sum()).collect();
        assert!(seconds[0] >= 180, "{seconds:?}");
        // Twice as much each second, until nothing waits.
        for pair in seconds.windows(2).filter(|pair| pair[0] > 0) {
            assert!(pair[1] <= pair[0] * 22 / 10, "{seconds:?}");
        }
        assert!(seconds.iter().sum::<usize>() >= WAITING - 500, "{seconds:?}");
    });
}

/// Keeps a host that is 10 s up and 10 s down busy for five minutes; answers the sends while it was
/// down, all sends, and the deliveries.
async fn flapping(per_second: usize, down: Reply) -> (usize, usize, usize) {
    let sim = Sim::new().await;
    let is_up = |at: Duration| at.as_secs() % 20 < 10;
    sim.rule(
        HOST,
        move |arrival| {
            if is_up(arrival.at) { Reply::status(200) } else { down.clone() }
        },
    );
    for _ in 0..3_000 {
        for _ in 0..per_second / 10 {
            sim.submit(HOST, Wanted::default()).await;
        }
        sim.run_for(millis(100)).await;
    }
    let arrivals = sim.arrivals(HOST);
    let within: Vec<&Arrival> = arrivals.iter().filter(|one| one.at < mins(5)).collect();
    let down = within.iter().filter(|one| !is_up(one.at)).count();
    (down, within.len(), within.len() - down)
}

#[test]
fn a_host_that_flaps_gets_less_than_a_tenth_of_the_sends_while_it_is_down() {
    simulated(async {
        let (refuses, fails, overloaded) = (Reply::Refuse, Reply::status(502), Reply::status(503));
        for (down, rates) in
            [(refuses, vec![10, 50]), (fails, vec![20]), (overloaded, vec![10, 50])]
        {
            for per_second in rates {
                let (sent, all, well) = flapping(per_second, down.clone()).await;
                let share = sent as f64 / all as f64;
                let name = format!("{down:?}, {per_second}/s");
                println!("{name}: {sent} of {all} while down ({:.1} %)", share * 100.0);
                assert!(share < 0.1, "{name}: {sent} of {all} while down");
                // It is not simply left alone: most of what came is delivered.
                let came = per_second * 300;
                assert!(well * 10 >= came * 6, "{name}: {well} of {came} delivered");
            }
        }
    });
}
