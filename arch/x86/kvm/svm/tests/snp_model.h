/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A model of the RMP and of the commands of the SEV-SNP firmware that migration
 * uses, for tests.
 */
#ifndef __SVM_TESTS_SNP_MODEL_H
#define __SVM_TESTS_SNP_MODEL_H

#include <linux/mutex.h>
#include <linux/spinlock.h>
#include <linux/types.h>

#include "../gmem_migrate_snp.h"

/* What the RMP says of a page, as the firmware names it. */
enum snp_model_state {
	SNP_MODEL_HYPERVISOR,
	SNP_MODEL_HV_FIXED,
	SNP_MODEL_FIRMWARE,
	SNP_MODEL_RECLAIM,
	SNP_MODEL_CONTEXT,
	SNP_MODEL_METADATA,
	SNP_MODEL_PRE_GUEST,
	SNP_MODEL_PRE_SWAP,
	SNP_MODEL_GUEST_INVALID,
	SNP_MODEL_GUEST_VALID,
	SNP_MODEL_INVALID,
};

/**
 * struct snp_model_rmp - an RMP entry
 * @gpa: Guest physical address.
 * @asid: Guest.
 * @perms: Permission masks of VMPL0 to 3, a byte each.
 * @assigned: It is not the host's.
 * @validated: The guest has accepted it.
 * @immutable: Only the firmware may change it.
 * @vmsa: It holds the state of a vCPU.
 * @size_2m: It is for 2M. The entries that it covers are assigned, to nobody.
 * @stale: Not of the RMP: it is the host's again, but caches may hold lines of
 *	it that are still the guest's.
 * @leaked: Not of the RMP: the host has given it up.
 */
struct snp_model_rmp {
	u64 gpa;
	u32 asid;
	u32 perms;
	bool assigned;
	bool validated;
	bool immutable;
	bool vmsa;
	bool size_2m;
	bool stale;
	bool leaked;
};

enum snp_model_guest_state {
	SNP_MODEL_GUEST_INIT,
	SNP_MODEL_GUEST_LAUNCH,
	SNP_MODEL_GUEST_RUNNING,
};

#define SNP_MODEL_GUESTS	64

/* What a guest context says. */
struct snp_model_guest {
	u64 gctx_pfn;
	u32 asid;
	u64 policy;
	enum snp_model_guest_state state;
	bool active;
};

enum snp_model_op {
	SNP_MODEL_LOOKUP,
	SNP_MODEL_MAKE_PRIVATE,
	SNP_MODEL_MAKE_SHARED,
	SNP_MODEL_PSMASH,
	SNP_MODEL_SPLIT,
	SNP_MODEL_BEGIN,
	SNP_MODEL_PAGE_MOVE,
	SNP_MODEL_PAGE_RECLAIM,
	SNP_MODEL_NR_OPS,
};

/**
 * struct snp_model_fault - what is to go wrong
 * @count: How many calls fail.
 * @skip: How many succeed before.
 * @ret: What they return.
 * @error: Error code of the firmware.
 * @half: The firmware fails after its first change, or PSMASH since another CPU
 *	has done it.
 * @fired: How many have failed.
 */
struct snp_model_fault {
	unsigned int count;
	unsigned int skip;
	int ret;
	int error;
	bool half;
	unsigned int fired;
};

/**
 * struct snp_model - a machine
 * @lock: Protects all of it.
 * @mailbox: Held from begin to end.
 * @base: First page that has an RMP entry.
 * @nr: How many have one.
 * @rmp: The RMP.
 * @guests: The contexts. One with ASID 0 is free.
 * @faults: What is to go wrong next.
 * @uninitialized: There was no SNP_INIT.
 * @dead: The firmware has stopped to answer.
 * @latency_us: How long a command takes at least.
 * @split: One bit for each 2M range whose direct map an RMPUPDATE has split.
 * @nr_split: Bits in it.
 * @nr_split_by_targets: Those that the target of a migration has split.
 * @next_asid: For the next guest, so that none inherits pages.
 * @nr_move: Pages moved.
 * @nr_leaked: Pages that the host has given up.
 * @nr_revoked: Validated pages that RMPUPDATE has taken from a guest.
 * @nr_violations: What hardware or the contract of the model do not survive:
 *	see snp_model_violation().
 */
struct snp_model {
	spinlock_t lock;	/* protects all of it */
	struct mutex mailbox;	/* from begin to end */
	u64 base;
	u64 nr;
	struct snp_model_rmp *rmp;
	struct snp_model_guest guests[SNP_MODEL_GUESTS];
	struct snp_model_fault faults[SNP_MODEL_NR_OPS];
	bool uninitialized;
	bool dead;
	unsigned int latency_us;
	unsigned long *split;
	unsigned long nr_split;
	unsigned long nr_split_by_targets;
	u32 next_asid;
	unsigned long nr_move;
	unsigned long nr_leaked;
	unsigned long nr_revoked;
	unsigned long nr_violations;
};

/* What the host reads of a page that was a guest's. */
#define SNP_MODEL_CIPHERTEXT	0xce

extern const struct snp_page_ops snp_model_ops;
extern struct snp_model *snp_model_live;

struct snp_model *snp_model_get(void);
void snp_model_violation(struct snp_model *m, u64 pfn, const char *what);
int snp_model_init(struct snp_model *m, u64 base, u64 nr);
void snp_model_destroy(struct snp_model *m);
struct snp_model_rmp *snp_model_rmp(struct snp_model *m, u64 pfn);
enum snp_model_state snp_model_state(const struct snp_model_rmp *e);
struct snp_model_guest *snp_model_add_guest(struct snp_model *m, u64 gctx_pfn);
void snp_model_del_guest(struct snp_model *m, u64 gctx_pfn);
int snp_model_pvalidate(struct snp_model *m, u64 pfn, u32 asid, u64 gpa,
			bool validate);
bool snp_model_guest_access(struct snp_model *m, u64 pfn, u32 asid, u64 gpa);
const char *snp_model_check(struct snp_model *m);

#ifdef CONFIG_KVM_GMEM_MIGRATION_MODEL
void snp_model_arm(struct snp_model *m, enum snp_model_op op,
		   const struct snp_model_rmp *e);
int snp_model_adjust_direct_map(struct snp_model *m, u64 pfn);
#else
static inline void snp_model_arm(struct snp_model *m, enum snp_model_op op,
				 const struct snp_model_rmp *e) {}

static inline int snp_model_adjust_direct_map(struct snp_model *m, u64 pfn)
{
	return 0;
}
#endif

#endif /* __SVM_TESTS_SNP_MODEL_H */
