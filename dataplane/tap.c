/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Making TAP devices. No offloads are asked for, so the kernel completes checksums and cuts
 * segments itself before a frame gets here, and checks what it is given.
 */
#include "tap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

static int
tap_refuse(const struct tap_config *config, const char *what, struct reason *why)
{
	int error = errno;

	return reason_set(why, error, "host interface \"%s\": %s: %s", config->name, what,
			  strerror(error));
}

static int
create(const struct tap_config *config, struct reason *why)
{
	/* TUN_EXCL: never attach to a device that somebody else made, persistent ones included. */
	struct ifreq request = {.ifr_flags = (short)(IFF_TAP | IFF_NO_PI | IFF_TUN_EXCL)};
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	int error;

	if (fd < 0)
		return tap_refuse(config, "open /dev/net/tun", why);
	strcpy(request.ifr_name, config->name);
	if (ioctl(fd, TUNSETIFF, &request) == 0)
		return fd;

	error = errno;
	close(fd);
	/* The kernel says EINVAL where the device of that name is no TAP, EBUSY where it is one. */
	if (if_nametoindex(config->name) != 0)
		return reason_set(why, EEXIST,
				  "host interface \"%s\": a network device of that name exists "
				  "already; remove it (ip link delete %s) or choose another "
				  "host_interface",
				  config->name, config->name);
	errno = error;
	return tap_refuse(config, "create TAP", why);
}

/* MAC address, MTU, index and IFF_UP, all through one throw-away socket. */
static int
set_up(const struct tap_config *config, int control, int *ifindex, struct reason *why)
{
	struct ifreq request = {0};

	strcpy(request.ifr_name, config->name);
	if (ioctl(control, SIOCGIFINDEX, &request) != 0)
		return tap_refuse(config, "read its index", why);
	*ifindex = request.ifr_ifindex;

	request.ifr_hwaddr.sa_family = ARPHRD_ETHER;
	memcpy(request.ifr_hwaddr.sa_data, config->mac, sizeof(*config->mac));
	if (ioctl(control, SIOCSIFHWADDR, &request) != 0)
		return tap_refuse(config, "set its MAC address", why);

	request.ifr_mtu = config->mtu;
	if (ioctl(control, SIOCSIFMTU, &request) != 0)
		return tap_refuse(config, "set its MTU", why);

	if (ioctl(control, SIOCGIFFLAGS, &request) != 0)
		return tap_refuse(config, "read its flags", why);
	request.ifr_flags |= IFF_UP;
	if (ioctl(control, SIOCSIFFLAGS, &request) != 0)
		return tap_refuse(config, "set it up", why);
	return 0;
}

int
tap_open(const struct tap_config *config, int *ifindex, struct reason *why)
{
	int fd, control, error;

	if (config->name[0] == '\0' || strlen(config->name) >= IFNAMSIZ)
		return reason_set(why, EINVAL,
				  "host interface \"%s\": a name of 1 to %d characters is expected",
				  config->name, IFNAMSIZ - 1);
	fd = create(config, why);
	if (fd < 0)
		return fd;
	control = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (control < 0) {
		error = tap_refuse(config, "open a socket", why);
		goto err_fd;
	}
	error = tap_set_carrier(fd, config->carrier);
	if (error != 0) {
		errno = -error;
		error = tap_refuse(config, "set its carrier", why);
		goto err_control;
	}
	error = set_up(config, control, ifindex, why);
	if (error != 0)
		goto err_control;
	close(control);
	return fd;

err_control:
	close(control);
err_fd:
	close(fd);
	return error;
}

int
tap_set_carrier(int fd, bool up)
{
	int carrier = up;

	return ioctl(fd, TUNSETCARRIER, &carrier) == 0 ? 0 : -errno;
}
