//! How likely what goes wrong is, of ten thousand calls, and which systems are away.

use std::sync::{Mutex, PoisonError};

use crate::dice::Dice;

/// The weather as it is.
#[derive(Debug, Clone, Default)]
pub struct Sky {
    /// The process ends at a call.
    pub dies: u32,
    /// The process ends while something is under way that another configuration would have otherwise.
    pub dies_at_a_moment: u32,
    /// A call takes seconds.
    pub late: u32,
    /// A call fails.
    pub fails: u32,
    /// A call never comes back.
    pub hangs: u32,
    /// A shift goes wrong in one of the ways that shifts go wrong.
    pub shift_fails: u32,
    /// Registries that do not answer.
    pub registry_away: bool,
    /// Deployers and services that do not answer.
    pub deployer_away: bool,
    /// Restorers that do not answer.
    pub restorers_away: bool,
    /// Producers that do not answer.
    pub producers_away: bool,
    /// The metrics source has nothing.
    pub no_metrics: bool,
    /// Nobody can be told.
    pub line_broken: bool,
    /// The disk is full.
    pub disk_full: bool,
    /// The disk cannot be read.
    pub disk_unreadable: bool,
    /// A write fails, and it is not known whether it was made.
    pub write_unknown: u32,
    /// A read of the store fails.
    pub read_fails: u32,
}

/// The weather, which the seed changes.
#[derive(Debug, Default)]
pub struct Weather(Mutex<Sky>);

impl Weather {
    /// Weather of a seed: some are fair, some are foul, and some foul in one way alone.
    pub fn of(dice: &Dice) -> Self {
        let rate = |most: u64| if dice.one_in(2) { dice.below(most + 1) as u32 } else { 0 };
        Self(Mutex::new(Sky {
            dies: rate(25),
            dies_at_a_moment: rate(2_000),
            late: rate(400),
            fails: rate(300),
            hangs: if dice.one_in(3) { dice.below(30) as u32 } else { 0 },
            shift_fails: rate(6_000),
            write_unknown: rate(60),
            read_fails: rate(60),
            ..Sky::default()
        }))
    }

    /// As it is now.
    pub fn now(&self) -> Sky {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// It changes.
    pub fn change(&self, change: impl FnOnce(&mut Sky)) {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// From now on nothing goes wrong any more.
    pub fn clears(&self) {
        self.change(|sky| *sky = Sky::default());
    }
}
