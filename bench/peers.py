# SPDX-License-Identifier: BSD-3-Clause
"""
Sealane beside the tunnels that a user would otherwise pick, all from Debian's packages, all through
the same path of four namespaces and asked the same by iperf3, in turn:

    host-a 10.1.0.2 -- 10.1.0.1 gw-a 192.0.2.1 == 192.0.2.2 gw-b 10.2.0.1 -- 10.2.0.2 host-b

Each round builds each tunnel anew, so that what else the machine does meets all alike; what counts is
the median of the rounds. AES-128-GCM wherever there is a choice. And without a network: what DPDK's own
crypto test makes of the crypto alone, beside Sealane's whole path. bench/peers.sh runs this.
"""

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests/system"))
from charon import Charon  # noqa: E402
from engine import BUILD, Engine  # noqa: E402
from netns import Netns, helper, wait_for  # noqa: E402

SIDES = {"a": (1, 2), "b": (2, 1)}  # gw-a is number 1, and the other one 2
UDP_BYTES = 64
SIZES = (64, 512, 1420)  # for the crypto alone: the limits table's


class Network:
    """
    The four namespaces. Gateways may be Linux itself, `kernel`; `offloads` are as Linux makes them, where
    who sends and receives can have them.
    """

    def __init__(self, exits, kernel, offloads=True):
        for role in ("host_a", "gw_a", "gw_b", "host_b"):
            netns = Netns(role.replace("_", "-"))
            exits.callback(netns.close)
            setattr(self, role, netns)
        names = ("lan", "wan") if kernel else ("lan0", "wan0")
        for near, a, far, b in ((self.host_a, "eth0", self.gw_a, names[0]),
                                (self.gw_a, names[1], self.gw_b, names[1]),
                                (self.host_b, "eth0", self.gw_b, names[0])):
            helper("veth_new", near.name, a, far.name, b)
            if offloads:
                for netns, name in ((near, a), (far, b)):
                    helper("offloads_on", netns.name, name)
        for host, n in ((self.host_a, 1), (self.host_b, 2)):
            host.batch([f"addr add 10.{n}.0.2/24 dev eth0", f"route add default via 10.{n}.0.1"])
        if kernel:
            for side in SIDES:
                self.address(side)
                self.gateway(side).run("sh", "-c", "echo 1 >/proc/sys/net/ipv4/ip_forward")

    def gateway(self, side):
        return self.gw_a if side == "a" else self.gw_b

    def address(self, side):
        n, other = SIDES[side]
        self.gateway(side).batch([
            "link set lan up", "link set wan up",
            f"addr add 10.{n}.0.1/24 dev lan", f"addr add 192.0.2.{n}/24 dev wan",
            f"route add 10.{other}.0.0/16 via 192.0.2.{other}"])


def background(exits, *command, **options):
    """A process for as long as the tunnel stands."""
    process = subprocess.Popen(list(map(str, command)), stdin=subprocess.DEVNULL,
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, **options)
    exits.callback(process.wait)
    exits.callback(process.terminate)
    return process


# ---- the tunnels: each builds a network and gives it ----

def no_tunnel(exits):
    return Network(exits, kernel=True)


def sealane(driver, encap=""):
    def build(exits):
        network = Network(exits, kernel=False, offloads=driver == "vnet")
        for side, (number, _) in SIDES.items():
            netns = network.gateway(side)
            for name in ("lan0", "wan0"):
                helper("below_engine", netns.name, name)
            engine = Engine(netns, [
                {"name": name, "device": f"{driver}_{name},iface={name}0",
                 "side": "protected" if name == "lan" else "unprotected"} for name in ("lan", "wan")],
                cores=[number % os.cpu_count()])
            exits.callback(engine.stop)
            network.address(side)
            engine.batch(states_and_policies(side, encap))
            wait_for(lambda: "192.0.2.0/24" in engine.routes() and len(engine.routes()) >= 3,
                     "the engine to follow the routes")
        return network
    return build


def states_and_policies(side, encap):
    n, other = SIDES[side]
    tunnel = {"out": f"src 192.0.2.{n} dst 192.0.2.{other}", "in": f"src 192.0.2.{other} dst 192.0.2.{n}"}
    nets = {"out": f"src 10.{n}.0.0/16 dst 10.{other}.0.0/16",
            "in": f"src 10.{other}.0.0/16 dst 10.{n}.0.0/16"}
    spis = {"out": 0x1000 + n, "in": 0x1000 + other}
    key = {"out": "0x" + f"{n:02x}" * 20, "in": "0x" + f"{other:02x}" * 20}
    states = [f"xfrm state add {tunnel[way]} proto esp spi {spis[way]} reqid 1 mode tunnel replay-window 32 "
              f"aead rfc4106(gcm(aes)) {key[way]} 128 {encap}" for way in ("in", "out")]
    return states + [
        f"xfrm policy add {nets[base]} dir {way} tmpl {tunnel[base]} proto esp reqid 1 mode tunnel"
        for way, base in (("out", "out"), ("in", "in"), ("fwd", "in"))]


def libipsec(exits):
    network = Network(exits, kernel=True)
    charons = {}
    for side, (n, other) in SIDES.items():
        charon = charons[side] = Charon(network.gateway(side), f"gw-{side}")
        exits.callback(charon.close)
        charon.load(
            connections={"gw": {
                "version": 2, "local_addrs": f"192.0.2.{n}", "remote_addrs": f"192.0.2.{other}",
                "local": {"auth": "psk", "id": f"gw-{side}"}, "remote": {"auth": "psk"},
                "children": {"net": {"local_ts": f"10.{n}.0.0/16", "remote_ts": f"10.{other}.0.0/16",
                                     "esp_proposals": "aes128gcm16"}}}},
            secrets={"ike": {"secret": "what-both-gateways-know"}})
    charons["a"].initiate("net")
    return network


def openvpn(exits):
    network = Network(exits, kernel=True)
    folder = Path(exits.enter_context(tempfile.TemporaryDirectory()))
    prints = {}
    for side in SIDES:
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256",
                        "-nodes", "-days", "2", "-subj", f"/CN=gw-{side}", "-keyout", folder / f"{side}.key",
                        "-out", folder / f"{side}.pem"], check=True, capture_output=True)
        prints[side] = subprocess.run(
            ["openssl", "x509", "-in", folder / f"{side}.pem", "-noout", "-fingerprint", "-sha256"],
            check=True, capture_output=True, text=True).stdout.strip().partition("=")[2]
    for side, far, n, other in (("b", "a", 2, 1), ("a", "b", 1, 2)):
        background(exits, *network.gateway(side).command(
            "openvpn", "--dev", "tun0", "--dev-type", "tun", "--disable-dco", "--dh", "none",
            "--local", f"192.0.2.{n}", "--remote", f"192.0.2.{other}", "--port", 1194,
            "--tls-server" if side == "b" else "--tls-client", "--cert", folder / f"{side}.pem",
            "--key", folder / f"{side}.key", "--peer-fingerprint", prints[far],
            "--data-ciphers", "AES-128-GCM", "--ifconfig", f"10.9.0.{n}", f"10.9.0.{other}",
            "--route", f"10.{other}.0.0", "255.255.0.0"))
    return network


def wireguard(exits):
    network = Network(exits, kernel=True)
    folder = Path(exits.enter_context(tempfile.TemporaryDirectory()))
    public = {}
    for side in SIDES:
        key = subprocess.run(["wg", "genkey"], check=True, capture_output=True, text=True).stdout
        (folder / side).write_text(key)
        public[side] = subprocess.run(["wg", "pubkey"], input=key, check=True, capture_output=True,
                                      text=True).stdout.strip()
    for side, far, n, other in (("a", "b", 1, 2), ("b", "a", 2, 1)):
        netns = network.gateway(side)
        name = f"seal-wg-{side}"  # its control socket stands in a folder of the whole machine
        background(exits, *netns.command("wireguard-go", "-f", name))
        wait_for(lambda: Path(f"/var/run/wireguard/{name}.sock").is_socket(), "wireguard-go", every=0.05)
        netns.run("wg", "set", name, "listen-port", 51820, "private-key", folder / side,
                  "peer", public[far], "allowed-ips", "10.0.0.0/8", "endpoint", f"192.0.2.{other}:51820")
        netns.batch([f"link set {name} up mtu 1420", f"route replace 10.{other}.0.0/16 dev {name}"])
    return network


TUNNELS = {
    "no tunnel": no_tunnel,
    "Sealane, vnet": sealane("vnet"),
    "Sealane, vnet, ESP in UDP": sealane("vnet", "encap espinudp 4500 4500 0.0.0.0"),
    "Sealane, af_packet": sealane("net_af_packet"),
    "Sealane, af_xdp": sealane("net_af_xdp"),
    "strongSwan kernel-libipsec": libipsec,
    "OpenVPN": openvpn,
    "wireguard-go": wireguard,
}


# ---- what is asked of each ----

def iperf(network, seconds, *words):
    """The summary of an iperf3 run from host-a to host-b."""
    with contextlib.ExitStack() as exits:
        background(exits, *network.host_b.command("iperf3", "-s", "-1"))
        wait_for(lambda: ":5201" in network.host_b.run("ss", "-ltn"), "iperf3 to listen", every=0.02)
        report = network.host_a.run("iperf3", "-c", "10.2.0.2", "-t", seconds, "-J", *words)
    return json.loads(report)["end"]


def measure(build, seconds):
    """Gbit/s of one TCP stream, and thousands of small datagrams a second that arrive."""
    with contextlib.ExitStack() as exits:
        network = build(exits)
        wait_for(lambda: " 0% packet loss" in network.host_a.run(
            "ping", "-q", "-c", "1", "-W", "1", "10.2.0.2", check=False), "the tunnel", 30)
        tcp = iperf(network, seconds)["sum_received"]["bits_per_second"] / 1e9
        udp = iperf(network, seconds, "-u", "-b", "0", "-l", UDP_BYTES)["sum"]
        arrived = (udp["packets"] - udp["lost_packets"]) / udp["seconds"] / 1e3
    return tcp, arrived


def crypto_perf(operation):
    """Ticks a buffer of AES-128-GCM by DPDK's crypto_aesni_gcm, which is IPsec-MB's: {bytes: ticks}."""
    report = subprocess.run(
        ["dpdk-test-crypto-perf", "-l", "0,1", "--no-huge", "-m", "256", "--no-pci", "--no-telemetry",
         "--vdev", "crypto_aesni_gcm0", "--", "--ptest", "throughput", "--devtype", "crypto_aesni_gcm",
         "--optype", "aead", "--aead-algo", "aes-gcm", "--aead-op", operation, "--aead-key-sz", "16",
         "--aead-iv-sz", "12", "--aead-aad-sz", "8", "--digest-sz", "16",
         "--buffer-sz", ",".join(map(str, SIZES)), "--total-ops", "100000", "--burst-sz", "32",
         "--silent", "--csv-friendly"], check=True, capture_output=True, text=True).stdout
    rows = [line.split(",") for line in report.splitlines() if line.count(",") == 9 and line[0].isdigit()]
    return {int(row[1]): float(row[9]) for row in rows}


def whole_path(direction, size):
    """Ticks a packet of an engine's worker, from memory to memory."""
    with tempfile.NamedTemporaryFile() as file:
        subprocess.run([BUILD / "bench/sealane-bench", "--direction", direction, "--size", str(size),
                        "--json", file.name], check=True, capture_output=True)
        return json.load(file)["ticks_per_packet"]


def crypto_rows(rounds):
    """What both take: the least of many short runs, as others may use the processor."""
    seen = {}
    for _ in range(5 * rounds):
        for direction, operation in (("out", "encrypt"), ("in", "decrypt")):
            alone = crypto_perf(operation)
            for size in SIZES:
                seen.setdefault((operation, size), []).append((alone[size], whole_path(direction, size)))
    return {key: tuple(map(min, zip(*values))) for key, values in seen.items()}


def crypto_table(rows):
    yield "| AES-128-GCM, ticks | dpdk-test-crypto-perf: crypto alone | Sealane: the whole path |"
    yield "|---|---|---|"
    for (operation, size), (alone, whole) in rows.items():
        yield f"| {operation}, {size} bytes | {alone:.0f} | {whole:.0f} |"


def table(rows):
    """Markdown, each beside the best of Sealane's."""
    best = [max(row[i] for name, row in rows.items() if name.startswith("Sealane")) for i in (0, 1)]
    yield f"| tunnel | TCP, Gbit/s | of Sealane's | {UDP_BYTES}-byte datagrams, k/s | of Sealane's |"
    yield "|---|---|---|---|---|"
    for name, (tcp, udp) in rows.items():
        yield f"| {name} | {tcp:.2f} | {tcp / best[0]:.2f} | {udp:.0f} | {udp / best[1]:.2f} |"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=3, help="of each iperf3 run")
    parser.add_argument("--only", help="tunnels with this in their names")
    parser.add_argument("--json", help="write the figures to this file, too")
    options = parser.parse_args()
    builds = {name: build for name, build in TUNNELS.items()
              if options.only is None or options.only in name}
    seen = {name: [] for name in builds}
    for number in range(options.rounds):
        for name, build in builds.items():
            seen[name].append(measure(build, options.seconds))
            print(f"round {number + 1}: {name}: {seen[name][-1][0]:.2f} Gbit/s, "
                  f"{seen[name][-1][1]:.0f} k/s", file=sys.stderr)
    rows = {name: tuple(map(statistics.median, zip(*results))) for name, results in seen.items()}
    crypto = crypto_rows(options.rounds)
    if any(name.startswith("Sealane") for name in rows):
        print("\n".join(table(rows)) + "\n")
    print("\n".join(crypto_table(crypto)))
    if options.json:
        Path(options.json).write_text(json.dumps({
            "tunnels": {name: {"tcp_gbps": tcp, "udp_kpps": udp} for name, (tcp, udp) in rows.items()},
            "crypto": [{"operation": operation, "size": size, "crypto_perf_ticks": alone,
                        "sealane_ticks": whole} for (operation, size), (alone, whole) in crypto.items()],
        }, indent=2))


if __name__ == "__main__":
    main()
