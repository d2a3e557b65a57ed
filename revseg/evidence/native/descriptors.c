/* What the surroundings of pixels look like: the numbers that revseg/evidence/descriptors.py tells of, side by side in rows.
 *
 * Of light, l, the gradient is (l_x, l_y), by Sobel; its length is shared by the two of BINS directions that are nearest to its
 * own. Colours and directions are blurred, line by line, and of the latter roots are taken. Only as many lines are held as the
 * widest surroundings reach.
 */
#include "blur.h"
#include <math.h>

enum { COLOURS = 3, BINS = 6, PLANES = COLOURS + BINS };
#define PER_RADIAN 1.9098593171027440f /* BINS / pi */
#define QUARTER 1.5707963267948966f

/* The angle of a point from the first axis, 0 to 2 pi, as OpenCV tells it: a polynomial of the smaller side by the larger. */
static inline float angle_of(float across, float down)
{
    const float x = fabsf(across), y = fabsf(down), larger = x > y ? x : y, smaller = x > y ? y : x;
    const float c = smaller / (larger + 2.220446e-16f), square = c * c;
    float angle = ((-0.04432655554792128f * square + 0.1555786518463281f) * square - 0.3258083974640975f) * square;
    angle = (angle + 0.9997878412794807f) * c;
    angle = x >= y ? angle : QUARTER - angle;
    angle = across < 0 ? 2 * QUARTER - angle : angle;
    return down < 0 ? 4 * QUARTER - angle : angle;
}

/* The gradient at column x of the middle of three lines. */
static inline void slope(const float *const *of, long left, long x, long right, float *restrict across, float *restrict down)
{
    const float *above = of[0], *own = of[1], *below = of[2];
    across[x] = 2 * (own[right] - own[left]) + (above[right] - above[left]) + (below[right] - below[left]);
    down[x] = 2 * (below[x] - above[x]) + (below[left] - above[left]) + (below[right] - above[right]);
}

/* The bins of line y, of the light of those around it. */
static void share(const struct lines *of, long y, float *restrict length, float *restrict place)
{
    const long n = of->columns;
    const float *above = line_of(of, mirrored(y - 1, of->height), 0), *own = line_of(of, y, 0);
    const float *below = line_of(of, mirrored(y + 1, of->height), 0);
    const float *around[3] = {above, own, below};
    slope(around, mirrored(-1, n), 0, mirrored(1, n), place, length);
    for (long x = 1; x < n - 1; x++) slope(around, x - 1, x, x + 1, place, length);
    slope(around, mirrored(n - 2, n), n - 1, mirrored(n, n), place, length);
    for (long x = 0; x < n; x++) {
        const float across = place[x], down = length[x], at = PER_RADIAN * angle_of(across, down);
        length[x] = sqrtf(across * across + down * down);
        place[x] = at >= BINS ? at - BINS : at; /* no sign */
    }
    for (int number = 0; number < BINS; number++) {
        float *restrict bin = line_of(of, y, COLOURS + number);
        for (long x = 0; x < n; x++) {
            const float off = fabsf(place[x] - number), near = 1 - (off < BINS - off ? off : BINS - off);
            bin[x] = length[x] * (near > 0 ? near : 0);
        }
    }
}

/* Line y of colours, plane by plane. */
static void put(const float *colours, const struct lines *to, long y)
{
    const float *from = colours + y * to->columns * COLOURS;
    float *planes[COLOURS];
    for (int p = 0; p < COLOURS; p++) planes[p] = line_of(to, y, p);
    for (long x = 0; x < to->columns; x++)
        for (int p = 0; p < COLOURS; p++) planes[p][x] = from[x * COLOURS + p];
}

struct scales {
    long colours, gradients; /* how many of each */
    long reach[8];
    const float *weights;
};

/* How many numbers describe a pixel. */
static long numbers_of(const struct scales *s) { return COLOURS * (1 + s->colours) + BINS * s->gradients; }

/* All numbers of columns first to last of some lines, in `found`: number i of line k at (k numbers + i) row. */
static void describe(const struct lines *from, const struct scales *s, long y, long count, long first, long last, float *found,
                     long row, float *room)
{
    const long step = numbers_of(s) * row;
    float *to = found;
    const float *weights = s->weights;
    for (int p = 0; p < COLOURS; p++, to += row)
        for (long k = 0; k < count; k++) memcpy(to + k * step, line_of(from, y + k, p) + first, (last - first) * sizeof(float));
    for (long scale = 0; scale < s->colours + s->gradients; scale++) {
        const struct taps t = {weights + LINES - 1, s->reach[scale]};
        const int directed = scale >= s->colours;
        for (int p = directed ? COLOURS : 0; p < (directed ? PLANES : COLOURS); p++, to += row) {
            blur(from, p, &t, y, count, first, last, to, step, room);
            for (long k = 0; k < count && directed; k++)
                for (long x = 0; x < last - first; x++) to[k * step + x] = sqrtf(to[k * step + x]);
        }
        weights += 2 * (t.reach + LINES) - 1;
    }
}

/* The pixels of columns first to last of a line that are wanted, in rows that are `stride` apart. Returns the row after them. */
static float *write(const float *found, long row, const uint8_t *wanted, long first, long last, float *to, long stride, long n)
{
    for (long x = first, end; x < last; x = end) {
        for (end = x + 1; end < last && (!wanted || wanted[end] == wanted[x]);) end++;
        if (wanted && !wanted[x]) continue;
        turn(found + x - first, row, to, stride, n, end - x);
        to += (end - x) * stride;
    }
    return to;
}

/* colours: (lines, columns, 3); wanted: (lines, columns), 1 or 0, or none: all; rows: of these, in order, `stride` apart.
 * reaches, weights: of colours' scales and then of gradients'. scratch: as descriptors.py of this folder tells, all 0. */
void descriptors(
    const float *colours, const uint8_t *wanted, long height, long columns, float *rows, long stride, long colour_scales,
    long gradient_scales, const int64_t *reaches, const float *weights, float *scratch)
{
    struct scales s = {colour_scales, gradient_scales, {0}, weights};
    long most = 0;
    for (long i = 0; i < colour_scales + gradient_scales; i++) {
        s.reach[i] = reaches[i];
        most = reaches[i] > most ? reaches[i] : most;
    }
    const long numbers = numbers_of(&s), width = columns + MARGIN, held = 2 * most + LINES + 1;
    const struct lines field = {scratch, PLANES, width, held, height, columns};
    float *length = scratch + held * PLANES * width, *place = length + width, *found = place + width;
    float *room = found + LINES * numbers * width;
    uint8_t *any = (uint8_t *)(room + blur_room(columns, most));
    long coloured = 0, shared = 0; /* lines that are there already */
    for (long y = 0; y < height; y += LINES) {
        const long count = height - y < LINES ? height - y : LINES;
        const uint8_t *own = wanted ? wanted + y * columns : NULL;
        memset(any, !wanted, columns);
        for (long k = 0; wanted && k < count; k++)
            for (long x = 0; x < columns; x++) any[x] |= own[k * columns + x];
        if (!memchr(any, 1, columns)) continue;
        const long begin = y - most < 0 ? 0 : y - most, end = y + count + most < height ? y + count + most : height;
        coloured = coloured < begin - 1 ? begin - 1 : coloured;
        shared = shared < begin ? begin : shared;
        for (; shared < end; shared++) {
            for (; coloured < end + 1 && coloured < height && coloured <= shared + 1; coloured++) put(colours, &field, coloured);
            share(&field, shared, length, place);
        }
        float *to[LINES + 1] = {rows};
        for (long k = 0; k < count; k++) {
            long here = columns;
            for (long x = 0; x < columns && wanted; x++) here -= !own[k * columns + x];
            to[k + 1] = to[k] + here * stride;
        }
        rows = to[count];
        for (long first = 0, last; first < columns; first = last) { /* runs of columns, apart by more than the blur reaches */
            const uint8_t *next = memchr(any + first, 1, columns - first);
            if (!next) break;
            first = next - any;
            for (last = first; next && next - any <= last + 2 * most; next = memchr(any + last, 1, columns - last))
                for (last = next - any; last < columns && any[last];) last++;
            describe(&field, &s, y, count, first, last, found, width, room);
            for (long k = 0; k < count; k++) {
                const uint8_t *these = own ? own + k * columns : NULL;
                to[k] = write(found + k * numbers * width, width, these, first, last, to[k], stride, numbers);
            }
        }
    }
}
