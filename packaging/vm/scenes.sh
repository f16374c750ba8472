# The scenes that need a machine: its chip, its bus, its firmware, its disk, and what else runs on it.
# shellcheck shell=bash

pin=2468 # of the SIMs; the unit's credential has it
chip_lines='device = "/dev/tpmrm0"'
unit_lines=('LoadCredentialEncrypted=sim:/etc/pinward/sim.cred')

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
