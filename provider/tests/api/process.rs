//! The binary itself: its one line on standard output, its signals, its parent.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, Stdio};

fn spawn(arguments: &[&str]) -> (Child, SocketAddr) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_quorate-provider"))
        .args(["--engine", "scripted", "--listen", "127.0.0.1:0"])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    let addr = line.trim().strip_prefix("listening on http://").unwrap().parse().unwrap();
    (child, addr)
}

fn get(addr: SocketAddr, path: &str) -> String {
    let mut socket = TcpStream::connect(addr).unwrap();
    write!(socket, "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn serves_and_ends_on_a_signal() {
    let (mut child, addr) = spawn(&["--model-id", "m"]);
    assert!(get(addr, "/v1/models/m").starts_with("HTTP/1.1 200 "));
    let killed = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    assert!(child.wait().unwrap().success());
}

#[test]
fn ends_with_its_parent() {
    let (mut child, addr) = spawn(&["--exit-with-parent"]);
    assert!(get(addr, "/healthz").starts_with("HTTP/1.1 200 "));
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
}

#[test]
fn says_what_is_wrong_and_fails() {
    let run = |arguments: &[&str]| {
        let output =
            Command::new(env!("CARGO_BIN_EXE_quorate-provider")).args(arguments).output().unwrap();
        assert!(!output.status.success());
        String::from_utf8(output.stderr).unwrap()
    };
    let text = run(&["serve", "--engine", "upstream", "--listen", "127.0.0.1:0"]);
    assert!(text.contains("upstream.base_url"), "{text}");
    let (mut child, addr) = spawn(&[]);
    let text = run(&["--engine", "scripted", "--listen", &addr.to_string()]);
    assert!(text.contains("can't listen on"), "{text}");
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn prints_the_contract() {
    let output =
        Command::new(env!("CARGO_BIN_EXE_quorate-provider")).arg("openapi").output().unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    assert_eq!(printed, provider::cli::contract().unwrap() + "\n");
}
