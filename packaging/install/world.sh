# What stands around the box: a network with its hospital and everything beyond, a TPM, a modem with its handsets, a log
# server.
# shellcheck shell=bash

box=10.77.0.2 lan=10.77.0.1 stranger=10.77.0.99 # the box, the hospital's machines, one that nobody named
beyond=198.51.100.9                             # the internet (RFC 5737)
password='correct horse battery'

# network makes the hospital's network; the box is at the other end of its wire.
network() {
  ip netns add "$run-lan"
  ip -n "$run-lan" link set lo up
  wire
  ip -n "$run-lan" addr add $lan/24 dev e1
  ip -n "$run-lan" addr add $stranger/24 dev e1
  ip -n "$run-lan" addr add fd00:77::1/64 dev e1 nodad
  ip -n "$run-lan" link set e1 up
}
lan_exec=(ip netns exec "$run-lan")
from_lan() { "${lan_exec[@]}" "$@"; }

# watch_exits counts and captures what leaves the box for anywhere but the hospital's network, and connections
# that it begins to anybody there.
watch_exits() {
  ip netns exec "$run-box" nft -f - <<NFT
table inet exits { counter attempts {}
 chain out { type filter hook output priority 0; policy accept; oif "lo" accept; ip daddr 10.77.0.0/24 accept
  ip6 daddr { fd00:77::/64, fe80::/10, ff02::/16 } accept; counter name "attempts"; }; }
NFT
  spawn "${lan_exec[@]}" tcpdump -i e1 -n -U --immediate-mode -w "$work/exits.pcap" >"$work/tcpdump" 2>&1
  within 10 grep -q 'listening on' "$work/tcpdump" || die "tcpdump: $(cat "$work/tcpdump")"
}
attempts() { ip netns exec "$run-box" nft list counter inet exits attempts | sed -n 's/.*packets \([0-9]*\).*/\1/p'; }
captured() { tshark -r "$work/exits.pcap" -Y "$1" 2>/dev/null | wc -l; }
leaked() { captured '(ip && !(ip.dst==10.77.0.0/24)) || (ipv6 && !(ipv6.dst==fd00:77::/64 || ipv6.dst==fe80::/10 || ipv6.dst==ff02::/16))'; }
dialled() { captured "tcp.flags.syn==1 && tcp.flags.ack==0 && ip.src==$box && !(ip.dst==$lan && tcp.dstport in {6514,8444,2525})"; }

# chip starts the TPM; its state stays over a power cut, as a real one's does.
chip() {
  mkdir -p "$work/tpm"
  rm -f "$work"/tpm.sock*
  spawn swtpm socket --tpm2 --ctrl "type=unixio,path=$work/tpm.sock.ctrl" --tpmstate "dir=$work/tpm" "${chip_flags[@]}" >"$work/swtpm" 2>&1
  chip=$!
  within 10 test -S "$work/tpm.sock.ctrl" || die "swtpm: $(cat "$work/swtpm")"
}

# air [MODEMSIM'S...] starts the mobile network with its modems and the handsets.
handsets=http://127.0.0.1:8088
air() {
  spawn "${lan_exec[@]}" "$work/bin/modemsim" -dir "$work/air" -links "$work/ports" -http 127.0.0.1:8088 -profile ec25 -latency 50ms "$@" >"$work/modemsim" 2>&1
  within 10 test -e "$work/ports/modem1" || die "modemsim: $(cat "$work/modemsim")"
  modem=$(readlink "$work/ports/modem1")
  chmod 660 "$modem"
  chgrp 20 "$modem" # dialout, as the rule of 70-pinward.rules gives it
}

# log_server is the hospital's, which keeps what it gets.
log_server() {
  spawn "${lan_exec[@]}" socat -u "OPENSSL-LISTEN:6514,bind=$lan,reuseaddr,fork,cert=$work/siem.pem,key=$work/siem-key.pem,verify=0" \
    "OPEN:$work/siem.log,creat,append" >"$work/socat" 2>&1
}

# pager and mail_server are the hospital's, which keep what they get.
pager() {
  cat >"$work/pager.py" <<'PYTHON'
import http.server, ssl, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        print(self.rfile.read(int(self.headers["Content-Length"])).decode())
        self.send_response(204)
        self.end_headers()
server = http.server.ThreadingHTTPServer((sys.argv[1], int(sys.argv[2])), Handler)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(sys.argv[3], sys.argv[4])
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
PYTHON
  spawn "${lan_exec[@]}" /usr/bin/python3 -u "$work/pager.py" $lan 8444 "$work/siem.pem" "$work/siem-key.pem" >"$work/pager.log" 2>"$work/pager"
}
mail_server() {
  spawn "${lan_exec[@]}" /usr/bin/python3 daemon/testdata/smtpd.py 2525 "$work/siem.pem" "$work/siem-key.pem" starttls '' '' $lan >"$work/mail.log" 2>"$work/mail"
}

# certificate NAME ALTERNATIVE makes $work/NAME.pem and its key, good for a year (health warns of less than 30 days) and its own authority.
certificate() {
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 365 -subj "/CN=$1" -addext "subjectAltName=$2" \
    -keyout "$work/$1-key.pem" -out "$work/$1.pem" 2>/dev/null
}

# programs builds what the test brings: the simulator and its own.
programs() {
  CGO_ENABLED=0 go build -trimpath -buildvcs=false -o "$work/bin/" ./cmd/modemsim ./packaging/install/client ./packaging/install/probe
  CGO_ENABLED=0 go test -c -trimpath -buildvcs=false -o "$work/bin/walk" ./packaging/doc/walk
}

# configuration takes $chip_lines and $modem_lines, which are of the machine.
configuration() {
  cat <<TOML
[box]
id = "install"
state = "/var/lib/pinward"
[tpm]
$chip_lines
[https]
listen = "[::]:8443"
certificate = "/etc/pinward/server.pem"
key = "/etc/pinward/server-key.pem"
[[hl7]]
name = "mllp"
listen = "[::]:2575"
mode = "live"
allow = ["10.77.0.0/24"]
$modem_lines
[[witness]]
name = "siem"
kind = "syslog"
relay = "siem"
tls = "siem.hospital.example"
ca = "/etc/pinward/siem.pem"
[mail]
relay = "mail"
tls = "mail.hospital.example"
ca = "/etc/pinward/siem.pem"
from = "pinward@hospital.example"
to = ["it@hospital.example"]
[[webhook]]
name = "pager"
relay = "pager"
url = "https://pager.hospital.example/alarms"
ca = "/etc/pinward/siem.pem"
[[webhook]]
name = "ticket"
relay = "ticket"
url = "https://ticket.hospital.example/"
TOML
}

# clients sets what runs the portal, the engine and the visitors; one code is all of them once.
clients() { clients=("${lan_exec[@]}" "$work/bin/client" -https $box:8443 -ca "$work/server.pem" -token "$token" -handsets "$handsets" -patience $((30 * slow))s); }
one_code() { clients && "${clients[@]}" -once -first "$1"; }

# let_go ends exclusive use of the terminal. A port's ends with its last descriptor; of a terminal the simulator has one.
let_go() { perl -e 'ioctl STDIN, 0x540D, 0' <>"$modem"; }
fetch() { from_lan curl -s --max-time 10 --cacert "$work/server.pem" "$@"; }
ready() { [ "$(fetch -o /dev/null -w '%{http_code}' "https://$box:8443/readyz")" = 200 ]; }
