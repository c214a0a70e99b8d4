//! Services that move together, each behind a program of its team's own that takes its time and keeps a diary, and a host that is killed again and again.

use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use super::Dice;
use super::diary::{self, Line};
use crate::support::host::Host;
use crate::support::pair::{self, pair};
use crate::support::run::{self, Ran};

const CONFIGURATION: &str = r#"
[host]
listen = "{HOST}"

[people.olga]
roles = ["operator", "approver", "admin"]
token-env = "OLGAS_TOKEN"

[sets.fraud]
members = ["features", "fraud-api"]
if-part-fails = "back"

[services.features]
mode = "ask"
registry = { kind = "command", list = ["./list.sh"], fetch = ["./fetch.sh", "{into}"] }
deployer = { kind = "command", shift = ["./shift.sh", "features", "{version}", "{key}"], live = ["./live.sh", "features"], effect = "observable" }

[services.fraud-api]
mode = "ask"
registry = { kind = "command", list = ["./list.sh"], fetch = ["./fetch.sh", "{into}"] }
deployer = { kind = "command", shift = ["./shift.sh", "fraud-api", "{version}", "{key}"], live = ["./live.sh", "fraud-api"], effect = "observable" }
"#;

/// Whoever waits for it: it goes on where the host dies.
const SHIFT: &str = r#"#!/bin/sh
note() { printf '%s %s %s:%s:%s\n' "$$" "$1" "$2" "$3" "$4" >>diary; }
note begins "$1" "$2" "$3"
sleep 0.2
if [ "$(cat "refused-$1" 2>/dev/null)" = "$2" ]; then
    note refused "$1" "$2" "$3"
    note ends "$1" "$2" "$3"
    exit 69
fi
printf '%s' "$2" >"new-$1"
mv "new-$1" "live-$1"
note applied "$1" "$2" "$3"
sleep 0.2
note ends "$1" "$2" "$3"
"#;

/// How the run is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Course {
    /// Both parts are in place.
    Moved,
    /// The second one is refused, so the first goes back.
    WentBack,
}

/// When a host is killed: a life ends at whichever comes first, and each ends one.
#[derive(Debug, Clone, Copy)]
enum Moment {
    /// After so long.
    After(Duration),
    /// The run is in this phase, as the host itself says.
    Phase(&'static str),
    /// A member's program has written this word, so often.
    Diary(&'static str, usize),
}

struct World {
    folder: tempfile::TempDir,
    course: Course,
}

impl World {
    fn new(course: Course) -> Self {
        let folder = pair(CONFIGURATION, SHIFT);
        if course == Course::WentBack {
            std::fs::write(folder.path().join("refused-fraud-api"), "1.3.2").expect("writes");
        }
        Self { folder, course }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    fn diary(&self) -> Vec<Line> {
        diary::read(&std::fs::read_to_string(self.path().join("diary")).unwrap_or_default())
    }

    fn olga(&self, arguments: &[&str]) -> Ran {
        run::as_olga(self.path(), arguments)
    }

    /// So often the diary has this word.
    fn noted(&self, word: &str) -> usize {
        self.diary().iter().filter(|line| line.word == word).count()
    }
}

/// How far a host was followed.
enum End {
    Killed(usize),
    Over(Value),
}

async fn live(host: &Host, world: &World, moments: &[Moment]) -> End {
    let begun = tokio::time::Instant::now();
    loop {
        let set = host.get("sets/fraud").await;
        if set["run"].is_null() && set["last"].is_object() {
            return End::Over(set);
        }
        let phase = set["run"]["state"]["phase"].as_str().unwrap_or_default();
        let come = moments.iter().position(|moment| match *moment {
            Moment::Phase(wanted) => phase == wanted,
            Moment::Diary(word, times) => world.noted(word) >= times,
            Moment::After(after) => begun.elapsed() >= after,
        });
        if let Some(place) = come {
            return End::Killed(place);
        }
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "nothing happens: {set:#}\n{:#?}\n{}",
            world.diary(),
            host.log().join("\n")
        );
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

pub(super) async fn killed_again_and_again(course: Course, seed: u64) {
    let world = World::new(course);
    let mut moments = vec![
        Moment::After(Duration::from_millis(60 + Dice(seed).below(120))),
        Moment::Phase("enlisting its members"),
        Moment::Diary("begins", 1),
        Moment::Diary("applied", 1),
        Moment::Diary("begins", 2),
        Moment::Phase(if course == Course::Moved { "releasing its members" } else { "going back" }),
    ];
    let (mut killed, mut within) = (Vec::new(), false);
    for life in 0..12 {
        let host = Host::start(world.path()).await;
        if life == 0 {
            // One click is enough here: who asks has agreed.
            let to = serde_json::json!({ "features": "1.3.2", "fraud-api": "1.3.2" });
            let body = serde_json::json!({ "to": to, "reason": "they do not fit" });
            let asked = host.post("sets/fraud/pull", &body).await;
            assert_eq!(asked.status, 200, "{}", asked.body);
        }
        match live(&host, &world, &moments).await {
            End::Killed(place) => {
                host.kill();
                within |= diary::is_under_way(&world.diary());
                killed.push(moments.remove(place));
            }
            End::Over(set) => {
                host.kill();
                println!("{course:?}, seed {seed}: killed at {killed:?}\n{:#?}", world.diary());
                assert!(killed.len() >= 3 && within, "it was too quick to be killed: {killed:?}");
                return check(&world, &set);
            }
        }
    }
    panic!("{course:?}, seed {seed}: no end after {killed:?}");
}

fn check(world: &World, set: &Value) {
    let (end, versions, applied) = match world.course {
        Course::Moved => ("moved", ["1.3.2", "1.3.2"], vec!["features:1.3.2", "fraud-api:1.3.2"]),
        Course::WentBack => ("went-back", ["1.4.0", "1.4.0"], vec!["features:1.3.2", "features:1.4.0"]),
    };
    assert_eq!(set["last"]["end"], end, "{set:#}");
    assert_eq!(pair::live(world.path()), versions);
    let diary = world.diary();
    let done: Vec<_> = diary.iter().filter(|line| line.word == "applied").collect();
    let done: Vec<_> = done.iter().map(|line| line.key.rsplit_once(':').expect("a key").0).collect();
    assert_eq!(done, applied, "each part once, in its order: {diary:#?}");
    // No shift of a member began while another one of it was under way.
    let mut under_way: Vec<(&str, &str)> = Vec::new();
    for line in &diary {
        let member = line.key.split(':').next().expect("a member");
        match line.word.as_str() {
            "begins" => {
                assert!(under_way.iter().all(|(other, _)| *other != member), "{diary:#?}");
                under_way.push((member, &line.run));
            }
            "ends" => under_way.retain(|(_, run)| *run != line.run),
            _ => {}
        }
    }
    let checked = world.olga(&["--json", "store", "verify"]);
    assert_eq!(checked.code, 0, "{}{}", checked.stdout, checked.stderr);
    let all = checked.json();
    assert!(all["set:fraud"].is_object() && all["features"].is_object(), "{all:#}");
}
