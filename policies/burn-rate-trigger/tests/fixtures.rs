//! Every fixture and every example of the policy, natively.

#[test]
fn fixtures() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures");
    ripcord_sdk::testing::check::<burn_rate_trigger::BurnRateTrigger>(folder);
}

#[test]
fn examples() {
    ripcord_sdk::testing::check_examples::<burn_rate_trigger::BurnRateTrigger>(include_str!("../README.md"));
}
