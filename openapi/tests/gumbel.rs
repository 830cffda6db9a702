//! The noise of gumbel-v1 against the published vectors, which an independent program computed.

use openapi::gumbel::{NAME, noise, uniform};
use serde_json::Value;

#[test]
fn noise_agrees_with_the_vectors() {
    let text = include_str!("../vectors/gumbel-v1.json");
    let vectors: Value = serde_json::from_str(text).unwrap();
    assert_eq!(NAME, "gumbel-v1");
    let cases = vectors["noise"].as_array().unwrap();
    assert_eq!(cases.len(), 25);
    for case in cases {
        let number = |key: &str| case[key].as_u64().unwrap();
        let (seed, step) = (number("seed"), number("step"));
        let id = u32::try_from(number("id")).unwrap();
        // Exact: 53 bits and a power of two.
        let want = (number("bits") as f64 + 0.5) * (-53f64).exp2();
        assert_eq!(uniform(seed, step, id).to_bits(), want.to_bits(), "{case}");
        // ln may differ in its last digits between platforms.
        let want = case["noise"].as_f64().unwrap();
        assert!((noise(seed, step, id) - want).abs() <= 1e-13 * want.abs().max(1.0), "{case}");
    }
}
