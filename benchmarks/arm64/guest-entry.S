/* SPDX-License-Identifier: GPL-2.0 */
/*
 * Entry of the arm64 guest. The MMU stays off: a protected guest needs no
 * more to own its memory, and every fault is then one of stage 2.
 * x0 to x4 come from the VMM and are guest_main()'s arguments.
 */
#include "protocol.h"

	.section .text.start, "ax"
	.globl	_start
_start:
	ldr	x9, =(GUEST_BASE + GUEST_IMAGE)
	lsl	x10, x3, #GUEST_STACK_SHIFT
	sub	sp, x9, x10
	adr	x9, vectors
	msr	vbar_el1, x9
	isb
	bl	guest_main
0:	wfi
	b	0b

	.globl	mmio_write
mmio_write:
	/* One plain register: only such a store tells the host what it was. */
	ldr	x9, =GUEST_MMIO
	add	x9, x9, x0
	str	x1, [x9]
	ret

	.globl	mmio_read
mmio_read:
	ldr	x9, =GUEST_MMIO
	add	x9, x9, x0
	ldr	x0, [x9]
	ret

	/* Nothing is expected here: say why and stop. */
	.balign	2048
vectors:
	.rept	16
	.balign	128
	b	unexpected
	.endr

unexpected:
	mrs	x1, esr_el1
	mov	x0, #REG_FAULT
	bl	mmio_write
0:	wfi
	b	0b

	.ltorg
