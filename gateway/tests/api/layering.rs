//! Which part may know which. Read from the sources, so that a wrong `use` fails here.

use std::fs;
use std::path::{Path, PathBuf};

fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|e| e == "rs") && !path.ends_with("tests.rs") {
            found.push(path);
        }
    }
}

/// The module's file and folder.
fn module(name: &str) -> Vec<PathBuf> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    sources(&src.join(name), &mut found);
    let file = src.join(format!("{name}.rs"));
    if file.exists() {
        found.push(file);
    }
    found
}

/// Lines of code, without comments and the tests at a file's end.
fn code(path: &Path) -> Vec<String> {
    let text = fs::read_to_string(path).expect("a source");
    let code = text.split("#[cfg(test)]\nmod ").next().unwrap_or_default();
    code.lines().filter(|line| !line.trim_start().starts_with("//")).map(str::to_owned).collect()
}

fn refuse(files: &[PathBuf], words: &[&str]) {
    for path in files {
        for (number, line) in code(path).iter().enumerate() {
            for word in words {
                assert!(!line.contains(word), "{}:{}: {line}", path.display(), number + 1);
            }
        }
    }
}

#[test]
fn plain_logic_knows_no_server_no_socket_and_no_clock() {
    for name in ["route", "stream", "request", "limit", "responses"] {
        refuse(
            &module(name),
            &[
                "axum",
                "hyper",
                "tokio::",
                "crate::http::",
                "crate::app",
                "crate::store",
                "SystemTime",
            ],
        );
    }
}

#[test]
fn the_server_knows_no_route_and_no_key() {
    refuse(&module("server"), &["crate::http", "crate::auth", "crate::app"]);
}

#[test]
fn one_file_reads_the_clock() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&src, &mut files);
    files.retain(|path| path.file_name().is_some_and(|name| name != "clock.rs"));
    refuse(&files, &["SystemTime", "std::time::Instant::now"]);
}

#[test]
fn tasks_are_spawned_through_the_tracker() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&src, &mut files);
    refuse(&files, &["tokio::spawn", "tokio::task::spawn(", "thread::spawn", "JoinSet"]);
}

#[test]
fn the_wire_types_know_no_workspace_crate_and_no_server() {
    let manifest =
        fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../openapi/Cargo.toml"))
            .expect("a manifest");
    let dependencies: Vec<&str> = manifest
        .lines()
        .skip_while(|line| *line != "[dependencies]")
        .skip(1)
        .take_while(|line| !line.starts_with('['))
        .filter_map(|line| line.split(['.', ' ', '=']).next())
        .filter(|name| !name.is_empty())
        .collect();
    assert!(!dependencies.is_empty());
    for name in ["gateway", "provider", "quorate", "axum", "hyper", "tokio", "reqwest"] {
        assert!(!dependencies.contains(&name), "openapi depends on {name}");
    }
}
