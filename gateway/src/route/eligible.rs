//! Which offers a request's policy admits. Fails closed: what is not
//! known of a provider is not fulfilled by it.

use crate::auth::Scope;
use crate::request::Policy;
use openapi::node::Feature;

use crate::request::policy::{DataCollection, MaxPrice};

/// One offer as a policy sees it.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Terms<'a> {
    pub provider: &'a str,
    pub operator: &'a str,
    pub region: Option<&'a str>,
    pub quantization: Option<&'a str>,
    /// Dollars per million prompt tokens.
    pub price_in: Option<f64>,
    /// Dollars per million answer tokens.
    pub price_out: Option<f64>,
    /// The lower quantile of its integrity, 0 to 1; absent for one that is not audited.
    pub reputation: Option<f64>,
    /// What the provider declares; absent for one that declares nothing, and is taken to have all.
    pub features: Option<&'a [Feature]>,
}

/// What a request needs of who serves it, whatever its policy.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Needs {
    pub tools: bool,
    pub json_schema: bool,
    pub logprobs: bool,
    pub vision: bool,
}

/// What a request takes at most, for who bounds its price.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Bill {
    /// Tokens of the prompt.
    pub prompt: f64,
    /// Tokens of the answers.
    pub answers: f64,
}

/// The features that requests may need, and what is told where nobody has them.
pub const NEEDS: [(Feature, &str); 4] = [
    (Feature::Tools, "the request's tools"),
    (Feature::JsonSchema, "the request's response_format"),
    (Feature::Logprobs, "the request's logprobs"),
    (Feature::Vision, "the request's media"),
];

/// The same in the words of who requires that all of a request is acted on.
const DECLARED: [&str; NEEDS.len()] = [
    "provider.require_parameters (tools)",
    "provider.require_parameters (response_format)",
    "provider.require_parameters (logprobs)",
    "provider.require_parameters (media in messages)",
];

/// What keeps an offer out where providers must have declared all that the request needs, if something
/// does. `endpoint`: the feature that has the members of every request there.
pub fn undeclared(endpoint: Feature, needs: &Needs, terms: &Terms<'_>) -> Option<&'static str> {
    let Some(features) = terms.features else {
        return Some(
            "provider.require_parameters (an upstream of the configuration declares nothing)",
        );
    };
    if !features.contains(&endpoint) {
        return Some("provider.require_parameters (the endpoint)");
    }
    let mut all = NEEDS.iter().zip(DECLARED).zip(needs.list());
    all.find_map(|(((feature, _), what), needed)| {
        (needed && !features.contains(feature)).then_some(what)
    })
}

/// The feature that keeps an offer out, if one does.
pub fn lack(needs: &Needs, terms: &Terms<'_>) -> Option<&'static str> {
    let features = terms.features?;
    let mut all = NEEDS.iter().zip(needs.list());
    all.find_map(|((feature, what), needed)| {
        (needed && !features.contains(feature)).then_some(*what)
    })
}

// === impl Needs ===

impl Needs {
    /// In the order of [`NEEDS`].
    pub fn list(&self) -> [bool; 4] {
        [self.tools, self.json_schema, self.logprobs, self.vision]
    }
}

/// The member of the policy that keeps an offer out, if one does.
pub fn refusal(policy: &Policy, terms: &Terms<'_>) -> Option<&'static str> {
    let named = |list: &[String]| position(list, terms).is_some();
    let one_of = |list: &[String], value: Option<&str>| {
        list.is_empty()
            || value.is_some_and(|value| list.iter().any(|e| e.eq_ignore_ascii_case(value)))
    };
    let refusals = [
        ("provider.only", !policy.only.is_empty() && !named(&policy.only)),
        (
            "the provider in the model's name",
            policy.pin.as_ref().is_some_and(|pin| !is(pin, terms)),
        ),
        ("provider.ignore", named(&policy.ignore)),
        (
            "provider.allow_fallbacks",
            !policy.allow_fallbacks && !policy.order.is_empty() && !named(&policy.order),
        ),
        ("provider.regions", !one_of(&policy.regions, terms.region)),
        ("provider.quantizations", !one_of(&policy.quantizations, terms.quantization)),
        ("provider.max_price.prompt", !affords(policy.max_price.prompt, terms.price_in)),
        ("provider.max_price.completion", !affords(policy.max_price.completion, terms.price_out)),
        // Nothing of these is known of a provider yet, so none can promise it.
        ("provider.data_collection", policy.data_collection == DataCollection::Deny),
        ("provider.zdr", policy.zdr),
        ("provider.attested", policy.attested),
        ("provider.min_reputation", !is_reputable(policy, terms)),
    ];
    refusals.into_iter().find_map(|(member, refuses)| refuses.then_some(member))
}

/// Whether a provider may see the request at all, whatever it would ask for serving it: it is to be asked
/// about an answer of another's.
pub fn may_see(policy: &Policy, terms: &Terms<'_>) -> bool {
    // Prices and precision are of who is paid for the answer; all else is of who gets to know it.
    let policy = Policy {
        max_price: MaxPrice::default(),
        quantizations: Vec::new(),
        require_parameters: false,
        min_reputation: None,
        ..policy.clone()
    };
    refusal(&policy, terms).is_none()
}

/// Whether the policy asks for what is known of no provider yet.
pub fn is_unmeetable(policy: &Policy) -> bool {
    policy.data_collection == DataCollection::Deny || policy.zdr || policy.attested
}

/// Whether audits have shown the provider as honest as the policy asks; who is not audited has shown nothing.
pub fn is_reputable(policy: &Policy, terms: &Terms<'_>) -> bool {
    let least = policy.min_reputation.filter(|least| *least > 0.0);
    least.is_none_or(|least| terms.reputation.is_some_and(|shown| shown >= least))
}

/// Whether the policy keeps nobody out.
pub fn admits_all(policy: &Policy) -> bool {
    let has_none = [&policy.only, &policy.ignore, &policy.regions, &policy.quantizations]
        .into_iter()
        .all(Vec::is_empty);
    has_none
        && policy.pin.is_none()
        && (policy.allow_fallbacks || policy.order.is_empty())
        && policy.max_price == MaxPrice::default()
        && policy.min_reputation.is_none_or(|least| least <= 0.0)
        && !is_unmeetable(policy)
}

/// Whether the offer costs no more than the policy allows; an unknown price is too high.
pub fn is_affordable(policy: &Policy, terms: &Terms<'_>) -> bool {
    affords(policy.max_price.prompt, terms.price_in)
        && affords(policy.max_price.completion, terms.price_out)
}

fn affords(max: Option<f64>, price: Option<f64>) -> bool {
    max.is_none_or(|max| price.is_some_and(|price| price <= max))
}

/// Whether the whole request costs no more than the policy allows, as far as its length can be known.
pub fn is_within(policy: &Policy, bill: &Bill, terms: &Terms<'_>) -> bool {
    policy.max_price.request.is_none_or(|max| {
        let prices = terms.price_in.zip(terms.price_out);
        prices.is_some_and(|(price_in, price_out)| {
            (price_in * bill.prompt + price_out * bill.answers) / 1e6 <= max
        })
    })
}

/// Whether a key may use the offer.
pub fn reaches(scope: &Scope, terms: &Terms<'_>) -> bool {
    scope.allows_region(terms.region) && scope.allows_provider(terms.provider, terms.operator)
}

/// By the provider's id or its operator.
fn position(list: &[String], terms: &Terms<'_>) -> Option<usize> {
    list.iter().position(|name| is(name, terms))
}

fn is(name: &str, terms: &Terms<'_>) -> bool {
    name == terms.provider || name == terms.operator
}

#[cfg(test)]
mod tests {
    use super::*;

    const TERMS: Terms<'_> = Terms {
        provider: "p1",
        operator: "acme",
        region: Some("eu-west"),
        quantization: Some("bf16"),
        price_in: Some(0.5),
        price_out: Some(1.0),
        reputation: Some(0.05),
        features: None,
    };

    fn refused(policy: &str, terms: &Terms<'_>) -> Option<&'static str> {
        refusal(&Policy::from_json(policy).unwrap(), terms)
    }

    #[test]
    fn what_is_required_must_be_declared() {
        let needs = Needs { tools: true, logprobs: true, ..Needs::default() };
        let features = [Feature::Chat, Feature::Tools];
        let of = |features| Terms { features, ..TERMS };
        for (features, needs, out) in [
            (None, Needs::default(), Some("an upstream")),
            (Some(&[][..]), Needs::default(), Some("the endpoint")),
            (Some(&features[1..]), needs, Some("the endpoint")),
            (Some(&features[..1]), needs, Some("(tools)")),
            (Some(&features[..]), needs, Some("(logprobs)")),
            (Some(&features[..]), Needs { tools: true, ..Needs::default() }, None),
        ] {
            let found = undeclared(Feature::Chat, &needs, &of(features));
            match out {
                Some(part) => assert!(found.is_some_and(|what| what.contains(part)), "{found:?}"),
                None => assert_eq!(found, None),
            }
        }
    }

    #[test]
    fn what_fits_is_admitted() {
        for policy in [
            "{}",
            r#"{"only": ["p1"]}"#,
            r#"{"only": ["acme"], "ignore": ["p2"]}"#,
            r#"{"order": ["p1"], "allow_fallbacks": false}"#,
            r#"{"regions": ["us", "EU-West"], "quantizations": ["bf16"]}"#,
            r#"{"max_price": {"prompt": 0.5, "completion": 1, "request": 0}}"#,
            r#"{"min_reputation": 0, "data_collection": "allow"}"#,
        ] {
            assert_eq!(refused(policy, &TERMS), None, "{policy}");
        }
    }

    #[test]
    fn who_may_see_a_request_is_no_matter_of_price() {
        let dear = Terms { price_in: Some(9.0), quantization: Some("q4"), ..TERMS };
        for (policy, may) in [
            (r#"{"max_price": {"prompt": 0.1}, "quantizations": ["bf16"]}"#, true),
            (r#"{"min_reputation": 0.9, "require_parameters": true}"#, true),
            (r#"{"regions": ["us"]}"#, false),
            (r#"{"only": ["p2"]}"#, false),
            (r#"{"ignore": ["acme"]}"#, false),
            (r#"{"order": ["p2"], "allow_fallbacks": false}"#, false),
            (r#"{"order": ["p2"]}"#, true),
            (r#"{"data_collection": "deny"}"#, false),
            (r#"{"zdr": true}"#, false),
            (r#"{"attested": true}"#, false),
        ] {
            assert_eq!(may_see(&Policy::from_json(policy).unwrap(), &dear), may, "{policy}");
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_by_name() {
        let unknown = Terms { provider: "p1", operator: "acme", ..Terms::default() };
        for (policy, member) in [
            (r#"{"only": ["p2"]}"#, "provider.only"),
            (r#"{"ignore": ["acme"]}"#, "provider.ignore"),
            (r#"{"order": ["p2"], "allow_fallbacks": false}"#, "provider.allow_fallbacks"),
            (r#"{"regions": ["us"]}"#, "provider.regions"),
            (r#"{"quantizations": ["fp8"]}"#, "provider.quantizations"),
            (r#"{"max_price": {"prompt": 0.4}}"#, "provider.max_price.prompt"),
            (r#"{"max_price": {"completion": 0.9}}"#, "provider.max_price.completion"),
            (r#"{"data_collection": "deny"}"#, "provider.data_collection"),
            (r#"{"zdr": true}"#, "provider.zdr"),
            (r#"{"attested": true}"#, "provider.attested"),
            (r#"{"min_reputation": 0.1}"#, "provider.min_reputation"),
        ] {
            assert_eq!(refused(policy, &TERMS), Some(member), "{policy}");
        }
        for policy in [
            r#"{"regions": ["eu-west"]}"#,
            r#"{"quantizations": ["bf16"]}"#,
            r#"{"max_price": {"prompt": 9}}"#,
        ] {
            assert!(refused(policy, &unknown).is_some(), "{policy}");
        }
    }
}
