//! The label values: closed sets.

use super::{EncodeLabelValue, LabelValueEncoder, encode_label, fmt};

/// A closed set of label values.
pub trait Label: Copy + 'static {
    const FIRST: Self;
    const ALL: &'static [Self];
    /// Position in [`Self::ALL`].
    fn index(self) -> usize;
    fn as_str(self) -> &'static str;
}

macro_rules! label {
    ($(#[$doc:meta])* $name:ident { $($(#[$value_doc:meta])* $variant:ident = $text:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$value_doc])* $variant,)+ }

        impl Label for $name {
            const ALL: &'static [Self] = &[$(Self::$variant,)+];
            const FIRST: Self = {
                let [first, ..] = [$(Self::$variant,)+];
                first
            };

            fn index(self) -> usize {
                self as usize
            }

            fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)+ }
            }
        }

        impl EncodeLabelValue for $name {
            fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), fmt::Error> {
                encode_label(self.as_str(), encoder)
            }
        }
    };
}

label! {
    /// What came of measuring a model on a node.
    Measurement {
        Ok = "ok",
        Failed = "failed",
    }
}

label! {
    /// What came of checking an answer.
    AuditOutcome {
        Pass = "pass",
        Fail = "fail",
        /// Nothing can be said: nobody to score it, or too little to score.
        Unknown = "unknown",
        /// There was no room to check it.
        Dropped = "dropped",
    }
}

label! {
    /// What came of answers that were verified while their clients waited.
    Verified {
        Pass = "pass",
        Fail = "fail",
        /// Nobody could say.
        None = "none",
    }
}

label! {
    /// What became of a receipt.
    ReceiptOutcome {
        Written = "written",
        /// Written anew, with what became known later.
        Amended = "amended",
        /// Too many waited to be written, or it could not be.
        Dropped = "dropped",
    }
}

label! {
    /// What came of asking a node to score another's answer.
    ScoreOutcome {
        Ok = "ok",
        /// It did not answer, or not in time.
        Failed = "failed",
        /// It said what cannot be.
        Malformed = "malformed",
    }
}

label! {
    /// What was asked for.
    Endpoint {
        Chat = "chat",
        Completions = "completions",
        Embeddings = "embeddings",
        Responses = "responses",
        Models = "models",
        Health = "health",
        Docs = "docs",
        Admin = "admin",
        Node = "node",
        Other = "other",
    }
}

label! {
    StatusClass {
        Informational = "1xx",
        Success = "2xx",
        Redirect = "3xx",
        Client = "4xx",
        Server = "5xx",
    }
}

label! {
    /// How a request ended, finer than its status.
    Outcome {
        Ok = "ok",
        InvalidRequest = "invalid_request",
        Unauthorized = "unauthorized",
        Forbidden = "forbidden",
        NotFound = "not_found",
        TooLarge = "too_large",
        RateLimited = "rate_limited",
        NoProvider = "no_provider",
        ProviderError = "provider_error",
        /// Providers say different things, and the client wants what they agree on.
        NotAgreed = "not_agreed",
        Timeout = "timeout",
        /// Ended after the 200 without evidence of completion: the client saw an error event.
        Truncated = "truncated",
        ClientGone = "client_gone",
        Draining = "draining",
        Internal = "internal",
    }
}

label! {
    /// How one attempt at a provider ended.
    AttemptOutcome {
        Ok = "ok",
        Connect = "connect",
        Head = "head",
        Timeout = "timeout",
        Status = "status",
        Stream = "stream",
        Cancelled = "cancelled",
    }
}

label! {
    /// What became of asking a second provider beside a late one.
    HedgeOutcome {
        Sent = "sent",
        Won = "won",
    }
}

label! {
    /// Why no second provider was asked beside a late one.
    HedgeDenial {
        Credits = "credits",
        Spend = "spend",
        Busy = "busy",
        Losing = "losing",
        NotWorth = "not_worth",
        Attempts = "attempts",
        Price = "price",
        Nobody = "nobody",
    }
}

label! {
    /// What the cache said to a request that asked it.
    CacheOutcome {
        Hit = "hit",
        Miss = "miss",
        Bypass = "bypass",
    }
}

label! {
    /// What became of a node that wanted to join: its refusal's code.
    JoinOutcome {
        Ok = "ok",
        Replayed = "replayed",
        WrongGateway = "wrong_gateway",
        WrongConnection = "wrong_connection",
        ClockSkew = "clock_skew",
        BadSignature = "bad_signature",
        BadDelegation = "bad_delegation",
        ProtocolUnsupported = "protocol_unsupported",
        HelloTooLarge = "hello_too_large",
        InvalidHello = "invalid_hello",
        JoinClosed = "join_closed",
        JoinTokenRequired = "join_token_required",
        NotOnTheList = "not_on_the_list",
        WeightsNotListed = "weights_not_listed",
        NameTaken = "name_taken",
        OfferInvalid = "offer_invalid",
        OfferExpired = "offer_expired",
        RegionRefuted = "region_refuted",
        Full = "full",
        Ejected = "ejected",
        /// Closed at once: too many were joining.
        Crowded = "crowded",
        Other = "other",
    }
}

label! {
    ConnectionState {
        Idle = "idle",
        Active = "active",
    }
}

label! {
    TokenKind {
        Prompt = "prompt",
        Completion = "completion",
    }
}

label! {
    Phase {
        Running = "running",
        Draining = "draining",
        Cut = "cut",
    }
}

impl StatusClass {
    pub fn of(status: u16) -> Self {
        match status {
            100..=199 => Self::Informational,
            200..=299 => Self::Success,
            300..=399 => Self::Redirect,
            400..=499 => Self::Client,
            _ => Self::Server,
        }
    }
}
