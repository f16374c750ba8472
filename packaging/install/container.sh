# A minimal Debian, booted by systemd-nspawn with filters of the kernel that are real, in a network of its own.
# shellcheck shell=bash

# rights ends the run with 3 and the reason where this machine lets nobody boot a container.
rights() {
  local why
  why=$(unshare -m --propagation private bash -ec '
    mkdir -p "$1/cg"; mount -t cgroup2 cgroup2 "$1/cg"; mkdir -p "$1/cg/$2"; echo $$ >"$1/cg/$2/cgroup.procs"
    mount -t tmpfs tmpfs "$1/cg"' - "$work" "$run" 2>&1) || refuse "control groups and mounts: $why"
  why=$(ip netns add "$run-try" 2>&1 && ip netns del "$run-try" 2>&1) || refuse "network namespaces: $why"
  why=$(ip link add "$run-a" type veth peer name "$run-b" 2>&1 && ip link del "$run-a" 2>&1) || refuse "virtual links: $why"
}

# What the kernel has no device for is a socket in a container.
chip_flags=(--server "type=unixio,path=$work/tpm.sock,mode=0666" --flags not-need-init,startup-clear)

# The root file system is made once and kept; packages in it are Debian's own.
rootfs() {
  root=$cache/bookworm-1
  [ -d "$root/usr" ] && return
  step "a minimal Debian, once, into $cache"
  debian "$root"
}

# wire is the cable: the hospital's end, and the box's in a network of its own. Its way out leads to us: what leaks leaves
# as a packet and is seen.
wire() {
  ip netns add "$run-box"
  ip -n "$run-box" link set lo up
  ip link add e0 netns "$run-box" type veth peer name e1 netns "$run-lan"
  ip -n "$run-box" addr add $box/24 dev e0
  ip -n "$run-box" addr add fd00:77::2/64 dev e0 nodad
  ip -n "$run-box" link set e0 up
  ip -n "$run-lan" link set e1 up
  ip -n "$run-box" route add default via $lan
  ip -n "$run-box" -6 route add default via fd00:77::1
}

# boot NAME [BIND...] boots NAME from the root file system and what NAME has changed in it; the box keeps its files
# over a boot. leader becomes its first process.
boot() {
  local name=$1 binds=()
  shift
  for b in "$@"; do binds+=("--bind=$b"); done
  mkdir -p "$work/$name"/{up,work,root}
  # Without all capabilities and bpf systemd inside skips IPAddressDeny= and DeviceAllow= in silence
  # (systemd issue 9513): the controls of the scenes would see it.
  unshare -m --propagation private bash -euc '
    mkdir -p "$1/cg"; mount -t cgroup2 cgroup2 "$1/cg"; mkdir -p "$1/cg/$2"; echo $$ >"$1/cg/$2/cgroup.procs"
    umount -l /sys/fs/cgroup; mount -t cgroup2 cgroup2 /sys/fs/cgroup
    mount -t overlay overlay -o "lowerdir=$4,upperdir=$1/$3/up,workdir=$1/$3/work" "$1/$3/root"
    export SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1
    exec systemd-nspawn -q -D "$1/$3/root" --boot --register=no --keep-unit --link-journal=no --machine="$2" --console=pipe \
      --resolv-conf=off --timezone=off --network-namespace-path="/run/netns/$2-box" --capability=all --system-call-filter=bpf \
      "${@:5}" systemd.unit=multi-user.target' - "$work" "$run" "$name" "$root" "${binds[@]}" </dev/null >"$work/console" 2>&1 &
  started
  nspawn=$!
  within 20 first || die "no container: $(tail -3 "$work/console")"
  within 30 in_box systemctl is-system-running || within 10 in_box systemctl is-system-running || true
}
first() { leader=$(pgrep -P "$nspawn" -x systemd) && in_box true; }

in_box() { nsenter -t "$leader" -a "$@"; }
bring() { in_box sh -c 'cat >"$1"' - "$2" <"$1"; }

# power_cut ends the box as a pulled plug does.
power_cut() {
  kill -9 "$nspawn" "$leader" 2>/dev/null || true
  wait "$nspawn" 2>/dev/null || true
  within 10 vanished || die "the container does not end"
}
vanished() { ! kill -0 "$leader" 2>/dev/null; }
