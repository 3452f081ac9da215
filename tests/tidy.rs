//! Keeps the layers of ARCHITECTURE.md true: reads the imports of each room.

use std::fs;
use std::path::{Path, PathBuf};

/// Each room and the rooms of the same crate that it may import.
const ROOMS: &[(&str, &[&str])] = &[
    ("model", &["model"]),
    ("clock", &["model"]),
    ("config", &["config", "model"]),
    ("policy", &["policy", "model", "config"]),
    ("store", &["store", "model", "clock", "policy", "report"]),
    ("report", &["report", "model"]),
    ("vault", &["vault", "model", "policy", "clock", "config", "store"]),
    ("delivery", &["delivery", "model", "policy", "clock", "config", "store", "report", "vault"]),
    (
        "admission",
        &[
            "admission",
            "model",
            "policy",
            "clock",
            "config",
            "store",
            "report",
            "delivery",
            "vault",
        ],
    ),
    (
        "compose",
        &[
            "compose",
            "admission",
            "model",
            "policy",
            "clock",
            "config",
            "store",
            "report",
            "delivery",
            "vault",
        ],
    ),
    (
        "alerts",
        &[
            "alerts",
            "compose",
            "admission",
            "model",
            "policy",
            "clock",
            "config",
            "store",
            "delivery",
        ],
    ),
    (
        "access",
        &[
            "access",
            "admission",
            "model",
            "policy",
            "clock",
            "config",
            "store",
            "delivery",
            "vault",
        ],
    ),
    ("dashboard", &["dashboard"]),
    (
        "api",
        &[
            "api",
            "dashboard",
            "access",
            "compose",
            "admission",
            "model",
            "policy",
            "clock",
            "config",
            "store",
            "report",
            "delivery",
            "vault",
        ],
    ),
];

fn sources(path: &Path, found: &mut Vec<PathBuf>) {
    if path.is_dir() {
        for entry in fs::read_dir(path).expect("a readable directory") {
            sources(&entry.expect("a readable entry").path(), found);
        }
    } else if path.extension().is_some_and(|extension| extension == "rs") {
        found.push(path.to_owned());
    }
}

fn files_of(room: &str) -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    for path in [root.join(room), root.join(format!("{room}.rs"))] {
        if path.exists() {
            sources(&path, &mut found);
        }
    }
    assert!(!found.is_empty(), "no room {room}");
    found
}

/// Words that follow `prefix` in the lines of code of a file.
fn words_after<'a>(text: &'a str, prefix: &'a str) -> impl Iterator<Item = &'a str> {
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
    code.flat_map(move |line| line.split(prefix).skip(1)).map(|rest| {
        let end = rest.find(|letter: char| !letter.is_alphanumeric() && letter != '_');
        &rest[..end.unwrap_or(rest.len())]
    })
}

#[test]
fn imports_follow_the_arrow() {
    let mut wrong = Vec::new();
    for (room, allowed) in ROOMS {
        for file in files_of(room) {
            let text = fs::read_to_string(&file).expect("readable");
            for import in words_after(&text, "crate::") {
                let is_room = ROOMS.iter().any(|(name, _)| *name == import)
                    || ["app", "cli"].contains(&import);
                if is_room && !allowed.contains(&import) {
                    wrong.push(format!("{} imports {import}", file.display()));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_rules_are_pure() {
    let forbidden = ["actix", "tokio", "futures", "fastrand", "log::", "async ", "Instant::now"];
    for file in files_of("policy") {
        let text = fs::read_to_string(&file).expect("readable");
        let code: Vec<&str> =
            text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
        for word in forbidden {
            let found = code.iter().find(|line| line.contains(word));
            assert_eq!(found, None, "{} has {word:?}", file.display());
        }
    }
}

#[test]
fn each_outside_library_has_one_room() {
    for (library, homes) in [
        ("actix_web", &["src/api"][..]),
        ("awc", &["src/delivery", "src/cli"][..]),
        ("rusqlite", &["src/store/embedded"][..]),
    ] {
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut all = Vec::new();
        sources(&root.join("src"), &mut all);
        for file in all {
            let text = fs::read_to_string(&file).expect("readable");
            let uses = words_after(&text, "use ").any(|word| word == library);
            let at_home = homes.iter().any(|home| file.starts_with(root.join(home)));
            assert!(!uses || at_home, "{} uses {library}", file.display());
        }
    }
}

#[test]
fn nothing_is_sent_without_looking_at_the_mailbox() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut all = Vec::new();
    sources(&root.join("src"), &mut all);
    for file in all {
        let text = fs::read_to_string(&file).expect("readable");
        assert!(!text.contains(".do_send("), "{} drops messages silently", file.display());
    }
}
