/* Numbers of a whole vector of the processor, and what C has no words for. */
#pragma once
#include <immintrin.h>
#include <stdint.h>

#ifdef __AVX512F__
typedef __m512 vec;
typedef int32_t vint __attribute__((vector_size(64)));
#define BETWEEN(x, least, most) _mm512_max_ps(_mm512_min_ps(x, _mm512_set1_ps(most)), _mm512_set1_ps(least))
#define NEAREST(x) _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)
#define FLOOR(x) _mm512_roundscale_ps(x, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC)
#define LESSER(x, y) _mm512_min_ps(x, y)
#define GREATER(x, y) _mm512_max_ps(x, y)
#else
typedef __m256 vec;
typedef int32_t vint __attribute__((vector_size(32)));
#define BETWEEN(x, least, most) _mm256_max_ps(_mm256_min_ps(x, _mm256_set1_ps(most)), _mm256_set1_ps(least))
#define NEAREST(x) _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)
#define FLOOR(x) _mm256_floor_ps(x)
#define LESSER(x, y) _mm256_min_ps(x, y)
#define GREATER(x, y) _mm256_max_ps(x, y)
#endif
typedef uint32_t vuint __attribute__((vector_size(sizeof(vec))));
#define LANES ((long)(sizeof(vec) / sizeof(float)))
