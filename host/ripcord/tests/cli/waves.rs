//! A shift in waves with real programs: two folders stand for two places, and another one for a split of the traffic.

use std::path::Path;
use std::process::Command;

use crate::pages::blocks::root;
use crate::support::run::as_olga;

const CONFIGURATION: &str = r#"
[host]
listen = "127.0.0.1:9"

[people.olga]
roles = ["operator", "approver", "admin"]
token-env = "OLGAS_TOKEN"

[services.ads]
mode = "act"
waves = [{ place = "eu", pause-seconds = 0.2 }, { place = "us", pause-seconds = 0.2 }]

[services.ads.registry]
kind = "command"
list = ["./registry.sh", "list", "versions"]
fetch = ["./registry.sh", "fetch", "versions", "{version}", "{into}"]
mark = ["./registry.sh", "mark", "versions", "{version}", "{state}", "{incident}"]

[services.ads.deployer]
kind = "command"
shift = ["sh", "places.sh", "shift", "{version}", "{place}"]
live = ["sh", "places.sh", "live"]
effect = "observable"
"#;

const PLACES: &str = r#"set -e
case "$1" in
shift)
    for place in eu us; do
        case "$3" in '' | "$place") printf '%s\n' "$2" >"places/$place/version" ;; esac
    done
    printf '%s %s\n' "$2" "$3" >>orders
    ;;
live)
    printf '{"shares": [{"version": "%s", "place": "eu", "weight": 0.5}, {"version": "%s", "place": "us", "weight": 0.5}]}' \
        "$(cat places/eu/version)" "$(cat places/us/version)"
    ;;
esac
"#;

fn succeeds(folder: &Path, program: &str, arguments: &[&str]) {
    let ended = Command::new(program).args(arguments).current_dir(folder).status().unwrap();
    assert!(ended.success(), "{program} {arguments:?}");
}

fn world(folder: &Path, configuration: &str) {
    std::fs::write(folder.join("ripcord.toml"), configuration).unwrap();
    std::fs::write(folder.join("places.sh"), PLACES).unwrap();
    std::fs::copy(root().join("examples/command/registry.sh"), folder.join("registry.sh")).unwrap();
    for made in ["versions", "made", "places/eu", "places/us"] {
        std::fs::create_dir_all(folder.join(made)).unwrap();
    }
    for version in ["1.3.2", "1.4.0"] {
        std::fs::write(folder.join("made/model.txt"), version).unwrap();
        succeeds(folder, "tar", &["-czf", &format!("versions/{version}.tar.gz"), "-C", "made", "."]);
    }
    for place in ["eu", "us"] {
        std::fs::write(folder.join("places").join(place).join("version"), "1.4.0\n").unwrap();
    }
}

#[test]
fn a_version_is_shifted_place_by_place() {
    let folder = tempfile::tempdir().unwrap();
    world(folder.path(), CONFIGURATION);
    let pulled = as_olga(folder.path(), &["--json", "pull", "ads", "--to", "1.3.2"]);
    assert_eq!(pulled.code, 0, "{}\n{}", pulled.stdout, pulled.stderr);
    let view = pulled.json();
    assert_eq!(view["waves"], "all 3", "{view}");
    // The places are all that serves, so nothing is left for the last wave.
    let orders = std::fs::read_to_string(folder.path().join("orders")).unwrap();
    assert_eq!(orders, "1.3.2 eu\n1.3.2 us\n");
    let sent: Vec<_> = view["requests"].as_array().unwrap().iter().map(|sent| sent["wave"].clone()).collect();
    assert_eq!(serde_json::json!(&sent[..2]), serde_json::json!([0, 1]), "{view}");
    let part = &view["plan"]["parts"][0];
    let waves = part["waves"].as_array().unwrap();
    assert_eq!(waves.len(), 3, "{part}");
    assert_eq!((&waves[1]["moves"]["place"], &waves[2]["moves"]), (&"us".into(), &"rest".into()));
    let kinds: Vec<_> = part["rungs"][0]["steps"]
        .as_array()
        .unwrap()
        .iter()
        .map(|step| format!("{} {}", step["kind"].as_str().unwrap(), step["wave"]))
        .filter(|step| !step.starts_with("mark") && !step.starts_with("stage"))
        .collect();
    let wave = |wave: u32| ["guard", "shift", "read-back", "look"].map(|kind| format!("{kind} {wave}"));
    let mut expected = [wave(0), wave(1), wave(2)].concat();
    expected.pop();
    expected.push("verify null".to_owned());
    assert_eq!(kinds, expected);

    let shown = as_olga(folder.path(), &["incidents", "show", view["id"].as_str().unwrap()]);
    for line in [
        "waves",
        "all 3",
        "shift begun (rung 1, attempt 2, wave 2 of 3: place us)",
        "to target 1, wave 2, attempt 2",
    ] {
        assert!(shown.stdout.contains(line), "`{line}`: {}", shown.stdout);
    }
}

#[test]
fn waves_that_the_deployer_cannot_make_are_told_where_they_are_configured() {
    let folder = tempfile::tempdir().unwrap();
    world(folder.path(), &CONFIGURATION.replace(", \"{place}\"", ""));
    let told = as_olga(folder.path(), &["check"]);
    assert_ne!(told.code, 0);
    let all = told.stdout + &told.stderr;
    for part in ["cannot move place eu and leave the rest as it is", "`shift` names `{place}`"] {
        assert!(all.contains(part), "{part}: {all}");
    }
}
