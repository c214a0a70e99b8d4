//! Every fixture and every example of the policy, natively.

#[test]
fn fixtures() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures");
    ripcord_sdk::testing::check::<security_alert_trigger::SecurityAlertTrigger>(folder);
}

#[test]
fn examples() {
    ripcord_sdk::testing::check_examples::<security_alert_trigger::SecurityAlertTrigger>(include_str!(
        "../README.md"
    ));
}
