//! What is read and what is refused.

use ripcord_core::ratio::Ratio;
use ripcord_core::role::{NoHelp, SUSPECTS_MAX, Suspected};

use super::super::bindings::exports::ripcord::policy::planner;
use super::planned::suspects;
use super::*;

const RULES: Rules = Rules { now: 1_000, text_bytes_max: 10 };

fn version(name: &str, digest: Option<&str>) -> types::Target {
    types::Target::Version(types::VersionTarget { version: name.into(), digest: digest.map(Into::into) })
}

fn refused<G, T: FromGuest<G> + std::fmt::Debug>(guest: G, expected: &str) {
    let Bad(reason) = T::from_guest(guest, &RULES).expect_err("refused");
    assert!(reason.contains(expected), "{reason}");
}

#[test]
fn a_ladder_holds_targets_that_can_be() {
    let choose = |ladder| {
        let strategy = types::Strategy::Version;
        planner::Verdict::Choose(planner::Choice { strategy, ladder, refused: vec![], confidence: None })
    };
    let digest = Digest::of("a").to_string();
    let good = choose(vec![version("1.3.2", Some(&digest)), types::Target::Fallback("rules".into())]);
    let PlannerVerdict::Choose(choice) = PlannerVerdict::from_guest(good, &RULES).expect("reads") else {
        panic!("another verdict")
    };
    assert_eq!(choice.ladder[0].to_string(), format!("version 1.3.2 (sha256 {})", &digest[..12]));
    assert_eq!(
        choice.ladder[1],
        Target::Fallback(FallbackTarget { mode: "rules".parse().expect("a name"), digest: None })
    );
    refused::<_, PlannerVerdict>(choose(vec![]), "the verdict for that is nothing-suitable");
    refused::<_, PlannerVerdict>(choose(vec![version("../1", None)]), "`../1` is not a version");
    refused::<_, PlannerVerdict>(choose(vec![version("1", Some("ABC"))]), "`ABC` is not a sha-256 digest");
    for name in ["", "a\nb", &"x".repeat(501)] {
        refused::<_, PlannerVerdict>(
            choose(vec![types::Target::Fallback(name.into())]),
            "name of a fallback",
        );
    }
    let exclude = vec![types::Exclusion::Window(types::Window { start: 2, end: 1 })];
    let retrain = types::RetrainTarget { dataset: "d".into(), revision: "r".into(), exclude };
    refused::<_, PlannerVerdict>(
        choose(vec![types::Target::Retrain(retrain)]),
        "starts at 2 ms and ends before",
    );
}

#[test]
fn how_sure_a_planner_is_is_a_ratio() {
    let sure = |confidence| {
        planner::Verdict::Choose(planner::Choice {
            strategy: types::Strategy::Version,
            ladder: vec![version("1", None)],
            refused: vec![],
            confidence,
        })
    };
    let PlannerVerdict::Choose(choice) = PlannerVerdict::from_guest(sure(Some(0.7)), &RULES).expect("reads")
    else {
        panic!("another verdict")
    };
    assert_eq!(choice.confidence.map(Ratio::get), Some(0.7));
    for bad in [f64::NAN, -0.1, 1.1] {
        refused::<_, PlannerVerdict>(sure(Some(bad)), "how sure it is:");
    }
}

#[test]
fn suspects_are_read_with_their_rank_and_more_than_people_read_are_refused() {
    let suspect = |facet, score| planner::Suspect {
        change: facts::Change {
            facet,
            was: vec!["c40".into()],
            became: vec!["c41".into()],
            at: 5,
            not_before: Some(4),
            by: Some("ada".into()),
            noticed: "history".into(),
            verified_at: None,
            place: None,
            touches: Vec::new(),
        },
        score,
        reasons: vec!["x".repeat(20)],
    };
    let limits = || types::Facet::Configuration("limits".into());
    let read =
        suspects(vec![suspect(limits(), 0.9), suspect(types::Facet::Other("data".into()), 0.1)], &RULES);
    let read = read.expect("reads");
    assert_eq!(read[0].what.to_string(), "configuration limits");
    assert_eq!((read[0].score.get(), read[0].became[0].as_str()), (0.9, "c41"));
    assert_eq!(read[0].reasons, ["xxxxxxx…"]);
    assert_eq!(read[1].what, Suspected::Other("data".into()));
    let refused = |given: Vec<planner::Suspect>, expected: &str| {
        let Bad(reason) = suspects(given, &RULES).expect_err("bad");
        assert!(reason.contains(expected), "{reason}");
    };
    refused(vec![suspect(limits(), f64::NAN)], "the score of a suspect");
    refused(vec![suspect(types::Facet::Configuration("a b".into()), 0.5)], "the name of a configuration");
    let many = |number| vec![suspect(limits(), 0.01); number];
    assert_eq!(suspects(many(SUSPECTS_MAX), &RULES).expect("reads").len(), SUSPECTS_MAX);
    refused(many(SUSPECTS_MAX + 1), "names 65 suspects");
}

#[test]
fn who_can_help_is_read_with_the_reason_why_going_back_does_not() {
    let no_help =
        planner::NoHelp { reason: "a long holiday".into(), hand_over_to: Some("the fraud team".into()) };
    let expected = NoHelp { reason: "a long …".into(), hand_over_to: Some("the fra…".into()) };
    let read = PlannerVerdict::from_guest(planner::Verdict::WillNotHelp(no_help), &RULES).expect("reads");
    assert_eq!(read, PlannerVerdict::WillNotHelp(expected));
}

#[test]
fn refusals_are_read_and_cut() {
    let refusal = planner::Refusal { target: version("1", None), reason: "x".repeat(20) };
    let verdict = planner::Verdict::NothingSuitable(vec![refusal]);
    let PlannerVerdict::NothingSuitable(refused) =
        PlannerVerdict::from_guest(verdict, &RULES).expect("reads")
    else {
        panic!("another verdict")
    };
    assert_eq!(refused[0].reason, "xxxxxxx…");
}

#[test]
fn a_requirement_names_roles() {
    let waiting = |role: &str| {
        approval::Verdict::Waiting(approval::Requirement {
            quorums: vec![approval::Quorum { role: role.into(), people: 2 }],
            expires_at: 5_000,
            escalate_to: Some("oncall".into()),
            escalate_at: Some(3_000),
        })
    };
    let expected = ApprovalVerdict::Waiting(Requirement {
        quorums: vec![Quorum { role: RoleName::new("approver").expect("name"), people: 2 }],
        expires_at: UnixMillis(5_000),
        escalate_to: Some("oncall".into()),
        escalate_at: Some(UnixMillis(3_000)),
    });
    assert_eq!(ApprovalVerdict::from_guest(waiting("approver"), &RULES).expect("reads"), expected);
    refused::<_, ApprovalVerdict>(waiting("two keys"), "`two keys` is not a role");
}

#[test]
fn the_answer_s_verdict_is_the_guest_s() {
    let verdict = |verdict| {
        let finding = |check: &str, passed| types::Finding {
            check: check.into(),
            passed,
            observed: "seen".into(),
            expected: "wanted".into(),
        };
        let findings = vec![finding("rate", true), finding("gap", false)];
        words::Answer::Verification(verification::Answer { verdict, findings, notes: vec![], memo: vec![7] })
    };
    let read = |guest| Answer::from_guest(guest, &RULES).expect("reads");
    for (guest, expected) in [
        (verification::Verdict::Healthy, VerificationVerdict::Healthy),
        (verification::Verdict::Unhealthy, VerificationVerdict::Unhealthy),
        (verification::Verdict::Inconclusive(1_001), VerificationVerdict::Inconclusive(UnixMillis(1_001))),
    ] {
        let answer = read(verdict(guest));
        let Verdict::Verification(got, findings) = answer.verdict else { panic!("another role") };
        assert_eq!((got, answer.memo), (expected, vec![7]));
        assert_eq!([findings[0].passed, findings[1].passed], [true, false]);
        assert_eq!((findings[0].observed.as_str(), findings[0].expected.as_str()), ("seen", "wanted"));
    }
    refused::<_, Answer>(verdict(verification::Verdict::Inconclusive(1_000)), "not after the decision's own");
    for (guest, expected) in [
        (approval::Verdict::Granted, ApprovalVerdict::Granted),
        (approval::Verdict::Refused("no".into()), ApprovalVerdict::Refused("no".into())),
    ] {
        let answer = words::Answer::Approval(approval::Answer { verdict: guest, notes: vec![] });
        assert_eq!(read(answer).verdict, Verdict::Approval(expected));
    }
}

#[test]
fn a_proposal_keeps_strategy_and_urgency() {
    let proposal =
        |strategy, urgency| types::Proposal { cause: "c".into(), strategy, urgency, harm_began_at: Some(9) };
    let check = |strategy, urgency, expected: (Strategy, Urgency)| {
        let read = Proposal::from_guest(proposal(strategy, urgency), &RULES).expect("reads");
        assert_eq!((read.strategy, read.urgency), expected);
        assert_eq!(read.harm_began_at, Some(UnixMillis(9)));
    };
    check(types::Strategy::Version, types::Urgency::Routine, (Strategy::Version, Urgency::Routine));
    check(types::Strategy::Checkpoint, types::Urgency::Urgent, (Strategy::Checkpoint, Urgency::Urgent));
    check(
        types::Strategy::Configuration,
        types::Urgency::Emergency,
        (Strategy::Configuration, Urgency::Emergency),
    );
    let other = |name: &str| (types::Urgency::Other(name.into()), Urgency::Other(name.into()));
    check(types::Strategy::Retrain, other("soon").0, (Strategy::Retrain, other("soon").1));
    check(types::Strategy::Fallback, other("soon").0, (Strategy::Fallback, other("soon").1));
}

#[test]
fn a_request_keeps_its_kind() {
    let of_version = || types::VersionTarget { version: "1".into(), digest: None };
    let window = || types::Window { start: 1, end: 2 };
    let all = [
        facts::Request::Metric(facts::MetricQuery { source: None, query: "q".into(), at: None }),
        facts::Request::MetricRange(facts::RangeQuery {
            source: None,
            query: "q".into(),
            window: window(),
            step: 1,
        }),
        facts::Request::Versions(1),
        facts::Request::Live,
        facts::Request::Checkpoints(facts::CheckpointsQuery { run: None, limit: 1 }),
        facts::Request::Configurations(1),
        facts::Request::Lineage(of_version()),
        facts::Request::Golden(facts::GoldenQuery {
            dataset: "d".into(),
            candidate: None,
            detail: facts::Detail::Rows,
        }),
        facts::Request::Captured(1),
        facts::Request::Recheck(facts::RecheckQuery {
            candidate: None,
            limit: 1,
            detail: facts::Detail::Summary,
        }),
        facts::Request::History(window()),
        facts::Request::Votes,
    ];
    for request in all {
        let read = Request::from_guest(request.clone(), &RULES).expect("reads");
        assert_eq!(super::super::to_guest::ToGuest::to_guest(&read), request, "there and back");
    }
}
