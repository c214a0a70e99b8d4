//! Who is told, and where evidence is kept.

use std::sync::Arc;

use async_trait::async_trait;
use ripcord_core::digest::Digest;
use ripcord_ports::notifier::{Announcement, Notifier};
use ripcord_ports::{ErrorKind, Objects, PortError};

use crate::fuse::Fuse;
use crate::world::{Line, Told, World};

/// Delivers into the world.
#[derive(Debug)]
pub struct FakeNotifier {
    /// The world.
    pub world: Arc<World>,
    /// Of this host.
    pub fuse: Arc<Fuse>,
}

#[async_trait]
impl Notifier for FakeNotifier {
    fn name(&self) -> &str {
        "notifier_fake"
    }

    async fn announce(&self, announcement: &Announcement) -> Result<(), PortError> {
        self.fuse.call(&format!("announce {}", announcement.topic)).await?;
        let line = self.world.change(|all| {
            all.rung.push(announcement.id.clone());
            let line = all.line;
            if let Line::BrokenFor(calls) = line {
                all.line = if calls == 1 { Line::Open } else { Line::BrokenFor(calls - 1) };
            }
            if line == Line::Open {
                all.told.push(Told {
                    id: announcement.id.clone(),
                    service: announcement.service.to_string(),
                    topic: announcement.topic.clone(),
                    text: announcement.text.clone(),
                });
            }
            line
        });
        self.fuse.answer(&format!("announce {}", announcement.topic)).await?;
        match line {
            Line::Open => Ok(()),
            Line::Hangs => std::future::pending().await,
            Line::Broken | Line::BrokenFor(_) => {
                Err(PortError::not_applied(ErrorKind::Unreachable, "the fake line is broken"))
            }
        }
    }
}

/// Keeps evidence in the world.
#[derive(Debug)]
pub struct MemoryObjects {
    /// The world.
    pub world: Arc<World>,
    /// Of this host.
    pub fuse: Arc<Fuse>,
}

#[async_trait]
impl Objects for MemoryObjects {
    async fn put(&self, all: Vec<Vec<u8>>) -> Result<Vec<Result<Digest, PortError>>, PortError> {
        let mut kept = Vec::new();
        for bytes in all {
            self.fuse.call("put").await?;
            if self.world.change(|all| all.objects_hang) {
                std::future::pending::<()>().await;
            }
            let digest = Digest::of(&bytes);
            self.world.change(|all| drop(all.objects.insert(digest.to_string(), bytes)));
            self.fuse.point("after put").await;
            kept.push(Ok(digest));
        }
        Ok(kept)
    }

    async fn get(&self, digest: &Digest) -> Result<Option<Vec<u8>>, PortError> {
        self.fuse.alive().await;
        Ok(self.world.change(|all| all.objects.get(&digest.to_string()).cloned()))
    }

    async fn remove(&self, digest: &Digest) -> Result<(), PortError> {
        self.fuse.alive().await;
        let name = digest.to_string();
        self.world.change(|all| match all.objects_stay.contains(&name) {
            true => Err(PortError::not_applied(ErrorKind::Denied, "the fake folder is read-only")),
            false => {
                all.objects.remove(&name);
                Ok(())
            }
        })
    }
}
