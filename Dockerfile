# The server in a container, as a user without rights. docs/operations.md has how to run it:
#
#     docker build --tag ytcanal .
FROM rust:1-slim-bookworm AS build
WORKDIR /src
# What the program depends on changes less often than the program, and takes as long to compile.
COPY Cargo.toml Cargo.lock ./
RUN mkdir src \
    && echo '//! Nothing yet.' > src/lib.rs \
    && printf '//! Nothing yet.\nfn main() {}\n' > src/main.rs \
    && cargo build --release --locked \
    && rm -r src
COPY src src
# Cargo goes by times: these files may be older than those that stood in for them.
RUN touch src/lib.rs src/main.rs \
    && cargo build --release --locked

FROM debian:bookworm-slim
# Another value than the last time takes what is current of Debian's packages and of yt-dlp, and compiles nothing.
ARG UPDATED=
# hadolint ignore=DL3008,DL3013
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates ffmpeg python3-venv \
    && rm -rf /var/lib/apt/lists/* \
    && python3 -m venv /opt/yt-dlp \
    && /opt/yt-dlp/bin/pip install --no-cache-dir "yt-dlp[default]" deno \
    && ln -s /opt/yt-dlp/bin/yt-dlp /usr/local/bin/ \
    && install --directory --owner=64080 --group=64080 /var/lib/ytcanal-resolver
COPY LICENSE-* /usr/share/doc/ytcanal/
COPY config/ytcanal.toml /etc/ytcanal/
COPY --from=build /src/target/release/ytcanal /usr/local/bin/

# Nobody's, and the owner of nothing but of a directory where a volume may be, for `ytcanal update-resolver`.
USER 64080:64080
EXPOSE 8080
HEALTHCHECK --interval=30s --timeout=10s --start-period=10s CMD ["ytcanal", "healthcheck"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["ytcanal"]
CMD ["serve", "--config", "/etc/ytcanal/ytcanal.toml", "--listen", "0.0.0.0:8080"]
