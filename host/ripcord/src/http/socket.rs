//! A socket whose peer must take what it asked for.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// A peer that takes an answer more slowly than this counts as one that does not read.
const BYTES_A_SECOND_MIN: u64 = 16 << 10;

/// Writing fails once the peer has taken too little for `patience`. Reading has its deadlines where it is known what is read.
#[derive(Debug)]
pub(crate) struct Socket<S> {
    inner: S,
    patience: Duration,
    /// While the peer has not taken all that it was sent.
    deadline: Option<Pin<Box<Sleep>>>,
}

impl<S> Socket<S> {
    pub(crate) fn new(inner: S, patience: Duration) -> Self {
        Self { inner, patience, deadline: None }
    }

    /// What came of sending `wanted` bytes.
    fn judge(
        &mut self,
        context: &mut Context<'_>,
        sent: Poll<io::Result<usize>>,
        wanted: usize,
    ) -> Poll<io::Result<usize>> {
        match sent {
            Poll::Ready(Ok(sent)) if sent >= wanted => {
                self.deadline = None;
                Poll::Ready(Ok(sent))
            }
            Poll::Ready(Ok(sent)) => {
                // Taken, but slowly: it has as much longer as so many bytes may take.
                if let Some(deadline) = &mut self.deadline {
                    let more = Duration::from_millis(sent as u64 * 1_000 / BYTES_A_SECOND_MIN);
                    let later = deadline.deadline() + more;
                    deadline.as_mut().reset(later);
                }
                Poll::Ready(Ok(sent))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => {
                let patience = self.patience;
                let deadline = self
                    .deadline
                    .get_or_insert_with(|| Box::pin(tokio::time::sleep_until(Instant::now() + patience)));
                ready!(deadline.as_mut().poll(context));
                Poll::Ready(Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "the peer does not read its answers",
                )))
            }
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Socket<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Socket<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let sent = Pin::new(&mut self.inner).poll_write(context, bytes);
        self.judge(context, sent, bytes.len())
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let sent = Pin::new(&mut self.inner).poll_write_vectored(context, parts);
        self.judge(context, sent, parts.iter().map(|part| part.len()).sum())
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_never_reads_is_given_up() {
        let (ours, _theirs) = duplex(1_024);
        let (mut socket, began) = (Socket::new(ours, PATIENCE), Instant::now());
        let error = socket.write_all(&[0; 4_096]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(began.elapsed(), PATIENCE, "by the test's clock");
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_reads_drop_by_drop_is_given_up() {
        let (ours, mut theirs) = duplex(1_024);
        let mut socket = Socket::new(ours, PATIENCE);
        let drip = async {
            let mut drop = [0; 16];
            while theirs.read_exact(&mut drop).await.is_ok() {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        };
        let error = tokio::select! {
            sent = socket.write_all(&[0; 64 << 10]) => sent.unwrap_err(),
            () = drip => panic!("the peer went first"),
        };
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_is_slow_but_reads_gets_all() {
        let (ours, mut theirs) = duplex(16 << 10);
        let mut socket = Socket::new(ours, PATIENCE);
        let slow = async {
            let (mut part, mut taken) = (vec![0; 32 << 10], 0);
            while taken < 1 << 20 {
                taken += theirs.read(&mut part).await.unwrap();
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        };
        let answer = vec![0; 1 << 20];
        let (sent, ()) = tokio::join!(socket.write_all(&answer), slow);
        sent.unwrap();
    }
}
