# The service. The two stages share a base, so that the environment moves between them as it is.
FROM python:3.13-slim AS base


FROM base AS builder
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /src

# What the lock names changes seldom: a layer of its own.
COPY requirements.lock requirements-build.lock ./
RUN python -m venv --without-pip /opt/runstore \
    && python -m pip --python /opt/runstore/bin/python install \
        --require-hashes --requirement requirements.lock \
    && python -m pip install --require-hashes --requirement requirements-build.lock

COPY pyproject.toml README.md LICENSE ./
COPY clients/python clients/python
COPY migrations migrations
COPY server server
COPY storage storage
RUN python -m pip wheel --no-deps --no-build-isolation --wheel-dir dist . \
    && python -m pip --python /opt/runstore/bin/python install --no-deps dist/*.whl


FROM base
ARG VERSION=dev
ARG REVISION=unknown
LABEL org.opencontainers.image.title="runstore" \
      org.opencontainers.image.description="The durable record of AI-agent runs: a gRPC service on Postgres." \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"

RUN useradd --system --uid 10001 --user-group --no-log-init \
        --home-dir /nonexistent --shell /usr/sbin/nologin runstore
COPY --from=builder /opt/runstore /opt/runstore
# Bytecode was compiled by pip; nothing is written when it runs.
ENV PATH=/opt/runstore/bin:$PATH \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONUNBUFFERED=1 \
    RUNSTORE_HOST=0.0.0.0 \
    RUNSTORE_PORT=7411

# By number, so that an orchestrator can tell that it is not root.
USER 10001:10001
WORKDIR /
# gRPC, and read-only HTTP.
EXPOSE 7411 7412 7413
STOPSIGNAL SIGTERM
# The port is a setting: what answers there is asked.
HEALTHCHECK --interval=10s --timeout=10s --start-period=30s --retries=3 \
    CMD ["sh", "-c", "exec runstore health --target ${RUNSTORE_TLS_CERT_FILE:+grpcs://}localhost:${RUNSTORE_PORT}"]
ENTRYPOINT ["runstore"]
CMD ["serve"]
