/* What the ops of TensorFlow and JAX call: a table of plain C functions. They are compiled against
 * this header alone, on the user's machine, and get the table's address at run time, so that they
 * need no link to the module tensorquant._core and no C++ of the same compiler. */
#ifndef TENSORQUANT_API_H_
#define TENSORQUANT_API_H_

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* float16 and bfloat16 go through float32 and are cast back, ties to even. */
enum TensorquantType {
  TENSORQUANT_FLOAT32 = 0,
  TENSORQUANT_FLOAT64 = 1,
  TENSORQUANT_FLOAT16 = 2,
  TENSORQUANT_BFLOAT16 = 3
};

/* Not terminated by a zero. */
typedef struct {
  const char* data;
  size_t size;
} TensorquantText;

/* Terminated by a zero, cut where it is longer. */
typedef struct {
  char text[1024];
} TensorquantError;

/* What a call tells a quantizer beside the numbers. Seed, stream and step say where random rounding
 * takes its numbers from. `axes` are the begin and end of the channel axes and the begin and end of
 * those that a dot product sums over, each a range of neighbours that are taken as one axis,
 * counted from behind the last axis where its begin is negative, and not known where its end lies
 * before its begin. `sizes` are those of the tensor, whose elements lie in C order. */
typedef struct {
  uint64_t seed;
  uint32_t stream;
  uint32_t step;
  const int64_t* axes; /* four */
  const int64_t* sizes;
  int dimensions;
} TensorquantContext;

/* A host's threads. schedule() calls work(state) once, now or later, on any thread; a call of the
 * table may return before that. */
typedef struct {
  void* host;
  int threads;
  void (*schedule)(void* host, void (*work)(void* state), void* state);
} TensorquantPool;

/* In C order. data is null where only the shape counts; a size that is not known is -1. */
typedef struct {
  const void* data;
  const int64_t* sizes;
  int dimensions;
} TensorquantTensor;

enum { TENSORQUANT_MOST_DIMENSIONS = 16 };

/* Raised with every change of this header that moves or changes what is there already; functions
 * that are added at the table's end make it longer alone. */
enum { TENSORQUANT_API_VERSION = 2 };

/* All functions return 0, or 1 with a message in `error`. A null pool stands for the library's own
 * threads. Built-in quantizers touch nothing of Python; a user's own take the GIL, which the caller
 * must not hold. */
typedef struct {
  uint32_t version; /* TENSORQUANT_API_VERSION of who made the table */
  uint32_t size;    /* sizeof(TensorquantApi) there */

  /* y = q(x); y may be x. */
  int (*quantize)(TensorquantText spec, int type, const void* x, void* y,
                  TensorquantContext context, const TensorquantPool* pool, TensorquantError* error);

  /* dx from dy, the quantizer's input x and its output y; dx may be dy. The context is that of
   * quantize(), here and below; its seed, stream and step do not matter. */
  int (*gradient)(TensorquantText spec, int type, const void* x, const void* y, const void* dy,
                  void* dx, TensorquantContext context, const TensorquantPool* pool,
                  TensorquantError* error);

  /* The shape of an operation's result: up to TENSORQUANT_MOST_DIMENSIONS sizes. `operation` is
   * the text of a tensorquant.ops.Operation; its inputs are x, the weights and a bias, the last or
   * last two of them left out where the operation has none, and then the scales of x and of the
   * weights, as far as the text says so. */
  int (*result_shape)(TensorquantText operation, int inputs, const TensorquantTensor* input,
                      int64_t* sizes, int* dimensions, TensorquantError* error);

  /* y = the operation's result with every product and sum rounded. `outside`, null or of y's size,
   * is set to whether the last sum lay outside of the accumulator's range. */
  int (*arithmetic)(TensorquantText operation, int type, int inputs, const TensorquantTensor* input,
                    void* y, bool* outside, uint32_t step, const TensorquantPool* pool,
                    TensorquantError* error);

  /* Of a built-in quantizer with a clipped gradient: inside[i] = whether dx = dy at x[i], else it
   * is 0. */
  int (*inside)(TensorquantText spec, int type, const void* x, bool* inside,
                TensorquantContext context, const TensorquantPool* pool, TensorquantError* error);

  /* The shape of the scales of a quantizer that has some: as many sizes as the tensor's, which may
   * be unknown. */
  int (*scales_shape)(TensorquantText spec, TensorquantContext context, int64_t* sizes,
                      TensorquantError* error);

  /* The scales that it finds in x, of float32 or float64, and which are of x's type. */
  int (*scales)(TensorquantText spec, int type, const void* x, void* scales,
                TensorquantContext context, const TensorquantPool* pool, TensorquantError* error);
} TensorquantApi;

/* Whether who was compiled against this header can use the table. */
static inline bool tensorquant_api_fits(const TensorquantApi* table) {
  return table->version == TENSORQUANT_API_VERSION && table->size >= sizeof(TensorquantApi);
}

#ifdef __cplusplus
}
#endif

#endif /* TENSORQUANT_API_H_ */
