//! Grants when enough distinct people agreed in time.
//!
//! Who asked does not count, a refusal is final, and what this policy does not know is waited for, never granted.

use ripcord_sdk::keys::Keys;
use ripcord_sdk::prelude::*;

/// The policy. Its settings are [`Keys`].
#[derive(Debug)]
pub struct TwoKey;

ripcord_sdk::export!(TwoKey: approval);

impl Policy for TwoKey {
    type Settings = Keys;

    fn check(keys: &Keys) -> Result<(), String> {
        keys.check()
    }
}

impl Approval for TwoKey {
    const FACTS: &'static [FactKind] = &[FactKind::Votes];

    fn authorize(case: &ApprovalCase, facts: &Facts, keys: &Keys) -> Step<ApprovalAnswer> {
        Ok(keys.judge(case, facts.votes().get()?))
    }
}
