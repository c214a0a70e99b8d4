//! What holds a service up, in one sentence.

use ripcord_engine::HeldUp;

use super::time::instant;

/// Such as `MLflow does not answer since …: making a plan waits for it until …, then a person is asked (…)`.
pub fn sentence(held: &HeldUp) -> String {
    let until = match (held.until, &held.then) {
        (Some(until), Some(then)) => format!(" until {}, then {then}", instant(until)),
        _ => " for as long as it takes".to_owned(),
    };
    let HeldUp { system, what, doing, .. } = held;
    format!("{system} has not answered since {}: {doing} waits for it{until} ({what})", instant(held.since))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ripcord_core::time::UnixMillis;

    #[test]
    fn it_names_the_system_what_waits_since_when_and_till_when() {
        let mut held = HeldUp {
            system: "MLflow".into(),
            what: "no connection".into(),
            since: UnixMillis(1_700_000_000_000),
            doing: "making a plan".into(),
            until: Some(UnixMillis(1_700_000_300_000)),
            then: Some("a person is asked".into()),
        };
        assert_eq!(
            sentence(&held),
            "MLflow has not answered since 2023-11-14 22:13:20Z: making a plan waits for it until 2023-11-14 22:18:20Z, then a person is asked (no connection)"
        );
        (held.until, held.then) = (None, None);
        assert!(sentence(&held).contains("waits for it for as long as it takes"));
    }
}
