#!/usr/bin/env bash
# install_apptainer.sh PREFIX: Apptainer from Debian's unstable suite, whole below PREFIX. Debian 12 has none: the
# program gets that suite's C library for itself, and the system's packages stay as they are. Needs root.
set -euo pipefail
prefix=$(realpath -m "$1")
[ -x "$prefix/bin/apptainer" ] && exit
cd "$(dirname "$0")/.."
. ci/base.sh
packages patchelf squashfs-tools squashfuse uidmap fakeroot libseccomp2 libsqlite3-0 ca-certificates
apt=$(mktemp -d)
trap 'rm -rf "$apt"' EXIT
mkdir -p "$apt"/{etc/apt.conf.d,etc/preferences.d,state/lists/partial,cache/archives/partial}
cp /etc/apt/apt.conf.d/99* "$apt/etc/apt.conf.d/" 2>/dev/null || true
cp /var/lib/dpkg/status "$apt/state/status"
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $(debian_mirror) sid main" >"$apt/etc/sources.list"
cat >"$apt/apt.conf" <<CONF
Dir::Etc "$apt/etc";
Dir::State "$apt/state";
Dir::State::status "$apt/state/status";
Dir::Cache "$apt/cache";
APT::Sandbox::User "root";
CONF
export APT_CONFIG=$apt/apt.conf
apt-get update -q >/dev/null
cd "$apt"
apt-get download -q apptainer libc6 >/dev/null
dpkg -x apptainer_*.deb app
dpkg -x libc6_*.deb libc
libraries=$apt/libc/usr/lib/x86_64-linux-gnu
mkdir -p "$prefix/glibc" "$prefix/var/lib/apptainer/mnt/session"
cp -a "$libraries"/{ld-linux-x86-64.so.2,lib{c,m,pthread,dl,rt,resolv}.so.*,libnss_{files,dns}.so.2} "$prefix/glibc/"
cp -a app/usr/. "$prefix/"
cp -a app/etc "$prefix/etc"
ln -sfn ../etc "$prefix/lib/etc" # its starter takes PREFIX/lib for PREFIX
ln -sfn ../var "$prefix/lib/var"
for program in bin/apptainer lib/x86_64-linux-gnu/apptainer/bin/starter; do
  patchelf --set-interpreter "$prefix/glibc/ld-linux-x86-64.so.2" --force-rpath \
    --set-rpath "$prefix/glibc:/lib/x86_64-linux-gnu:/usr/lib/x86_64-linux-gnu" "$prefix/$program"
done
grep -q '^root:' /etc/subuid || usermod --add-subuids 100000-165535 --add-subgids 100000-165535 root
chmod 666 /dev/fuse # ordinary users mount images with squashfuse
"$prefix/bin/apptainer" --version
