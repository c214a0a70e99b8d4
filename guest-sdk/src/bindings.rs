//! What `wit-bindgen` makes of the contract. One world a role, because a component exports only the roles that
//! it fills; the types are generated once and shared, so that a signal is one Rust type in every role.

#![allow(unsafe_code, missing_debug_implementations, unreachable_pub, clippy::all)]

/// The types and the log, which all roles share.
pub mod shared {
    wit_bindgen::generate!({
        inline: "
            package ripcord:sdk;
            world shared {
                import ripcord:policy/types@0.1.0;
                import ripcord:policy/facts@0.1.0;
                import ripcord:policy/log@0.1.0;
            }
        ",
        path: "../wit/policy/0.1",
        generate_all,
        generate_unused_types: true,
        additional_derives: [PartialEq, serde::Serialize, serde::Deserialize],
        disable_custom_section_link_helpers: true,
    });
}

/// The manifest.
pub mod described {
    wit_bindgen::generate!({
        world: "described",
        path: "../wit/policy/0.1",
        with: { "ripcord:policy/log@0.1.0": crate::bindings::shared::ripcord::policy::log },
        generate_unused_types: true,
        additional_derives: [PartialEq, serde::Serialize, serde::Deserialize],
        pub_export_macro: true,
        export_macro_name: "export_described",
    });
}

/// The role `trigger`.
pub mod trigger {
    wit_bindgen::generate!({
        world: "trigger-policy",
        path: "../wit/policy/0.1",
        with: {
            "ripcord:policy/types@0.1.0": crate::bindings::shared::ripcord::policy::types,
            "ripcord:policy/facts@0.1.0": crate::bindings::shared::ripcord::policy::facts,
            "ripcord:policy/log@0.1.0": crate::bindings::shared::ripcord::policy::log,
        },
        generate_unused_types: true,
        additional_derives: [PartialEq, serde::Serialize, serde::Deserialize],
        pub_export_macro: true,
        export_macro_name: "export_trigger",
    });
}

/// The role `planner`.
pub mod planner {
    wit_bindgen::generate!({
        world: "planner-policy",
        path: "../wit/policy/0.1",
        with: {
            "ripcord:policy/types@0.1.0": crate::bindings::shared::ripcord::policy::types,
            "ripcord:policy/facts@0.1.0": crate::bindings::shared::ripcord::policy::facts,
            "ripcord:policy/log@0.1.0": crate::bindings::shared::ripcord::policy::log,
        },
        generate_unused_types: true,
        additional_derives: [PartialEq, serde::Serialize, serde::Deserialize],
        pub_export_macro: true,
        export_macro_name: "export_planner",
    });
}

/// The role `approval`.
pub mod approval {
    wit_bindgen::generate!({
        world: "approval-policy",
        path: "../wit/policy/0.1",
        with: {
            "ripcord:policy/types@0.1.0": crate::bindings::shared::ripcord::policy::types,
            "ripcord:policy/facts@0.1.0": crate::bindings::shared::ripcord::policy::facts,
            "ripcord:policy/log@0.1.0": crate::bindings::shared::ripcord::policy::log,
        },
        generate_unused_types: true,
        additional_derives: [PartialEq, serde::Serialize, serde::Deserialize],
        pub_export_macro: true,
        export_macro_name: "export_approval",
    });
}

/// The role `verification`.
pub mod verification {
    wit_bindgen::generate!({
        world: "verification-policy",
        path: "../wit/policy/0.1",
        with: {
            "ripcord:policy/types@0.1.0": crate::bindings::shared::ripcord::policy::types,
            "ripcord:policy/facts@0.1.0": crate::bindings::shared::ripcord::policy::facts,
            "ripcord:policy/log@0.1.0": crate::bindings::shared::ripcord::policy::log,
        },
        generate_unused_types: true,
        additional_derives: [PartialEq, serde::Serialize, serde::Deserialize],
        pub_export_macro: true,
        export_macro_name: "export_verification",
    });
}
