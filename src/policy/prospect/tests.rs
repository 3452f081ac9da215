use super::*;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(seconds * 1_000)
}

/// Due at 100 s and now is 100 s, nobody before it, nothing known of the host.
fn prospect() -> Prospect {
    Prospect {
        now: at(100),
        due: at(100),
        expires: at(10_000),
        held_until: None,
        open_end: None,
        ahead: Some(0),
        share: 1.0,
        speed: Speed { slots: 4, ..Speed::default() },
    }
}

fn allowance(free: u64, resets: i64, next_rate: Option<f64>) -> Option<Allowance> {
    Some(Allowance { free, resets: at(resets), next_rate })
}

#[test]
fn the_time_follows_from_holds_place_pace_and_share() {
    let speed = |speed: Speed| Speed { slots: 4, ..speed };
    let of = |ahead, it| Prospect { ahead: Some(ahead), speed: speed(it), ..prospect() };
    let fixed = |rate| Speed { fixed: Some(rate), ..Speed::default() };
    let learned = |rate| Speed { learned: Some(rate), ..Speed::default() };
    let measured = |rate| Speed { measured: rate, ..Speed::default() };
    let headers = |it| Speed { allowance: it, ..Speed::default() };
    let held = |until, it: Prospect| Prospect { held_until: Some(at(until)), ..it };
    for (what, prospect, expected) in [
        ("nothing in its way", prospect(), 100),
        ("due later", Prospect { due: at(160), ..prospect() }, 160),
        ("held", held(112, prospect()), 112),
        ("held, and due later", held(112, Prospect { due: at(160), ..prospect() }), 160),
        ("a hold that is over", held(50, prospect()), 100),
        ("a static limit", of(410, fixed(10.0)), 141),
        ("a learned rate", of(410, learned(10.0)), 141),
        ("the slower of both", of(100, Speed { learned: Some(5.0), ..fixed(10.0) }), 120),
        ("a hold, then the queue", held(112, of(100, fixed(10.0))), 122),
        (
            "the queue goes on before it is due",
            { held(112, Prospect { due: at(115), ..of(100, fixed(10.0)) }) },
            122,
        ),
        ("half of the host's sends", Prospect { share: 0.5, ..of(100, fixed(10.0)) }, 120),
        ("within the budget", of(50, headers(allowance(100, 160, Some(10.0)))), 130),
        ("past the budget", of(130, headers(allowance(100, 160, Some(10.0)))), 163),
        (
            "after the budget's reset",
            { held(160, of(50, headers(allowance(0, 160, Some(10.0))))) },
            165,
        ),
        ("as measured", of(60, measured(2.0)), 130),
        ("a limit beats what was measured", { of(60, Speed { measured: 2.0, ..fixed(6.0) }) }, 110),
        ("few enough to go side by side", of(3, Speed::default()), 100),
    ] {
        assert_eq!(expect(&prospect).at, Some(at(expected)), "{what}: {:?}", expect(&prospect));
    }
}

#[test]
fn what_is_not_known_is_not_said() {
    let of = |ahead, allowance| {
        let speed = Speed { allowance, slots: 4, ..Speed::default() };
        Prospect { ahead: Some(ahead), speed, ..prospect() }
    };
    for (prospect, words) in [
        (Prospect { open_end: Some(OpenEnd::Person), ..prospect() }, "an operator has to resume"),
        (Prospect { open_end: Some(OpenEnd::Probes), ..prospect() }, "the probes that are out"),
        (Prospect { ahead: None, ..prospect() }, "its place in the queue could not be read"),
        (of(4, None), "nothing went out in the last minute"),
        (of(130, allowance(100, 160, None)), "nothing went out in the last minute"),
    ] {
        let Expectation { at, words: told } = expect(&prospect);
        assert_eq!(at, None, "{told}");
        assert!(told.contains(words), "{told}");
        assert!(told.ends_with("it expires at 1970-01-01T02:46:40.000Z"), "{told}");
    }
}

#[test]
fn an_expiry_before_its_turn_is_told() {
    let held = Prospect { held_until: Some(at(200)), ..prospect() };
    let expectation = expect(&Prospect { expires: at(150), ..held });
    assert_eq!(expectation.at, Some(at(200)));
    let words = "it will expire at 1970-01-01T00:02:30.000Z, before its turn";
    assert!(expectation.words.ends_with(words), "{}", expectation.words);
    assert!(!expect(&held).words.contains("expire"));
}

#[test]
fn the_words_name_what_sets_the_pace() {
    let of = |ahead, speed| Prospect { ahead: Some(ahead), speed, ..prospect() };
    let fixed = Speed { fixed: Some(10.0), ..Speed::default() };
    let headers = Speed { allowance: allowance(100, 160, None), ..Speed::default() };
    for (prospect, words) in [
        (prospect(), "it goes as soon as nothing holds it"),
        (Prospect { due: at(160), ..prospect() }, "it goes when it is due"),
        (of(1, fixed), "the 1 before it goes at the static limit"),
        (of(9, headers), "the 9 before it go as the host's rate-limit headers allow"),
        (
            Prospect { share: 0.25, ..of(9, fixed) },
            "the 9 before it go at the static limit; its workspace gets 25 % of the host's sends",
        ),
    ] {
        assert_eq!(expect(&prospect).words, words);
    }
}

#[test]
fn no_number_overflows() {
    for rate in [0.0, f64::MIN_POSITIVE, f64::MAX, f64::NAN] {
        let speed = Speed {
            fixed: Some(rate),
            learned: Some(rate),
            allowance: allowance(u64::MAX, i64::MAX / 1_000, Some(rate)),
            measured: rate,
            slots: u32::MAX,
        };
        for share in [0.0, 1.0, f64::NAN] {
            let wild = Prospect { ahead: Some(u64::MAX), share, speed, ..prospect() };
            assert!(expect(&wild).at.is_some());
        }
    }
}
