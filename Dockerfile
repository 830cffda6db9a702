# syntax=docker/dockerfile:1
# Two images: `gateway` (the default) and `provider`.
#   docker build -t quorate-gateway .
#   docker build -t quorate-provider --target provider .
# NOT RUN YET: where this was written there is no container engine, so neither image was ever built;
# the commands inside are those that CI runs on the same Debian release. No GPU image: CUDA and Metal
# builds of the provider were not tried either.

FROM rust:1.95-bookworm AS source
# aws-lc-sys and onig_sys compile C; the image has cc and make.
WORKDIR /src
COPY . .

FROM source AS build-provider
# Includes mistral.rs: about 500 crates, a quarter of an hour on two cores.
RUN cargo build --locked --profile dist -p provider --bin quorate-provider

FROM source AS build-gateway
RUN cargo build --locked --profile dist -p gateway --bin quorate-gateway

FROM debian:bookworm-slim AS base
RUN useradd --system --uid 10001 --user-group --home-dir /var/lib/quorate --create-home quorate
USER 10001:10001
WORKDIR /var/lib/quorate
VOLUME /var/lib/quorate
STOPSIGNAL SIGTERM

FROM base AS provider
COPY --from=build-provider /src/target/dist/quorate-provider /usr/local/bin/
EXPOSE 8000
# Mount a model folder: docker run -v /models/qwen:/model quorate-provider
ENTRYPOINT ["quorate-provider"]
CMD ["serve", "--engine", "mistral", "--model", "/model", "--listen", "0.0.0.0:8000", "--data", "/var/lib/quorate"]

FROM base AS gateway
COPY --from=build-gateway /src/target/dist/quorate-gateway /usr/local/bin/
EXPOSE 8080 9090
# Mount a configuration: docker run -v ./gateway.toml:/etc/quorate/gateway.toml:ro quorate-gateway
ENTRYPOINT ["quorate-gateway"]
CMD ["--config", "/etc/quorate/gateway.toml"]
