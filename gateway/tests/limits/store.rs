//! The store's file: one process at a time, and nothing lost when it is damaged.

use gateway::app::{self, App};
use gateway::auth::{Scope, mint};
use gateway::limit::Rules;
use gateway::store::{Error, File, Keys as _, Record};
use std::path::Path;

use crate::harness::settings;

fn record(name: &str) -> Record {
    mint(name.to_owned(), Rules::default(), Scope::default(), 1_767_225_600_000)
        .expect("random numbers")
        .record
}

fn app(data: &Path) -> Result<App, app::Error> {
    let addr = "127.0.0.1:1".parse().expect("an address");
    let text = settings(data, addr, "");
    App::new(gateway::config::parse(&text, &|_| None).expect("valid settings"))
}

/// A store with many keys, closed; and its bytes.
fn filled(data: &Path) -> Vec<u8> {
    let store = File::open(data).expect("opens");
    let records: Vec<Record> = (0..500).map(|number| record(&format!("key {number}"))).collect();
    store.insert(&records, 1000).expect("kept");
    drop(store);
    std::fs::read(data.join("keys.redb")).expect("read")
}

#[test]
fn one_process_has_it_at_a_time() {
    let data = tempfile::tempdir().expect("a folder");
    let held = app(data.path()).expect("an app");
    let error = app(data.path()).expect_err("it is in use");
    assert!(matches!(error, app::Error::Store(Error::InUse { .. })), "{error}");
    drop(held);
    app(data.path()).expect("free again");
}

#[test]
fn a_failed_change_changes_nothing() {
    let data = tempfile::tempdir().expect("a folder");
    let store = File::open(data.path()).expect("opens");
    store.insert(&[record("a")], 3).expect("kept");
    let error = store.insert(&[record("b"), record("a")], 3).expect_err("a is taken");
    assert!(matches!(error, Error::NameTaken(name) if name == "a"));
    let error = store.insert(&[record("b"), record("c"), record("d")], 3).expect_err("too many");
    assert!(matches!(error, Error::Full { keys_max: 3 }));
    assert!(matches!(store.remove("b"), Err(Error::Unknown(_))));
    let names: Vec<_> = store.list(None, 10).expect("read").into_iter().map(|r| r.name).collect();
    assert_eq!(names, ["a"]);
}

#[test]
fn a_damaged_store_is_refused_and_left_as_it_is() {
    let data = tempfile::tempdir().expect("a folder");
    let whole = filled(data.path());
    let path = data.path().join("keys.redb");
    let mut damages: Vec<(String, Vec<u8>)> = vec![
        ("empty".to_owned(), Vec::new()),
        ("another file".to_owned(), b"this is no store".to_vec()),
        ("cut".to_owned(), whole[..whole.len() / 2].to_vec()),
        ("cut short".to_owned(), whole[..100].to_vec()),
        ("another header".to_owned(), [&[0u8; 64][..], &whole[64..]].concat()),
    ];
    // Wherever a key's text lies.
    for name in ["\"key 7\"", "\"key 250\"", "\"key 499\""] {
        let at = whole.windows(name.len()).position(|text| text == name.as_bytes());
        let mut bytes = whole.clone();
        bytes[at.expect("a key")] ^= 0xff;
        damages.push((name.to_owned(), bytes));
    }
    for (what, bytes) in damages {
        std::fs::write(&path, &bytes).expect("written");
        let error = app(data.path()).expect_err(&what);
        let app::Error::Store(Error::Damaged { .. }) = &error else {
            panic!("{what}: {error}");
        };
        assert!(error.to_string().contains("keys.redb is damaged"), "{error}");
        assert!(std::fs::read(&path).expect("read") == bytes, "{what}: it was changed");
    }
    std::fs::write(&path, &whole).expect("written");
    let store = File::open(data.path()).expect("the copy opens");
    assert_eq!(store.each(&mut |_| {}).expect("read"), 500);
}

#[test]
fn a_folder_that_cannot_be_used_is_told() {
    let data = tempfile::tempdir().expect("a folder");
    std::fs::write(data.path().join("file"), "").expect("written");
    let error = File::open(&data.path().join("file")).expect_err("no folder");
    assert!(matches!(error, Error::Failed { .. }), "{error}");
}
