//! A plan for people who are asked to agree to it.

use ripcord_core::digest::Digest;
use ripcord_core::plan::{Part, Plan, StepKind};

use super::style::{DIM, STRONG, paint};
use super::table::{Cell, Table};
use super::time::instant;

/// `version 1.3.2 (sha256 …), then version 1.2.0 (sha256 …)`.
pub fn ladder(plan: &Plan) -> String {
    let targets = plan.parts.iter().flat_map(|part| &part.rungs).map(|rung| rung.target.to_string());
    targets.collect::<Vec<_>>().join(", then ")
}

/// All that is approved, and the digest that the approval is given to.
pub fn text(plan: &Plan, digest: &Digest) -> String {
    let mut table = Table::bare(2);
    let mut row = |name: &str, value: String| table.row([Cell::new(DIM, name), value.into()]);
    let asked: Vec<_> = plan.requested_by.iter().map(ToString::to_string).collect();
    let policies: Vec<_> =
        plan.policies.iter().map(|policy| format!("{policy} (sha256 {})", policy.digest.short())).collect();
    row("digest", digest.to_string());
    row("strategy", plan.strategy.to_string());
    row("asked by", asked.join(", "));
    row("policies", policies.join(", "));
    row(
        "preflighted",
        if plan.preflighted { "each version, before it is shifted to" } else { "not preflighted" }.to_owned(),
    );
    row("expires", instant(plan.expires_at));
    let drill = if plan.drill { " (a drill)" } else { "" };
    let title = format!("plan {} of {}{drill}", plan.number, plan.incident);
    let mut text = format!("{}\n{table}", paint(STRONG, title));
    for part in &plan.parts {
        text.push_str(&format!("\n{}", self::part(part)));
    }
    text
}

fn part(part: &Part) -> String {
    let mut text =
        format!("{} in {}, now serving {}\n", paint(STRONG, &part.service), part.environment, part.live);
    for (index, rung) in part.rungs.iter().enumerate() {
        text.push_str(&format!("  {}. to {}\n", index + 1, paint(STRONG, &rung.target)));
        let mut steps = Table::bare(5);
        for step in &rung.steps {
            let arguments: Vec<_> =
                step.arguments.iter().map(|label| format!("{}={}", label.name, label.value)).collect();
            steps.row([name(step.kind).into(), Cell::new(DIM, arguments.join(" "))]);
        }
        text.push_str(&steps.to_string());
    }
    text
}

const fn name(kind: StepKind) -> &'static str {
    match kind {
        StepKind::Stage => "fetch and check the artefact",
        StepKind::Preflight => "try it beside what is live, with golden data and inputs of today",
        StepKind::Guard => "read what is live, go on only if it is the above",
        StepKind::Shift => "shift",
        StepKind::ReadBack => "read back until it is served everywhere",
        StepKind::Verify => "verify",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn all_that_is_approved_is_shown() {
        let digest = "b".repeat(64);
        let plan: Plan = serde_json::from_value(json!({
            "format": 1, "installation": digest, "incident": "fraud-api:1", "number": 1, "strategy": "version",
            "parts": [{
                "service": "fraud-api", "environment": "production", "live": { "unknown": "timeout" },
                "rungs": [{
                    "target": { "version": { "version": "1.3.2", "digest": digest } },
                    "steps": [
                        { "kind": "guard", "arguments": [] },
                        { "kind": "shift", "arguments": [{ "name": "adapter", "value": "open-inference" }] },
                    ],
                }],
            }],
            "policies": [{ "name": "two-key", "version": "0.1.0", "digest": digest }],
            "requested_by": [{ "person": "olga" }], "preflighted": false, "drill": true,
            "created_at": "1700000000000", "expires_at": "1700003600000",
        }))
        .expect("a plan");
        let shown = text(&plan, &plan.digest().expect("digest"));
        insta::assert_snapshot!(anstream::adapter::strip_str(&shown).to_string());
    }
}
