//! Traffic in whole percents, as clouds split it.

use std::collections::BTreeMap;

use ripcord_core::ratio::Ratio;

/// What is said where a share cannot be moved.
pub(crate) const SHARES: &str = "traffic is split by whole percents, from 1 to 99, and everything";

/// Whole percents that are this share at least; none where that moves nothing, or everything.
pub(crate) fn percent(share: Ratio) -> Option<u32> {
    (1..100).find(|percent| f64::from(*percent) / 100.0 + 1e-9 >= share.get()).filter(|_| share.get() > 0.0)
}

/// Whole percents that add up to the total, in proportion: what is left over by rounding down goes to those that lost most by it.
pub(crate) fn shared_out(total: u32, weights: &[(&str, u32)]) -> BTreeMap<String, u32> {
    let sum: u32 = weights.iter().map(|(_, weight)| weight).sum();
    if sum == 0 || total == 0 {
        return BTreeMap::new();
    }
    let mut parts: Vec<(&str, u32, u32)> =
        weights.iter().map(|(id, weight)| (*id, total * weight / sum, total * weight % sum)).collect();
    let left = total - parts.iter().map(|(_, part, _)| part).sum::<u32>();
    parts.sort_by_key(|(id, _, lost)| (std::cmp::Reverse(*lost), *id));
    let more = |index: usize| u32::from((index as u32) < left);
    let parts = parts.iter().enumerate().map(|(index, (id, part, _))| ((*id).to_owned(), part + more(index)));
    parts.filter(|(_, part)| *part > 0).collect()
}

/// What a system tells of its split: the percents that are not 0, which add up to 100 or to nothing; why it is not known otherwise.
pub(crate) fn told(
    split: Option<&serde_json::Map<String, serde_json::Value>>,
) -> Result<BTreeMap<String, u32>, String> {
    let mut told = BTreeMap::new();
    for (name, value) in split.into_iter().flatten() {
        let percent =
            value.as_u64().and_then(|value| u32::try_from(value).ok()).filter(|value| *value <= 100);
        let Some(percent) = percent else {
            return Err(format!(
                "its traffic split says {} of `{}`, which is no percentage",
                crate::http::excerpt(value.to_string().as_bytes()),
                name.escape_debug()
            ));
        };
        if percent > 0 {
            told.insert(name.clone(), percent);
        }
    }
    let sum: u32 = told.values().sum();
    if !matches!(sum, 0 | 100) {
        return Err(format!("its traffic split adds up to {sum} percent"));
    }
    Ok(told)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percents_are_whole_and_add_up_whatever_they_are_shared_among() {
        let of = |total: u32, weights: &[(&str, u32)]| {
            shared_out(total, weights).into_values().collect::<Vec<_>>()
        };
        assert_eq!(of(100, &[("a", 1)]), [100]);
        assert_eq!(of(50, &[("a", 33), ("b", 33), ("c", 34)]), [17, 16, 17]);
        assert_eq!(of(99, &[("a", 90), ("b", 10)]), [89, 10]);
        assert_eq!(of(1, &[("a", 50), ("b", 50)]), [1], "who gets nothing is left out");
        assert_eq!(of(0, &[("a", 50)]), [0_u32; 0]);
        for total in 1..=100 {
            let parts = of(total, &[("a", 7), ("b", 11), ("c", 13), ("d", 69)]);
            assert_eq!(parts.iter().sum::<u32>(), total);
        }
    }

    #[test]
    fn a_share_is_moved_by_as_many_percents_as_are_that_much_at_least() {
        for (share, expected) in [
            (0.0, None),
            (0.001, Some(1)),
            (0.07, Some(7)),
            (0.333, Some(34)),
            (0.57, Some(57)),
            (0.99, Some(99)),
            (0.991, None),
            (1.0, None),
        ] {
            assert_eq!(percent(Ratio::new(share).unwrap()), expected, "{share}");
        }
        for whole in 1..100_u32 {
            assert_eq!(percent(Ratio::new(f64::from(whole) / 100.0).unwrap()), Some(whole));
        }
    }
}
