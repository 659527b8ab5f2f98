# keyhole and its command line, in one image: a program in one file, on a base that has Node and no shell.
#
#   docker build -t keyhole:0.1.0 .
#
# Both bases can be replaced, by a mirror or by a digest: --build-arg RUN_BASE=gcr.io/distroless/nodejs24-debian12@sha256:...
ARG NODE_BASE=docker.io/library/node:24.21.0-bookworm-slim
ARG RUN_BASE=gcr.io/distroless/nodejs24-debian12:nonroot

FROM ${NODE_BASE} AS build
WORKDIR /src
COPY package.json package-lock.json ./
RUN npm ci --no-audit --no-fund
COPY build.ts ./
COPY deploy/image/start.mjs deploy/image/
COPY src ./src
RUN npm run --silent build \
 && mkdir -p /out/app /out/usr/local/bin \
 && cp dist/keyhole.mjs dist/program.js dist/licences.txt /out/app/ \
 && ln -s /app/keyhole.mjs /out/usr/local/bin/keyhole

# V8's cache is of the very Node that will use it, and is filled by starting the service as it will be started.
FROM ${RUN_BASE} AS warm
COPY --from=build --chown=65532:65532 /out /
COPY --chown=65532:65532 deploy/image/record.mjs deploy/image/warm.mjs /warm/
USER 65532:65532
RUN ["/nodejs/bin/node", "/warm/warm.mjs"]

FROM ${RUN_BASE}
ARG VERSION=0.1.0
ARG REVISION=unknown
ARG CREATED=1970-01-01T00:00:00Z
LABEL org.opencontainers.image.title="keyhole" \
      org.opencontainers.image.description="A decryption broker for Kubernetes: workloads read the keys they were granted, and nothing else." \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}" \
      org.opencontainers.image.created="${CREATED}"
# Owned by root: the service can write nothing of it, also where the root file system is writable.
COPY --from=warm --chown=0:0 /app /app
COPY --from=build --chown=0:0 /out/usr/local/bin /usr/local/bin
USER 65532:65532
EXPOSE 8443 8081
# What is freed on another thread than it was taken on stays with the process, in one arena of glibc's for each.
ENV MALLOC_ARENA_MAX=1
STOPSIGNAL SIGTERM
ENTRYPOINT []
# The heap is bounded, and no signal opens an inspector.
CMD ["/nodejs/bin/node", "--max-semi-space-size=4", "--max-old-space-size=96", "--disable-sigusr1", "/app/keyhole.mjs", "serve"]
