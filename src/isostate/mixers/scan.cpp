// The selective scan on a CPU, forward and backward: scan.py's `chunked`, which has the equations and is the definition.
//
//     h_t = exp(dt_t A) h_{t-1} + dt_t B_t x_t,    y_t = C_t . h_t + D x_t
//
// Where a document begins the decay is 0: loops run from one beginning to the next, so that none costs nothing.
// A vector holds LANES neighbouring channels of one state: no sum runs across a vector but those of dB and dC over all
// channels. A unit of work is CHANNELS channels of one sequence; what units share (dA, dD, dB, dC) they write apart, so
// that results do not depend on the threads. Inside a chunk, states are taken a few at a time: their h, decays and sums
// stay in the first cache level, whatever R is. Nothing is allocated here.
//
// Vectors are those of GCC and Clang; they are cut to what the processor has. No OpenMP runtime is linked: torch has
// loaded its own, and a second one's threads would wait on the cores of the first.

#include <stdint.h>
#include <string.h>

namespace {

constexpr int CHUNK = 64;     // positions: the most that a chunk may have
constexpr int CHANNELS = 64;  // of a unit
constexpr double LN2 = 0.693147180559945309417;

template <typename S> struct Simd;

template <> struct Simd<float> {
    typedef float V __attribute__((vector_size(64)));
    typedef int32_t I __attribute__((vector_size(64)));
    static constexpr int MANTISSA = 23, DEGREE = 7;
    static constexpr float LOWEST = -125, HIGHEST = 127, ROUNDS = 12582912.0f;  // 1.5 * 2^23
};

template <> struct Simd<double> {
    typedef double V __attribute__((vector_size(64)));
    typedef int64_t I __attribute__((vector_size(64)));
    static constexpr int MANTISSA = 52, DEGREE = 13;
    static constexpr double LOWEST = -1021, HIGHEST = 1023, ROUNDS = 6755399441055744.0;  // 1.5 * 2^52
};

template <typename S> using V = typename Simd<S>::V;
template <typename S> constexpr int LANES = 64 / sizeof(S);
template <typename S> constexpr int BLOCKS = CHANNELS / LANES<S>;

template <typename S> inline V<S> fill(S value) { return V<S>{} + value; }

constexpr double taylor(int k) { return k ? taylor(k - 1) * LN2 / k : 1.0; }  // ln(2)^k / k!

template <typename S, int K> inline V<S> power_series(V<S> f) {
    if constexpr (K == Simd<S>::DEGREE)
        return fill<S>(S(taylor(K)));
    else
        return power_series<S, K + 1>(f) * f + S(taylor(K));
}

// 2^x: the nearest integer goes into the exponent, the rest, at most 1/2, into the series.
template <typename S> inline V<S> exp2(V<S> x) {
    typedef typename Simd<S>::I I;
    const V<S> lowest = fill<S>(Simd<S>::LOWEST), highest = fill<S>(Simd<S>::HIGHEST);
    x = x < lowest ? lowest : x;
    x = x > highest ? highest : x;
    const V<S> shifted = x + Simd<S>::ROUNDS;
    const V<S> value = power_series<S, 0>(x - (shifted - Simd<S>::ROUNDS));
    return (V<S>)((I)value + ((I)shifted << Simd<S>::MANTISSA));
}

template <typename S> inline V<S> load(const S *from, int64_t lanes) {
    V<S> v{};
    if (lanes == LANES<S>)
        memcpy(&v, from, sizeof v);
    else
        memcpy(&v, from, lanes * sizeof(S));
    return v;
}

template <typename S> inline void store(S *to, V<S> v, int64_t lanes) {
    if (lanes == LANES<S>)
        memcpy(to, &v, sizeof v);
    else
        memcpy(to, &v, lanes * sizeof(S));
}

// Channels of one state lie `stride` apart in A and in the states.
template <typename S> inline V<S> gather(const S *from, int64_t stride, int64_t lanes) {
    V<S> v{};
    for (int64_t l = 0; l < lanes; l++) v[l] = from[l * stride];
    return v;
}

template <typename S> inline void scatter(S *to, int64_t stride, V<S> v, int64_t lanes) {
    for (int64_t l = 0; l < lanes; l++) to[l * stride] = v[l];
}

template <typename S> inline S sum(V<S> v) {
    S total = 0;
    for (int l = 0; l < LANES<S>; l++) total += v[l];
    return total;
}

}  // namespace

// Shapes: x, dt, y, dy, dx, ddt (batch, T, I); B, C (batch, T, R) with rows `row` elements apart; A, (I, R); D, (I).
// states: (batch, n_chunks + 1, I, R), the first given, the others written, or (batch, 1, I, R) where kept = 0.
// dB, dC (batch, T, R) and dA, (I, R), dD, (I), once for each unit that shares them: first axis units of a sequence for
// dB and dC, batch for dA and dD. carry: (batch, I, R), in: gradient of the last state, out: of the first.
// starts: (batch, T), whether a position begins a document; null where none does.
template <typename S> struct Sizes {
    int64_t batch, T, I, R, chunk, row, kept, threads;
    const bool *starts;
    int64_t chunks() const { return (T + chunk - 1) / chunk; }
    int64_t units() const { return (I + CHANNELS - 1) / CHANNELS; }
    int64_t lanes(int64_t i) const { return I - i < LANES<S> ? I - i : LANES<S>; }
    int64_t state(int64_t b, int64_t n, int64_t i) const {
        return ((b * (kept ? chunks() + 1 : 1) + (kept ? n : 0)) * I + i) * R;
    }
};

namespace {

// Where documents begin in a chunk, and its length behind them.
struct Pieces {
    int64_t count = 0, end[CHUNK + 1];
    Pieces(const bool *starts, int64_t length) {
        for (int64_t t = 0; starts && t < length; t++)
            if (starts[t]) end[count++] = t;
        end[count] = length;
    }
};

// What a chunk reads of LANES channels, position by position.
template <typename S> struct Rows {
    V<S> dt[CHUNK], u[CHUNK];  // u = dt x
    void read(const Sizes<S> &z, const S *x, const S *dt_BTI, int64_t at, int64_t length, int64_t lanes) {
        for (int64_t t = 0; t < length; t++) {
            dt[t] = load(dt_BTI + at + t * z.I, lanes);
            u[t] = dt[t] * load(x + at + t * z.I, lanes);
        }
    }
};

// Reads of the states r .. r + N - 1 are added to y; h goes from the state before the chunk to that after it.
template <typename S, int N>
void forward_states(const Sizes<S> &z, const Rows<S> &rows, const S *A, const S *B, const S *C, const S *before,
                    S *after, V<S> *y, const Pieces &pieces, int64_t lanes) {
    V<S> h[N], rate[N];
    for (int r = 0; r < N; r++) {
        h[r] = gather(before + r, z.R, lanes);
        rate[r] = gather(A + r, z.R, lanes) * S(1 / LN2);
    }
    for (int64_t t = 0, p = 0; p <= pieces.count; p++) {
        for (; t < pieces.end[p]; t++)
            for (int r = 0; r < N; r++) {
                h[r] = exp2<S>(rows.dt[t] * rate[r]) * h[r] + rows.u[t] * B[t * z.row + r];
                y[t] += h[r] * C[t * z.row + r];
            }
        if (p < pieces.count)
            for (int r = 0; r < N; r++) h[r] = V<S>{};
    }
    for (int r = 0; r < N; r++) scatter(after + r, z.R, h[r], lanes);
}

template <typename S>
void forward_unit(const Sizes<S> &z, int64_t b, int64_t unit, const S *x, const S *dt, const S *A, const S *B,
                  const S *C, const S *D, S *states, S *y_BTI) {
    constexpr int N = 4;
    const int64_t end = z.I < (unit + 1) * CHANNELS ? z.I : (unit + 1) * CHANNELS;
    for (int64_t n = 0; n < z.chunks(); n++) {
        const int64_t t0 = n * z.chunk, length = z.T - t0 < z.chunk ? z.T - t0 : z.chunk;
        const S *B_n = B + (b * z.T + t0) * z.row, *C_n = C + (b * z.T + t0) * z.row;
        const Pieces pieces(z.starts ? z.starts + b * z.T + t0 : nullptr, length);
        for (int64_t i = unit * CHANNELS; i < end; i += LANES<S>) {
            const int64_t lanes = z.lanes(i), at = (b * z.T + t0) * z.I + i;
            Rows<S> rows;
            rows.read(z, x, dt, at, length, lanes);
            V<S> y[CHUNK], skip = load(D + i, lanes);
            for (int64_t t = 0; t < length; t++) y[t] = skip * load(x + at + t * z.I, lanes);
            const S *before = states + z.state(b, n, i);
            S *after = states + z.state(b, n + 1, i);
            int64_t r = 0;
            for (; r + N <= z.R; r += N)
                forward_states<S, N>(z, rows, A + i * z.R + r, B_n + r, C_n + r, before + r, after + r, y, pieces, lanes);
            for (; r < z.R; r++)
                forward_states<S, 1>(z, rows, A + i * z.R + r, B_n + r, C_n + r, before + r, after + r, y, pieces, lanes);
            for (int64_t t = 0; t < length; t++) store(y_BTI + at + t * z.I, y[t], lanes);
        }
    }
}

// What the backward of a chunk adds up for LANES channels: over states, of dh B and of d(dt A) A / ln 2.
template <typename S> struct Sums {
    V<S> du[CHUNK], rate[CHUNK];
};

// The states r .. r + N - 1 of LANES channels, first forward again, then backward.
template <typename S, int N>
void backward_states(const Sizes<S> &z, const Rows<S> &rows, const V<S> *dy, const S *A, const S *B, const S *C,
                     const S *before, S *carry, S *dA, Sums<S> &sums, V<S> (*dB)[N], V<S> (*dC)[N],
                     const Pieces &pieces, int64_t lanes) {
    V<S> h[CHUNK + 1][N], decay[CHUNK][N], rate[N], dh[N], drate[N];
    for (int r = 0; r < N; r++) {
        h[0][r] = gather(before + r, z.R, lanes);
        rate[r] = gather(A + r, z.R, lanes) * S(1 / LN2);
        dh[r] = gather(carry + r, z.R, lanes);
        drate[r] = gather(dA + r, z.R, lanes);
    }
    for (int64_t t = 0, p = 0; p <= pieces.count; p++) {
        for (; t < pieces.end[p]; t++)
            for (int r = 0; r < N; r++) {
                decay[t][r] = exp2<S>(rows.dt[t] * rate[r]);
                h[t + 1][r] = decay[t][r] * h[t][r] + rows.u[t] * B[t * z.row + r];
            }
        if (p < pieces.count) {
            for (int r = 0; r < N; r++) {
                decay[t][r] = V<S>{};
                h[t + 1][r] = rows.u[t] * B[t * z.row + r];
            }
            t++;
        }
    }
    for (int64_t t = pieces.end[pieces.count] - 1; t >= 0; t--)
        for (int r = 0; r < N; r++) {
            dh[r] += dy[t] * C[t * z.row + r];
            dC[t][r] += dy[t] * h[t + 1][r];
            dB[t][r] += dh[r] * rows.u[t];
            sums.du[t] += dh[r] * B[t * z.row + r];
            dh[r] *= decay[t][r];
            const V<S> dlog = dh[r] * h[t][r];
            sums.rate[t] += dlog * rate[r];
            drate[r] += dlog * rows.dt[t];
        }
    for (int r = 0; r < N; r++) {
        scatter(carry + r, z.R, dh[r], lanes);
        scatter(dA + r, z.R, drate[r], lanes);
    }
}

// N states of all channels of a unit: dB and dC are summed over them, then across the vector.
template <typename S, int N>
void backward_unit_states(const Sizes<S> &z, const Rows<S> *rows, const V<S> (*dy)[CHUNK], const S *A, const S *B,
                          const S *C, const S *before, S *carry, S *dA, Sums<S> *sums, S *dB_TR, S *dC_TR,
                          const Pieces &pieces, int64_t channels) {
    V<S> dB[CHUNK][N] = {}, dC[CHUNK][N] = {};
    for (int64_t i = 0, k = 0; i < channels; i += LANES<S>, k++) {
        const int64_t lanes = channels - i < LANES<S> ? channels - i : LANES<S>;
        backward_states<S, N>(z, rows[k], dy[k], A + i * z.R, B, C, before + i * z.R, carry + i * z.R, dA + i * z.R,
                              sums[k], dB, dC, pieces, lanes);
    }
    for (int64_t t = 0; t < pieces.end[pieces.count]; t++)
        for (int r = 0; r < N; r++) {
            dB_TR[t * z.R + r] = sum<S>(dB[t][r]);
            dC_TR[t * z.R + r] = sum<S>(dC[t][r]);
        }
}

template <typename S>
void backward_unit(const Sizes<S> &z, int64_t b, int64_t unit, const S *x, const S *dt, const S *A, const S *B,
                   const S *C, const S *D, const S *states, const S *dy_BTI, S *carry, S *dx, S *ddt, S *dA, S *dB,
                   S *dC, S *dD) {
    constexpr int N = 2;
    const int64_t i0 = unit * CHANNELS, channels = z.I - i0 < CHANNELS ? z.I - i0 : CHANNELS;
    carry += (b * z.I + i0) * z.R;
    dA += (b * z.I + i0) * z.R;
    A += i0 * z.R;
    for (int64_t n = z.chunks() - 1; n >= 0; n--) {
        const int64_t t0 = n * z.chunk, length = z.T - t0 < z.chunk ? z.T - t0 : z.chunk;
        const int64_t at = (b * z.T + t0) * z.I + i0;
        Rows<S> rows[BLOCKS<S>];
        Sums<S> sums[BLOCKS<S>];
        V<S> dy[BLOCKS<S>][CHUNK];
        for (int64_t i = 0, k = 0; i < channels; i += LANES<S>, k++) {
            const int64_t lanes = z.lanes(i0 + i);
            rows[k].read(z, x, dt, at + i, length, lanes);
            for (int64_t t = 0; t < length; t++) {
                dy[k][t] = load(dy_BTI + at + i + t * z.I, lanes);
                sums[k].du[t] = sums[k].rate[t] = V<S>{};
            }
        }
        const S *before = states + z.state(b, n, i0);
        const S *B_n = B + (b * z.T + t0) * z.row, *C_n = C + (b * z.T + t0) * z.row;
        const Pieces pieces(z.starts ? z.starts + b * z.T + t0 : nullptr, length);
        S *dB_n = dB + ((unit * z.batch + b) * z.T + t0) * z.R, *dC_n = dC + ((unit * z.batch + b) * z.T + t0) * z.R;
        int64_t r = 0;
        for (; r + N <= z.R; r += N)
            backward_unit_states<S, N>(z, rows, dy, A + r, B_n + r, C_n + r, before + r, carry + r, dA + r, sums,
                                       dB_n + r, dC_n + r, pieces, channels);
        for (; r < z.R; r++)
            backward_unit_states<S, 1>(z, rows, dy, A + r, B_n + r, C_n + r, before + r, carry + r, dA + r, sums,
                                       dB_n + r, dC_n + r, pieces, channels);
        for (int64_t i = 0, k = 0; i < channels; i += LANES<S>, k++) {
            const int64_t lanes = z.lanes(i0 + i);
            V<S> skip = load(D + i0 + i, lanes), dskip = load(dD + b * z.I + i0 + i, lanes);
            for (int64_t t = 0; t < length; t++) {
                const int64_t here = at + i + t * z.I;
                const V<S> x_t = load(x + here, lanes);
                store(dx + here, skip * dy[k][t] + rows[k].dt[t] * sums[k].du[t], lanes);
                store(ddt + here, x_t * sums[k].du[t] + sums[k].rate[t] * S(LN2), lanes);
                dskip += dy[k][t] * x_t;
            }
            store(dD + b * z.I + i0 + i, dskip, lanes);
        }
    }
}

template <typename S>
void forward(const Sizes<S> &z, const S *x, const S *dt, const S *A, const S *B, const S *C, const S *D, S *states,
             S *y) {
    const int64_t units = z.units(), all = z.batch * units;
#pragma omp parallel for schedule(dynamic, 1) num_threads(z.threads)
    for (int64_t u = 0; u < all; u++) forward_unit<S>(z, u / units, u % units, x, dt, A, B, C, D, states, y);
}

template <typename S>
void backward(const Sizes<S> &z, const S *x, const S *dt, const S *A, const S *B, const S *C, const S *D,
              const S *states, const S *dy, S *carry, S *dx, S *ddt, S *dA, S *dB, S *dC, S *dD) {
    const int64_t units = z.units(), all = z.batch * units;
#pragma omp parallel for schedule(dynamic, 1) num_threads(z.threads)
    for (int64_t u = 0; u < all; u++)
        backward_unit<S>(z, u / units, u % units, x, dt, A, B, C, D, states, dy, carry, dx, ddt, dA, dB, dC, dD);
}

}  // namespace

#ifdef DOUBLE
typedef double real;
#else
typedef float real;
#endif

extern "C" void forward(const Sizes<real> *z, const real *x, const real *dt, const real *A, const real *B, const real *C,
                        const real *D, real *states, real *y) {
    forward<real>(*z, x, dt, A, B, C, D, states, y);
}

extern "C" void backward(const Sizes<real> *z, const real *x, const real *dt, const real *A, const real *B, const real *C,
                         const real *D, const real *states, const real *dy, real *carry, real *dx, real *ddt, real *dA,
                         real *dB, real *dC, real *dD) {
    backward<real>(*z, x, dt, A, B, C, D, states, dy, carry, dx, ddt, dA, dB, dC, dD);
}
