# A minimal Debian of Debian's own packages, for a container and for a virtual machine.
# shellcheck shell=bash

# debian FOLDER [PACKAGE|OPTION]... makes FOLDER, with those packages besides what every box here has.
debian() {
  local into=$1 list=systemd,systemd-sysv,dbus,udev,tpm-udev,curl,kmod,procps,iproute2 options=() p
  for p in "${@:2}"; do
    if [[ $p = -* ]]; then options+=("$p"); else list+=,$p; fi
  done
  mkdir -p "$(dirname "$into")"
  mmdebstrap --quiet --variant=minbase --include="$list" "${options[@]}" bookworm "$into.tar" >&2
  rm -rf "$into.new" && mkdir "$into.new" && tar -xf "$into.tar" -C "$into.new" --exclude=./dev && rm "$into.tar"
  mkdir -p "$into.new/dev" && rm -f "$into.new/etc/machine-id" && : >"$into.new/etc/machine-id"
  rm -rf "$into.new/var/cache/apt" "$into.new/var/lib/apt/lists" && mv "$into.new" "$into"
}
