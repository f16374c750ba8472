# What every scene of packaging/install-test needs: steps, checks, waiting, and an end that leaves nothing behind.
# shellcheck shell=bash

# The names of this run alone: two runs side by side share nothing but the cache.
run=pw$$
work=$(mktemp -d "${TMPDIR:-/tmp}/$run.XXXX")
cache=${XDG_CACHE_HOME:-$HOME/.cache}/pinward
failed=0 numbers=()

step() { printf '\n-- %s\n' "$*"; }
say() { printf '   %s\n' "$*"; }
note() { numbers+=("$(printf '%-42s %s' "$1" "$2")"); say "$1: $2"; }

# die ends the run at once: what follows would say nothing.
die() {
  printf 'FAILED: %s\n' "$*" >&2
  exit 1
}

# refuse ends the run with 3: this machine does not allow it.
refuse() {
  echo "$1" >"${WHY:-/dev/null}"
  echo "install test: this machine does not allow it: $1" >&2
  exit 3
}

# ok WHAT COMMAND... : the command must succeed. no WHAT COMMAND... : it must fail.
ok() {
  local what=$1
  shift
  if "$@" >"$work/said" 2>&1; then say "ok: $what"; else wrong "$what" "$@"; fi
}
no() {
  local what=$1
  shift
  if "$@" >"$work/said" 2>&1; then wrong "$what" "$@"; else say "ok: $what"; fi
}

# says WHAT PATTERN COMMAND... : what the command prints must hold the pattern, however it ends.
says() {
  local what=$1 pattern=$2
  shift 2
  "$@" >"$work/said" 2>&1 || true
  if grep -Eq -e "$pattern" "$work/said"; then say "ok: $what"; else wrong "$what (want $pattern)" "$@"; fi
}

# said WHAT PATTERN : so must what the last of these printed.
said() {
  if grep -Eq -e "$2" "$work/said"; then say "ok: $1"; else wrong "$1 (want $2)"; fi
}

wrong() {
  printf 'FAILED: %s\n        %s\n' "$1" "${*:2}" >&2
  sed 's/^/        /' "$work/said" | tail -40 >&2
  failed=$((failed + 1))
}

# within SECONDS COMMAND... asks again until it is so. A machine that is slow by its nature has $slow times as long.
slow=1
within() {
  local end=$(($(now) + $1 * slow * 1000))
  shift
  until "$@" >/dev/null 2>&1; do
    [ "$(now)" -lt $end ] || return 1
    sleep 0.02
  done
}

now() { date +%s%3N; } # milliseconds
pause() { echo "$(($1 / 1000)).$(printf %03d $(($1 % 1000))) s"; }

# started keeps what has to end with this run: processes by their id, and folders, namespaces and control groups
# by their name.
pids=()
started() { pids+=("$!"); }
# spawn COMMAND... starts a program that ends with this run. It becomes the program itself, so that $! is its id.
spawn() {
  (exec "$@") &
  started
}

cleanup() {
  local status=$? pid
  set +e
  [ $status = 0 ] && [ $failed = 0 ] || tell
  for pid in "${pids[@]}" ${leader-}; do kill -9 "$pid" 2>/dev/null; done # a container's first process outlives systemd-nspawn
  wait 2>/dev/null
  ip netns list 2>/dev/null | awk -v r="$run-" 'index($1, r) == 1 {print $1}' | while read -r n; do ip netns del "$n"; done
  unshare -m bash -c 'mkdir -p "$1/cg" && mount -t cgroup2 cgroup2 "$1/cg" && find "$1/cg/$2" -depth -type d -exec rmdir {} + ' - "$work" "$run" 2>/dev/null
  [ -n "${KEEP-}" ] || rm -rf "$work"
  exit $status
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# tell shows what the box logged, where something went wrong.
tell() {
  if [ -n "${leader-}" ] && kill -0 "$leader" 2>/dev/null; then
    echo "-- the box's journal" >&2
    in_box journalctl -b --no-pager -n 60 -u 'pinward*' >&2
  fi
  [ -f "$work/console" ] && tail -5 "$work/console" >&2
}
