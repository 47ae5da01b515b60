/* Start-up of an emulated RISC-V core in machine mode, its semihosting call and its timer, the count of retired
 * instructions (which QEMU keeps under -icount only). */
#include "harness.h"

#ifndef __riscv_zicsr
__asm__(".option arch, +zicsr"); /* in -march it would miss GCC's libraries, which are built for rv32imac */
#endif

extern uint32_t thm_stack_top[];

int thm_semihosting(int operation, const void *argument)
{
    register int a0 __asm__("a0") = operation;
    register const void *a1 __asm__("a1") = argument;
    /* The three instructions mark the call; they must not be compressed nor lie on two pages. */
    __asm__ volatile(".option push\n\t"
                     ".option norvc\n\t"
                     ".balign 16\n\t"
                     "slli x0, x0, 0x1f\n\t"
                     "ebreak\n\t"
                     "srai x0, x0, 7\n\t"
                     ".option pop"
                     : "+r"(a0)
                     : "r"(a1)
                     : "memory");
    return a0;
}

void thm_fault_report(void);

void thm_fault_report(void)
{
    /* static: an initialised local would draw in memcpy */
    static char text[] = "fault: exception ........ pc ........ ra ........ mtval ........\n";
    uint32_t value;
    __asm__ volatile("csrr %0, mscratch" : "=r"(value));
    thm_append_hex(text + 41, value);
    __asm__ volatile("csrr %0, mcause" : "=r"(value));
    thm_append_hex(text + 17, value);
    __asm__ volatile("csrr %0, mepc" : "=r"(value));
    thm_append_hex(text + 29, value);
    __asm__ volatile("csrr %0, mtval" : "=r"(value));
    thm_append_hex(text + 56, value);
    thm_stop(text, 4);
}

void thm_trap(void);

/* The stack may be what is broken: the report has all of it. mtvec takes addresses on words. */
__attribute__((naked, aligned(4), used)) void thm_trap(void)
{
    __asm__ volatile("csrw mscratch, ra\n\tla sp, thm_stack_top\n\tj thm_fault_report");
}

void thm_ticks_start(void)
{
}

uint64_t thm_ticks(void)
{
    uint32_t high;
    uint32_t low;
    uint32_t again;
    do {
        __asm__ volatile("csrr %0, minstreth" : "=r"(high));
        __asm__ volatile("csrr %0, minstret" : "=r"(low));
        __asm__ volatile("csrr %0, minstreth" : "=r"(again));
    } while (high != again);
    return (uint64_t)high << 32 | low;
}

void thm_ticks_stop(void)
{
}

void thm_start(void);

void thm_start(void)
{
    thm_stop(0, thm_main());
}

void thm_reset(void);

/* Where the machine's reset vector jumps: the first address of its memory. */
__attribute__((naked, section(".thm_vectors"), used)) void thm_reset(void)
{
    __asm__ volatile("la sp, thm_stack_top\n\tla t0, thm_trap\n\tcsrw mtvec, t0\n\tj thm_start");
}
