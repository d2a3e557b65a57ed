/* Dense flow: each pixel takes the mean of the patches around it, weighted with how well each of them fits there.
 *
 *     flow(x) = sum_patches w u / sum_patches w,     w = 1 / max(1, |I(x + u) - T(x)|)
 *
 * Patch by patch, in OpenCV's order for every pixel: the sums have the same bits.
 */
#pragma once
#include "dis_search.h"

enum { BAND = 64 }; /* rows of pixels of which there are sums at a time: near the processor */

#define SHORT_OF 0.001f /* of the last pixel: there is one more to interpolate with */

/* Of a band, pixel by pixel: of the patches' flow and of their weights. */
struct sums {
    float *x, *y, *weight;
    long top, end; /* its rows */
};

static inline __m256 numbers(__m256i x) { return _mm256_cvtepi32_ps(x); }

/* Between which pixels of the second frame eight of the first are, which begin at `begin` and have moved by u along one axis. */
struct eight {
    __m256i low;
    __m256 after, before; /* the distance to the lower one, and to the next */
};

static inline struct eight eight(long begin, float u, long size)
{
    const __m256i counted = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    __m256 x = numbers(_mm256_add_epi32(_mm256_set1_epi32((int)begin), counted)) + _mm256_set1_ps(u);
    x = _mm256_min_ps(_mm256_max_ps(x, _mm256_setzero_ps()), _mm256_set1_ps(size - 1.0f - SHORT_OF));
    const __m256i low = _mm256_cvttps_epi32(x);
    return (struct eight){low, x - numbers(low), numbers(_mm256_add_epi32(low, _mm256_set1_epi32(1))) - x};
}

/* Adds a patch to eight by eight pixels from a row and column on: to so many of the columns and the rows, in the band. */
static inline void add_square(
    const struct field *at, const struct sums *sums, long patch, const long *from, long columns, long rows)
{
    const long line = at->width + 2 * BORDER, width = at->width;
    const struct eight x = eight(from[0], at->u_x[patch], width), y = eight(from[1], at->u_y[patch], at->height);
    const __m256 u = _mm256_set1_ps(at->u_x[patch]), v = _mm256_set1_ps(at->u_y[patch]), one = _mm256_set1_ps(1);
    const __m256 positive = _mm256_castsi256_ps(_mm256_set1_epi32(0x7fffffff));
    const __m256i counted = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    const __m256 counts = _mm256_castsi256_ps(_mm256_cmpgt_epi32(_mm256_set1_epi32((int)columns), counted));
    /* Most often one window of the frame; not at its border, where pixels are those of the border. */
    const int start = _mm256_extract_epi32(x.low, 0);
    const __m256i window = _mm256_add_epi32(_mm256_set1_epi32(start), counted);
    const int whole = _mm256_movemask_epi8(_mm256_cmpeq_epi32(x.low, window)) == -1;
    int32_t low[8];
    float after[8], before[8];
    memcpy(low, &y.low, sizeof(low)), memcpy(after, &y.after, sizeof(after)), memcpy(before, &y.before, sizeof(before));

    const long skipped = sums->top > from[1] ? sums->top - from[1] : 0, left = sums->end - from[1];
    const uint8_t *first = at->first + from[1] * width + from[0];
    const float *second = at->second + BORDER * line + BORDER;
    const long place = (from[1] - sums->top) * width + from[0];
    float *sums_x = sums->x + place, *sums_y = sums->y + place, *weights = sums->weight + place;
    for (long row = skipped; row < rows && row < left; row++) {
        const float *in = second + low[row] * line;
        const __m256 below = _mm256_set1_ps(after[row]), above = _mm256_set1_ps(before[row]);
        __m256 pixels[4];
        if (whole) {
            pixels[0] = _mm256_loadu_ps(in + line + start + 1), pixels[1] = _mm256_loadu_ps(in + line + start);
            pixels[2] = _mm256_loadu_ps(in + start + 1), pixels[3] = _mm256_loadu_ps(in + start);
        } else {
            pixels[0] = _mm256_i32gather_ps(in + line + 1, x.low, 4), pixels[1] = _mm256_i32gather_ps(in + line, x.low, 4);
            pixels[2] = _mm256_i32gather_ps(in + 1, x.low, 4), pixels[3] = _mm256_i32gather_ps(in, x.low, 4);
        }
        const __m256 grey = numbers(_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(first + row * width))));
        const __m256 difference = x.after * below * pixels[0] + x.before * below * pixels[1] + x.after * above * pixels[2] +
                                  x.before * above * pixels[3] - grey;
        const __m256 weight = _mm256_and_ps(one / _mm256_max_ps(one, _mm256_and_ps(difference, positive)), counts);
        float *to_x = sums_x + row * width, *to_y = sums_y + row * width, *to = weights + row * width;
        _mm256_storeu_ps(to_x, _mm256_loadu_ps(to_x) + weight * u);
        _mm256_storeu_ps(to_y, _mm256_loadu_ps(to_y) + weight * v);
        _mm256_storeu_ps(to, _mm256_loadu_ps(to) + weight);
    }
}

/* Adds a patch to its pixels in the band. The last patches of a row or a column take what is left of the frame, too. */
static inline void add(const struct field *at, const struct sums *sums, long patch_row, long patch_column)
{
    const long left = patch_column * at->stride, top = patch_row * at->stride, patch = patch_row * at->columns + patch_column;
    const long right = patch_column == at->columns - 1 ? at->width : left + SIDE;
    const long bottom = patch_row == at->rows - 1 ? at->height : top + SIDE;
    for (long row = top; row < bottom; row += 8)
        for (long column = left; column < right; column += 8) {
            const long from[2] = {column, row};
            add_square(at, sums, patch, from, right - column, bottom - row < 8 ? bottom - row : 8);
        }
}

static inline long at_most(long x, long most) { return x < most ? x : most; }

/* Fills the flow (height, width, 2). Behind the sums there are seven floats of room. */
static void dense(const struct field *at, struct sums *sums, float *flow)
{
    for (sums->top = 0; sums->top < at->height; sums->top = sums->end) {
        sums->end = at_most(sums->top + BAND, at->height);
        const long before = sums->top * at->width, pixels = sums->end * at->width - before;
        memset(sums->x, 0, 4 * pixels), memset(sums->y, 0, 4 * pixels), memset(sums->weight, 0, 4 * pixels);
        const long first = sums->top < SIDE ? 0 : (sums->top - SIDE) / at->stride + 1; /* that reaches so far down */
        const long last = at_most((sums->end - 1) / at->stride, at->rows - 1);
        for (long row = at_most(first, last); row <= last; row++)
            for (long column = 0; column < at->columns; column++) add(at, sums, row, column);
        float *out = flow + 2 * before;
        for (long i = 0; i < pixels; i++) {
            out[2 * i] = sums->x[i] / sums->weight[i];
            out[2 * i + 1] = sums->y[i] / sums->weight[i];
        }
    }
}
