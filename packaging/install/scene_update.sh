# A box is updated by a signed bundle, and comes back by itself from one that does not run. Sourced by packaging/install-test.
# shellcheck shell=bash

# bundle KEY DEB NAME makes the update bundle of a package and puts it into the box.
bundle() {
  "$work/bin/bundle" -key "$1" -o "$work/$3.bundle" "$2" >/dev/null && into "$work/$3.bundle" "/root/$3.bundle" 0600 root
}

# broken is the next version but one, whose daemon is another program: it ends at once, whenever it is started.
broken() {
  rm -rf "$work/broken" && dpkg-deb -R "$newer" "$work/broken"
  cp "$work/broken/usr/bin/pinward" "$work/broken/usr/bin/pinwardd"
  sed -i 's/^Version: .*/Version: 99.1.0/' "$work/broken/DEBIAN/control"
  dpkg-deb --root-owner-group -Zgzip -z1 -b "$work/broken" "$work/pinward_99.1.0_amd64.deb" >/dev/null
}

# pin lets the box take what the test's key has signed. The packages of the test carry no key, so each installation takes it away.
pin() { into "$work/update-keys" /usr/share/pinward/update-keys 0644 root; }

scene_update() {
  step "an update bundle"
  local was
  was=$(in_box dpkg-query -W -f '${Version}' pinward)
  CGO_ENABLED=0 go build -trimpath -buildvcs=false -o "$work/bin/" ./packaging/bundle
  "$work/bin/bundle" -new-key "$work/update.key" >"$work/update-keys"
  "$work/bin/bundle" -new-key "$work/stranger.key" >/dev/null
  broken
  bundle "$work/update.key" "$deb" now
  bundle "$work/update.key" "$newer" next
  bundle "$work/update.key" "$work/pinward_99.1.0_amd64.deb" broken
  bundle "$work/stranger.key" "$newer" forged
  in_box sh -c 'head -c 1000000 /root/next.bundle >/root/cut.bundle'
  printf '\n[backup]\nfolder = "/var/backups/pinward"\n' | in_box tee -a /etc/pinward/pinward.toml >/dev/null
  in_box systemctl restart pinward.service
  within 30 ready || die "not ready after a restart"

  no "without a pinned key no bundle is taken" in_box pinward update apply /root/next.bundle --no-rollback
  said "and that is said" 'no update key is pinned'
  pin
  no "one that somebody else signed is not taken" in_box pinward update apply /root/forged.bundle --no-rollback
  said "and that is said" 'no key that is pinned'
  no "nor one that was cut" in_box pinward update apply /root/cut.bundle --no-rollback
  said "and that is said" 'cut off'
  in_box mkdir -p /var/lib/pinward-update
  in_box mount -t tmpfs -o size=2m tmpfs /var/lib/pinward-update
  no "where the disk is full nothing is begun" in_box pinward update apply /root/next.bundle --previous /root/now.bundle
  said "and that is said" 'no space left'
  in_box umount /var/lib/pinward-update
  ok "the version is the one of before" test "$(in_box dpkg-query -W -f '${Version}' pinward)" = "$was"

  ok "the next version comes, and works" in_box pinward update apply /root/next.bundle --previous /root/now.bundle --steady 1s
  said "with a backup made first" 'backup .*/var/backups/pinward/'
  says "it is the one that runs" '99\.0' in_box pinward status
  pin
  no "an older one is not taken" in_box pinward update apply /root/now.bundle
  said "and that is said" 'older than the installed one'
  local began
  began=$(now)
  no "one whose daemon ends is not kept" in_box pinward update apply /root/broken.bundle --steady 1s
  said "the one of before is back" 'Version 99\.0\.0 is back, and works as before'
  note "a daemon that does not start, until the one of before is back" "$(pause $(($(now) - began)))"
  ok "it is ready" within 10 ready
  ok "a code goes out" one_code 4321
  ok "rollback goes back to the version before, not to the one that failed" in_box pinward update rollback --steady 1s
  ok "and that is what is installed" test "$(in_box dpkg-query -W -f '${Version}' pinward)" = "$was"
  into "$work/pinward.toml" /etc/pinward/pinward.toml
  in_box systemctl restart pinward.service
  ok "it is ready" within 30 ready
  audit_verifies
}
