/* Start-up of an emulated Cortex-M, its semihosting call (Arm's semihosting for AArch32) and its timer, SysTick. */
#include "harness.h"

#define CPACR (*(volatile uint32_t *)0xe000ed88u)
#define CCR (*(volatile uint32_t *)0xe000ed14u)
#define CFSR (*(volatile uint32_t *)0xe000ed28u)
#define CCR_LOB (1u << 19)
#define SYST_CSR (*(volatile uint32_t *)0xe000e010u)
#define SYST_RVR (*(volatile uint32_t *)0xe000e014u)
#define SYST_CVR (*(volatile uint32_t *)0xe000e018u)
#define SYST_MAX 0xffffffu

extern uint32_t thm_stack_top[];
static volatile uint32_t systick_wraps;

int thm_semihosting(int operation, const void *argument)
{
    register int r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

void thm_fault_report(const uint32_t *frame);

/* frame: what exception entry pushed: r0-r3, r12, lr, pc, xpsr */
void thm_fault_report(const uint32_t *frame)
{
    /* static: an initialised local would draw in memcpy */
    static char text[] = "fault: exception ........ pc ........ lr ........ cfsr ........\n";
    uint32_t ipsr;
    __asm__ volatile("mrs %0, ipsr" : "=r"(ipsr));
    thm_append_hex(text + 17, ipsr);
    thm_append_hex(text + 29, frame[6]);
    thm_append_hex(text + 41, frame[5]);
    thm_append_hex(text + 55, CFSR);
    thm_stop(text, 4);
}

__attribute__((naked)) static void fault(void)
{
    __asm__ volatile("mov r0, sp\n\tldr r1, =thm_fault_report\n\tbx r1\n\t.ltorg");
}

static void systick(void)
{
    systick_wraps = systick_wraps + 1;
}

void thm_ticks_start(void)
{
    SYST_RVR = SYST_MAX;
    SYST_CVR = 0;
    SYST_CSR = 7; /* core clock, interrupt, enable */
    while (SYST_CVR == 0) {
        /* the first tick loads it */
    }
}

uint64_t thm_ticks(void)
{
    uint32_t wraps;
    uint32_t left;
    do {
        wraps = systick_wraps;
        left = SYST_CVR;
    } while (wraps != systick_wraps);
    return (uint64_t)wraps * (SYST_MAX + 1u) + (SYST_MAX - left);
}

void thm_ticks_stop(void)
{
    SYST_CSR = 0;
}

void thm_reset(void);

void thm_reset(void)
{
#ifdef __ARM_FP
    CPACR |= 0xfu << 20;
#endif
#ifdef __ARM_FEATURE_MVE
    CCR |= CCR_LOB;
#endif
    __asm__ volatile("dsb\n\tisb" ::: "memory");
    thm_stop(0, thm_main());
}

__attribute__((section(".thm_vectors"), used)) static const void *const vectors[16] = {
    thm_stack_top, (const void *)thm_reset,
    (const void *)fault, (const void *)fault, (const void *)fault, (const void *)fault,
    (const void *)fault, (const void *)fault, (const void *)fault, (const void *)fault,
    (const void *)fault, (const void *)fault, (const void *)fault, (const void *)fault,
    (const void *)fault, (const void *)systick,
};
