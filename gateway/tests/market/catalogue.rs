//! What names mean: listed, unlisted, aliased, with wildcards, suffixes and providers.

use gateway::config::{self, Error};
use gateway::market::testing::{Node, served};

use crate::harness::{acme, catalogue, listed, market, providers, unlisted, url};

#[test]
fn weights_decide_under_which_name_a_node_sells() {
    let (market, _) = market("", &catalogue());
    let models = vec![
        served("theirs/whatever", Some(&listed())),
        served("own/model:1", Some(&unlisted())),
        served("foreign", None),
    ];
    let node = Node::new(1, models);
    let membership = node.join(&market, &url()).expect("joins");
    market.publish();
    let short = node.key.public().short();
    assert_eq!(providers(&market, "acme/m"), [short.as_str()]);
    let snapshot = market.snapshot();
    let names: Vec<&str> = snapshot.models().iter().map(|model| &*model.id).collect();
    let (own, foreign) = (format!("own/model:1@{short}"), format!("foreign@{short}"));
    assert_eq!(names, ["acme/m", foreign.as_str(), own.as_str()]);
    let offer = |name: &str| snapshot.model(name).expect("it is sold").offers[0].clone();
    assert!(offer("acme/m").verified && !offer(&own).verified);
    assert_eq!(&*offer("acme/m").upstream_model, "theirs/whatever");
    assert_eq!(&*offer(&own).upstream_model, "own/model:1");
    assert!(
        snapshot.resolve("own/model:1").is_none(),
        "nothing is sold under a bare unlisted name"
    );
    assert!(snapshot.resolve(&format!("{own}:floor")).is_some());
    drop(membership);
    market.publish();
    let snapshot = market.snapshot();
    assert_eq!(snapshot.models().len(), 1, "what nobody sells any more has no name");
    assert!(snapshot.model("acme/m").expect("stays").offers.is_empty());
}

#[test]
fn aliases_and_wildcards_lead_to_models() {
    let more = format!(
        "{}{}",
        catalogue(),
        r#"
        [[model]]
        id = "acme/mini"
        [[alias]]
        from = "gpt-4o"
        to = "m-old"
        [[alias]]
        from = "gpt-*"
        to = "acme/m:floor"
        [[alias]]
        from = "gpt-*-mini"
        to = "acme/mini"
        [[alias]]
        from = "claude-*"
        to = "acme/*"
        [[alias]]
        from = "chained"
        to = "gpt-4o"
        "#
    );
    let (market, _) = market("", &more);
    let snapshot = market.snapshot();
    let means = |name: &str| {
        let found = snapshot.resolve(name)?;
        Some((found.model.id.to_string(), found.sort.is_some(), found.provider))
    };
    let plain = |id: &str| Some((id.to_owned(), false, None));
    assert_eq!(means("gpt-4o"), plain("acme/m"));
    assert_eq!(means("chained"), plain("acme/m"));
    assert_eq!(means("gpt-9"), Some(("acme/m".to_owned(), true, None)));
    assert_eq!(means("gpt-9-mini"), plain("acme/mini"), "of equal beginnings the longer end");
    assert_eq!(means("claude-mini"), plain("acme/mini"));
    assert_eq!(means("claude-nothing"), None);
    assert_eq!(means("gpt-4o:floor"), Some(("acme/m".to_owned(), true, None)));
    assert_eq!(means("gpt-4o@p"), Some(("acme/m".to_owned(), false, Some("p".to_owned()))));
    assert_eq!(snapshot.model("gpt-4o").map(|model| &*model.id), Some("acme/m"));
}

#[test]
fn a_model_goes_before_a_pattern() {
    let more = format!("{}[[alias]]\nfrom = \"*\"\nto = \"acme/m\"\n", catalogue());
    let (market, _) = market("", &more);
    let node = Node::new(1, vec![served("own", None)]);
    let _membership = node.join(&market, &url()).expect("joins");
    market.publish();
    let name = format!("own@{}", node.key.public().short());
    let snapshot = market.snapshot();
    assert_eq!(*snapshot.resolve(&name).expect("found").model.id, *name);
    assert_eq!(&*snapshot.resolve("anything").expect("found").model.id, "acme/m");
}

#[test]
fn an_aliased_name_is_taken_too() {
    let more = format!("{}[[alias]]\nfrom = \"gpt-4o\"\nto = \"acme/m\"\n", catalogue());
    let (market, _) = market("", &more);
    let claims = Node::new(1, vec![served("gpt-4o", Some(&unlisted()))]);
    assert_eq!(crate::harness::refused(&claims, &market).code(), "weights_not_listed");
    // Under its listed name it may call it as it likes.
    Node::new(1, vec![served("gpt-4o", Some(&listed()))]).ask(&market).expect("admitted");
    let _acme = Node::new(2, acme()).ask(&market).expect("admitted");
}

const WRONG: &str = r#"
        [market]
        join = "everybody"
        tokens = ["short"]
        lease_ms = 6000
        heartbeat_ms = 5000
        probation_share = 1.5
        nodes_max = 0
        tls = { cert = "x" }
        bogus = 1
        [[market.node]]
        key = "12"
        name = "a b"
        [[market.place]]
        name = "home"
        latitude = 91.0
        [[model]]
        id = "m"
        template_sha256 = "xyz"
        [[alias]]
        from = "a"
        to = "b"
        [[alias]]
        from = "b"
        to = "a"
        [[alias]]
        from = "c"
        to = "nowhere"
        [[alias]]
        from = "m"
        to = "m"
        [[alias]]
        from = "d"
        to = "m*"
        [[alias]]
        from = "e*e*"
        to = "m"
        [[alias]]
        from = "f*"
        to = "fx"
        [[alias]]
        from = "g"
"#;

#[test]
fn what_is_wrong_with_aliases_and_the_market_is_told_with_its_place() {
    let Err(Error::Invalid(found)) = config::parse(WRONG, &|_| Some("/home/me".to_owned())) else {
        panic!("it is not valid");
    };
    for (path, message) in [
        ("market.bogus", "unknown field"),
        ("market.join", "everybody"),
        ("market.tokens[0]", "16 to 256"),
        ("market.lease_ms", "twice"),
        ("market.probation_share", "from 0 to 1"),
        ("market.nodes_max", "not between"),
        ("market.tls.key", "is required"),
        ("market.node[0].key", "64 hex digits"),
        ("market.node[0].name", "may hold"),
        ("market.place[0].latitude", "-90 to 90"),
        ("market.place[0].longitude", "-180 to 180"),
        ("model[0].template_sha256", "64 hex digits"),
        ("alias[0].to", "leads back"),
        ("alias[1].to", "leads back"),
        ("alias[2].to", "no model"),
        ("alias[3].from", "name of a model"),
        ("alias[4].to", "only where from"),
        ("alias[5].from", "one *"),
        ("alias[6].to", "leads back"),
        ("alias[7].to", "is required"),
    ] {
        let at = found.iter().filter(|p| p.path == path && p.message.contains(message)).count();
        assert_eq!(at, 1, "{path}: {message} in {found:#?}");
    }
}

#[test]
fn a_token_is_never_printed() {
    let text = "[market]\njoin = \"token\"\ntokens = [1234567890123456]";
    let error = config::parse(text, &|_| Some("/home/me".to_owned())).expect_err("not valid");
    let told = error.to_string();
    assert!(told.contains("market.tokens") && !told.contains("1234567890123456"), "{told}");
}
