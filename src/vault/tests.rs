use super::*;
use crate::model::{Header, Target};
use crate::store::memory::MemoryStore;
use crate::store::{RecordKind, StoreLimits};

const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);
const BY: By<'_> = By { workspace: 3, who: "k1", address: Some("127.0.0.1") };

fn store() -> Arc<dyn Store> {
    MemoryStore::new(StoreLimits { max_pending: 10 })
}

fn key(byte: u8) -> crate::config::VaultKey {
    let mut bytes = [byte; 32];
    bytes[0] = !byte;
    crate::config::VaultKey::new(Zeroizing::new(bytes))
}

fn settings(keys: &[u8]) -> Settings {
    let mut settings = Settings::default();
    settings.store.kind = crate::config::StoreKind::Memory;
    settings.vault.key = keys.first().map(|byte| key(*byte));
    settings.vault.old_keys = keys.iter().skip(1).map(|byte| key(*byte)).collect();
    settings.secrets.insert("configured".into(), vec![Secret::new(vec![9; 32])]);
    settings
}

async fn opened(store: &Arc<dyn Store>, keys: &[u8]) -> Arc<Vault> {
    let vault = Vault::new(store.clone(), &settings(keys), Clock::of_runtime(NOW));
    vault.open().await.expect("opened");
    vault
}

fn input(json: serde_json::Value) -> SecretInput {
    serde_json::from_value(json).expect("known fields")
}

macro_rules! doc {
    ($($json:tt)*) => { input(serde_json::json!($($json)*)) };
}

fn target(url: &str) -> Target {
    Target::from_vetted(url).expect("a vetted URL")
}

#[tokio::test(start_paused = true)]
async fn a_secret_outlives_a_restart_and_lies_sealed() {
    let store = store();
    let vault = opened(&store, &[1]).await;
    let doc =
        doc!({"name": "crm", "kind": "bearer", "token": "planted", "applies_to": ["a.example"]});
    vault.create(doc, &BY).await.expect("created");
    let again = opened(&store, &[1]).await;
    let entry = again.entry(3, "crm").expect("there");
    assert!(matches!(&entry.content, Content::Bearer { token } if token.reveal() == "planted"));
    assert_eq!((entry.created, entry.created_by.as_str()), (NOW, "k1"));
    assert!(again.entry(0, "crm").is_none() && !again.knows(0, "crm"));
    // An entry of the audit log stands in that of all and in that of its workspace.
    for (kind, count) in [(RecordKind::Secret, 1), (RecordKind::Audit, 2)] {
        let rows = store.scan(0, kind, Default::default(), 10).await.expect("the store works");
        assert_eq!(rows.len(), count);
        let text = String::from_utf8(rows[0].value.to_vec()).expect("JSON");
        assert!(text.contains("crm") && !text.contains("planted"), "{text}");
        assert!(!text.contains("a.example"), "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_missing_key_is_named_and_an_old_one_is_replaced() {
    let store = store();
    let vault = opened(&store, &[1]).await;
    vault.create(doc!({"name": "s", "kind": "bearer", "token": "t"}), &BY).await.expect("created");
    let other = Vault::new(store.clone(), &settings(&[2]), Clock::of_runtime(NOW));
    let missing = OpenError::KeyMissing { id: key_id(&key(1)), secrets: 1 };
    assert_eq!(other.open().await, Err(missing));

    let rotated = opened(&store, &[2, 1]).await;
    assert_eq!(rotated.reseal().await, Ok(1));
    assert_eq!(rotated.reseal().await, Ok(0));
    // It can be changed after its record got another version behind its back.
    let doc = doc!({"kind": "bearer", "token": "u"});
    rotated.replace("s", doc, &BY).await.expect("replaced");
    opened(&store, &[2]).await.entry(3, "s").expect("readable with the new key alone");
}

#[tokio::test(start_paused = true)]
async fn rotation_overlaps_and_ends_by_itself_or_early() {
    let store = store();
    let vault = opened(&store, &[1]).await;
    let made = vault.create(doc!({"name": "s", "kind": "signing"}), &BY).await.expect("created");
    let first = made.shown_once.expect("shown once");
    assert!(first.starts_with("whsec_"));
    let url = target("https://a.example/");
    let refs = ["s".to_owned()];
    let signing = |now| vault.choose(3, &refs, &url, now).expect("there").signing;
    assert_eq!(signing(NOW).len(), 1);

    let rotated = vault.rotate("s", Rotation::default(), &BY).await.expect("rotated");
    assert_ne!(rotated.shown_once.as_ref().expect("shown once"), &first);
    assert_eq!(rotated.entry.rotated, Some(NOW));
    let both = signing(NOW.plus(OVERLAP - Duration::from_millis(1)));
    let revealed: Vec<_> = both.iter().map(Secret::reveal).collect();
    assert_eq!(revealed, [rotated.shown_once.expect("shown once"), first]);
    assert_eq!(signing(NOW.plus(OVERLAP)).len(), 1);

    let again = vault.rotate("s", Rotation::default(), &BY).await.expect_err("under way");
    assert!(matches!(again, VaultError::Conflict { slug: "rotation-under-way", .. }));
    let forced = Rotation { force: true, ..Rotation::default() };
    vault.rotate("s", forced, &BY).await.expect("forced");
    assert_eq!(signing(NOW).len(), 2);
    vault.revoke_old("s", &BY).await.expect("revoked");
    assert_eq!(signing(NOW).len(), 1);
    let none = vault.revoke_old("s", &BY).await.expect_err("none left");
    assert!(matches!(none, VaultError::Conflict { slug: "nothing-to-revoke", .. }));
    let audit =
        store.scan(0, RecordKind::Audit, ("all/".to_owned(), None), 10).await.expect("works");
    assert_eq!(audit.len(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_private_key_is_shown_to_nobody() {
    let vault = opened(&store(), &[1]).await;
    let doc = doc!({"name": "s", "kind": "signing", "algorithm": "v1a"});
    let made = vault.create(doc, &BY).await.expect("created");
    assert!(made.shown_once.is_none());
    let view = serde_json::to_string(&made.entry.view(NOW)).expect("plain data");
    assert!(view.contains("\"public_key\":\"whpk_") && !view.contains("whsk_"), "{view}");
}

#[tokio::test(start_paused = true)]
async fn what_is_named_wins_and_the_narrowest_place_applies() {
    let vault = opened(&store(), &[1]).await;
    for doc in [
        doc!({"name": "wide", "kind": "bearer", "token": "w", "applies_to": ["*.example"]}),
        doc!({"name": "host", "kind": "header", "header": "x-key", "value": "h",
               "applies_to": ["a.example"]}),
        doc!({"name": "plain", "kind": "bearer", "token": "p",
               "applies_to": ["http://b.example/"]}),
        doc!({"name": "one", "kind": "signing", "applies_to": ["a.example"]}),
        doc!({"name": "two", "kind": "signing", "algorithm": "v1a", "applies_to": ["a.example"]}),
        doc!({"name": "far", "kind": "signing", "applies_to": ["*.example"]}),
    ] {
        vault.create(doc, &BY).await.expect("created");
    }
    let chosen = |refs: &[&str], url: &str| {
        let refs: Vec<_> = refs.iter().map(|name| (*name).to_owned()).collect();
        let chosen = vault.choose(3, &refs, &target(url), NOW).expect("there");
        let names: Vec<_> = chosen.credentials.iter().map(|entry| entry.name.to_string()).collect();
        (names.join(" "), chosen.signing.len())
    };
    assert_eq!(chosen(&[], "https://a.example/"), ("host".into(), 2));
    assert_eq!(chosen(&["wide"], "https://a.example/"), ("wide".into(), 2));
    assert_eq!(chosen(&["configured"], "https://a.example/"), ("host".into(), 1));
    assert_eq!(chosen(&[], "https://c.example/"), ("wide".into(), 1));
    assert_eq!(chosen(&[], "http://c.example/"), (String::new(), 1));
    assert_eq!(chosen(&[], "http://b.example/"), ("plain".into(), 1));
    assert_eq!(chosen(&["wide"], "http://c.example/"), ("wide".into(), 1));
    let elsewhere = vault.choose(0, &[], &target("https://a.example/"), NOW).expect("none");
    assert!(elsewhere.signing.is_empty() && elsewhere.credentials.is_empty());
    let gone = vault.choose(0, &["wide".to_owned()], &target("https://a.example/"), NOW);
    assert_eq!(gone.map(|_| ()), Err("wide".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_go_together_is_refused() {
    let vault = opened(&store(), &[1]).await;
    let bearer =
        || doc!({"name": "b", "kind": "bearer", "token": "t", "applies_to": ["a.example"]});
    vault.create(bearer(), &BY).await.expect("created");
    assert!(matches!(vault.create(bearer(), &BY).await, Err(VaultError::Exists(_))));
    let taken = doc!({"name": "configured", "kind": "bearer", "token": "t"});
    assert!(matches!(vault.create(taken, &BY).await, Err(VaultError::Exists(_))));
    let same =
        doc!({"name": "c", "kind": "bearer", "token": "t", "applies_to": ["x", "a.example"]});
    match vault.create(same, &BY).await {
        Err(VaultError::Invalid(fault)) => assert_eq!(fault.pointer, "/applies_to/1"),
        other => panic!("{other:?}"),
    }
    let basic = doc!({"name": "c", "kind": "basic", "username": "u", "password": "p"});
    vault.create(basic, &BY).await.expect("created");

    let url = target("https://a.example/");
    let vet = |refs: &[&str], headers: &[&str]| {
        let refs: Vec<_> = refs.iter().map(|name| (*name).to_owned()).collect();
        let header = |name: &&str| Header { name: (*name).to_owned(), value: String::new() };
        let headers: Vec<_> = headers.iter().map(header).collect();
        vault.vet(3, &refs, (&url, &headers)).map_err(|fault| (fault.pointer, fault.detail))
    };
    assert_eq!(vet(&[], &["x-other"]), Ok(()));
    let (pointer, detail) = vet(&[], &["authorization"]).expect_err("twice");
    assert_eq!(pointer, "/headers/authorization");
    assert!(detail.contains("`b`"), "{detail}");
    assert_eq!(vet(&["b", "c"], &[]).expect_err("both").0, "/secret_ref");
    assert_eq!(vet(&["nobody"], &[]).expect_err("unknown").0, "/secret_ref");
    let (_, detail) = vet(&["whsec_planted"], &[]).expect_err("unknown");
    assert!(!detail.contains("planted"), "{detail}");

    assert!(matches!(vault.delete("nobody", &BY).await, Err(VaultError::NotFound(_))));
    vault.delete("b", &BY).await.expect("deleted");
    assert!(!vault.knows(3, "b"));
    let wrong_kind = doc!({"kind": "bearer", "token": "t"});
    let refused = vault.replace("c", wrong_kind, &BY).await;
    assert!(matches!(refused, Err(VaultError::Conflict { slug: "secret-kind", .. })));
}

#[tokio::test(start_paused = true)]
async fn a_key_file_is_made_at_the_first_secret_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().expect("a directory");
    let store = store();
    let mut settings = settings(&[]);
    settings.store.kind = crate::config::StoreKind::Embedded;
    settings.store.path = directory.path().to_owned();
    let path = directory.path().join("vault.key");
    let vault = Vault::new(store.clone(), &settings, Clock::of_runtime(NOW));
    vault.open().await.expect("opened");
    assert!(!path.exists());
    vault.create(doc!({"name": "s", "kind": "signing"}), &BY).await.expect("created");
    let mode = std::fs::metadata(&path).expect("a key file").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    let again = Vault::new(store.clone(), &settings, Clock::of_runtime(NOW));
    again.open().await.expect("opened with the file");
    // A key of one's own takes over from the file.
    settings.vault.key = Some(key(5));
    let own = Vault::new(store.clone(), &settings, Clock::of_runtime(NOW));
    own.open().await.expect("opened with the file's key");
    assert_eq!(own.reseal().await, Ok(1));
    std::fs::write(&path, "garbage").expect("written");
    assert!(matches!(own.open().await, Err(OpenError::KeyFile { .. })));
    std::fs::remove_file(&path).expect("removed");
    own.open().await.expect("the file is needed no more");
    settings.vault.key = None;
    let without = Vault::new(store, &settings, Clock::of_runtime(NOW));
    let why = without.open().await.expect_err("sealed").to_string();
    assert!(why.contains(&key_id(&key(5))) && why.contains("vault.key"), "{why}");
}
