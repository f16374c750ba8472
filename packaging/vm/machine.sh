# A virtual machine with what a container lacks: firmware with Secure Boot, a TPM at /dev/tpmrm0, USB, control groups that
# limit, and a disk that forgets. QEMU translates each instruction (TCG): the kernels that tests run on have no KVM for it.
# shellcheck shell=bash

# rights ends the run with 3 and the reason where this machine lets nobody have a network for it, or lacks a program.
rights() {
  local why p
  for p in qemu-system-x86_64 qemu-img swtpm mmdebstrap mke2fs cpio sbsign ssh socat; do
    command -v $p >/dev/null || refuse "$p is missing (packaging/test --vm installs it)"
  done
  [ -f /usr/share/OVMF/OVMF_CODE_4M.snakeoil.fd ] || refuse "the firmware is missing (Debian's ovmf)"
  why=$(ip netns add "$run-try" 2>&1 && ip -n "$run-try" tuntap add "$run-t" mode tap 2>&1 && ip netns del "$run-try" 2>&1) || refuse "network namespaces and taps: $why"
}

chip_flags=() # QEMU hands the chip its power
slow=4

# wire is the cable: the hospital's end is a tap, at the other is the machine.
wire() { ip -n "$run-lan" tuntap add e1 mode tap; }

# machine prepares what stays over a power cut: the disk, the firmware's settings, and a small disk that shows what it forgets.
machine() {
  cp /usr/share/OVMF/OVMF_VARS_4M.snakeoil.fd "$work/settings"
  mkdir -p "$work/share"
  disk=$work/disk
  qemu-img create -q -f qcow2 -F raw -b "$guest/disk" "$disk"
  qemu-img create -q -f qcow2 "$work/scratch" 16M
}

# boot starts the machine and waits until it lets us in. leader becomes its process.
#
# cache=unsafe: the host's page cache outlives QEMU, so that nothing is gained by syncing it. What a power cut takes is
# what QEMU itself still holds, and of a qcow2 that is the table of what has been written since the guest's last flush:
# a disk with a write cache, as in a real machine.
boot() {
  spawn "${lan_exec[@]}" qemu-system-x86_64 -accel tcg,thread=multi -cpu max -smp 2 -m 1536 -nodefaults -display none \
    -M q35,smm=on -global driver=cfi.pflash01,property=secure,value=on \
    -drive if=pflash,format=raw,unit=0,readonly=on,file=/usr/share/OVMF/OVMF_CODE_4M.snakeoil.fd \
    -drive "if=pflash,format=raw,unit=1,file=$work/settings" \
    -kernel "$guest/vmlinuz" -initrd "$guest/initrd" \
    -append "console=ttyS0 root=/dev/vda rw quiet mitigations=off apparmor=0 selinux=0 audit=0 net.ifnames=0" \
    -drive "file=$disk,format=qcow2,if=virtio,cache=unsafe,id=disk" -drive "file=$work/scratch,format=qcow2,if=virtio,cache=unsafe" \
    -chardev "socket,id=chip,path=$work/tpm.sock.ctrl" -tpmdev emulator,id=tpm,chardev=chip -device tpm-crb,tpmdev=tpm \
    -netdev tap,id=lan,ifname=e1,script=no,downscript=no -device virtio-net-pci,netdev=lan,romfile= \
    -virtfs "local,path=$work/share,mount_tag=share,security_model=none,readonly=on" \
    -device qemu-xhci,id=usb -device virtio-serial-pci -device virtio-rng-pci \
    -chardev "serial,id=modem1,path=$(readlink "$work/ports/modem1")" -device usb-serial,chardev=modem1,id=modem1,bus=usb.0,port=1 \
    -chardev "serial,id=modem2,path=$(readlink "$work/ports/modem2")" -device virtserialport,chardev=modem2,name=modem2 \
    -serial "file:$work/console" -monitor "unix:$work/monitor,server=on,wait=off" >"$work/qemu" 2>&1
  leader=$!
  reach
}

# reach waits for the machine's ssh, and keeps one connection for all that in_box does.
reach() {
  local end=$(($(now) + 300000))
  rm -f "$work/ssh"
  until [ -S "$work/ssh" ] && in_box true; do
    [ "$(now)" -lt $end ] || die "the machine does not let us in: $(tail -5 "$work/console")"
    kill -0 "$leader" 2>/dev/null || die "the machine ended: $(cat "$work/qemu")"
    spawn "${lan_exec[@]}" "${ssh[@]}" -M -N "root@$box" 2>/dev/null
    within 10 test -S "$work/ssh" || kill $! 2>/dev/null || true
  done
  in_box sh -c 'mkdir -p /srv/share && mount -t 9p -o ro,trans=virtio,version=9p2000.L share /srv/share'
}
ssh=(ssh -F none -q -i "$guest/key" -S "$work/ssh" -o BatchMode=yes -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null
  -o ConnectTimeout=5 -o ServerAliveInterval=20)
in_box() { "${lan_exec[@]}" "${ssh[@]}" "root@$box" "$(printf '%q ' "$@")"; }

# bring takes the shared folder: by ssh a package would take half a minute.
bring() {
  cp "$1" "$work/share/brought"
  in_box sh -c 'cat /srv/share/brought >"$1"' - "$2"
}

# monitor COMMAND tells QEMU what a hand would do.
monitor() { echo "$*" | socat -t2 - "UNIX-CONNECT:$work/monitor" >"$work/monitored"; }

# power_cut ends the machine and its chip as a pulled plug does.
power_cut() {
  kill -9 "$leader" "$chip" 2>/dev/null || true
  wait "$leader" "$chip" 2>/dev/null || true
}

# restart goes down in order and comes up again, firmware and all.
restart() {
  in_box systemctl reboot || true
  within 60 gone || die "the machine does not go down"
  reach
}
gone() { ! in_box true; }
