//! A plan for people who are asked to agree to it: every field that is signed, whole.

use ripcord_core::digest::Digest;
use ripcord_core::facet::{Facet, FacetRead, FacetState, read_of};
use ripcord_core::foreign::Foreign;
use ripcord_core::live::{LiveState, Share};
use ripcord_core::plan::{Leaving, Part, Plan, SetMove, StepKind};
use ripcord_core::policy::PolicyRef;
use ripcord_core::signal::Origin;
use ripcord_core::target::{Exclusion, Strategy, Target, VersionTarget};
use ripcord_core::time::Millis;
use ripcord_core::wave::{Moves, Wave};
use serde_json::Value;

use crate::http::wire::PlanView;

use super::ranking;
use super::sets::if_part_fails;
use super::style::{DIM, STRONG, WARN, paint};
use super::table::{Cell, Table};
use super::text::{Paragraph, Text, Whole, text};
use super::time::{exact, instant};

/// `version 1.3.2 (sha256 …), then version 1.2.0 (sha256 …)`.
pub fn ladder(plan: &Plan) -> String {
    let targets = plan.parts.iter().flat_map(|part| &part.rungs).map(|rung| rung.target.to_string());
    targets.collect::<Vec<_>>().join(", then ")
}

/// Which facet a plan moves.
pub fn moved(plan: &Plan) -> Option<Facet> {
    plan.parts.iter().flat_map(|part| &part.rungs).find_map(|rung| rung.target.facet())
}

/// All that is approved, and the digest that the approval is given to. Two plans that differ read differently.
pub fn text(view: &PlanView) -> Text {
    let PlanView { plan, digest, expires_at, cause, tally, waits_since, ranking } = view;
    let mut table = Table::bare(2);
    let mut row = |name: &'static str, value: Text| table.row([Cell::new(DIM, name), value.into()]);
    if !cause.is_empty() {
        row("cause", text!("{}", Paragraph(cause)));
    }
    row("changes", text!("{}", change(plan)));
    row("afterwards", afterwards(plan));
    if !tally.is_empty() {
        let since = waits_since.map(|at| text!(", since {}", instant(at))).unwrap_or_default();
        let wanted = Text::joined(tally.iter().map(|one| text!("{}", one)), " and ");
        row("waits for", paint(WARN, text!("{}{}", wanted, since)));
    }
    if let Some(set) = &plan.set {
        row("set", self::set(set));
    }
    row("digest", text!("{}", digest));
    row("strategy", strategy(&plan.strategy));
    row("asked by", Text::joined(plan.requested_by.iter().map(origin), ", "));
    for one in &plan.policies {
        row("policy", policy(one));
    }
    row(
        "preflighted",
        if plan.preflighted {
            text!("each version, before it is shifted to")
        } else {
            text!("not preflighted")
        },
    );
    row("made", text!("{}", exact(plan.created_at)));
    row("expires", text!("{}", exact(plan.expires_at)));
    if let Some(moved) = expires_at.filter(|moved| *moved != plan.expires_at) {
        let said = text!(
            "to {}: the host's clock has jumped forward since, or what was waited between waves was not taken from it",
            exact(moved)
        );
        row("moved", paint(WARN, said));
    }
    row("installation", text!("{}", plan.installation));
    row("format", text!("{}", plan.format));
    let drill = if plan.drill { " (a drill)" } else { "" };
    let title = text!("plan {} of {}{}", plan.number, plan.incident, drill);
    let mut text = text!("{}\n{}", paint(STRONG, title), table);
    for part in &plan.parts {
        text.push(text!("\n{}", self::part(part)));
    }
    for service in plan.parts.iter().map(|part| &part.service) {
        text.push(text!("\n{}", ranking::text(ranking.as_ref(), service, ranking::FIRST_FEW)));
    }
    let changed = serde_json::to_value(plan).map_or(0, |plan| changed(&plan));
    if changed > 0 {
        let texts = if changed == 1 { "text" } else { "texts" };
        text.push(text!(
            "\n{}\n",
            paint(
                WARN,
                text!(
                    "{} {} of this plan would mislead the eye or the terminal: the characters are shown by their numbers, such as {}",
                    changed,
                    texts,
                    r"\u{1b}"
                )
            )
        ));
    }
    text
}

/// In one line: what is served now, and what would be.
pub fn change(plan: &Plan) -> Text {
    let part = |part: &Part| {
        let first = part.rungs.first().map(|rung| &rung.target);
        if let Some(made) = first.filter(|first| first.is_produced()) {
            return text!("nothing of {}: a version is made of {}", part.service, target(made));
        }
        let to = match first {
            None => text!("nothing else"),
            Some(Target::Version(to)) => text!("{}", to.version),
            Some(Target::Configuration(to)) => text!("{}", to.revision),
            Some(Target::Fallback(to)) => text!("{}", to.mode),
            Some(other) => target(other),
        };
        // The model is what everybody means; another facet is named.
        let moved = first.and_then(Target::facet).filter(|facet| *facet != Facet::Model);
        let (facet, from) = match &moved {
            None => (Text::default(), now(&part.live)),
            Some(facet) => (text!(": {}", facet), in_force(&part.facets, facet)),
        };
        let others = match part.rungs.len().saturating_sub(1) {
            0 => Text::default(),
            1 => text!(" (1 more target if that does not help)"),
            more => text!(" ({} more targets if that does not help)", more),
        };
        text!("{}{} from {} to {}{}", part.service, facet, from, to, others)
    };
    Text::joined(plan.parts.iter().map(part), "; ")
}

/// Live as people name it: the versions alone.
fn now(live: &LiveState) -> Text {
    match live {
        LiveState::Unknown(_) => text!("what could not be read"),
        LiveState::Serving(shares) if shares.is_empty() => text!("nothing"),
        LiveState::Serving(shares) => {
            Text::joined(shares.iter().map(|share| text!("{}", share.version.version)), " and ")
        }
    }
}

/// What is in force of a facet, by its name alone.
fn in_force(facets: &[FacetRead<String>], facet: &Facet) -> Text {
    match read_of(facets, facet).and_then(FacetState::known) {
        Some(known) => text!("{}", known.revision),
        None => text!("what could not be read"),
    }
}

/// What is in force of a facet that stays, or is moved.
fn facet(read: &FacetRead<String>) -> Text {
    match &read.state {
        FacetState::InForce(known) => text!(
            "{} {}{} (proved by {})",
            read.facet,
            known.revision,
            pinned(known.digest.as_ref()),
            read.facet.proved_by(known.proof)
        ),
        FacetState::Unknown(reason) => {
            text!("{}: what could not be read: {}", read.facet, quoted(reason))
        }
    }
}

/// Who moves together, and what becomes of that where one does not.
fn set(set: &SetMove) -> Text {
    let members = Text::joined(set.members.iter().map(|member| text!("{}", member)), ", then ");
    text!("{}; where one of them fails, {}", members, if_part_fails(set.if_part_fails))
}

pub(super) fn afterwards(plan: &Plan) -> Text {
    let left = match plan.leaving {
        Leaving::Condemn => text!("what is served now is condemned, and a hold keeps it out"),
        Leaving::Keep => text!("what is served now keeps its standing, and no hold keeps it out"),
    };
    let data = plan.condemns_data.iter().map(|data| {
        text!(
            "once what was trained without its bad rows is in place and verified, the data {} are condemned: nothing that was trained on them is gone back to",
            quoted(&data.to_string())
        )
    });
    Text::joined([left].into_iter().chain(data), "; ")
}

fn part(part: &Part) -> Text {
    let mut text = text!(
        "{} in {}, now serving {}\n",
        paint(STRONG, &part.service),
        quoted(&part.environment),
        live(&part.live)
    );
    for read in &part.facets {
        text.push(text!("  with {}\n", facet(read)));
    }
    for (index, wave) in part.waves.iter().enumerate() {
        text.push(text!("  wave {}: {}\n", index + 1, self::wave(wave)));
    }
    for (index, rung) in part.rungs.iter().enumerate() {
        text.push(text!("  {}. to {}\n", index + 1, paint(STRONG, target(&rung.target))));
        let mut steps = Table::bare(5);
        for step in &rung.steps {
            let arguments = step
                .arguments
                .iter()
                .map(|label| text!("{}={}", Whole(Foreign::signed(&label.name)), quoted(&label.value)));
            let request = step
                .request
                .as_ref()
                .map(|request| text!("{}\nrequest sha256 {}", quoted(&request.words), request.digest));
            let said = request.into_iter().chain(arguments);
            let name = match step.wave {
                None => text!("{}", name(step.kind)),
                Some(wave) => text!("wave {}: {}", u64::from(wave) + 1, name_in_wave(step.kind)),
            };
            steps.row([name.into(), Cell::new(DIM, Text::joined(said, "\n"))]);
        }
        text.push(steps);
    }
    text
}

pub(super) fn wave(wave: &Wave) -> Text {
    let moves = match &wave.moves {
        Moves::Place(place) => text!("all that serves at {}", quoted(place)),
        Moves::Share(share) => text!("{} of the traffic, over all places", share.get()),
        Moves::Rest => text!("everything that is left"),
    };
    match wave.pause {
        Millis(0) => moves,
        pause => text!("{}, then {} without the next", moves, spelt_out(pause)),
    }
}

/// As people say it, unless that would leave something out.
fn spelt_out(pause: Millis) -> Text {
    let said_to = match pause.0 {
        0..1_000 => 1,
        1_000..60_000 => 100,
        60_000..3_600_000 => 1_000,
        3_600_000..86_400_000 => 60_000,
        _ => 3_600_000,
    };
    if pause.0.is_multiple_of(said_to) { text!("{}", pause) } else { text!("{} ms", pause.0) }
}

/// Text of others between back-ticks, which it cannot end.
fn quoted(text: &str) -> Text {
    text!("`{}`", Whole(Foreign::signed(text)))
}

fn pinned(digest: Option<&Digest>) -> Text {
    digest.map_or_else(|| text!(", no digest known"), |digest| text!(", sha256 {}", digest))
}

fn strategy(strategy: &Strategy) -> Text {
    match strategy {
        Strategy::Other(name) => unknown(name),
        known => text!("{}", known),
    }
}

fn unknown(name: &str) -> Text {
    text!("something that this release does not know, {}", quoted(name))
}

pub(super) fn origin(origin: &Origin) -> Text {
    match origin {
        Origin::Webhook(source) => text!("webhook {}", quoted(source)),
        Origin::Schedule => text!("schedule"),
        Origin::Person(name) => text!("person {}", quoted(name)),
        Origin::Policy(name) => text!("policy {}", quoted(name)),
        Origin::Other(name) => unknown(name),
    }
}

fn policy(policy: &PolicyRef) -> Text {
    text!("{} {}, sha256 {}", policy.name, quoted(&policy.version), policy.digest)
}

fn version(version: &VersionTarget) -> Text {
    text!("version {}{}", version.version, pinned(version.digest.as_ref()))
}

pub(super) fn target(target: &Target) -> Text {
    match target {
        Target::Version(target) => version(target),
        Target::Checkpoint(target) => text!(
            "checkpoint of the run {} at step {}{}",
            quoted(&target.run),
            target.step,
            pinned(target.digest.as_ref())
        ),
        Target::Configuration(target) => {
            text!("configuration {} {}{}", target.name, target.revision, pinned(target.digest.as_ref()))
        }
        Target::Retrain(target) => {
            let without = Text::joined(target.exclude.iter().map(exclusion), "; ");
            let (dataset, revision) = (quoted(&target.dataset), quoted(&target.revision));
            text!("training on {} revision {}, without: {}", dataset, revision, without)
        }
        Target::Fallback(target) => text!("fallback {}{}", target.mode, pinned(target.digest.as_ref())),
        Target::Other(name) => unknown(name),
    }
}

fn exclusion(exclusion: &Exclusion) -> Text {
    match exclusion {
        Exclusion::Source(source) => text!("source {}", quoted(source)),
        Exclusion::Window(window) => text!("rows from {} to {}", exact(window.start), exact(window.end)),
        Exclusion::Value(of) => {
            text!("rows with {} in the column {}", quoted(&of.value), quoted(&of.column))
        }
        Exclusion::Rows(rows) => text!("rows {}", Text::joined(rows.iter().map(|row| quoted(row)), ", ")),
    }
}

pub(super) fn live(live: &LiveState) -> Text {
    match live {
        LiveState::Unknown(reason) => text!("what could not be read: {}", quoted(reason)),
        LiveState::Serving(shares) if shares.is_empty() => text!("nothing"),
        LiveState::Serving(shares) => Text::joined(shares.iter().map(share), ", and "),
    }
}

fn share(share: &Share) -> Text {
    let mut text = version(&share.version);
    if !share.place.is_empty() {
        text.push(text!(" at {}", quoted(&share.place)));
    }
    text.push(text!(" ({} of the traffic, proved by {})", share.weight.get(), share.proof));
    text
}

/// How many texts of the plan are not shown as they are.
fn changed(value: &Value) -> usize {
    match value {
        Value::String(text) => usize::from(Foreign::signed(text).is_changed()),
        Value::Array(values) => values.iter().map(changed).sum(),
        Value::Object(fields) => fields.values().map(changed).sum(),
        _ => 0,
    }
}

/// A step of one wave: the others are not what it is about.
pub(super) const fn name_in_wave(kind: StepKind) -> &'static str {
    match kind {
        StepKind::Guard => "read what is live, go on only if it is the above and what was moved",
        StepKind::ReadBack => "read back until it is served where it was moved",
        other => name(other),
    }
}

pub(super) const fn name(kind: StepKind) -> &'static str {
    match kind {
        StepKind::Stage => "fetch and check the artefact",
        StepKind::Preflight => "try it beside what is live, with golden data and inputs of today",
        StepKind::ClearCandidate => "take away what that left beside what is live",
        StepKind::Guard => "read what is live, go on only if it is the above",
        StepKind::Shift => "shift",
        StepKind::ReadBack => "read back until it is served everywhere",
        StepKind::Look => "wait, then look whether it is still there, and ask how it does",
        StepKind::MoveName => "have the registry's production name follow",
        StepKind::Verify => "verify",
        StepKind::MarkHolds => "mark the holds on what was left in the registry",
        StepKind::Produce => {
            "have a version made of it, which shifts nothing: putting it in place gets a plan of its own"
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::output::hostile;
    use ripcord_core::time::UnixMillis;
    use serde_json::json;

    /// A plan with everything that a plan can hold.
    pub(in crate::output) fn whole() -> Value {
        let digest = "b".repeat(64);
        let step = json!([{
            "kind": "shift", "wave": 0,
            "arguments": [{ "name": "adapter", "value": "open-inference" }],
            "request": { "words": "have the server load it by POST http://127.0.0.1:8080/load", "digest": digest },
        }]);
        let targets = [
            json!({ "version": { "version": "1.3.2", "digest": digest } }),
            json!({ "checkpoint": { "run": "r7", "step": "900", "digest": digest } }),
            json!({ "configuration": { "name": "limits", "revision": "c1", "digest": digest } }),
            json!({ "retrain": { "dataset": "d", "revision": "3", "exclude": [
                { "source": "crawl" }, { "window": { "start": "1", "end": "2" } }, { "rows": ["7", "9"] },
                { "value": { "column": "country", "value": "nowhere" } },
            ] } }),
            json!({ "fallback": { "mode": "rules", "digest": digest } }),
            json!({ "other": "version 1.3.2" }),
        ];
        json!({
            "format": 1, "installation": digest, "incident": "fraud-api:1", "number": 1, "strategy": "version",
            "parts": [{
                "service": "fraud-api", "environment": "production",
                "live": { "serving": [{
                    "version": { "version": "1.4.0", "digest": digest },
                    "place": "eu", "weight": 0.75, "proof": "answer",
                }] },
                "facets": [
                    { "facet": { "configuration": "limits" }, "state": { "in-force": { "revision": "c2", "digest": digest, "proof": "answer" } } },
                    { "facet": "fallback", "state": { "unknown": "timeout" } },
                ],
                "waves": [
                    { "moves": { "place": "eu" }, "pause": "300000" }, { "moves": { "share": 0.25 }, "pause": "60000" },
                    { "moves": "rest", "pause": "0" },
                ],
                "rungs": targets.map(|target| json!({ "target": target, "steps": step })),
            }, {
                "service": "fraud-batch", "environment": "production", "live": { "unknown": "timeout" }, "rungs": [],
            }],
            "policies": [{ "name": "two-key", "version": "0.1.0", "digest": digest }],
            "requested_by": [{ "person": "olga" }, { "policy": "p" }, { "webhook": "w" }, "schedule", { "other": "o" }],
            "preflighted": false, "drill": true, "leaving": "keep", "condemns_data": ["d@3"],
            "set": { "members": ["fraud-api", "fraud-batch"], "if_part_fails": "back" },
            "created_at": "1700000000000", "expires_at": "1700003600000",
        })
    }

    fn view(plan: Plan, digest: Digest, expires_at: Option<UnixMillis>) -> PlanView {
        let cause = "it declines good customers".to_owned();
        PlanView { plan, digest, expires_at, cause, tally: Vec::new(), waits_since: None, ranking: None }
    }

    fn shown(plan: Value) -> Text {
        let plan: Plan = serde_json::from_value(plan).expect("a plan");
        let expires_at = Some(plan.expires_at);
        text(&view(plan, Digest::of("the same for all"), expires_at))
    }

    /// Every place in the plan that holds a value and not other places.
    fn leaves(value: &Value, path: &str, found: &mut Vec<String>) {
        match value {
            Value::Array(values) => {
                values
                    .iter()
                    .enumerate()
                    .for_each(|(at, value)| leaves(value, &format!("{path}/{at}"), found));
            }
            Value::Object(fields) => {
                fields.iter().for_each(|(key, value)| leaves(value, &format!("{path}/{key}"), found));
            }
            _ => found.push(path.to_owned()),
        }
    }

    #[test]
    fn all_that_is_approved_is_shown() {
        insta::assert_snapshot!(shown(whole()).plain());
    }

    #[test]
    fn an_expiry_that_moved_is_shown_beside_the_one_that_is_signed() {
        let plan: Plan = serde_json::from_value(whole()).expect("a plan");
        let of = |later_ms| {
            let expires_at = Some(plan.expires_at + Millis(later_ms));
            text(&view(plan.clone(), Digest::of("plan"), expires_at)).plain()
        };
        let (stays, moved) = (of(0), of(7_200_000));
        assert!(!stays.contains("moved         to"), "{stays}");
        for line in ["expires       2023-11-14 23:13:20", "moved         to 2023-11-15 01:13:20"] {
            assert!(moved.contains(line), "`{line}`: {moved}");
        }
    }

    #[test]
    fn no_field_can_change_without_the_page() {
        let plan = whole();
        let before = shown(plan.clone());
        let mut found = Vec::new();
        leaves(&plan, "", &mut found);
        assert!(found.len() > 60, "{found:?}");
        for path in found {
            let mut other = plan.clone();
            let leaf = other.pointer_mut(&path).expect("a leaf");
            *leaf = match &*leaf {
                Value::Bool(is) => json!(!is),
                Value::Number(number) if number.is_f64() => json!(0.750001),
                Value::Number(number) => json!(number.as_u64().expect("whole") + 1),
                Value::String(text) if text.len() == 64 => json!(format!("{}c", &text[1..])),
                Value::String(text) if path.ends_with("/kind") => {
                    json!(if text == "shift" { "stage" } else { "shift" })
                }
                Value::String(_) if path.ends_with("/strategy") => json!("retrain"),
                Value::String(text) if path.ends_with("/leaving") => {
                    json!(if text == "keep" { "condemn" } else { "keep" })
                }
                Value::String(_) if path.ends_with("/if_part_fails") => json!("forward"),
                Value::String(_) if path.ends_with("/proof") => json!("digest"),
                Value::String(_) if path.ends_with("/leaving") => json!("condemn"),
                Value::String(text) if text == "fallback" => json!({ "configuration": "rules" }),
                Value::String(text) if text == "schedule" => json!({ "other": "schedule" }),
                Value::String(text) if text == "rest" => json!({ "place": "rest" }),
                Value::String(text) => match text.parse::<u64>() {
                    Ok(number) => json!((number + 1).to_string()),
                    Err(_) => json!(format!("{text}1")),
                },
                other => panic!("{path} is {other}"),
            };
            assert_ne!(shown(other), before, "{path}");
        }
        for (path, other) in [
            ("/strategy", json!({ "other": "version" })),
            ("/requested_by/0", json!({ "webhook": "olga" })),
            ("/requested_by/0", json!({ "person": "olga`, person `ada" })),
            ("/parts/0/rungs/0/target/version/digest", Value::Null),
            ("/parts/0/facets/0/facet", json!("fallback")),
            ("/parts/0/facets/0/state/in-force/digest", Value::Null),
            ("/parts/0/rungs/0/steps/0/arguments", json!([{ "name": "adapter=open", "value": "inference" }])),
        ] {
            let mut changed = plan.clone();
            *changed.pointer_mut(path).expect("a place") = other;
            assert_ne!(shown(changed), before, "{path}");
        }
    }

    #[test]
    fn nothing_that_others_wrote_gets_out_of_its_place() {
        let plan: Plan = serde_json::from_value(whole()).expect("a plan");
        for (name, by) in hostile::table() {
            let (plan, spoilt) = hostile::spoilt(&plan, &by);
            assert!(spoilt > 28, "{name}: {spoilt}");
            let text = text(&PlanView { cause: by.clone(), ..view(plan, Digest::of("plan"), None) });
            hostile::assert_harmless(&text, name);
            // All of it is there: what is signed is never cut.
            let long = text.plain().matches('p').count() > 200_000;
            assert_eq!(long, by.len() == 200_000, "{name}");
        }
    }

    #[test]
    fn a_forged_plan_within_the_plan_is_seen_and_said() {
        let mut plan = whole();
        assert!(!shown(plan.clone()).plain().contains("mislead"));
        plan["parts"][0]["environment"] =
            json!("x\u{1b}[2J\u{1b}[H\nplan 1 of fraud-api:1\n  digest  0000\u{202e}");
        plan["parts"][0]["rungs"][0]["steps"][0]["arguments"][0]["value"] =
            json!("p".repeat(10_000) + "the end");
        let shown = shown(plan).plain();
        assert!(
            shown.contains(r"in `x\u{1b}[2J\u{1b}[H\nplan 1 of fraud-api:1\n  digest  0000\u{202e}`"),
            "{shown}"
        );
        assert!(shown.contains("pppthe end"), "what is signed is never cut");
        let last = shown.trim_end().lines().last().expect("a line");
        assert!(last.starts_with("1 text of this plan would mislead"), "{last}");
    }
}
