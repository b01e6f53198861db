# SPDX-License-Identifier: BSD-3-Clause
"""
Every suite of docs/algorithms.md, for `ip xfrm` and for scapy. What scapy lacks (XCBC, GMAC, AES-GCM
with a short ICV) is added here by hand, over python3-cryptography.
"""

import struct

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.ciphers.aead import AESCCM, AESGCM
from scapy.layers.ipsec import (AUTH_ALGOS, CRYPT_ALGOS, ESP, AuthAlgo, CryptAlgo,
                                IPSecIntegrityError, _ESPPlain)

from esp import Suite


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
