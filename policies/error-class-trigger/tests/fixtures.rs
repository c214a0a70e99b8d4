//! Every fixture and every example of the policy, natively.

#[test]
fn fixtures() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures");
    ripcord_sdk::testing::check::<error_class_trigger::ErrorClassTrigger>(folder);
}

#[test]
fn examples() {
    ripcord_sdk::testing::check_examples::<error_class_trigger::ErrorClassTrigger>(include_str!(
        "../README.md"
    ));
}
