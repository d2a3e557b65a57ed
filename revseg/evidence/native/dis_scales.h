/* Frames and flow at the scales of a pyramid, to the bit as OpenCV makes them: frames by the mean over an area (INTER_AREA), flow
 * linearly (INTER_LINEAR), derivatives by Sobel, with the frame mirrored at its border.
 */
#pragma once
#include "vector.h"
#include <math.h>
#include <string.h>

enum { SIDE = 8, AREA = SIDE * SIDE }; /* of a patch, in pixels */
enum { BORDER = 2 * SIDE };            /* the second frame goes on beyond its border by so much, as it is at the border */
enum { SLACK = 64 };                   /* bytes behind a field that whole vectors may read */

/* ------------------------------------------------------------------ smaller frames */

/* Which pixels of a line, and how much of each, the mean around a pixel of the smaller line takes. */
struct share {
    long from, count;
    float ends[2], within; /* of the first and the last, and of each between them */
};

static inline struct share share_of(long at, long size, double scale)
{
    const double begin = at * scale, end = begin + scale, cell = fmin(scale, size - begin);
    long from = (long)ceil(begin), to = (long)floor(end);
    to = to < size - 1 ? to : size - 1;
    from = from < to ? from : to;
    struct share found = {from, to - from, {1 / cell, 1 / cell}, 1 / cell};
    if (from - begin > 1e-3) {
        found.from--, found.count++;
        found.ends[0] = (from - begin) / cell;
    }
    if (end - to > 1e-3) {
        found.ends[1] = fmin(fmin(end - to, 1), cell) / cell;
        if (!found.count++) found.ends[0] = found.ends[1];
    }
    return found;
}

static inline uint8_t rounded(float x)
{
    const long nearest = lrintf(x);
    return nearest < 0 ? 0 : nearest > 255 ? 255 : nearest;
}

static void halved(const uint8_t *from, uint8_t *to, long width, long height)
{
    for (long y = 0; y < height; y++) {
        const uint8_t *upper = from + 4 * y * width, *lower = upper + 2 * width;
        uint8_t *out = to + y * width;
        for (long x = 0; x < width; x++)
            out[x] = (upper[2 * x] + upper[2 * x + 1] + lower[2 * x] + lower[2 * x + 1] + 2) >> 2;
    }
}

/* By whole numbers of pixels. */
static void shrunk(const uint8_t *from, uint8_t *to, const long *size, const long *smaller)
{
    const long across = size[0] / smaller[0], down = size[1] / smaller[1];
    const float part = 1.0f / (across * down);
    for (long y = 0; y < smaller[1]; y++)
        for (long x = 0; x < smaller[0]; x++) {
            const uint8_t *in = from + y * down * size[0] + x * across;
            int total = 0;
            for (long i = 0; i < down; i++)
                for (long j = 0; j < across; j++) total += in[i * size[0] + j];
            to[y * smaller[0] + x] = rounded(total * part);
        }
}

/* A frame of (width, height) at a smaller size. shares: room for one of each column; sums: for two lines. */
static void smaller_frame(
    const uint8_t *from, uint8_t *to, const long *size, const long *smaller, struct share *shares, float *sums)
{
    if (size[0] == 2 * smaller[0] && size[1] == 2 * smaller[1]) {
        halved(from, to, smaller[0], smaller[1]);
        return;
    }
    if (size[0] % smaller[0] == 0 && size[1] % smaller[1] == 0) {
        shrunk(from, to, size, smaller);
        return;
    }
    const double scale[2] = {1 / ((double)smaller[0] / size[0]), 1 / ((double)smaller[1] / size[1])};
    float *line = sums + smaller[0];
    for (long x = 0; x < smaller[0]; x++) shares[x] = share_of(x, size[0], scale[0]);
    for (long y = 0; y < smaller[1]; y++) {
        const struct share rows = share_of(y, size[1], scale[1]);
        for (long i = 0; i < rows.count; i++) {
            const uint8_t *in = from + (rows.from + i) * size[0];
            const float part = i == 0 ? rows.ends[0] : i == rows.count - 1 ? rows.ends[1] : rows.within;
            for (long x = 0; x < smaller[0]; x++) {
                const struct share *own = shares + x;
                const uint8_t *pixels = in + own->from;
                float total = pixels[0] * own->ends[0];
                for (long j = 1; j < own->count - 1; j++) total += pixels[j] * own->within;
                if (own->count > 1) total += pixels[own->count - 1] * own->ends[1];
                line[x] = total;
            }
            for (long x = 0; x < smaller[0]; x++) sums[x] = i ? sums[x] + part * line[x] : part * line[x];
        }
        for (long x = 0; x < smaller[0]; x++) to[y * smaller[0] + x] = rounded(sums[x]);
    }
}

/* ------------------------------------------------------------------ one scale */

/* As numbers, with its border. */
static void with_border(const uint8_t *frame, float *to, long width, long height)
{
    const long line = width + 2 * BORDER;
    for (long y = 0; y < height; y++) {
        const uint8_t *in = frame + y * width;
        float *out = to + (y + BORDER) * line + BORDER;
        for (long x = 0; x < width; x++) out[x] = in[x];
        for (long x = 1; x <= BORDER; x++) out[-x] = in[0], out[width - 1 + x] = in[width - 1];
    }
    for (long y = 0; y < BORDER; y++) {
        memcpy(to + y * line, to + BORDER * line, 4 * line);
        memcpy(to + (height + BORDER + y) * line, to + (height + BORDER - 1) * line, 4 * line);
    }
}

/* Derivatives times 8. lines: room for two lines of width + 2. */
static void slopes(const uint8_t *frame, int16_t *slope_x, int16_t *slope_y, long width, long height, int16_t *lines)
{
    int16_t *smooth = lines + 1, *steep = smooth + width + 2;
    for (long y = 0; y < height; y++) {
        const uint8_t *here = frame + y * width;
        const uint8_t *above = y ? here - width : here + width, *below = y < height - 1 ? here + width : here - width;
        for (long x = 0; x < width; x++) smooth[x] = above[x] + 2 * here[x] + below[x], steep[x] = below[x] - above[x];
        smooth[-1] = smooth[1], steep[-1] = steep[1];
        smooth[width] = smooth[width - 2], steep[width] = steep[width - 2];
        int16_t *x_out = slope_x + y * width, *y_out = slope_y + y * width;
        for (long x = 0; x < width; x++) {
            x_out[x] = smooth[x + 1] - smooth[x - 1];
            y_out[x] = steep[x - 1] + 2 * steep[x] + steep[x + 1];
        }
    }
}

/* ------------------------------------------------------------------ larger flow */

/* Between which two of a coarser line an element lies, and how far along. */
struct between {
    long low, high;
    float along;
};

static inline double placed(long at, long size, long larger) { return (at + 0.5) * (1 / ((double)larger / size)) - 0.5; }

static inline struct between between(double place, long size)
{
    const long low = (long)floor(place);
    const struct between found = {low < 0 ? 0 : low, low + 1 < size ? low + 1 : size - 1, (float)(place - low)};
    return found;
}

/* With one rounding, as the library does by which OpenCV enlarges planes. */
static inline float nearer(float low, float high, float along) { return __builtin_fmaf(high - low, along, low); }

/* Flow (height, width, 2) at patches' middles on a finer scale, in pixels of that: two planes of rows x columns, `stride` apart.
 * columns_at: room for one of each column. */
static void at_patches(
    const float *flow, float *const *to, const long *size, const long *larger, const long *patches, long stride,
    struct between *columns_at)
{
    for (long c = 0; c < patches[0]; c++) columns_at[c] = between(placed(c * stride + SIDE / 2, size[0], larger[0]), size[0]);
    for (long r = 0; r < patches[1]; r++) {
        const struct between down = between(placed(r * stride + SIDE / 2, size[1], larger[1]), size[1]);
        const float *upper = flow + 2 * down.low * size[0], *lower = flow + 2 * down.high * size[0];
        for (long c = 0; c < patches[0]; c++) {
            const struct between at = columns_at[c];
            for (int k = 0; k < 2; k++) {
                const float above = nearer(upper[2 * at.low + k], upper[2 * at.high + k], at.along);
                const float below = nearer(lower[2 * at.low + k], lower[2 * at.high + k], at.along);
                to[k][r * patches[0] + c] = 2 * nearer(above, below, down.along);
            }
        }
    }
}

/* As OpenCV enlarges flow of two components: places are of float32, and at the border of a line there is nothing to mix. */
static inline struct between beside(long at, long size, long larger)
{
    struct between found = between((float)placed(at, size, larger), size);
    if (found.high == found.low || placed(at, size, larger) < 0) found.high = found.low, found.along = 0;
    return found;
}

static inline float mixed(float low, float high, float along) { return low * (1.0f - along) + high * along; }

/* Flow (height, width, 2) at a larger size, times a factor. columns_at: room for one of each column; lines: for two of flow. */
static void enlarged(
    const float *flow, float *to, const long *size, const long *larger, float factor, struct between *columns_at, float *lines)
{
    long held[2] = {-1, -1}; /* which rows of it the lines hold */
    float *line[2] = {lines, lines + 2 * larger[0]};
    for (long x = 0; x < larger[0]; x++) columns_at[x] = beside(x, size[0], larger[0]);
    for (long y = 0; y < larger[1]; y++) {
        const struct between down = between((float)placed(y, size[1], larger[1]), size[1]);
        const long rows[2] = {down.low, down.high};
        if (rows[0] == held[1]) { /* what was the lower one is the upper one now */
            float *const other = line[0];
            line[0] = line[1], line[1] = other, held[0] = held[1], held[1] = -1;
        }
        for (int k = 0; k < 2; k++) {
            if (rows[k] == held[k]) continue;
            const float *in = flow + 2 * rows[k] * size[0];
            for (long x = 0; x < larger[0]; x++) {
                const struct between at = columns_at[x];
                line[k][2 * x] = mixed(in[2 * at.low], in[2 * at.high], at.along);
                line[k][2 * x + 1] = mixed(in[2 * at.low + 1], in[2 * at.high + 1], at.along);
            }
            held[k] = rows[k];
        }
        float *out = to + 2 * y * larger[0];
        for (long x = 0; x < 2 * larger[0]; x++) out[x] = mixed(line[0][x], line[1][x], down.along) * factor;
    }
}
