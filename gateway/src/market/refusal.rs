//! Why a node may not join: one word for programs, one sentence for people, and the member at fault.
//! It prints nothing; `http::error` does.

use http::StatusCode;
use openapi::node::CLOCK_SKEW_MS;
use std::borrow::Cow;
use std::time::Duration;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("The challenge was used before, or was not given on this connection.")]
    Replayed,
    #[error("The hello is for another gateway.")]
    WrongGateway,
    #[error("The hello was made for another connection.")]
    WrongConnection,
    #[error(
        "The node's clock differs from the gateway's by {skew_ms} ms; {CLOCK_SKEW_MS} are allowed."
    )]
    ClockSkew { skew_ms: i64 },
    #[error("The hello is not signed by the node: {0}.")]
    BadSignature(String),
    #[error("The operator's word for the node does not count: {0}.")]
    BadDelegation(Cow<'static, str>),
    #[error("Protocol {0} is not spoken here.")]
    ProtocolUnsupported(u32),
    #[error("The hello is too large.")]
    HelloTooLarge,
    #[error("Invalid value for '{param}': {what}.")]
    Invalid { param: String, what: Cow<'static, str> },
    #[error("This gateway takes no nodes.")]
    JoinClosed,
    #[error("A valid join token is required.")]
    JoinTokenRequired,
    #[error("Neither the node nor its operator is on this gateway's list.")]
    NotOnTheList,
    #[error("{what}.")]
    WeightsNotListed { param: String, what: String },
    #[error("The name {0:?} belongs to another provider.")]
    NameTaken(String),
    #[error("The offer can't be used: {what}.")]
    OfferInvalid { param: String, what: Cow<'static, str> },
    #[error("The offer is not in force any more.")]
    OfferExpired,
    #[error("The region {0:?} was refuted by a measurement.")]
    RegionRefuted(String),
    #[error("The gateway has as many nodes as it may have.")]
    Full,
    #[error("No such lease.")]
    LeaseUnknown,
    #[error("The lease belongs to another connection.")]
    LeaseNotYours,
    #[error("The node was sent away: {0}.")]
    Ejected(String),
    /// No random numbers, or no signature: ours to mend.
    #[error("The gateway can't make a lease now.")]
    Internal,
}

/// What a node that finds no place waits before it comes again.
const FULL_RETRY: Duration = Duration::from_secs(30);

impl Refusal {
    pub(super) fn invalid(param: impl Into<String>, what: impl Into<Cow<'static, str>>) -> Self {
        Self::Invalid { param: param.into(), what: what.into() }
    }

    /// The reason as one word.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Replayed => "replayed",
            Self::WrongGateway => "wrong_gateway",
            Self::WrongConnection => "wrong_connection",
            Self::ClockSkew { .. } => "clock_skew",
            Self::BadSignature(_) => "bad_signature",
            Self::BadDelegation(_) => "bad_delegation",
            Self::ProtocolUnsupported(_) => "protocol_unsupported",
            Self::HelloTooLarge => "hello_too_large",
            Self::Invalid { .. } => "invalid_hello",
            Self::JoinClosed => "join_closed",
            Self::JoinTokenRequired => "join_token_required",
            Self::NotOnTheList => "not_on_the_list",
            Self::WeightsNotListed { .. } => "weights_not_listed",
            Self::NameTaken(_) => "name_taken",
            Self::OfferInvalid { .. } => "offer_invalid",
            Self::OfferExpired => "offer_expired",
            Self::RegionRefuted(_) => "region_refuted",
            Self::Full => "full",
            Self::LeaseUnknown => "lease_unknown",
            Self::LeaseNotYours => "lease_not_yours",
            Self::Ejected(_) => "ejected",
            Self::Internal => "internal_error",
        }
    }

    pub fn status(&self) -> StatusCode {
        match self {
            Self::ProtocolUnsupported(_) | Self::Invalid { .. } => StatusCode::BAD_REQUEST,
            Self::BadSignature(_)
            | Self::JoinTokenRequired
            | Self::LeaseUnknown
            | Self::LeaseNotYours => StatusCode::UNAUTHORIZED,
            Self::HelloTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Full => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Replayed
            | Self::WrongGateway
            | Self::WrongConnection
            | Self::ClockSkew { .. }
            | Self::BadDelegation(_)
            | Self::JoinClosed
            | Self::NotOnTheList
            | Self::WeightsNotListed { .. }
            | Self::NameTaken(_)
            | Self::OfferInvalid { .. }
            | Self::OfferExpired
            | Self::RegionRefuted(_)
            | Self::Ejected(_) => StatusCode::FORBIDDEN,
        }
    }

    /// The member of the hello at fault, if it is one.
    pub fn param(&self) -> Option<&str> {
        match self {
            Self::Invalid { param, .. }
            | Self::WeightsNotListed { param, .. }
            | Self::OfferInvalid { param, .. } => Some(param),
            Self::WrongGateway => Some("gateway"),
            Self::WrongConnection => Some("exporter"),
            Self::Replayed => Some("nonce"),
            Self::ClockSkew { .. } => Some("time_ms"),
            Self::BadDelegation(_) => Some("delegation"),
            Self::ProtocolUnsupported(_) => Some("protocol"),
            Self::OfferExpired => Some("offer.valid_until_ms"),
            Self::RegionRefuted(_) => Some("region"),
            _ => None,
        }
    }

    pub fn retry_after(&self) -> Option<Duration> {
        matches!(self, Self::Full).then_some(FULL_RETRY)
    }
}
