//! Every fixture and every example of the policy, natively.

#[test]
fn fixtures() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures");
    ripcord_sdk::testing::check::<healthy_metrics::HealthyMetrics>(folder);
}

#[test]
fn examples() {
    ripcord_sdk::testing::check_examples::<healthy_metrics::HealthyMetrics>(include_str!("../README.md"));
}
