//! How fast an upload comes, as far as its client is to blame: only the time in which the server waits for a frame
//! counts. An upload that holds memory and hardly moves gives way while others wait for that memory, so that a few slow
//! clients cannot keep everybody from putting.

use std::time::Duration;

use futures::Stream;
use futures::StreamExt;
use tokio::time::Instant;
use tokio::time::timeout;
use tonic::Status;

use crate::limits;
use crate::patience::Patience;

/// The pace of one upload.
#[derive(Debug)]
pub(crate) struct Pace {
    patience: Patience,
    waited: Duration,
    bytes: usize,
}

/// Why an upload is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TooSlow {
    /// Nothing came for as long as the server waits at all.
    Silent,
    /// Little came while others waited.
    InTheWay,
}

impl From<TooSlow> for Status {
    fn from(why: TooSlow) -> Self {
        match why {
            TooSlow::Silent => {
                Self::deadline_exceeded("No data came for a minute, so the put was given up. Send it again.")
            }
            TooSlow::InTheWay => Self::resource_exhausted(
                "The upload was too slow while other puts waited for memory. Send it again later, or faster.",
            ),
        }
    }
}

impl Pace {
    pub(crate) fn new(patience: Patience) -> Self {
        Self { patience, waited: Duration::ZERO, bytes: 0 }
    }

    /// Waits for the next frame, none at the end; `in_the_way` tells whether the upload holds memory that others wait for.
    pub(crate) async fn next<S: Stream + Unpin>(
        &mut self,
        frames: &mut S,
        in_the_way: impl Fn() -> bool,
    ) -> Result<Option<S::Item>, TooSlow> {
        let begun = Instant::now();
        loop {
            let left = self.patience.pace.saturating_sub(self.waited);
            let waiting = Instant::now();
            let next = timeout(left, frames.next()).await;
            self.waited += waiting.elapsed();
            if self.waited >= self.patience.pace {
                if self.bytes < limits::PACE_BYTES_MIN && in_the_way() {
                    return Err(TooSlow::InTheWay);
                }
                (self.waited, self.bytes) = (Duration::ZERO, 0);
            }
            match next {
                Ok(frame) => return Ok(frame),
                Err(_) if begun.elapsed() >= self.patience.message => return Err(TooSlow::Silent),
                Err(_) => {}
            }
        }
    }

    /// So many bytes came.
    pub(crate) fn brought(&mut self, bytes: usize) {
        self.bytes = self.bytes.saturating_add(bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::stream;
    use tokio::time::sleep;

    /// A frame each so many seconds.
    fn every(seconds: u64) -> impl Stream<Item = ()> + Unpin {
        Box::pin(stream::unfold((), move |()| async move {
            sleep(Duration::from_secs(seconds)).await;
            Some(((), ()))
        }))
    }

    #[tokio::test(start_paused = true)]
    async fn silence_ends_an_upload_and_sooner_in_the_way() {
        let mut never = stream::pending::<()>();
        let begun = Instant::now();
        let mut pace = Pace::new(Patience::default());
        assert_eq!(pace.next(&mut never, || false).await, Err(TooSlow::Silent));
        assert!(begun.elapsed() >= limits::UPLOAD_PAUSE_MAX);
        let begun = Instant::now();
        assert_eq!(pace.next(&mut never, || true).await, Err(TooSlow::InTheWay));
        assert!(begun.elapsed() <= limits::PACE_WINDOW);
    }

    #[tokio::test(start_paused = true)]
    async fn dripping_is_no_better_than_silence() {
        for (bytes, goes_on) in [(1, false), (limits::PACE_BYTES_MIN, true)] {
            let mut pace = Pace::new(Patience::default());
            let mut frames = every(1);
            let mut came = 0;
            while came < 20 {
                match pace.next(&mut frames, || true).await {
                    Ok(_) => pace.brought(bytes),
                    Err(why) => {
                        assert_eq!(why, TooSlow::InTheWay);
                        break;
                    }
                }
                came += 1;
            }
            assert_eq!(came == 20, goes_on, "{bytes} bytes a second: {came} frames");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_upload_in_nobody_s_way_may_drip() {
        let mut pace = Pace::new(Patience::default());
        let mut frames = every(50);
        for _ in 0..100 {
            assert!(pace.next(&mut frames, || false).await.unwrap().is_some());
        }
    }
}
