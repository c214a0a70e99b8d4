//! Who is told, and where evidence is kept.

use async_trait::async_trait;
use ripcord_core::digest::Digest;
use ripcord_ports::notifier::{Announcement, Notifier};
use ripcord_ports::{ErrorKind, Objects, PortError};

use super::{NOTIFIER, OBJECTS, Wire};

/// Delivers into the world.
#[derive(Debug)]
pub struct PretendNotifier {
    /// Where it is; the service does not matter.
    pub wire: Wire,
}

#[async_trait]
impl Notifier for PretendNotifier {
    fn name(&self) -> &str {
        "notifier_pretend"
    }

    async fn announce(&self, announcement: &Announcement) -> Result<(), PortError> {
        self.wire.reach(NOTIFIER).await?;
        if self.wire.weather.now().line_broken {
            return Err(PortError::not_applied(ErrorKind::Unreachable, "the line is broken"));
        }
        self.wire.world.tell(&announcement.id);
        self.wire.comes_back(NOTIFIER).await;
        // It was delivered, and nobody says so: it comes twice.
        if self.wire.dice.chance(self.wire.weather.now().fails) {
            return Err(PortError::unknown(ErrorKind::Unreachable, "the line broke"));
        }
        Ok(())
    }
}

/// Keeps evidence in the world.
#[derive(Debug)]
pub struct PretendObjects {
    /// Where it is; the service does not matter.
    pub wire: Wire,
}

#[async_trait]
impl Objects for PretendObjects {
    async fn put(&self, all: Vec<Vec<u8>>) -> Result<Vec<Result<Digest, PortError>>, PortError> {
        let mut kept = Vec::new();
        for bytes in all {
            kept.push(self.wire.reach(OBJECTS).await.map(|()| self.wire.world.keep(&bytes)));
        }
        Ok(kept)
    }

    async fn get(&self, digest: &Digest) -> Result<Option<Vec<u8>>, PortError> {
        self.wire.reach(OBJECTS).await?;
        Ok(self.wire.world.kept(digest))
    }

    async fn remove(&self, digest: &Digest) -> Result<(), PortError> {
        self.wire.reach(OBJECTS).await?;
        self.wire.world.no_longer_kept(digest);
        Ok(())
    }
}
