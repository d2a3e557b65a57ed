/* Inverse search: where in the second frame the patches of the first are.
 *
 * As OpenCV, in eight stripes of rows of patches, each by itself: from the first patch to the last, and back. A patch begins
 * where the coarser scale has it, or its neighbours in the row and in the row before it; then it descends. A stripe needs what
 * its previous patch has found: here all of them go on side by side, each at its own patch, so that the processor does not wait.
 *
 * Four floats of a vector belong to one patch, as the four that OpenCV adds up do: the sums have the same bits. All that is said
 * of a patch stands in its four floats. Rows of frames are read as a whole, those of the earlier half of the patches into one
 * vector, of the later into another, and are parted into left and right halves for the sums.
 */
#pragma once
#include "dis_scales.h"

enum { STRIPES = 8, FOUR = 4, PATCHES = sizeof(vec) / (FOUR * sizeof(float)), HALF = PATCHES / 2, GROUPS = STRIPES / PATCHES };
enum { CANDIDATES = 3, PASSES = 2 };

#define LEAST_DETERMINANT 0.001f

/* ------------------------------------------------------------------ what differs between processors */

#ifdef __AVX512F__
typedef __mmask16 mask;
static inline mask less(vec a, vec b) { return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ); }
static inline vec chosen(mask where, vec a, vec b) { return _mm512_mask_blend_ps(where, b, a); }
static inline int bits(mask where) { return where; }
static inline vint whole(vec x) { return (vint)_mm512_cvttps_epi32(x); }
static inline vec equal(float x) { return _mm512_set1_ps(x); }
#define SWAPPED(x, order) _mm512_shuffle_ps(x, x, order)
/* Fours of two vectors. */
#define FOURS(a, b, order) _mm512_shuffle_f32x4(a, b, order)
#define EARLIER(x) FOURS(x, x, 0x50) /* (0, 0, 1, 1) */
#define LATER(x) FOURS(x, x, 0xfa)   /* (2, 2, 3, 3) */
#define LEFT(a, b) FOURS(a, b, 0x88) /* (a0, a2, b0, b2) */
#define RIGHT(a, b) FOURS(a, b, 0xdd)

/* Eight floats from each of the places of half of the patches. */
static inline vec eights(const float *const *at, long offset)
{
    return _mm512_insertf32x8(_mm512_castps256_ps512(_mm256_loadu_ps(at[0] + offset)), _mm256_loadu_ps(at[1] + offset), 1);
}
#else
typedef __m256 mask;
static inline mask less(vec a, vec b) { return _mm256_cmp_ps(a, b, _CMP_LT_OQ); }
static inline vec chosen(mask where, vec a, vec b) { return _mm256_blendv_ps(b, a, where); }
static inline int bits(mask where) { return _mm256_movemask_ps(where); }
static inline vint whole(vec x) { return (vint)_mm256_cvttps_epi32(x); }
static inline vec equal(float x) { return _mm256_set1_ps(x); }
#define SWAPPED(x, order) _mm256_shuffle_ps(x, x, order)
#define FOURS(a, b, order) _mm256_permute2f128_ps(a, b, order)
#define EARLIER(x) FOURS(x, x, 0x00)
#define LATER(x) FOURS(x, x, 0x11)
#define LEFT(a, b) FOURS(a, b, 0x20)
#define RIGHT(a, b) FOURS(a, b, 0x31)

static inline vec eights(const float *const *at, long offset) { return _mm256_loadu_ps(at[0] + offset); }
#endif

/* The sum of each four, in all of them. */
static inline vec summed(vec x)
{
    x = x + SWAPPED(x, 0x4e); /* (2, 3, 0, 1) */
    return x + SWAPPED(x, 0xb1); /* (1, 0, 3, 2) */
}

/* ------------------------------------------------------------------ what a scale has */

struct field {
    long width, height;           /* of the frames */
    long columns, rows, stride;   /* of patches; pixels between them */
    long steps;                   /* of a descent */
    const uint8_t *first;
    const float *second;          /* with its border */
    const int16_t *slope_x, *slope_y;
    /* Of each patch: */
    float *inverse[3];            /* of H: xx, xy, yy */
    float *total_x, *total_y;     /* of the slopes */
    float *u_x, *u_y;             /* where it is found so far */
};

/* Sums of eight beside each other, n of them, each in the place of its first. */
static inline void sums_of_eight(int32_t *x, long n)
{
    for (long i = 0; i < n + 6; i++) x[i] += x[i + 1];
    for (long i = 0; i < n + 4; i++) x[i] += x[i + 2];
    for (long i = 0; i < n; i++) x[i] += x[i + 4];
}

/* H^-1 and the slopes' sums. Sums over rows run on from patch to patch in float32, as OpenCV has them: where H is nearly
 * singular, its rounding decides. products: room for a line of integers; rows: for 5 x (SIDE + 1) lines of patches. */
static void structure(const struct field *at, int32_t *products, float *rows)
{
    const long columns = at->columns, line = 5 * columns;
    float *running = rows + SIDE * line;
    memset(rows, 0, (SIDE + 1) * line * sizeof(float));
    for (long y = 0; y < at->stride * (at->rows - 1) + SIDE; y++) {
        const int16_t *x_in = at->slope_x + y * at->width, *y_in = at->slope_y + y * at->width;
        float *held = rows + y % SIDE * line;
        for (int kind = 0; kind < 5; kind++) {
            const int16_t *a = kind == 1 || kind == 4 ? y_in : x_in, *b = kind ? y_in : x_in;
            if (kind < 3)
                for (long x = 0; x < at->width; x++) products[x] = a[x] * b[x];
            else
                for (long x = 0; x < at->width; x++) products[x] = a[x];
            sums_of_eight(products, at->width - SIDE + 1);
            for (long c = 0; c < columns; c++) {
                const float sum = products[c * at->stride];
                running[kind * columns + c] += sum - held[kind * columns + c];
                held[kind * columns + c] = sum;
            }
        }
        const long row = (y - SIDE + 1) / at->stride;
        if (y < SIDE - 1 || (y - SIDE + 1) % at->stride) continue;
        for (long c = 0; c < columns; c++) {
            const float xx = running[c], yy = running[columns + c], xy = running[2 * columns + c];
            float determinant = xx * yy - xy * xy;
            determinant = fabsf(determinant) < LEAST_DETERMINANT ? LEAST_DETERMINANT : determinant;
            at->inverse[0][row * columns + c] = yy / determinant;
            at->inverse[1][row * columns + c] = -xy / determinant;
            at->inverse[2][row * columns + c] = xx / determinant;
            at->total_x[row * columns + c] = running[3 * columns + c];
            at->total_y[row * columns + c] = running[4 * columns + c];
        }
    }
}

/* ------------------------------------------------------------------ the search */

/* Patches that are looked for side by side. What is said of each stands in its four floats. */
struct group {
    /* Of each row: the first frame, of the earlier and the later patches; the left and right half of the slopes along x, y. */
    vec patch[SIDE][6];
    vec x, y;                       /* where they are in the first frame */
    vec u_x, u_y;                   /* where they are looked for next */
    vec other_x[CANDIDATES], other_y[CANDIDATES];
    vec best_x, best_y, error;      /* of the candidates; of the descent, its least error */
    vec step_x, step_y;             /* sums over the best one's patch, of which H^-1 makes the step */
    vec inverse[3], total_x, total_y;
    vec done;                       /* how often it has been compared */
    long stripe_first[PATCHES], stripe_end[PATCHES], pass[PATCHES], row[PATCHES], column[PATCHES];
    long active;
};

static inline void put(vec *to, long patch, float value) { _mm_store_ps((float *)to + FOUR * patch, _mm_set1_ps(value)); }
static inline float got(const vec *from, long patch) { return ((const float *)from)[FOUR * patch]; }

/* The patch's pixels and slopes. */
static inline void load(struct group *group, long patch, const struct field *at, long pixel)
{
    const uint8_t *first = at->first + pixel;
    const int16_t *along[2] = {at->slope_x + pixel, at->slope_y + pixel};
    const long width = at->width;
    float *pixels = (float *)(group->patch[0] + patch / HALF) + 2 * FOUR * (patch % HALF);
    float *slopes = (float *)(group->patch[0] + 2) + FOUR * patch;
#pragma GCC unroll 8
    for (long row = 0; row < SIDE; row++, pixels += 6 * LANES, slopes += 6 * LANES) {
        const __m256i grey = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(first + row * width)));
        _mm256_store_ps(pixels, _mm256_cvtepi32_ps(grey));
        for (int k = 0; k < 2; k++) {
            const __m256i slope = _mm256_cvtepi16_epi32(_mm_loadu_si128((const __m128i *)(along[k] + row * width)));
            const __m256 numbers = _mm256_cvtepi32_ps(slope);
            _mm_store_ps(slopes + 2 * k * LANES, _mm256_castps256_ps128(numbers));
            _mm_store_ps(slopes + (2 * k + 1) * LANES, _mm256_extractf128_ps(numbers, 1));
        }
    }
}

/* Goes on to the stripe's next patch, and on the way back after the last. Whether there is one. */
static inline int goes_on(struct group *group, long patch, const struct field *at)
{
    const long way = group->pass[patch] ? -1 : 1;
    group->column[patch] += way;
    if (group->column[patch] >= 0 && group->column[patch] < at->columns) return 1;
    group->row[patch] += way;
    group->column[patch] = way > 0 ? 0 : at->columns - 1;
    if (group->row[patch] >= group->stripe_first[patch] && group->row[patch] < group->stripe_end[patch]) return 1;
    group->row[patch] -= way;
    group->column[patch] = at->columns - 1;
    return ++group->pass[patch] < PASSES;
}

static void begin(struct group *group, long patch, const struct field *at)
{
    const long way = group->pass[patch] ? -1 : 1, row = group->row[patch], column = group->column[patch];
    const long here = row * at->columns + column, before = column - way, above = row - way;
    long others[CANDIDATES], count = 0;
    others[count++] = here;
    if (before >= 0 && before < at->columns) others[count++] = here - way;
    if (above >= group->stripe_first[patch] && above < group->stripe_end[patch]) others[count++] = here - way * at->columns;
    for (long k = CANDIDATES - 1, from = count - 1; from >= 0; k--, from--) {
        put(group->other_x + k, patch, at->u_x[others[from]]);
        put(group->other_y + k, patch, at->u_y[others[from]]);
    }
    put(&group->u_x, patch, at->u_x[here]);
    put(&group->u_y, patch, at->u_y[here]);
    put(&group->done, patch, CANDIDATES - count);
    put(&group->error, patch, INFINITY);
    put(&group->x, patch, column * at->stride);
    put(&group->y, patch, row * at->stride);
    for (int k = 0; k < 3; k++) put(group->inverse + k, patch, at->inverse[k][here]);
    put(&group->total_x, patch, at->total_x[here]);
    put(&group->total_y, patch, at->total_y[here]);
    load(group, patch, at, row * at->stride * at->width + column * at->stride);
}

/* Keeps what a patch has found, but not what is farther off than a patch is wide, and begins the next one. */
static void finish(struct group *group, long patch, const struct field *at)
{
    const long here = group->row[patch] * at->columns + group->column[patch];
    const float x = got(&group->u_x, patch), y = got(&group->u_y, patch);
    const float best_x = got(&group->best_x, patch), best_y = got(&group->best_y, patch);
    const double off_x = x - best_x, off_y = y - best_y;
    const int near = sqrt(off_x * off_x + off_y * off_y) <= SIDE;
    at->u_x[here] = near ? x : best_x;
    at->u_y[here] = near ? y : best_y;
    if (goes_on(group, patch, at)) {
        begin(group, patch, at);
        return;
    }
    group->active--;
    put(&group->done, patch, -INFINITY); /* compared on and on, without end */
}

/* Compares the patches where they are looked for, and says where next. Returns which of the floats are of patches that have
 * ended: the error is no less, or there are no steps left. */
static inline int compared(struct group *group, const struct field *at)
{
    const long line = at->width + 2 * BORDER;
    const vec one = equal(1), u_x = group->u_x, u_y = group->u_y;
    const vec x = LESSER(GREATER(group->x + u_x + equal(BORDER), equal(BORDER - SIDE + 1)), equal(BORDER + at->width - 1.0f));
    const vec y = LESSER(GREATER(group->y + u_y + equal(BORDER), equal(BORDER - SIDE + 1)), equal(BORDER + at->height - 1.0f));
    const vec left = FLOOR(x), top = FLOOR(y), right = x - left, down = y - top;
    const vec w11 = down * right, w10 = down * (left + one - x), w01 = (top + one - y) * right,
              w00 = (top + one - y) * (left + one - x);
    const vint offsets = whole(top) * (int32_t)line + whole(left);
    const float *window[PATCHES];
    for (int p = 0; p < PATCHES; p++) window[p] = at->second + offsets[FOUR * p];

    const vec e00 = EARLIER(w00), e01 = EARLIER(w01), e10 = EARLIER(w10), e11 = EARLIER(w11);
    const vec l00 = LATER(w00), l01 = LATER(w01), l10 = LATER(w10), l11 = LATER(w11);
    vec sum = equal(0), squares = sum, sum_x = sum, sum_y = sum;
    vec a = eights(window, 0), b = eights(window, 1), c = eights(window + HALF, 0), d = eights(window + HALF, 1);
#pragma GCC unroll 8
    for (int row = 0; row < SIDE; row++) {
        const vec *own = group->patch[row];
        for (int p = 0; p < PATCHES; p++) window[p] += line;
        const vec below_a = eights(window, 0), below_b = eights(window, 1);
        const vec below_c = eights(window + HALF, 0), below_d = eights(window + HALF, 1);
        const vec earlier = e00 * a + e01 * b + e10 * below_a + e11 * below_b - own[0];
        const vec later = l00 * c + l01 * d + l10 * below_c + l11 * below_d - own[1];
        const vec left_half = LEFT(earlier, later), right_half = RIGHT(earlier, later);
        sum_x += left_half * own[2] + right_half * own[3];
        sum_y += left_half * own[4] + right_half * own[5];
        squares += left_half * left_half + right_half * right_half;
        sum += left_half + right_half;
        a = below_a, b = below_b, c = below_c, d = below_d;
    }
    sum = summed(sum), squares = summed(squares), sum_x = summed(sum_x), sum_y = summed(sum_y);

    const vec share = equal(1.0f / AREA), done = group->done;
    const vec error = squares - sum * sum * share;
    const mask candidate = less(done, equal(CANDIDATES)), better = less(error, group->error);
    const mask last = less(equal(CANDIDATES - 1.5f), done); /* or beyond */
    const vec step_x = sum_x - sum * group->total_x * share, step_y = sum_y - sum * group->total_y * share;
    const vec new_x = chosen(better, step_x, group->step_x), new_y = chosen(better, step_y, group->step_y);
    group->step_x = chosen(candidate, new_x, step_x), group->step_y = chosen(candidate, new_y, step_y);
    group->best_x = chosen(candidate, chosen(better, u_x, group->best_x), group->best_x);
    group->best_y = chosen(candidate, chosen(better, u_y, group->best_y), group->best_y);
    group->error = chosen(better, error, group->error);
    const vec from_x = chosen(candidate, group->best_x, u_x), from_y = chosen(candidate, group->best_y, u_y);
    const vec to_x = from_x - (group->inverse[0] * group->step_x + group->inverse[1] * group->step_y);
    const vec to_y = from_y - (group->inverse[1] * group->step_x + group->inverse[2] * group->step_y);
    const mask first = less(done, equal(0.5f));
    group->u_x = chosen(last, to_x, chosen(first, group->other_x[1], group->other_x[2]));
    group->u_y = chosen(last, to_y, chosen(first, group->other_y[1], group->other_y[2]));
    group->done = done + one;
    const vec steps = done - equal(CANDIDATES - 2); /* taken so far, of the candidates' best one's too */
    return bits(last) & (~bits(less(steps, equal(at->steps))) | (~bits(candidate) & ~bits(better)));
}

/* Finds the patches, from where they are found so far. */
static void search(const struct field *at, struct group *groups)
{
    const long height = (at->rows + STRIPES - 1) / STRIPES;
    long active = 0;
    memset(groups, 0, GROUPS * sizeof(struct group));
    for (long stripe = 0; stripe < STRIPES; stripe++) {
        struct group *group = groups + stripe % GROUPS;
        const long patch = stripe / GROUPS, first = stripe * height, end = first + height;
        group->row[patch] = group->stripe_first[patch] = first;
        group->stripe_end[patch] = end < at->rows ? end : at->rows;
        put(&group->done, patch, -INFINITY);
        if (first >= at->rows) continue;
        group->active++, active++;
        begin(group, patch, at);
    }
    int ended[GROUPS] = {0};
    while (active)
        for (long g = 0; g < GROUPS; g++) {
            if (groups[g].active) ended[g] = compared(groups + g, at);
            /* The next one's, which were compared before: what is compared now goes on meanwhile. */
            struct group *next = groups + (g + 1) % GROUPS;
            int which = ended[(g + 1) % GROUPS];
            ended[(g + 1) % GROUPS] = 0;
            active -= next->active;
            for (; which; which &= ~(15 << __builtin_ctz(which))) finish(next, __builtin_ctz(which) / FOUR, at);
            active += next->active;
        }
}
