//! The commands: how `up` starts and ends, what it leaves, and a gateway whose upstreams are down.

use crate::harness::{
    Api, Market, endless, fetch, files_below, guarded, is_running, line_with, quorate, signal, user,
};
use serde_json::Value;
use std::{net::TcpListener, process::Stdio};

#[tokio::test]
async fn ctrl_c_drains_and_leaves_nothing_running() {
    guarded(async {
        let mut market = Market::start(3).await;
        let mut stream = market.api.stream(&endless(200)).await;
        stream.first_content().await;
        signal("-INT", market.pid());
        let rest = stream.rest().await;
        assert_eq!(rest.last(), Some(&crate::harness::Event::Done), "the open answer is finished");
        let status = market.process.wait().await.unwrap();
        assert!(status.success(), "{status}");
        for provider in &market.providers {
            assert!(!is_running(provider.pid), "{} is still there", provider.name);
        }
    })
    .await;
}

#[tokio::test]
async fn a_killed_parent_takes_its_providers_with_it() {
    guarded(async {
        let mut market = Market::start(2).await;
        signal("-9", market.pid());
        market.process.wait().await.unwrap();
        while market.providers.iter().any(|provider| is_running(provider.pid)) {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn the_data_folder_holds_the_key_for_its_owner_alone() {
    guarded(async {
        use std::os::unix::fs::PermissionsExt as _;
        let market = Market::start(1).await;
        let files = files_below(market.data.path());
        assert!(files.iter().any(|file| file.ends_with("model.safetensors")), "{files:?}");
        let key = market.data.path().join("dev_key");
        assert_eq!(std::fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
        let text = std::fs::read_to_string(&key).unwrap();
        assert!(market.banner.contains(text.trim()), "the printed key is the kept one");
    })
    .await;
}

#[tokio::test]
async fn keys_are_made_and_revoked_while_the_market_runs() {
    guarded(async {
        let market = Market::start(1).await;
        let data = market.data.path().to_str().unwrap().to_owned();
        let run = async |args: &[&str]| {
            let mut line = vec!["key", "--data", &data];
            line.extend_from_slice(args);
            let output = quorate(&line).output().await.unwrap();
            let (out, err) = (output.stdout, String::from_utf8_lossy(&output.stderr).into_owned());
            assert!(output.status.success(), "{args:?}: {err}");
            String::from_utf8(out).unwrap()
        };
        let made = run(&["create", "--name", "alice", "--requests-per-minute", "1"]).await;
        let key = made.trim();
        assert!(key.starts_with("qk_") && !key.contains(char::is_whitespace), "{made}");
        let alice = market.api.with_key(key);
        assert_eq!(alice.chat(&user("What is 7 plus 5?")).await.0, 200);
        let (status, refusal) = alice.chat(&user("What is 7 plus 5?")).await;
        assert_eq!(
            (status.as_u16(), &refusal["error"]["code"]),
            (429, &"rate_limit_exceeded".into())
        );
        let list = run(&["list"]).await;
        assert!(list.contains("alice") && !list.contains(key), "{list}");
        run(&["revoke", "alice"]).await;
        assert_eq!(alice.get("/models").await.0, 401);
    })
    .await;
}

#[tokio::test]
async fn a_taken_port_is_said_at_once() {
    guarded(async {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let addr = taken.local_addr().unwrap().to_string();
        let data = tempfile::tempdir().unwrap();
        let output = quorate(&["up", "--listen", &addr, "--data", data.path().to_str().unwrap()])
            .stderr(Stdio::piped())
            .output()
            .await
            .unwrap();
        assert!(!output.status.success());
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.contains(&addr) && text.contains("--listen"), "{text}");
        assert_eq!(files_below(data.path()), Vec::<String>::new(), "nothing was made");
    })
    .await;
}

#[tokio::test]
async fn a_provider_that_cannot_start_is_explained() {
    guarded(async {
        let data = tempfile::tempdir().unwrap();
        let empty = data.path().join("empty-model");
        std::fs::create_dir(&empty).unwrap();
        let output = quorate(&[
            "--listen",
            "127.0.0.1:0",
            "--admin",
            "127.0.0.1:0",
            "--model",
            empty.to_str().unwrap(),
            "--data",
            data.path().join("data").to_str().unwrap(),
        ])
        .stderr(Stdio::piped())
        .output()
        .await
        .unwrap();
        assert!(!output.status.success());
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.contains("provider op-") && text.contains("empty-model"), "{text}");
    })
    .await;
}

#[tokio::test]
async fn the_gateway_starts_with_every_upstream_down() {
    guarded(async {
        let data = tempfile::tempdir().unwrap();
        let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let config = data.path().join("gateway.toml");
        let text = format!(
            "[server]\nlisten = \"127.0.0.1:0\"\nadmin_listen = \"127.0.0.1:0\"\ndata_dir = {:?}\n\
             [[key]]\nname = \"test\"\nkey = \"qk_test_0123456789abcdef\"\n\
             [[upstream]]\nid = \"down\"\nbase_url = \"http://{closed}/v1\"\nallow_private = true\n\
             models = [{{ id = \"pip\", upstream_model = \"pip\" }}]\n",
            data.path()
        );
        std::fs::write(&config, text).unwrap();
        let path = config.to_str().unwrap();
        let checked = quorate(&["check-config", path]).output().await.unwrap();
        assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));

        let mut process = quorate(&["gateway", "--config", path]).spawn().unwrap();
        let url = line_with(&mut process, "listening on ").await;
        assert!(fetch(&format!("{url}/healthz")).await.0.is_success());
        let api = Api::new(&format!("{url}/v1"), "qk_test_0123456789abcdef");
        let (status, answer) = api.chat(&user("hello")).await;
        assert!(status.is_server_error(), "{status} {answer}");
        assert!(answer["error"]["message"].is_string(), "{answer}");
        let (status, list) = api.get("/models").await;
        assert!(status.is_success(), "{list}");
    })
    .await;
}

#[tokio::test]
async fn the_contracts_are_printed_as_committed() {
    guarded(async {
        for name in ["gateway", "provider"] {
            let output = quorate(&["openapi", name]).output().await.unwrap();
            assert!(output.status.success());
            let printed: Value = serde_json::from_slice(&output.stdout).unwrap();
            let committed =
                std::fs::read(format!("{}/openapi/{name}.json", env!("CARGO_MANIFEST_DIR")))
                    .unwrap();
            assert_eq!(printed, serde_json::from_slice::<Value>(&committed).unwrap(), "{name}");
        }
    })
    .await;
}
