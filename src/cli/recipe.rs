//! `hostline recipe`: compositions for common use cases, which can be listed, read, and played on a
//! server of their own against a receiver that stands for the real services.

mod book;
mod stage;
mod verdict;

use std::fmt::Write as _;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::json;

pub use book::{Answer, Call, Document, Expect, Recipe, Wanted, WantedActivity, names, source};
pub use verdict::Seen;

use self::stage::Stage;
use super::output::printable;
use super::{refuse, say};

const EXAMPLES: &str = "\
Examples:
  hostline recipe list
      Show what there is
  hostline recipe run twilio-sms
      Play it: create and launch its campaign, send its events, check what a receiver gets
  hostline recipe show twilio-sms
      Print its file, to take the documents from it

Exit codes: 0 all came as expected, 1 something did not, 2 no such recipe or it cannot be played.";

/// Flags of `recipe`.
#[derive(Args, Clone, Debug)]
#[command(after_help = EXAMPLES)]
pub struct RecipeArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Clone, Debug, Subcommand)]
enum Action {
    /// List the recipes
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Print the file of a recipe
    Show {
        /// Which one
        name: String,
    },
    /// Play recipes on a temporary server against a local receiver
    Run {
        /// Which ones
        #[arg(required = true, value_name = "NAME")]
        names: Vec<String>,
    },
}

/// Runs the command.
pub fn run(args: &RecipeArgs) -> ExitCode {
    match &args.action {
        Action::List { json } => list(*json),
        Action::Show { name } => match source(name) {
            Some(text) => {
                say(text);
                ExitCode::SUCCESS
            }
            None => unknown(name),
        },
        Action::Run { names } => run_all(names),
    }
}

fn list(as_json: bool) -> ExitCode {
    let read = |name| Recipe::named(name).map(|recipe| (name, recipe.about));
    let recipes: Vec<(&str, String)> = match names().map(read).collect() {
        Ok(recipes) => recipes,
        Err(wrong) => return refuse(&wrong),
    };
    let lines = recipes.iter().map(|(name, about)| format!("{name:<20} {about}\n"));
    say(&match as_json {
        true => {
            let row = |(name, about): &(&str, String)| json!({ "name": name, "about": about });
            format!("{:#}\n", json!({ "data": recipes.iter().map(row).collect::<Vec<_>>() }))
        }
        false => lines.collect(),
    });
    ExitCode::SUCCESS
}

fn unknown(name: &str) -> ExitCode {
    match Recipe::named(name) {
        Err(wrong) => refuse(&wrong),
        Ok(_) => ExitCode::SUCCESS,
    }
}

fn run_all(names: &[String]) -> ExitCode {
    let recipes: Result<Vec<Recipe>, String> =
        names.iter().map(|name| Recipe::named(name)).collect();
    let recipes = match recipes {
        Ok(recipes) => recipes,
        Err(wrong) => return refuse(&wrong),
    };
    let mut all_right = true;
    for recipe in &recipes {
        let played = actix_rt::System::new().block_on(play(recipe, &mut |line| say(line)));
        match played {
            Ok(played) => {
                say(&played.text(recipe));
                all_right &= played.is_as_expected();
            }
            Err(wrong) => return refuse(&format!("recipe {}: {wrong}", recipe.name)),
        }
    }
    if all_right { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What came of a recipe.
pub struct Played {
    /// What the receiver got, each judged.
    pub seen: Vec<Seen>,
    /// What else is not as expected, in words.
    pub faults: Vec<String>,
}

impl Played {
    /// Whether everything came that was expected, and nothing else.
    pub fn is_as_expected(&self) -> bool {
        self.faults.is_empty() && self.seen.iter().all(|seen| seen.fault.is_none())
    }

    /// For people: each request, then what is wrong.
    pub fn text(&self, recipe: &Recipe) -> String {
        let mut text = String::from("the receiver got\n");
        // Writing to a string does not fail.
        for seen in &self.seen {
            let mark = if seen.fault.is_none() { "ok" } else { "WRONG" };
            let request = &seen.request;
            let _ =
                writeln!(text, "  {mark} {} {}", printable(&request.method), printable(&seen.url));
            for header in request.headers.iter().filter(|header| is_told(recipe, &header.name)) {
                let _ = writeln!(text, "     {}: {}", header.name, printable(&header.value));
            }
            for line in String::from_utf8_lossy(&request.body).lines() {
                let _ = writeln!(text, "     {}", printable(line));
            }
            if let Some(fault) = &seen.fault {
                let _ = writeln!(text, "     not as expected: {}", printable(fault));
            }
        }
        for fault in &self.faults {
            let _ = writeln!(text, "  WRONG {}", printable(fault));
        }
        for activity in &recipe.expect.activity {
            let (kind, recipient, detail) = (&activity.kind, &activity.recipient, &activity.detail);
            let _ = writeln!(text, "  expected in the activity log: {recipient} {kind}: {detail}");
        }
        let verdict = match self.is_as_expected() {
            true => "all as expected",
            false => "NOT as expected",
        };
        let _ = writeln!(text, "{}: {verdict}, {} requests\n", recipe.name, self.seen.len());
        text
    }
}

/// Headers that some expectation of the recipe names.
fn is_told(recipe: &Recipe, name: &str) -> bool {
    recipe.expect.requests.iter().any(|wanted| wanted.headers.contains_key(name))
}

/// Plays a recipe on a stage of its own, and tells of each step. Needs a running actix system; an
/// error is a step that the server refused.
pub async fn play(recipe: &Recipe, tell: &mut dyn FnMut(&str)) -> Result<Played, String> {
    tell(&format!("{}: {}\n{}\n", recipe.name, recipe.use_case, recipe.about));
    let mut stage = Stage::open(recipe).await?;
    let played = perform(&mut stage, recipe, tell).await;
    stage.close().await;
    played
}

async fn perform(
    stage: &mut Stage,
    recipe: &Recipe,
    tell: &mut dyn FnMut(&str),
) -> Result<Played, String> {
    tell(&format!("server on http://{}; for this run hosts are mapped:\n", stage.server()));
    let mut hosts: Vec<String> = recipe.documents.iter().flat_map(hosts_of).collect();
    hosts.sort();
    hosts.dedup();
    for host in hosts {
        tell(&format!("  {host} → {}\n", stage.map(&host)));
    }
    for document in &recipe.documents {
        stage.create(document).await?;
        let done = if document.kind() == "template" { "created" } else { "created and launched" };
        tell(&format!("{done}: {} {:?}\n", document.kind(), document.name()));
    }
    stage.write_profiles(&recipe.profiles).await?;
    tell(&format!("profiles written: {}\n", recipe.profiles.len()));
    for call in &recipe.play {
        for _ in 0..call.times {
            stage.post(&call.post, &call.body).await?;
        }
        tell(&format!("{} × POST {} {}\n", call.times, call.post, call.body));
    }
    judge(stage, recipe).await
}

async fn judge(stage: &Stage, recipe: &Recipe) -> Result<Played, String> {
    let mut faults = Vec::new();
    if !stage.rest().await? {
        faults.push("some deliveries or journeys did not end in time".into());
    }
    let expect = &recipe.expect;
    let mut seen = stage.seen();
    let missing = verdict::judge_requests(&expect.requests, &mut seen);
    faults.extend(missing.into_iter().map(|what| format!("did not come: {what}")));
    faults.extend(verdict::judge_activity(&expect.activity, &stage.log().await?));
    for (name, counts) in &expect.counts {
        faults.extend(verdict::judge_counts(name, counts, &stage.report(name).await?));
    }
    for (id, attributes) in &expect.profiles {
        faults.extend(verdict::judge_profile(id, attributes, &stage.profile(id).await?));
    }
    Ok(Played { seen, faults })
}

/// Scheme and host of each webhook that is written out in a document.
fn hosts_of(document: &Document) -> Vec<String> {
    let urls = document.webhooks().into_iter().filter_map(|webhook| webhook["url"].as_str());
    let host = |url: &str| {
        let parts: Vec<&str> = url.splitn(4, '/').take(3).collect();
        parts.join("/")
    };
    urls.map(host).collect()
}
