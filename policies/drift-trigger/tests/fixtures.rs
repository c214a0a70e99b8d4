//! Every fixture and every example of the policy, natively.

#[test]
fn fixtures() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures");
    ripcord_sdk::testing::check::<drift_trigger::DriftTrigger>(folder);
}

#[test]
fn examples() {
    ripcord_sdk::testing::check_examples::<drift_trigger::DriftTrigger>(include_str!("../README.md"));
}
