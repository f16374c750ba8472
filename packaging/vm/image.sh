# The disk, the kernel and the firmware of a virtual machine: made once, and kept beside the container's file system.
# shellcheck shell=bash

# image makes $guest: a Debian with its own kernel, and with what is found on a hospital's machine and may come in
# the way (ModemManager, masked until a scene wants it). Nothing of Pinward is in it.
guest=$cache/bookworm-vm-1
image() {
  [ -d "$guest" ] && return
  step "a Debian with a kernel, once, into $cache"
  rm -rf "$guest.new" && mkdir -p "$guest.new"
  # shellcheck disable=SC2016 # the hook's own
  debian "$guest.new/root" openssh-server busybox-static socat modemmanager tpm2-tools \
    '--customize-hook=cd "$1/boot" && chroot "$1" sh -c "cd /boot && apt-get download \$(apt-cache depends linux-image-amd64 | sed -n \"s/.*Depends: \\(linux-image-.*\\)/\\1/p\" | head -1)"'
  furnish "$guest.new"
  mv "$guest.new" "$guest"
}

furnish() {
  local at=$1 r=$1/root kernel
  # Its kernel, without what no such machine has; the boot loader and its initrd are ours.
  dpkg-deb --fsys-tarfile "$r"/boot/linux-image-*.deb | tar -x --keep-directory-symlink -C "$r"
  kernel=$(basename "$r"/lib/modules/*)
  (cd "$r/lib/modules/$kernel/kernel" && rm -rf sound net/{mac80211,bluetooth,wireless,sctp,ceph} fs/{xfs,btrfs,ocfs2,ceph,nfs*,smb*,cifs} \
    drivers/{gpu,media,staging,infiniband,scsi,isdn,iio,hwmon,video,net/{ethernet,wireless},input,platform,md,mtd,nvme,bluetooth,thunderbolt})
  chroot "$r" depmod "$kernel"
  # Signed by a key that the firmware below knows: Secure Boot is on, and real.
  openssl x509 -in /usr/share/ovmf/PkKek-1-snakeoil.pem -out "$at/secureboot.pem"
  openssl rsa -in /usr/share/ovmf/PkKek-1-snakeoil.key -passin pass:snakeoil -out "$at/secureboot.key" 2>/dev/null
  sbsign --key "$at/secureboot.key" --cert "$at/secureboot.pem" --output "$at/vmlinuz" "$r/boot/vmlinuz-$kernel" 2>/dev/null
  initrd "$r" "$kernel" "$at/initrd"
  rm -rf "$r"/boot/* "$r"/usr/share/{doc,man,locale}

  ssh-keygen -q -t ed25519 -N '' -f "$at/key"
  install -D -m 600 "$at/key.pub" "$r/root/.ssh/authorized_keys"
  printf 'UsePAM no\nUseDNS no\nPermitRootLogin prohibit-password\nMaxSessions 100\nSetEnv PATH=/usr/sbin:/usr/bin:/sbin:/bin\n' >"$r/etc/ssh/sshd_config.d/test.conf"
  printf '[Match]\nType=ether\n[Network]\nAddress=%s/24\nAddress=fd00:77::2/64\nGateway=%s\nIPv6AcceptRA=no\nLinkLocalAddressing=no\n' "$box" "$lan" >"$r/etc/systemd/network/10-lan.network"
  echo box >"$r/etc/hostname"
  echo '/dev/vda / ext4 rw 0 1' >"$r/etc/fstab"
  # serial-getty hangs up the console that the test reads; the rest is no part of such a machine.
  local unit
  for unit in serial-getty@ttyS0.service getty@tty1.service ModemManager.service apt-daily.timer apt-daily-upgrade.timer fstrim.timer \
    e2scrub_all.timer e2scrub_reap.service dpkg-db-backup.timer; do
    ln -sf /dev/null "$r/etc/systemd/system/$unit"
  done
  systemctl -q --root="$r" enable systemd-networkd.service ssh.service
  mke2fs -q -t ext4 -d "$r" "$at/disk" 1500M
  rm -rf "$r"
}

# initrd ROOT KERNEL FILE : the modules that the disk needs, and a shell that goes over to it.
initrd() {
  local at=$1/initrd m
  mkdir -p "$at"/{bin,dev,proc,sys,root,modules}
  cp "$1/bin/busybox" "$at/bin/"
  {
    printf '#!/bin/busybox sh\n/bin/busybox mount -t devtmpfs dev /dev\n'
    chroot "$1" modprobe -S "$2" --show-depends -a virtio_pci virtio_blk crc32c_generic ext4 | awk '$1 == "insmod" && !seen[$2]++ {print $2}' | while read -r m; do
      cp "$1$m" "$at/modules/"
      echo "/bin/busybox insmod /modules/$(basename "$m")"
    done
    printf 'until [ -b /dev/vda ]; do /bin/busybox sleep 0.1; done\n/bin/busybox mount -t ext4 -o rw /dev/vda /root\nexec /bin/busybox switch_root /root /sbin/init\n'
  } >"$at/init"
  chmod +x "$at/init"
  (cd "$at" && find . | cpio --quiet -o -H newc -R 0:0 | gzip -1) >"$3"
}
