//! Every recipe of `examples/recipes` is played on a server of its own, and its documents are valid
//! as they stand, with the hosts of the real services.

use std::collections::HashSet;
use std::path::Path;
use std::process::{Command, Output};

use hostline::cli::recipe::{Document, Recipe, names, play, source};
use hostline::compose::document::{Campaign, Canvas, Fault, TemplateDocument};
use hostline::compose::webhook::WebhookTemplate;

/// What people use webhooks of a campaign for; each has a recipe.
const USE_CASES: [&str; 9] = [
    "unsubscribe → CRM update",
    "transactional message to Messenger",
    "transactional message to LINE",
    "direct mail through Lob",
    "game reward credit together with a second message",
    "airline discount after n bookings",
    "sign-in → Salesforce ('if this then that')",
    "Twilio SMS",
    "writing back to our own API",
];

fn recipe(name: &str) -> Recipe {
    Recipe::named(name).unwrap_or_else(|why| panic!("{why}"))
}

fn comes_as_expected(name: &str) {
    let recipe = recipe(name);
    let played = actix_rt::System::new().block_on(play(&recipe, &mut |_| {}));
    let played = played.unwrap_or_else(|why| panic!("{name}: {why}"));
    assert!(played.is_as_expected(), "{}", played.text(&recipe));
    let expected: usize = recipe.expect.requests.iter().map(|wanted| wanted.times).sum();
    assert!(expected > 0 && played.seen.len() == expected, "{}", played.text(&recipe));
}

#[test]
fn an_unsubscription_updates_the_crm() {
    comes_as_expected("unsubscribe-crm");
}

#[test]
fn a_transactional_message_goes_to_messenger_within_its_window() {
    comes_as_expected("messenger");
}

#[test]
fn a_transactional_message_goes_to_line_with_a_retry_key() {
    comes_as_expected("line");
}

#[test]
fn a_postcard_is_ordered_once_and_only_with_an_address() {
    comes_as_expected("lob-postcard");
}

#[test]
fn a_reward_is_credited_and_told_at_once() {
    comes_as_expected("game-reward");
}

#[test]
fn the_fifth_booking_earns_one_voucher() {
    comes_as_expected("airline-discount");
}

#[test]
fn a_sign_in_writes_to_salesforce_and_its_answer_decides_what_follows() {
    comes_as_expected("salesforce-sign-in");
}

#[test]
fn a_text_message_is_a_form_in_which_nothing_escapes_its_field() {
    comes_as_expected("twilio-sms");
}

#[test]
fn a_webhook_to_our_own_api_counts_and_triggers_a_second_canvas() {
    comes_as_expected("own-api");
}

#[test]
fn each_use_case_has_a_recipe_and_each_recipe_a_use_case() {
    let covered: HashSet<String> = names().map(|name| recipe(name).use_case).collect();
    let wanted: HashSet<String> = USE_CASES.iter().map(|&case| case.to_owned()).collect();
    assert_eq!(covered, wanted);
    assert_eq!(names().count(), USE_CASES.len());
}

#[test]
fn every_file_of_the_folder_is_built_in() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/recipes");
    let mut files = HashSet::new();
    for entry in std::fs::read_dir(folder).expect("the folder of the recipes") {
        let path = entry.expect("a readable entry").path();
        if path.extension().is_some_and(|extension| extension == "json") {
            let name = path.file_stem().and_then(|name| name.to_str()).expect("a name");
            let text = std::fs::read_to_string(&path).expect("readable");
            assert_eq!(source(name), Some(text.as_str()), "{name}");
            files.insert(name.to_owned());
        }
    }
    assert_eq!(files, names().map(str::to_owned).collect());
}

#[test]
fn every_document_is_valid_with_its_real_hosts() {
    for recipe in names().map(recipe) {
        let mut hosts = 0;
        for document in &recipe.documents {
            let text = document.value().to_string();
            let parsed = match document {
                Document::Template(_) => TemplateDocument::parse(text.as_bytes()).map(drop),
                Document::Campaign(_) => Campaign::parse(text.as_bytes()).map(drop),
                Document::Canvas(_) => Canvas::parse(text.as_bytes()).map(drop),
            };
            let faults: Vec<Fault> = parsed.err().unwrap_or_default();
            assert!(faults.is_empty(), "{} {:?}: {faults:?}", recipe.name, document.name());
            for webhook in document.webhooks() {
                let compiled = WebhookTemplate::compile(&webhook.to_string());
                let fault = compiled.err().map(|fault| fault.to_string());
                assert_eq!(fault, None, "{} {:?}", recipe.name, document.name());
                hosts += usize::from(has_real_host(webhook["url"].as_str().unwrap_or_default()));
            }
        }
        let webhooks: usize =
            recipe.documents.iter().map(|document| document.webhooks().len()).sum();
        assert_eq!(hosts, webhooks, "{}: a URL without a literal https host", recipe.name);
    }
}

/// Whether a URL names a host of the world by https, before any Liquid.
fn has_real_host(url: &str) -> bool {
    let Some(rest) = url.strip_prefix("https://") else { return false };
    let host = rest.split(['/', '?', '{']).next().unwrap_or_default();
    host.contains('.') && !host.contains("127.0.0.1")
}

#[test]
fn what_is_to_be_replaced_stands_in_the_documents() {
    for recipe in names().map(recipe) {
        let documents: Vec<String> =
            recipe.documents.iter().map(|document| document.value().to_string()).collect();
        for words in recipe.replace.keys() {
            for word in words.split(" and ") {
                let is_there = documents.iter().any(|text| text.contains(word));
                assert!(is_there, "{}: no {word:?} in its documents", recipe.name);
            }
        }
    }
}

fn hostline(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hostline"));
    command.args(arguments).output().expect("the binary runs")
}

#[test]
fn the_command_lists_shows_and_runs_recipes() {
    let listed = hostline(&["recipe", "list"]);
    let text = String::from_utf8_lossy(&listed.stdout).into_owned();
    assert!(listed.status.success() && names().all(|name| text.contains(name)), "{text}");

    let shown = hostline(&["recipe", "show", "line"]);
    assert_eq!(Some(String::from_utf8_lossy(&shown.stdout).as_ref()), source("line"));

    let ran = hostline(&["recipe", "run", "twilio-sms", "line"]);
    let text = String::from_utf8_lossy(&ran.stdout).into_owned();
    assert_eq!(ran.status.code(), Some(0), "{text}");
    assert!(text.contains("https://api.twilio.com → http://127.0.0.1:"), "{text}");
    assert_eq!(text.matches("all as expected").count(), 2, "{text}");

    for unknown in [&["recipe", "run", "pigeon"], &["recipe", "show", "pigeon"]] {
        let refused = hostline(unknown);
        assert_eq!(refused.status.code(), Some(2));
        assert!(String::from_utf8_lossy(&refused.stderr).contains("there is no recipe"));
    }
}

#[test]
fn a_recipe_that_goes_otherwise_says_what_is_wrong() {
    let mut recipe = recipe("line");
    recipe.expect.requests[0].json = Some(serde_json::json!({"to": "somebody else"}));
    recipe.expect.activity.clear();
    recipe.expect.counts.clear();
    let played = actix_rt::System::new().block_on(play(&recipe, &mut |_| {}));
    let played = played.unwrap_or_else(|why| panic!("{why}"));
    let text = played.text(&recipe);
    assert!(!played.is_as_expected());
    for words in ["NOT as expected", "/to is", "did not come: 1 ×", "the activity log has"] {
        assert!(text.contains(words), "no {words:?} in\n{text}");
    }
}

#[test]
fn a_document_that_the_server_refuses_ends_the_play_with_its_words() {
    let mut recipe = recipe("line");
    recipe.documents.truncate(1);
    let Document::Template(template) = &mut recipe.documents[0] else { panic!("a template") };
    template["webhook"]["url"] = "https://x.example/{{ properties.order | nosuch }}".into();
    let played = actix_rt::System::new().block_on(play(&recipe, &mut |_| {}));
    let wrong = played.err().expect("a refusal");
    assert!(wrong.contains("/v1/templates") && wrong.contains("nosuch"), "{wrong}");
}
