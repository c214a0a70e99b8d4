//! Every fixture and every example of the policy, natively.

#[test]
fn fixtures() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures");
    ripcord_sdk::testing::check::<last_known_good::LastKnownGood>(folder);
}

#[test]
fn examples() {
    ripcord_sdk::testing::check_examples::<last_known_good::LastKnownGood>(include_str!("../README.md"));
}
