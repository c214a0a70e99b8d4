//! A local repository with a working tree, from which a process reads the file.

use ripcord_ports::PortError;

use super::program::Git;
use crate::restoring::summary;

impl Git {
    /// Why what the branch holds is not what lies in the working tree; none where there is no working tree.
    pub(super) async fn working_tree(&self, path: &str) -> Result<Option<String>, PortError> {
        if !self.is_local || self.is_bare().await? {
            return Ok(None);
        }
        let there = self.shown();
        let head = self.run_there(&["symbolic-ref", "--quiet", "HEAD"]).await?;
        if head.code != 0 {
            return Ok(Some(format!(
                "the working tree of `{there}` is detached from every branch: check `{}` out there",
                self.branch_name()
            )));
        }
        let head = String::from_utf8_lossy(&head.output).trim().to_owned();
        let branch = head.strip_prefix("refs/heads/").unwrap_or(&head);
        if branch != self.branch_name() {
            return Ok(Some(format!(
                "the working tree of `{there}` is on the branch `{}`: check `{}` out there, or correct `branch`",
                summary(branch),
                self.branch_name()
            )));
        }
        let status = self.run_there(&["status", "--porcelain", "--untracked-files=no", "--", path]).await?;
        if status.code != 0 {
            return Err(self.failed(&status));
        }
        let dirty = !status.output.iter().all(u8::is_ascii_whitespace);
        Ok(dirty.then(|| {
            format!("the working tree of `{there}` has changes of `{path}` that no commit holds: commit or discard them there")
        }))
    }

    async fn is_bare(&self) -> Result<bool, PortError> {
        let ran = self.run_there(&["rev-parse", "--is-bare-repository"]).await?;
        if ran.code != 0 {
            return Err(self.failed(&ran));
        }
        Ok(ran.output.starts_with(b"true"))
    }

    /// What makes every push impossible, where that can be seen.
    pub(super) async fn obstacle(&self, path: &str) -> Result<Option<String>, PortError> {
        if !self.is_local {
            return Ok(None);
        }
        if let Some(why) = self.working_tree(path).await? {
            return Ok(Some(why));
        }
        if self.is_bare().await? {
            return Ok(None);
        }
        let set = self.run_there(&["config", "--get", "receive.denyCurrentBranch"]).await?;
        let set = String::from_utf8_lossy(&set.output).trim().to_ascii_lowercase();
        Ok((set != "updateinstead").then(|| {
            format!(
                "the branch `{}` is checked out in `{}`, and git pushes nothing under a working tree unasked: run `git -C {} config receive.denyCurrentBranch updateInstead`",
                self.branch_name(),
                self.shown(),
                self.shown()
            )
        }))
    }
}
