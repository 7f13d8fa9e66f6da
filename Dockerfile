# moviersa as a container; docs/containers.md says how it is built and run.
# BASE: debian:bookworm-slim, python:3.11-slim or another Debian with Python 3.11 or newer.
ARG BASE=debian:bookworm-slim

FROM ${BASE} AS dependencies
RUN command -v python3 >/dev/null || { \
      apt-get update \
      && apt-get install -y --no-install-recommends python3 python3-venv \
      && rm -rf /var/lib/apt/lists/*; }
WORKDIR /src
COPY pyproject.toml constraints.txt ./
COPY ci/image.sh ci/image.sh
# Which PyTorch: empty for PyPI's own (for NVIDIA GPUs, and CPUs), cpu for a small image, cu128 ...
ARG TORCH_BACKEND
# Certificates of a proxy, if the network is reached through one.
ARG SSL_CERT_FILE
RUN ci/image.sh dependencies /opt/venv /opt/app

FROM dependencies AS app
ARG SSL_CERT_FILE
COPY README.md ./
COPY bidsapp bidsapp
RUN ci/image.sh app /opt/venv /opt/app

FROM ${BASE}
RUN command -v python3 >/dev/null || { \
      apt-get update \
      && apt-get install -y --no-install-recommends python3 \
      && rm -rf /var/lib/apt/lists/*; }
COPY --from=dependencies /opt/venv /opt/venv
COPY --from=app /opt/app /opt/app
# Nothing is written into the image: home and caches are in the work directory.
ENV PATH=/opt/app/bin:/opt/venv/bin:$PATH \
    LC_ALL=C.UTF-8 \
    PYTHONDONTWRITEBYTECODE=1 \
    PYTHONNOUSERSITE=1
ARG VERSION=dev
ARG REVISION
ENV MOVIERSA_CONTAINER=moviersa:${VERSION}
LABEL org.opencontainers.image.title="moviersa" \
      org.opencontainers.image.description="BIDS App: representational similarity of brains and vision models while a film is watched" \
      org.opencontainers.image.licenses="Apache-2.0" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
USER 1000:1000
WORKDIR /
ENTRYPOINT ["moviersa"]
