# syntax=docker/dockerfile:1

FROM rust:1.95-slim-bookworm AS build
RUN apt-get update \
    && apt-get install -y --no-install-recommends build-essential cmake \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /build

# Dependencies with empty sources: this layer is built again only when a manifest changes.
COPY Cargo.toml Cargo.lock ./
COPY .cargo .cargo
COPY webdav-tests/Cargo.toml webdav-tests/
COPY fuzz/Cargo.toml fuzz/
RUN mkdir -p src/bin bench fuzz/src webdav-tests/src webdav-tests/tests/all \
    && touch src/lib.rs bench/restore.rs webdav-tests/src/lib.rs webdav-tests/tests/all/main.rs \
    && echo 'fn main() {}' | tee src/bin/sync-server.rs fuzz/src/main.rs > src/bin/sync-client.rs \
    && cargo build --release --locked --bin sync-server --bin sync-client

COPY config config
COPY src src
# The copied files may be older than the empty ones that were built.
RUN touch src/lib.rs src/bin/sync-server.rs src/bin/sync-client.rs \
    && cargo build --release --locked --bin sync-server --bin sync-client \
    && strip --strip-debug target/release/sync-server target/release/sync-client

FROM debian:bookworm-slim
RUN groupadd --gid 10001 sync \
    && useradd --uid 10001 --gid sync --no-create-home --home-dir /nonexistent sync \
    && install --directory --owner=sync --group=sync --mode=0700 /data /db /config
# The server gives the client to whoever asks for /install.sh.
COPY --from=build /build/target/release/sync-server /build/target/release/sync-client /usr/local/bin/
COPY sync-manage.sh /usr/local/bin/sync-manage.sh
USER 10001:10001
# The default paths ./data, ./db/sync.db and ./config/… are the volumes.
WORKDIR /
ENV SYNC_BIND=0.0.0.0
VOLUME ["/data", "/db", "/config"]
EXPOSE 8090
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=10s --start-period=30s --retries=3 \
    CMD ["sync-server", "healthcheck"]
ENTRYPOINT ["sync-server"]
