//! The pages by which people configure and run Ripcord: what a machine can try of them is tried.

mod adapters;
pub(crate) mod blocks;
mod commands;
mod configuration;
mod packaging;
mod programs;
