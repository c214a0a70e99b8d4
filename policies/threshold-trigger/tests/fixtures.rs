//! Every fixture of the policy, run natively.

#[test]
fn fixtures() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures");
    ripcord_sdk::testing::check::<threshold_trigger::ThresholdTrigger>(folder);
}
