//! What was made beside what is live, as whoever trained them measured both: told in the plan that puts it in place, before anybody agrees. The golden
//! data go through it once people have: that is its preflight.

use ripcord_core::fact::Measure;
use ripcord_core::live::LiveState;
use ripcord_core::name::VersionName;
use ripcord_core::signal::Label;
use ripcord_ports::Registry;

/// Measures of which more is better, by a word of their name.
const MORE_IS_BETTER: [&str; 8] = ["accuracy", "acc", "auc", "f1", "precision", "recall", "r2", "ndcg"];
/// Those of which less is.
const LESS_IS_BETTER: [&str; 8] = ["loss", "error", "rmse", "mse", "mae", "mape", "brier", "perplexity"];
/// So many are told.
const TOLD_MAX: usize = 6;

/// What a plan says of it. That nothing can be compared is said as well.
pub(super) async fn compared(registry: &dyn Registry, made: &VersionName, live: &LiveState) -> Label {
    let beside = |text: &str| Label::new("beside-live", text);
    let Some(sole) = live.sole_version() else {
        return beside("not compared: it is not known that one version alone is live");
    };
    let (of_made, of_live) = tokio::join!(registry.version(made), registry.version(&sole.version));
    match (of_made, of_live) {
        (Ok(of_made), Ok(of_live)) => said(&of_made.measures, &of_live.measures),
        (Err(error), _) | (_, Err(error)) => beside(&format!("not compared: {error}")),
    }
}

fn said(made: &[Measure], live: &[Measure]) -> Label {
    let both = made.iter().filter_map(|of_made| {
        let of_live = live.iter().find(|of_live| of_live.name == of_made.name)?;
        of_live.value.is_finite().then_some((of_made, of_live))
    });
    let both: Vec<_> = both.collect();
    let text = |pairs: &[&(&Measure, &Measure)]| {
        let each = pairs.iter().take(TOLD_MAX);
        let each = each.map(|(made, live)| format!("{} {} against {}", made.name, made.value, live.value));
        each.collect::<Vec<_>>().join(", ")
    };
    let worse: Vec<_> = both.iter().filter(|(made, live)| is_worse(made, live.value)).collect();
    if !worse.is_empty() {
        return Label::new("worse-than-live", text(&worse));
    }
    if both.is_empty() {
        return Label::new("beside-live", "not compared: the registry has no measure that both have");
    }
    Label::new("beside-live", text(&both.iter().collect::<Vec<_>>()))
}

/// Whether it is worse by a measure of which that is known.
fn is_worse(made: &Measure, live: f64) -> bool {
    // What is no number any more is worse than any that was.
    if !made.value.is_finite() {
        return true;
    }
    let name = made.name.to_ascii_lowercase();
    let words: Vec<&str> = name.split(|c: char| !c.is_ascii_alphanumeric()).collect();
    // Long ones may be written as one with the word before, as in `logloss`.
    let means = |word: &str, part: &str| word == part || part.len() > 3 && word.ends_with(part);
    let is = |parts: &[&str]| words.iter().any(|word| parts.iter().any(|part| means(word, part)));
    match (is(&MORE_IS_BETTER), is(&LESS_IS_BETTER)) {
        (true, false) => made.value < live,
        (false, true) => made.value > live,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(measures: &[(&str, f64)]) -> Vec<Measure> {
        measures.iter().map(|(name, value)| Measure { name: (*name).to_owned(), value: *value }).collect()
    }

    fn check(made: &[(&str, f64)], live: &[(&str, f64)], name: &str, text: &str) {
        let label = said(&of(made), &of(live));
        assert_eq!((label.name.as_str(), label.value.as_str()), (name, text));
    }

    #[test]
    fn what_is_worse_is_told_by_the_measures_that_both_have() {
        let live = [("accuracy", 0.94), ("log_loss", 0.2), ("rows", 10.0)];
        check(&[("accuracy", 0.91)], &live, "worse-than-live", "accuracy 0.91 against 0.94");
        check(&[("accuracy", 0.95), ("log_loss", 0.3)], &live, "worse-than-live", "log_loss 0.3 against 0.2");
        check(&[("accuracy", 0.94)], &live, "beside-live", "accuracy 0.94 against 0.94");
        check(&[("rows", 3.0)], &live, "beside-live", "rows 3 against 10");
    }

    #[test]
    fn what_is_no_number_is_worse_and_a_word_is_no_part_of_another() {
        let live = [("accuracy", 0.94), ("rows", 10.0), ("sauce", 3.0), ("logloss", 0.2), ("eval_acc", 0.9)];
        check(
            &[("accuracy", f64::NAN), ("rows", 3.0)],
            &live,
            "worse-than-live",
            "accuracy NaN against 0.94",
        );
        check(&[("sauce", 2.0)], &live, "beside-live", "sauce 2 against 3");
        check(&[("logloss", 0.3)], &live, "worse-than-live", "logloss 0.3 against 0.2");
        check(&[("eval_acc", 0.6)], &live, "worse-than-live", "eval_acc 0.6 against 0.9");
    }

    #[test]
    fn that_nothing_can_be_compared_is_told_too() {
        let none = "not compared: the registry has no measure that both have";
        check(&[("auc", 0.9)], &[("accuracy", 0.94)], "beside-live", none);
    }
}
