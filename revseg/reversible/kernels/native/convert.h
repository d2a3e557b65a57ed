/* What the files here share: elements of a field, as numbers and back.
 *
 * The passes over a field on a CPU in which PyTorch's operators would go through memory many times. On the grid these give the
 * same bits: the same float32 products, each rounded before it is used. They are compiled with contraction off
 * (an FMA would round a product and a sum at once). Fields are contiguous, (T, H, W, C). Sizes count elements.
 */
#pragma once
#include "vector.h"
#include <math.h>
#include <string.h>

enum kind { INT16, FLOAT16, BFLOAT16, FLOAT32 };

static inline long bytes_of(enum kind kind) { return kind == FLOAT32 ? 4 : 2; }

#define LARGEST 32767.0f              /* beyond what an int16 state may reach, by one: the range check sees it */
#define ALONE 65536                   /* of so little, one thread is done before the others are awake */

/* ------------------------------------------------------------------ conversions of contiguous elements */

static inline void widen(const void *from, float *to, long n, enum kind kind)
{
    if (kind == INT16) {
        const int16_t *v = from;
        for (long i = 0; i < n; i++) to[i] = v[i];
    } else if (kind == BFLOAT16) {
        const uint16_t *v = from;
        for (long i = 0; i < n; i++) {
            uint32_t bits = (uint32_t)v[i] << 16;
            memcpy(to + i, &bits, 4);
        }
    } else if (kind == FLOAT16) {
        const uint16_t *v = from;
        long i = 0;
        for (; i + 8 <= n; i += 8) _mm256_storeu_ps(to + i, _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)(v + i))));
        for (; i < n; i++) to[i] = _cvtsh_ss(v[i]);
    } else {
        memcpy(to, from, 4 * n);
    }
}

static inline void narrow(const float *from, void *to, long n, enum kind kind)
{
    if (kind == INT16) {
        int16_t *v = to;
        for (long i = 0; i < n; i++) {
            float x = from[i] < -LARGEST ? -LARGEST : from[i];
            v[i] = (int16_t)(int32_t)(x > LARGEST ? LARGEST : x);
        }
    } else if (kind == BFLOAT16) { /* to the nearest, ties to even; nan stays nan */
        uint16_t *v = to;
        for (long i = 0; i < n; i++) {
            uint32_t bits;
            memcpy(&bits, from + i, 4);
            uint32_t rounded = (bits + 0x7fff + ((bits >> 16) & 1)) >> 16;
            v[i] = from[i] != from[i] ? 0x7fc0 : rounded;
        }
    } else if (kind == FLOAT16) {
        uint16_t *v = to;
        long i = 0;
        for (; i + 8 <= n; i += 8)
            _mm_storeu_si128((__m128i *)(v + i), _mm256_cvtps_ph(_mm256_loadu_ps(from + i), _MM_FROUND_TO_NEAREST_INT));
        for (; i < n; i++) v[i] = _cvtss_sh(from[i], _MM_FROUND_TO_NEAREST_INT);
    } else {
        memcpy(to, from, 4 * n);
    }
}

