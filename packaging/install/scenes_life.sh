# The scenes of a box at work: what goes wrong at night, and what an administrator does by day.
# shellcheck shell=bash

# load FILE DO... : clients come and go while DO happens, and go on for a while after it. What they saw is in FILE.
load() {
  local seen=$1
  shift
  first=$((${first:-3000} + 100)) # the SIMs of the simulator have 2001 and on
  clients
  spawn "${clients[@]}" -mllp $box:2575 -first $first >"$seen" 2>"$work/client"
  local pid=$!
  sleep 2
  "$@"
  within 30 ready || true
  sleep 3
  kill -TERM $pid
  wait $pid || die "client: $(cat "$work/client")"
  say "$(cat "$seen")"
}
# holds FILE WHAT JQ : what the clients saw is as wanted.
holds() { ok "$2" jq -e "$3" "$1"; }
nothing_lost() {
  holds "$1" "no connection was refused" '.refused == 0'
  kept "$1"
}
kept() {
  holds "$1" "each code that was accepted arrived and was right" '.started > 0 and .started == .right'
  holds "$1" "each HL7 message has its AA" '.sent > 10 and .sent == .acked'
}

scene_kill() {
  step "kill -9 under load"
  load "$work/kill" kill_daemon
  nothing_lost "$work/kill"
  holds "$work/kill" "who came meanwhile waited, and was served" '.odd == 0 and .longest_ms > 1000'
  note "restart gap seen by a client, kill -9" "$(pause "$(field longest_ms "$work/kill")")"
  audit_verifies
}
kill_daemon() {
  in_box systemctl kill -s KILL --kill-whom=main pinward.service
  let_go
}

scene_reload() {
  step "reload under load"
  local pid served
  pid=$(prop MainPID pinward.service)
  mv "$work/server.pem" "$work/old.pem"
  certificate server "IP:$box"
  cat "$work/old.pem" >>"$work/server.pem" # the clients trust both
  load "$work/reload" reload
  holds "$work/reload" "no connection was refused, cut or kept waiting" '.refused == 0 and .cut == 0 and .odd == 0 and .longest_ms < 1500'
  nothing_lost "$work/reload"
  ok "it is the same process" test "$pid" = "$(prop MainPID pinward.service)"
  served=$(from_lan openssl s_client -connect $box:8443 </dev/null 2>/dev/null | openssl x509 -noout -fingerprint)
  ok "new connections get the new certificate" test "$served" = "$(openssl x509 -noout -fingerprint -in "$work/server.pem")"
}
reload() {
  sed -n '1,/END CERT/p' "$work/server.pem" >"$work/new.pem"
  into "$work/new.pem" /etc/pinward/server.pem
  into "$work/server-key.pem" /etc/pinward/server-key.pem
  in_box systemctl reload pinward.service
}

scene_hang() {
  step "a daemon that hangs"
  local before
  before=$(prop NRestarts pinward.service)
  in_box mkdir -p /run/systemd/system/pinward.service.d
  printf '[Service]\nWatchdogSec=3s\n' | in_box tee /run/systemd/system/pinward.service.d/watchdog.conf >/dev/null
  in_box systemctl daemon-reload
  in_box systemctl restart pinward.service
  within 30 ready || die "not ready after a restart"
  hung_loop
  load "$work/hang" hang
  nothing_lost "$work/hang"
  says "systemd knows why" 'Watchdog timeout' in_box journalctl -b -u pinward.service --no-pager
  note "restart gap, hung for its WatchdogSec of 3 s" "$(pause "$(field longest_ms "$work/hang")")"
  in_box rm -r /run/systemd/system/pinward.service.d
  in_box systemctl daemon-reload
  in_box systemctl restart pinward.service
  within 30 ready || die "not ready after a restart"
  [ "$before" -lt 1000 ]
}
# hung_loop lets one loop hang and no other: a reload waits for a certificate that does not open, as on a share that hangs.
# systemd is told which, and ends the daemon.
hung_loop() {
  local pid
  pid=$(prop MainPID pinward.service)
  in_box sh -c 'mv /etc/pinward/server.pem /root/server.pem && mkfifo /etc/pinward/server.pem && chmod 644 /etc/pinward/server.pem'
  in_box systemctl reload --no-block pinward.service
  ok "systemctl status names the loop that hangs" within 20 hanging
  in_box mv /root/server.pem /etc/pinward/server.pem
  ok "systemd ends the daemon and starts another" within 20 other_than "$pid"
  let_go
  says "the journal names it too" 'loops are silent.*main' in_box journalctl -b -u pinward.service --no-pager
  within 30 ready || die "not ready after a loop hung"
}
hanging() { prop StatusText pinward.service | grep -q '^hangs: main;'; }

# hang lets every thread stand still, as a hung kernel call does; systemd ends it.
hang() {
  local pid
  pid=$(prop MainPID pinward.service)
  in_box kill -STOP "$pid"
  ok "systemd ends it and starts another" within 20 other_than "$pid"
  let_go
}
other_than() { local now; now=$(prop MainPID pinward.service) && [ "$now" != 0 ] && [ "$now" != "$1" ]; }

scene_stop() {
  step "stop and start under load"
  load "$work/stop" stop_start
  nothing_lost "$work/stop"
  holds "$work/stop" "nobody was cut" '.cut == 0'
  note "restart gap seen by a client, systemctl restart" "$(pause "$(field longest_ms "$work/stop")")"
}
stop_start() {
  local began
  began=$(now)
  in_box systemctl restart pinward.service
  note "systemctl restart takes" "$(pause $(($(now) - began)))"
}

scene_upgrade() {
  step "upgrade under load"
  into "$newer" "/root/$(basename "$newer")"
  load "$work/upgrade" upgrade
  nothing_lost "$work/upgrade"
  holds "$work/upgrade" "nobody was cut" '.cut == 0'
  says "the new version runs" "99\.0" in_box pinwardd -version
  ok "the configuration is as it was" in_box sh -c 'cmp /etc/pinward/pinward.toml - ' <"$work/pinward.toml"
  note "longest wait for a text over an upgrade" "$(pause "$(field longest_text_ms "$work/upgrade")")"
  note "restart gap seen by a client, upgrade" "$(pause "$(field longest_ms "$work/upgrade")")"
  audit_verifies
}
upgrade() { ok "dpkg takes the newer version" in_box dpkg -i --force-confold "/root/$(basename "$newer")"; }

scene_downgrade() {
  step "downgrade"
  load "$work/downgrade" downgrade
  nothing_lost "$work/downgrade"
  no "the older version runs" in_box sh -c 'pinwardd -version | grep 99'
  audit_verifies
  # A store that a newer version wrote is not for this one.
  local pid form
  form=$(in_box cat /var/lib/pinward/format)
  in_box sh -c 'echo 999 >/var/lib/pinward/format'
  pid=$(prop MainPID pinward.service)
  no "over a newer store it is refused" in_box dpkg -i --force-downgrade --force-confold "/root/$(basename "$deb")"
  said "in clear words" 'written by a newer version'
  ok "before anything is touched" test "$pid" = "$(prop MainPID pinward.service)"
  in_box systemctl restart pinward.service
  says "a program that was brought past the package stays sealed, and says why" 'newer version' in_box pinward status
  in_box sh -c 'echo "$1" >/var/lib/pinward/format' - "$form"
  in_box systemctl restart pinward.service
  ok "with the right one it opens" within 30 ready
}
downgrade() { ok "dpkg takes the older version while the store is one that it knows" in_box dpkg -i --force-downgrade --force-confold "/root/$(basename "$deb")"; }

scene_power() {
  step "the plug is pulled, under load"
  local began
  clients
  spawn "${clients[@]}" -first 5000 >"$work/power" 2>"$work/client"
  local pid=$!
  sleep 2
  power_cut
  let_go
  kill -9 $chip
  began=$(now)
  kill -TERM $pid
  wait $pid || true
  chip
  boot box "$modem:/dev/ttyFAKE0" "$work/tpm.sock:/run/tpm.sock"
  ok "it comes back by itself, keys and all" within 120 ready
  note "power on to ready (nspawn: no firmware, no kernel)" "$(pause $(($(now) - began)))"
  note "start of the daemon to ready (systemd)" "$(($(prop ActiveEnterTimestampMonotonic pinward.service) / 1000 - $(prop InactiveExitTimestampMonotonic pinward.service) / 1000)) ms"
  ok "a code arrives" one_code 5900
  audit_verifies
}

# The sandbox: what a daemon that was taken over could do, by a program in its place; and that the same program can do it
# all where there is no sandbox.
scene_sandbox() {
  step "the sandbox, from inside"
  into "$work/bin/probe" /usr/bin/probe 0755 root
  in_box sh -c 'rm -f /dev/probe-device; mknod -m 666 /dev/probe-device c 1 11'
  in_box systemctl stop pinward.service
  in_box mkdir -p /run/systemd/system/pinward.service.d
  printf '[Service]\nType=oneshot\nRestart=no\nWatchdogSec=0\nExecPaths=/usr/bin/probe\nExecStart=\nExecStart=/usr/bin/probe /var/lib/pinward/probe %s:6514\n' $lan |
    in_box tee /run/systemd/system/pinward.service.d/probe.conf >/dev/null
  in_box systemctl daemon-reload
  ok "the probe runs in the place of pinwardd" in_box systemctl start pinward.service
  in_box cat /var/lib/pinward/probe >"$work/inside" || true
  in_box rm -rf /run/systemd/system/pinward.service.d /var/lib/pinward/probe
  in_box systemctl daemon-reload
  in_box systemctl start pinward.service
  in_box /usr/bin/probe /root/outside $lan:6514
  in_box cat /root/outside >"$work/outside"
  say "inside:  $(tr '\n' ';' <"$work/inside")"
  say "outside: $(tr '\n' ';' <"$work/outside")"
  ok "without the unit each try succeeds" no_line_but ok "$work/outside"
  ok "a Unix socket is all that it can make" grep -qx 'unix ok' "$work/inside"
  sed -i '/^unix ok$/d' "$work/inside"
  ok "each other try has been made" test "$(wc -l <"$work/inside")" -gt 14
  no "none succeeds" grep -q ' ok$' "$work/inside"
  ok "no internet socket" grep -qx 'inet EAFNOSUPPORT' "$work/inside"
  ok "nor by io_uring" grep -qx 'io_uring EPERM' "$work/inside"
  ok "a listener that it was handed opens no other port" grep -qx 'listener-rebind EPERM' "$work/inside"
  within 30 ready || die "not ready after the probe"
  says "the daemon itself runs under that filter" 'Seccomp:[[:space:]]+2' in_box sh -c "cat /proc/$(prop MainPID pinward.service)/status"
}
no_line_but() { ! grep -v " $1\$" "$2"; }

scene_exits() {
  step "what left the box, since it was installed"
  ok "nothing tried to leave the hospital's network" test "$(attempts)" = 0
  ok "nothing did" test "$(leaked)" = 0
  ok "nor did it dial anybody in it but the log server" test "$(dialled)" = 0
  local heads
  heads=$(captured "tcp.flags.syn==1 && tcp.flags.ack==0 && ip.src==$box && ip.dst==$lan && tcp.dstport==6514")
  ok "the capture saw the relay's own connections" test "$heads" -gt 0
  # The controls: what does try is counted and captured.
  in_box curl -s --max-time 1 "http://$beyond/" || true
  ok "a leak would be counted" test "$(attempts)" -gt 0
  sleep 0.3
  ok "and captured" test "$(leaked)" -gt 0
}

# page FOLDER PAGE[:SECTION] follows a page of packaging/doc in a folder of the box: its blocks ```console install.
page() { ok "$2 is true" in_box sh -c 'cd "$1" && /root/walk -pages /root/pages -installed "$2"' - "$1" "$2"; }

scene_pages() {
  step "what the pages tell an administrator to type"
  into "$newer" "/root/new/$(basename "$newer")"
  page /root "install.md:2. The configuration"
  page /root add-a-modem.md
  page /root ports.md
  page /root/new upgrade.md
  ok "it is ready" within 30 ready
}

scene_remove() {
  step "removal and purge"
  ok "it is removed" in_box dpkg -r pinward
  no "nothing of it runs" in_box pgrep -x 'pinwardd|pinward-relay'
  no "its ports are closed" fetch --max-time 1 "https://$box:8443/healthz"
  ok "its configuration stays" in_box test -f /etc/pinward/pinward.toml
  ok "it is purged" in_box dpkg -P pinward
  said "it says that the audit stays" 'Kept: /var/lib/pinward'
  no "its keys and its configuration are gone" in_box test -e /etc/pinward
  ok "the audit is there" in_box sh -c 'ls /var/lib/pinward/store* >/dev/null'
  ok "no unit is left" in_box sh -c '! systemctl list-unit-files "pinward*" --no-legend | grep .'
}
