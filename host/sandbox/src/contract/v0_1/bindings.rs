//! Generated from the contract's frozen text.

#![allow(missing_docs, unreachable_pub, clippy::all)]

wasmtime::component::bindgen!({
    path: "../../wit/policy/0.1",
    inline: "
        package ripcord:host;
        world every-role {
            import ripcord:policy/log@0.1.0;
            export ripcord:policy/describe@0.1.0;
            export ripcord:policy/trigger@0.1.0;
            export ripcord:policy/planner@0.1.0;
            export ripcord:policy/approval@0.1.0;
            export ripcord:policy/verification@0.1.0;
        }
    ",
    world: "ripcord:host/every-role",
    imports: { default: trappable },
    additional_derives: [PartialEq, serde::Serialize, serde::Deserialize],
});
