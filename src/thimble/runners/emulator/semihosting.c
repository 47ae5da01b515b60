/* Files and the way out of the test program: semihosting operations (Arm's "Semihosting for AArch32 and AArch64",
 * which "RISC-V Semihosting" takes over). The call itself is the core's. */
#include "harness.h"

enum { SYS_OPEN = 0x01, SYS_WRITE0 = 0x04, SYS_WRITE = 0x05, SYS_READ = 0x06, SYS_EXIT_EXTENDED = 0x20 };
enum { OPEN_READ_BINARY = 1, OPEN_WRITE_BINARY = 5 };
#define STOPPED_APPLICATION_EXIT 0x20026u

void thm_stop(const char *message, int status)
{
    const uint32_t block[2] = {STOPPED_APPLICATION_EXIT, (uint32_t)status};
    if (message) {
        thm_semihosting(SYS_WRITE0, message);
    }
    thm_semihosting(SYS_EXIT_EXTENDED, block);
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
    const int file = thm_semihosting(SYS_OPEN, block);
    if (file < 0) {
        thm_stop("harness: cannot open a file\n", 3);
    }
    return file;
}

void thm_read(int file, void *data, uint32_t bytes)
{
    const uint32_t block[3] = {(uint32_t)file, (uint32_t)data, bytes};
    if (bytes && thm_semihosting(SYS_READ, block) != 0) {
        thm_stop("harness: the input file is short\n", 3);
    }
}

void thm_write(int file, const void *data, uint32_t bytes)
{
    const uint32_t block[3] = {(uint32_t)file, (uint32_t)data, bytes};
    if (bytes && thm_semihosting(SYS_WRITE, block) != 0) {
        thm_stop("harness: cannot write the output file\n", 3);
    }
}

void thm_append_hex(char *text, uint32_t value)
{
    for (int i = 0; i < 8; i++) {
        text[i] = "0123456789abcdef"[(value >> (28 - 4 * i)) & 15u];
    }
}
