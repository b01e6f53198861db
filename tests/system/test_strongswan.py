# SPDX-License-Identifier: BSD-3-Clause
"""
Two engines, each driven by its own unmodified charon, in scenarios of the names that strongSwan's own
regression tests have: what IKE negotiates is what the packets get, and nothing is seen in clear text.
"""

import os
import signal
import subprocess

import pytest

from engine import TOOLS
from gateway import FLUSH
from ikenet import Client, Flow, Switch, configure, moon_and_sun, watched
from netns import wait_for

ALICE, ALICE6 = "10.1.0.2", "2001:db8:1::2"
OUT = "src 10.1.0.0/16 dst 10.2.0.0/16"
NOBODY = "src 203.0.113.9 dst 203.0.113.10 dir fwd"
BOB, BOB6 = "10.2.0.2", "2001:db8:2::2"


@pytest.fixture(scope="module")
def sites(netns):
    with moon_and_sun(Switch(netns("switch"))) as sites:
        yield sites


@pytest.fixture
def moon(sites):
    return sites[1]


@pytest.fixture
def sun(sites):
    return sites[2]


@pytest.fixture(autouse=True)
def eye(sites):
    switch, *gateways = sites
    with watched(switch, gateways, [site.engine for site in gateways]) as eye:
        yield eye


def up(moon, sun, child="net", **options):
    configure(moon, sun, **options)
    moon.charon.initiate(child)
    return moon.charon.await_children(child)[0]


def traffic(moon, sun, eye, address=BOB):
    """Ping and TCP through the tunnel, counted by both engines, seen on the wire as ESP alone."""
    seen = eye.look()
    before = moon.sealed(), sun.sealed()
    moon.client.ping(address)
    moon.client.tcp(sun.client, address)
    for site, (sealed, opened) in zip((moon, sun), before):
        assert site.sealed()[0] > sealed + 100 and site.sealed()[1] > opened + 100
    assert not seen["clear"]
    seen.clear()
    wait_for(lambda: seen.update(eye.look()) or seen["esp"] == sum(
        site.sealed()[0] - sealed for site, (sealed, _) in zip((moon, sun), before)),
        "all that was sealed to be seen")
    assert not seen["clear"]


def host2host(moon, sun, eye, outer, **child):
    """The gateways' own addresses and packets; their kernels learn what fits the SA."""
    made = up(moon, sun, outer=outer, children={"net": child})
    assert made["mode"] == child["mode"].upper()
    us, them = Client("moon", moon.netns), Client("sun", sun.netns)
    address = sun.address6 if outer == 6 else sun.address
    before = moon.sealed()
    us.ping(address)
    assert moon.sealed() == (before[0] + 3, before[1] + 3)
    us.tcp(them, address)
    seen = eye.look()
    assert seen["esp"] > 200 and not seen["clear"]
    return made


def connects(moon, sun, port):
    """Whether a TCP connection to bob comes up before moon discards a packet of it."""
    before = moon.engine.drops()["policy_out"]
    with sun.client.listen(port), moon.client.netns.socket() as s:
        s.setblocking(False)
        s.connect_ex((BOB, port))
        wait_for(lambda: connected(s) or moon.engine.drops()["policy_out"] > before, "a verdict")
        return connected(s)


def connected(s):
    try:
        s.getpeername()
    except OSError:
        return False
    return True


class TestNet2Net:
    def test_net2net_psk(self, moon, sun, eye):
        child = up(moon, sun, auth="psk")
        assert (child["mode"], child["protocol"]) == ("TUNNEL", "ESP")
        assert child["local-ts"] == ["10.1.0.0/16"] and child["remote-ts"] == ["10.2.0.0/16"]
        traffic(moon, sun, eye)
        assert int(moon.charon.children("net")[0]["packets-out"]) > 100

    def test_net2net_cert(self, moon, sun, eye):
        up(moon, sun)
        traffic(moon, sun, eye)
        assert "authentication of 'sun' with ECDSA" in moon.charon.log()
        assert "authentication of 'moon' with ECDSA" in sun.charon.log()

    def test_both_families_in_one_child_sa(self, moon, sun, eye):
        configure(moon, sun, children=None)
        for me, other in ((moon, sun), (sun, moon)):
            me.charon.load(connections=me.conf(other, local_ts=[me.net, me.net6],
                                               remote_ts=[other.net, other.net6]))
        moon.charon.initiate("net")
        traffic(moon, sun, eye, BOB)
        traffic(moon, sun, eye, BOB6)
        assert len(moon.charon.children("net")) == 1

    @pytest.mark.parametrize("outer,inner", [(4, 6), (6, 4), (6, 6)],
                             ids=["ip6-in-ip4", "ip4-in-ip6", "ip6"])
    def test_net2net_families(self, moon, sun, eye, outer, inner):
        for me, other in ((moon, sun), (sun, moon)):
            net, far = (me.net6, other.net6) if inner == 6 else (me.net, other.net)
            me.charon.load(connections=me.conf(other, outer=outer, local_ts=net, remote_ts=far))
        moon.charon.initiate("net")
        traffic(moon, sun, eye, BOB6 if inner == 6 else BOB)

    @pytest.mark.parametrize("outer", [4, 6], ids=["ip4", "ip6"])
    @pytest.mark.parametrize("mode", ["tunnel", "transport"])
    def test_host2host(self, moon, sun, eye, outer, mode):
        host2host(moon, sun, eye, outer, mode=mode)

    def test_net2net_esn(self, moon, sun, eye):
        child = up(moon, sun, esp_proposals="aes128gcm16-esn")
        assert child["esn"] == "1"
        assert all(sa["esn"] for sa in moon.engine.ctl("sa", "show")["sa"])
        traffic(moon, sun, eye)

    @pytest.mark.parametrize("proposal,name", [
        ("aes128ccm16", "AES_CCM_16"), ("aes256ccm8", "AES_CCM_8"),
        ("chacha20poly1305", "CHACHA20_POLY1305"), ("aes256gcm16", "AES_GCM_16"),
        ("null-sha256", "NULL"), ("aes128gmac", "NULL_AES_GMAC"), ("aes128-sha256", "AES_CBC"),
        ("aes256-sha512", "AES_CBC"), ("aes128ctr-aesxcbc", "AES_CTR"),
    ])
    def test_alg(self, moon, sun, eye, proposal, name):
        child = up(moon, sun, esp_proposals=proposal)
        assert child["encr-alg"] == name
        traffic(moon, sun, eye)

    @pytest.mark.parametrize("outer", [4, 6], ids=["ip4", "ip6"])
    @pytest.mark.parametrize("mode", ["tunnel", "transport"])
    def test_ah(self, moon, sun, eye, outer, mode):
        """Authenticated and not encrypted: what the wire carries is AH, and no packet without it."""
        child = host2host(moon, sun, eye, outer, mode=mode, ah_proposals="sha256")
        assert child["protocol"] == "AH"

    def test_net2net_ah(self, moon, sun, eye):
        assert up(moon, sun, ah_proposals="sha384-esn")["protocol"] == "AH"
        traffic(moon, sun, eye)


class TestRekey:
    @pytest.mark.parametrize("what", [("--child", "net"), ("--ike", "gw")],
                             ids=["child", "ike"])
    def test_net2net_rekey(self, moon, sun, eye, what):
        """From either side, and with packets both ways meanwhile: none is lost, none comes twice."""
        spis = {up(moon, sun)["spi-in"]}
        with Flow(moon.client, sun.client, BOB) as there, \
                Flow(sun.client, moon.client, ALICE) as back:
            for site in (moon, sun, moon, sun):
                there.await_more()
                site.charon.swanctl("--rekey", *what)
                if what[0] == "--child":
                    wait_for(lambda: moon.charon.spis("net") - spis, "a new SA", every=0.05)
                spis.add(moon.charon.await_children("net")[0]["spi-in"])
            there.await_more(1000)
        assert len(spis) == (5 if what[0] == "--child" else 1)
        for flow in (there, back):
            assert (flow.lost, flow.twice) == ([], 0), flow.sent
        traffic(moon, sun, eye)
        wait_for(lambda: len(moon.engine.ctl("sa", "show")["sa"]) == 2, "the old SAs to go")

    def test_reauth_mbb(self, moon, sun, eye):
        """
        Make before break: a second IKE_SA with its own CHILD_SA, then the first goes. (The responder
        of an IKE_AUTH uses its new SA at once, while the initiator still verifies the certificate:
        what arrives then is lost with any kernel, and counted here.)
        """
        up(moon, sun)
        old = moon.charon.sas()[0]["uniqueid"]
        early = moon.engine.drops()["no_sa"]
        with Flow(moon.client, sun.client, BOB) as there, \
                Flow(sun.client, moon.client, ALICE) as back:
            there.await_more()
            moon.charon.swanctl("--rekey", "--ike", "gw", "--reauth")
            wait_for(lambda: [sa for sa in moon.charon.sas()] and
                     all(sa["uniqueid"] != old for sa in moon.charon.sas()), "the new IKE_SA alone",
                     every=0.05)
            there.await_more(1000)
        assert (there.lost, there.twice, back.twice) == ([], 0, 0), there.sent
        assert len(back.lost) == moon.engine.drops()["no_sa"] - early, back.sent
        assert len(moon.charon.children("net")) == 1

    def test_soft_lifetime_of_the_engine_rekeys(self, moon, sun, eye):
        """EXPIRE: the engine counts packets, charon rekeys when they are used up."""
        first = up(moon, sun, rekey_packets=500, life_packets=100000, rand_packets=0)
        with Flow(moon.client, sun.client, BOB) as flow:
            wait_for(lambda: moon.charon.spis("net") - {first["spi-in"]}, "a rekeying", every=0.1)
            flow.await_more()
        assert (flow.lost, flow.twice) == ([], 0), flow.sent


class TestTraps:
    def test_net2net_route(self, moon, sun, eye):
        """A trap: nothing is up until the first packet asks for it, which arrives."""
        configure(moon, sun, start_action="trap")
        assert moon.charon.sas() == []
        moon.client.ping(BOB, count=1)
        moon.charon.await_children("net")
        traffic(moon, sun, eye)

    def test_net2net_route_loses_nothing(self, moon, sun, eye):
        """What comes while IKE negotiates waits, and arrives before what comes later."""
        configure(moon, sun, start_action="trap")
        with Flow(moon.client, sun.client, BOB, interval=0.1) as flow:
            flow.await_more(20)
        assert (flow.lost, flow.twice) == ([], 0), flow.sent
        assert len(moon.charon.children("net")) == 1

    def test_net2net_route_keeps_the_first(self, moon, sun, eye):
        """A burst of more than may wait, to a peer that takes its time."""
        configure(moon, sun, start_action="trap")
        before = moon.engine.drops()["no_sa_out"]
        sun.charon.process.send_signal(signal.SIGSTOP)
        try:
            with Flow(moon.client, sun.client, BOB, interval=3600) as flow:
                for _ in range(100):
                    flow.send_round()
                wait_for(lambda: moon.engine.drops()["no_sa_out"] == before + 36, "36 to be too many")
                assert moon.engine.ctl("policy", "show")["waiting"]["packets"] == 64
                sun.charon.process.send_signal(signal.SIGCONT)
                flow.await_more(64)
        finally:
            sun.charon.process.send_signal(signal.SIGCONT)
        assert (flow.lost, flow.twice) == (list(range(65, 101)), 0)

    def test_net2net_route_narrow(self, moon, sun, eye):
        """
        A wide trap, and a peer that narrows: what the CHILD_SA was made for passes; the rest of the
        trap's traffic has the same reqid in this version of charon, so the peer discards it.
        """
        sun.client.netns.ip("addr add 10.2.0.130/32 dev eth0")
        moon.charon.load(connections=moon.conf(sun, start_action="trap"))
        sun.charon.load(connections=sun.conf(moon, local_ts="10.2.0.0/25"))
        wait_for(lambda: moon.client.reaches(BOB), "the tunnel that the first packet asked for")
        assert moon.charon.await_children("net")[0]["remote-ts"] == ["10.2.0.0/25"]
        traffic(moon, sun, eye)
        before = sun.engine.drops()["selector"]
        assert not moon.client.reaches("10.2.0.130")
        assert sun.engine.drops()["selector"] == before + 1

    def test_shunt_manual_prio(self, moon, sun, eye):
        """Above a tunnel: a pass shunt, which is the only clear text, and a drop shunt."""
        for me, other in ((moon, sun), (sun, moon)):
            me.charon.load(connections=me.conf(other, children={
                "net": {"local_ts": me.net, "remote_ts": other.net},
                "pass": {"local_ts": f"{me.net}[icmp]", "remote_ts": f"{other.net}[icmp]",
                         "mode": "pass", "start_action": "trap", "priority": 3},
                "drop": {"local_ts": f"{me.net}[tcp]", "remote_ts": f"{other.net}[tcp/5009]",
                         "mode": "drop", "start_action": "trap", "priority": 2}}))
        moon.charon.initiate("net")
        moon.client.ping(BOB)
        seen = eye.look()
        assert (seen["clear"], seen["esp"]) == (6, 0)
        moon.client.tcp(sun.client, BOB)
        assert not connects(moon, sun, 5009)

    def test_protoport_range(self, moon, sun, eye):
        for me, other in ((moon, sun), (sun, moon)):
            ts = {moon: f"{moon.net}[tcp]", sun: f"{sun.net}[tcp/5000-5007]"}
            me.charon.load(connections=me.conf(other, local_ts=ts[me], remote_ts=ts[other]))
        moon.charon.initiate("net")
        before = moon.sealed()[0]
        for port in (5000, 5007):
            moon.client.tcp(sun.client, BOB, port=port)
        assert moon.sealed()[0] > before + 200
        assert not connects(moon, sun, 5008)
        dropped = moon.engine.drops()["policy_out"]
        assert not moon.client.reaches(BOB)
        assert moon.engine.drops()["policy_out"] == dropped + 1


class TestLiveness:
    def test_inactivity_timeout(self, moon, sun, eye):
        """
        charon reads when the policies were last used: not before, and then soon. (It is told whole
        seconds: a policy that was used just before another one begins has been idle for one.)
        """
        up(moon, sun, inactivity="3s")
        with Flow(moon.client, sun.client, BOB, interval=0.01) as flow:
            flow.await_more(400)
            assert moon.charon.children("net")
        moon.charon.await_children("net", 0)
        assert moon.charon.sas()[0]["state"] == "ESTABLISHED"

    def test_dpd_restart(self, moon, sun, eye):
        """A peer that forgot everything is found out, and the tunnel comes back by itself."""
        old = up(moon, sun, ike={"dpd_delay": "1s"}, dpd_action="restart")["spi-in"]
        sun.charon.kill()
        sun.charon.start()
        sun.charon.load(connections=sun.conf(moon))
        wait_for(lambda: [c for c in moon.charon.children("net") if c["spi-in"] != old],
                 "another tunnel", 60, every=0.1)
        traffic(moon, sun, eye)
        for site in (moon, sun):
            site.charon.clear()
        sun.engine.batch(FLUSH)  # what the killed charon had left


def test_every_event_is_on_the_monitor(moon, sun, eye, tmp_path):
    """`ip xfrm monitor` under sealane-xfrm, through the life of a tunnel."""
    heard = tmp_path / "monitor"
    with open(heard, "w") as file:
        monitor = subprocess.Popen(
            moon.netns.command(TOOLS / "sealane-xfrm", "ip", "xfrm", "monitor"), stdout=file,
            env={**os.environ, "SEALANE_XFRM_SOCKET": moon.engine.path("xfrm.sock")})
    try:
        wait_for(lambda: moon.engine.ip(f"xfrm policy update {NOBODY} action block") == "" and
                 heard.read_text().count("203.0.113.9"), "the monitor to listen", every=0.05)
        moon.engine.ip(f"xfrm policy delete {NOBODY}")
        configure(moon, sun)
        moon.charon.load(connections=moon.conf(sun, start_action="trap", rekey_packets=50,
                                               life_packets=100000, rand_packets=0))
        wait_for(lambda: moon.client.reaches(BOB), "the tunnel")
        first = moon.charon.children("net")[0]
        moon.client.ping(BOB, count=60)
        wait_for(lambda: f"Deleted src {sun.address}" in heard.read_text(), "the end of the rekeying")
        for site in (moon, sun):
            site.charon.clear()
        wait_for(lambda: f"Deleted {OUT}" in heard.read_text(), "the end of the policy")
    finally:
        monitor.kill()
        monitor.wait()
    text = heard.read_text()
    events = ["\n" + OUT, "\nacquire proto esp", f"\nUpdated src {sun.address}",
              f"proto esp spi 0x{first['spi-out']}", f"\nUpdated {OUT}", "\nExpired src",
              f"\nDeleted src {moon.address}", f"\nDeleted src {sun.address}", f"\nDeleted {OUT}"]
    places = [text.find(event) for event in events]
    assert -1 not in places and places == sorted(places), list(zip(events, places))
    assert "0x0000000000000000000000000000000000000000 128" in text, "keys are not for listeners"
