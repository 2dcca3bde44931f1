// SPDX-License-Identifier: GPL-2.0
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#include "guest/pattern.h"
#include "guest/protocol.h"
#include "uapi.h"
#include "vm.h"

int vm_fail(struct vm *vm, const char *fmt, ...)
{
	va_list ap;

	/* The first reason is the cause, later ones follow from it. */
	if (vm->dead)
		return -1;
	va_start(ap, fmt);
	vsnprintf(vm->error, sizeof(vm->error), fmt, ap);
	va_end(ap);
	vm->dead = true;
	return -1;
}

static int vm_alloc_memory(struct vm *vm)
{
	struct kvm_create_guest_memfd gmem = {
		.size = vm->mem_size,
		.flags = arch_gmem_flags(&vm->config),
	};
	int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, fd = -1;

	if (vm->config.memory != VM_MEM_ANON) {
		if (vm->config.memory == VM_MEM_GMEM_MIGRATABLE)
			gmem.flags |= GUEST_MEMFD_FLAG_MIGRATABLE;
		vm->gmem_fd = ioctl(vm->fd, KVM_CREATE_GUEST_MEMFD, &gmem);
		if (vm->gmem_fd < 0 && errno == EINVAL &&
		    vm->config.memory == VM_MEM_GMEM_MIGRATABLE)
			return vm_fail(vm, "no migratable guest_memfd: not a kernel with the feature");
		if (vm->gmem_fd < 0)
			return vm_fail(vm, "KVM_CREATE_GUEST_MEMFD: %m");
		if (gmem.flags & GUEST_MEMFD_FLAG_MMAP) {
			flags = MAP_SHARED;
			fd = vm->gmem_fd;
		}
	}

	vm->mem = mmap(NULL, vm->mem_size, PROT_READ | PROT_WRITE, flags,
		       fd, 0);
	if (vm->mem == MAP_FAILED) {
		vm->mem = NULL;
		return vm_fail(vm, "mmap of guest memory: %m");
	}
	/* Single pages are what interleaves; errors mean there are no others. */
	madvise(vm->mem, vm->mem_size, MADV_NOHUGEPAGE);
	/* A fork copies pinned pages, and the guest would lose those at EL2. */
	madvise(vm->mem, vm->mem_size, MADV_DONTFORK);
	return 0;
}

static int vm_set_memory(struct vm *vm)
{
	struct kvm_userspace_memory_region2 slot2 = {
		.guest_phys_addr = GUEST_BASE,
		.memory_size = vm->mem_size,
		.userspace_addr = (uintptr_t)vm->mem,
		.flags = KVM_MEM_GUEST_MEMFD,
		.guest_memfd = vm->gmem_fd,
	};
	struct kvm_userspace_memory_region slot = {
		.guest_phys_addr = GUEST_BASE,
		.memory_size = vm->mem_size,
		.userspace_addr = (uintptr_t)vm->mem,
	};

	if (vm->config.memory == VM_MEM_ANON) {
		if (ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION, &slot))
			return vm_fail(vm, "KVM_SET_USER_MEMORY_REGION: %m");
	} else {
		if (ioctl(vm->fd, KVM_SET_USER_MEMORY_REGION2, &slot2))
			return vm_fail(vm, "KVM_SET_USER_MEMORY_REGION2: %m");
	}
	return 0;
}

static int vm_create_vcpu(struct vm *vm, unsigned int nr)
{
	struct vcpu *vcpu = &vm->vcpus[nr];

	vcpu->fd = ioctl(vm->fd, KVM_CREATE_VCPU, (unsigned long)nr);
	if (vcpu->fd < 0)
		return vm_fail(vm, "KVM_CREATE_VCPU: %m");

	vm->run_size = ioctl(vm->kvm_fd, KVM_GET_VCPU_MMAP_SIZE, 0UL);
	vcpu->run = mmap(NULL, vm->run_size, PROT_READ | PROT_WRITE, MAP_SHARED,
			 vcpu->fd, 0);
	if (vcpu->run == MAP_FAILED) {
		vcpu->run = NULL;
		return vm_fail(vm, "mmap of the vCPU: %m");
	}
	return arch_vcpu_setup(vcpu);
}

void vm_init(struct vm *vm, const struct vm_config *config)
{
	unsigned int i;

	memset(vm, 0, sizeof(*vm));
	vm->config = *config;
	vm->kvm_fd = -1;
	vm->fd = -1;
	vm->gmem_fd = -1;
	for (i = 0; i < GUEST_CPUS; i++) {
		vm->vcpus[i].vm = vm;
		vm->vcpus[i].nr = i;
		vm->vcpus[i].fd = -1;
	}
}

int vm_create(struct vm *vm, const struct vm_config *config)
{
	unsigned int i;

	vm_init(vm, config);
	vm->image_size = GUEST_IMAGE;
	vm->mem_size = vm->image_size + config->nr_pages * PATTERN_PAGE;

	vm->kvm_fd = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	if (vm->kvm_fd < 0)
		return vm_fail(vm, "/dev/kvm: %m");
	vm->fd = ioctl(vm->kvm_fd, KVM_CREATE_VM, arch_vm_type(config));
	if (vm->fd < 0)
		return vm_fail(vm, "KVM_CREATE_VM: %m");

	if (vm_alloc_memory(vm))
		return -1;
	memcpy(vm->mem, guest_image, guest_image_end - guest_image);
	__builtin___clear_cache(vm->mem, (char *)vm->mem + GUEST_IMAGE);

	if (vm_set_memory(vm) || arch_vm_setup(vm))
		return -1;
	for (i = 0; i < config->vcpus; i++)
		if (vm_create_vcpu(vm, i))
			return -1;
	return 0;
}

/* The guest wrote @value to @reg. True where that ends vm_run(). */
static bool handle_write(struct vcpu *vcpu, uint64_t reg, uint64_t value,
			 enum vm_event *event)
{
	struct vm *vm = vcpu->vm;

	switch (reg) {
	case REG_FAULTED:
		vm->faulted = value;
		*event = VM_FAULTED;
		return true;
	case REG_CHECKED:
		vcpu->checked += value;
		*event = VM_CHECKED;
		return true;
	case REG_MISMATCH:
		vm->mismatches++;
		return false;
	case REG_STOPPED:
		*event = VM_STOPPED;
		return true;
	case REG_BALLOON:
		vcpu->ballooned = value;
		return false;
	case REG_GAPS:
		if (value >> 48 < GAPS_BUCKETS)
			vcpu->gaps.nr[value >> 48] = value & 0xffffffff;
		return false;
	case REG_GAPS_END:
		vcpu->gaps.longest = value;
		vcpu->gaps_sent++;
		return false;
	case REG_FAULT:
		vm_fail(vm, "the guest took an exception, cause 0x%llx",
			(unsigned long long)value);
		break;
	default:
		vm_fail(vm, "the guest wrote to no register, 0x%llx",
			(unsigned long long)reg);
	}
	*event = VM_DEAD;
	return true;
}

static uint64_t next_command(struct vcpu *vcpu)
{
	uint64_t command = (uint64_t)vcpu->vm->balloon << COMMAND_BALLOON_SHIFT;

	if (vcpu->vm->stop)
		command |= COMMAND_STOP;
	if (atomic_exchange(&vcpu->send_gaps, false))
		command |= COMMAND_GAPS;
	return command;
}

enum vm_event vm_run(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	struct vm *vm = vcpu->vm;
	enum vm_event event;

	for (;;) {
		uint64_t value = 0;

		if (ioctl(vcpu->fd, KVM_RUN, 0UL) < 0) {
			if (errno == EINTR || errno == EAGAIN)
				continue;
			vm_fail(vm, "KVM_RUN: %m");
			return VM_DEAD;
		}
		if (run->exit_reason != KVM_EXIT_MMIO ||
		    (run->mmio.phys_addr & ~(PATTERN_PAGE - 1)) != GUEST_MMIO ||
		    run->mmio.len != sizeof(value)) {
			vm_fail(vm, "unexpected exit, reason %u",
				run->exit_reason);
			return VM_DEAD;
		}

		if (!run->mmio.is_write) {
			value = next_command(vcpu);
			memcpy(run->mmio.data, &value, sizeof(value));
			continue;
		}
		memcpy(&value, run->mmio.data, sizeof(value));
		if (handle_write(vcpu, run->mmio.phys_addr - GUEST_MMIO, value,
				 &event))
			return event;
	}
}

int vm_balloon(struct vm *vm)
{
	bool gmem = vm->config.memory != VM_MEM_ANON;
	uint64_t page;

	for (page = 0; page < vm->config.nr_pages; page++) {
		uint64_t at = vm->image_size + page * PATTERN_PAGE;

		if (!pattern_ballooned(vm->config.seed, page, vm->balloon))
			continue;
		if (gmem ? fallocate(vm->gmem_fd, FALLOC_FL_PUNCH_HOLE |
				     FALLOC_FL_KEEP_SIZE, at, PATTERN_PAGE) :
		    madvise((char *)vm->mem + at, PATTERN_PAGE, MADV_DONTNEED))
			return vm_fail(vm, "cannot give page %llu back: %m",
				       (unsigned long long)page);
	}
	return 0;
}

void vm_destroy(struct vm *vm)
{
	struct vcpu *vcpu;

	/*
	 * The order in which a VMM's exit closes things: the memory's file
	 * holds a reference on the VM, so it goes before.
	 */
	for (vcpu = vm->vcpus; vcpu < vm->vcpus + GUEST_CPUS; vcpu++) {
		if (vcpu->run)
			munmap(vcpu->run, vm->run_size);
		if (vcpu->fd >= 0)
			close(vcpu->fd);
		vcpu->run = NULL;
		vcpu->fd = -1;
	}
	if (vm->mem)
		munmap(vm->mem, vm->mem_size);
	if (vm->gmem_fd >= 0)
		close(vm->gmem_fd);
	if (vm->fd >= 0)
		close(vm->fd);
	if (vm->kvm_fd >= 0)
		close(vm->kvm_fd);
	vm->mem = NULL;
	vm->gmem_fd = -1;
	vm->fd = -1;
	vm->kvm_fd = -1;
}

long long kvm_stat(int kvm_fd, const char *name)
{
	struct kvm_stats_header header;
	struct kvm_stats_desc *desc;
	long long value = -1;
	size_t desc_size;
	uint32_t i;
	int fd;

	fd = ioctl(kvm_fd, KVM_GET_STATS_FD, NULL);
	if (fd < 0)
		return -1;
	if (pread(fd, &header, sizeof(header), 0) != sizeof(header))
		goto out;

	desc_size = sizeof(*desc) + header.name_size;
	desc = xcalloc(1, desc_size);
	for (i = 0; i < header.num_desc; i++) {
		off_t at = header.desc_offset + i * desc_size;
		uint64_t data;

		if (pread(fd, desc, desc_size, at) != (ssize_t)desc_size)
			break;
		if (strncmp(desc->name, name, header.name_size))
			continue;
		at = header.data_offset + desc->offset;
		if (pread(fd, &data, sizeof(data), at) == sizeof(data))
			value = data;
		break;
	}
	free(desc);
out:
	close(fd);
	return value;
}
