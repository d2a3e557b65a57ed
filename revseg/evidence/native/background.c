/* What is behind pixels, and how they differ from it: the equations stand in revseg/evidence/background.py. */
#include "blur.h"
#include <math.h>

enum { COLOURS = 3, SHIFTS = 9, CHUNK = 64, MOST = 16 }; /* pixels at a time; frames that show what is behind */

/* ------------------------------------------------------------------ what is behind */

/* The median of what frames show where they are free, 1 or 0; what is before it, where none is.
 *
 * shown: (n, pixels, 3); free: (n, pixels); pairs: which of n <= MOST values are compared, in order, to sort them; found, before:
 * (pixels, 3); known: (pixels). What is not free counts as the largest value, and comes last. */
void median(
    const uint8_t *shown, const uint8_t *free, long n, long pixels, const int64_t *pairs, long comparisons,
    const uint8_t *before, uint8_t *found, uint8_t *known)
{
    for (long from = 0; from < pixels; from += CHUNK) {
        const long count = pixels - from < CHUNK ? pixels - from : CHUNK, bytes = COLOURS * count;
        uint8_t values[MOST][COLOURS * CHUNK], own[COLOURS * CHUNK], many[CHUNK] = {0}, last[COLOURS * CHUNK];
        memset(values, 0, n * sizeof(values[0]));
        for (long k = 0; k < n; k++) {
            const uint8_t *there = free + k * pixels + from, *colours = shown + (k * pixels + from) * COLOURS;
            for (long i = 0; i < count; i++) many[i] += there[i];
            for (long i = 0; i < count; i++)
                for (long c = 0; c < COLOURS; c++)
                    values[k][COLOURS * i + c] = colours[COLOURS * i + c] | (uint8_t)(there[i] - 1);
        }
        for (long pair = 0; pair < comparisons; pair++) {
            uint8_t *restrict one = values[pairs[2 * pair]], *restrict other = values[pairs[2 * pair + 1]];
            for (long i = 0; i < COLOURS * CHUNK; i++) {
                const uint8_t x = one[i], y = other[i];
                one[i] = x < y ? x : y;
                other[i] = x < y ? y : x;
            }
        }
        for (long i = 0; i < CHUNK; i++)
            for (long c = 0; c < COLOURS; c++) last[COLOURS * i + c] = many[i] ? (many[i] - 1) / 2 : 255;
        memcpy(own, before + COLOURS * from, bytes);
        for (long k = 0; k < (n + 1) / 2; k++)
            for (long i = 0; i < COLOURS * CHUNK; i++) own[i] = last[i] == k ? values[k][i] : own[i];
        memcpy(found + COLOURS * from, own, bytes);
        for (long i = 0; i < count; i++) known[from + i] = many[i] > 0;
    }
}

/* ------------------------------------------------------------------ how pixels differ from it */

/* Planes of colours (height, columns, 3), from column `first` on. */
static void put(const float *colours, const struct lines *to, long first)
{
    for (long y = 0; y < to->height; y++, colours += COLOURS * to->columns)
        for (long c = 0; c < COLOURS; c++) {
            float *line = line_of(to, y, c) + first;
            for (long x = 0; x < to->columns; x++) line[x] = colours[COLOURS * x + c];
        }
}

/* A plane of what is behind line y, shifted; it has a column more at both sides. */
static inline const float *shifted(const struct lines *behind, long y, long shift, long plane)
{
    const long at = y + shift / 3 - 1, line = at < 0 ? 0 : at < behind->height ? at : behind->height - 1;
    return line_of(behind, line, plane) + shift % 3;
}

/* The amount by which line y differs from what is behind it, for each shift. */
static void put_amounts(const struct lines *before, const struct lines *behind, const struct lines *to, long y)
{
    for (long shift = 0; shift < SHIFTS; shift++) {
        float *restrict amount = line_of(to, y, shift);
        const float *a = line_of(before, y, 0), *b = line_of(before, y, 1), *c = line_of(before, y, 2);
        const float *d = shifted(behind, y, shift, 0), *e = shifted(behind, y, shift, 1), *f = shifted(behind, y, shift, 2);
        for (long x = 0; x < before->columns; x++) {
            const float light = a[x] - d[x], green = b[x] - e[x], blue = c[x] - f[x];
            amount[x] = light * light + green * green + blue * blue;
        }
    }
}

/* The difference at the shift whose blurred amount is the least, in line y; amounts: `row` numbers for each shift. */
static void put_least(
    const struct lines *before, const struct lines *behind, const struct lines *to, long y, float *amounts, long row)
{
    float *restrict least = amounts;
    for (long plane = 0; plane < COLOURS; plane++) {
        const float *own = line_of(before, y, plane), *other = shifted(behind, y, 0, plane);
        float *restrict best = line_of(to, y, plane);
        for (long x = 0; x < to->columns; x++) best[x] = own[x] - other[x];
    }
    for (long shift = 1; shift < SHIFTS; shift++) {
        const float *amount = amounts + shift * row;
        for (long plane = 0; plane < COLOURS; plane++) {
            const float *own = line_of(before, y, plane), *other = shifted(behind, y, shift, plane);
            float *restrict best = line_of(to, y, plane);
            for (long x = 0; x < to->columns; x++) {
                const float difference = own[x] - other[x], kept = best[x];
                best[x] = amount[x] < least[x] ? difference : kept;
            }
        }
        for (long x = 0; x < to->columns; x++) least[x] = amount[x] < least[x] ? amount[x] : least[x];
    }
}

/* Blurs all planes of some lines: plane p of line k is put at (k planes + p) row. */
static void blur_planes(const struct lines *from, const struct taps *t, long y, long count, float *to, long row, float *room)
{
    for (long p = 0; p < from->planes; p++) blur(from, p, t, y, count, 0, from->columns, to + p * row, from->planes * row, room);
}

/* How pixels differ by colour, by lightness, and its amount; whether what is behind is known, and the former are 0 where it is
 * not; and these in wider surroundings.
 *
 * before, behind: (height, columns, 3), CIE Lab; known: (height, columns); rows: `stride` apart; reaches, weights: of the finer
 * blur and the wider one; scratch: as background.py of this folder tells, all 0. */
void differences(
    const float *before, const float *behind, const uint8_t *known, long height, long columns, float *rows, long stride,
    const int64_t *reaches, const float *weights, float *scratch)
{
    const struct taps fine = {weights + LINES - 1, reaches[0]};
    const struct taps wider = {fine.weights + 2 * (fine.reach + LINES) - 1, reaches[1]};
    const long width = columns + 2 + MARGIN, held = 2 * fine.reach + LINES, plane = height * width;
    const struct lines own = {scratch, COLOURS, width, height, height, columns};
    const struct lines other = {scratch + COLOURS * plane, COLOURS, width, height, height, columns};
    const struct lines best = {scratch + 2 * COLOURS * plane, COLOURS, width, height, height, columns};
    const struct lines amounts = {scratch + 3 * COLOURS * plane, SHIFTS, width, held, height, columns};
    float *blurred = amounts.values + held * SHIFTS * width, *room = blurred + LINES * SHIFTS * width;
    put(before, &own, 0);
    put(behind, &other, 1);
    for (long line = 0; line < COLOURS * height; line++) { /* the outermost columns once more */
        float *values = other.values + line * width;
        values[0] = values[1];
        values[columns + 1] = values[columns];
    }
    for (long y = 0, there = 0; y < height; y += LINES) {
        const long count = height - y < LINES ? height - y : LINES;
        for (; there < height && there < y + count + fine.reach; there++) put_amounts(&own, &other, &amounts, there);
        blur_planes(&amounts, &fine, y, count, blurred, width, room);
        for (long k = 0; k < count; k++) put_least(&own, &other, &best, y + k, blurred + k * SHIFTS * width, width);
    }
    for (long y = 0; y < height; y += LINES) { /* from here on `own` holds what is found */
        const long count = height - y < LINES ? height - y : LINES;
        blur_planes(&best, &fine, y, count, blurred, width, room);
        for (long k = 0; k < count; k++) {
            const float *lightness = blurred + k * COLOURS * width, *green = lightness + width, *blue = green + width;
            const uint8_t *there = known + (y + k) * columns;
            float *restrict colour = line_of(&own, y + k, 0), *restrict light = line_of(&own, y + k, 1);
            float *restrict amount = line_of(&own, y + k, 2);
            for (long x = 0; x < columns; x++) {
                const float share = there[x];
                colour[x] = share * sqrtf(green[x] * green[x] + blue[x] * blue[x]);
                light[x] = share * lightness[x];
                amount[x] = share * fabsf(lightness[x]);
            }
        }
    }
    for (long y = 0; y < height; y += LINES) {
        const long count = height - y < LINES ? height - y : LINES;
        blur_planes(&own, &wider, y, count, blurred, width, room);
        for (long k = 0; k < count; k++) {
            float *to = rows + (y + k) * columns * stride;
            turn(line_of(&own, y + k, 0), width, to, stride, COLOURS, columns);
            for (long x = 0; x < columns; x++) to[x * stride + COLOURS] = known[(y + k) * columns + x];
            turn(blurred + k * COLOURS * width, width, to + COLOURS + 1, stride, COLOURS, columns);
        }
    }
}
