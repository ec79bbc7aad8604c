#!/usr/bin/env bash
# scripts/unchanged.sh PATH... -- COMMAND...
# Runs the command and fails where it added, changed or removed a file under the paths, naming each such file.
set -euo pipefail

paths=()
while [ $# -gt 0 ] && [ "$1" != -- ]; do
  paths+=("$1")
  shift
done
[ ${#paths[@]} -gt 0 ] && [ $# -gt 1 ] || { sed -n '2,3p' "$0" >&2; exit 2; }
shift

sums() { find "${paths[@]}" -type f -exec sha256sum {} + | sort -k 2; }

before=$(sums)
"$@"
after=$(sums)
if [ "$before" != "$after" ]; then
  echo "not up to date; run the command and commit: $*" >&2
  diff <(echo "$before") <(echo "$after") | awk '/^[<>]/{print "  " $3}' | sort -u >&2
  exit 1
fi
