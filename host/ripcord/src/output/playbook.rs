//! A service as its playbook: what would be done, by which rules and people, written down from the configuration in force before it is needed.

use ripcord_core::name::RoleName;
use ripcord_core::plan::Quorum;
use ripcord_core::policy::Role;
use ripcord_core::terms::{EvidenceRule, Mode, PreflightRule, RequesterVote};
use ripcord_core::time::Millis;
use serde_json::Value;

use super::document::Document;
use super::plan::wave;
use crate::config::{Config, PlacedConfig, ServiceConfig};

/// A longer setting is cut, and says so.
const SETTING_CHARS_MAX: usize = 400;

/// The playbook of a service.
pub fn playbook(config: &Config, service: &ServiceConfig) -> Document {
    let mut document = Document::new(format!("Playbook of `{}`", service.name));
    document.paragraph(
        "Made from the configuration in force. Whoever changes that has it written anew: where two of them differ, rules differ.",
    );
    protected(&mut document, service);
    alarm(&mut document, config, service);
    forensics(&mut document, service);
    way_back(&mut document, service);
    authority(&mut document, config, service);
    verification(&mut document, service);
    told(&mut document, config);
    practice(&mut document, service);
    document
}

fn protected(document: &mut Document, service: &ServiceConfig) {
    document.heading("What is protected");
    let row = |name: &str, value: String| [name.to_owned(), value];
    let mut rows = vec![
        row("model", format!("`{}`, in `{}`", service.facts.model, service.facts.environment)),
        row("harm of a wrong answer", format!("{:?}", service.facts.criticality).to_lowercase()),
        row("versions are kept in", kind(service.registry.settings.adapter().kind())),
        row("it is served by", kind(service.deployer.settings.adapter().kind())),
    ];
    if let Some(endpoint) = &service.endpoint {
        rows.push(row("it answers at", kind(endpoint.settings.adapter().kind())));
    }
    rows.extend(service.restorers.iter().map(|restorer| {
        row(&format!("also restored: {}", restorer.facet), kind(restorer.adapter.settings.adapter().kind()))
    }));
    if let Some(producer) = &service.producer {
        rows.push(row("new versions are made by", kind(producer.adapter.settings.adapter().kind())));
    }
    document.table(["", ""], rows);
}

fn alarm(document: &mut Document, config: &Config, service: &ServiceConfig) {
    document.heading("What raises the alarm");
    let triggers = rules(document, service, Role::Trigger);
    if !triggers {
        document.paragraph("No trigger: a rollback begins when somebody pulls.");
    }
    document.table(
        ["alerts from", "of the kind", "with these labels"],
        config.sources.iter().flat_map(|source| {
            let own = source.routes.iter().filter(|route| route.service == service.name);
            own.map(|route| {
                let labels = route.labels.iter().map(|label| format!("`{}={}`", label.name, label.value));
                [
                    source.name.to_string(),
                    source.adapter.settings.adapter().kind().to_owned(),
                    labels.collect::<Vec<_>>().join(", "),
                ]
            })
        }),
    );
    let mut said = Vec::new();
    if let Some(every) = service.schedule {
        said.push(format!("Triggers are asked every {every}, also without an alert."));
    }
    said.push(format!(
        "By hand: `ripcord pull {} --reason TEXT`, by {}.",
        service.name,
        roles(&service.may_pull)
    ));
    document.list(said);
}

fn forensics(document: &mut Document, service: &ServiceConfig) {
    document.heading("What is kept before anything moves");
    let mut kept = vec![
        "what was live, as read back, and what the registry knew of it".to_owned(),
        "the alerts, as they came, and every number that a policy was given".to_owned(),
    ];
    match &service.request_log {
        Some(log) => kept.push(format!("the request log ({})", kind(log.settings.adapter().kind()))),
        None => kept.push("no request log: none is configured".to_owned()),
    }
    if service.golden.is_some() && service.golden_before {
        kept.push("the bad version's answers to the golden data".to_owned());
    }
    document.list(kept);
    document.paragraph(match service.evidence {
        EvidenceRule::BestEffort => {
            format!(
                "It takes {} at most; what is missing then is named, and the rollback goes on.",
                service.deadlines.evidence
            )
        }
        EvidenceRule::Required => {
            format!(
                "It takes {} at most; where something is missing then, a person decides.",
                service.deadlines.evidence
            )
        }
    });
}

fn way_back(document: &mut Document, service: &ServiceConfig) {
    document.heading("What is done");
    if !rules(document, service, Role::Planner) {
        document.paragraph("No planner: whoever pulls says where to.");
    }
    let mut said = vec![match service.preflight {
        PreflightRule::BestEffort => "Each version is tried beside what is live before traffic moves, where the server can hold two.",
        PreflightRule::Required => "Each version is tried beside what is live before traffic moves; where it cannot be, a person decides.",
        PreflightRule::Off => "Versions are not tried before traffic moves.",
    }
    .to_owned()];
    for (index, one) in service.waves.waves.iter().enumerate() {
        said.push(format!("Wave {}: {}.", index + 1, wave(one).plain()));
    }
    if !service.waves.waves.is_empty() {
        said.push("Then everything that is left.".to_owned());
    }
    said.push("What is left is condemned, and a hold keeps it out until somebody lifts it.".to_owned());
    let limits = &service.breaker;
    said.push(format!(
        "Without people at most {} shifts of it an hour and {} on the whole host, {} apart; a version that was left is not returned to for {}.",
        limits.service_shifts_per_hour, limits.host_shifts_per_hour, limits.cool_down, limits.no_return
    ));
    document.list(said);
}

fn authority(document: &mut Document, config: &Config, service: &ServiceConfig) {
    document.heading("Who may and must agree");
    document.paragraph(match service.mode {
        Mode::Observe => "Mode `observe`: plans are made and nothing is shifted.",
        Mode::Ask => "Mode `ask`: people agree to every shift.",
        Mode::Act => "Mode `act`: approval policies say who must agree.",
    });
    rules(document, service, Role::Approval);
    let mut said = Vec::new();
    if !service.floor.is_empty() {
        let floor: Vec<_> = service.floor.iter().map(quorum).collect();
        said.push(format!("Under every policy: {}.", floor.join(" and ")));
    }
    if service.requester_vote == RequesterVote::AloneOnly {
        said.push("Whoever asked counts only where one person is enough.".to_owned());
    }
    if !service.authors_agree {
        said.push("Whoever signed one of its policies does not count.".to_owned());
    }
    said.push(match service.veto.as_slice() {
        [] => "A refusal of anybody who may vote ends the plan.".to_owned(),
        some => format!("A refusal ends the plan where it is of {}.", roles(some)),
    });
    said.push(format!(
        "Alone and at once, with a reason and a review afterwards: {} (`ripcord approve INCIDENT --break-glass --reason TEXT`).",
        roles(&service.break_glass)
    ));
    let deadlines = &service.deadlines;
    let reminded = match deadlines.reminder {
        Millis(0) => String::new(),
        every => format!("; people are reminded every {every}"),
    };
    said.push(format!("A plan waits for {} at most{reminded}.", deadlines.approval));
    said.push(format!(
        "Holds are lifted by {}; what is live is vouched for by {}.",
        roles(&service.may_lift),
        roles(&service.may_adopt)
    ));
    document.list(said);
    document.table(
        ["who", "roles", "proves who they are by"],
        config.people.iter().map(|person| {
            let keys = person.signers().len();
            let by = match (person.token.is_some(), keys) {
                (_, 0) => "a token".to_owned(),
                (true, keys) => format!("{keys} of their own keys for votes, a token for the rest"),
                (false, keys) => format!("{keys} of their own keys"),
            };
            let roles: Vec<_> = person.roles.iter().map(ToString::to_string).collect();
            [person.name.to_string(), roles.join(", "), by]
        }),
    );
}

fn verification(document: &mut Document, service: &ServiceConfig) {
    document.heading("How recovery is proved");
    let mut said = vec![format!(
        "What is live is read back until it is the target, for {} at most.",
        service.deadlines.read_back
    )];
    if let Some(proof) = &service.proof_min {
        said.push(format!("It is proved by {} at least.", proof.get_ref()));
    }
    if let Some(set) = &service.fingerprint {
        said.push(format!("A version is known again by its answers to the golden data `{}`.", set.get_ref()));
    }
    document.list(said);
    if !rules(document, service, Role::Verification) {
        document.paragraph("No verification policy: a person looks whether it is well.");
    }
    document.paragraph(format!(
        "It must be known to be well within {}, else the next target is gone to, and then people are asked.",
        service.deadlines.verification
    ));
}

fn told(document: &mut Document, config: &Config) {
    document.heading("Who is told");
    let mut told = vec!["the host's log".to_owned()];
    told.extend(config.notifiers.iter().map(|notifier| {
        format!("`{}`, by {}", notifier.name, kind(notifier.adapter.settings.adapter().kind()))
    }));
    document.list(told);
}

fn practice(document: &mut Document, service: &ServiceConfig) {
    document.heading("Before it is needed");
    document.list([
        "`ripcord check --now` asks everything that this depends on.".to_owned(),
        format!("`ripcord targets {}` says where it could be brought back to now.", service.name),
        "No drill is on record.".to_owned(),
    ]);
}

/// The policies of one role with their settings; false where there are none.
fn rules(document: &mut Document, service: &ServiceConfig, role: Role) -> bool {
    let placed: Vec<&PlacedConfig> = service.policies.iter().filter(|placed| placed.role == role).collect();
    document.table(
        ["policy", "set to"],
        placed.iter().map(|placed| [format!("`{}`", placed.policy.get_ref()), settings(&placed.settings)]),
    );
    !placed.is_empty()
}

/// `key = value`, as the file has it.
fn settings(settings: &Value) -> String {
    let Value::Object(keys) = settings else { return "its defaults".to_owned() };
    if keys.is_empty() {
        return "its defaults".to_owned();
    }
    let one = |(key, value): (&String, &Value)| {
        let written = value.to_string();
        let cut: String = written.chars().take(SETTING_CHARS_MAX).collect();
        let more = written.chars().count() - cut.chars().count();
        let more = if more == 0 { String::new() } else { format!(" and {more} characters more") };
        format!("`{key} = {}`{more}", cut.replace('`', "'"))
    };
    keys.iter().map(one).collect::<Vec<_>>().join(", ")
}

fn kind(kind: &str) -> String {
    format!("`{kind}`")
}

fn quorum(quorum: &Quorum) -> String {
    format!("{} with role `{}`", quorum.people, quorum.role)
}

fn roles(roles: &[RoleName]) -> String {
    match roles {
        [] => "nobody".to_owned(),
        some => {
            let names: Vec<_> = some.iter().map(|role| format!("`{role}`")).collect();
            format!("the role {}", names.join(" or "))
        }
    }
}
