//! Where the time to the restored answer went, in a sentence.

use ripcord_core::event::{Measured, Portion, Seen};
use ripcord_core::time::Micros;

/// What took less is counted, not named.
const NAMED_FROM: Micros = Micros(100);

/// Such as `from alert to restored answer 74 ms: systems 65 ms (MLflow 40 ms, model server 25 ms), Ripcord 9.0 ms (journal 4.1 ms); the disk was waited for 5 times`.
pub fn sentence(measured: &Measured) -> String {
    let parts = [
        ("systems", measured.systems, &measured.each_system[..]),
        ("people", measured.people, &[]),
        ("waiting for data", measured.data, &[]),
        ("pauses before another try", measured.pauses, &[]),
        ("Ripcord", measured.own, &measured.own_parts[..]),
    ];
    let said: Vec<_> = parts
        .iter()
        .filter(|(name, took, _)| took.0 > 0 || matches!(*name, "systems" | "Ripcord"))
        .map(|(name, took, each)| format!("{name} {took}{}", brackets(each, *took)))
        .collect();
    let seen = match measured.seen {
        Seen::Whole => "",
        Seen::Part => "; not the whole: the host was started in the middle",
    };
    let flushes = measured.flushes;
    let times = if flushes == 1 { "time" } else { "times" };
    format!(
        "from alert to restored answer {}: {}; the disk was waited for {flushes} {times}{seen}",
        measured.total,
        said.join(", ")
    )
}

fn brackets(each: &[Portion], whole: Micros) -> String {
    if each.is_empty() {
        return String::new();
    }
    let sum: u64 = each.iter().map(|portion| portion.took.0).sum();
    let together = if sum > whole.0 { "; calls overlap" } else { "" };
    let (named, short): (Vec<_>, Vec<_>) = each.iter().partition(|portion| portion.took >= NAMED_FROM);
    let named = named.into_iter().map(|portion| format!("{} {}", portion.name, portion.took));
    let others = match short.len() {
        0 => None,
        1 => Some(format!("1 other below {NAMED_FROM}")),
        more => Some(format!("{more} others below {NAMED_FROM}")),
    };
    let each: Vec<_> = named.chain(others).collect();
    format!(" ({}{together})", each.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn portion(name: &str, us: u64) -> Portion {
        Portion { name: name.into(), took: Micros(us) }
    }

    fn measured() -> Measured {
        Measured {
            incident: ripcord_core::name::IncidentId::new("fraud-api:1").expect("an id"),
            seen: Seen::Whole,
            total: Micros(74_100),
            systems: Micros(65_000),
            each_system: vec![portion("MLflow", 40_000), portion("model server", 30_000)],
            people: Micros(0),
            data: Micros(0),
            pauses: Micros(0),
            own: Micros(9_100),
            own_parts: vec![portion("journal", 4_000), portion("policies", 1_250)],
            flushes: 6,
        }
    }

    #[test]
    fn it_says_who_was_waited_for() {
        assert_eq!(
            sentence(&measured()),
            "from alert to restored answer 74 ms: systems 65 ms (MLflow 40 ms, model server 30 ms; calls overlap), \
             Ripcord 9.1 ms (journal 4.0 ms, policies 1.2 ms); the disk was waited for 6 times"
        );
    }

    #[test]
    fn what_took_no_time_is_counted_and_not_named() {
        let mut measured = measured();
        measured
            .each_system
            .extend([portion("the registry's folder", 20), portion("the evidence folder", 99)]);
        measured.own_parts.push(portion("evidence", 3));
        let said = sentence(&measured);
        assert!(
            said.contains("(MLflow 40 ms, model server 30 ms, 2 others below 0.1 ms; calls overlap)"),
            "{said}"
        );
        assert!(said.contains("(journal 4.0 ms, policies 1.2 ms, 1 other below 0.1 ms)"), "{said}");
    }

    #[test]
    fn after_a_restart_it_says_that_it_is_not_the_whole() {
        let part = Measured { seen: Seen::Part, people: Micros(2_000_000), ..measured() };
        let said = sentence(&part);
        assert!(
            said.contains(", people 2.0 s, ")
                && said.ends_with("not the whole: the host was started in the middle"),
            "{said}"
        );
    }
}
