# moviersa as a container: docker run --rm -v BIDS:/data:ro -v OUT:/out IMAGE /data /out participant ...
ARG BASE=debian:bookworm-slim
FROM ${BASE}

LABEL org.opencontainers.image.title="moviersa" \
      org.opencontainers.image.description="RSA of films: BIDS App" \
      org.opencontainers.image.licenses="Apache-2.0"

RUN apt-get update \
 && apt-get install -y --no-install-recommends python3 python3-venv \
 && rm -rf /var/lib/apt/lists/*
ENV PATH=/opt/venv/bin:$PATH
WORKDIR /opt/moviersa
COPY pyproject.toml constraints.txt README.md ./
COPY bidsapp ./bidsapp
RUN python3 -m venv /opt/venv \
 && pip install --no-cache-dir --constraint constraints.txt .

# Any user and a read-only root: whatever is written goes to the output and work directories.
ENV PYTHONDONTWRITEBYTECODE=1
ARG VERSION=dev
ENV MOVIERSA_CONTAINER=moviersa:${VERSION}
USER 1000:1000
WORKDIR /
ENTRYPOINT ["moviersa"]
