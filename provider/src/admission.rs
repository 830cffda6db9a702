//! Who may run now and who waits. At most `capacity` jobs run, a bounded first-in-first-out queue
//! waits, the rest is refused with a prediction of when to come back. It knows no engine and no HTTP.

use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::Instant;

/// Weight of the newest service time in the running mean.
const NEWEST: f64 = 0.2;
/// Prediction before anything was measured, and the least that is ever predicted.
const RETRY_AFTER_MIN: Duration = Duration::from_secs(1);

/// Shared by all requests; clones are handles to the same queue.
#[derive(Debug, Clone)]
pub struct Admission {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    capacity: usize,
    queue_max: usize,
    running: Arc<Semaphore>,
    load: watch::Sender<Load>,
}

/// Who is in, and how long a job has been taking.
#[derive(Debug, Clone, Copy, Default)]
struct Load {
    /// Running and waiting jobs.
    inside: usize,
    running: usize,
    /// Running mean of the time a job holds its permit.
    service: Option<Duration>,
}

/// The queue is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Full {
    /// When the jobs that wait now will have been served, as far as the past tells. At least 1 s.
    pub retry_after: Duration,
}

/// A place in the queue, given back on drop.
#[derive(Debug)]
pub struct Ticket {
    shared: Arc<Shared>,
}

/// The right to run one job, given back on drop.
#[derive(Debug)]
pub struct Permit {
    ticket: Ticket,
    _running: OwnedSemaphorePermit,
    started: Instant,
}

// === impl Admission ===

impl Admission {
    /// `capacity` is at least 1.
    pub fn new(capacity: usize, queue_max: usize) -> Self {
        let capacity = capacity.clamp(1, Semaphore::MAX_PERMITS);
        Self {
            shared: Arc::new(Shared {
                capacity,
                queue_max,
                running: Arc::new(Semaphore::new(capacity)),
                load: watch::Sender::new(Load::default()),
            }),
        }
    }

    /// The most jobs that can ever be inside together.
    pub fn room(&self) -> usize {
        self.shared.capacity.saturating_add(self.shared.queue_max)
    }

    /// Places for `jobs` jobs of one request, all or none.
    pub fn reserve(&self, jobs: usize) -> Result<Vec<Ticket>, Full> {
        let room = self.room();
        let let_in = self.shared.load.send_if_modified(|load| {
            let fits = load.inside.saturating_add(jobs) <= room;
            if fits {
                load.inside += jobs;
            }
            fits
        });
        if !let_in {
            return Err(Full { retry_after: self.retry_after() });
        }
        Ok((0..jobs).map(|_| Ticket { shared: Arc::clone(&self.shared) }).collect())
    }

    /// Jobs that hold a permit.
    pub fn running(&self) -> usize {
        self.shared.load.borrow().running
    }

    /// Jobs that wait for one.
    pub fn waiting(&self) -> usize {
        let load = *self.shared.load.borrow();
        load.inside.saturating_sub(load.running)
    }

    /// Who runs and who waits.
    pub fn load(&self) -> openapi::node::control::Load {
        let load = *self.shared.load.borrow();
        let count = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        openapi::node::control::Load {
            running: count(load.running),
            queued: count(load.inside.saturating_sub(load.running)),
            kv_used: None,
        }
    }

    /// Resolves when nobody runs or waits.
    pub async fn idle(&self) {
        // The sender lives in `self`, so this can't fail.
        let _ = self.shared.load.subscribe().wait_for(|load| load.inside == 0).await;
    }

    fn retry_after(&self) -> Duration {
        let load = *self.shared.load.borrow();
        let Some(service) = load.service else { return RETRY_AFTER_MIN };
        let ahead = load.inside.saturating_sub(load.running);
        let rounds = ahead.max(1) as f64 / self.shared.capacity as f64;
        Duration::try_from_secs_f64(service.as_secs_f64() * rounds)
            .unwrap_or(Duration::MAX)
            .max(RETRY_AFTER_MIN)
    }
}

// === impl Ticket ===

impl Ticket {
    /// Waits for its turn. Dropping the future gives the place back.
    pub async fn run(self) -> Permit {
        let running = loop {
            // The semaphore is never closed, so the first try succeeds.
            if let Ok(permit) = Arc::clone(&self.shared.running).acquire_owned().await {
                break permit;
            }
            std::future::pending::<()>().await;
        };
        self.shared.load.send_modify(|load| load.running += 1);
        Permit { ticket: self, _running: running, started: Instant::now() }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.shared.load.send_modify(|load| load.inside = load.inside.saturating_sub(1));
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let took = self.started.elapsed();
        self.ticket.shared.load.send_modify(|load| {
            load.running = load.running.saturating_sub(1);
            load.service = Some(match load.service {
                Some(mean) => mean.mul_f64(1.0 - NEWEST) + took.mul_f64(NEWEST),
                None => took,
            });
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(admission: &Admission) -> Ticket {
        admission.reserve(1).unwrap().pop().unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn beyond_the_queue_the_prediction_follows_the_measured_service_time() {
        let admission = Admission::new(1, 2);
        let first = one(&admission).run().await;
        let (second, third) = (one(&admission), one(&admission));
        assert_eq!((admission.running(), admission.waiting()), (1, 2));
        // Nothing measured yet.
        assert_eq!(admission.reserve(1).unwrap_err().retry_after, Duration::from_secs(1));
        tokio::time::advance(Duration::from_secs(10)).await;
        drop(first);
        let second = second.run().await;
        let fourth = one(&admission);
        // Two wait, each takes 10 s.
        assert_eq!(admission.reserve(1).unwrap_err().retry_after, Duration::from_secs(20));
        drop((second, third, fourth));
        admission.idle().await;
        assert_eq!((admission.running(), admission.waiting()), (0, 0));
    }

    #[tokio::test]
    async fn leaving_the_queue_makes_room() {
        let admission = Admission::new(1, 1);
        let running = one(&admission).run().await;
        let waiting = one(&admission);
        {
            let mut waits = std::pin::pin!(waiting.run());
            assert!(futures_util::poll!(waits.as_mut()).is_pending());
            assert!(admission.reserve(1).is_err());
        }
        let next = one(&admission);
        drop(running);
        next.run().await;
    }

    #[tokio::test]
    async fn choices_of_one_request_enter_together_or_not_at_all() {
        let admission = Admission::new(2, 1);
        assert!(admission.reserve(4).is_err());
        assert_eq!(admission.waiting(), 0);
        assert_eq!(admission.reserve(3).unwrap().len(), 3);
    }
}
