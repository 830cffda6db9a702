use super::*;
use crate::receipt::{Hashed, Origin, Provider, Root, Verification};
use crate::sign::SecretKey;

const REQUEST: &[u8] = br#"{"model":"pip","messages":[]}"#;
const RESPONSE: &[u8] = b"data: {}\n\ndata: [DONE]\n\n";
const SALT: [u8; 32] = [9; 32];

fn key() -> SecretKey {
    SecretKey::from_seed(&[1; 32])
}

fn claims() -> Claims {
    let node = SecretKey::from_seed(&[2; 32]);
    let commit = "ab".repeat(32);
    let hashed = |bytes: &[u8]| Hashed {
        bytes: bytes.len() as u64,
        salted_sha256: salted(&SALT, &Sha256::digest(bytes).into()),
    };
    Claims {
        version: VERSION,
        id: "rcpt_1".to_owned(),
        request_id: "req \"é\"".to_owned(),
        created: 1_767_225_600,
        path: "/v1/chat/completions".to_owned(),
        model: "pip".to_owned(),
        request: hashed(REQUEST),
        response: hashed(RESPONSE),
        provider: Some(Provider { node_key: Some(node.public()), ..Provider::default() }),
        provenance: Some(Origin {
            seed: u64::MAX.to_string(),
            sig: Some(node.sign(commit::DOMAIN, commit.as_bytes())),
            commit: Some(commit),
            ..Origin::default()
        }),
        verification: Verification { mode: "audit".to_owned(), ..Verification::default() },
        ..Claims::default()
    }
}

/// The third of seven.
fn receipt(claims: Claims) -> Receipt {
    let leaf = merkle::leaf(canonical::of(&claims).unwrap().as_bytes());
    let mut leaves: Vec<merkle::Hash> = (0u8..7).map(|number| merkle::leaf(&[number])).collect();
    leaves[2] = leaf;
    let tree = merkle::Tree::new(leaves).unwrap();
    let root =
        Root { batch: 4, leaves: 7, sha256: hex::encode(tree.root()), signed: 1_767_225_601 };
    let signature = key().sign(DOMAIN, root.message().unwrap().as_bytes());
    Receipt {
        object: OBJECT.to_owned(),
        claims,
        opening: Some(Opening {
            salt: hex::encode(SALT),
            request_sha256: hex::encode(Sha256::digest(REQUEST)),
            response_sha256: hex::encode(Sha256::digest(RESPONSE)),
        }),
        proof: Proof {
            leaf: hex::encode(leaf),
            index: 2,
            path: tree.path(2).iter().map(hex::encode).collect(),
            root,
            key: key().public(),
            signature,
        },
    }
}

fn text(receipt: &Receipt) -> String {
    serde_json::to_string(receipt).unwrap()
}

fn verified(text: &[u8]) -> Result<Claims, Fault> {
    verify(text, Some(REQUEST), Some(RESPONSE), &[key().public()])
}

#[test]
fn a_receipt_holds_however_it_is_printed() {
    let receipt = receipt(claims());
    assert_eq!(verified(text(&receipt).as_bytes()), Ok(claims()));
    let pretty = serde_json::to_string_pretty(&receipt).unwrap();
    assert_eq!(verified(pretty.as_bytes()), Ok(claims()));
}

#[test]
fn a_member_of_a_later_version_is_covered() {
    let plain = text(&receipt(claims()));
    let more = plain.replacen("\"version\":1", "\"version\":1,\"later\":1", 1);
    assert_eq!(verified(more.as_bytes()), Err(Fault::Claims));
    let later = plain.replacen("\"version\":1", "\"version\":2", 1);
    assert_eq!(verified(later.as_bytes()), Err(Fault::Version(2)));
}

/// Of every byte the last bit, of letters the one that makes them capitals too: nothing that still reads as
/// another text passes.
#[test]
fn no_byte_of_a_receipt_can_be_changed() {
    let text = text(&receipt(claims())).into_bytes();
    let read: Value = serde_json::from_slice(&text).unwrap();
    for at in 0..text.len() {
        let bits: &[u8] = if text[at].is_ascii_alphabetic() { &[1, 32] } else { &[1] };
        for bit in bits {
            let mut changed = text.clone();
            changed[at] ^= bit;
            let result = verify(&changed, None, None, &[key().public()]);
            let says_the_same = serde_json::from_slice::<Value>(&changed).is_ok_and(|v| v == read);
            assert_eq!(result.is_ok(), says_the_same, "byte {at}, bit {bit}: {result:?}");
        }
    }
}

#[test]
fn each_fault_names_what_does_not_fit() {
    let whole = receipt(claims());
    let fault = |change: &dyn Fn(&mut Receipt)| {
        let mut receipt = whole.clone();
        change(&mut receipt);
        verified(text(&receipt).as_bytes()).unwrap_err()
    };
    let flipped = |text: &mut String| {
        let last = if text.ends_with('0') { "1" } else { "0" };
        text.replace_range(text.len() - 1.., last);
    };
    assert_eq!(fault(&|r| r.claims.model.push('x')), Fault::Claims);
    assert_eq!(fault(&|r| flipped(&mut r.proof.leaf)), Fault::Claims);
    assert_eq!(fault(&|r| flipped(&mut r.proof.path[1])), Fault::Path);
    assert_eq!(fault(&|r| r.proof.index = 3), Fault::Path);
    assert_eq!(fault(&|r| flipped(&mut r.proof.root.sha256)), Fault::Path);
    assert!(matches!(fault(&|r| r.proof.root.batch = 5), Fault::Signature(_)));
    assert!(matches!(fault(&|r| r.proof.root.signed += 1), Fault::Signature(_)));
    let opening = |r: &mut Receipt| r.opening.clone().unwrap();
    let salt = |r: &mut Receipt| {
        let mut changed = opening(r);
        flipped(&mut changed.salt);
        r.opening = Some(changed);
    };
    assert_eq!(fault(&salt), Fault::Opening("request"));
    let response = |r: &mut Receipt| {
        let mut changed = opening(r);
        flipped(&mut changed.response_sha256);
        r.opening = Some(changed);
    };
    assert_eq!(fault(&response), Fault::Opening("answer"));
    assert_eq!(fault(&|r| r.opening = None), Fault::NotOpened("request"));
    assert!(matches!(fault(&|r| r.object.clear()), Fault::Form(_)));
}

#[test]
fn request_and_answer_are_compared_byte_by_byte() {
    let text = text(&receipt(claims()));
    let keys = [key().public()];
    let flipped = |bytes: &[u8]| {
        let mut bytes = bytes.to_vec();
        bytes[5] ^= 1;
        bytes
    };
    let check = |request, response| verify(text.as_bytes(), request, response, &keys);
    let (request, response) = (flipped(REQUEST), flipped(RESPONSE));
    assert!(matches!(check(Some(&request), None), Err(Fault::Request(_))));
    assert!(matches!(check(None, Some(&response)), Err(Fault::Response(_))));
    assert!(matches!(check(None, Some(&RESPONSE[1..])), Err(Fault::Response(_))));
    assert!(check(None, None).is_ok());
    let other = SecretKey::from_seed(&[3; 32]).public();
    let unknown = verify(text.as_bytes(), None, None, &[other]);
    assert_eq!(unknown, Err(Fault::Key(key().public())));
}

#[test]
fn without_its_opening_it_can_be_shown_to_others() {
    let mut receipt = receipt(claims());
    receipt.opening = None;
    let keys = [key().public()];
    let report =
        check(text(&receipt).as_bytes(), &Given { keys: &keys, ..Given::default() }).unwrap();
    assert_eq!(report.fault(), None);
    let tried =
        |part| report.trials.iter().find(|trial| trial.part == part).unwrap().result.clone();
    assert_eq!((tried(Part::Opening), tried(Part::Node)), (None, Some(Ok(()))));
}

#[test]
fn a_provider_that_did_not_sign_is_told() {
    let mut claims = claims();
    claims.provenance.as_mut().unwrap().commit = Some("cd".repeat(32));
    assert_eq!(verified(text(&receipt(claims)).as_bytes()), Err(Fault::Node));
}

/// The same receipt, put together by another program: `receipt.py` beside the vector.
#[test]
fn another_program_comes_to_the_same_bytes() {
    let text = include_bytes!("../../../vectors/receipt.json");
    let claims = verified(text).unwrap();
    assert_eq!(claims, self::claims());
    let receipt: Receipt = serde_json::from_slice(text).unwrap();
    assert_eq!(receipt.proof, self::receipt(self::claims()).proof);
}
