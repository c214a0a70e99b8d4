//! A safe mode is entered, shown until it is left, and says nothing of the model that it stands in for.

use super::facet_stage::*;
use super::stage::{Stage, version};
use crate::effect::Effect;
use crate::event::*;
use crate::facet::Facet;
use crate::fact::Outcome;
use crate::name::VersionName;
use crate::service::Phase;
use crate::standing::Standing;

const RULES: Revisions = &[("thresholds", "c2"), ("prompt", "p1"), ("fallback", "rules")];

/// `4` is live and vouched for; the safe mode was entered by an incident.
fn fallen_back() -> Stage {
    let mut stage = service(BEFORE);
    stage.adopts("model", "4", None);
    stage.rolled_back(target("fallback", "rules"), BEFORE, RULES);
    stage
}

#[test]
fn a_safe_mode_is_entered_and_nothing_is_condemned() {
    let stage = fallen_back();
    assert_eq!(stage.outcome(), Outcome::FellBack);
    assert!(stage.0.holds.is_empty(), "{:#?}", stage.0.holds);
    assert_eq!(stage.standing("model", "4"), Standing::Attested, "nobody has judged the model");
    assert_eq!(stage.standing("fallback", "off"), Standing::Unproven);
    assert_eq!(stage.standing("fallback", "rules"), Standing::KnownGood, "it is what was found well");
    assert_eq!(stage.standing("thresholds", "c2"), Standing::Unproven);
}

#[test]
fn it_is_shown_until_it_is_left() {
    let mut stage = fallen_back();
    assert!(stage.0.production.falls_back());
    // What cannot be read is as it was.
    stage.watched("4", unreadable(in_force(RULES), "fallback"));
    assert!(stage.0.production.falls_back());
    stage.watched("4", Vec::new());
    assert!(stage.0.production.falls_back());
    stage.rolled_back(target("fallback", "off"), RULES, BEFORE);
    assert!(!stage.0.production.falls_back());
}

#[test]
fn leaving_it_is_a_rollback_that_condemns_neither_side() {
    let mut stage = fallen_back();
    stage.rolled_back(target("fallback", "off"), RULES, BEFORE);
    assert_eq!(stage.outcome(), Outcome::RolledBack);
    assert!(
        stage.0.holds.is_empty(),
        "it has done its work, and is there for the next harm: {:#?}",
        stage.0.holds
    );
    assert_eq!(stage.standing("fallback", "rules"), Standing::KnownGood);
    // The model answers again, and was found well.
    assert_eq!(stage.standing("model", "4"), Standing::KnownGood);
    // And it can be entered again.
    stage.rolled_back(target("fallback", "rules"), BEFORE, RULES);
    assert_eq!(stage.outcome(), Outcome::FellBack);
}

#[test]
fn from_one_safe_mode_to_another_the_first_is_condemned_and_the_model_is_not() {
    let mut stage = fallen_back();
    let constant: Revisions = &[("thresholds", "c2"), ("prompt", "p1"), ("fallback", "constant")];
    stage.rolled_back(target("fallback", "constant"), RULES, constant);
    assert_eq!(stage.standing("fallback", "rules"), Standing::Held);
    assert_eq!(stage.standing("model", "4"), Standing::Attested);
}

#[test]
fn while_a_safe_mode_answers_nothing_else_earns_known_good() {
    // A configuration, and a version, that are put back under it.
    for to in [target("thresholds", "c1"), version("1")] {
        let mut stage = fallen_back();
        let known = to.revision().unwrap();
        let after: Revisions = if known.facet == Facet::Model {
            RULES
        } else {
            &[("thresholds", "c1"), ("prompt", "p1"), ("fallback", "rules")]
        };
        stage.rolled_back(to, RULES, after);
        assert_eq!(stage.outcome(), Outcome::RolledBack);
        assert_eq!(stage.0.standing_of(&known, stage.0.at), Standing::Unproven, "{known}");
        assert_eq!(stage.standing("prompt", "p1"), Standing::Unproven);
        assert!(stage.0.combinations.is_empty());
    }
}

#[test]
fn while_a_safe_mode_answers_nothing_is_on_probation_and_after_it_everything_is() {
    let mut stage = service(BEFORE);
    stage.watched("5", in_force(BEFORE));
    assert_eq!(stage.0.probation.as_ref().unwrap().unproven, [revision("model", "5")]);
    stage.watched("5", in_force(RULES));
    assert_eq!(stage.0.probation, None, "nothing shows how it does");
    let moved: Revisions = &[("thresholds", "c3"), ("prompt", "p1"), ("fallback", "rules")];
    stage.watched("5", in_force(moved));
    assert_eq!(stage.0.probation, None);
    let left: Revisions = &[("thresholds", "c3"), ("prompt", "p1"), ("fallback", "off")];
    stage.watched("5", in_force(left));
    let unproven = &stage.0.probation.as_ref().unwrap().unproven;
    for waits in [revision("model", "5"), revision("thresholds", "c3")] {
        assert!(unproven.contains(&waits), "{waits} is not forgotten: {unproven:?}");
    }
    assert!(!unproven.iter().any(|revision| revision.facet == Facet::Fallback));
}

#[test]
fn a_safe_mode_that_the_first_look_at_the_fallback_shows_holds_a_probation_up_too() {
    let mut stage = service(&BEFORE[..2]);
    stage.watched("5", in_force(&BEFORE[..2]));
    assert!(stage.0.probation.is_some());
    stage.watched("5", in_force(RULES));
    assert_eq!(stage.0.probation, None);
    stage.watched("5", in_force(BEFORE));
    assert_eq!(stage.0.probation.as_ref().unwrap().unproven[0], revision("model", "5"));
}

#[test]
fn what_a_safe_mode_answers_is_no_fingerprint_of_the_version() {
    let taken = |stage: &mut Stage| {
        let (inputs, answers) = (crate::digest::Digest::of("inputs"), crate::digest::Digest::of("answers"));
        let word = FingerprintTaken::Taken(KnownFingerprint { inputs, answers });
        stage.tell(&Event::Fingerprinted(Fingerprinted { version: VersionName::new("4").unwrap(), word }));
    };
    let owed = |stage: &Stage| stage.0.owed().iter().any(|owed| matches!(owed, Effect::Fingerprint { .. }));
    let mut stage = Stage::new(|terms| {
        facets(terms);
        terms.fingerprint = Some("golden".into());
    });
    stage.watched("4", in_force(BEFORE));
    stage.adopts("model", "4", None);
    assert!(owed(&stage));
    stage.watched("4", in_force(RULES));
    assert!(!owed(&stage), "the rules would answer");
    let model = VersionName::new("4").unwrap();
    taken(&mut stage);
    assert_eq!(stage.0.fingerprint_of(&model), None, "they may have answered");
    stage.watched("4", in_force(BEFORE));
    assert!(owed(&stage), "it is still wanted");
    taken(&mut stage);
    assert!(stage.0.fingerprint_of(&model).is_some());
    // Under other thresholds the same version may answer otherwise.
    stage.watched("4", in_force(&[("thresholds", "c3"), ("prompt", "p1"), ("fallback", "off")]));
    assert_eq!(stage.0.fingerprint_of(&model), None);
}

#[test]
fn the_registrys_production_name_still_follows_the_version_beneath_a_safe_mode() {
    let mut stage = service(BEFORE);
    stage.pull("ada", "1");
    let Event::EvidencePreserved(preserved) = stage.preserved("4") else { panic!() };
    let in_production = InProduction::Version(VersionName::new("4").unwrap());
    let facets = in_force(BEFORE);
    stage.tell(&Event::EvidencePreserved(EvidencePreserved { facets, in_production, ..preserved }));
    stage.plan_to(&[version("1")], &in_force(BEFORE));
    stage.approve("bob");
    stage.approve("cleo");
    stage.staged();
    stage.guarded("4", in_force(BEFORE));
    stage.shift_done();
    stage.read_back("1", in_force(BEFORE));
    stage.judged(VerificationWord::Healthy);
    let pending = stage.0.promotion.clone();
    assert!(pending.is_some());
    stage.pull_to(target("fallback", "rules"));
    let Event::EvidencePreserved(preserved) = stage.preserved("1") else { panic!() };
    let facets = in_force(BEFORE);
    stage.tell(&Event::EvidencePreserved(EvidencePreserved { facets, ..preserved }));
    let drafted = PlanDrafted {
        live: super::stage::serving("1"),
        ..stage.draft_to(&[target("fallback", "rules")], &in_force(BEFORE))
    };
    let planned = stage.planned(PlanWord::Drafted(drafted));
    stage.tell(&Event::Planned(planned));
    stage.approve("bob");
    stage.approve("cleo");
    stage.staged();
    stage.guarded("1", in_force(BEFORE));
    stage.shift_done();
    stage.read_back("1", in_force(RULES));
    stage.judged(VerificationWord::Healthy);
    assert_eq!(stage.outcome(), Outcome::FellBack);
    assert_eq!(stage.0.promotion, pending, "`1` is what the name is to point at, whatever answers for it");
}

#[test]
fn a_fallback_that_is_configured_no_more_is_not_taken_to_be_on_for_ever() {
    let mut stage = fallen_back();
    stage.reconfigure(|terms| terms.facets.retain(|of| of.facet != Facet::Fallback));
    assert!(!stage.0.production.falls_back());
    assert_eq!(stage.0.production.facets.len(), 2);
    let told = stage.told().join("\n");
    assert!(told.contains("`rules`") && told.contains("no longer configured"), "{told}");
}

#[test]
fn where_the_planner_finds_nothing_people_are_told_what_else_can_be_put_back() {
    let needs = |mut stage: Stage| {
        stage.pull("ada", "3");
        let preserved = stage.preserved("4");
        stage.tell(&preserved);
        let planned = stage.planned(PlanWord::NothingSuitable(super::stage::blob()));
        stage.tell(&Event::Planned(planned));
        let Phase::NeedsPerson(need) = &stage.incident().phase else { panic!() };
        need.text.clone()
    };
    let told = needs(service(BEFORE));
    for command in [
        "--configuration thresholds=REVISION` puts that back, ",
        "--configuration prompt=REVISION` puts that back, ",
        "--fallback MODE` enters a safe mode, ",
    ] {
        assert!(told.contains(command), "`{command}`: {told}");
    }
    let model_alone = needs(Stage::new(|_| {}));
    assert!(!model_alone.contains("--configuration") && !model_alone.contains("--fallback"), "{model_alone}");
}

#[test]
fn where_going_back_does_not_help_people_are_told_who_can_and_a_safe_mode_is_offered() {
    let told = |mut stage: Stage| {
        stage.pull("ada", "3");
        let preserved = stage.preserved("4");
        stage.tell(&preserved);
        let (reason, who) = (super::stage::blob(), super::stage::blob());
        let planned = stage.planned(PlanWord::WillNotHelp { reason, hand_over_to: Some(who) });
        stage.tell(&Event::Planned(planned));
        assert_eq!(stage.outcome(), Outcome::NotHelped);
        let no_help = stage.0.last_settled.as_ref().and_then(|incident| incident.no_help);
        assert_eq!(no_help.map(|said| (said.reason, said.hand_over_to)), Some((reason, Some(who))));
        stage.told().join("\n")
    };
    let with_safe_mode = told(service(BEFORE));
    let offered = " --fallback MODE --reason TEXT` enters a safe mode, which keeps the harm away";
    assert!(with_safe_mode.contains(offered), "{with_safe_mode}");
    assert!(with_safe_mode.contains("says why and who can help"), "{with_safe_mode}");
    let mut without = service(BEFORE);
    without.reconfigure(|terms| terms.facets.retain(|of| of.facet != Facet::Fallback));
    let without = told(without);
    assert!(without.contains("would not help") && !without.contains("safe mode"), "{without}");
}
