//! One run of a host's process. When it ends, nothing that the process still does reaches anything.

use std::future::pending;
use std::sync::Arc;

use tokio::sync::watch;

use crate::dice::Dice;
use crate::weather::Weather;

/// Passed by everything that a host does outside itself.
#[derive(Debug)]
pub struct Life {
    dead: watch::Sender<bool>,
    dice: Dice,
    weather: Arc<Weather>,
}

impl Life {
    /// A process that has just been started.
    pub fn new(dice: Dice, weather: Arc<Weather>) -> Arc<Self> {
        Arc::new(Self { dead: watch::Sender::new(false), dice, weather })
    }

    /// It ends here and now.
    pub fn end(&self) {
        self.dead.send_replace(true);
    }

    /// Whether it has ended.
    pub fn has_ended(&self) -> bool {
        *self.dead.borrow()
    }

    /// Returns when it has ended.
    pub async fn ended(&self) {
        let mut dead = self.dead.subscribe();
        drop(dead.wait_for(|dead| *dead).await);
    }

    /// Never returns once it has ended.
    pub async fn alive(&self) {
        if self.has_ended() {
            pending::<()>().await;
        }
    }

    /// It may end here.
    pub async fn may_end(&self) {
        self.ends_by_chance(self.weather.now().dies).await;
    }

    /// The same where an end does most.
    pub async fn may_end_at_a_moment(&self) {
        self.ends_by_chance(self.weather.now().dies_at_a_moment).await;
    }

    async fn ends_by_chance(&self, of_ten_thousand: u32) {
        if !self.has_ended() && self.dice.chance(of_ten_thousand) {
            self.end();
        }
        self.alive().await;
    }
}
