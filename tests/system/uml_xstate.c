// SPDX-License-Identifier: BSD-3-Clause
/*
 * Preloaded into user-mode Linux (uml.py). It keeps the vector registers of its processes in 2,696
 * bytes and sets them with ptrace(2), which wants the processor's whole extended state or refuses:
 * a processor with AMX has four times as much. What the guest does not know of stays as it is.
 */
#include <dlfcn.h>
#include <elf.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/uio.h>

typedef long (*ptrace_fn)(enum __ptrace_request, pid_t, void *, void *);

static long
set_registers(ptrace_fn next, pid_t pid, void *type, const struct iovec *known)
{
	static char state[1 << 16];
	struct iovec whole = {state, sizeof(state)};

	if (next(PTRACE_GETREGSET, pid, type, &whole) != 0)
		return -1;
	memcpy(state, known->iov_base,
	       known->iov_len < whole.iov_len ? known->iov_len : whole.iov_len);
	return next(PTRACE_SETREGSET, pid, type, &whole);
}

long
ptrace(enum __ptrace_request request, ...)
{
	ptrace_fn next = (ptrace_fn)dlsym(RTLD_NEXT, "ptrace");
	void *address, *data;
	va_list args;
	pid_t pid;

	va_start(args, request);
	pid = va_arg(args, pid_t);
	address = va_arg(args, void *);
	data = va_arg(args, void *);
	va_end(args);
	if (request == PTRACE_SETREGSET && address == (void *)NT_X86_XSTATE)
		return set_registers(next, pid, address, data);
	return next(request, pid, address, data);
}
