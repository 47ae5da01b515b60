/* The test program round a model on an emulated core: what its three translation units share. */
#ifndef THM_HARNESS_H
#define THM_HARNESS_H

#include <stdint.h>

/* Memory between two guards that the model must leave alone. */
#define THM_GUARD_BYTES 64
#define THM_GUARD_VALUE 0xa5u
#define THM_GUARDED(name, size, align, place)            \
    static struct {                                      \
        uint8_t before[THM_GUARD_BYTES];                 \
        uint8_t data[size] __attribute__((aligned(align))); \
        uint8_t after[THM_GUARD_BYTES];                  \
    } name __attribute__((section(place)))

typedef struct {
    uint8_t *data;
    uint32_t bytes;
} thm_range;

/* case.c, written for the model */
extern const thm_range thm_inputs[];
extern const thm_range thm_outputs[];
extern const uint32_t thm_input_count;
extern const uint32_t thm_output_count;
extern const thm_range thm_guards[]; /* ends with data == 0 */
void thm_case_prepare(void);
void thm_case_reset(void); /* forgets what a stateful model has seen */
uint32_t thm_case_run(uint32_t measure_stack);
int thm_case_self_test(int *result);
#ifdef THM_TRACE
void thm_case_trace_begin(void);
extern const uint32_t thm_layer_count;
extern const uint32_t thm_layer_points[]; /* outputs of each layer */
extern const uint32_t thm_point_bytes[];
void thm_trace_layer(int32_t position);
const void *thm_trace_address(int32_t point);
#endif

/* harness.c */
int thm_main(void);
void thm_mark_end(void);

/* semihosting.c */
int thm_open(const char *name, int for_writing);
void thm_read(int file, void *data, uint32_t bytes);
void thm_write(int file, const void *data, uint32_t bytes);
void thm_stop(const char *message, int status) __attribute__((noreturn));
void thm_append_hex(char *text, uint32_t value);

/* cortex_m.c, riscv.c */
int thm_semihosting(int operation, const void *argument);
void thm_ticks_start(void);
uint64_t thm_ticks(void);
void thm_ticks_stop(void);

/* Stack below the caller's frame: painted before the model runs, searched after. */
extern uint32_t thm_stack_limit[];
#define THM_PAINT 0x5ca1ab1eu

static inline __attribute__((always_inline)) uint32_t *thm_stack_pointer(void)
{
    uint32_t *sp;
#if defined(__riscv)
    __asm__ volatile("mv %0, sp" : "=r"(sp));
#else
    __asm__ volatile("mov %0, sp" : "=r"(sp));
#endif
    return sp;
}

#endif
