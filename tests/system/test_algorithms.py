# SPDX-License-Identifier: BSD-3-Clause
"""
Every suite of docs/algorithms.md, both directions, with 32-bit sequence numbers and extended ones, on
both crypto backends. scapy is the second opinion; what it lacks (XCBC, GMAC, AES-GCM with a short
ICV) is added here by hand, over python3-cryptography.
"""

import struct

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESCCM, AESGCM
from scapy.layers.ipsec import (AUTH_ALGOS, CRYPT_ALGOS, ESP, AuthAlgo, CryptAlgo,
                                IPSecIntegrityError, _ESPPlain)
from scapy.packet import Raw

from esp import Suite
from gateway import FLUSH, HOST, REMOTE, Gateway, udp

# Every remainder of the padding to 4, some of that to 16, and the largest.
SIZES = [24, 25, 26, 27, 33, 39, 1300]


class Gcm(CryptAlgo):
    """AES-GCM whose ICV is cut; or GMAC (RFC 4543 section 3.3), which has all in the additional data."""

    def __init__(self, name, icv_size, gmac=False):
        super().__init__(name, cipher=AESGCM, mode=None, key_size=(16, 24, 32), salt_size=4,
                         block_size=1, iv_size=8, icv_size=icv_size)
        self.gmac = gmac

    def run(self, sa, key, esp, iv, text, way, icv=None):
        """Text and ICV; the ICV to be expected is given for decryption."""
        number = struct.pack("!IQ", esp.spi, sa.esn << 32 | esp.seq) if sa.esn_en \
            else struct.pack("!II", esp.spi, esp.seq)
        mode = modes.GCM(sa.crypt_salt + iv, icv, min_tag_length=self.icv_size)
        context = getattr(Cipher(algorithms.AES(key), mode), way)()
        if self.gmac:
            context.authenticate_additional_data(number + iv + text)
            context.finalize()
        else:
            context.authenticate_additional_data(number)
            text = context.update(text) + context.finalize()
        return text, icv or context.tag[:self.icv_size]

    def encrypt(self, sa, esp, key, icv_size=None, esn_en=False, esn=0):
        text, icv = self.run(sa, key, esp, esp.iv, esp.data_for_encryption(), "encryptor")
        return ESP(spi=esp.spi, seq=esp.seq, data=esp.iv + text + icv)

    def decrypt(self, sa, esp, key, icv_size=None, esn_en=False, esn=0):
        iv, icv = esp.data[:8], esp.data[-self.icv_size:]
        try:
            text, _ = self.run(sa, key, esp, iv, esp.data[8:-self.icv_size], "decryptor", icv)
        except InvalidTag as error:
            raise IPSecIntegrityError(error) from error
        end = len(text) - 2 - text[-2]
        return _ESPPlain(spi=esp.spi, seq=esp.seq, iv=iv, data=text[:end], padding=text[end:-2],
                         padlen=text[-2], nh=text[-1], icv=icv)


class XcbcMac:
    """AES-XCBC-MAC (RFC 3566 section 4)."""

    def __init__(self, key):
        ecb = Cipher(algorithms.AES(key), modes.ECB()).encryptor()
        self.keys = [ecb.update(bytes([i]) * 16) for i in (1, 2, 3)]
        self.data = b""

    def update(self, data):
        self.data += data

    def finalize(self):
        blocks = [self.data[i:i + 16] for i in range(0, len(self.data), 16)]
        whole = len(blocks[-1]) == 16
        last = blocks[-1] if whole else (blocks[-1] + b"\x80").ljust(16, b"\0")
        blocks[-1] = bytes(a ^ b for a, b in zip(last, self.keys[1 if whole else 2]))
        cbc = Cipher(algorithms.AES(self.keys[0]), modes.CBC(bytes(16))).encryptor()
        return cbc.update(b"".join(blocks))[-16:]


class Xcbc(AuthAlgo):
    def new_mac(self, key):
        return XcbcMac(key)


AUTH_ALGOS["AES-XCBC-96"] = Xcbc("AES-XCBC-96", mac=XcbcMac, digestmod=None, icv_size=12)
CRYPT_ALGOS["AES-GMAC"] = Gcm("AES-GMAC", 16, gmac=True)
for size in (12, 8):
    CRYPT_ALGOS[f"AES-GCM-{size}"] = Gcm(f"AES-GCM-{size}", size)
    CRYPT_ALGOS[f"AES-CCM-{size}"] = CryptAlgo(
        f"AES-CCM-{size}", cipher=AESCCM, mode=None, key_size=(16, 24, 32), block_size=1, iv_size=8,
        salt_size=3, icv_size=size, format_mode_iv=lambda sa, iv, **_: sa.crypt_salt + iv)


def aead(name, crypt, bits, salt, kernel, icv):
    return Suite(name, crypt, bits // 8 + salt, xfrm=f"aead {kernel} {{key}} {icv * 8}")


def aeads():
    for bits in (128, 192, 256):
        for icv in (16, 12, 8):
            cut = "" if icv == 16 else f"-{icv}"
            yield aead(f"aes{bits}gcm{icv}", f"AES-GCM{cut}", bits, 4, "rfc4106(gcm(aes))", icv)
            yield aead(f"aes{bits}ccm{icv}", f"AES-CCM{cut}", bits, 3, "rfc4309(ccm(aes))", icv)
        yield aead(f"aes{bits}gmac", "AES-GMAC", bits, 4, "rfc4543(gcm(aes))", 16)
    yield aead("chacha20poly1305", "CHACHA20-POLY1305", 256, 4, "rfc7539esp(chacha20,poly1305)", 16)


def ciphers():
    """Word, scapy's name, bytes of key material, words of `ip`."""
    for bits in (128, 192, 256):
        yield f"aes{bits}", "AES-CBC", bits // 8, "enc cbc(aes) {key}"
        yield f"aes{bits}ctr", "AES-CTR", bits // 8 + 4, "enc rfc3686(ctr(aes)) {key}"
    yield "null", "NULL", 0, 'enc ecb(cipher_null) ""'


# Word, scapy's name, bytes of key, words of `ip`.
INTEGRITY = [
    ("sha1", "HMAC-SHA1-96", 20, "auth-trunc hmac(sha1) {auth_key} 96"),
    ("sha256", "SHA2-256-128", 32, "auth-trunc hmac(sha256) {auth_key} 128"),
    ("sha384", "SHA2-384-192", 48, "auth-trunc hmac(sha384) {auth_key} 192"),
    ("sha512", "SHA2-512-256", 64, "auth-trunc hmac(sha512) {auth_key} 256"),
    ("aesxcbc", "AES-XCBC-96", 16, "auth-trunc xcbc(aes) {auth_key} 96"),
    ("aescmac", "AES-CMAC-96", 16, "auth-trunc cmac(aes) {auth_key} 96"),
]

PAIRS = [Suite(f"{word}-{auth_word}", crypt, key_len, auth, auth_key_len, f"{words} {auth_words}")
         for word, crypt, key_len, words in ciphers()
         for auth_word, auth, auth_key_len, auth_words in INTEGRITY]

SUITES = [*aeads(), *PAIRS]

every_suite = pytest.mark.parametrize("suite", SUITES, ids=lambda s: s.name)
with_and_without_esn = pytest.mark.parametrize("esn", [False, True], ids=["seq32", "esn"])


@pytest.fixture(scope="module", params=["ipsec-mb", "openssl"])
def both(request):
    """A gateway on each backend, legacy algorithms allowed."""
    gateway = Gateway(crypto={"backend": request.param, "legacy": ["sha1"]})
    gateway.lacks = ["aes192ccm"] if request.param == "ipsec-mb" else []
    yield gateway
    gateway.close()


@every_suite
@with_and_without_esn
def test_C70_C74_every_suite_agrees_with_a_second_opinion(both, suite, esn):
    if any(suite.name.startswith(word) for word in both.lacks):
        with pytest.raises(AssertionError, match="the crypto backend lacks the algorithm"):
            both.tunnel(suite=suite)
        return
    tunnel = both.tunnel(suite=suite, esn=esn, high=5 if esn else 0)
    shown = both.engine.ctl("sa", "show")["sa"]
    assert {sa["suite"] for sa in shown} == {suite.name}
    for size in SIZES:
        there = udp(HOST[4], REMOTE[4], size=size)
        _, opened = both.outbound(tunnel, there)
        assert opened[Raw].load == there[Raw].load
        both.inbound(tunnel, udp(REMOTE[4], HOST[4], size=size))


@every_suite
def test_C33_a_flipped_bit_anywhere_is_not_accepted(both, suite):
    if any(suite.name.startswith(word) for word in both.lacks):
        return
    tunnel = both.tunnel(suite=suite)
    sealed = tunnel.into.seal(udp(REMOTE[4], HOST[4], size=30))
    bad = []
    for at in (0, 7, 8, 20, len(sealed[ESP].data) // 2, len(sealed[ESP].data) - 1):
        packet = sealed.copy()
        data = bytearray(packet[ESP].data)
        data[at] ^= 0x10
        packet[ESP].data = bytes(data)
        bad.append(packet)
    reasons, out = both.fate(both.wan, *bad,
                             fence=lambda: both.inbound(tunnel, udp(REMOTE[4], HOST[4])))
    assert reasons == {"icv": len(bad)}
    assert not out


def test_C73_legacy_is_refused_unless_it_is_configured(gateway):
    suite = next(s for s in PAIRS if s.name == "aes128-sha1")
    with pytest.raises(AssertionError, match=r"hmac\(sha1\) is refused: it is legacy"):
        gateway.tunnel(suite=suite)
    gateway.engine.batch(FLUSH)
