/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Entry of the x86 guest, in 64-bit mode, with guest_main()'s arguments from the
 * VMM, and the stack. There are no interrupts and no exceptions.
 */
#include "protocol.h"

#define PRESENT_WRITABLE	0x03
#define LARGE			0x80

	.section .text.start, "ax"
	/* The first 4 GiB, each at its own address. */
pml4:
	.quad	pdpt + PRESENT_WRITABLE
	.balign	4096, 0
pdpt:
	.quad	0x00000000 + PRESENT_WRITABLE + LARGE
	.quad	0x40000000 + PRESENT_WRITABLE + LARGE
	.quad	0x80000000 + PRESENT_WRITABLE + LARGE
	.quad	0xc0000000 + PRESENT_WRITABLE + LARGE
	.balign	4096, 0

	.globl	_start
_start:
	call	guest_main
0:	hlt
	jmp	0b

	.globl	mmio_write
mmio_write:
	mov	%rsi, GUEST_MMIO(%rdi)
	ret

	.globl	mmio_read
mmio_read:
	mov	GUEST_MMIO(%rdi), %rax
	ret

	.section .note.GNU-stack, "", %progbits
