/* A linear map from planes of bytes to a field on the grid, and its gradient: each byte is read once.
 *
 *     field[t, h, w, c] = round(sum_i weight[c, i] planes[i, t, h, w] + bias[c])
 *
 * The video lies in a padded volume: frame 0 of its planes at frame `first`, line 0 at `top`, column 0 at `left`. Beside it the
 * field has the values of `empty`.
 */
#include "convert.h"

enum { PIXELS = 256, MOST = 16 }; /* at a time; channels of a field at most */

struct place {
    long inputs, frames, height, width;     /* of the planes */
    long plane, frame;                      /* bytes from one to the next of them */
    long padded, lines, columns, channels;  /* of the field */
    long first, top, left;
};

void opening(
    const uint8_t *planes, char *field, int kind, const struct place *at, const float *weight, const float *bias,
    const float *empty, int threads)
{
    const long channels = at->channels, line = at->columns * channels, bytes = bytes_of(kind);
#pragma omp parallel for num_threads(threads) schedule(static) if (at->padded * at->lines * line > ALONE)
    for (long row = 0; row < at->padded * at->lines; row++) {
        const long t = row / at->lines - at->first, h = row % at->lines - at->top;
        const int inside = t >= 0 && t < at->frames && h >= 0 && h < at->height;
        char *out = field + bytes * row * line;
        for (long w = 0; w < at->columns; w++) {
            if (inside && w == at->left) w += at->width;
            if (w < at->columns) narrow(empty, out + bytes * w * channels, channels, kind);
        }
        for (long from = 0; from < at->width && inside; from += PIXELS) {
            const long n = at->width - from < PIXELS ? at->width - from : PIXELS;
            float sums[MOST][PIXELS], x[PIXELS];
            for (long c = 0; c < channels; c++)
                for (long w = 0; w < n; w++) sums[c][w] = bias[c];
            for (long i = 0; i < at->inputs; i++) {
                const uint8_t *in = planes + i * at->plane + t * at->frame + h * at->width + from;
                for (long w = 0; w < n; w++) x[w] = in[w];
                for (long c = 0; c < channels; c++)
                    for (long w = 0; w < n; w++) sums[c][w] += weight[c * at->inputs + i] * x[w];
            }
            float mixed[MOST * PIXELS]; /* the channels of a pixel beside each other */
            for (long c = 0; c < channels; c++)
                for (long w = 0; w < n; w++) {
                    const float y = rintf(sums[c][w]);
                    mixed[w * channels + c] = y == y ? y : 2 * LARGEST; /* what is no number leaves the range */
                }
            narrow(mixed, out + bytes * (at->left + from) * channels, n * channels, kind);
        }
    }
}

/* The sum of products of so many numbers, those up to the next whole vector being 0. */
static inline float product_of(const float *a, const float *b, long n)
{
    vec sums = {0}, x, y;
    float lanes[LANES], total = 0;
    for (long w = 0; w < n; w += LANES) {
        memcpy(&x, a + w, sizeof(vec));
        memcpy(&y, b + w, sizeof(vec));
        sums += x * y;
    }
    memcpy(lanes, &sums, sizeof(vec));
    for (long w = 0; w < LANES; w++) total += lanes[w];
    return total;
}

/* Of each padded frame: for each channel sum_i planes[i] gradient[c], of all inputs; the sum of gradient[c] where there is video;
 * and that of all. Frame by frame, so that the sums do not depend on the number of threads. */
void opening_gradient(const uint8_t *planes, const char *gradient, int kind, const struct place *at, double *found, int threads)
{
    const long channels = at->channels, line = at->columns * channels, numbers = channels * (at->inputs + 2);
    const long bytes = bytes_of(kind);
#pragma omp parallel for num_threads(threads) schedule(static) if (at->padded * at->lines * line > ALONE)
    for (long frame = 0; frame < at->padded; frame++) {
        double *own = found + frame * numbers;
        const long t = frame - at->first;
        for (long row = 0; row < at->lines; row++) {
            const long h = row - at->top;
            const char *in = gradient + bytes * (frame * at->lines + row) * line;
            const int inside = t >= 0 && t < at->frames && h >= 0 && h < at->height;
            float g[PIXELS * MOST], one[PIXELS] = {0}, x[PIXELS] = {0}, ones[PIXELS];
            for (long w = 0; w < PIXELS; w++) ones[w] = 1;
            for (long from = 0, n; from < at->columns; from += n) {
                /* Up to the video, in it, or beyond: a piece lies wholly there or not. */
                const long end = !inside || from >= at->left + at->width ? at->columns
                                 : from < at->left                       ? at->left
                                                                         : at->left + at->width;
                n = end - from < PIXELS ? end - from : PIXELS;
                const int there = inside && from >= at->left && from < at->left + at->width;
                widen(in + bytes * from * channels, g, n * channels, kind);
                for (long c = 0; c < channels; c++) {
                    double *sums = own + c * (at->inputs + 2);
                    for (long w = 0; w < n; w++) one[w] = g[w * channels + c];
                    for (long w = n; w % LANES; w++) one[w] = 0;
                    const float total = product_of(one, ones, n);
                    sums[at->inputs + 1] += total;
                    if (!there) continue;
                    sums[at->inputs] += total;
                    for (long i = 0; i < at->inputs; i++) {
                        const uint8_t *v = planes + i * at->plane + t * at->frame + h * at->width + from - at->left;
                        for (long w = 0; w < n; w++) x[w] = v[w];
                        sums[i] += product_of(one, x, n); /* beyond n, `one` is 0 */
                    }
                }
            }
        }
    }
}
