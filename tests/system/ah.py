# SPDX-License-Identifier: BSD-3-Clause
"""
The peer's side of AH: scapy's IPsec layer is the second opinion. What it lacks, AES-XCBC-96 and
GMAC (RFC 4543), is added over python3-cryptography.
"""

import itertools
import secrets
from dataclasses import dataclass

from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from scapy.layers.inet import IP
from scapy.layers.inet6 import IPv6
from scapy.layers.ipsec import AH, AUTH_ALGOS, AuthAlgo, SecurityAssociation

from esp import Tunnel


class GmacIcv:
    """An ICV of GMAC: the IV, then the tag over everything, in which the whole ICV was zero."""

    def __init__(self, key, iv):
        self.iv = iv
        self.context = Cipher(algorithms.AES(key[:-4]), modes.GCM(key[-4:] + iv)).encryptor()

    def update(self, data):
        self.context.authenticate_additional_data(data)

    def finalize(self):
        self.context.finalize()
        return self.iv + self.context.tag


class Gmac(AuthAlgo):
    def __init__(self, name):
        super().__init__(name, mac=GmacIcv, digestmod=None, icv_size=24)
        self.count = itertools.count(1)
        self.iv = None

    def new_mac(self, key):
        return GmacIcv(key, self.iv or next(self.count).to_bytes(8, "big"))

    def verify(self, pkt, key, **esn):
        self.iv = pkt[AH].icv[:8]
        try:
            super().verify(pkt, key, **esn)
        finally:
            self.iv = None


AUTH_ALGOS["AES-GMAC"] = Gmac("AES-GMAC")


@dataclass(frozen=True)
class Integrity:
    name: str  # the engine's name of the suite
    auth: str  # scapy's name
    key_len: int  # bytes, salt included
    kernel: str
    icv_bits: int

    def words(self, key, icv_bits=None):
        return f"auth-trunc {self.kernel} 0x{key.hex()} {icv_bits or self.icv_bits}"


ALGORITHMS = [
    Integrity("null-sha256", "SHA2-256-128", 32, "hmac(sha256)", 128),
    Integrity("null-sha384", "SHA2-384-192", 48, "hmac(sha384)", 192),
    Integrity("null-sha512", "SHA2-512-256", 64, "hmac(sha512)", 256),
    Integrity("null-sha1", "HMAC-SHA1-96", 20, "hmac(sha1)", 96),
    Integrity("null-aesxcbc", "AES-XCBC-96", 16, "xcbc(aes)", 96),
    Integrity("null-aescmac", "AES-CMAC-96", 16, "cmac(aes)", 96),
    Integrity("aes128gmac", "AES-GMAC", 20, "rfc4543(gcm(aes))", 128),
    Integrity("aes256gmac", "AES-GMAC", 36, "rfc4543(gcm(aes))", 128),
]
SHA256 = ALGORITHMS[0]


class AhPeer:
    """One SA as the peer has it."""

    def __init__(self, algorithm, spi, key, src, dst, high=None, tunnel=True):
        ip = IPv6 if ":" in src else IP
        self.esn = {} if high is None else {"esn_en": True, "esn": high}
        self.sa = SecurityAssociation(
            AH, spi=spi, auth_algo=algorithm.auth, auth_key=key,
            tunnel_header=ip(src=src, dst=dst) if tunnel else None, **self.esn)
        self.ip = ip

    def seal(self, inner, seq=None):
        """The AH packet (IP and all) that carries `inner`; the next number unless `seq` says it."""
        return self.sa.encrypt(inner, seq_num=seq)

    def open(self, packet):
        """What an AH packet carries. Raises IPSecIntegrityError for a wrong ICV."""
        opened = bytes(self.sa.decrypt(packet[self.ip].copy()))
        return (IPv6 if opened[0] >> 4 == 6 else IP)(opened)


class AhTunnel(Tunnel):
    """As in esp.py, with AH, in tunnel or transport mode."""

    spis = itertools.count(0x3000001)

    def __init__(self, ours, theirs, algorithm=SHA256, reqid=1, esn=False, high=0, low=0,
                 window=64, mode="tunnel", flags=""):
        self.ours, self.theirs, self.suite, self.mode, self.flags = (
            ours, theirs, algorithm, mode, flags)
        self.reqid, self.esn, self.high, self.low, self.window = reqid, esn, high, low, window
        self.spi_in = next(self.spis)
        self.spi_out = self.spi_in + 0x1000000
        self.key = {way: secrets.token_bytes(algorithm.key_len) for way in "io"}
        self.auth_key, self.ports = self.key, None
        half = high if esn else None
        tunnel = mode == "tunnel"
        self.into = AhPeer(algorithm, self.spi_in, self.key["i"], theirs, ours, half, tunnel)
        self.out = AhPeer(algorithm, self.spi_out, self.key["o"], ours, theirs, half, tunnel)

    def state(self, way):
        src, dst, spi = ((self.theirs, self.ours, self.spi_in) if way == "i"
                         else (self.ours, self.theirs, self.spi_out))
        words = f"src {src} dst {dst} proto ah spi {spi:#x} reqid {self.reqid} mode {self.mode} " \
                f"replay-window {self.window} {self.flags} "
        if self.mode == "tunnel":
            words += "flag af-unspec "
        if self.esn:
            words += "flag esn "
            if self.high:
                words += f"{'replay-seq-hi' if way == 'i' else 'replay-oseq-hi'} {self.high} "
        if self.low:
            words += f"{'replay-seq' if way == 'i' else 'replay-oseq'} {self.low:#x} "
        return words + self.suite.words(self.key[way])

    def template(self, way):
        src, dst = (self.theirs, self.ours) if way == "i" else (self.ours, self.theirs)
        ends = f"src {src} dst {dst}" if self.mode == "tunnel" else ""
        return f"tmpl {ends} proto ah reqid {self.reqid} mode {self.mode}"
