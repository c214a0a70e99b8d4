//! The commit that puts a revision back, and its push.

use ripcord_core::foreign::Foreign;
use ripcord_ports::restorer::RestoreOrder;
use ripcord_ports::{ErrorKind, PortError};

use super::GitRestorer;
use super::log::{Commit, Revisions};
use crate::command::{NotRun, Ran};
use crate::folder;
use crate::http::on_one_line;
use crate::restoring::summary;

impl GitRestorer {
    /// Puts a commit on top of the branch that leaves the file as the revision did.
    pub(super) async fn commit_and_push(
        &self,
        revisions: &Revisions,
        order: &RestoreOrder,
    ) -> Result<(), PortError> {
        if let Some(why) = self.git.working_tree(&self.path).await? {
            return Err(PortError::not_applied(ErrorKind::Place, why));
        }
        let Some(commit) = revisions.find(&order.revision) else {
            let text = format!("`{}` is gone from the history", order.revision);
            return Err(PortError::not_applied(ErrorKind::NotFound, text));
        };
        let made = self.commit(revisions, commit, order).await?;
        self.push(&made).await
    }

    async fn commit(
        &self,
        revisions: &Revisions,
        commit: &Commit,
        order: &RestoreOrder,
    ) -> Result<String, PortError> {
        let (Some(mode), Some(blob)) = (commit.mode(), commit.blob()) else {
            let text = format!("`{}` left no file", order.revision);
            return Err(PortError::not_applied(ErrorKind::Failed, text));
        };
        // Nobody else works on the copy: a lock on its index is that of a host that was killed.
        self.in_data(|dir| {
            folder::remove(dir, "copy.git/index.lock")
                .map_err(|error| folder::local(error, "cannot prepare the copy of the repository"))
        })
        .await?;
        self.git.word(&["read-tree", &revisions.tip]).await?;
        let entry = format!("{mode},{blob},{}", self.path);
        self.git.word(&["update-index", "--add", "--replace", "--cacheinfo", &entry]).await?;
        let tree = self.git.word(&["write-tree"]).await?;
        let [name, email] = &self.author;
        let (name, email) = (format!("user.name={name}"), format!("user.email={email}"));
        let text = self.message(commit, order);
        self.git
            .word(&["-c", &name, "-c", &email, "commit-tree", &tree, "-p", &revisions.tip, "-m", &text])
            .await
    }

    fn message(&self, commit: &Commit, order: &RestoreOrder) -> String {
        let short = &order.revision.as_str()[..order.revision.as_str().len().min(12)];
        format!(
            "Restore {} as of {short}\n\nRipcord put it back in the incident {}.\n\nRipcord-Incident: {}\nRipcord-Plan: {}\nRipcord-Restores: {}\nRipcord-Key: {}\n",
            self.path,
            order.incident,
            order.incident,
            order.plan,
            commit.name,
            Foreign::new(&on_one_line(&order.key))
        )
    }

    async fn push(&self, commit: &str) -> Result<(), PortError> {
        let refspec = format!("{commit}:refs/heads/{}", self.git.branch_name());
        let pushed = self.git.run(&["push", "--porcelain", self.git.remote(), &refspec]).await;
        let error = match pushed {
            Ok(ran) if ran.code == 0 => return Ok(()),
            Ok(ran) => self.refused(&ran),
            Err(NotRun::NotStarted(error)) => return Err(error),
            Err(NotRun::Ended(error)) => error,
        };
        // An answer may have been lost, or a network that repeats has the second of two refused.
        match self.git.fetch().await {
            Ok(tip) if self.git.is_within(commit, &tip).await.unwrap_or(false) => Ok(()),
            Ok(_) => Err(error),
            Err(_) if error.kind == ErrorKind::Conflict => Err(error),
            Err(_) => Err(error.outcome_unknown()),
        }
    }

    /// What it means that a push failed.
    fn refused(&self, ran: &Ran) -> PortError {
        let printed = String::from_utf8_lossy(&ran.output).into_owned();
        let line = printed.lines().find(|line| line.starts_with('!')).unwrap_or_default();
        let (said, branch) = (ran.said(), self.git.branch());
        let why = summary(line.rsplit('\t').next().unwrap_or_default());
        if line.contains("[rejected]")
            || line.contains("cannot lock ref")
            || line.contains("failed to update ref")
        {
            return PortError::not_applied(
                ErrorKind::Conflict,
                format!(
                    "somebody else has pushed to {branch} since it was read, and nothing is forced: {why}"
                ),
            );
        }
        if line.contains("currently checked out") {
            return PortError::not_applied(
                ErrorKind::Place,
                format!(
                    "{branch} is checked out there, and git pushes nothing under a working tree unasked: run `git -C {} config receive.denyCurrentBranch updateInstead`",
                    self.git.shown()
                ),
            );
        }
        if line.contains("unstaged changes") || line.contains("staged changes") {
            return PortError::not_applied(
                ErrorKind::Place,
                format!(
                    "the working tree of {} has changes that no commit holds: commit or discard them there",
                    self.git.shown()
                ),
            );
        }
        if !line.is_empty() {
            return PortError::not_applied(
                ErrorKind::Denied,
                format!("{branch} takes no push from here: {why}; give this host the right to push to it"),
            );
        }
        // Before the first byte was sent, git asks what is there.
        let unsent = ["unable to access", "Authentication failed", "could not read Username", "not found"];
        let error = self.git.failed(ran);
        if unsent.iter().any(|part| said.contains(part)) && !said.contains("RPC failed") {
            error
        } else {
            error.outcome_unknown()
        }
    }
}
