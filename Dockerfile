# The server in a container, as a user without rights. docs/operations.md has how to run it:
#
#     docker build --tag ytcanal .
FROM rust:1-slim-bookworm AS build
WORKDIR /src
COPY . .
RUN cargo build --release --locked

FROM debian:bookworm-slim
# Those of Debian's packages and of yt-dlp that are current: an old yt-dlp fails within weeks, so build the image anew.
# hadolint ignore=DL3008,DL3013
RUN apt-get update \
    && apt-get install --yes --no-install-recommends ca-certificates ffmpeg python3-venv \
    && rm -rf /var/lib/apt/lists/* \
    && python3 -m venv /opt/yt-dlp \
    && /opt/yt-dlp/bin/pip install --no-cache-dir "yt-dlp[default]" deno \
    && ln -s /opt/yt-dlp/bin/yt-dlp /usr/local/bin/
COPY --from=build /src/target/release/ytcanal /usr/local/bin/
COPY config/ytcanal.toml /etc/ytcanal/

# Nobody's, and the owner of nothing.
USER 64080:64080
EXPOSE 8080
HEALTHCHECK --interval=30s --timeout=10s --start-period=10s CMD ["ytcanal", "healthcheck"]
STOPSIGNAL SIGTERM
ENTRYPOINT ["ytcanal"]
CMD ["serve", "--config", "/etc/ytcanal/ytcanal.toml", "--listen", "0.0.0.0:8080"]
