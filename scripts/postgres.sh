#!/usr/bin/env bash
# A private PostgreSQL for the tests: its own cluster in a temporary folder, a Unix socket and no TCP port, nothing
# synced to disk. Tests find it by GENBA_TEST_POSTGRES, a postgres:// URL whose user may create databases.
#
#   scripts/postgres.sh run COMMAND...    runs the command with a server, and stops the server whatever happens;
#                                         where GENBA_TEST_POSTGRES is set already, that server is used
#   eval "$(scripts/postgres.sh start)"   starts a server and exports its address into this shell
#   scripts/postgres.sh stop              stops the server that this shell started, and removes its folder
set -euo pipefail

user=app
max_connections=200

usage() {
  sed -n '2,/^set /{/^# \{0,1\}/s///p}' "$0" >&2
  exit 2
}

# PostgreSQL refuses to run as root: there it runs as postgres, or as nobody.
drop=()
if [ "$(id -u)" -eq 0 ]; then
  owner=nobody
  if id postgres >/dev/null 2>&1; then
    owner=postgres
  fi
  drop=(setpriv "--reuid=$owner" "--regid=$(id -g "$owner")" --clear-groups env "HOME=/")
fi
as_owner() { "${drop[@]}" "$@"; }

find_bin() {
  local newest
  newest=$(compgen -G '/usr/lib/postgresql/*/bin/initdb' | sort -V | tail -n 1 || true)
  if [ -n "$newest" ]; then
    dirname "$newest"
  elif command -v initdb >/dev/null; then
    dirname "$(command -v initdb)"
  else
    echo "postgres: PostgreSQL is not installed; scripts/setup.sh installs it" >&2
    return 1
  fi
}

start_in() { # start_in DIR: the folder must be short, a socket's path has at most 107 bytes
  local dir=$1 bin
  bin=$(find_bin)
  if [ "$(id -u)" -eq 0 ]; then
    chown "$owner" "$dir"
  fi
  cd "$dir"
  if ! as_owner "$bin/initdb" -A trust -E UTF8 --locale=C.UTF-8 -U "$user" --no-sync -D "$dir/data" >"$dir/initdb.log" 2>&1; then
    cat "$dir/initdb.log" >&2
    return 1
  fi
  if ! as_owner "$bin/pg_ctl" -w -t 60 -D "$dir/data" -l "$dir/data/server.log" \
    -o "-c listen_addresses='' -k $dir -c fsync=off -c full_page_writes=off -c synchronous_commit=off -c max_connections=$max_connections" \
    start >/dev/null; then
    cat "$dir/data/server.log" >&2
    return 1
  fi
}

stop_in() {
  local dir=$1 bin
  bin=$(find_bin)
  if [ -e "$dir/data/postmaster.pid" ]; then
    (cd "$dir" && as_owner "$bin/pg_ctl" -w -t 60 -m immediate -D "$dir/data" stop >/dev/null) || true
  fi
  rm -rf -- "$dir"
}

new_dir() { mktemp -d /tmp/genba-postgres.XXXXXX; }
url_of() { printf 'postgres://%s@/postgres?host=%s&sslmode=disable' "$user" "$1"; }

case ${1:-} in
run)
  shift
  [ $# -gt 0 ] || usage
  if [ -n "${GENBA_TEST_POSTGRES:-}" ]; then
    exec "$@"
  fi
  dir=$(new_dir)
  trap 'stop_in "$dir"' EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP
  (start_in "$dir")
  GENBA_TEST_POSTGRES=$(url_of "$dir") "$@"
  ;;
start)
  dir=$(new_dir)
  if ! (start_in "$dir"); then
    stop_in "$dir"
    exit 1
  fi
  printf "export GENBA_TEST_POSTGRES='%s' GENBA_TEST_POSTGRES_DIR='%s'\n" "$(url_of "$dir")" "$dir"
  ;;
stop)
  case ${GENBA_TEST_POSTGRES_DIR:-} in
  /tmp/genba-postgres.*) stop_in "$GENBA_TEST_POSTGRES_DIR" ;;
  *) echo "postgres: this shell started no server" >&2; exit 1 ;;
  esac
  ;;
*) usage ;;
esac
