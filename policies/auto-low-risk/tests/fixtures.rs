//! Every fixture and every example of the policy, natively.

#[test]
fn fixtures() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures");
    ripcord_sdk::testing::check::<auto_low_risk::AutoLowRisk>(folder);
}

#[test]
fn examples() {
    ripcord_sdk::testing::check_examples::<auto_low_risk::AutoLowRisk>(include_str!("../README.md"));
}
