//! Services that move together: one task a set, which alone writes the set's journal and reaches its members through their drivers.
//!
//! What goes between the journals is decided by [`Set::step`](ripcord_core::set::Set::step), one append at a time. So nothing here is worth keeping over a
//! restart, and a result that could not be written is simply come to again.

mod command;
mod door;
mod draft;
mod driver;
mod obey;
mod page;
mod tell;

pub use command::{SetAsk, SetCommand, SetObeyed};
pub(crate) use door::{SetBatch, SetDoor, SetInbox, SetMessage};
pub(crate) use driver::SetDriver;
pub(crate) use obey::{Members, obey};
pub use page::{RunEntry, RunPage, run_page};
