# The scenes of a box that a package brought.
# shellcheck shell=bash

# dropin UNIT LINE... is what an administrator writes with systemctl edit.
dropin() {
  local unit=$1
  shift
  in_box mkdir -p "/etc/systemd/system/$unit.d"
  printf '%s\n' "$@" | in_box tee "/etc/systemd/system/$unit.d/site.conf" >/dev/null
}

# into FILE PATH [MODE [GROUP]] puts a file of ours into the box.
into() { bring "$1" "$2" && in_box sh -c 'chmod "$2" "$1" && chgrp "$3" "$1"' - "$2" "${3:-0640}" "${4:-pinward}"; }

prop() { in_box systemctl show -P "$1" "$2"; }

# kept is what `packaging/install/client` saw; field is one figure of it.
field() { jq -r ".$1" "$2"; }

scene_install() {
  step "the package is installed"
  in_box mkdir -p /root/pages /root/new
  tar -C packaging/doc -c --exclude=walk . | in_box tar -C /root/pages -x
  into "$work/bin/walk" /root/walk 0755 root
  into "$deb" "/root/$(basename "$deb")" 0644 root
  # The box has apt, and the package to install is the only one in /root.
  page /root "install.md:1. The package"
  ok "its ports are systemd's" in_box systemctl is-active pinward.socket pinward-hl7.socket pinward-control.socket pinward-relay.socket
  ok "it starts with the machine" in_box systemctl is-enabled pinward.service pinward.socket pinward-relay.socket
  ok "the daemon's user alone reads its state" in_box sh -c '[ "$(stat -c %U:%a /var/lib/pinward)" = pinward:700 ]'
  ok "its configuration and its key are root's to write and its group's to read" \
    in_box sh -c 'for f in pinward.toml server-key.pem; do [ "$(stat -c %U:%G:%a /etc/pinward/$f)" = root:pinward:640 ]; done'
  ok "the sandbox is as it was measured" in_box systemd-analyze security --no-pager --threshold=4 pinward.service
  ok "that of the relay too" in_box systemd-analyze security --no-pager --threshold=14 pinward-relay.service
  ok "the page of set-up is served" in_box curl -sk --max-time 10 -o /dev/null https://127.0.0.1:8443/healthz
  no "another service is not laid over it" in_box pinward service install
  said "and it says why" 'a packaged unit is present.*systemctl enable'
  note "package (amd64, .deb)" "$(($(stat -c %s "$deb") / 1000)) kB, installed $(in_box dpkg-query -W -f '${Installed-Size}' pinward) KiB"
}

scene_configure() {
  step "it is configured and set up"
  configuration >"$work/pinward.toml"
  into "$work/pinward.toml" /etc/pinward/pinward.toml
  into "$work/server.pem" /etc/pinward/server.pem
  into "$work/server-key.pem" /etc/pinward/server-key.pem
  into "$work/siem.pem" /etc/pinward/siem.pem
  printf '[dial]\nsiem = "%s:6514"\npager = "%s:8444"\nmail = "%s:2525"\n' $lan $lan $lan >"$work/relay.toml"
  into "$work/relay.toml" /etc/pinward/relay.toml 0644 root
  ok "its configuration is right" in_box pinwardd -check
  dropin pinward.service '[Service]' "${unit_lines[@]}"
  in_box systemctl daemon-reload
  in_box systemctl restart pinward.service
  ok "it runs, empty" within 10 in_box systemctl is-active pinward.service
  says "status tells what is next" 'run: pinward setup' in_box pinward status

  no "nobody reaches it whom no drop-in names" fetch --max-time 1 "https://$box:8443/healthz"
  says "doctor says which list drops a client, and what to type" "pinward access allow $lan" in_box pinward doctor --from $lan
  says "access allow names the client" "IPAddressAllow=$lan" in_box pinward access allow $lan/32 --https --hl7
  ok "it is served at once" within 3 fetch -f "https://$box:8443/healthz"
  ok "doctor finds no list that drops it" in_box pinward doctor --from $lan
  no "another machine of the same network is not served" fetch --max-time 1 --interface $stranger "https://$box:8443/healthz"

  local zone
  zone=$(printf 'Etc/GMT%+d' $((10#$(date -u +%H) - 12))) # where it is noon: at night a box tests its SIMs
  says "set-up tries the kit that it wrote" 'The drill passed' with "$password" pinward setup --name "Test Hospital" --brand Riverside \
    --zone "$zone" --authority HOSP --help-phone 617-555-1000 --area 617 --mode live --override 'the install test' --holder Ann --holder Bo --holder Cy --kit /root/kit
  cp "$work/said" "$work/sheet"
  signer=$(grep -Eo '^  [0-9a-f]{64}$' "$work/sheet" | tr -d ' ') || die "no signer: $(cat "$work/sheet")"
  said "it is not finished without a witness: the relay may dial nobody yet" 'waits for one witness'
  dropin pinward-relay.service '[Service]' "IPAddressAllow=$lan/32"
  in_box systemctl daemon-reload
  ok "by the relay the log server gets a signed head, over TLS, and set-up is finished" within 60 finished
  ok "the head is there" grep -q 'pinward-head size=' "$work/siem.log"

  {
    with "$password" pinward login admin
    with "$password" pinward user add second --role admin
    in_box pinward client add portal --mode live
    in_box pinward hl7 live mllp
    with "$password" pinward login second
    in_box pinward site mode live
    account=$(sed -n 's/^account *\([^ ]*\).*/\1/p' "$work/people")
    in_box pinward client mode "$account" live
    in_box pinward hl7 live mllp
    with "$password" pinward login admin
    in_box pinward modem sim set modem1 --carrier A --permission 'letter, folder 7' --per-minute 60
  } >"$work/people" 2>&1 || die "people: $(cat "$work/people")"
  says "two of three shares pass a drill" 'The drill passed' with "$(grep '^PW1' "$work/sheet" | sed -n '1p;3p')" pinward key drill
  token=$(sed -n 's/^token *\([^ ]*\).*/\1/p' "$work/people")
  ok "it is ready" within 30 ready
}
with() { local line=$1; shift; echo "$line" | in_box "$@"; }
finished() { in_box pinward setup --continue </dev/null 2>&1 | grep -q 'Set-up is finished'; }

scene_code() {
  step "the first code"
  ok "it is read on the handset and checked" one_code 1234
  audit_verifies
  says "journald has the log with its fields" '"MESSAGE_ID" ?: ?"[0-9a-f]{32}"' in_box journalctl -b -u pinward.service _TRANSPORT=journal PRIORITY=6 -o json -n 1
  by_relay
  sleep 2
  note "memory at rest (VmRSS)" "$(in_box sh -c "grep VmRSS /proc/$(prop MainPID pinward.service)/status" | awk '{print int($2/1024)}') MB"
}
# by_relay: the pager and the mail server are reached by the relay's own unit, by name; a name that its list lacks is said.
by_relay() {
  printf '{"alarms":{"steps":[{"by":"webhook","to":["pager","ticket"]},{"by":"mail","to":["it@hospital.example"]}]}}\n' >"$work/alarms.json"
  into "$work/alarms.json" /root/alarms.json
  in_box pinward config apply /root/alarms.json --yes >"$work/applied" 2>&1 || die "alarms: $(cat "$work/applied")"
  no "a name that is not on the relay's list is no way out" in_box pinward alarm test --wait "${alarm_wait-3s}"
  said "and it is said which" 'webhook to ticket: .*dial ticket by relay: relay refused: unknown-name'
  said "the pager's webhook goes by the relay" 'webhook to pager: sent'
  said "so does mail" 'mail to it@hospital.example: sent'
  ok "the pager has it" grep -q alarm.test "$work/pager.log"
  ok "the mail server has it" grep -q 'Subject: .*test' "$work/mail.log"
  echo '{"alarms":{"steps":[]}}' >"$work/alarms.json"
  into "$work/alarms.json" /root/alarms.json
  in_box pinward config apply /root/alarms.json --yes >"$work/applied" 2>&1 || die "no alarms: $(cat "$work/applied")"
}

audit_verifies() { ok "the audit verifies" in_box pinward audit verify --signer "$signer"; }

