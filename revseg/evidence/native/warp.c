/* What is found along optical flow: planes of numbers, ways behind ways, and how far a way there and back agrees.
 *
 *     found(p) = planes(way(p)),     linearly between the four pixels around; beyond the border, what is at the border
 *
 * A way leads from each pixel of a frame to a place in another: two planes, x and y, of positions in float32, or of displacements
 * in int16, in 1/32 of a pixel from where the pixel is. All is computed of a vector of pixels at a time, so that positions and
 * weights never lie in memory. Where neighbours lead to neighbours, which is where nothing moves by itself, their values are
 * read as they lie, not one by one: the numbers are the same.
 */
#include "vector.h"
#include <math.h>
#include <string.h>

#define SUBPIXEL 32

#ifdef __AVX512F__
typedef int16_t vshort __attribute__((vector_size(32)));
#define SQUARE_ROOT(x) _mm512_sqrt_ps(x)
#define ALL_EQUAL(a, b) (_mm512_cmpneq_epi32_mask((__m512i)(a), (__m512i)(b)) == 0)
#else
typedef int16_t vshort __attribute__((vector_size(16)));
#define SQUARE_ROOT(x) _mm256_sqrt_ps(x)
#define ALL_EQUAL(a, b) (_mm256_movemask_epi8(_mm256_cmpeq_epi32((__m256i)(a), (__m256i)(b))) == -1)
#endif

struct way {
    const void *x, *y; /* (height, width) each */
    int displaced;
};

struct size {
    long height, width; /* at least 2 each */
};

/* Where a vector of pixels leads to: the pixel before, its number in the frame, and how far on from there, 0 to 1. */
struct place {
    vec x, y, right, down;
    vint number;
    int together; /* the numbers are neighbours */
};

static inline vec all(float x) { return x - (vec){0}; }
static inline vec numbers(void)
{
    vec found;
    for (long i = 0; i < LANES; i++) found[i] = i;
    return found;
}
static inline vint counted(void) { return __builtin_convertvector(numbers(), vint); }

/* n numbers, or as many as a vector has; the rest is 0. */
static inline vec some(const float *from, long n)
{
    vec found = {0};
    if (n >= LANES)
        memcpy(&found, from, sizeof(vec));
    else
        memcpy(&found, from, sizeof(float) * n);
    return found;
}

static inline void put(float *to, vec x, long n) { memcpy(to, &x, n >= LANES ? sizeof(vec) : sizeof(float) * n); }

static inline vec coordinate(const void *plane, int displaced, vec own, long at, long n)
{
    if (!displaced) return some((const float *)plane + at, n);
    vshort found = {0};
    const int16_t *from = (const int16_t *)plane + at;
    if (n >= LANES)
        memcpy(&found, from, sizeof(found));
    else
        memcpy(&found, from, sizeof(int16_t) * n);
    return own + __builtin_convertvector(found, vec) * all(1.0f / SUBPIXEL);
}

/* What lies this far on is needed soon: no processor foresees where a way leads to, nor goes on from page to page. */
static inline void soon(const void *plane, long number, long bytes) { __builtin_prefetch((const char *)plane + number * bytes); }

/* Where n pixels from column `left` of a row on lead to. */
static inline struct place place(struct way way, long row, long left, long n, struct size size)
{
    const long at = row * size.width + left;
    const vec x = coordinate(way.x, way.displaced, numbers() + (float)left, at, n);
    const vec y = coordinate(way.y, way.displaced, all(row), at, n);
    const long bytes = way.displaced ? sizeof(int16_t) : sizeof(float);
    soon(way.x, at + size.width, bytes);
    soon(way.y, at + size.width, bytes);
    struct place found;
    found.x = BETWEEN(x, 0, (float)(size.width - 1));
    found.y = BETWEEN(y, 0, (float)(size.height - 1));
    /* At the last pixel wholly on from the one before: its neighbour is always there. */
    const vec column = LESSER(FLOOR(found.x), all(size.width - 2)), line = LESSER(FLOOR(found.y), all(size.height - 2));
    found.right = found.x - column;
    found.down = found.y - line;
    found.number = __builtin_convertvector(line, vint) * (int)size.width + __builtin_convertvector(column, vint);
    found.together = ALL_EQUAL(found.number, found.number[0] + counted());
    return found;
}

static inline vec between(vec one, vec other, vec share) { return one + share * (other - one); }

/* Numbers and those beside them, two at a time. */
static inline void pairs(const float *from, vint number, vec *one, vec *right)
{
#ifdef __AVX512F__
    const __m512 first = _mm512_castpd_ps(_mm512_i32gather_pd(_mm512_castsi512_si256((__m512i)number), from, 4));
    const __m512 second = _mm512_castpd_ps(_mm512_i32gather_pd(_mm512_extracti64x4_epi64((__m512i)number, 1), from, 4));
    const __m512i even = _mm512_set_epi32(30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
    *one = _mm512_permutex2var_ps(first, even, second);
    *right = _mm512_permutex2var_ps(first, _mm512_add_epi32(even, _mm512_set1_epi32(1)), second);
#else
    const __m128i earlier = _mm256_castsi256_si128((__m256i)number), later = _mm256_extracti128_si256((__m256i)number, 1);
    const __m256 first = _mm256_castpd_ps(_mm256_i32gather_pd((const double *)from, earlier, 4));
    const __m256 second = _mm256_castpd_ps(_mm256_i32gather_pd((const double *)from, later, 4));
    const int in_order = 0xd8; /* the pairs of the first and of the second lie interleaved */
    *one = (__m256)_mm256_permute4x64_epi64((__m256i)_mm256_shuffle_ps(first, second, 0x88), in_order);
    *right = (__m256)_mm256_permute4x64_epi64((__m256i)_mm256_shuffle_ps(first, second, 0xdd), in_order);
#endif
}

static inline vec at(const float *plane, const struct place *p, struct size size)
{
    vec upper, upper_right, lower, lower_right;
    if (p->together) {
        const float *from = plane + p->number[0];
        memcpy(&upper, from, sizeof(vec));
        memcpy(&upper_right, from + 1, sizeof(vec));
        memcpy(&lower, from + size.width, sizeof(vec));
        memcpy(&lower_right, from + size.width + 1, sizeof(vec));
    } else {
        pairs(plane, p->number, &upper, &upper_right);
        pairs(plane + size.width, p->number, &lower, &lower_right);
    }
    return between(between(upper, upper_right, p->right), between(lower, lower_right, p->right), p->down);
}

/* Two neighbours in int16 lie in 32 bits, the first below. */
static inline vec below(vint pairs) { return __builtin_convertvector((pairs << 16) >> 16, vec); }
static inline vec above(vint pairs) { return __builtin_convertvector(pairs >> 16, vec); }

static inline vec widened(const int16_t *from)
{
    vshort found;
    memcpy(&found, from, sizeof(found));
    return __builtin_convertvector(found, vec);
}

static inline vint pairs_of(const int16_t *plane, vint number)
{
    /* A gather counts in steps of 2 bytes here: of 32 bits from each. */
#ifdef __AVX512F__
    return (vint)_mm512_i32gather_epi32((__m512i)number, (const int *)plane, 2);
#else
    return (vint)_mm256_i32gather_epi32((const int *)plane, (__m256i)number, 2);
#endif
}

/* A displacement at a place, in pixels. */
static inline vec displacement(const int16_t *plane, const struct place *p, struct size size)
{
    vec upper, lower;
    if (p->together) {
        const int16_t *from = plane + p->number[0];
        upper = between(widened(from), widened(from + 1), p->right);
        lower = between(widened(from + size.width), widened(from + size.width + 1), p->right);
    } else {
        const vint first = pairs_of(plane, p->number), second = pairs_of(plane + size.width, p->number);
        upper = between(below(first), above(first), p->right);
        lower = between(below(second), above(second), p->right);
    }
    return between(upper, lower, p->down) * all(1.0f / SUBPIXEL);
}

/* Where a second way leads from a place: x and y. */
static inline void onwards(struct way second, const struct place *p, struct size size, vec *x, vec *y)
{
    const long bytes = second.displaced ? sizeof(int16_t) : sizeof(float), next = p->number[0] + 2 * size.width;
    soon(second.x, next, bytes);
    soon(second.y, next, bytes);
    if (second.displaced) {
        *x = p->x + displacement(second.x, p, size);
        *y = p->y + displacement(second.y, p, size);
    } else {
        *x = at(second.x, p, size);
        *y = at(second.y, p, size);
    }
}

static struct way way_of(const char *planes, long displaced, struct size size)
{
    const long bytes = size.height * size.width * (displaced ? sizeof(int16_t) : sizeof(float));
    return (struct way){planes, planes + bytes, displaced};
}

/* found(p) = second(first(p)): positions (2, height, width). */
void follow(
    const char *first, long first_displaced, const char *second, long second_displaced, float *found, long height, long width)
{
    const struct size size = {height, width};
    const struct way there = way_of(first, first_displaced, size), on = way_of(second, second_displaced, size);
    for (long row = 0; row < height; row++)
        for (long left = 0; left < width; left += LANES) {
            const long n = width - left;
            const struct place p = place(there, row, left, n, size);
            vec x, y;
            onwards(on, &p, size, &x, &y);
            put(found + row * width + left, x, n);
            put(found + (height + row) * width + left, y, n);
        }
}

/* Weights of the four pixels around, of cubic convolution with a = -3/4 (Keys, "Cubic convolution interpolation", 1981). */
static inline void cubic_weights(float on, float weight[4])
{
    const float a = -0.75f, far = on + 1, back = 1 - on;
    weight[0] = ((a * far - 5 * a) * far + 8 * a) * far - 4 * a;
    weight[1] = ((a + 2) * on - (a + 3)) * on * on + 1;
    weight[2] = ((a + 2) * back - (a + 3)) * back * back + 1;
    weight[3] = 1 - weight[0] - weight[1] - weight[2];
}

static inline long within(long x, long least, long most) { return x < least ? least : x > most ? most : x; }

/* A plane of 0 to 1, cubically, where a pixel leads to. */
static float cubic(const float *plane, struct way way, long number, struct size size)
{
    float place[2];
    for (int axis = 0; axis < 2; axis++) {
        const void *own = axis ? way.y : way.x;
        const float from = axis ? number / size.width : number % size.width, last = axis ? size.height - 1 : size.width - 1;
        const float to = way.displaced ? from + ((const int16_t *)own)[number] * (1.0f / SUBPIXEL) : ((const float *)own)[number];
        place[axis] = to < 0 ? 0 : to > last ? last : to;
    }
    const long column = place[0], line = place[1];
    float across[4], down[4], total = 0;
    cubic_weights(place[0] - column, across);
    cubic_weights(place[1] - line, down);
    for (long y = 0; y < 4; y++) {
        const float *from = plane + within(line + y - 1, 0, size.height - 1) * size.width;
        float sum = 0;
        for (long x = 0; x < 4; x++) sum += across[x] * from[within(column + x - 1, 0, size.width - 1)];
        total += down[y] * sum;
    }
    return total < 0 ? 0 : total > 1 ? 1 : total;
}

/* total_c(p) = own_c(p) + sum_n share_n(p) planes_nc(way_n(p)),     c: planes (height, width), one after the other
 *
 * own: absent, 0. share: absent, 1. sharp: numbers of the pixels that are looked up cubically, from planes of 0 to 1. */
void gather(
    float *total, const float *own, long classes, long around, const float *const *planes, const char *const *ways,
    const long *displaced, const float *const *shares, const long *sharp, long sharps, long height, long width)
{
    const struct size size = {height, width};
    const long area = height * width;
    /* Probabilities that fade from frame to frame end below what is computed in one go: they are 0. */
    const unsigned before = _mm_getcsr();
    _mm_setcsr(before | _MM_FLUSH_ZERO_ON | _MM_DENORMALS_ZERO_ON);
    /* Neighbour by neighbour, a row at a time: arrays of a size often lie whole pages apart, and more of them than a cache has
     * ways would drive one another out of it. */
    for (long row = 0; row < height; row++) {
        for (long c = 0; c < classes; c++) {
            float *sums = total + c * area + row * width;
            if (own)
                memcpy(sums, own + c * area + row * width, sizeof(float) * width);
            else
                memset(sums, 0, sizeof(float) * width);
        }
        for (long n = 0; n < around; n++) {
            const struct way way = way_of(ways[n], displaced[n], size);
            for (long left = 0; left < width; left += LANES) {
                const long count = width - left, first = row * width + left;
                const struct place p = place(way, row, left, count, size);
                const vec share = shares[n] ? some(shares[n] + first, count) : all(1);
                if (shares[n]) soon(shares[n], first + width, sizeof(float));
                for (long c = 0; c < classes; c++) soon(planes[n] + c * area, p.number[0] + 2 * width, sizeof(float));
                for (long c = 0; c < classes; c++) {
                    float *sums = total + c * area + first;
                    put(sums, some(sums, count) + share * at(planes[n] + c * area, &p, size), count);
                }
            }
        }
    }
    for (long s = 0; s < sharps; s++) {
        const long number = sharp[s];
        for (long c = 0; c < classes; c++) {
            float sum = own ? own[c * area + number] : 0;
            for (long n = 0; n < around; n++) {
                const float found = cubic(planes[n] + c * area, way_of(ways[n], displaced[n], size), number, size);
                sum += shares[n] ? shares[n][number] * found : found;
            }
            total[c * area + number] = sum;
        }
    }
    _mm_setcsr(before);
}

/* e^x of x <= 0: 2^n e^r, |r| <= ln 2 / 2, by the series of e^r up to r^6. Below -87 it is that of -87. */
static inline vec exponential(vec x)
{
    x = GREATER(x, all(-87));
    const vec n = NEAREST(x * all(1.44269504f));
    const vec r = (x - n * all(0.693359375f)) - n * all(-2.12194440e-4f);
    vec sum = all(1.0f / 720);
    sum = sum * r + all(1.0f / 120);
    sum = sum * r + all(1.0f / 24);
    sum = sum * r + all(1.0f / 6);
    sum = sum * r + all(0.5f);
    sum = sum * r + all(1);
    sum = sum * r + all(1);
    return sum * (vec)((__builtin_convertvector(n, vint) + 127) << 23);
}

/* Colours, and those beside them. */
static inline void colours_at(const uint32_t *from, const struct place *p, vint *one, vint *right)
{
    if (p->together) {
        memcpy(one, from + p->number[0], sizeof(vint));
        memcpy(right, from + p->number[0] + 1, sizeof(vint));
    } else {
        vec bits, bits_right;
        pairs((const float *)from, p->number, &bits, &bits_right);
        *one = (vint)bits;
        *right = (vint)bits_right;
    }
}

static inline vec channel(vint colours, int number) { return __builtin_convertvector((colours >> (8 * number)) & 255, vec); }

/* agreement(p) = max(least, exp(-|fro(to(p)) - p| / reach - sum of |difference of colour| / contrast))
 *
 * Of a part of the frame, (rows, columns), which begins at top and left. to, fro: ways of whole frames. colours: red, green and
 * blue in the lower bytes; where they are between pixels, rounded: less than half of a step is no difference. */
void agreement(
    float *found, const char *to, long to_displaced, const char *fro, long fro_displaced, const uint32_t *colours,
    const uint32_t *other_colours, const long *part, long height, long width, float reach, float contrast, float least)
{
    const struct size size = {height, width};
    const struct way there = way_of(to, to_displaced, size), back = way_of(fro, fro_displaced, size);
    const long top = part[0], first = part[1], rows = part[2], columns = part[3];
    const vec by_reach = all(-1 / reach), by_contrast = all(-1 / contrast);
    for (long row = top; row < top + rows; row++)
        for (long left = first; left < first + columns; left += LANES) {
            const long n = first + columns - left;
            const struct place p = place(there, row, left, n, size);
            vec x, y;
            onwards(back, &p, size, &x, &y);
            x -= numbers() + (float)left;
            y -= all(row);
            vint own = {0};
            memcpy(&own, colours + row * width + left, n >= LANES ? sizeof(vint) : sizeof(uint32_t) * n);
            soon(colours, (row + 1) * width + left, sizeof(uint32_t));
            soon(other_colours, p.number[0] + 2 * width, sizeof(uint32_t));
            vint upper, upper_right, lower, lower_right;
            colours_at(other_colours, &p, &upper, &upper_right);
            colours_at(other_colours + width, &p, &lower, &lower_right);
            vec differs = {0};
            for (int c = 0; c < 3; c++) {
                const vec high = between(channel(upper, c), channel(upper_right, c), p.right);
                const vec low = between(channel(lower, c), channel(lower_right, c), p.right);
                const vec difference = NEAREST(between(high, low, p.down)) - channel(own, c);
                differs += GREATER(difference, -difference);
            }
            const vec exponent = SQUARE_ROOT(x * x + y * y) * by_reach + differs * by_contrast;
            put(found + (row - top) * columns + left - first, GREATER(exponential(exponent), all(least)), n);
        }
}
