/* SPDX-License-Identifier: GPL-2.0 */
/* A minimal VMM: a few vCPUs, one memory slot, one payload. */
#ifndef GMEM_BENCH_VM_H
#define GMEM_BENCH_VM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "bench.h"
#include "guest/gaps.h"
#include "guest/protocol.h"

struct kvm_run;

/* What the guest's memory is made of. */
enum vm_memory {
	VM_MEM_ANON,		/* private anonymous memory of the VMM */
	VM_MEM_GMEM,		/* guest_memfd, mappable */
	VM_MEM_GMEM_MIGRATABLE,	/* the same, and the kernel may move it */
};

/* What a kernel without the feature offers a protected VM. */
#ifdef __aarch64__
#define VM_MEM_STOCK	VM_MEM_ANON
#else
#define VM_MEM_STOCK	VM_MEM_GMEM
#endif

struct vm_config {
	enum vm_memory memory;
	bool protected;		/* the host cannot read the guest's memory */
	unsigned int vcpus;
	uint64_t nr_pages;	/* that the guest fills and checks */
	uint64_t seed;
	uint64_t step;		/* pages between two reports of the filling */
};

struct vm;

/* Checks its part of the memory, in a thread of its own. */
struct vcpu {
	struct vm *vm;
	unsigned int nr;
	int fd;
	struct kvm_run *run;
	_Atomic uint64_t checked;
	_Atomic unsigned int ballooned;	/* percent that it has let go of */
	_Atomic bool send_gaps;	/* tell it at its next question */
	struct gaps gaps;	/* valid when gaps_sent changes */
	_Atomic unsigned int gaps_sent;
};

struct vm {
	struct vm_config config;
	int kvm_fd;
	int fd;
	int gmem_fd;
	struct vcpu vcpus[GUEST_CPUS];
	size_t run_size;
	void *mem;
	size_t mem_size;
	size_t image_size;	/* in front of what the guest checks */

	uint64_t faulted;
	_Atomic uint64_t mismatches;
	_Atomic bool stop;	/* tell each vCPU at its next question */
	_Atomic unsigned int balloon;	/* percent to let go of, the same */
	_Atomic bool dead;	/* error says of what */
	char error[ERR_LEN];
};

/* What vm_run() came back for. */
enum vm_event {
	VM_FAULTED,		/* the guest has filled more pages */
	VM_CHECKED,		/* the guest has checked more pages */
	VM_STOPPED,		/* as it was told to */
	VM_DEAD,		/* the guest cannot go on */
};

/* One that has nothing yet, and can be destroyed. */
void vm_init(struct vm *vm, const struct vm_config *config);
/* 0, or -1 with vm->error set. */
int vm_create(struct vm *vm, const struct vm_config *config);
enum vm_event vm_run(struct vcpu *vcpu);
/* Give the host back what all vCPUs have let go of. 0, or -1. */
int vm_balloon(struct vm *vm);
void vm_destroy(struct vm *vm);

/* A figure of KVM's statistics of a VM or vCPU, or -1 where there is none. */
long long kvm_stat(int fd, const char *name);

__attribute__((format(printf, 2, 3)))
int vm_fail(struct vm *vm, const char *fmt, ...);

/* Per architecture. */
extern const char guest_image[], guest_image_end[];

unsigned long arch_vm_type(const struct vm_config *config);
/* For a guest_memfd. What cannot be mapped takes its shared pages elsewhere. */
uint64_t arch_gmem_flags(const struct vm_config *config);
/* What a new VM needs. */
int arch_vm_setup(struct vm *vm);
/* Make a new vCPU start the payload with its arguments. */
int arch_vcpu_setup(struct vcpu *vcpu);

#endif
