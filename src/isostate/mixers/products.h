// Small matrices in vectors: products, transposes, exponentials. `real` is float, or double where DOUBLE is defined.
//
// Vectors are those of GCC and Clang, as long as the processor's; whole matrices fit in its first cache levels.

#pragma once

#include <cmath>
#include <cstdint>
#include <cstring>
#include <utility>

#ifdef DOUBLE
typedef double real;
typedef int64_t whole;
#else
typedef float real;
typedef int32_t whole;
#endif

#if defined(__AVX512F__)
constexpr int VECTOR_BYTES = 64, TILE_ROWS = 8;  // 8 rows of two vectors: 16 of 32 registers, as many sums as hide latency
#elif defined(__aarch64__)
constexpr int VECTOR_BYTES = 16, TILE_ROWS = 8;
#else
constexpr int VECTOR_BYTES = 32, TILE_ROWS = 4;
#endif
constexpr int VL = VECTOR_BYTES / sizeof(real), HALF = VL / 2;

template <int N> struct Lanes {
    typedef real vec __attribute__((vector_size(N * sizeof(real))));
    typedef real loose __attribute__((vector_size(N * sizeof(real)), aligned(sizeof(real)), may_alias));
};
typedef Lanes<VL>::vec vec;
typedef whole ivec __attribute__((vector_size(VECTOR_BYTES)));

template <int N> static inline typename Lanes<N>::vec load_of(const real* p) { return *(const typename Lanes<N>::loose*)p; }
template <int N> static inline void store_of(real* p, typename Lanes<N>::vec x) { *(typename Lanes<N>::loose*)p = x; }
static inline vec load(const real* p) { return load_of<VL>(p); }
static inline void store(real* p, vec x) { store_of<VL>(p, x); }
static inline vec all(real x) { return x - vec{}; }
static inline vec choose(ivec mask, vec yes, vec no) { return mask ? yes : no; }
static inline int least(int a, int b) { return a < b ? a : b; }
static inline int most(int a, int b) { return a > b ? a : b; }
static inline int padded(int n, int to) { return (n + to - 1) / to * to; }

// Rows of a matrix of n columns, apart: an odd number of cache lines, so that a column does not crowd a few of its sets.
static inline long apart(int n) {
    constexpr int LINE = 64 / sizeof(real);
    return ((padded(n, LINE) / LINE) | 1) * (long)LINE;
}

template <int N> static inline real sum_of_lanes(typename Lanes<N>::vec x) {  // halves added to halves
    typename Lanes<N / 2>::vec halves[2];
    memcpy(halves, &x, sizeof(x));
    return sum_of_lanes<N / 2>(halves[0] + halves[1]);
}
template <> inline real sum_of_lanes<1>(Lanes<1>::vec x) { return x[0]; }
static inline real sum_of(vec x) { return sum_of_lanes<VL>(x); }

static inline ivec lanes() {
    ivec x;
    for (int i = 0; i < VL; i++) x[i] = i;
    return x;
}

// exp(x), 0 below the smallest normal number, infinite above the largest; about one unit in the last place.
// 2^n is made in the exponent's bits, the rest is a Taylor polynomial on |r| <= ln(2) / 2.
static inline vec exp_of(vec x) {
#ifdef DOUBLE
    const real SHIFT = 6755399441055744.0, HIGH = 0.693145751953125, LOW = 1.42860682030941723212e-6;
    const real LEAST = -708.0, MOST = 709.0;
    const int MANTISSA = 52, TERMS = 13;
#else
    const real SHIFT = 12582912.0f, HIGH = 0.693359375f, LOW = -2.12194440e-4f, LEAST = -87.0f, MOST = 88.0f;
    const int MANTISSA = 23, TERMS = 7;
#endif
    const real LOG2E = 1.44269504088896340736;
    static const real INVERSE_FACTORIAL[] = {1., 1., 1. / 2, 1. / 6, 1. / 24, 1. / 120, 1. / 720, 1. / 5040, 1. / 40320,
                                             1. / 362880, 1. / 3628800, 1. / 39916800, 1. / 479001600, 1. / 6227020800};
    ivec small = x < all(LEAST), usual = x <= all(MOST);  // neither holds for what is not a number
    vec clamped = choose(small, all(0), choose(usual, x, all(0)));
    vec shifted = clamped * LOG2E + SHIFT;
    vec n = shifted - SHIFT;
    vec r = clamped - n * HIGH - n * LOW;
    vec sum = all(INVERSE_FACTORIAL[TERMS]);
    for (int i = TERMS - 1; i >= 0; i--) sum = sum * r + INVERSE_FACTORIAL[i];
    vec raised = (vec)(((ivec)shifted << MANTISSA) + (ivec)sum);
    return choose(small, all(0), choose(usual, raised, x + INFINITY));
}

// C[m x n] (+)= A[m x k] B[k x n]: A by the distances of its rows and columns, B and C by those of their rows.
template <int ROWS, int COLUMNS, int N>
static inline void product_tile(int k, const real* A, long ars, long acs, const real* B, long brs, real* C, long crs,
                                bool add) {
    typename Lanes<N>::vec sum[ROWS][COLUMNS];
    for (int i = 0; i < ROWS; i++)
        for (int j = 0; j < COLUMNS; j++)
            sum[i][j] = add ? load_of<N>(C + i * crs + j * N) : typename Lanes<N>::vec{};
    for (int l = 0; l < k; l++) {
        typename Lanes<N>::vec b[COLUMNS];
        for (int j = 0; j < COLUMNS; j++) b[j] = load_of<N>(B + l * brs + j * N);
        for (int i = 0; i < ROWS; i++) {
            typename Lanes<N>::vec a = A[i * ars + l * acs] - typename Lanes<N>::vec{};
            for (int j = 0; j < COLUMNS; j++) sum[i][j] += a * b[j];
        }
    }
    for (int i = 0; i < ROWS; i++)
        for (int j = 0; j < COLUMNS; j++) store_of<N>(C + i * crs + j * N, sum[i][j]);
}

template <int COLUMNS, int N>
static inline void product_columns(int m, int k, const real* A, long ars, long acs, const real* B, long brs, real* C,
                                   long crs, bool add) {
    int i = 0;
    for (; i + TILE_ROWS <= m; i += TILE_ROWS)
        product_tile<TILE_ROWS, COLUMNS, N>(k, A + i * ars, ars, acs, B, brs, C + i * crs, crs, add);
    if (TILE_ROWS > 4 && i + 4 <= m) {
        product_tile<4, COLUMNS, N>(k, A + i * ars, ars, acs, B, brs, C + i * crs, crs, add);
        i += 4;
    }
    if (i + 2 <= m) {
        product_tile<2, COLUMNS, N>(k, A + i * ars, ars, acs, B, brs, C + i * crs, crs, add);
        i += 2;
    }
    if (i < m) product_tile<1, COLUMNS, N>(k, A + i * ars, ars, acs, B, brs, C + i * crs, crs, add);
}

// n is a multiple of HALF: B and C have room for it.
static void product(int m, int n, int k, const real* A, long ars, long acs, const real* B, long brs, real* C, long crs,
                    bool add) {
    int j = 0;
    for (; j + 2 * VL <= n; j += 2 * VL) product_columns<2, VL>(m, k, A, ars, acs, B + j, brs, C + j, crs, add);
    if (j + VL <= n) {
        product_columns<1, VL>(m, k, A, ars, acs, B + j, brs, C + j, crs, add);
        j += VL;
    }
    if (j < n) product_columns<1, HALF>(m, k, A, ars, acs, B + j, brs, C + j, crs, add);
}

#if defined(__has_builtin) && __has_builtin(__builtin_shufflevector)
template <int N, int... I> static inline typename Lanes<2 * N>::vec behind(
    typename Lanes<N>::vec a, typename Lanes<N>::vec b, std::integer_sequence<int, I...>) {
    return __builtin_shufflevector(a, b, I...);
}

// Four elements of each of N / 4 rows, four rows apart, one behind the other.
template <int N> static inline typename Lanes<N>::vec beside(const real* in, long irs) {
    if constexpr (N == 4) return load_of<4>(in);
    else return behind<N / 2>(beside<N / 2>(in, irs), beside<N / 2>(in + N * irs / 2, irs), std::make_integer_sequence<int, N>{});
}

// Within each four lanes: PAIR 0 a0 b0 a1 b1, PAIR 1 a2 b2 a3 b3; HALF_OF 0 a0 a1 b0 b1, HALF_OF 1 a2 a3 b2 b3.
template <int N, int PAIR, int... I> static inline typename Lanes<N>::vec zip(
    typename Lanes<N>::vec a, typename Lanes<N>::vec b, std::integer_sequence<int, I...>) {
    return __builtin_shufflevector(a, b, ((I & ~3) + 2 * PAIR + (I & 3) / 2 + (I & 1) * N)...);
}
template <int N, int HALF_OF, int... I> static inline typename Lanes<N>::vec join(
    typename Lanes<N>::vec a, typename Lanes<N>::vec b, std::integer_sequence<int, I...>) {
    return __builtin_shufflevector(a, b, ((I & ~3) + 2 * HALF_OF + (I & 1) + (I & 2) / 2 * N)...);
}

// The first rows of `transpose`, N at a time; returns how many.
template <int N> static inline int transpose_rows(int r, int n, int m, const real* in, long irs, real* out, long ors) {
    constexpr std::make_integer_sequence<int, N> every{};
    for (; r + N <= n; r += N) {
        int c = 0;
        for (; c + 4 <= m; c += 4) {
            typename Lanes<N>::vec x[4];
            for (int i = 0; i < 4; i++) x[i] = beside<N>(in + (r + i) * irs + c, irs);
            const auto low01 = zip<N, 0>(x[0], x[1], every), high01 = zip<N, 1>(x[0], x[1], every);
            const auto low23 = zip<N, 0>(x[2], x[3], every), high23 = zip<N, 1>(x[2], x[3], every);
            store_of<N>(out + c * ors + r, join<N, 0>(low01, low23, every));
            store_of<N>(out + (c + 1) * ors + r, join<N, 1>(low01, low23, every));
            store_of<N>(out + (c + 2) * ors + r, join<N, 0>(high01, high23, every));
            store_of<N>(out + (c + 3) * ors + r, join<N, 1>(high01, high23, every));
        }
        for (; c < m; c++)
            for (int i = 0; i < N; i++) out[c * ors + r + i] = in[(r + i) * irs + c];
    }
    return r;
}
#endif

// out[c][r] = in[r][c] for n rows of m elements, by blocks of a vector by four.
static void transpose(int n, int m, const real* in, long irs, real* out, long ors) {
    int r = 0;
#if defined(__has_builtin) && __has_builtin(__builtin_shufflevector)
    if (VL > 4) r = transpose_rows<(VL > 4 ? VL : 4)>(r, n, m, in, irs, out, ors);
    r = transpose_rows<4>(r, n, m, in, irs, out, ors);
#endif
    for (; r < n; r++)
        for (int c = 0; c < m; c++) out[c * ors + r] = in[r * irs + c];
}
