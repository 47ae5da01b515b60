/* Runs a model on the samples of input.bin and leaves outputs and measurements in output.bin.
 *
 * input.bin:  word command, word samples, then the inputs of each sample
 * output.bin: run:   for each sample its outputs and two words of ticks of its timer; then the footer
 *             trace: for each sample the outputs of each layer, then the model's outputs; then the footer
 *             self test: word supported, word result; then the footer
 * footer:     word stack bytes, word number of guard bytes overwritten
 */
#include "harness.h"

enum { COMMAND_RUN, COMMAND_RUN_TIMED, COMMAND_SELF_TEST, COMMAND_TRACE };

__attribute__((noinline)) void thm_mark_end(void)
{
    __asm__ volatile("" ::: "memory");
}

static void read_inputs(int file)
{
    for (uint32_t i = 0; i < thm_input_count; i++) {
        thm_read(file, thm_inputs[i].data, thm_inputs[i].bytes);
    }
}

static void write_outputs(int file)
{
    for (uint32_t i = 0; i < thm_output_count; i++) {
        thm_write(file, thm_outputs[i].data, thm_outputs[i].bytes);
    }
}

static void fill_guards(void)
{
    for (const thm_range *range = thm_guards; range->data; range++) {
        for (uint32_t i = 0; i < range->bytes; i++) {
            ((volatile uint8_t *)range->data)[i] = THM_GUARD_VALUE;
        }
    }
}

static uint32_t guards_overwritten(void)
{
    uint32_t count = 0;
    for (const thm_range *range = thm_guards; range->data; range++) {
        for (uint32_t i = 0; i < range->bytes; i++) {
            count += ((volatile uint8_t *)range->data)[i] != THM_GUARD_VALUE;
        }
    }
    return count;
}

static uint32_t run(int in, int out, uint32_t samples, int timed)
{
    /* The warm-up: sample 0, whose inputs are the first thing after the two words. Its stack is measured. */
    const int again = thm_open("input.bin", 0);
    uint32_t words[2];
    thm_read(again, words, sizeof words);
    read_inputs(again);
    const uint32_t stack_bytes = thm_case_run(1);
    thm_mark_end();
    thm_case_reset();
    if (timed) {
        thm_ticks_start();
    }
    for (uint32_t sample = 0; sample < samples; sample++) {
        read_inputs(in);
        const uint64_t start = thm_ticks();
        thm_case_run(0);
        thm_mark_end();
        const uint64_t used = thm_ticks() - start;
        write_outputs(out);
        thm_write(out, &used, sizeof used);
    }
    thm_ticks_stop();
    return stack_bytes;
}

#ifdef THM_TRACE
static void trace(int in, int out, uint32_t samples)
{
    for (uint32_t sample = 0; sample < samples; sample++) {
        int32_t point = 0;
        read_inputs(in);
        thm_case_trace_begin();
        for (uint32_t layer = 0; layer < thm_layer_count; layer++) {
            thm_trace_layer((int32_t)layer);
            for (uint32_t i = 0; i < thm_layer_points[layer]; i++) {
                thm_write(out, thm_trace_address(point), thm_point_bytes[point]);
                point++;
            }
        }
        write_outputs(out);
    }
}
#endif

int thm_main(void)
{
    const int in = thm_open("input.bin", 0);
    const int out = thm_open("output.bin", 1);
    uint32_t header[2];
    uint32_t footer[2] = {0, 0};
    thm_read(in, header, sizeof header);
    thm_case_prepare();
    fill_guards();
    switch (header[0]) {
    case COMMAND_RUN:
    case COMMAND_RUN_TIMED:
        footer[0] = run(in, out, header[1], header[0] == COMMAND_RUN_TIMED);
        break;
    case COMMAND_SELF_TEST: {
        int result[2] = {0, 0};
        result[0] = thm_case_self_test(&result[1]);
        thm_write(out, result, sizeof result);
        break;
    }
#ifdef THM_TRACE
    case COMMAND_TRACE:
        trace(in, out, header[1]);
        break;
#endif
    default:
        thm_stop("harness: unknown command\n", 3);
    }
    footer[1] = guards_overwritten();
    thm_write(out, footer, sizeof footer);
    return 0;
}
