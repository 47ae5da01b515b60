/* The part of <math.h> that generated C may use, for compilers that come without a C library. */
#ifndef THM_INCLUDE_MATH_H
#define THM_INCLUDE_MATH_H

#define NAN __builtin_nanf("")
#define INFINITY __builtin_inff()
#define HUGE_VALF __builtin_huge_valf()
#define HUGE_VAL __builtin_huge_val()
#define isnan(x) __builtin_isnan(x)
#define isinf(x) __builtin_isinf(x)
#define isfinite(x) __builtin_isfinite(x)
#define signbit(x) __builtin_signbit(x)

#define THM_UNARY(name) \
    double name(double x); \
    float name##f(float x);
#define THM_BINARY(name) \
    double name(double x, double y); \
    float name##f(float x, float y);

THM_UNARY(acos)
THM_UNARY(acosh)
THM_UNARY(asin)
THM_UNARY(asinh)
THM_UNARY(atan)
THM_UNARY(atanh)
THM_UNARY(ceil)
THM_UNARY(cos)
THM_UNARY(cosh)
THM_UNARY(erf)
THM_UNARY(erfc)
THM_UNARY(exp)
THM_UNARY(exp2)
THM_UNARY(expm1)
THM_UNARY(fabs)
THM_UNARY(floor)
THM_UNARY(log)
THM_UNARY(log10)
THM_UNARY(log1p)
THM_UNARY(log2)
THM_UNARY(nearbyint)
THM_UNARY(rint)
THM_UNARY(round)
THM_UNARY(sin)
THM_UNARY(sinh)
THM_UNARY(sqrt)
THM_UNARY(tan)
THM_UNARY(tanh)
THM_UNARY(trunc)
THM_BINARY(atan2)
THM_BINARY(copysign)
THM_BINARY(fmax)
THM_BINARY(fmin)
THM_BINARY(fmod)
THM_BINARY(pow)

#undef THM_UNARY
#undef THM_BINARY

double fma(double x, double y, double z);
float fmaf(float x, float y, float z);
double ldexp(double x, int exponent);
float ldexpf(float x, int exponent);
double frexp(double x, int *exponent);
float frexpf(float x, int *exponent);
long lrint(double x);
long lrintf(float x);
long lround(double x);
long lroundf(float x);

#endif
