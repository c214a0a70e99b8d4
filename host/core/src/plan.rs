//! The immutable thing that will be done, and the votes for it.

use serde::{Deserialize, Serialize};

use crate::canonical::{self, EncodeError};
use crate::data::DataRevision;
use crate::digest::Digest;
use crate::facet::FacetRead;
use crate::live::LiveState;
use crate::name::{IncidentId, PersonName, RoleName, ServiceName};
use crate::policy::PolicyRef;
use crate::request::PlannedRequest;
use crate::signal::{Label, Origin};
use crate::target::{Strategy, Target};
use crate::time::UnixMillis;
use crate::votes::Nonce;
use crate::wave::Wave;

/// The format that this release writes.
pub const PLAN_FORMAT: u32 = 1;

/// Targets of one plan. Nobody reads more before they agree to it.
pub const RUNGS_MAX: usize = 16;

/// What becomes of the versions that a rollback leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Leaving {
    /// They are condemned, and a hold keeps them out.
    #[default]
    Condemn,
    /// They keep their standing: somebody only tries another version.
    Keep,
}

impl Leaving {
    /// What every plan does that does not say otherwise.
    pub fn is_usual(&self) -> bool {
        *self == Self::Condemn
    }
}

/// What is done at one step of a rung.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StepKind {
    /// Fetch the artefact, check its digest, bring it where the deployer can reach it. Can be undone.
    Stage,
    /// Try the target beside what is live: signature, golden data, captured inputs. No traffic moves. Can be undone.
    Preflight,
    /// Take away what the preflight left beside what is live.
    ClearCandidate,
    /// Read live; go on only if it is what the plan expects.
    Guard,
    /// Set the target. The pivot.
    Shift,
    /// Read live until it is the target, everywhere.
    ReadBack,
    /// After the pause of a wave: look whether what it moved is still there, and ask the verification policies how it does.
    Look,
    /// Ask the verification policies.
    Verify,
    /// Have a producer make a version. Nothing is shifted: the version is put in place by a plan of its own.
    Produce,
    /// Have the registry's production name follow what was read back.
    MoveName,
    /// Write the holds on what was left to the registry, once the service is well.
    MarkHolds,
}

impl StepKind {
    /// All of them, in the order of a plan.
    pub const ALL: [Self; 11] = [
        Self::Stage,
        Self::Preflight,
        Self::ClearCandidate,
        Self::Guard,
        Self::Shift,
        Self::ReadBack,
        Self::Look,
        Self::MoveName,
        Self::Verify,
        Self::MarkHolds,
        Self::Produce,
    ];

    /// Whether its adapter sends a request that people have agreed to: the step is none without its digest.
    pub const fn sends(self) -> bool {
        matches!(self, Self::Shift | Self::Produce | Self::MoveName)
    }

    /// Whether each wave of a rung has one of its own.
    pub const fn is_of_wave(self) -> bool {
        matches!(self, Self::Guard | Self::Shift | Self::ReadBack | Self::Look)
    }

    /// The word of pages, records and policies.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Stage => "stage",
            Self::Preflight => "preflight",
            Self::ClearCandidate => "clear-candidate",
            Self::Guard => "guard",
            Self::Shift => "shift",
            Self::ReadBack => "read-back",
            Self::Look => "look",
            Self::Verify => "verify",
            Self::Produce => "produce",
            Self::MoveName => "move-name",
            Self::MarkHolds => "mark-holds",
        }
    }
}

/// One step with its arguments.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlannedStep {
    /// What is done.
    pub kind: StepKind,
    /// With what: adapter, address, model, deadline.
    pub arguments: Vec<Label>,
    /// What its adapter sends, for steps that send something: see [`StepKind::sends`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<PlannedRequest>,
    /// Of which wave, counted from zero; none of a rung that moves at once, and of steps that a rung has once: see [`StepKind::is_of_wave`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wave: Option<u32>,
}

/// One step as the journal knows it: what the machine may do, and no more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApprovedStep {
    /// What is done.
    pub kind: StepKind,
    /// Of what its adapter sends.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request: Option<Digest>,
    /// As in [`PlannedStep::wave`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wave: Option<u32>,
}

impl From<&PlannedStep> for ApprovedStep {
    fn from(step: &PlannedStep) -> Self {
        let request = step.request.as_ref().map(|request| request.digest);
        Self { kind: step.kind, request, wave: step.wave }
    }
}

/// One target and how it is reached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rung {
    /// Where to.
    pub target: Target,
    /// In order.
    pub steps: Vec<PlannedStep>,
}

/// What is done to one service.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// Which.
    pub service: ServiceName,
    /// Where, such as `production`.
    pub environment: String,
    /// As observed when the plan was made.
    pub live: LiveState,
    /// What was in force of the other facets then. A plan moves one facet, and the rest is to stay so.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub facets: Vec<FacetRead<String>>,
    /// What each rung is shifted in, the last wave included; none where it moves at once.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub waves: Vec<Wave>,
    /// Tried in order when verification fails.
    pub rungs: Vec<Rung>,
}

/// What is done where a part fails after others have moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum IfPartFails {
    /// What has moved goes back to what was live when it was enlisted, in the reverse order.
    #[default]
    Back,
    /// It stays, and people are asked: they name another target for what failed, or end the run.
    Forward,
}

impl IfPartFails {
    /// The word that the configuration uses.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Back => "back",
            Self::Forward => "forward",
        }
    }

    /// For people, after *if a part fails,*.
    pub const fn words(self) -> &'static str {
        match self {
            Self::Back => "what has moved goes back to what is live now, in the reverse order",
            Self::Forward => "what has moved stays, and people are asked",
        }
    }
}

/// What a plan does with the services of a set together.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SetMove {
    /// All of its members, also those that stay as they are, in the order in which they move.
    pub members: Vec<ServiceName>,
    /// What is done where a part fails: the second rung of each part is gone to then, and only then.
    pub if_part_fails: IfPartFails,
}

/// The immutable thing that will be done.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// See [`PLAN_FORMAT`].
    pub format: u32,
    /// Which installation may carry it out.
    pub installation: Digest,
    /// Of which incident.
    pub incident: IncidentId,
    /// One more than the incident's plan before.
    pub number: u32,
    /// How the service is brought back.
    pub strategy: Strategy,
    /// One per service, so that sets can move together.
    pub parts: Vec<Part>,
    /// All that had a say in it or will have.
    pub policies: Vec<PolicyRef>,
    /// Who asked for the rollback.
    pub requested_by: Vec<Origin>,
    /// Whether the steps to its versions have a preflight: each is tried beside what is live before it is shifted to. The plan is made before that, so
    /// this says what will be done, not how it went.
    pub preflighted: bool,
    /// A practice run.
    pub drill: bool,
    /// What becomes of what is left. Written only where it is not the usual.
    #[serde(default, skip_serializing_if = "Leaving::is_usual")]
    pub leaving: Leaving,
    /// Data revisions that are condemned once the version that was trained without some of their rows is in place and verified: what was trained on
    /// them is not gone back to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub condemns_data: Vec<DataRevision>,
    /// Of a set: its parts are carried out one after the other, each by its service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub set: Option<SetMove>,
    /// When it was made.
    pub created_at: UnixMillis,
    /// After this nothing of it is begun.
    pub expires_at: UnixMillis,
}

impl Plan {
    /// What approvals are given to: a domain tag with the format's number, and the RFC 8785 form.
    pub fn digest(&self) -> Result<Digest, EncodeError> {
        canonical::json_digest(&format!("ripcord plan {}", self.format), self)
    }

    /// The steps of each rung, for the journal.
    pub fn approved_steps(&self) -> Vec<Vec<ApprovedStep>> {
        self.parts.iter().flat_map(Part::approved_steps).collect()
    }

    /// What is done to `service`: it carries out this and nothing else of the plan.
    pub fn part_of(&self, service: &ServiceName) -> Option<&Part> {
        self.parts.iter().find(|part| part.service == *service)
    }
}

impl Part {
    /// The steps of each rung, for the journal.
    pub fn approved_steps(&self) -> Vec<Vec<ApprovedStep>> {
        self.rungs.iter().map(|rung| rung.steps.iter().map(ApprovedStep::from).collect()).collect()
    }
}

/// How a vote was given.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VoteKind {
    /// A signature over [`VoteStatement`], by a key of the person's own.
    Signature,
    /// An authenticated session.
    Session,
    /// In place of the quorum.
    BreakGlass,
    /// Something that a newer release knows.
    Other(String),
}

/// One person's word on a plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vote {
    /// Who.
    pub person: PersonName,
    /// Their roles at the time.
    pub roles: Vec<RoleName>,
    /// Approved or refused.
    pub granted: bool,
    /// When it was counted.
    pub at: UnixMillis,
    /// How it was given.
    pub kind: VoteKind,
    /// Of the public key that it was signed with; none where it was not signed.
    pub key: Option<Digest>,
}

/// Where something is done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Place {
    /// To which service.
    pub service: ServiceName,
    /// In which environment.
    pub environment: String,
}

/// What a person signs. It is worth nothing for another plan, incident, place or installation, and counts once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VoteStatement {
    /// Of which installation.
    pub installation: Digest,
    /// Of which incident.
    pub incident: IncidentId,
    /// Of each part of the plan.
    pub places: Vec<Place>,
    /// Who asked for what the plan does.
    pub requested_by: Vec<Origin>,
    /// See [`Plan::digest`].
    pub plan: Digest,
    /// Then the plan expires, and what is signed with it.
    pub expires_at: UnixMillis,
    /// Who signs.
    pub person: PersonName,
    /// Approved or refused.
    pub granted: bool,
    /// In place of floor and policies; signed for only where it is so.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub break_glass: bool,
    /// Drawn by whoever signs.
    pub nonce: Nonce,
}

/// What a person says to a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// Who.
    pub person: PersonName,
    /// Approved or refused.
    pub granted: bool,
    /// In place of floor and policies.
    pub break_glass: bool,
}

/// What the signed text begins with: no other text that is signed does.
const VOTE_TAG: &str = "ripcord vote 1\n";

impl VoteStatement {
    /// What is signed for `word` on the plan, asked for by `about`: an incident, or a run of a set, whose members carry out the same plan and ask for
    /// themselves.
    ///
    /// # Errors
    /// The plan has no canonical form.
    pub fn of(plan: &Plan, about: &IncidentId, word: Word, nonce: Nonce) -> Result<Self, EncodeError> {
        let place =
            |part: &Part| Place { service: part.service.clone(), environment: part.environment.clone() };
        // A member speaks for its own part, a run for all of them.
        let own = about.service().and_then(|service| plan.part_of(&service));
        let places = own.map_or_else(|| plan.parts.iter().map(place).collect(), |part| vec![place(part)]);
        let Word { person, granted, break_glass } = word;
        Ok(Self {
            installation: plan.installation,
            incident: about.clone(),
            places,
            requested_by: plan.requested_by.clone(),
            plan: plan.digest()?,
            expires_at: plan.expires_at,
            person,
            granted,
            break_glass,
            nonce,
        })
    }

    /// The text that is signed: a line with its tag, and the RFC 8785 form in a line of its own.
    ///
    /// # Errors
    /// It has no canonical form.
    pub fn signed_text(&self) -> Result<String, EncodeError> {
        let json = String::from_utf8_lossy(&canonical::json(self)?).into_owned();
        Ok(format!("{VOTE_TAG}{json}\n"))
    }

    /// What such a text says; none of any other text.
    pub fn of_signed_text(text: &str) -> Option<Self> {
        let json = text.strip_prefix(VOTE_TAG)?.strip_suffix('\n')?;
        let statement: Self = serde_json::from_str(json).ok()?;
        // Only the one form is signed.
        (statement.signed_text().ok()? == text).then_some(statement)
    }
}

/// So many distinct people of the role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quorum {
    /// The role they must have.
    pub role: RoleName,
    /// How many.
    pub people: u32,
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::name::{PolicyName, VersionName};
    use crate::target::VersionTarget;
    use crate::time::Millis;
    use crate::wave::Moves;

    pub(crate) fn sample() -> Plan {
        let target = Target::Version(VersionTarget {
            version: VersionName::new("1.3.2").expect("name"),
            digest: Some(Digest::of("artefact")),
        });
        Plan {
            format: PLAN_FORMAT,
            installation: Digest::of("installation"),
            incident: IncidentId::new("fraud-api:1").expect("id"),
            number: 1,
            strategy: Strategy::Version,
            parts: vec![Part {
                service: ServiceName::new("fraud-api").expect("name"),
                environment: "production".into(),
                live: LiveState::Unknown("timeout".into()),
                facets: Vec::new(),
                waves: Vec::new(),
                rungs: vec![Rung {
                    target,
                    steps: vec![PlannedStep {
                        kind: StepKind::Shift,
                        arguments: vec![],
                        request: Some(PlannedRequest {
                            words: "load it".into(),
                            digest: Digest::of("request"),
                        }),
                        wave: None,
                    }],
                }],
            }],
            policies: vec![PolicyRef {
                name: PolicyName::new("p").expect("name"),
                version: "1.0.0".into(),
                digest: Digest::of("p"),
            }],
            requested_by: vec![Origin::Person("ada".into())],
            preflighted: false,
            drill: false,
            leaving: Leaving::Condemn,
            condemns_data: Vec::new(),
            set: None,
            created_at: UnixMillis(1_000),
            expires_at: UnixMillis(u64::MAX),
        }
    }

    #[test]
    fn a_member_of_a_set_carries_out_its_own_part_alone() {
        let mut plan = sample();
        let mut other = plan.parts[0].clone();
        other.service = ServiceName::new("features").expect("name");
        other.rungs[0].steps.clear();
        plan.parts.insert(0, other);
        let fraud = ServiceName::new("fraud-api").expect("name");
        assert_eq!(plan.part_of(&fraud), plan.parts.get(1));
        assert_eq!(
            plan.part_of(&fraud).map(Part::approved_steps),
            Some(vec![plan.approved_steps()[1].clone()])
        );
        assert_eq!(plan.part_of(&ServiceName::new("stranger").expect("name")), None);
    }

    #[test]
    fn the_digest_is_frozen_and_covers_every_field() {
        let plan = sample();
        let digest = plan.digest().expect("digest");
        let json = String::from_utf8(canonical::json(&plan).expect("json")).expect("utf-8");
        assert!(json.contains("\"expires_at\":\"18446744073709551615\""), "{json}");
        assert_eq!(serde_json::from_str::<Plan>(&json).expect("reads back"), plan);
        let value: serde_json::Value = serde_json::from_str(&json).expect("json");
        for key in value.as_object().expect("object").keys() {
            let mut other = value.clone();
            other[key] = serde_json::Value::Null;
            assert_ne!(canonical::json_digest("ripcord plan 1", &other).expect("digest"), digest, "{key}");
        }
        assert_eq!(
            digest.to_string(),
            "d318bd739c4a6926f8b8cc72e8dc9e5ce42815f5624bb9f60a2ebfec827e0be8",
            "a change here breaks every signed plan"
        );
    }

    #[test]
    fn the_digest_covers_the_waves_and_whose_steps_they_are() {
        let digest = |plan: &Plan| plan.digest().expect("digest");
        let mut waved = sample();
        waved.parts[0].waves =
            vec![Wave { moves: Moves::Place("eu".into()), pause: Millis::minutes(5) }, Wave::REST];
        assert_ne!(digest(&waved), digest(&sample()));
        let json = String::from_utf8(canonical::json(&waved).expect("json")).expect("utf-8");
        assert_eq!(serde_json::from_str::<Plan>(&json).expect("reads back"), waved);
        for other in [
            Wave { moves: Moves::Place("us".into()), pause: Millis::minutes(5) },
            Wave { moves: Moves::Place("eu".into()), pause: Millis::minutes(6) },
        ] {
            let mut plan = waved.clone();
            plan.parts[0].waves[0] = other;
            assert_ne!(digest(&plan), digest(&waved));
        }
        let mut step = waved.clone();
        step.parts[0].rungs[0].steps[0].wave = Some(0);
        assert_ne!(digest(&step), digest(&waved));
    }

    fn statement() -> VoteStatement {
        let word = Word { person: PersonName::new("ada").expect("name"), granted: true, break_glass: false };
        VoteStatement::of(&sample(), &sample().incident, word, Nonce::of([7; 16])).expect("statement")
    }

    #[test]
    fn what_is_signed_reads_back_and_names_all_that_it_is_for() {
        let text = statement().signed_text().expect("text");
        assert!(text.starts_with("ripcord vote 1\n{") && text.ends_with("}\n"), "{text}");
        assert_eq!(VoteStatement::of_signed_text(&text), Some(statement()));
        for part in ["fraud-api:1", "\"environment\":\"production\"", "requested_by", &"07".repeat(16)] {
            assert!(text.contains(part), "{part}: {text}");
        }
        let digest = sample().digest().expect("digest").to_string();
        assert!(text.contains(&digest) && text.contains(&sample().installation.to_string()));
        for other in
            [text.trim_end().to_owned(), text.replace("\":", "\": "), text.replace("vote 1", "vote 2")]
        {
            assert_eq!(VoteStatement::of_signed_text(&other), None, "{other}");
        }
    }

    #[test]
    fn a_statement_is_another_one_for_anything_else() {
        let base = statement();
        let text = base.signed_text().expect("text");
        let others = [
            VoteStatement { installation: Digest::of("other"), ..base.clone() },
            VoteStatement { incident: IncidentId::new("fraud-api:2").expect("id"), ..base.clone() },
            VoteStatement { places: Vec::new(), ..base.clone() },
            VoteStatement { requested_by: Vec::new(), ..base.clone() },
            VoteStatement { plan: Digest::of("other"), ..base.clone() },
            VoteStatement { expires_at: UnixMillis(1), ..base.clone() },
            VoteStatement { person: PersonName::new("bob").expect("name"), ..base.clone() },
            VoteStatement { granted: false, ..base.clone() },
            VoteStatement { break_glass: true, ..base.clone() },
            VoteStatement { nonce: Nonce::of([8; 16]), ..base.clone() },
        ];
        for other in others {
            assert_ne!(other.signed_text().expect("text"), text, "{other:?}");
        }
    }
}
