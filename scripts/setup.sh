#!/usr/bin/env bash
# Installs what the tests need and this Debian machine lacks: PostgreSQL, Chromium, ffmpeg, strace, Japanese fonts and a
# C compiler for the race detector. Go, Node, npm, make and git are expected. Does nothing where all of it is there.
set -euo pipefail

missing=()
need() { # need PACKAGE TEST...: notes the package where the test fails
  local package=$1
  shift
  "$@" >/dev/null 2>&1 || missing+=("$package")
}

has_initdb() { compgen -G '/usr/lib/postgresql/*/bin/initdb'; }
has_package() { [ "$(dpkg-query -W -f='${db:Status-Status}' "$1")" = installed ]; }

for tool in go node npm make git; do
  command -v "$tool" >/dev/null || { echo "setup: $tool is not installed; see README.md" >&2; exit 1; }
done
need postgresql-15 has_initdb
need chromium test -x /usr/bin/chromium
need ffmpeg command -v ffmpeg
need strace command -v strace
need fonts-noto-cjk has_package fonts-noto-cjk
need gcc command -v gcc
need libc6-dev test -e /usr/include/stdio.h

if [ ${#missing[@]} -eq 0 ]; then
  exit 0
fi
if ! command -v apt-get >/dev/null; then
  echo "setup: please install: ${missing[*]}" >&2
  exit 1
fi

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  command -v sudo >/dev/null || { echo "setup: as root, please install: ${missing[*]}" >&2; exit 1; }
  as_root=(sudo)
fi
echo "setup: installing ${missing[*]}"
apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=300)
"${apt[@]}" update
"${apt[@]}" install -y --no-install-recommends "${missing[@]}"
