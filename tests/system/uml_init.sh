#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
#
# The first and only process of the guest of uml.py: makes it a system that can load its kernel's
# modules, then runs the scripts whose names come on the console, one after the other. What a script
# prints goes back, then its status.
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t tmpfs tmpfs /run

# Modules load by themselves, from where Debian's package has them.
mkdir /run/lib
ln -s /usr/lib/uml/modules /run/lib/modules
printf '#!/bin/sh\nexec modprobe -d /run "$@"\n' >/run/modprobe
chmod +x /run/modprobe
echo /run/modprobe >/proc/sys/kernel/modprobe
/run/modprobe -a ipv6 xfrm_user esp4 esp6

# Packets as they are on a wire: the driver mistakes those that were merged (their later parts are lost).
for device in /sys/class/net/vec*; do
	ethtool -K "${device##*/}" gro off gso off tso off sg off tx off
done

exec </dev/tty1 >/dev/tty1 2>&1
stty raw -echo
printf 'ready\0'
while read -r script; do
	[ "$script" ] || continue
	sh "$script" </dev/null >/run/output 2>&1
	status=$?
	cat /run/output
	printf '\0%d\0' $status
done
