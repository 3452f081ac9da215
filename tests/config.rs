//! Settings: the manual and the defaults agree, sources win in order, and every problem is told
//! with its place and its remedy.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use hostline::config::{Flag, Loaded, Origin, Settings, Sources, StoreKind, known_keys, load};
use hostline::model::HostName;

const MANUAL: &str = include_str!("../config.toml");
/// 24 and more bytes in base64, under the prefix of Standard Webhooks.
const SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

/// Keys whose defaults depend on the machine, or that are not available.
const COMMENTED_OUT: [&str; 5] =
    ["server.max_memory", "server.workers", "store.url", "actors.shards", "auth.keys_required"];

struct Case {
    directory: tempfile::TempDir,
    sources: Sources,
}

impl Case {
    fn new(file: &str) -> Self {
        let directory = tempfile::tempdir().expect("a temporary directory");
        std::fs::write(directory.path().join("config.toml"), file).expect("written");
        let sources = Sources { directory: directory.path().into(), ..Sources::default() };
        Self { directory, sources }
    }

    fn env(mut self, name: &str, value: &str) -> Self {
        self.sources.env.push((name.into(), value.into()));
        self
    }

    fn set(mut self, key: &str, value: &str) -> Self {
        self.sources.flags.push(Flag::Set { key: key.into(), value: value.into() });
        self
    }

    fn flag(mut self, flag: &'static str, key: &'static str, value: &str) -> Self {
        self.sources.flags.push(Flag::Named { flag, key, value: value.into() });
        self
    }

    fn loaded(self) -> Loaded {
        load(self.sources).unwrap_or_else(|errors| panic!("{errors}"))
    }

    /// The problems as people see them, without the temporary directory.
    fn problems(self) -> Vec<String> {
        let prefix = format!("{}/", self.directory.path().display());
        let errors = load(self.sources).expect_err("the settings are wrong");
        errors.problems().iter().map(|problem| problem.to_string().replace(&prefix, "")).collect()
    }

    fn problem(self) -> String {
        let mut problems = self.problems();
        assert_eq!(problems.len(), 1, "{problems:#?}");
        problems.remove(0)
    }
}

/// The manual with the lines that are not in force put in force.
fn uncommented() -> String {
    let is_key = |line: &str| {
        line.strip_prefix('#').is_some_and(|rest| {
            rest.starts_with(|sign: char| sign.is_ascii_lowercase() || sign == '"')
        })
    };
    let put = |line| if is_key(line) { &line[1..] } else { line };
    MANUAL.lines().map(put).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_manual_equals_the_defaults() {
    let loaded = Case::new(MANUAL).loaded();
    assert_eq!(loaded.settings, Settings::default());
}

#[test]
#[cfg(not(feature = "otel"))]
fn a_build_without_traces_says_so_and_leaves_the_variables_to_others() {
    let text = "[otel]\nendpoint = \"http://127.0.0.1:4318\"\nsample_ratio = 0.5\n";
    let problem = Case::new(text).problem();
    assert!(problem.starts_with("config.toml:2: otel.endpoint is of no use"), "{problem}");
    assert!(problem.contains("this build has no `otel`"), "{problem}");
    let problem = Case::new("").set("otel.sample_ratio", "0.5").problem();
    assert!(problem.contains("otel.sample_ratio is of no use"), "{problem}");
    let case = Case::new("").env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318");
    assert_eq!(case.loaded().settings, Settings::default());
}

#[test]
#[cfg(feature = "otel")]
fn the_variables_of_opentelemetry_are_read_below_our_own() {
    let case = Case::new("[otel]\nendpoint = \"http://file:4318\"\n");
    let case = case.env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://standard:4318/");
    let case =
        case.env("OTEL_SERVICE_NAME", "standard").env("HOSTLINE__OTEL__SERVICE_NAME", "ours");
    let otel = case.loaded().settings.otel;
    assert_eq!(otel.endpoint.as_deref(), Some("http://standard:4318"));
    assert_eq!(otel.service_name, "ours");
    let problem = Case::new("").set("otel.endpoint", "https://otel:4318").problem();
    assert!(problem.contains("not of the scheme http"), "{problem}");
}

#[test]
fn the_busiest_hosts_that_are_shown_are_bounded() {
    let problem = Case::new("[metrics]\nhosts = 201\n").problem();
    assert!(problem.contains("metrics.hosts") && problem.contains("from 0 to 200"), "{problem}");
}

#[test]
fn without_any_file_the_defaults_run() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let sources = Sources { directory: directory.path().into(), ..Sources::default() };
    let loaded = load(sources).expect("defaults are right");
    assert_eq!((loaded.settings, loaded.file), (Settings::default(), None));
    assert!(loaded.origins.values().all(|origin| *origin == Origin::Default));
}

#[test]
fn the_manual_is_complete() {
    let known: BTreeSet<&str> = known_keys().collect();
    let loaded = Case::new(MANUAL).loaded();
    let is_set = |key: &&str| loaded.origin(key) != Origin::Default;
    let set: BTreeSet<&str> = known.iter().copied().filter(is_set).collect();
    let absent: Vec<&str> = known.difference(&set).copied().collect();
    let mut commented_out = COMMENTED_OUT.to_vec();
    commented_out.sort_unstable();
    assert_eq!(absent, commented_out);

    let all: toml::Table = uncommented().parse().expect("what is commented out is TOML");
    for key in known {
        let mut parts = key.split('.');
        let section = parts.next().and_then(|section| all.get(section));
        let value = parts.fold(section, |table, part| table?.get(part));
        assert!(value.is_some(), "{key} is not in the manual");
    }
}

#[test]
fn the_examples_of_the_manual_are_right() {
    let text = uncommented().replace("url = \"postgres", "# url = \"postgres");
    let loaded = Case::new(&text).loaded();
    let rules = loaded.settings.rules_of(&HostName::from_normalised("shop.example:8443"));
    assert_eq!(rules.limits.burst, Some(100));
    assert_eq!(rules.signing_secret.as_deref(), Some("main"));
    assert_eq!(loaded.settings.secrets["main"].len(), 2);
}

#[test]
fn half_of_a_tls_setup_is_refused() {
    let of = |lines: &str| Case::new(&format!("[server.tls]\n{lines}")).problem();
    let no_key = of("certificate = \"cert.pem\"");
    assert!(no_key.contains("server.tls.certificate") && no_key.contains("no key"), "{no_key}");
    let no_certificate = of("key = \"key.pem\"");
    assert!(no_certificate.contains("no certificate"), "{no_certificate}");
    let no_authority =
        of("certificate = \"cert.pem\"\nkey = \"key.pem\"\nclient_auth = \"required\"");
    assert!(no_authority.contains("server.tls.client_ca"), "{no_authority}");
}

#[test]
fn later_sources_win_and_are_named() {
    let file = "[server]\nlisten = \"127.0.0.1:1\"\n[retry]\nretries = 1\nbase = \"1s\"\n\
                [store]\npath = \"from-file\"\n";
    let loaded = Case::new(file)
        .env("HOSTLINE__SERVER__LISTEN", "127.0.0.1:2")
        .env("HOSTLINE__RETRY__RETRIES", "2")
        .env("HOSTLINE__LOG__FORMAT", "json")
        .env("HOSTLINE_SERVER", "http://not-a-setting")
        .set("server.listen", "127.0.0.1:3")
        .flag("--listen", "server.listen", "127.0.0.1:4")
        .loaded();
    let settings = &loaded.settings;
    assert_eq!(settings.server.listen.port(), 4);
    assert_eq!(settings.rules.retry.retries, 2);
    assert_eq!(settings.rules.retry.base, Duration::from_secs(1));
    assert_eq!(settings.store.path, PathBuf::from("from-file"));
    assert_eq!(loaded.origin("server.listen"), Origin::Flag("--listen".into()));
    assert_eq!(loaded.origin("retry.retries"), Origin::Env("HOSTLINE__RETRY__RETRIES".into()));
    assert_eq!(loaded.origin("retry.factor"), Origin::Default);
    let Origin::File { path, line } = loaded.origin("store.path") else { panic!("not a file") };
    assert_eq!((path.file_name(), line), (Some("config.toml".as_ref()), 7));
}

#[test]
fn the_environment_is_read_as_toml_else_as_text() {
    let loaded = Case::new("")
        .env("HOSTLINE__SENDER__ALLOW", r#"["10.1.2.3/8", "Hooks.Internal", "[::1]", "127.0.0.1"]"#)
        .env("HOSTLINE__SENDER__PORTS", "[]")
        .env("HOSTLINE__STORE__PATH", "2026")
        .env("HOSTLINE__RETRY__BASE", "90s")
        .env("HOSTLINE__HOSTS", r#"{ "Shop.Example" = { limits = { in_flight = 3 } } }"#)
        .loaded();
    let sender = &loaded.settings.sender;
    let nets: Vec<String> = sender.allow_nets.iter().map(ToString::to_string).collect();
    assert_eq!(nets, ["10.0.0.0/8", "::1/128", "127.0.0.1/32"]);
    assert_eq!(sender.allow_hosts, ["hooks.internal"]);
    assert!(sender.ports.is_empty());
    assert_eq!(loaded.settings.store.path, PathBuf::from("2026"));
    assert_eq!(loaded.settings.hosts["shop.example"].limits.in_flight, 3);
}

#[test]
fn addresses_are_read_with_and_without_brackets() {
    let loaded = Case::new(
        "[sender]\nallow = [\"::1\", \"[::2]\", \"10.0.0.1\"]\n\
         deny = [\"::1\", \"[::2]\", \"10.0.0.0/8\", \"*.Evil.example\", \"bad.example\"]\n",
    )
    .loaded();
    let sender = loaded.settings.sender;
    let shown = |nets: &[ipnet::IpNet]| nets.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(shown(&sender.allow_nets), ["::1/128", "::2/128", "10.0.0.1/32"]);
    assert_eq!(shown(&sender.deny.nets), ["::1/128", "::2/128", "10.0.0.0/8"]);
    assert_eq!(sender.deny.hosts, ["*.evil.example", "bad.example"]);
}

#[test]
fn a_proxy_is_read_from_a_file_and_its_password_never_shown() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("proxy");
    std::fs::write(&path, "socks5h://me:s3cret@proxy.internal\n").expect("written");
    let path = path.display().to_string();
    let loaded = Case::new("").env("HOSTLINE__SENDER__PROXY_FILE", &path).loaded();
    let shown = format!("{:?} {:?}", loaded.effective(), loaded.settings);
    assert!(shown.contains("socks5h://me:***@proxy.internal:1080"), "{shown}");
    assert!(!shown.contains("s3cret"), "{shown}");
    let wrong = Case::new("[sender]\nproxy = \"ftp://me:s3cret@a\"").problem();
    assert!(wrong.contains("sender.proxy") && !wrong.contains("s3cret"), "{wrong}");
    for (text, words) in [
        ("proxy = \"socks5h://a\"\nproxy_dns = \"local\"", "not what socks5h"),
        ("no_proxy = [\"a\"]", "no proxy to be an exception from"),
        ("source = [\"10.0.0.1\", \"10.0.0.2\"]", "second address of its family"),
        ("name_servers = [\"dns.example\"]", "no address"),
        ("deny = [\"*.a:80\"]", "sender.ports"),
    ] {
        let wrong = Case::new(&format!("[sender]\n{text}")).problem();
        assert!(wrong.contains(words), "{wrong}");
    }
}

#[test]
fn a_secret_is_read_from_a_file_and_never_shown() {
    let case = Case::new("[signing]\nsecret = \"main\"\n");
    let path = case.directory.path().join("secret");
    std::fs::write(&path, format!("{SECRET}\n")).expect("written");
    let path = path.display().to_string();
    let loaded = case.env("HOSTLINE__SECRETS__MAIN_FILE", &path).loaded();
    assert_eq!(loaded.settings.secrets["main"][0].reveal().len(), "whsec_".len() + 32);
    let shown = format!("{loaded:?} {:?}", loaded.effective());
    assert!(!shown.contains(&SECRET[6..]), "{shown}");
    let secret = loaded.effective().pop().expect("secrets come last");
    assert_eq!((secret.key.as_str(), secret.value.as_str()), ("secrets.main", Some("***")));
}

#[test]
fn hosts_are_laid_over_the_general_rules() {
    let file = "[limits]\nrequests_per_second = 5\nburst = 7\n\
                [hosts.\"Shop.Example:443\".limits]\nin_flight = 2\n\
                [hosts.\"*.Slow.example\".retry]\nbase = \"5m\"\n\
                [hosts.\"free.example\".limits]\nrequests_per_second = \"none\"\nburst = \"none\"\n\
                [hosts.\"plain.slow.example\"]\n";
    let loaded = Case::new(file).set("hosts.\"shop.example\".retry.retries", "9").loaded();
    let rules = |name| loaded.settings.rules_of(&HostName::from_normalised(name));
    let shop = rules("shop.example");
    assert_eq!((shop.limits.in_flight, shop.limits.burst, shop.retry.retries), (2, Some(7), 9));
    assert_eq!(rules("a.slow.example").retry.base, Duration::from_secs(300));
    assert_eq!(rules("plain.slow.example").retry.base, Duration::from_secs(60));
    assert_eq!(rules("free.example").limits.requests_per_second, None);
    let set: Vec<String> = loaded.effective().into_iter().map(|item| item.key).collect();
    assert!(set.contains(&"hosts.\"shop.example\".limits.in_flight".to_string()), "{set:?}");
    assert!(!set.contains(&"hosts.\"shop.example\".limits.burst".to_string()), "{set:?}");
}

#[test]
fn all_problems_are_told_at_once() {
    let file = "[server]\nlisten = 8080\nworkers = 0\n\n[sender]\ntimeout = 90\nalow = []\n";
    let problems = Case::new(file)
        .env("HOSTLINE__RETRY__JITER", "0.1")
        .set("limits.burst", "5")
        .set("nonsense", "1")
        .problems();
    let expected = [
        "config.toml:2: server.listen = 8080 is of type integer, not a string; write an IP \
         address and a port, such as \"127.0.0.1:8080\" or \"[::1]:8080\"",
        "config.toml:3: server.workers = 0 is out of range; write a whole number from 1 to 1024",
        "config.toml:6: sender.timeout = 90 has no unit; write a duration from \"10ms\" to \
         \"1h\", such as \"90s\" or \"1h30m\"",
        "config.toml:7: sender.alow is not a known key; did you mean sender.allow? (`hostline \
         check` lists all keys)",
        "env HOSTLINE__RETRY__JITER: retry.jiter is not a known key; did you mean \
         HOSTLINE__RETRY__JITTER? (`hostline check` lists all keys)",
        "flag --set: nonsense is not a known key; `hostline check` without this setting lists \
         all keys",
        "flag --set: limits.burst = 5 has no rate to be a burst of; set \
         limits.requests_per_second as well, or limits.burst = \"none\"",
    ];
    assert_eq!(problems, expected);
}

#[test]
fn impossible_combinations_are_refused() {
    let refused = [
        ("[store]\nkind = \"memory\"", "config.toml:2: store.kind = \"memory\" loses"),
        ("[store]\nkind = \"postgres\"", "is not available in this version"),
        ("[store]\nurl = \"postgres://u:pw@h/d\"", "config.toml:2: store.url belongs to"),
        ("[retry]\nbase = \"2h\"", "retry.base = \"2h\" is longer than retry.max = \"1h\""),
        ("[server]\nmax_body = \"4MiB\"", "does not fit into server.max_line = \"2MiB\""),
        ("[auth]\nmax_failures = 0", "write a whole number from 1 to 1000000"),
        ("[hosts.a.limits]\nburst = 3", "set hosts.a.limits.requests_per_second as well"),
        ("[hosts.a.retry]\nmax = \"1s\"", "config.toml:2: hosts.a.retry.base = \"1m\" is longer"),
        ("[signing]\nsecret = \"x\"", "signing.secret names no entry of [secrets]"),
        ("[hosts.a.server]\nlisten = 1", "cannot be set for one host"),
        ("[hosts.\"a b\".retry]\nbase = \"1s\"", "does not name a host"),
        ("[hosts.\"*.a:81\".retry]\nbase = \"1s\"", "has a port after a suffix"),
        ("[log]\nlevel = \"inof\"", "has the unknown level `inof`"),
        ("[sender]\nallow = [\"a:81\"]", "with a port, but ports are ruled by sender.ports"),
        ("[retry]\nfactor = nan", "is out of range"),
        ("server = 5", "config.toml:1: server is a section and takes no value"),
        ("[server]\nmax_body = 99999999999999999999", "config.toml:2: server.max_body"),
    ];
    for (file, part) in refused {
        let problem = Case::new(file).problem();
        assert!(problem.contains(part), "{file}: {problem}");
        assert!(!problem.contains("pw@"), "{problem}");
    }
    let loaded = Case::new("[store]\nkind = \"memory\"\nallow_loss = true").loaded();
    assert_eq!(loaded.settings.store.kind, StoreKind::Memory);
}

#[test]
fn a_server_open_to_others_must_say_so() {
    let contradiction = Case::new("[auth]\nkeys_required = false");
    let problem = contradiction.flag("--listen", "server.listen", "0.0.0.0:8080").problem();
    for part in ["flag --listen", "server.listen", "auth.keys_required", "auth.open = true"] {
        assert!(problem.contains(part), "{problem}");
    }
    Case::new("[auth]\nkeys_required = false\nopen = true\n[server]\nlisten = \"0.0.0.0:1\"")
        .loaded();
}

#[test]
fn keys_are_required_where_others_reach_the_server_unless_it_says_otherwise() {
    let required = |file: &str| Case::new(file).loaded().settings.auth.keys_required;
    assert!(!required(""));
    assert!(!required("[server]\nlisten = \"[::1]:8080\""));
    assert!(required("[server]\nlisten = \"0.0.0.0:80\""));
    assert!(required("[auth]\nkeys_required = true"));
    assert!(!required("[server]\nlisten = \"0.0.0.0:80\"\n[auth]\nopen = true"));
    assert!(required(
        "[server]\nlisten = \"0.0.0.0:80\"\n[auth]\nopen = true\nkeys_required = true"
    ));
}

#[test]
fn no_error_repeats_a_secret() {
    let secret = &SECRET[6..];
    let files = [
        format!("[secrets]\nmain = \"{secret}\"\n[signing]\nsecret = \"{SECRET}\""),
        format!("[secrets]\n\"{SECRET}\" = \"main\""),
        format!("[secrets]\nmain = [\"{SECRET}\", \"whsec_short\", 5]"),
        format!("[secrets]\nmain = \"{SECRET}\nother = 1"),
        format!("[secrets]\nmain = {SECRET}"),
        format!("[secrets]\nmain = {{ new = \"{SECRET}\" }}"),
        format!("[secret]\nmain = \"{SECRET}\""),
        format!("[signing]\nsecret = \"{}\"", secret.replace('+', "-")),
    ];
    for file in files {
        for problem in Case::new(&file).problems() {
            assert!(!problem.contains("C2FVsBQI"), "{problem}");
        }
    }
    let problem = Case::new("").env("HOSTLINE__SECRETS__MAIN", secret).problem();
    assert!(problem.contains("secrets.main does not start with \"whsec_\""), "{problem}");
}

#[test]
fn files_that_cannot_be_used_are_told() {
    let broken = Case::new("[server]\nlisten =\n[store\n").problems();
    assert!(broken[0].starts_with("config.toml:2: this is not TOML"), "{broken:?}");

    let sources = Sources { file: Some(Path::new("/nowhere/x.toml").into()), ..Sources::default() };
    let errors = load(sources).expect_err("no such file");
    assert!(errors.to_string().contains("--config /nowhere/x.toml"), "{errors}");

    let twice = Case::new("[hosts.A.retry]\nretries = 1\n[hosts.a.retry]\nretries = 2").problem();
    assert!(twice.contains("is set in line 2 as well"), "{twice}");

    let both = Case::new("")
        .env("HOSTLINE__STORE__PATH", "a")
        .env("HOSTLINE__STORE__PATH_FILE", "/nowhere")
        .problem();
    assert!(both.contains("is set by HOSTLINE__STORE__PATH as well"), "{both}");
}
