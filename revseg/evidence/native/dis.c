/* Dense inverse search (DIS; Kroeger et al., arXiv:1603.03590): optical flow, with the bits of OpenCV's, in a part of its time.
 *
 * From the coarsest scale of a pyramid to the finest, patches T of one frame look for their place in the other, I:
 *
 *     e(u) = sum over a patch of (I(x + u) - T(x))^2 - (sum over the patch of that difference)^2 / 64
 *     u   <- u - H^-1 sum g (I(x + u) - T(x) - mean of that difference),     H = sum g g^T,     g: gradient of T
 *
 * as long as e falls, and then once more. Each begins where e is least: where the coarser scale has it, or its neighbours have
 * theirs (dis_search.h). Then each pixel takes the mean of the patches around it (dis_dense.h). All that changes a bit is as in
 * OpenCV's dis_flow.cpp.
 *
 * Each product is rounded before it is added to something, as in OpenCV, which is compiled for any processor: where a patch looks
 * alike along a line, its rounding decides where it goes, and its neighbours go with it.
 */
#include "dis_dense.h"
#include <stdlib.h>
#include <sys/mman.h>

enum { MOST_SCALES = 32, LINE = 64, PAGE = 1 << 21 }; /* bytes of a line of the cache, and of a large page */

/* Room for a number of elements of so many bytes, from *used on; counts only where there is no memory yet. */
static void *room(char *memory, long *used, long elements, long bytes)
{
    void *found = memory ? memory + *used : NULL;
    *used += (elements * bytes + SLACK + LINE - 1) / LINE * LINE;
    return found;
}

/* What is made of two frames on the way to their flow. */
struct memory {
    uint8_t *first[MOST_SCALES], *second[MOST_SCALES];
    float *flow[2]; /* of every other scale */
    struct sums sums;
    float *second_with_border;
    int16_t *slope_x, *slope_y, *lines;
    float *patches[7];              /* H^-1, sums of slopes, flow: one number of each patch */
    int32_t *products;
    float *rows, *lines_of_frame, *lines_of_flow;
    struct share *shares;
    struct between *betweens;
    struct group *groups;
};

struct task {
    long size[MOST_SCALES][2]; /* of each scale: width, height */
    long finest, coarsest, stride, steps;
};

static long patches_along(long side, long stride) { return (side - SIDE) / stride + 1; }

/* Returns how many bytes there are in all. */
static long arrange(const struct task *task, struct memory *has, char *memory)
{
    const long *size = task->size[task->finest], *whole = task->size[0], pixels = size[0] * size[1];
    const long columns = patches_along(size[0], task->stride), patches = columns * patches_along(size[1], task->stride);
    long used = 0;
    has->groups = room(memory, &used, GROUPS, sizeof(struct group));
    for (long scale = task->finest; scale <= task->coarsest; scale++) {
        const long area = task->size[scale][0] * task->size[scale][1];
        has->first[scale] = room(memory, &used, area, 1);
        has->second[scale] = room(memory, &used, area, 1);
        if (scale && scale < task->finest + 2) has->flow[scale % 2] = room(memory, &used, 2 * area, 4);
    }
    float **sums[] = {&has->sums.x, &has->sums.y, &has->sums.weight};
    const long band = at_most(BAND, size[1]);
    for (int k = 0; k < 3; k++) *sums[k] = room(memory, &used, band * size[0], 4);
    has->second_with_border = room(memory, &used, (size[0] + 2 * BORDER) * (size[1] + 2 * BORDER), 4);
    has->slope_x = room(memory, &used, pixels, 2);
    has->slope_y = room(memory, &used, pixels, 2);
    has->lines = room(memory, &used, 2 * (size[0] + 2), 2);
    for (int k = 0; k < 7; k++) has->patches[k] = room(memory, &used, patches, 4);
    has->products = room(memory, &used, size[0], 4);
    has->rows = room(memory, &used, 5 * (SIDE + 1) * columns, 4);
    has->lines_of_frame = room(memory, &used, 2 * size[0], 4);
    has->lines_of_flow = room(memory, &used, 4 * whole[0], 4);
    has->shares = room(memory, &used, size[0], sizeof(struct share));
    has->betweens = room(memory, &used, whole[0], sizeof(struct between));
    return used;
}

/* The frames at each scale, and at the finest from those given. */
static void make_frames(const struct task *task, const struct memory *has, const uint8_t *first, const uint8_t *second)
{
    for (long scale = task->finest; scale <= task->coarsest; scale++) {
        const long *size = task->size[scale], from = scale == task->finest ? 0 : scale - 1;
        const int given = scale == task->finest;
        const uint8_t *larger[2] = {given ? first : has->first[from], given ? second : has->second[from]};
        uint8_t *to[2] = {has->first[scale], has->second[scale]};
        for (int k = 0; k < 2; k++)
            if (scale) smaller_frame(larger[k], to[k], task->size[from], size, has->shares, has->lines_of_frame);
            else memcpy(to[k], larger[k], size[0] * size[1]);
    }
}

/* The flow of one scale, from that of the coarser one, if there is one. */
static void improve(const struct task *task, struct memory *has, long scale)
{
    const long *size = task->size[scale];
    struct field at = {
        .width = size[0],
        .height = size[1],
        .columns = patches_along(size[0], task->stride),
        .rows = patches_along(size[1], task->stride),
        .stride = task->stride,
        .steps = task->steps,
        .first = has->first[scale],
        .second = has->second_with_border,
        .slope_x = has->slope_x,
        .slope_y = has->slope_y,
        .inverse = {has->patches[0], has->patches[1], has->patches[2]},
        .total_x = has->patches[3],
        .total_y = has->patches[4],
        .u_x = has->patches[5],
        .u_y = has->patches[6],
    };
    const long patches[2] = {at.columns, at.rows};
    if (scale == task->coarsest) {
        memset(at.u_x, 0, 4 * at.columns * at.rows), memset(at.u_y, 0, 4 * at.columns * at.rows);
    } else {
        float *const to[2] = {at.u_x, at.u_y};
        at_patches(has->flow[(scale + 1) % 2], to, task->size[scale + 1], size, patches, at.stride, has->betweens);
    }
    with_border(has->second[scale], has->second_with_border, at.width, at.height);
    slopes(has->first[scale], has->slope_x, has->slope_y, at.width, at.height, has->lines);
    structure(&at, has->products, has->rows);
    search(&at, has->groups);
    dense(&at, &has->sums, has->flow[scale % 2]);
}

/* The flow (height, width, 2), x and y, from the first to the second frame (height, width), at the scales from the coarsest, of
 * which no side is shorter than a patch, to the finest. stride: pixels between patches; steps: of a descent, at least one;
 * failed: set to 1 where there is not enough memory, and to 0 elsewhere. */
void dis_flow(
    const uint8_t *first, const uint8_t *second, float *flow, long width, long height, long finest, long coarsest, long stride,
    long steps, int32_t *failed)
{
    struct task task = {.size[0] = {width, height}, .finest = finest, .coarsest = coarsest, .stride = stride, .steps = steps};
    for (long scale = 1; scale <= coarsest; scale++)
        for (int k = 0; k < 2; k++) task.size[scale][k] = task.size[scale - 1][k] / 2;
    struct memory has = {0};
    const long needed = arrange(&task, &has, NULL), part = needed < PAGE ? LINE : PAGE;
    const long bytes = (needed + part - 1) / part * part;
    char *memory = aligned_alloc(part, bytes);
    *failed = !memory;
    if (!memory) return;
    if (part == PAGE) madvise(memory, bytes, MADV_HUGEPAGE); /* in a few pieces, instead of thousands of pages each time */
    arrange(&task, &has, memory);
    if (!finest) has.flow[0] = flow;
    make_frames(&task, &has, first, second);
    for (long scale = coarsest; scale >= finest; scale--) improve(&task, &has, scale);
    const float factor = (float)(1L << finest);
    if (finest) enlarged(has.flow[finest % 2], flow, task.size[finest], task.size[0], factor, has.betweens, has.lines_of_flow);
    free(memory);
}
