FROM python:3.13-slim AS builder
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


FROM python:3.13-slim
LABEL org.opencontainers.image.title="runstore" \
      org.opencontainers.image.description="The durable record of AI-agent runs: a gRPC service on Postgres." \
      org.opencontainers.image.licenses="Apache-2.0"

RUN useradd --system --uid 10001 --user-group --no-log-init \
        --home-dir /nonexistent --shell /usr/sbin/nologin runstore
COPY --from=builder /opt/runstore /opt/runstore
ENV PATH=/opt/runstore/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    RUNSTORE_HOST=0.0.0.0 \
    RUNSTORE_PORT=7411

USER 10001:10001
EXPOSE 7411 7412
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 CMD ["runstore", "health"]
ENTRYPOINT ["runstore"]
CMD ["serve"]
