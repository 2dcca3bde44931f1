// SPDX-License-Identifier: GPL-2.0
/*
 * fio keeps its jobs in System V shared memory, which the test kernels have not.
 * Preloaded, this gives it ordinary shared memory: it forks only afterwards.
 */
#include <stddef.h>
#include <sys/mman.h>
#include <sys/shm.h>

static void *segments[16];
static int nr;

int shmget(key_t key, size_t size, int flags)
{
	void *mem;

	(void)key;
	(void)flags;
	if (nr == sizeof(segments) / sizeof(*segments))
		return -1;
	mem = mmap(NULL, size, PROT_READ | PROT_WRITE,
		   MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (mem == MAP_FAILED)
		return -1;
	segments[nr] = mem;
	return nr++;
}

void *shmat(int id, const void *addr, int flags)
{
	(void)addr;
	(void)flags;
	return segments[id];
}

int shmdt(const void *addr)
{
	(void)addr;
	return 0;
}

int shmctl(int id, int cmd, struct shmid_ds *buf)
{
	(void)id;
	(void)cmd;
	(void)buf;
	return 0;
}
