# shellcheck shell=bash disable=SC2154 # the demo's variables
# SPDX-License-Identifier: BSD-3-Clause
#
# Unmodified charons for the demo: certificates made with pki, a configuration, swanctl. To be
# sourced; the demo's `folder`, `build`, `in_netns` and `until_true` are used. Each daemon has the
# folder $folder/ike-a or $folder/ike-b for everything of its own.

# ike_authority: a certificate authority for as long as the demo lives.
ike_authority() {
	mkdir -p "$folder/ca"
	certify --gen --type ecdsa --size 256 >"$folder/ca/key.pem"
	certify --self --ca --in "$folder/ca/key.pem" --dn "CN=Sealane Demo CA" >"$folder/ca/ca.pem"
}

# What pki says of plugins that it cannot load is of interest only where it fails.
certify() {
	pki "$@" --outform pem 2>>"$folder/pki.out"
}

# ike_enrol SIDE: a key and a certificate with the name gw-SIDE.
ike_enrol() {
	local here=$folder/ike-$1

	mkdir -p "$here"/{x509,x509ca,private}
	cp "$folder/ca/ca.pem" "$here/x509ca/"
	certify --gen --type ecdsa --size 256 >"$here/private/key.pem"
	certify --issue --cacert "$folder/ca/ca.pem" --cakey "$folder/ca/key.pem" --type priv \
		--in "$here/private/key.pem" --dn "CN=gw-$1" --san "gw-$1" >"$here/x509/cert.pem"
}

# ike_configure SIDE NEAR FAR PEER PLUGINS: strongswan.conf and swanctl.conf. One CHILD_SA, `net`, for
# both families behind the gateways.
ike_configure() {
	local here=$folder/ike-$1

	cat >"$here/strongswan.conf" <<-EOT
		charon-systemd {
		  load_modular = no
		  load = random nonce openssl kdf pem pkcs1 pkcs8 x509 pubkey constraints $5 socket-default updown vici
		  delete_rekeyed_delay = 1
		  journal {
		    default = -1
		  }
		  filelog {
		    log {
		      path = $here.log
		      default = 1
		      flush_line = yes
		    }
		  }
		  plugins {
		    vici {
		      socket = unix://$here/vici
		    }
		  }
		}
		swanctl {
		  load = random openssl pem pkcs1 pkcs8 x509 pubkey constraints
		}
	EOT
	cat >"$here/swanctl.conf" <<-EOT
		connections {
		  gw {
		    version = 2
		    local_addrs = 192.0.2.$2
		    remote_addrs = 192.0.2.$3
		    local {
		      auth = pubkey
		      certs = cert.pem
		      id = gw-$1
		    }
		    remote {
		      auth = pubkey
		      id = gw-$4
		    }
		    children {
		      net {
		        local_ts = 10.$2.0.0/16, 2001:db8:$2::/48
		        remote_ts = 10.$3.0.0/16, 2001:db8:$3::/48
		      }
		    }
		  }
		}
	EOT
}

# ike_start SIDE [COMMAND...]: the distribution's charon, run by sealane-xfrm or by nothing.
ike_start() {
	local here=$folder/ike-$1

	ip netns exec "sealane-gw-$1" env STRONGSWAN_CONF="$here/strongswan.conf" \
		SEALANE_XFRM_SOCKET="$folder/gw-$1.xfrm" "${@:2}" /usr/sbin/charon-systemd \
		>"$here.out" 2>&1 &
	echo $! >"$here.pid"
	until_true "gw-$1's charon to answer" ike "$1" --stats
	ike "$1" --load-all --noprompt >"$here.load.out" 2>&1
}

# ike SIDE WORDS...: swanctl.
ike() {
	env STRONGSWAN_CONF="$folder/ike-$1/strongswan.conf" SWANCTL_DIR="$folder/ike-$1" \
		swanctl "${@:2}" --uri "unix://$folder/ike-$1/vici"
}
