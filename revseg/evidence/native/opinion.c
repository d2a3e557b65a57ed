/* What is made of an opinion of a frame, the logarithms (classes, h, w) that `Looks.odds` tells of, at a larger size. Between
 * pixels it is linear, and their middles lie at halves.
 *
 *     p_c <- normalised( max(p_c, least) exp(weight(confidence) q_c) ),     0 where all p_c are 0
 */
#include "vector.h"
#include <math.h>
#include <string.h>

/* Where lines or columns lie among fewer: between `low` and `high`, so far from the former. */
struct between {
    int32_t low, high;
    float share;
};

static inline struct between place(long at, long side, long small)
{
    const float middle = (at + 0.5f) * ((float)small / side) - 0.5f, inside = middle > 0 ? middle : 0;
    struct between found = {(int32_t)inside, 0, 0};
    if (found.low > small - 1) found.low = small - 1;
    found.high = found.low + (found.low < small - 1);
    found.share = inside - found.low;
    return found;
}

struct enlarged {
    const float *said;
    long classes, small_height, small_width, height, width;
};

/* Line y of all classes, `width` numbers each. scratch: small_width + 3 width numbers. */
static void line_of(const struct enlarged *of, long y, float *restrict to, float *restrict scratch)
{
    const struct between down = place(y, of->height, of->small_height);
    const long small = of->small_width, width = of->width;
    float *restrict line = scratch, *restrict share = scratch + small;
    int32_t *restrict low = (int32_t *)(share + width), *restrict high = low + width;
    if (small == width && of->height == of->small_height) {
        for (long c = 0; c < of->classes; c++)
            memcpy(to + c * width, of->said + (c * of->height + y) * width, width * sizeof(float));
        return;
    }
    for (long x = 0; x < width; x++) {
        const struct between across = place(x, width, small);
        low[x] = across.low, high[x] = across.high, share[x] = across.share;
    }
    for (long c = 0; c < of->classes; c++) {
        const float *above = of->said + (c * of->small_height + down.low) * small;
        const float *below = of->said + (c * of->small_height + down.high) * small;
        for (long x = 0; x < small; x++) line[x] = above[x] + down.share * (below[x] - above[x]);
        for (long x = 0; x < width; x++) to[c * width + x] = line[low[x]] + share[x] * (line[high[x]] - line[low[x]]);
    }
}

/* e^x, x <= 0, to some 1e-7 of it: 2^n times a polynomial. */
static inline float power_of_e(float x)
{
    const float steps = rintf((x < -80 ? -80 : x) * 1.44269504f), r = (x < -80 ? -80 : x) - steps * 0.693359375f;
    const float rest = r + steps * 2.12194440e-4f;
    float sum = 1.9875691500e-4f;
    sum = sum * rest + 1.3981999507e-3f;
    sum = sum * rest + 8.3334519073e-3f;
    sum = sum * rest + 4.1665795894e-2f;
    sum = sum * rest + 1.6666665459e-1f;
    sum = sum * rest + 5.0000001201e-1f;
    const int32_t bits = ((int32_t)steps + 127) * (1 << 23);
    float scale;
    memcpy(&scale, &bits, 4);
    return scale * (1 + rest + rest * rest * sum);
}

/* Weighs what is known of a frame with an opinion.
 *
 * planes: the first of the bytes of each class, (height, width), and of the confidence, `step` bytes from one to the next;
 * weights: of each confidence; found: (classes, height, width) bytes. scratch: small_width + (classes + 5) width numbers. */
void weigh(
    const float *said, long classes, long small_height, long small_width, long height, long width, const uint8_t *planes,
    long step, const float *weights, float least, uint8_t *found, float *scratch)
{
    const struct enlarged of = {said, classes, small_height, small_width, height, width};
    float *restrict values = scratch, *restrict sums = values + classes * width, *restrict weight = sums + width;
    for (long y = 0; y < height; y++) {
        const uint8_t *own = planes + y * width;
        uint8_t any[width];
        line_of(&of, y, values, weight + width);
        for (long x = 0; x < width; x++) sums[x] = 0, any[x] = 0, weight[x] = weights[own[classes * step + x]];
        for (long c = 0; c < classes; c++) {
            const uint8_t *known = own + c * step;
            float *restrict value = values + c * width;
            for (long x = 0; x < width; x++) {
                const float p = known[x] * (1.0f / 255);
                value[x] = (p > least ? p : least) * power_of_e(weight[x] * value[x]);
                sums[x] += value[x];
                any[x] |= known[x];
            }
        }
        for (long x = 0; x < width; x++) sums[x] = any[x] ? 255 / sums[x] : 0;
        for (long c = 0; c < classes; c++)
            for (long x = 0; x < width; x++) found[(c * height + y) * width + x] = rintf(values[c * width + x] * sums[x]);
    }
}

/* The likeliest class of each pixel at the larger size, the first of several. scratch: small_width + (classes + 4) width. */
void likeliest(
    const float *said, long classes, long small_height, long small_width, long height, long width, uint8_t *found,
    float *scratch)
{
    const struct enlarged of = {said, classes, small_height, small_width, height, width};
    for (long y = 0; y < height; y++) {
        uint8_t *restrict own = found + y * width;
        float *restrict most = scratch + classes * width;
        line_of(&of, y, scratch, most + width);
        for (long x = 0; x < width; x++) own[x] = 0, most[x] = scratch[x];
        for (long c = 1; c < classes; c++)
            for (long x = 0; x < width; x++) {
                const float value = scratch[c * width + x];
                own[x] = value > most[x] ? c : own[x];
                most[x] = value > most[x] ? value : most[x];
            }
    }
}

/* An opinion at the larger size (classes, height, width), with that of some pixels, 1, in their place: finely, (classes, n).
 * scratch: small_width + (classes + 3) width. */
void sharpen(
    const float *said, long classes, long small_height, long small_width, long height, long width, const uint8_t *some,
    const float *finely, long n, float *found, float *scratch)
{
    const struct enlarged of = {said, classes, small_height, small_width, height, width};
    long first = 0;
    for (long y = 0; y < height; y++) {
        long next = first;
        line_of(&of, y, scratch, scratch + classes * width);
        for (long c = 0; c < classes; c++) {
            float *out = found + (c * height + y) * width;
            memcpy(out, scratch + c * width, width * sizeof(float));
            next = first;
            for (long x = 0; x < width; x++)
                if (some[y * width + x]) out[x] = finely[c * n + next++];
        }
        first = next;
    }
}

/* Numbers of pixels, rows (small_height, small_width) `stride` apart, at some of those of another size, in rows `step` apart. */
void enlarge(
    const float *rows, long stride, long numbers, long small_height, long small_width, const uint8_t *some, long height,
    long width, float *found, long step)
{
    for (long y = 0; y < height; y++) {
        const struct between down = place(y, height, small_height);
        for (long x = 0; x < width; x++) {
            if (!some[y * width + x]) continue;
            const struct between across = place(x, width, small_width);
            const float *above = rows + down.low * small_width * stride, *below = rows + down.high * small_width * stride;
            const long left = across.low * stride, right = across.high * stride;
            for (long i = 0; i < numbers; i++) {
                const float upper = above[left + i] + across.share * (above[right + i] - above[left + i]);
                const float lower = below[left + i] + across.share * (below[right + i] - below[left + i]);
                found[i] = upper + down.share * (lower - upper);
            }
            found += step;
        }
    }
}
