//! The gateway: an OpenAI-compatible edge gateway for a decentralized inference market.
