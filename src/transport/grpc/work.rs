//! Work off the async threads: one answer, or a stream of them that a slow client slows down and a
//! vanished client ends.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status};

use crate::application::AppError;
use crate::transport::grpc::limits::STREAM_BUFFER;
use crate::transport::grpc::rescue::panicked;
use crate::transport::grpc::status::{reason, transport_status};

/// The answers of a stream.
pub(in crate::transport) type Answers<T> = ReceiverStream<Result<T, Status>>;

/// Whether anybody still waits for the answer.
pub(super) struct Caller(oneshot::Sender<()>);

impl Caller {
    /// True if the caller went away or the deadline has passed.
    pub(super) fn is_gone(&self) -> bool {
        self.0.is_closed()
    }
}

/// Does blocking work and waits for its answer.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce(&Caller) -> Result<T, AppError> + Send + 'static,
) -> Result<T, AppError> {
    let (caller, _waiting) = oneshot::channel();
    let caller = Caller(caller);
    match tokio::task::spawn_blocking(move || work(&caller)).await {
        Ok(answer) => answer,
        Err(error) if error.is_panic() => Err(AppError::Internal("a call panicked".to_owned())),
        Err(_) => Err(AppError::Stopping),
    }
}

/// What long streams share: how many there may be, and whether the service ends.
#[derive(Debug, Clone)]
pub(in crate::transport) struct Streams {
    bulk: Arc<Semaphore>,
    stopping: watch::Receiver<bool>,
}

/// Why a stream ends before its work is done.
pub(super) enum Ended {
    /// Nobody listens.
    CallerGone,
    /// The caller hears why.
    With(AppError),
}

impl From<AppError> for Ended {
    fn from(error: AppError) -> Self {
        Self::With(error)
    }
}

/// The way out of a stream's work.
pub(super) struct Outlet<T> {
    answers: mpsc::Sender<Result<T, Status>>,
    stopping: watch::Receiver<bool>,
}

impl<T> Outlet<T> {
    /// Hands over one answer; waits while the client is slower than the work.
    pub(super) fn send(&self, answer: T) -> Result<(), Ended> {
        self.check()?;
        self.answers
            .blocking_send(Ok(answer))
            .map_err(|_| Ended::CallerGone)
    }

    /// Ends the work if nobody listens or the service ends; for work that has found nothing to send
    /// for a while.
    pub(super) fn check(&self) -> Result<(), Ended> {
        if self.answers.is_closed() {
            Err(Ended::CallerGone)
        } else if *self.stopping.borrow() {
            Err(Ended::With(AppError::Stopping))
        } else {
            Ok(())
        }
    }
}

impl Streams {
    /// At most `bulk` bulk streams at a time; all end when `stopping` says so.
    pub(in crate::transport) fn new(bulk: usize, stopping: watch::Receiver<bool>) -> Self {
        Self {
            bulk: Arc::new(Semaphore::new(bulk)),
            stopping,
        }
    }

    /// Keeps a place for a bulk stream.
    pub(super) fn place(&self) -> Result<OwnedSemaphorePermit, Status> {
        Arc::clone(&self.bulk).try_acquire_owned().map_err(|_| {
            let text = "more bulk streams are running than the service takes";
            transport_status(Code::ResourceExhausted, reason::OVERLOADED, text)
        })
    }

    /// Streams what `work` sends, from a thread that may block; `place` is given back when it ends.
    pub(super) fn bulk<T: Send + 'static>(
        &self,
        place: OwnedSemaphorePermit,
        work: impl FnOnce(&Outlet<T>) -> Result<(), Ended> + Send + 'static,
    ) -> Answers<T> {
        let (answers, stream) = mpsc::channel(STREAM_BUFFER);
        let outlet = Outlet {
            answers,
            stopping: self.stopping.clone(),
        };
        tokio::task::spawn_blocking(move || {
            // without this a panic would look like the end of the stream
            let end = match catch_unwind(AssertUnwindSafe(|| work(&outlet))) {
                Ok(Ok(()) | Err(Ended::CallerGone)) => None,
                Ok(Err(Ended::With(error))) => Some(error.into()),
                Err(_) => Some(panicked()),
            };
            if let Some(status) = end {
                // a caller who is gone needs no reason
                let _ = outlet.answers.blocking_send(Err(status));
            }
            drop(place);
        });
        ReceiverStream::new(stream)
    }

    /// Streams what a watched value is, then every change, until `is_last`.
    pub(super) fn changes<V, T>(
        &self,
        mut value: watch::Receiver<V>,
        is_last: impl Fn(&V) -> bool + Send + 'static,
        render: impl Fn(&V) -> T + Send + 'static,
    ) -> Answers<T>
    where
        V: Send + Sync + 'static,
        T: Send + 'static,
    {
        let (answers, stream) = mpsc::channel(1);
        let mut stopping = self.stopping.clone();
        tokio::spawn(async move {
            loop {
                let (answer, last) = {
                    let now = value.borrow_and_update();
                    (render(&now), is_last(&now))
                };
                if answers.send(Ok(answer)).await.is_err() || last {
                    return;
                }
                let end = tokio::select! {
                    changed = value.changed() => match changed {
                        Ok(()) => continue,
                        Err(_) => AppError::Internal("a run vanished before its end".to_owned()),
                    },
                    _ = stopping.wait_for(|stopping| *stopping) => AppError::Stopping,
                    () = answers.closed() => return,
                };
                // a caller who is gone needs no reason
                let _ = answers.send(Err(end.into())).await;
                return;
            }
        });
        ReceiverStream::new(stream)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio_stream::StreamExt as _;

    fn streams() -> (watch::Sender<bool>, Streams) {
        let (stop, stopping) = watch::channel(false);
        (stop, Streams::new(1, stopping))
    }

    /// Sends numbers without end, and counts them.
    fn numbers(
        sent: Arc<AtomicUsize>,
    ) -> impl FnOnce(&Outlet<usize>) -> Result<(), Ended> + Send + 'static {
        move |outlet| {
            loop {
                outlet.send(sent.fetch_add(1, Ordering::SeqCst))?;
            }
        }
    }

    #[tokio::test]
    async fn a_slow_client_holds_memory_flat_and_a_vanished_one_ends_the_work() {
        let (_stop, streams) = streams();
        let sent = Arc::new(AtomicUsize::new(0));
        let mut stream = streams.bulk(streams.place().unwrap(), numbers(Arc::clone(&sent)));
        for expected in 0..100 {
            assert_eq!(stream.next().await.unwrap().unwrap(), expected);
        }
        // what was read, what waits, and the one in hand
        assert!(sent.load(Ordering::SeqCst) <= 100 + STREAM_BUFFER + 2);
        assert!(streams.place().is_err());
        drop(stream);
        while streams.place().is_err() {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn the_end_of_the_service_and_a_panic_end_a_stream_with_a_reason() {
        let (stop, streams) = streams();
        let sent = Arc::new(AtomicUsize::new(0));
        let mut stream = streams.bulk(streams.place().unwrap(), numbers(sent));
        assert!(stream.next().await.unwrap().is_ok());
        stop.send(true).unwrap();
        let end = loop {
            match stream.next().await.unwrap() {
                Ok(_) => {}
                Err(status) => break status,
            }
        };
        assert_eq!(end.code(), Code::Unavailable);

        let (_stop, streams) = self::streams();
        let place = streams.place().unwrap();
        let mut stream = streams.bulk(place, |_: &Outlet<u8>| panic!("a fault of the test"));
        let end = stream.next().await.unwrap().unwrap_err();
        assert_eq!(end.code(), Code::Internal);
        assert!(stream.next().await.is_none());
    }

    #[tokio::test]
    async fn changes_end_with_the_last() {
        let (_stop, streams) = streams();
        let (value, watched) = watch::channel(1);
        let mut stream = streams.changes(watched, |v| *v == 3, |v| v * 10);
        assert_eq!(stream.next().await.unwrap().unwrap(), 10);
        value.send(3).unwrap();
        assert_eq!(stream.next().await.unwrap().unwrap(), 30);
        assert!(stream.next().await.is_none());
    }

    #[tokio::test]
    async fn blocking_work_hears_that_the_caller_is_gone() {
        let (done, heard) = oneshot::channel();
        let (began, begun) = oneshot::channel();
        let call = tokio::spawn(blocking(move |caller| {
            began.send(()).unwrap();
            while !caller.is_gone() {
                std::thread::yield_now();
            }
            done.send(()).unwrap();
            Ok(())
        }));
        begun.await.unwrap();
        call.abort();
        heard.await.unwrap();
        let broken = blocking(|_| -> Result<(), AppError> { panic!("a fault of the test") }).await;
        assert!(matches!(broken, Err(AppError::Internal(_))));
    }
}
