/* Start-up of an emulated Cortex-M and its way out: semihosting calls (Arm's semihosting for AArch32). */
#include "harness.h"

#define CPACR (*(volatile uint32_t *)0xe000ed88u)
#define CCR (*(volatile uint32_t *)0xe000ed14u)
#define CFSR (*(volatile uint32_t *)0xe000ed28u)
#define CCR_LOB (1u << 19)

enum { SYS_OPEN = 0x01, SYS_WRITE0 = 0x04, SYS_WRITE = 0x05, SYS_READ = 0x06, SYS_EXIT_EXTENDED = 0x20 };
enum { OPEN_READ_BINARY = 1, OPEN_WRITE_BINARY = 5 };
#define STOPPED_APPLICATION_EXIT 0x20026u

extern uint32_t thm_stack_top[];
volatile uint32_t thm_systick_wraps;

static int semihosting(int operation, const void *argument)
{
    register int r0 __asm__("r0") = operation;
    register const void *r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

void thm_stop(const char *message, int status)
{
    const uint32_t block[2] = {STOPPED_APPLICATION_EXIT, (uint32_t)status};
    if (message) {
        semihosting(SYS_WRITE0, message);
    }
    semihosting(SYS_EXIT_EXTENDED, block);
    for (;;) {
    }
}

int thm_open(const char *name, int for_writing)
{
    uint32_t length = 0;
    while (name[length]) {
        length++;
    }
    const uint32_t mode = for_writing ? OPEN_WRITE_BINARY : OPEN_READ_BINARY;
    const uint32_t block[3] = {(uint32_t)name, mode, length};
    const int file = semihosting(SYS_OPEN, block);
    if (file < 0) {
        thm_stop("harness: cannot open a file\n", 3);
    }
    return file;
}

void thm_read(int file, void *data, uint32_t bytes)
{
    const uint32_t block[3] = {(uint32_t)file, (uint32_t)data, bytes};
    if (bytes && semihosting(SYS_READ, block) != 0) {
        thm_stop("harness: the input file is short\n", 3);
    }
}

void thm_write(int file, const void *data, uint32_t bytes)
{
    const uint32_t block[3] = {(uint32_t)file, (uint32_t)data, bytes};
    if (bytes && semihosting(SYS_WRITE, block) != 0) {
        thm_stop("harness: cannot write the output file\n", 3);
    }
}

static void append_hex(char *text, uint32_t value)
{
    for (int i = 0; i < 8; i++) {
        text[i] = "0123456789abcdef"[(value >> (28 - 4 * i)) & 15u];
    }
}

void thm_fault_report(const uint32_t *frame);

/* frame: what exception entry pushed: r0-r3, r12, lr, pc, xpsr */
void thm_fault_report(const uint32_t *frame)
{
    /* static: an initialised local would draw in memcpy */
    static char text[] = "fault: exception ........ pc ........ lr ........ cfsr ........\n";
    uint32_t ipsr;
    __asm__ volatile("mrs %0, ipsr" : "=r"(ipsr));
    append_hex(text + 17, ipsr);
    append_hex(text + 29, frame[6]);
    append_hex(text + 41, frame[5]);
    append_hex(text + 55, CFSR);
    thm_stop(text, 4);
}

__attribute__((naked)) static void fault(void)
{
    __asm__ volatile("mov r0, sp\n\tldr r1, =thm_fault_report\n\tbx r1\n\t.ltorg");
}

static void systick(void)
{
    thm_systick_wraps = thm_systick_wraps + 1;
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
