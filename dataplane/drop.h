/* SPDX-License-Identifier: BSD-3-Clause */
/* Why packets end here: one list gives the enum, the names that operators see, and what they mean.
 */
#pragma once

#define DROP_REASONS(X)                                                                            \
	X(ETH_RUNT, "eth_runt", "frame shorter than an Ethernet header")                           \
	X(ETH_TYPE, "eth_type", "ethertype that is neither IP nor ARP")                            \
	X(ETH_DST, "eth_dst", "unicast frame for another MAC address")                             \
	X(VLAN, "vlan", "802.1Q tag that no sub-port has, or two tags")                            \
	X(MULTICAST, "multicast", "multicast or broadcast that is not the host's: not forwarded")  \
	X(IP_HDR, "ip_hdr", "IP header cut, wrong version or header length")                       \
	X(IP_LEN, "ip_len", "IP length beyond the frame or below the header")                      \
	X(IP_CSUM, "ip_csum", "wrong IPv4 header checksum")                                        \
	X(IP_OPTS, "ip_opts", "IPv4 source route option")                                          \
	X(IP_EXT, "ip_ext",                                                                        \
	  "IPv6 extension headers cut, too many, too long for AH, or routing header not at its "   \
	  "end")                                                                                   \
	X(MARTIAN, "martian", "source or destination address that may not be on a wire")           \
	X(TTL, "ttl", "TTL or hop limit ended here")                                               \
	X(NO_ROUTE, "no_route", "no route to the destination")                                     \
	X(BLACKHOLE, "blackhole", "blackhole route")                                               \
	X(UNREACHABLE, "unreachable", "unreachable or prohibit route")                             \
	X(NO_NEIGHBOUR, "no_neighbour", "next hop not resolved in time, or its queue was full")    \
	X(MTU, "mtu", "longer than the way out takes, and may not be fragmented")                  \
	X(FRAGMENT, "fragment", "fragment of ESP that could not be reassembled")                   \
	X(FRAG_BAD, "frag_bad", "fragment that cannot be, or does not fit the others")             \
	X(FRAG_OVERLAP, "frag_overlap", "fragments that overlap: the datagram was discarded")      \
	X(FRAG_DUPLICATE, "frag_duplicate", "fragment that had come before")                       \
	X(FRAG_LIMIT, "frag_limit", "too many fragments, or datagrams in fragments, were waiting") \
	X(FRAG_TIMEOUT, "frag_timeout", "the other fragments did not come in time")                \
	X(FRAG_EARLY, "frag_early", "later fragment whose first one no policy has seen")           \
	X(FRAG_POLICY, "frag_policy", "fragment, and spd.fragments is discard")                    \
	X(FRAGMENT_OUT, "fragment_out",                                                            \
	  "fragment that only an SA for whole packets (not tunnel mode) protects")                 \
	X(RUNT, "runt",                                                                            \
	  "ESP shorter than header, IV, trailer and ICV, or AH of another length than its ICV's")  \
	X(ALIGN, "align", "ciphertext not a multiple of the cipher's block")                       \
	X(SPI_RESERVED, "spi_reserved", "SPI 0 to 255")                                            \
	X(NO_SA, "no_sa", "inbound ESP or AH with an SPI that no SA has")                          \
	X(SA_MISMATCH, "sa_mismatch",                                                              \
	  "SPI known, but destination, family, protocol or encapsulation differ")                  \
	X(SA_DIR, "sa_dir", "inbound ESP or AH with the SPI of an outbound SA")                    \
	X(SA_EXPIRED, "sa_expired", "the SA's hard lifetime is over")                              \
	X(REPLAY, "replay", "sequence number seen before, or left of the window")                  \
	X(ICV, "icv", "integrity check failed")                                                    \
	X(PAD, "pad", "ESP padding wrong or longer than the payload")                              \
	X(NEXT_HEADER, "next_header", "next header of ESP or AH does not fit the SA's mode")       \
	X(INNER, "inner", "inner packet cut or longer than its place")                             \
	X(ECN, "ecn", "congestion experienced outside, but the inner sender knows no ECN")         \
	X(SELECTOR, "selector", "packet outside its SA's selectors or policy")                     \
	X(TENANT, "tenant", "decrypted for a tenant that no interface belongs to")                 \
	X(POLICY_IN, "policy_in",                                                                  \
	  "clear packet that policy requires protected, or no policy lets in")                     \
	X(POLICY_OUT, "policy_out", "discarded by policy, or no policy lets it out")               \
	X(NO_SA_OUT, "no_sa_out",                                                                  \
	  "policy protects, and no SA came in time, or too many packets waited for one")           \
	X(SEQ_EXHAUSTED, "seq_exhausted", "the SA's sequence numbers are used up")                 \
	X(CRYPTO, "crypto", "the crypto backend failed to seal")                                   \
	X(NATT_SHORT, "natt_short", "UDP encapsulation with 1 to 3 bytes that are no keepalive")   \
	X(UDP_LEN, "udp_len", "UDP length below 8 or beyond IP's")                                 \
	X(NO_BUF, "no_buf", "no packet buffer, or no room in one")                                 \
	X(HOST_QUEUE, "host_queue", "the host's queue was full")                                   \
	X(PUNT_RATE, "punt_rate", "for the host, beyond what one source may send to it")           \
	X(HANDOVER, "handover",                                                                    \
	  "another worker's queue was full, or it kept what it was to seal or open")               \
	X(PORT_DOWN, "port_down", "the port out is down")                                          \
	X(TX_FULL, "tx_full", "the port's transmit queue was full")

enum drop_reason {
#define X(id, name, help) DROP_##id,
	DROP_REASONS(X)
#undef X
		DROP_COUNT,
};

extern const char *const drop_names[DROP_COUNT];
extern const char *const drop_help[DROP_COUNT];
