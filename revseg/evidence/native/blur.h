/* Means over surroundings, with weights that fall off as in OpenCV's GaussianBlur: down first, then across.
 *
 *     y(v, u) = sum_j sum_i t_j t_i x(v + j, u + i),     |i|, |j| <= reach,     mirrored at borders, whose pixels count once
 *
 * Each sum is made term by term in the same order, whichever lines and columns are asked for: the same bits.
 */
#pragma once
#include "turn.h"
#include <string.h>

enum { LINES = 4, PARTS = 4, WIDE = PARTS * LANES }; /* that are made at a time: lines of surroundings, numbers of a line */

#define EACH(PART) _Pragma("GCC unroll 4") for (int PART = 0; PART < PARTS; PART++)

/* Planes of some of the lines of a picture, those last put there: plane p of line y at (y % held * planes + p) * width. */
struct lines {
    float *values;
    long planes, width, held;
    long height, columns; /* of the picture; width leaves room for MARGIN more */
};
enum { MARGIN = WIDE };

struct taps {
    const float *weights; /* 2 reach + 1, and LINES - 1 zeros before and after them */
    long reach;
};

static inline float *line_of(const struct lines *from, long y, long plane)
{
    return from->values + (y % from->held * from->planes + plane) * from->width;
}

static inline long mirrored(long at, long side)
{
    while (at < 0 || at >= side) at = side == 1 ? 0 : at < 0 ? -at : 2 * (side - 1) - at;
    return at;
}

/* LINES lines from y on, of which there are `count`, of columns first to last of a plane, each `row` numbers after the other. */
static inline void blur_down(
    const struct lines *from, long plane, const struct taps *t, long y, long count, long first, long last, float *to, long row)
{
    const long reach = t->reach;
    for (long x = first; x < last; x += WIDE) {
        vec sums[LINES][PARTS] = {0};
        for (long k = -reach; k < count + reach; k++) {
            const float *line = line_of(from, mirrored(y + k, from->height), plane) + x, *weights = t->weights + k + reach;
            vec v[PARTS];
            EACH(part) memcpy(v + part, line + part * LANES, sizeof(vec));
#pragma GCC unroll 4
            for (int i = 0; i < LINES; i++) EACH(part) sums[i][part] += weights[-i] * v[part];
        }
#pragma GCC unroll 4
        for (int i = 0; i < LINES; i++) EACH(part) memcpy(to + i * row + x - first + part * LANES, &sums[i][part], sizeof(vec));
    }
}

/* n numbers, and perhaps WIDE more, of LINES lines that begin `reach` before them, `wide` after each other. */
static inline void blur_across(const float *line, long wide, const struct taps *t, long n, float *restrict to, long row)
{
    for (long x = 0; x < n; x += WIDE)
        for (int i = 0; i < LINES; i += 2) {
            vec sums[2][PARTS] = {0}, v;
            for (long k = 0; k <= 2 * t->reach; k++) EACH(part) {
#pragma GCC unroll 2
                for (int j = 0; j < 2; j++) {
                    memcpy(&v, line + (i + j) * wide + x + k + part * LANES, sizeof(vec));
                    sums[j][part] += t->weights[k] * v;
                }
            }
#pragma GCC unroll 2
            for (int j = 0; j < 2; j++) EACH(part) memcpy(to + (i + j) * row + x + part * LANES, &sums[j][part], sizeof(vec));
        }
}

/* Numbers that `blur` works in, of so many columns. */
static inline long blur_room(long columns, long reach) { return LINES * (columns + 2 * reach + 2 * MARGIN); }

/* Columns first to last of `count` <= LINES lines from y on, of a plane; to: of the first of them, lines are `row` apart, with
 * room for MARGIN more. */
static inline void blur(
    const struct lines *from, long plane, const struct taps *t, long y, long count, long first, long last, float *to, long row,
    float *room)
{
    const long reach = t->reach, left = first < reach ? 0 : first - reach;
    const long right = last + reach > from->columns ? from->columns : last + reach, begin = first - reach;
    const long wide = last - first + 2 * reach + 2 * MARGIN;
    blur_down(from, plane, t, y, count, left, right, room + left - begin, wide);
    for (long i = 0; i < count; i++) {
        float *line = room + i * wide;
        for (long x = begin; x < left; x++) line[x - begin] = line[mirrored(x, from->columns) - begin];
        for (long x = right; x < last + reach; x++) line[x - begin] = line[mirrored(x, from->columns) - begin];
    }
    blur_across(room, wide, t, last - first, to, row);
}
