/* SPDX-License-Identifier: GPL-2.0 */
/* A group of guests, or of plain mappings that behave like guests. */
#ifndef GMEM_BENCH_GROUP_H
#define GMEM_BENCH_GROUP_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "vm.h"

/* A guest that needs longer than this for a few pages is not coming back. */
#define STALL_SECONDS	300

#define MAX_MEMBERS	64

struct mode {
	const char *name;
	const char *what;
	bool vm;
	bool protected;
	enum vm_memory memory;
};

/* NULL where there is none of that name. */
const struct mode *mode_find(const char *name);
void mode_list(FILE *out);
/* Does a folio of the guests look like guest_memfd's in /proc/kpageflags? */
bool mode_is_gmem(const struct mode *mode);

struct group;

/* A thread that runs a vCPU, or checks a part of a mapping as a vCPU would. */
struct worker {
	struct member *member;
	struct vcpu *vcpu;	/* its counters serve a mapping as well */
	pthread_t thread;
	uint64_t pass;
	_Atomic uint64_t cpu_ns;	/* of checking, up to the last report */
	uint64_t rested;	/* when it did last, on the thread's clock */
	_Atomic bool resting;
	uint64_t want;		/* that wait_workers() waits for */
	/* Of a mapping: what a guest keeps in its own memory. */
	struct gaps gaps;
};

struct member {
	struct vm vm;
	struct group *group;
	bool alive;		/* created, and not destroyed */
	bool running;		/* its threads are */
	struct worker workers[GUEST_CPUS];
};

struct group {
	const struct mode *mode;
	int nr;
	unsigned int vcpus;	/* of each member */
	uint64_t pages;		/* the same */
	uint64_t step;		/* that it takes at a time */
	bool sequential;	/* one after the other, not in turns */
	unsigned int rest_us;	/* pause of a member for every batch it checks */
	_Atomic bool paused;
	struct member *members;
	/* Called for every tenth of the filling that is done. */
	void (*filled)(void *arg, int percent);
	void *arg;
};

/* Both say why on stderr where it fails, and return -1. */
int group_create(struct group *g);
int group_fill(struct group *g);
/* All that are alive check their pages from now on. */
void group_start(struct group *g);
/* Every running member checks every page once more than it has by now. */
void group_wait_pass(struct group *g);
/* Have all that run stand still, once their batch is done, or go on. */
void group_pause(struct group *g, bool pause);
/* Stop checking, where it was started, and free what a member has. */
void group_stop_member(struct member *m);
void group_destroy_member(struct member *m);
/* Why a member could not be created, or died. */
const char *group_error(const struct group *g);
/* Tell of every member that died. True where there is one. */
bool group_any_dead(struct group *g);

/* Members let go of @percent of their pages, which the host gets back. */
int group_balloon(struct group *g, unsigned int percent);

/* The gaps of all running members since the last call. */
void group_gaps(struct group *g, struct gaps *gaps);

uint64_t member_checked(const struct member *m);
uint64_t group_checked(struct group *g);
uint64_t group_mismatches(struct group *g);
/* CPU time that it took to check what was, the host's work for it included. */
double group_cpu_ns(struct group *g);
/* A statistic of KVM's over all VMs, or vCPUs. -1 where there is none. */
long long group_stat(struct group *g, const char *name, bool vcpu);

#endif
