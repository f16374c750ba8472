# The scenes that need a machine: its chip, its bus, its firmware, its disk, and what else runs on it.
# shellcheck shell=bash

pin=2468 # of the SIMs; the unit's credential has it
chip_lines='device = "/dev/tpmrm0"'
unit_lines=('LoadCredentialEncrypted=sim:/etc/pinward/sim.cred')

# from_power_on notes how long it took from the power until the box is ready.
from_power_on() {
  ok "it comes back by itself, keys and all, before anybody logs in" within 60 ready
  note "$1" "$(pause $(($(now) - $2)))"
  in_box systemctl is-system-running --wait >/dev/null || true
  note "  of that: firmware and loader, kernel, user space" "$(in_box systemd-analyze time | sed -n 's/^Startup finished in \(.*\)/\1/p')"
  note "  of that: start of the daemon to ready (systemd)" "$(($(prop ActiveEnterTimestampMonotonic pinward.service) / 1000 - $(prop InactiveExitTimestampMonotonic pinward.service) / 1000)) ms"
}

scene_hardware() {
  step "what is in the machine, before anything of ours"
  ok "its TPM is a device that the group tss may open" in_box sh -c '[ "$(stat -c %F:%U:%G:%a /dev/tpmrm0)" = "character special file:tss:tss:660" ]'
  ok "Secure Boot is on" in_box sh -c "od -An -tx1 /sys/firmware/efi/efivars/SecureBoot-* | grep -q '01\$'"
  says "the kernel is locked down by it" '\[integrity\]' in_box cat /sys/kernel/security/lockdown
  into packaging/vm/gadget /usr/local/sbin/gadget 0755 root
  printf '[Service]\nExecStart=/usr/local/sbin/gadget run /run/ec25\n[Install]\nWantedBy=multi-user.target\n' | in_box tee /etc/systemd/system/ec25.service >/dev/null
  in_box systemctl enable -q --now ec25.service
  ok "an EC25 on its bus has the ports that the kernel's driver gives it" within 5 in_box sh -c '[ "$(ls -d /sys/bus/usb-serial/drivers/option1/ttyUSB* | wc -l)" = 4 ]'
  ok "another modem is behind a converter" in_box sh -c 'ls -d /sys/bus/usb-serial/drivers/ftdi_sio/ttyUSB*'
  no "nothing gives a port to us yet" in_box test -e /dev/pinward
}

# at_port is where the EC25 takes commands: by the place of its plug, and by what the port is for.
at_port=/dev/pinward/modem-platform-dummy_hcd.0-usb-0:1:1.2-if02

scene_modems() {
  step "the modems, by the rules of the package"
  ok "its AT port has a name that stays" within 5 in_box test -c $at_port
  ok "its group may open it, and nobody else" in_box sh -c '[ "$(stat -Lc %U:%G:%a "$1")" = root:dialout:660 ] && id -nG pinward | grep -qw dialout' - $at_port
  local p
  for p in ID_MM_DEVICE_IGNORE=1 ID_MM_PORT_IGNORE=1 ID_USB_DRIVER=option; do says "udev knows it: $p" "^$p\$" in_box udevadm info -q property $at_port; done
  no "one behind a converter is no modem to them" in_box sh -c 'udevadm info -q property -n "$(basename /sys/bus/usb-serial/drivers/ftdi_sio/ttyUSB*)" | grep ID_MM_DEVICE_IGNORE'
  in_box pinward modem probe >"$work/probed" || die "probe: $(cat "$work/probed")"
  say "$(cat "$work/probed")"
  ok "both are found, and a block to put into the configuration is printed" test "$(grep -c '^imei = ' "$work/probed")" = 2
  # What it printed, under the names of the simulator.
  modem_lines=$(sed -n '/^\[\[modem/,$p' "$work/probed" | grep -v '^#\|^$' | awk '/^name/ {next} /^\[\[modem/ {print; next} /^device/ {two = /dummy_hcd/; print "name = \"modem" (two ? 2 : 1) "\"\npin = \"sim\""; if (two) $0 = "device = \"" at "\""} {print}' at=$at_port)
  # By the host's key: set-up takes the TPM's owner hierarchy, so that by the TPM systemd could not open it at the next start.
  in_box systemd-creds encrypt --with-key=host --name=sim - /etc/pinward/sim.cred <<<"$pin" || die "the credential could not be sealed"
}

scene_unit() {
  step "the unit, at its devices"
  no "by the TPM systemd can seal nothing more: it is ours" in_box systemd-creds encrypt --with-key=tpm2 --name=sim - /root/sim.cred <<<"$pin"
  ok "no file has the SIMs' PIN in clear" in_box sh -c '! grep -q "$1" /etc/pinward/sim.cred /etc/pinward/pinward.toml' - "$pin"
  ok "both modems are ready" within 30 both_ready
  local fds
  fds=$(in_box sh -c "ls -l /proc/$(prop MainPID pinward.service)/fd")
  ok "it holds the ports of both" test "$(grep -c '/dev/ttyUSB' <<<"$fds")" -ge 2
  says "under the policy of its unit" '^closed .*char-tpm rw.* char-ttyUSB rw yes$' in_box sh -c 'echo $(systemctl show -P DevicePolicy -P DeviceAllow -P PrivateUsers pinward.service)'
  says "doctor finds the TPM" '/dev/tpmrm0.*is there, and the daemon may open it' in_box pinward doctor
  said "and both modems" 'modem1.*its port is there'
  said "and the second" 'modem2.*its port is there'
  said "and the maker of one" 'Quectel 2c7c:0125'
}
both_ready() { [ "$(in_box pinward modem list | grep -Ec '^modem[12] +ready')" = 2 ]; }
ready_modem() { in_box pinward modem list | grep -Eq "^$1 +ready"; }

# The limits: in a container there may be no controllers for them.
scene_limits() {
  step "the unit's limits, in force"
  into "$work/bin/probe" /usr/bin/probe 0755 root
  in_box systemctl stop pinward.service
  local what
  for what in 'memory 600' 'threads 300'; do
    # shellcheck disable=SC2086 # two words
    ok "outside, a program gets it: $what" in_box probe $what
    in_box mkdir -p /run/systemd/system/pinward.service.d
    printf '[Service]\nType=oneshot\nRestart=no\nWatchdogSec=0\nExecPaths=/usr/bin/probe\nExecStart=\nExecStart=/usr/bin/probe %s\n' "$what" |
      in_box tee /run/systemd/system/pinward.service.d/probe.conf >/dev/null
    in_box systemctl daemon-reload
    no "in the place of pinwardd it does not" in_box systemctl start pinward.service
    case $what in
    memory*) ok "the kernel ended it" test "$(prop Result pinward.service)" = oom-kill ;;
    threads*) says "it was refused another" 'failed to create new OS thread .have 2[0-9][0-9]' in_box journalctl -b -u pinward.service --no-pager ;;
    esac
    in_box rm -r /run/systemd/system/pinward.service.d
    in_box systemctl daemon-reload
    in_box systemctl reset-failed pinward.service
  done
  in_box systemctl start pinward.service
  ok "the daemon has the same limits" in_box sh -c 'cd /sys/fs/cgroup/system.slice/pinward.service && [ "$(cat memory.max)" = $((512 * 1024 * 1024)) ] && [ "$(cat pids.max)" = 256 ]'
  ok "it is ready" within 30 ready
}

# ModemManager, Debian's own. First without our rules: then it writes to the modem, or the rest would say nothing.
scene_rivals() {
  step "ModemManager on the same machine"
  in_box systemctl stop "${ours[@]}" # the sockets too: the daemon looks for its modem behind other ports
  in_box ln -s /dev/null /etc/udev/rules.d/70-pinward.rules
  replug_ec25
  in_box systemctl unmask -q ModemManager.service
  local began took
  began=$(now)
  in_box systemctl start ModemManager.service
  ok "without our rules it writes into the modem's ports" within 15 written
  took=$(($(now) - began))
  note "bytes that ModemManager wrote without our rules" "$(wrote), the first after $(pause $took)"
  says "doctor says so, and what to do" 'ModemManager.*runs, and nothing keeps it from probing' in_box pinward doctor
  said "and which file is at fault" '/etc/udev/rules.d/70-pinward.rules'
  in_box systemctl stop ModemManager.service
  in_box rm /etc/udev/rules.d/70-pinward.rules
  replug_ec25
  in_box systemctl start ModemManager.service
  sleep $((took / 500 + 10)) # twice what it took
  ok "it runs" in_box systemctl is-active ModemManager.service
  ok "with them it writes nothing" test "$(wrote)" = 0
  says "doctor is content" 'ModemManager.*(the udev rules keep it away|keep it from known makers)' in_box pinward doctor
  in_box systemctl start "${ours[@]}"
  ok "beside it both modems are ready" within 30 both_ready
  ok "a code arrives" one_code 1300
  in_box systemctl stop ModemManager.service
  in_box systemctl mask -q ModemManager.service
}
ours=(pinward.socket pinward-hl7.socket pinward-control.socket pinward.service)

# replug_ec25 pulls it, forgets what its ports got, and plugs it in again, under the rules that are there now.
replug_ec25() {
  in_box systemctl stop ec25.service
  in_box sh -c 'rm -rf /run/ec25; udevadm control --reload'
  in_box systemctl start ec25.service
  within 5 in_box sh -c '[ "$(ls -d /sys/bus/usb-serial/drivers/option1/ttyUSB* | wc -l)" = 4 ]' || die "the EC25 does not come back"
  in_box udevadm settle
}
# wrote is how many bytes went into its ports.
wrote() { in_box /usr/local/sbin/gadget got /run/ec25; }
written() { [ "$(wrote)" -gt 0 ]; }

scene_reboot() {
  step "the machine restarts in order"
  local began
  began=$(now)
  restart
  from_power_on "systemctl reboot to ready" "$began"
  ok "a code arrives" one_code 1400
}

scene_replug() {
  step "a modem is pulled, and comes back under another name"
  in_box systemctl stop ec25.service
  ok "one modem is left" within 10 away modem2
  ok "it carries codes" one_code 1500
  local was
  was=$(in_box sh -c 'basename /sys/bus/usb-serial/drivers/ftdi_sio/ttyUSB*')
  # Who still has the old node open keeps its number from the next.
  in_box systemd-run -q --unit=holder sh -c "trap '' HUP; exec sleep 600 <>/dev/$was"
  within 20 held_open "$was" || die "nobody holds $was"
  monitor device_del modem1
  ok "it is gone" within 10 away modem1
  monitor device_add usb-serial,chardev=modem1,id=modem1,bus=usb.0,port=1
  ok "it is back" within 60 ready_modem modem1
  no "under another name" in_box test -e "/sys/bus/usb-serial/drivers/ftdi_sio/$was"
  ok "a code arrives by it" one_code 1501
  in_box systemctl stop holder.service
  in_box systemctl start ec25.service
  ok "the other one is back too" within 20 both_ready
}
away() { ! ready_modem "$1"; }
held_open() { in_box sh -c "ls -l /proc/$(prop MainPID holder.service)/fd" | grep -q "/dev/$1\$"; }

scene_outage() {
  step "the power fails, under load"
  # From here on all that is written is new to the disk, and kept with the next flush only.
  monitor snapshot_blkdev disk "$work/since" qcow2
  disk=$work/since
  load "$work/outage" outage
  kept "$work/outage"
  ok "what was flushed is on the disk" test "$(scratch 0)" = kept
  ok "what was not is gone, so that the rest says something" test "$(scratch 8)" != gone
  audit_verifies
}
outage() {
  in_box sh -c 'printf kept | dd of=/dev/vdb bs=512 conv=sync,fsync,notrunc status=none; printf gone | dd of=/dev/vdb bs=512 seek=16384 conv=sync,notrunc oflag=direct status=none'
  power_cut
  local began
  chip
  began=$(now)
  boot
  from_power_on "power on to ready" "$began"
}
# scratch MIB is what stands there on the small disk.
scratch() { qemu-img dd -U -f qcow2 -O raw "if=$work/scratch" "of=$work/read" bs=1M skip="$1" count=1 2>/dev/null && tr -d '\0' <"$work/read" | head -c 4; }

scene_measured() {
  step "the machine measures something else"
  in_box tpm2_pcrextend -T device:/dev/tpmrm0 "7:sha256=$(printf 'a5%.0s' {1..32})"
  in_box systemctl restart pinward.service
  says "it is sealed, and says why" 'cause .*PCR 7 .*boot measurements changed' in_box pinward status
  said "in words that the firmware's log bears" "the firmware's log shows no difference, so something else was measured after it"
  said "and what to do" 'next +run: pinward key unseal --kit'
  says "it takes no code" '^503$' fetch -o /dev/null -w '%{http_code}' -H "Authorization: Bearer $token" "https://$box:8443/v1/services"
  says "two of the three holders open it" 'open' with "$(grep '^PW1' "$work/sheet" | sed -n '1p;3p')" pinward key unseal --kit
  ok "it is ready" within 30 ready
  in_box systemctl restart pinward.service
  ok "and is sealed to what it measures now" within 30 ready
  ok "a code arrives" one_code 1601
  audit_verifies
}
