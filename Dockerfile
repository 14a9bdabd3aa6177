# kdns as an image: `docker build -t kdns .`, likewise podman and buildah. It takes CoreDNS's arguments, so
# that it can stand in the place of CoreDNS's image: `docker run kdns -conf /etc/coredns/Corefile`.
# What is in it, and why from scratch: deploy/README.md.

FROM python:3.11-slim-bookworm AS build
# strip; nothing of it stays in the image.
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends binutils >/dev/null
WORKDIR /src
COPY requirements.lock .
# Wheels only, by hash: nothing is fetched that the lock does not name, and nothing of it is run here.
RUN python -m pip install --disable-pip-version-check --no-cache-dir --no-compile --no-deps \
    --only-binary :all: --require-hashes --target /packages -r requirements.lock
COPY deploy/image/assemble.py deploy/image/launch.py ./
COPY LICENSE ./
COPY kdns /packages/kdns
RUN python assemble.py /packages /image

FROM scratch
COPY --from=build /image /
# The user has a number, for runAsNonRoot to be able to tell; it is that of "nonroot" elsewhere.
USER 65532:65532
# The socket of `debug` is in /tmp: a root file system that is read-only needs a volume there for it.
ENV PATH=/usr/local/bin LANG=C.UTF-8 XDG_RUNTIME_DIR=/tmp
EXPOSE 53/udp 53/tcp 8080/tcp 8181/tcp 9153/tcp
ENTRYPOINT ["/coredns"]
LABEL org.opencontainers.image.title="kdns" \
      org.opencontainers.image.description="A DNS server for Kubernetes, in place of CoreDNS" \
      org.opencontainers.image.licenses="Apache-2.0"
