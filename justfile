# Each recipe is one command; nothing here that cannot be typed.

# Everything the README's second command runs.
test:
    cargo test --release --workspace

# The gateway and the provider without mistral.rs: minutes instead of a quarter of an hour.
test-slim:
    cargo test --release -p gateway -p provider --no-default-features

# The official openai SDK against a market of its own.
sdk *args:
    e2e/sdk/run {{args}}

# The official openai package for Node.
sdk-node *args:
    e2e/node/run {{args}}

# openai-python's own generated suite at a gateway.
upstream-suite *args:
    e2e/upstream-suite/run {{args}}

# schemathesis on the committed contract.
contract *args:
    e2e/contract/run {{args}}

# Every fuzz target for so many seconds.
fuzz seconds="60" *targets:
    fuzz/run {{seconds}} {{targets}}

# k6 against a gateway and two scripted providers.
load *args:
    loadtest/run smoke {{args}}

# The gateway beside nginx and haproxy.
peers *args:
    loadtest/peers {{args}}

# What CI runs.
ci:
    bash .ci/run

# The committed contracts, written anew.
openapi:
    cargo run --release -- openapi gateway > openapi/gateway.json
    cargo run --release -- openapi provider > openapi/provider.json

fmt:
    cargo fmt --all

lint:
    cargo clippy --release --workspace --all-targets -- -D warnings
