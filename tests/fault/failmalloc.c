/* Preloaded into the real processes: makes every n-th allocation of one of them fail. The
 * environment's MUSTER_FAILMALLOC_FD names a file that all of them share: words (u32, the machine's
 * order) with the process id, n, and how many allocations were asked for and failed. It is mapped
 * before the sandbox is entered.
 *
 * libevent is spared: evhttp_request_new of 2.1.12 follows a NULL pointer when its second
 * allocation fails. So is libzip: 1.7.3 does when the extra field of an entry's header finds no
 * memory. */
#include <errno.h>
#include <link.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* glibc's own, of which malloc and so on are names. */
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t n, size_t size);
extern void *__libc_realloc(void *old, size_t size);

enum { PROCESS, EVERY, ASKED, FAILED, WORDS };

#define SPARED_MAX 32

static _Atomic uint32_t *words;
static struct {
	uintptr_t from, to;
} spared[SPARED_MAX];
static size_t n_spared;

static int
note_library(struct dl_phdr_info *info, size_t size, void *ctx)
{
	size_t i;

	(void)size;
	(void)ctx;
	if (strstr(info->dlpi_name, "libevent") == NULL && strstr(info->dlpi_name, "libzip") == NULL)
		return 0;
	for (i = 0; i < info->dlpi_phnum; i++) {
		if (info->dlpi_phdr[i].p_type != PT_LOAD || n_spared == SPARED_MAX)
			continue;
		spared[n_spared].from = info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
		spared[n_spared].to = spared[n_spared].from + info->dlpi_phdr[i].p_memsz;
		n_spared++;
	}
	return 0;
}

__attribute__((constructor)) static void
map_words(void)
{
	const char *fd = getenv("MUSTER_FAILMALLOC_FD");
	void *at;

	(void)dl_iterate_phdr(note_library, NULL);
	if (fd != NULL && (at = mmap(NULL, sizeof(uint32_t) * WORDS, PROT_READ | PROT_WRITE,
			       MAP_SHARED, (int)strtol(fd, NULL, 10), 0)) != MAP_FAILED)
		words = at;
}

static int
is_spared(uintptr_t caller)
{
	size_t i;

	for (i = 0; i < n_spared; i++)
		if (caller >= spared[i].from && caller < spared[i].to)
			return 1;
	return 0;
}

static int
must_fail(void *caller)
{
	uint32_t every;

	if (words == NULL || atomic_load(&words[PROCESS]) != (uint32_t)getpid() ||
	    (every = atomic_load(&words[EVERY])) == 0 || is_spared((uintptr_t)caller) ||
	    atomic_fetch_add(&words[ASKED], 1) % every != every - 1)
		return 0;
	(void)atomic_fetch_add(&words[FAILED], 1);
	errno = ENOMEM;
	return 1;
}

__attribute__((visibility("default"))) void *
malloc(size_t size)
{
	return must_fail(__builtin_return_address(0)) ? NULL : __libc_malloc(size);
}

__attribute__((visibility("default"))) void *
calloc(size_t n, size_t size)
{
	return must_fail(__builtin_return_address(0)) ? NULL : __libc_calloc(n, size);
}

__attribute__((visibility("default"))) void *
realloc(void *old, size_t size)
{
	return must_fail(__builtin_return_address(0)) ? NULL : __libc_realloc(old, size);
}

/* glibc's would ask malloc from within itself, and so not be seen as libevent's. */
__attribute__((visibility("default"))) char *
strdup(const char *text)
{
	size_t size = strlen(text) + 1;
	char *copy = must_fail(__builtin_return_address(0)) ? NULL : __libc_malloc(size);

	return copy == NULL ? NULL : memcpy(copy, text, size);
}
