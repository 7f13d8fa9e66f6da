# shellcheck shell=bash
# base.sh, to be sourced: a place for images, and a Debian to build on, on a machine without a Docker engine.

# scratch DIR: keep all images and temporary files below DIR.
scratch() {
  scratch=$(realpath -m "$1")
  mkdir -p "$scratch"/{images,run,tmp}
  export TMPDIR=$scratch/tmp CONTAINERS_STORAGE_CONF=$scratch/storage.conf CONTAINERS_CONF=$scratch/containers.conf
  printf '[storage]\ndriver = "overlay"\ngraphroot = "%s"\nrunroot = "%s"\n' \
    "$scratch/images" "$scratch/run" >"$CONTAINERS_STORAGE_CONF"
  # Limits that a container inside another may set, and no systemd.
  printf '[containers]\ndefault_ulimits = ["nofile=4096:4096", "nproc=4096:4096"]\n[engine]\nruntime = "runc"\ncgroup_manager = "cgroupfs"\nevents_logger = "file"\n' \
    >"$CONTAINERS_CONF"
}

# packages NAME ...: install what is missing of Debian's packages.
packages() {
  dpkg -s "$@" >/dev/null 2>&1 && return
  apt-get update -q >/dev/null
  DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@" >/dev/null
}

# debian_mirror: where this machine gets Debian's packages.
debian_mirror() {
  cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null |
    sed -n -E 's/^URIs: *([^ ]+).*/\1/p; s/^deb +(\[[^]]*\] +)?([^ ]+).*/\2/p' | grep debian | head -1
}

# base_image: have BASE; where no registry is reached, make it by debootstrap from this machine's mirror.
BASE=docker.io/library/debian:bookworm-slim
base_image() {
  buildah inspect --type image "$BASE" >/dev/null 2>&1 && return
  timeout 60 buildah pull -q "$BASE" >/dev/null 2>&1 && return
  echo "no registry of images is reached: the base image is made by debootstrap"
  packages debootstrap
  local root=$TMPDIR/base container
  rm -rf "$root"
  debootstrap --variant=minbase bookworm "$root" "$(debian_mirror)" >"$TMPDIR/debootstrap.log"
  rm -rf "$root"/var/cache/apt/archives/*.deb "$root"/var/lib/apt/lists/* "${root:?}"/dev/*
  : >"$root/etc/resolv.conf"
  : >"$root/etc/hostname"
  container=$(buildah from scratch)
  buildah add -q "$container" "$root" / >/dev/null
  buildah config --cmd /bin/bash "$container"
  buildah commit -q "$container" "$BASE" >/dev/null
  buildah rm "$container" >/dev/null
  rm -rf "$root"
}

# proxy_arguments: how a build gets at this machine's certificates, where it has its own. They are mounted
# where no package writes, and do not stay in the image.
proxy_arguments() {
  [ -n "${SSL_CERT_FILE:-}" ] || return 0
  printf '[global]\ncert = /run/host-ca.crt\n' >"$scratch/pip.conf"
  printf '%s\n' --volume "$SSL_CERT_FILE:/run/host-ca.crt:ro" --volume "$scratch/pip.conf:/etc/pip.conf:ro" \
    --build-arg SSL_CERT_FILE=/run/host-ca.crt
}

# bare_demo DIR: have the demo analysed by the bare install in DIR.
bare_demo() {
  [ -f "$1/out/group.html" ] || make demo DEMO="$1"
}
