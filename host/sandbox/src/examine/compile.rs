//! Counting, validating, compiling: what an examiner does, and a process that trusts the bytes does itself.

use wasmtime::Engine;
use wasmtime::component::Component;

use super::answer::Refused;
use super::shape::{self, Misshapen};
use crate::text::cut;

const MESSAGE_BYTES_MAX: usize = 600;

/// Checks the shape.
pub(crate) fn count(bytes: &[u8]) -> Result<(), Refused> {
    shape::check(bytes).map_err(|misshapen| match misshapen {
        Misshapen::TooMuch(too_much) => Refused::TooMuch(too_much),
        Misshapen::Broken(error) => invalid(error.to_string()),
    })
}

/// Compiles what was counted.
pub(crate) fn compile(engine: &Engine, bytes: &[u8]) -> Result<Component, Refused> {
    Component::from_binary(engine, bytes).map_err(|error| refused(&error))
}

/// What an error of the engine means.
pub(crate) fn refused(error: &wasmtime::Error) -> Refused {
    let out_of_memory = error.chain().any(|cause| {
        let io = cause.downcast_ref::<std::io::Error>();
        io.is_some_and(|io| io.kind() == std::io::ErrorKind::OutOfMemory)
            || cause.to_string().contains("Cannot allocate memory")
    });
    if out_of_memory { Refused::OutOfMemory } else { invalid(format!("{error:#}")) }
}

/// The names of a component come back in what is said of it.
fn invalid(mut message: String) -> Refused {
    cut(&mut message, MESSAGE_BYTES_MAX);
    Refused::Invalid(message)
}
