//! Random configurations: modes, people, deadlines.

use ripcord_core::digest::Digest;
use ripcord_core::event::*;
use ripcord_core::live::Proof;
use ripcord_core::name::{PersonName, RoleName};
use ripcord_core::plan::Quorum;
use ripcord_core::policy::Role;
use ripcord_core::terms::{
    Breaker, Deadlines, EffectClass, EvidenceRule, KnownKey, KnownPerson, Mode, PolicyUse, PreflightRule,
    RequesterVote, Terms,
};
use ripcord_core::time::Millis;

use crate::dice::Dice;
use crate::facets;
use crate::outcomes::*;
use crate::producing;

pub(crate) fn quorums(dice: &mut Dice) -> Vec<Quorum> {
    match dice.below(3) {
        0 => vec![Quorum { role: RoleName::approver(), people: 1 + dice.below(2) as u32 }],
        _ => Vec::new(),
    }
}

/// Who may act: people come and go, with other roles and keys.
fn people(dice: &mut Dice) -> Vec<KnownPerson> {
    let mut people = Vec::new();
    for name in ["ada", "bob", "cleo"] {
        if dice.one_in(12) {
            continue;
        }
        let roles = dice.pick(&[
            vec![RoleName::approver()],
            vec![RoleName::approver(), RoleName::operator()],
            vec![RoleName::operator()],
        ]);
        let keys = dice.one_in(6).then(|| KnownKey::always(Digest::of("key"))).into_iter().collect();
        people.push(KnownPerson { name: PersonName::new(name).unwrap(), roles, keys });
    }
    people
}

pub(crate) fn configured(dice: &mut Dice) -> Event {
    let mut policies = Vec::new();
    for (role, most) in [(Role::Trigger, 2), (Role::Planner, 1), (Role::Approval, 2), (Role::Verification, 2)]
    {
        for index in 0..dice.below(most + 1) {
            let policy = policy(&format!("{role}-{index}"));
            policies.push(PolicyUse { role, policy, settings: Digest::of("settings") });
        }
    }
    let terms = Terms {
        mode: dice.pick(&[Mode::Observe, Mode::Ask, Mode::Act, Mode::Act]),
        environment: "test".into(),
        deployer: dice.pick(&[
            EffectClass::Idempotent,
            EffectClass::Conditional,
            EffectClass::Observable,
            EffectClass::Blind,
        ]),
        equipment: Digest::of(dice.pick(&["deployer", "deployer", "deployer", "another"])),
        facets: facets::terms(dice),
        waves: Vec::new(),
        producer: producing::terms(dice),
        proof_min: Proof::Answer,
        people: people(dice),
        floor: quorums(dice),
        requester_vote: dice.pick(&[RequesterVote::AloneOnly, RequesterVote::Counts]),
        veto: dice.pick(&[Vec::new(), vec![RoleName::operator()]]),
        authors: dice.pick(&[Vec::new(), Vec::new(), vec![PersonName::new("bob").unwrap()]]),
        break_glass: dice.pick(&[Vec::new(), vec![RoleName::operator()]]),
        evidence: dice.pick(&[EvidenceRule::BestEffort, EvidenceRule::Required]),
        preflight: dice.pick(&[PreflightRule::BestEffort, PreflightRule::Required, PreflightRule::Off]),
        fingerprint: dice.one_in(2).then(|| "golden".to_owned()),
        breaker: Breaker::default(),
        deadlines: Deadlines::default(),
        trials_max: 10,
        schedule: dice.one_in(3).then(|| Millis::minutes(1)),
        policies,
    };
    let digest = Digest::of(format!("{terms:?}"));
    Event::Configured(Configured { terms, configuration: blob(), digest, host_version: "0.1.0".into() })
}
