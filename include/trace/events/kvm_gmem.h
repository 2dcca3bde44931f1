/* SPDX-License-Identifier: GPL-2.0 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM kvm

#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE kvm_gmem

#if !defined(_TRACE_KVM_GMEM_H) || defined(TRACE_HEADER_MULTI_READ)
#define _TRACE_KVM_GMEM_H

#include <linux/kvm_gmem_migration.h>
#include <linux/tracepoint.h>

#define KVM_GMEM_BACKENDS					\
	{ KVM_GMEM_BACKEND_NONE,	"none" },		\
	{ KVM_GMEM_BACKEND_COPY,	"copy" },		\
	{ KVM_GMEM_BACKEND_PKVM,	"pkvm" },		\
	{ KVM_GMEM_BACKEND_SNP,		"snp" },		\
	{ KVM_GMEM_BACKEND_TDX,		"tdx" }

#define KVM_GMEM_MIGRATE_MODES					\
	{ MIGRATE_ASYNC,		"async" },		\
	{ MIGRATE_SYNC_LIGHT,		"sync_light" },		\
	{ MIGRATE_SYNC,			"sync" }

TRACE_DEFINE_ENUM(KVM_GMEM_BACKEND_NONE);
TRACE_DEFINE_ENUM(KVM_GMEM_BACKEND_COPY);
TRACE_DEFINE_ENUM(KVM_GMEM_BACKEND_PKVM);
TRACE_DEFINE_ENUM(KVM_GMEM_BACKEND_SNP);
TRACE_DEFINE_ENUM(KVM_GMEM_BACKEND_TDX);
TRACE_DEFINE_ENUM(MIGRATE_ASYNC);
TRACE_DEFINE_ENUM(MIGRATE_SYNC_LIGHT);
TRACE_DEFINE_ENUM(MIGRATE_SYNC);

/* One attempt to migrate a folio. gfn is ~0 for one that no memslot binds. */
TRACE_EVENT(kvm_gmem_migrate_folio,
	TP_PROTO(enum kvm_gmem_backend backend, pgoff_t index, gfn_t gfn,
		 kvm_pfn_t src_pfn, kvm_pfn_t dst_pfn, unsigned int order,
		 enum migrate_mode mode, int ret, u64 duration_ns),
	TP_ARGS(backend, index, gfn, src_pfn, dst_pfn, order, mode, ret,
		duration_ns),

	TP_STRUCT__entry(
		__field(	int,		backend		)
		__field(	int,		mode		)
		__field(	u64,		index		)
		__field(	u64,		gfn		)
		__field(	u64,		src_pfn		)
		__field(	u64,		dst_pfn		)
		__field(	u64,		duration_ns	)
		__field(	unsigned int,	order		)
		__field(	int,		ret		)
	),

	TP_fast_assign(
		__entry->backend	= backend;
		__entry->mode		= mode;
		__entry->index		= index;
		__entry->gfn		= gfn;
		__entry->src_pfn	= src_pfn;
		__entry->dst_pfn	= dst_pfn;
		__entry->duration_ns	= duration_ns;
		__entry->order		= order;
		__entry->ret		= ret;
	),

	TP_printk("backend=%s index=0x%llx gfn=0x%llx src_pfn=0x%llx dst_pfn=0x%llx order=%u mode=%s ret=%d duration_ns=%llu",
		  __print_symbolic(__entry->backend, KVM_GMEM_BACKENDS),
		  __entry->index, __entry->gfn, __entry->src_pfn,
		  __entry->dst_pfn, __entry->order,
		  __print_symbolic(__entry->mode, KVM_GMEM_MIGRATE_MODES),
		  __entry->ret, __entry->duration_ns)
);

#endif /* _TRACE_KVM_GMEM_H */

/* This part must be outside protection */
#include <trace/define_trace.h>
