// What one position of a decoder takes most of its time for: products of a matrix and a few vectors, and a step of each
// recurrence, in one pass over what it reads.
//
//   linear       y = W x + bias
//   norm         y = gain (x - mean) / sqrt(mean of squares + eps) + bias, or without the mean and the bias
//   convolve     y = bias + sum of taps and the last inputs, the newest of which takes the oldest's place
//   scan         h <- exp(dt A) h + dt x B,  y = C . h + D x
//   filter       h <- same h + cross swapped(h) + write x,  y = read . h + D x
//   recurrence   r = phi(q)^T (g S) + f(q, k) v,   S <- g S + phi(k) v^T,   y = r, or r / (sum of weights + eps)
//
// Rows of W, and columns of S where there are fewer heads than threads, are divided among threads; no sum is: results do
// not depend on how many there are. Nothing is allocated here. `real` is float, or double where DOUBLE is defined.
// Vectors are those of GCC and Clang. No OpenMP runtime is linked: torch has loaded its own.

#include <cmath>
#include <cstdint>

#ifdef DOUBLE
typedef double real;
#else
typedef float real;
#endif

constexpr int VECTOR_BYTES = 32;
constexpr int VL = VECTOR_BYTES / sizeof(real);
constexpr int UNROLL = 4;                          // vectors of a row in flight: a sum waits for the one before it
constexpr int64_t AHEAD = 1024 / sizeof(real);     // elements that are asked of memory early
constexpr int64_t SMALL = 16384;                   // elements below which a second thread costs more than it saves

typedef real vec __attribute__((vector_size(VECTOR_BYTES)));
typedef real loose __attribute__((vector_size(VECTOR_BYTES), aligned(sizeof(real)), may_alias));

namespace {

inline vec load(const real *p) { return *(const loose *)p; }

struct Linear {
    int64_t batch, n_in, n_out, x_row, y_row, threads;  // rows: elements from one sequence to the next
};

// Of one row of W and N vectors.
template <int N>
inline void dots(const Linear &z, const real *w, const real *x, real *sums) {
    vec sum[N][UNROLL] = {};
    int64_t i = 0;
    for (; i + UNROLL * VL <= z.n_in; i += UNROLL * VL) {
        __builtin_prefetch(w + i + AHEAD);
        __builtin_prefetch(w + i + AHEAD + 2 * VL);
        for (int u = 0; u < UNROLL; u++) {
            const vec part = load(w + i + u * VL);
            for (int n = 0; n < N; n++) sum[n][u] += part * load(x + n * z.x_row + i + u * VL);
        }
    }
    for (int n = 0; n < N; n++) {
        const vec both = (sum[n][0] + sum[n][1]) + (sum[n][2] + sum[n][3]);
        real total = 0;
        for (int l = 0; l < VL; l++) total += both[l];
        for (int64_t j = i; j < z.n_in; j++) total += w[j] * x[n * z.x_row + j];
        sums[n] = total;
    }
}

template <int N>
inline void row(const Linear &z, const real *W, const real *bias, const real *x, real *y, int64_t b, int64_t o) {
    real sums[N];
    dots<N>(z, W + o * z.n_in, x + b * z.x_row, sums);
    for (int n = 0; n < N; n++) y[(b + n) * z.y_row + o] = sums[n] + (bias ? bias[o] : real(0));
}

struct Norm {
    int64_t rows, size, x_row, y_row, gains, centred;  // gains: rows of them, which repeat
    double eps;
};

struct Convolution {
    int64_t batch, width, past, first, x_row;  // `first`: the slot of the oldest input
};

struct Scan {
    int64_t batch, channels, states, select_row, threads;
};

struct Filter {
    int64_t batch, channels, states, in_pairs, x_row, threads;
};

// exp(x) for x <= 0: 2^n in the exponent's bits times a Taylor polynomial on |r| <= ln(2) / 2; 0 below the smallest normal
// number's logarithm.
inline real exp_negative(real x) {
#ifdef DOUBLE
    typedef int64_t whole;
    constexpr real SHIFT = 6755399441055744.0, HIGH = 0.693145751953125, LOW = 1.42860682030941723212e-6, LEAST = -708;
    constexpr int MANTISSA = 52, TERMS = 13;
#else
    typedef int32_t whole;
    constexpr real SHIFT = 12582912.0f, HIGH = 0.693359375f, LOW = -2.12194440e-4f, LEAST = -87;
    constexpr int MANTISSA = 23, TERMS = 7;
#endif
    const real clamped = x < LEAST ? LEAST : x, shifted = clamped * real(1.44269504088896340736) + SHIFT;
    const real n = shifted - SHIFT, r = clamped - n * HIGH - n * LOW;
    real sum = 1;
    for (int i = TERMS; i > 0; i--) sum = sum * r / i + 1;
    union { real value; whole bits; } from = {shifted}, power = {sum};
    power.bits += from.bits << MANTISSA;
    return x < LEAST ? 0 : power.value;
}

struct Recurrence {
    int64_t batch, heads, K, P, V, degree, q_row, k_row, v_row, threads;
    int64_t levels;     // elements of all monomials of one head, those of degrees that phi leaves out too
    int64_t normalised;
    double eps;
};

// All monomials of degree 0, 1, .. of x, degree by degree: each is one variable times one of the degree below.
inline void monomials(const Recurrence &z, const real *x, const int64_t *first, const int64_t *rest,
                      const int64_t *sizes, real *level) {
    level[0] = 1;
    for (int64_t i = 0; i < z.K; i++) level[1 + i] = x[i];
    const real *below = level + 1;
    real *own = level + 1 + z.K;
    for (int64_t d = 2; d <= z.degree; d++) {
        const int64_t size = sizes[d];
        for (int64_t p = 0; p < size; p++) own[p] = x[first[p]] * below[rest[p]];
        below = own;
        own += size;
        first += size;
        rest += size;
    }
}

// Columns c0 .. c1 of one head: what the query reads of the decayed state, then the key's value is added to it.
inline void turn(const Recurrence &z, const real *phi_q, const real *phi_k, const real *v, real g, real own, real *S,
                 real *y, int64_t c0, int64_t c1) {
    for (int64_t c = c0; c < c1; c++) y[c] = own * v[c];
    for (int64_t p = 0; p < z.P; p++) {
        const real read = phi_q[p], write = phi_k[p];
        real *__restrict__ s = S + p * z.V;
        real *__restrict__ out = y;
        const real *__restrict__ in = v;
#pragma omp simd
        for (int64_t c = c0; c < c1; c++) {
            const real kept = g * s[c];
            out[c] += read * kept;
            s[c] = kept + write * in[c];
        }
    }
}

inline real turn_normaliser(const Recurrence &z, const real *phi_q, const real *phi_k, real g, real *normaliser) {
    real sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t p = 0; p < z.P; p++) {
        const real kept = g * normaliser[p];
        sum += phi_q[p] * kept;
        normaliser[p] = kept + phi_k[p];
    }
    return sum;
}

}  // namespace

extern "C" void linear(const Linear *sizes, const real *W, const real *bias, const real *x, real *y) {
    const Linear &z = *sizes;
#pragma omp parallel for schedule(static) num_threads(z.threads) if (z.n_in * z.n_out > SMALL)
    for (int64_t o = 0; o < z.n_out; o++) {
        int64_t b = 0;
        for (; b + 4 <= z.batch; b += 4) row<4>(z, W, bias, x, y, b, o);
        for (; b < z.batch; b++) row<1>(z, W, bias, x, y, b, o);
    }
}

extern "C" void norm(const Norm *sizes, const real *x, const real *gain, const real *bias, real *y) {
    const Norm &z = *sizes;
    for (int64_t m = 0; m < z.rows; m++) {
        const real *in = x + m * z.x_row, *by = gain + m % z.gains * z.size;
        real *out = y + m * z.y_row, mean = 0, squares = 0;
        if (z.centred) {
#pragma omp simd reduction(+ : mean)
            for (int64_t i = 0; i < z.size; i++) mean += in[i];
            mean /= z.size;
        }
#pragma omp simd reduction(+ : squares)
        for (int64_t i = 0; i < z.size; i++) squares += (in[i] - mean) * (in[i] - mean);
        const real scale = 1 / std::sqrt(squares / z.size + real(z.eps));
#pragma omp simd
        for (int64_t i = 0; i < z.size; i++) out[i] = (in[i] - mean) * scale * by[i] + (bias ? bias[i] : real(0));
    }
}

extern "C" void convolve(const Convolution *sizes, const real *x, const real *taps, const real *bias, real *past, real *y) {
    const Convolution &z = *sizes;
    const int64_t slot = z.batch * z.width;
    for (int64_t b = 0; b < z.batch; b++) {
        const real *in = x + b * z.x_row, *own = taps + z.past * z.width;
        real *out = y + b * z.width, *oldest = past + z.first * slot + b * z.width;
        for (int64_t i = 0; i < z.width; i++) out[i] = (bias ? bias[i] : real(0)) + in[i] * own[i];
        for (int64_t w = 0; w < z.past; w++) {
            const real *before = past + (z.first + w) % z.past * slot + b * z.width, *tap = taps + w * z.width;
            for (int64_t i = 0; i < z.width; i++) out[i] += before[i] * tap[i];
        }
        for (int64_t i = 0; i < z.width; i++) oldest[i] = in[i];
    }
}

extern "C" void scan(const Scan *sizes, const real *x, const real *dt, const real *A, const real *B, const real *C,
                     const real *D, real *h, real *y) {
    const Scan &z = *sizes;
#pragma omp parallel for schedule(static) num_threads(z.threads) if (z.batch * z.channels * z.states > SMALL / 4)
    for (int64_t n = 0; n < z.batch * z.channels; n++) {
        const int64_t b = n / z.channels, i = n % z.channels;
        const real *rate = A + i * z.states, *into = B + b * z.select_row, *out = C + b * z.select_row;
        const real step = dt[n], u = step * x[n];
        real *state = h + n * z.states, sum = 0;
#pragma omp simd reduction(+ : sum)
        for (int64_t r = 0; r < z.states; r++) {
            const real next = exp_negative(step * rate[r]) * state[r] + u * into[r];
            state[r] = next;
            sum += out[r] * next;
        }
        y[n] = sum + D[i] * x[n];
    }
}

extern "C" void filter(const Filter *sizes, const real *x, const real *same, const real *cross, const real *write,
                       const real *read, const real *D, real *h, real *y) {
    const Filter &z = *sizes;
    const int64_t half = z.in_pairs ? z.states / 2 : z.states;
#pragma omp parallel for schedule(static) num_threads(z.threads) if (z.batch * z.channels * z.states > SMALL)
    for (int64_t n = 0; n < z.batch * z.channels; n++) {
        const int64_t i = n % z.channels, at = i * z.states;
        const real in = x[n / z.channels * z.x_row + i];
        real *real_part = h + n * z.states, *imaginary = real_part + half, sum = 0;
        if (z.in_pairs) {
#pragma omp simd reduction(+ : sum)
            for (int64_t r = 0; r < half; r++) {
                const int64_t s = at + r, t = s + half;
                const real a = same[s] * real_part[r] + cross[s] * imaginary[r] + write[s] * in;
                const real b = same[t] * imaginary[r] + cross[t] * real_part[r] + write[t] * in;
                real_part[r] = a;
                imaginary[r] = b;
                sum += read[s] * a + read[t] * b;
            }
        } else {
#pragma omp simd reduction(+ : sum)
            for (int64_t r = 0; r < half; r++) {
                real_part[r] = same[at + r] * real_part[r] + write[at + r] * in;
                sum += read[at + r] * real_part[r];
            }
        }
        y[n] = sum + D[i] * in;
    }
}

// phi holds the monomials of queries, then of keys; `coefficients` are those of f, `weights` those of phi's monomials.
extern "C" void recurrence(const Recurrence *sizes, const real *q, const real *k, const real *v, const real *gates,
                           real *S, real *normaliser, const real *weights, const real *coefficients,
                           const int64_t *first, const int64_t *rest, const int64_t *level_sizes, real *phi, real *y) {
    const Recurrence &z = *sizes;
    const int64_t heads = z.batch * z.heads, large = heads * z.P * z.V > SMALL;
#pragma omp parallel for schedule(static) num_threads(z.threads) if (large)
    for (int64_t i = 0; i < 2 * heads; i++) {
        const int64_t n = i / 2, b = n / z.heads, h = n % z.heads;
        const real *x = i % 2 ? k + b * z.k_row : q + b * z.q_row;
        real *level = phi + (2 * n + i % 2) * z.levels, *used = level + z.levels - z.P;
        monomials(z, x + h * z.K, first, rest, level_sizes, level);
        for (int64_t p = 0; p < z.P; p++) used[p] *= weights[p];
    }
    const int64_t pieces = heads < z.threads && large ? (z.threads + heads - 1) / heads : 1;
    const int64_t width = (z.V + pieces - 1) / pieces;
#pragma omp parallel for schedule(static) num_threads(z.threads) if (large)
    for (int64_t i = 0; i < heads * pieces; i++) {
        const int64_t n = i / pieces, piece = i % pieces, b = n / z.heads, h = n % z.heads;
        const real *phi_q = phi + (2 * n + 1) * z.levels - z.P, *phi_k = phi_q + z.levels;
        const real *q_h = q + b * z.q_row + h * z.K, *k_h = k + b * z.k_row + h * z.K;
        real score = 0, own = coefficients[z.degree];
        for (int64_t l = 0; l < z.K; l++) score += q_h[l] * k_h[l];
        for (int64_t d = z.degree - 1; d >= 0; d--) own = own * score + coefficients[d];
        const int64_t c0 = piece * width, c1 = c0 + width < z.V ? c0 + width : z.V;
        turn(z, phi_q, phi_k, v + b * z.v_row + h * z.V, gates ? gates[n] : real(1), own, S + n * z.P * z.V,
             y + n * z.V, c0, c1);
    }
    if (!z.normalised) return;
#pragma omp parallel for schedule(static) num_threads(z.threads) if (large)
    for (int64_t n = 0; n < heads; n++) {
        const int64_t b = n / z.heads, h = n % z.heads;
        const real *phi_q = phi + (2 * n + 1) * z.levels - z.P, *phi_k = phi_q + z.levels;
        const real *q_h = q + b * z.q_row + h * z.K, *k_h = k + b * z.k_row + h * z.K;
        real score = 0, own = coefficients[z.degree];
        for (int64_t l = 0; l < z.K; l++) score += q_h[l] * k_h[l];
        for (int64_t d = z.degree - 1; d >= 0; d--) own = own * score + coefficients[d];
        const real sum = turn_normaliser(z, phi_q, phi_k, gates ? gates[n] : real(1), normaliser + n * z.P);
        for (int64_t c = 0; c < z.V; c++) y[n * z.V + c] /= own + sum + real(z.eps);
    }
}
