# A machine without the package: the tarball's programs and `pinward service`.
# shellcheck shell=bash

scene_tarball() {
  step "another machine, with the tarball"
  kill -0 "$nspawn" 2>/dev/null && power_cut
  mkdir -p "$work/tarball/up"
  dpkg-deb --fsys-tarfile "$deb" | tar -x -C "$work/tarball/up" ./usr/bin
  boot tarball
  status 4 'not installed'
  in_box cp /usr/bin/pinward /root/pinward
  no "from elsewhere it installs nothing" in_box /root/pinward service install
  said "and it says why" 'run the one in /usr/bin'
  no "no file was laid down" in_box test -e /etc/systemd/system/pinward.socket
  ok "it installs" in_box pinward service install
  said "it runs, empty, and says what is next" 'Pinward is running, empty. Next:'
  status 0 '^running'
  ok "the page of set-up is served" in_box curl -sk --max-time 10 -o /dev/null https://127.0.0.1:8443/healthz
  ok "the sandbox is that of the package" in_box systemd-analyze security --no-pager --threshold=4 pinward.service
  ok "the user is that of the package" in_box sh -c '[ "$(stat -c %U:%a /var/lib/pinward)" = pinward:700 ] && id -nG pinward | grep -qw tss && getent group pinward-admin'
  ok "the configuration is closed to others" in_box sh -c '[ "$(stat -c %U:%G:%a /etc/pinward/pinward.toml)" = root:pinward:640 ]'
  ok "the control socket answers" in_box sh -c 'pinward status | grep -q "run: pinward setup"'
  in_box systemctl kill -s KILL --kill-whom=main pinward.service
  sleep 0.3
  status 3 'it ended \(signal\) and is started again'
  ok "it comes back" within 15 in_box pinward service status
  ok "it stops" in_box pinward service stop
  status 3 '^stopped'
  no "its ports are closed" in_box curl -sk --max-time 2 https://127.0.0.1:8443/healthz
  ok "it starts" in_box pinward service start
  status 0 '^running'
  ok "its ports are open" in_box curl -sk --max-time 10 -o /dev/null https://127.0.0.1:8443/healthz
  in_box sh -c 'cp /etc/pinward/pinward.toml /root/ && echo "no_such_key = 1" >>/etc/pinward/pinward.toml'
  in_box pinward service restart || true
  status 3 'it ended \(exit-code\)'
  says "the reason is in the journal" 'unknown key "?.*no_such_key' in_box journalctl -u pinward -n 5 --no-pager
  in_box sh -c 'cat /root/pinward.toml >/etc/pinward/pinward.toml'
  ok "mended, it runs again by itself" within 15 in_box pinward service status
  ok "it is uninstalled" in_box pinward service uninstall
  said "it says that the audit stays" 'Kept: .*/var/lib/pinward'
  status 4 'not installed'
  ok "no unit, rule or user's file is left" in_box sh -c '! ls /etc/systemd/system/*pinward* /etc/udev/rules.d/*pinward* /etc/sysusers.d/pinward.conf 2>/dev/null | grep .'
  ok "configuration and state are kept" in_box test -f /etc/pinward/pinward.toml -a -d /var/lib/pinward
  no "nothing of it runs" in_box pgrep -x 'pinwardd|pinward-relay'
}

# status CODE PATTERN : what `pinward service status` says.
status() {
  local code=0
  in_box pinward service status >"$work/said" 2>&1 || code=$?
  if [ $code = "$1" ]; then said "service status is $1: $2" "$2"; else wrong "service status is $code, want $1"; fi
}
