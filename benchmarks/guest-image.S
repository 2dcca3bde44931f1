/* SPDX-License-Identifier: GPL-2.0 */
/* The guest's code, as the VMM copies it into a new guest. */
	.section .rodata
	.globl	guest_image, guest_image_end
guest_image:
	.incbin	GUEST_IMAGE_FILE
guest_image_end:
	.section .note.GNU-stack, "", %progbits
