//! The host's words as a guest of version 0.1.0 reads them. A record keeps them in this form, so a change here is a change of the contract.

#![allow(clippy::panic, reason = "a test says what it found")]

use crate::kit::{ALL_KINDS, Guest, limits, question, sandbox};
use ripcord_core::digest::Digest;
use ripcord_core::facet::{Facet, FacetRead, FacetState, InForce};
use ripcord_core::fact::{
    Candidate, Change, Changed, Checkpoint, CheckpointsQuery, Configuration, Dataset, Detail, Exchange, Fact,
    Fares, GoldenQuery, Lineage, Live, Measure, MetricQuery, Neighbour, Noticed, Outcome, PastIncident,
    Payload, Point, Quantiles, RangeQuery, RecheckQuery, Request, Row, Sample, Series, Slice, Tensor, Trial,
    Unavailable, UnavailableReason, Value, VerifiedIn,
};
use ripcord_core::live::{LiveState, Proof, Share};
use ripcord_core::name::{IncidentId, PersonName, PolicyName, RoleName, ServiceName, VersionName};
use ripcord_core::plan::{PLAN_FORMAT, Part, Plan, PlannedStep, Rung, StepKind, Vote, VoteKind};
use ripcord_core::policy::PolicyRef;
use ripcord_core::ratio::Ratio;
use ripcord_core::role::{
    ApprovalInput, Finding, Memo, PlannerInput, PreflightSubject, PromotionSubject, Proposal, Question,
    RollbackSubject, Subject, TriggerInput, Urgency, VerificationInput, WaveSubject,
};
use ripcord_core::signal::{Label, Origin};
use ripcord_core::standing::Standing;
use ripcord_core::target::{
    CheckpointTarget, ColumnValue, ConfigurationTarget, Exclusion, FallbackTarget, RetrainTarget, Strategy,
    Target, VersionTarget, Window,
};
use ripcord_core::time::{Millis, UnixMillis};
use ripcord_core::wave::{Moves, WaveOf};
use ripcord_sandbox::Recording;

/// What a guest is given with this question: the record of a decision that is not even begun.
fn given(question: &Question) -> serde_json::Value {
    let policy = sandbox().load(&Guest::default().component()).expect("loads");
    let recording = policy.begin(question, &ALL_KINDS, &limits()).finish().expect("records");
    Recording::read(&recording).expect("reads").question
}

fn name<T: std::str::FromStr>(text: &str) -> T {
    text.parse().ok().expect("a name")
}

fn version(name: &str) -> VersionTarget {
    VersionTarget {
        version: VersionName::new(name).expect("name"),
        digest: Some(Digest::from_bytes([0xab; 32])),
    }
}

fn configuration() -> ConfigurationTarget {
    ConfigurationTarget { name: name("limits"), revision: name("r7"), digest: None }
}

fn facets() -> Vec<FacetRead<String>> {
    let known = InForce { revision: name("r7"), digest: Some(Digest::of("c")), proof: Proof::Answer };
    vec![
        FacetRead { facet: Facet::Configuration(name("limits")), state: FacetState::InForce(known) },
        FacetRead { facet: Facet::Fallback, state: FacetState::Unknown("down".into()) },
    ]
}

fn share(proof: Proof) -> Share {
    Share { version: version("1"), place: "eu".into(), weight: Ratio::new(0.25).expect("ratio"), proof }
}

fn labels() -> Vec<Label> {
    vec![Label::new("name", "value")]
}

fn window() -> Window {
    Window { start: UnixMillis(1), end: UnixMillis(2) }
}

fn input() -> TriggerInput {
    let Question::Trigger(mut input) = question() else { panic!("a trigger's") };
    input.context.incident = Some(IncidentId::new("fraud-api:7").expect("id"));
    input.context.memo = Some(Memo { written_by: "0.9.0".into(), bytes: vec![1, 2] });
    input
}

fn proposal() -> Proposal {
    Proposal {
        cause: "errors".into(),
        strategy: Strategy::Other("spell".into()),
        urgency: Urgency::Emergency,
        harm_began_at: Some(UnixMillis(3)),
    }
}

fn plan() -> Plan {
    let steps = StepKind::ALL
        .map(|kind| PlannedStep { kind, arguments: labels(), request: None, wave: None })
        .to_vec();
    Plan {
        format: PLAN_FORMAT,
        installation: Digest::from_bytes([1; 32]),
        incident: IncidentId::new("fraud-api:7").expect("id"),
        number: 2,
        strategy: Strategy::Version,
        parts: vec![Part {
            service: ServiceName::new("fraud-api").expect("name"),
            environment: "production".into(),
            live: LiveState::Serving(vec![share(Proof::Digest)]),
            facets: facets(),
            waves: Vec::new(),
            rungs: vec![Rung { target: Target::Version(version("1")), steps }],
        }],
        policies: vec![PolicyRef {
            name: PolicyName::new("p").expect("name"),
            version: "1.0.0".into(),
            digest: Digest::from_bytes([2; 32]),
        }],
        requested_by: vec![
            Origin::Webhook("w".into()),
            Origin::Schedule,
            Origin::Person("ada".into()),
            Origin::Policy("p".into()),
            Origin::Other("o".into()),
        ],
        preflighted: true,
        drill: false,
        leaving: ripcord_core::plan::Leaving::Condemn,
        condemns_data: Vec::new(),
        set: None,
        created_at: UnixMillis(4),
        expires_at: UnixMillis(u64::MAX),
    }
}

fn targets() -> Vec<Target> {
    let exclude = vec![
        Exclusion::Source("s".into()),
        Exclusion::Window(window()),
        Exclusion::Rows(vec!["row".into()]),
        Exclusion::Value(ColumnValue { column: "c".into(), value: "v".into() }),
    ];
    vec![
        Target::Version(version("1")),
        Target::Checkpoint(CheckpointTarget { run: "run".into(), step: 9, digest: None }),
        Target::Configuration(configuration()),
        Target::Retrain(RetrainTarget { dataset: "d".into(), revision: "r".into(), exclude }),
        Target::Fallback(FallbackTarget { mode: name("rules"), digest: None }),
        Target::Other("o".into()),
    ]
}

fn trial() -> Trial {
    let latency_ms = Quantiles { p50: 1.0, p90: 2.0, p99: 3.0, max: 4.0 };
    let measures = vec![Measure { name: "accuracy".into(), value: 0.5 }];
    let row =
        |output| Row { id: "1".into(), slices: vec!["a=b".into()], expected: None, output, latency_ms: 5.0 };
    Trial {
        slices: vec![Slice { name: String::new(), rows: 6, errors: 1, measures, latency_ms }],
        rows: vec![row(Ok(Payload::Text("t".into()))), row(Err("no answer".into()))],
        answered_by: [Proof::Digest, Proof::Answer, Proof::Fingerprint, Proof::ControlPlane]
            .map(share)
            .to_vec(),
        started_at: UnixMillis(7),
    }
}

fn candidates() -> Value {
    let standings = [
        Standing::Unproven,
        Standing::Attested,
        Standing::KnownGood,
        Standing::Expired,
        Standing::Condemned,
        Standing::Held,
        Standing::Retired,
        Standing::Other("o".into()),
    ];
    let candidate = |standing| Candidate {
        version: version("1"),
        created_at: UnixMillis(1),
        aliases: vec!["champion".into()],
        tags: labels(),
        measures: vec![],
        standing,
        verified_at: Some(UnixMillis(2)),
        expires_at: Some(UnixMillis(3)),
        verified_in: vec![VerifiedIn {
            service: ServiceName::new("fraud-staging").expect("a name"),
            environment: "staging".into(),
            at: UnixMillis(4),
        }],
        condemned_by: vec![IncidentId::new("fraud-api:1").expect("id")],
        signature: Some("s".into()),
        runtime: Some("r".into()),
        restorable: true,
    };
    Value::Versions(standings.map(candidate).to_vec())
}

fn history() -> Value {
    let outcomes = [
        Outcome::Open,
        Outcome::RolledBack,
        Outcome::FellBack,
        Outcome::RestoredElsewhere,
        Outcome::StoodDown,
        Outcome::Dismissed,
        Outcome::Refused,
        Outcome::Expired,
        Outcome::Aborted,
        Outcome::Observed,
        Outcome::NotHelped,
        Outcome::SettledByPerson,
        Outcome::Producing,
        Outcome::Other("o".into()),
    ];
    let incident = |outcome| PastIncident {
        id: IncidentId::new("fraud-api:1").expect("id"),
        opened_at: UnixMillis(1),
        settled_at: Some(UnixMillis(2)),
        strategy: Some(Strategy::Fallback),
        outcome,
        target: Some(Target::Version(version("1"))),
    };
    Value::History(outcomes.map(incident).to_vec())
}

fn exchanges() -> Value {
    let tensor = Tensor { datatype: "FP64".into(), shape: vec![2], data: vec![0.5, -1.0] };
    let payloads = [
        Payload::Tensors(vec![tensor]),
        Payload::Classes(vec!["yes".into()]),
        Payload::Text("t".into()),
        Payload::Bytes(vec![9]),
        Payload::Json("{}".into()),
    ];
    let exchange = |input: Payload| Exchange {
        id: "1".into(),
        at: UnixMillis(1),
        input,
        output: Payload::Text("out".into()),
        labels: labels(),
    };
    Value::Captured(payloads.map(exchange).to_vec())
}

fn votes() -> Value {
    let kinds = [VoteKind::Signature, VoteKind::Session, VoteKind::BreakGlass, VoteKind::Other("o".into())];
    let vote = |kind| Vote {
        key: None,
        person: PersonName::new("ada").expect("name"),
        roles: vec![RoleName::new("approver").expect("name")],
        granted: true,
        at: UnixMillis(1),
        kind,
    };
    Value::Votes(kinds.map(vote).to_vec())
}

/// A fact of every kind.
fn facts() -> Vec<Fact> {
    let query = || "up".to_owned();
    let answered = [
        (
            Request::Metric(MetricQuery {
                source: Some("s".into()),
                query: query(),
                at: Some(UnixMillis(1)),
            }),
            Value::Metric(vec![Sample { labels: labels(), value: 0.5, at: UnixMillis(1) }]),
        ),
        (
            Request::MetricRange(RangeQuery {
                source: None,
                query: query(),
                window: window(),
                step: Millis(1),
            }),
            Value::MetricRange(vec![Series {
                labels: labels(),
                points: vec![Point { at: UnixMillis(1), value: 0.5 }],
            }]),
        ),
        (Request::Versions(5), candidates()),
        (
            Request::Live,
            Value::Live(Live {
                state: LiveState::Unknown("down".into()),
                facets: facets(),
                since: Some(UnixMillis(1)),
                observed_at: UnixMillis(2),
            }),
        ),
        (
            Request::Checkpoints(CheckpointsQuery { run: Some("run".into()), limit: 3 }),
            Value::Checkpoints(vec![Checkpoint {
                run: "run".into(),
                step: 9,
                at: UnixMillis(1),
                digest: None,
                measures: vec![],
            }]),
        ),
        (
            Request::Configurations(4),
            Value::Configurations(vec![Configuration {
                target: configuration(),
                at: Some(UnixMillis(1)),
                author: Some("ada".into()),
                summary: "threshold".into(),
                standing: Standing::KnownGood,
                verified_at: Some(UnixMillis(1)),
                condemned_by: vec![name("fraud-api:1")],
                restorable: true,
            }]),
        ),
        (
            Request::Changes(window()),
            Value::Changes(vec![Change {
                what: Changed::Facet(Facet::Configuration(name("limits"))),
                was: vec![name("r6")],
                became: vec![name("r7")],
                at: UnixMillis(1),
                not_before: Some(UnixMillis(1)),
                by: Some("ada".into()),
                noticed: Noticed::History,
                verified_at: Some(UnixMillis(1)),
                place: Some("eu".into()),
                touches: vec!["spam".parse().expect("a name")],
            }]),
        ),
        (
            Request::Fleet,
            Value::Fleet(vec![Neighbour {
                service: "spam".parse().expect("a name"),
                environment: "production".into(),
                fares: Fares::Harmed,
                harmed_since: Some(UnixMillis(1)),
            }]),
        ),
        (
            Request::Lineage(version("1")),
            Value::Lineage(Lineage {
                code: Some("c".into()),
                run: Some("u".into()),
                source: Some("s".into()),
                parameters: labels(),
                dataset: Some("d".into()),
                dataset_revision: Some("r".into()),
                datasets: vec![Dataset {
                    name: "d".into(),
                    revision: Some("r".into()),
                    context: Some("training".into()),
                }],
                parent: Some(version("0")),
            }),
        ),
        (
            Request::Golden(GoldenQuery {
                dataset: "g".into(),
                candidate: Some(version("1")),
                detail: Detail::Rows,
            }),
            Value::Golden(trial()),
        ),
        (Request::Captured(6), exchanges()),
        (
            Request::Recheck(RecheckQuery { candidate: None, limit: 7, detail: Detail::Summary }),
            Value::Recheck(trial()),
        ),
        (Request::History(window()), history()),
        (Request::Votes, votes()),
    ];
    let fact = |request, value| Fact {
        id: "f".into(),
        request,
        value,
        source: "adapter".into(),
        as_of: UnixMillis(8),
    };
    let reasons = [
        UnavailableReason::NoData,
        UnavailableReason::Failed,
        UnavailableReason::TimedOut,
        UnavailableReason::Denied,
        UnavailableReason::Unsupported,
        UnavailableReason::TooLarge,
        UnavailableReason::BadQuery,
        UnavailableReason::Redacted,
        UnavailableReason::NotRecorded,
        UnavailableReason::Other("o".into()),
    ];
    let missing = reasons.map(|reason| fact(Request::Live, Err(Unavailable::new(reason, "why"))));
    answered.map(|(request, value)| fact(request, Ok(value))).into_iter().chain(missing).collect()
}

#[test]
fn what_a_trigger_is_given() {
    let input = TriggerInput { facts: facts(), ..input() };
    insta::assert_json_snapshot!(given(&Question::Trigger(input)));
}

#[test]
fn what_a_planner_is_given() {
    let TriggerInput { context, .. } = input();
    let input =
        PlannerInput { context, signals: vec![], proposal: proposal(), tried: targets(), facts: vec![] };
    insta::assert_json_snapshot!(given(&Question::Planner(input)));
}

#[test]
fn what_an_approval_is_given() {
    let TriggerInput { context, .. } = input();
    let input = ApprovalInput {
        context,
        signals: vec![],
        proposal: proposal(),
        plan: plan(),
        plan_digest: plan().digest().expect("digest"),
        opened_at: UnixMillis(5),
        clock_jumped: Millis(9),
        facts: vec![],
    };
    insta::assert_json_snapshot!(given(&Question::Approval(input)));
}

#[test]
fn what_a_verification_is_given() {
    let TriggerInput { context, .. } = input();
    let finding = Finding { check: "rate".into(), passed: true, observed: "1".into(), expected: "2".into() };
    let before = facts().into_iter().take(1).collect();
    let plan = Plan { parts: vec![], policies: vec![], requested_by: vec![], ..plan() };
    let plan_digest = plan.digest().expect("digest");
    let rollback =
        RollbackSubject { proposal: proposal(), plan, plan_digest, rung: 1, shifted_at: UnixMillis(6) };
    let input = VerificationInput {
        context,
        subject: Subject::Rollback(rollback),
        signals: vec![],
        before,
        previous: vec![finding],
        facts: vec![],
    };
    insta::assert_json_snapshot!(given(&Question::Verification(input)));
}

#[test]
fn the_other_subjects_of_a_verification() {
    let subject = |subject: Subject| {
        let TriggerInput { context, .. } = input();
        let input = VerificationInput {
            context,
            subject,
            signals: vec![],
            before: vec![],
            previous: vec![],
            facts: vec![],
        };
        given(&Question::Verification(input))["verification"]["subject"].clone()
    };
    let plan = Plan { parts: vec![], policies: vec![], requested_by: vec![], ..plan() };
    let plan_digest = plan.digest().expect("digest");
    let preflight = PreflightSubject { proposal: proposal(), plan: plan.clone(), plan_digest, rung: 1 };
    let wave = |number, moves| {
        let (plan, wave) = (plan.clone(), WaveOf { number, of: 3, moves });
        WaveSubject { proposal: proposal(), plan, plan_digest, rung: 1, wave, shifted_at: UnixMillis(6) }
    };
    let waves = [
        wave(0, Moves::Place("eu".into())),
        wave(1, Moves::Share(Ratio::new(0.25).expect("ratio"))),
        wave(2, Moves::Rest),
    ];
    let version = |name: &str| VersionTarget { version: VersionName::new(name).expect("name"), digest: None };
    let promotion =
        PromotionSubject { version: version("2"), before: Some(version("1")), noticed_at: UnixMillis(7) };
    insta::assert_json_snapshot!([
        subject(Subject::Preflight(preflight)),
        subject(Subject::Promotion(promotion))
    ]);
    for (part, moved) in waves.into_iter().zip([
        serde_json::json!({ "Place": "eu" }),
        serde_json::json!({ "Share": 0.25 }),
        serde_json::json!("Rest"),
    ]) {
        let number = part.wave.number;
        let told = subject(Subject::Wave(part))["Wave"].clone();
        assert_eq!((&told["part"], &told["number"], &told["waves"]), (&moved, &number.into(), &3.into()));
        assert_eq!((&told["rung"], &told["shifted_at"]), (&1.into(), &6.into()));
    }
}
