//! A plan as a runbook: what people would do by hand, in its order, where Ripcord itself cannot.

use ripcord_core::foreign::Foreign;
use ripcord_core::plan::{Part, PlannedStep, SetMove, StepKind};

use super::document::Document;
use super::plan::{afterwards, live, name, name_in_wave, origin, target, wave};
use super::time::exact;
use crate::http::wire::PlanView;

/// The runbook of the plan at hand.
pub fn runbook(view: &PlanView) -> Document {
    let plan = &view.plan;
    let mut document = Document::new(format!("Runbook: plan {} of {}", plan.number, plan.incident));
    document.paragraph(format!(
        "This is what the plan `{}` does, in its order, for people who do it by hand. Agree to it first, as its service asks, and write down who did.",
        view.digest
    ));
    let mut facts = Vec::new();
    if !view.cause.is_empty() {
        facts.push(format!("cause: {}", view.cause));
    }
    let asked: Vec<_> = plan.requested_by.iter().map(|by| origin(by).plain()).collect();
    facts.push(format!("asked by: {}", asked.join(", ")));
    facts.push(format!("made: {}", exact(plan.created_at)));
    facts.push(format!("not to be begun after: {}", exact(view.expires_at.unwrap_or(plan.expires_at))));
    document.list(facts);
    if let Some(set) = &plan.set {
        let members: Vec<_> = set.members.iter().map(|member| format!("`{member}`")).collect();
        document.paragraph(format!(
            "These move together, in this order: {}. Where one of them fails, {}.",
            members.join(", then "),
            set.if_part_fails.words()
        ));
    }
    for part in &plan.parts {
        self::part(&mut document, part, plan.set.as_ref());
    }
    document.heading("Afterwards");
    document.steps([
        format!("{}.", capital(&afterwards(plan).plain())),
        format!(
            "Tell Ripcord what was done: `ripcord abort {} --reason TEXT` before anything was shifted; where it asks whether the shift happened, `ripcord answer {} applied --reason TEXT`.",
            plan.incident, plan.incident
        ),
    ]);
    document
}

fn part(document: &mut Document, part: &Part, set: Option<&SetMove>) {
    document.heading(format!("`{}` in `{}`", part.service, Foreign::signed(&part.environment)));
    document.paragraph(format!(
        "Served when the plan was made: {}. Read it first; if it is something else by now, stop, and have a new plan made.",
        live(&part.live).plain()
    ));
    for (index, one) in part.waves.iter().enumerate() {
        document.paragraph(format!("Wave {}: {}.", index + 1, wave(one).plain()));
    }
    for (index, rung) in part.rungs.iter().enumerate() {
        // The second target of a set's part is no next try.
        let when = match (index, set) {
            (0, _) => "First",
            (_, None) => "Only if that did not help",
            (_, Some(_)) => {
                "Only where a member of the set has failed, and for each that has moved, the last one first: back"
            }
        };
        document.paragraph(format!("{when}: to {}.", target(&rung.target).plain()));
        let unwell = match (set, index + 1 == part.rungs.len()) {
            (Some(_), _) => "If it is not well, the set has failed: see above",
            (None, false) => "If it is not well, go to the next target",
            (None, true) => "If it is not well, ask for a new plan",
        };
        document.steps(rung.steps.iter().map(|one| step(one, unwell)));
    }
}

fn step(step: &PlannedStep, unwell: &str) -> String {
    let what = match step.wave {
        None => name(step.kind).to_owned(),
        Some(wave) => format!("wave {}: {}", u64::from(wave) + 1, name_in_wave(step.kind)),
    };
    let how = step.request.as_ref().map(|request| format!(": `{}`", Foreign::signed(&request.words)));
    let arguments: Vec<_> = step
        .arguments
        .iter()
        .map(|label| format!("{} `{}`", Foreign::signed(&label.name), Foreign::signed(&label.value)))
        .collect();
    let with = if arguments.is_empty() { String::new() } else { format!(" ({})", arguments.join(", ")) };
    let stop = match step.kind {
        StepKind::ReadBack => ". Whatever the system said: only what it answers counts".to_owned(),
        StepKind::Verify => format!(". {unwell}"),
        _ => String::new(),
    };
    capital(&format!("{what}{}{with}{stop}.", how.unwrap_or_default()))
}

/// With its first letter written large.
fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map(|first| first.to_uppercase().chain(chars).collect()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::document::DocumentForm;
    use crate::output::hostile;
    use crate::output::plan::tests::whole;
    use serde_json::json;

    fn view() -> PlanView {
        let view = json!({ "plan": whole(), "digest": "a".repeat(64), "expires_at": null, "cause": "it declines everyone" });
        serde_json::from_value(view).expect("a plan")
    }

    #[test]
    fn a_plan_as_a_runbook() {
        insta::assert_snapshot!(runbook(&view()).written(DocumentForm::Markdown));
    }

    #[test]
    fn a_sets_way_back_is_no_next_try() {
        let mut view = view();
        for (set, wanted) in [
            (
                json!({ "members": ["features", "fraud-api"], "if_part_fails": "back" }),
                "goes back to what is live now",
            ),
            (
                json!({ "members": ["features", "fraud-api"], "if_part_fails": "forward" }),
                "stays, and people are asked",
            ),
        ] {
            view.plan.set = serde_json::from_value(set).expect("a set");
            let text = runbook(&view).written(DocumentForm::Markdown);
            assert!(
                text.contains("in this order: `features`, then `fraud-api`") && text.contains(wanted),
                "{text}"
            );
            assert!(
                !text.contains("did not help") && text.contains("the last one first: back: to"),
                "{text}"
            );
        }
    }

    #[test]
    fn nothing_that_others_wrote_gets_out_of_its_place() {
        for (name, text) in hostile::table() {
            let (view, spoilt) = hostile::spoilt(&view(), &text);
            assert!(spoilt > 3, "{name}: {spoilt}");
            for form in [DocumentForm::Markdown, DocumentForm::Html] {
                hostile::assert_harmless(&runbook(&view).page(form).text, name);
            }
        }
    }
}
