//! What the writer does when there is too much, when the disk fails, and when something becomes known
//! later.

use gateway::clock::Manual;
use gateway::config;
use gateway::metrics::{Metrics, ReceiptOutcome};
use gateway::receipts::{Amendment, Asked, Digested, Found, Receipts, Ticket, digest};
use gateway::shutdown::Shutdown;
use gateway::store::{self, Bounds, Kept, Owner, ReceiptFile};
use openapi::receipt::{Key, Receipt, Verified, verify};
use openapi::sign::PublicKey;
use serde_json::json;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tempfile::TempDir;
use uuid::Uuid;

use crate::harness::{chat, market, receipt};

const OWNER: Owner = [7; 32];
const REQUEST: &[u8] = b"a request";
const ANSWER: &[u8] = b"an answer";

struct Desk {
    receipts: Receipts,
    metrics: Arc<Metrics>,
    clock: Arc<Manual>,
    shutdown: Shutdown,
    _data: TempDir,
}

/// A store whose disk is full for so many batches.
#[derive(Debug)]
struct Failing {
    file: ReceiptFile,
    left: Arc<AtomicU32>,
}

impl store::Receipts for Failing {
    fn keep(&self, batch: u64, receipts: &[Kept], bounds: Bounds) -> Result<(), store::Error> {
        let left = self.left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
        match left {
            Ok(_) => {
                Err(store::Error::Failed { path: PathBuf::from("x"), cause: "no space".into() })
            }
            Err(_) => self.file.keep(batch, receipts, bounds),
        }
    }

    fn find(&self, id: Uuid) -> Result<Option<Kept>, store::Error> {
        self.file.find(id)
    }

    fn named(&self, owner: &Owner, name: &str) -> Result<Option<Kept>, store::Error> {
        self.file.named(owner, name)
    }

    fn count(&self) -> Result<u64, store::Error> {
        self.file.count()
    }

    fn last_batch(&self) -> Result<u64, store::Error> {
        self.file.last_batch()
    }

    fn keys(&self) -> Result<Vec<Key>, store::Error> {
        self.file.keys()
    }

    fn use_key(&self, key: PublicKey, now: i64) -> Result<(), store::Error> {
        self.file.use_key(key, now)
    }
}

/// Without a writer, until [`Desk::write`].
fn desk(settings: config::Receipts, failures: u32) -> (Desk, Arc<AtomicU32>) {
    let data = tempfile::tempdir().expect("a folder");
    let (metrics, clock) = (Arc::new(Metrics::new()), Arc::new(Manual::new(1_767_225_600_000)));
    let receipts = Receipts::new(settings, clock.clone(), metrics.clone());
    let left = Arc::new(AtomicU32::new(failures));
    let file = ReceiptFile::open(data.path()).expect("a store");
    let store = Box::new(Failing { file, left: left.clone() });
    receipts.open_with(store, data.path()).expect("opens");
    (Desk { receipts, metrics, clock, shutdown: Shutdown::new(), _data: data }, left)
}

impl Desk {
    async fn begin(&self, request_id: &str) -> Ticket {
        let asked = Asked {
            owner: OWNER,
            is_keyed: true,
            request_id: request_id.to_owned(),
            path: "/v1/chat/completions".to_owned(),
            request: digest(REQUEST).await,
        };
        self.receipts.begin(asked).expect("a ticket")
    }

    async fn answered(&self, request_id: &str) -> Uuid {
        let ticket = self.begin(request_id).await;
        let id = ticket.id();
        ticket.finish(digest(ANSWER).await);
        id
    }

    /// Writes all there is, and ends the writer.
    async fn write(&self) {
        self.shutdown.spawn(self.receipts.clone().run(self.shutdown.clone()));
        self.shutdown.finish(Duration::from_secs(60)).await;
    }

    fn find(&self, id: Uuid) -> Found {
        self.receipts.find(id, Some(&OWNER)).expect("read")
    }

    fn kept(&self, id: Uuid) -> Receipt {
        let Found::Receipt(kept) = self.find(id) else { panic!("{:?}", self.find(id)) };
        let keys: Vec<_> =
            self.receipts.keys().expect("keys").into_iter().map(|key| key.key).collect();
        verify(kept.receipt.as_bytes(), Some(REQUEST), Some(ANSWER), &keys).expect("it holds");
        serde_json::from_str(&kept.receipt).expect("a receipt")
    }

    fn counted(&self, outcome: ReceiptOutcome) -> u64 {
        self.metrics.receipts.get(outcome).get()
    }
}

#[tokio::test]
async fn many_are_signed_for_at_once_and_each_is_proved() {
    let (desk, _) = desk(config::Receipts::default(), 0);
    let mut ids = Vec::new();
    for number in 0..700 {
        ids.push(desk.answered(&format!("r{number}")).await);
    }
    assert!(matches!(desk.find(ids[0]), Found::Pending));
    desk.write().await;
    for (at, leaves) in [(0, 512), (1, 512), (300, 512), (511, 512), (512, 188), (699, 188)] {
        let proof = desk.kept(ids[at]).proof;
        assert_eq!((proof.root.leaves, proof.index), (leaves, at as u64 % 512));
    }
    assert_eq!(desk.counted(ReceiptOutcome::Written), 700);
}

#[tokio::test]
async fn with_a_full_queue_receipts_are_dropped_and_counted() {
    let (desk, _) = desk(config::Receipts { queued: 2, ..config::Receipts::default() }, 0);
    let mut ids = Vec::new();
    for number in 0..5 {
        ids.push(desk.answered(&format!("r{number}")).await);
    }
    assert_eq!(desk.counted(ReceiptOutcome::Dropped), 3);
    assert!(matches!(desk.find(ids[2]), Found::Unknown), "nobody waits for it any more");
    desk.write().await;
    assert_eq!(
        (desk.counted(ReceiptOutcome::Written), desk.receipts.count_kept().expect("read")),
        (2, 2)
    );
}

#[tokio::test]
async fn one_that_was_never_finished_leaves_nothing() {
    let (desk, _) = desk(config::Receipts::default(), 0);
    let ticket = desk.begin("r").await;
    let id = ticket.id();
    assert!(matches!(desk.find(id), Found::Pending));
    drop(ticket);
    assert!(matches!(desk.find(id), Found::Unknown));
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_fails_for_a_while_loses_nothing() {
    let (desk, left) = desk(config::Receipts::default(), 3);
    let id = desk.answered("r").await;
    desk.shutdown.spawn(desk.receipts.clone().run(desk.shutdown.clone()));
    let written = async {
        while desk.counted(ReceiptOutcome::Written) == 0 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), written).await.expect("written");
    assert_eq!(left.load(Ordering::SeqCst), 0);
    assert_eq!(desk.kept(id).proof.root.batch, 1, "what failed took no number");
}

#[tokio::test]
async fn a_disk_that_stays_full_at_the_end_is_counted() {
    let (desk, _) = desk(config::Receipts::default(), u32::MAX);
    desk.answered("r").await;
    desk.shutdown.begin();
    desk.write().await;
    assert_eq!(
        (desk.counted(ReceiptOutcome::Written), desk.counted(ReceiptOutcome::Dropped)),
        (0, 1)
    );
}

#[tokio::test]
async fn only_so_many_are_kept_and_only_so_long() {
    let settings = config::Receipts { kept: 3, kept_days: 10, ..config::Receipts::default() };
    let (desk, _) = desk(settings, 0);
    let mut ids = Vec::new();
    for number in 0..5 {
        ids.push(desk.answered(&format!("r{number}")).await);
        desk.clock.advance(Duration::from_secs(60));
    }
    desk.write().await;
    let found: Vec<bool> =
        ids.iter().map(|id| matches!(desk.find(*id), Found::Receipt(_))).collect();
    assert_eq!(found, [false, false, true, true, true]);
    assert!(desk.receipts.named(&OWNER, "r0").expect("read").is_none(), "its name went with it");
    assert!(desk.receipts.named(&OWNER, "r4").expect("read").is_some());
}

#[tokio::test]
async fn an_old_one_goes_when_another_comes() {
    let market = market("[receipts]\nkept_days = 1\n", &[json!({"tokens": 1})]).await;
    let old = market.chat(&chat(json!({}))).await;
    market.receipt_of(&old).await;
    market.clock.advance(Duration::from_secs(24 * 3600 + 1));
    let new = market.chat(&chat(json!({}))).await;
    market.receipt_of(&new).await;
    let gone = market.receipt(old.header("x-quorate-receipt")).await;
    assert_eq!(gone.code(), "receipt_not_found");
}

#[tokio::test]
async fn what_becomes_known_later_amends_it() {
    let market = market("", &[json!({"tokens": 1})]).await;
    let request = chat(json!({}));
    let answer = market.chat(&request).await;
    let first = receipt(&market.receipt_of(&answer).await);
    let id = gateway::receipts::read_id(&first.claims.id).expect("an id");
    let pass = Amendment { verified: Some(Verified::Pass), ..Amendment::default() };
    assert!(market.gateway.app.receipts.amend(id, pass));
    let amended = async {
        let mut ticks = tokio::time::interval(Duration::from_millis(5));
        loop {
            ticks.tick().await;
            let claims = market.checked(&request, &answer).await;
            if claims.revision > 0 {
                return claims;
            }
        }
    };
    let claims = tokio::time::timeout(Duration::from_secs(60), amended).await.expect("amended");
    assert_eq!((claims.revision, claims.verified), (1, Verified::Pass));
    assert_eq!(claims.amends, Some(first.proof.leaf));
}

#[tokio::test]
async fn an_amendment_in_the_same_batch_names_the_leaf_before_it() {
    let (desk, _) = desk(config::Receipts::default(), 0);
    let id = desk.answered("r").await;
    let unknown = Uuid::from_u128(1);
    for (id, verified) in [(id, Verified::Pending), (id, Verified::Fail), (unknown, Verified::Pass)]
    {
        assert!(
            desk.receipts.amend(id, Amendment { verified: Some(verified), ..Amendment::default() })
        );
    }
    desk.write().await;
    let receipt = desk.kept(id);
    assert_eq!((receipt.claims.revision, receipt.claims.verified), (2, Verified::Fail));
    assert_eq!((receipt.proof.root.leaves, receipt.proof.index), (3, 2));
    assert_eq!(desk.counted(ReceiptOutcome::Dropped), 1, "there is nothing to amend");
    assert_eq!(desk.receipts.count_kept().expect("read"), 1);
}

#[tokio::test]
async fn a_pieced_hash_is_the_whole_ones() {
    let bytes: Vec<u8> = (0..1_000_000u32).map(|number| number.to_le_bytes()[0]).collect();
    let mut hasher = gateway::receipts::Hasher::default();
    bytes.chunks(777).for_each(|piece| hasher.update(piece));
    let pieced: Digested = hasher.finish();
    assert_eq!(pieced, digest(&bytes).await);
    assert_eq!(pieced.bytes, 1_000_000);
}
