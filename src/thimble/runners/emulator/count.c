/* QEMU plugin: counts executed guest instructions exactly and notes the count at marker addresses.
 *
 * marks.txt: one hexadecimal address a line. counts.bin: for each time execution reaches a mark, its address
 * and the number of instructions executed before it, both 64-bit little endian.
 *
 * Distributions ship QEMU without qemu-plugin.h, so the functions used are declared here, after
 * https://www.qemu.org/docs/master/devel/tcg-plugins.html.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

typedef uint64_t qemu_plugin_id_t;
struct qemu_plugin_tb;
struct qemu_plugin_insn;
typedef struct qemu_info_t qemu_info_t;
enum { NO_REGISTERS = 0 };

void qemu_plugin_register_vcpu_tb_trans_cb(qemu_plugin_id_t id,
                                           void (*callback)(qemu_plugin_id_t, struct qemu_plugin_tb *));
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *tb);
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *tb, size_t index);
uint64_t qemu_plugin_insn_vaddr(const struct qemu_plugin_insn *insn);
void qemu_plugin_register_vcpu_tb_exec_cb(struct qemu_plugin_tb *tb,
                                          void (*callback)(unsigned int, void *), int flags, void *data);
void qemu_plugin_register_vcpu_insn_exec_cb(struct qemu_plugin_insn *insn,
                                            void (*callback)(unsigned int, void *), int flags, void *data);
void qemu_plugin_register_atexit_cb(qemu_plugin_id_t id, void (*callback)(qemu_plugin_id_t, void *),
                                    void *data);

__attribute__((visibility("default"))) int qemu_plugin_version = THM_QEMU_PLUGIN_VERSION;

static uint64_t executed;
static uint64_t *marks;
static size_t mark_count;
static FILE *counts;

static uint64_t *find_mark(uint64_t address)
{
    for (size_t i = 0; i < mark_count; i++) {
        if (marks[i] == address) {
            return &marks[i];
        }
    }
    return 0;
}

static void count_block(unsigned int cpu, void *instructions)
{
    (void)cpu;
    executed += (uintptr_t)instructions;
}

static void count_one(unsigned int cpu, void *data)
{
    (void)cpu;
    (void)data;
    executed++;
}

static void at_mark(unsigned int cpu, void *mark)
{
    (void)cpu;
    const uint64_t record[2] = {*(const uint64_t *)mark, executed};
    fwrite(record, sizeof record, 1, counts);
    executed++;
}

/* A block without a mark is counted as a whole when it is entered; one with a mark instruction by instruction,
 * so that the count at the mark is right wherever in the block the mark lies. */
static void translated(qemu_plugin_id_t id, struct qemu_plugin_tb *tb)
{
    (void)id;
    const size_t n = qemu_plugin_tb_n_insns(tb);
    int has_mark = 0;
    for (size_t i = 0; i < n; i++) {
        has_mark |= find_mark(qemu_plugin_insn_vaddr(qemu_plugin_tb_get_insn(tb, i))) != 0;
    }
    if (!has_mark) {
        qemu_plugin_register_vcpu_tb_exec_cb(tb, count_block, NO_REGISTERS, (void *)(uintptr_t)n);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        struct qemu_plugin_insn *insn = qemu_plugin_tb_get_insn(tb, i);
        uint64_t *mark = find_mark(qemu_plugin_insn_vaddr(insn));
        qemu_plugin_register_vcpu_insn_exec_cb(insn, mark ? at_mark : count_one, NO_REGISTERS, mark);
    }
}

static void finished(qemu_plugin_id_t id, void *data)
{
    (void)id;
    (void)data;
    fclose(counts);
}

__attribute__((visibility("default"))) int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info,
                                                               int argc, char **argv);

int qemu_plugin_install(qemu_plugin_id_t id, const qemu_info_t *info, int argc, char **argv)
{
    (void)info;
    (void)argc;
    (void)argv;
    FILE *list = fopen("marks.txt", "r");
    counts = fopen("counts.bin", "wb");
    if (!list || !counts) {
        return -1;
    }
    unsigned long long address;
    while (fscanf(list, "%llx", &address) == 1) {
        uint64_t *grown = realloc(marks, (mark_count + 1) * sizeof *marks);
        if (!grown) {
            return -1;
        }
        marks = grown;
        marks[mark_count++] = address;
    }
    fclose(list);
    qemu_plugin_register_vcpu_tb_trans_cb(id, translated);
    qemu_plugin_register_atexit_cb(id, finished, 0);
    return 0;
}
