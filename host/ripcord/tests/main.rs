//! The program and its library from outside.
#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods)]

mod alertmanager;
mod bad_input;
mod cli;
mod config;
mod http;
#[cfg(target_os = "linux")]
mod killed;
mod monitoring;
mod named;
mod openssh;
mod pages;
mod support;
