# SPDX-License-Identifier: BSD-3-Clause
"""
The peer's side of ESP: scapy's IPsec layer (over python3-cryptography) is the second opinion on every
packet that the engine makes or takes. What scapy lacks, the high sequence half under HMAC, is added.
"""

import copy
import secrets
import struct
from dataclasses import dataclass

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM, ChaCha20Poly1305
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.ipsec import ESP, IPSecIntegrityError, SecurityAssociation, _ESPPlain
from scapy.packet import Raw


@dataclass(frozen=True)
class Suite:
    name: str
    crypt: str  # scapy's name
    key_len: int  # bytes, salt included
    auth: str = None  # scapy's name
    auth_key_len: int = 0
    xfrm: str = ""  # words of `ip xfrm state add`, {key} and {auth_key} to be filled

    def words(self, key, auth_key):
        return self.xfrm.format(key=f"0x{key.hex()}", auth_key=f"0x{auth_key.hex()}")


def gcm(bits):
    return Suite(f"aes{bits}gcm16", "AES-GCM", bits // 8 + 4,
                 xfrm="aead rfc4106(gcm(aes)) {key} 128")


def cbc(bits):
    return Suite(f"aes{bits}-sha256", "AES-CBC", bits // 8, "SHA2-256-128", 32,
                 xfrm="enc cbc(aes) {key} auth-trunc hmac(sha256) {auth_key} 128")


SUITES = [
    gcm(128), gcm(192), gcm(256),
    Suite("chacha20poly1305", "CHACHA20-POLY1305", 36,
          xfrm="aead rfc7539esp(chacha20,poly1305) {key} 128"),
    cbc(128), cbc(256),
]
GCM = SUITES[0]
CBC = SUITES[-2]


class WithHighHalf:
    """A scapy integrity algorithm that puts the high sequence half under the ICV (RFC 4303 2.2.1)."""

    def __init__(self, algorithm, high):
        self.algorithm, self.high = algorithm, struct.pack("!I", high)
        self.name, self.icv_size = algorithm.name, algorithm.icv_size

    def icv(self, esp, key):
        mac = self.algorithm.new_mac(key)
        mac.update(bytes(esp) + self.high)
        return mac.finalize()[:self.icv_size]

    def sign(self, packet, key):
        packet[ESP].data += self.icv(packet[ESP], key)

    def verify(self, esp, key):
        signed = ESP(spi=esp.spi, seq=esp.seq, data=esp.data[:-self.icv_size])
        if self.icv(signed, key) != esp.data[-self.icv_size:]:
            raise IPSecIntegrityError("wrong ICV")


class Peer:
    """
    One SA as the peer has it. `high` is the high half of the sequence numbers, None without ESN;
    `ports` are source and destination of UDP encapsulation.
    """

    def __init__(self, suite, spi, key, auth_key, src, dst, high=None, mode="tunnel", ports=None):
        self.ip = IPv6 if ":" in src else IP
        esn = {} if high is None else {"esn_en": True, "esn": high}
        self.sa = SecurityAssociation(
            ESP, spi=spi, crypt_algo=suite.crypt, crypt_key=key, auth_algo=suite.auth,
            auth_key=auth_key or None,
            tunnel_header=self.ip(src=src, dst=dst) if mode == "tunnel" else None, **esn)
        self.ports = ports
        if suite.auth and high is not None:
            self.sa.auth_algo = WithHighHalf(self.sa.auth_algo, high)

    def seal(self, inner, seq=None):
        """The ESP packet (IP and all) that carries `inner`; the next number unless `seq` says it."""
        return self.wrap(self.sa.encrypt(inner, seq_num=seq))

    def wrap(self, packet):
        """UDP in front of ESP. scapy's own encapsulation writes wrong lengths."""
        if not self.ports:
            return packet
        esp = packet[ESP]
        udp = UDP(sport=self.ports[0], dport=self.ports[1], chksum=0) / Raw(bytes(esp))
        return self.behind(packet, esp.underlayer, 17, udp)

    def behind(self, packet, header, number, payload):
        """The packet with something else behind one of its headers."""
        header.remove_payload()
        header.setfieldval("proto" if isinstance(header, IP) else "nh", number)
        for field in ("len", "chksum", "plen"):
            if field in packet.fields:
                packet.delfieldval(field)
        return self.ip(bytes(packet / payload))

    def seal_raw(self, data, padding, nh=4, padlen=None, outer=None):
        """The same for any bytes, with padding and trailer (and outer header) as they are given."""
        sa = self.sa
        plain = _ESPPlain(spi=sa.spi, seq=sa.seq_num, iv=sa.crypt_algo.generate_iv(), data=data,
                          padding=padding, padlen=len(padding) if padlen is None else padlen, nh=nh)
        sa.seq_num += 1
        sealed = sa.crypt_algo.encrypt(sa, plain, sa.crypt_key)
        sa.auth_algo.sign(sealed, sa.auth_key)
        outer = (outer or sa.tunnel_header).copy()
        outer.setfieldval("nh" if IPv6 in outer else "proto", 50)
        return outer / Raw(bytes(sealed))

    def open(self, packet):
        """What an ESP packet carries. Raises IPSecIntegrityError for a wrong ICV."""
        outer = packet[self.ip].copy()
        if self.ports:
            esp = ESP(bytes(outer[UDP].payload))
            outer = self.behind(outer, outer[UDP].underlayer, 50, esp)
        return self.sa.decrypt(outer)

    def plain(self, packet):
        """All that is encrypted, padding and trailer included (not for ESN)."""
        esp, sa = packet[ESP], self.sa
        iv = esp.data[:sa.crypt_algo.iv_size]
        text = esp.data[len(iv):]
        if sa.crypt_algo.name == "AES-CBC":
            cipher = Cipher(algorithms.AES(sa.crypt_key), modes.CBC(iv)).decryptor()
            return cipher.update(text[:-sa.auth_algo.icv_size]) + cipher.finalize()
        aead = AESGCM if sa.crypt_algo.name == "AES-GCM" else ChaCha20Poly1305
        header = struct.pack("!II", esp.spi, esp.seq)
        return aead(sa.crypt_key).decrypt(sa.crypt_salt + iv, text, header)


class Tunnel:
    """
    A pair of SAs between the engine (`ours`) and the peer that a test plays (`theirs`), with keys
    that no other has: the engine remembers how far each key has been used. `out` is the SA of what
    the engine sends, `into` of what it receives. `high` and `low` are the halves of the sequence
    number that both have got to, `words` are more words of `ip xfrm state add`.
    """

    def __init__(self, ours, theirs, suite=GCM, spi=0x10001, reqid=1, esn=False, high=0, low=0,
                 window=64, words="", mode="tunnel", ports=None):
        self.ours, self.theirs, self.suite, self.words = ours, theirs, suite, words
        self.mode, self.ports = mode, ports  # UDP encapsulation: our port and theirs
        self.reqid, self.esn, self.high, self.low, self.window = reqid, esn, high, low, window
        self.spi_in, self.spi_out = spi, spi + 0x1000000
        self.key = {way: secrets.token_bytes(suite.key_len) for way in "io"}
        self.auth_key = {way: secrets.token_bytes(suite.auth_key_len) for way in "io"}
        half = high if esn else None
        self.into = Peer(suite, self.spi_in, self.key["i"], self.auth_key["i"], theirs, ours, half,
                         mode, ports and ports[::-1])
        self.out = Peer(suite, self.spi_out, self.key["o"], self.auth_key["o"], ours, theirs, half,
                        mode, ports)

    def state(self, way):
        """The words of `ip xfrm state add` for the SA of one way, "i" or "o"."""
        src, dst, spi = ((self.theirs, self.ours, self.spi_in) if way == "i"
                         else (self.ours, self.theirs, self.spi_out))
        words = f"src {src} dst {dst} proto esp spi {spi:#x} reqid {self.reqid} mode {self.mode} " \
                f"replay-window {self.window} flag af-unspec {self.words} "
        if self.esn:
            words += "flag esn "
            if self.high:
                words += f"{'replay-seq-hi' if way == 'i' else 'replay-oseq-hi'} {self.high} "
        if self.low:
            words += f"{'replay-seq' if way == 'i' else 'replay-oseq'} {self.low:#x} "
        if self.ports:
            sport, dport = self.ports if way == "o" else self.ports[::-1]
            words += f"encap espinudp {sport} {dport} {'::' if ':' in src else '0.0.0.0'} "
        return words + self.suite.words(self.key[way], self.auth_key[way])

    def template(self, way):
        src, dst = (self.theirs, self.ours) if way == "i" else (self.ours, self.theirs)
        return f"tmpl src {src} dst {dst} proto esp reqid {self.reqid} mode {self.mode}"

    def mirrored(self):
        """The same tunnel as the peer has it, for a peer that is driven by `ip` as well."""
        other = copy.copy(self)
        other.ours, other.theirs = self.theirs, self.ours
        other.ports = self.ports and self.ports[::-1]
        other.spi_in, other.spi_out = self.spi_out, self.spi_in
        other.key = {"i": self.key["o"], "o": self.key["i"]}
        other.auth_key = {"i": self.auth_key["o"], "o": self.auth_key["i"]}
        return other

    def states(self):
        """Commands of `ip` that install both SAs."""
        return [f"xfrm state add {self.state(way)}" for way in "io"]

    def policies(self, near, far, into=("fwd", "in")):
        """What goes from `near` to `far` is to be protected, and what comes back must have been."""
        return [f"xfrm policy add src {near} dst {far} dir out {self.template('o')}"] + [
            f"xfrm policy add src {far} dst {near} dir {direction} {self.template('i')}"
            for direction in into]
