/* graphopt.h: the C ABI of graphopt's native core.
 *
 * Every kernel is one function, `int gk_<op>(const gk_call *)`. The caller owns every byte: inputs,
 * outputs, workspace and threads are handed in, nothing is allocated and nothing is kept. Tensors
 * have the memory layout of DLPack v1 (DLDevice, DLDataType, DLTensor), so one crosses between
 * graphopt and any other DLPack library by a pointer cast; this header includes nothing of DLPack.
 *
 * Compatibility: within one GK_ABI_VERSION functions are only added, and structs that have a
 * `struct_size`, how much of one the caller knows, only grow at their end. A change of meaning raises
 * GK_ABI_VERSION, which is part of the shared library's name.
 *
 * Threads: every function here may be called from any thread at any time. A kernel writes only to
 * its outputs and its workspace.
 */
#ifndef GRAPHOPT_GRAPHOPT_H_
#define GRAPHOPT_GRAPHOPT_H_

#include <stddef.h>
#include <stdint.h>

#ifdef __GNUC__
#define GK_API __attribute__((visibility("default")))
#else
#define GK_API
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define GK_ABI_VERSION 3
#define GK_VERSION_MAJOR 0
#define GK_VERSION_MINOR 1
#define GK_VERSION_PATCH 0

/* Data and workspace that a caller allocates should start on a multiple of this many bytes. Kernels
 * take any alignment that suits the dtype; this one is the fast one. */
#define GK_ALIGNMENT 64

/* ---- status ------------------------------------------------------------------------------- */

typedef enum gk_status {
  GK_OK = 0,
  GK_INVALID_ARGUMENT = 1,    /* the call is malformed: counts, shapes, sizes, null pointers */
  GK_UNSUPPORTED = 2,         /* well-formed, but this kernel has no code for the dtype or layout */
  GK_UNSUPPORTED_ISA = 3,     /* the instruction set is unknown, not built in, or not on this CPU */
  GK_WORKSPACE_TOO_SMALL = 4, /* ask with GK_PREPARE first */
  GK_UNKNOWN_KERNEL = 5,      /* gk_find_kernel: no kernel of that name */
  GK_CANCELLED = 6,           /* gk_parallel.run did not run every chunk */
  GK_SYSTEM_ERROR = 7         /* the operating system refused memory or a thread */
} gk_status;

/* One English sentence for a status, without a full stop; never null. */
GK_API const char *gk_status_text(int status);

/* GK_ABI_VERSION the library was built with. */
GK_API uint32_t gk_abi_version(void);

/* "major.minor.patch" of the library. */
GK_API const char *gk_version(void);

/* ---- tensors (DLPack v1 layout) ----------------------------------------------------------- */

typedef enum gk_device_type { GK_CPU = 1, GK_CUDA = 2, GK_CUDA_HOST = 3 } gk_device_type;

typedef struct gk_device { /* = DLDevice */
  int32_t device_type;     /* gk_device_type */
  int32_t device_id;
} gk_device;

typedef enum gk_type_code {
  GK_INT = 0,
  GK_UINT = 1,
  GK_FLOAT = 2,
  GK_BFLOAT = 4,
  GK_BOOL = 6
} gk_type_code;

typedef struct gk_dtype { /* = DLDataType */
  uint8_t code;           /* gk_type_code */
  uint8_t bits;
  uint16_t lanes; /* 1 */
} gk_dtype;

typedef struct gk_tensor { /* = DLTensor */
  void *data;
  gk_device device;
  int32_t ndim;
  gk_dtype dtype;
  int64_t *shape;   /* [ndim], elements */
  int64_t *strides; /* [ndim], elements; null: row-major and compact */
  uint64_t byte_offset;
} gk_tensor;

/* ---- instruction sets --------------------------------------------------------------------- */

/* The levels kernels are built for. GK_ISA_BEST is the fastest one that was built in and that this
 * CPU and operating system support; numbers are stable, new levels are appended. */
typedef enum gk_isa {
  GK_ISA_BEST = 0,
  GK_ISA_X86_64 = 1,               /* SSE2: what every x86-64 has */
  GK_ISA_AVX2 = 2,                 /* AVX2, FMA, F16C, BMI: x86-64-v3 */
  GK_ISA_AVX2_VNNI = 3,            /* + AVX-VNNI */
  GK_ISA_AVX512 = 4,               /* AVX-512 F, BW, CD, DQ, VL: x86-64-v4 */
  GK_ISA_AVX512_VNNI = 5,          /* + AVX512-VNNI */
  GK_ISA_AVX512_VNNI_BF16 = 6,     /* + AVX512-BF16 */
  GK_ISA_NEON = 7,                 /* Advanced SIMD: what every aarch64 has */
  GK_ISA_NEON_DOTPROD = 8,         /* + int8 dot products */
  GK_ISA_NEON_DOTPROD_BF16 = 9,    /* + bfloat16 dot products */
  GK_ISA_COUNT = 10
} gk_isa;

/* Name of a level as targets spell it ("avx512-vnni-bf16"), or null for an unknown number. */
GK_API const char *gk_isa_name(int32_t isa);

/* Level of a name, or -1. "best" is GK_ISA_BEST. */
GK_API int32_t gk_isa_from_name(const char *name);

/* Name of the index-th CPU feature the level needs, spelt as gk_cpu_feature spells it, or null past
 * the last one or for an unknown level. Known for every level, built in or not. */
GK_API const char *gk_isa_feature(int32_t isa, int32_t index);

/* Whether kernels for the level were built into this library. */
GK_API int gk_isa_built(int32_t isa);

/* Whether the level was built in and this CPU and operating system run it. */
GK_API int gk_isa_supported(int32_t isa);

/* The level GK_ISA_BEST stands for here. */
GK_API int32_t gk_isa_best(void);

/* ---- the CPU ------------------------------------------------------------------------------ */

typedef struct gk_cpu {
  char vendor[16];     /* cpuid's, "AuthenticAMD"; "implementer-0x41" on aarch64; may be empty */
  char model_name[64]; /* cpuid's brand string without padding; may be empty */
  int32_t family;      /* x86: display family, model, stepping; */
  int32_t model;       /* aarch64: architecture, part number, revision (MIDR) */
  int32_t stepping;
} gk_cpu;

GK_API void gk_identify_cpu(gk_cpu *cpu);

/* Name of the index-th instruction-set feature that this CPU has and its operating system enables,
 * spelt as Linux spells it in /proc/cpuinfo ("avx512_bf16"), or null past the last one. */
GK_API const char *gk_cpu_feature(int32_t index);

/* ---- calls -------------------------------------------------------------------------------- */

typedef enum gk_attribute_kind {
  GK_ATTRIBUTE_INT = 1,
  GK_ATTRIBUTE_FLOAT = 2,
  GK_ATTRIBUTE_STRING = 3,
  GK_ATTRIBUTE_INTS = 4,
  GK_ATTRIBUTE_FLOATS = 5
} gk_attribute_kind;

typedef struct gk_attribute {
  const char *name;
  int32_t kind;   /* gk_attribute_kind: which member of `value` holds it */
  int32_t length; /* of the arrays; 1 for a scalar; bytes of the string */
  union {
    int64_t i;
    double f;
    const char *s;
    const int64_t *ints;
    const double *floats;
  } value;
} gk_attribute;

/* A tile record: what the tuner chose. `values` are the parameters in the order the kernel's
 * template declares them; a null record means the kernel's own untuned default. */
typedef struct gk_tile {
  const int64_t *values;
  int32_t count;
} gk_tile;

/* Scratch memory: contents undefined before and after the call. */
typedef struct gk_workspace {
  void *data;
  size_t size; /* bytes */
} gk_workspace;

/* Work for one chunk [begin, end); `worker` is in [0, workers) and no two chunks running at the
 * same time have the same one. */
typedef void (*gk_body)(void *context, int64_t begin, int64_t end, int32_t worker);

/* The caller's threads. `run` cuts [0, count) into chunks of at least `grain` (the last may be
 * shorter), calls `body` once for each on some thread, returns when all are done: 0, or non-zero
 * when some were not run. A null gk_parallel means: run serially on the calling thread. */
typedef struct gk_parallel {
  void *pool;
  int32_t workers; /* at least 1 */
  int (*run)(void *pool, int64_t count, int64_t grain, gk_body body, void *context);
} gk_parallel;

/* What a call does. An executor prepares a step once per set of shapes, packs its constants once and
 * runs it many times; a single call may just run. */
typedef enum gk_phase {
  GK_RUN = 0,     /* compute */
  GK_PREPARE = 1, /* check everything but data, choose an algorithm, fill `prepared`; compute nothing */
  GK_PACK = 2     /* write the constant inputs into `packed` as the prepared algorithm wants them */
} gk_phase;

#define GK_STATE_BYTES 1536

/* What GK_PREPARE found out. Plain bytes: may be copied, holds no pointer and needs no release. */
typedef struct gk_prepared {
  uint64_t workspace_bytes; /* the run needs this much */
  uint64_t packed_bytes;    /* the constants take this much once packed; 0: they are read as they are */
  uint64_t packed_format;   /* packed bytes of the same step and format are interchangeable, whatever the
                               shapes of its other inputs */
  uint64_t state[GK_STATE_BYTES / 8]; /* the kernel's own */
} gk_prepared;

typedef struct gk_call {
  uint32_t abi_version; /* GK_ABI_VERSION */
  uint32_t struct_size; /* sizeof(gk_call) as the caller knows it */
  const gk_tensor *inputs;
  const gk_tensor *outputs; /* the structs are const, the data they point at is written */
  const gk_attribute *attributes;
  int32_t input_count;
  int32_t output_count;
  int32_t attribute_count;
  int32_t isa;               /* gk_isa; GK_ISA_BEST unless a person or a test forces one */
  const gk_tile *tile;       /* null: untuned default */
  int32_t phase;             /* gk_phase */
  uint32_t constant_inputs;  /* bit i: the contents of input i never change. PREPARE and PACK heed it */
  gk_workspace workspace;    /* RUN: {null, 0} where the kernel needs none */
  const gk_parallel *parallel; /* null: serial */
  gk_prepared *prepared;     /* PREPARE writes it, PACK and RUN read it; RUN without it prepares anew */
  void *packed;              /* PACK writes it, RUN reads it; null where nothing was packed */
} gk_call;

typedef int (*gk_kernel)(const gk_call *call);

/* Inputs that a caller leaves out have `data` null and ndim -1. While preparing, the data of inputs that
 * are not constant, and of outputs, may be null as well. */

/* The kernel `name` ("stream_copy") for one level, resolved once so that an executor pays no
 * dispatch per call; the returned function ignores gk_call.isa.
 * GK_UNKNOWN_KERNEL, GK_UNSUPPORTED_ISA, or GK_OK with *kernel set. */
GK_API int gk_find_kernel(const char *name, int32_t isa, gk_kernel *kernel);

/* Name of kernel `index`, or null past the last one. */
GK_API const char *gk_kernel_name(int32_t index);

/* Run kernel `name` at the level gk_call.isa: gk_find_kernel and the call in one. */
GK_API int gk_run_kernel(const char *name, const gk_call *call);

/* ---- plans ---------------------------------------------------------------------------------- */

/* A compiled region or model: a list of kernel calls. Open once, run from any number of threads. A process forked while
 * no function here was under way goes on with its plans, on the one thread it has. */
typedef struct gk_plan gk_plan;

#define GK_MAX_RANK 8

/* What went wrong, for a person: one line, always terminated. Every function that takes one takes null. */
typedef struct gk_message {
  char text[512];
} gk_message;

/* Where a plan gets its memory: scratch, packed constants and outputs it allocates; small bookkeeping stays on the C
 * library's heap. `allocate` returns `size` bytes (above 0) on a multiple of `alignment` (a power of two), or null to
 * refuse; `release` gets what it returned with the same size. Any thread calls them, several at a time. */
typedef struct gk_allocator {
  void *context;
  void *(*allocate)(void *context, size_t size, size_t alignment);
  void (*release)(void *context, void *data, size_t size);
} gk_allocator;

/* Fields behind what struct_size says are taken as 0, which is the default of each. */
typedef struct gk_plan_options {
  uint32_t struct_size;    /* sizeof(gk_plan_options) as the caller knows it */
  int32_t isa;             /* gk_isa; GK_ISA_BEST: the plan's own, or the machine's best */
  int32_t threads;         /* of one run, the caller's included; 0: 1. Plans share the process's threads */
  int32_t release_weights; /* not 0: `weights` is a mapped file that nobody writes to; its pages may be
                              given back to the system once they are packed */
  uint64_t memory_limit;   /* bytes of scratch and packed constants, and of an output the plan allocates; 0: none.
                              A run that needs more fails */
  const gk_allocator *allocator; /* copied; null: the C library's. What its functions need outlives the plan and
                                    the outputs it allocated */
} gk_plan_options;

/* Open the plan in [data, data + size) with the weights file in [weights, weights + weights_size) (null where
 * the plan needs none). Both stay the caller's and must outlive the plan. `options` may be null.
 * GK_OK with *plan set; GK_INVALID_ARGUMENT for a damaged plan, GK_UNSUPPORTED_ISA for another machine's. */
GK_API int gk_plan_open(const void *data, size_t size, const void *weights, size_t weights_size,
                        const gk_plan_options *options, gk_plan **plan, gk_message *message);

/* The same for files: both are mapped for as long as the plan is open, and what has been packed of the weights leaves
 * memory again. Nobody may write to them meanwhile. `weights_path` may be null. GK_SYSTEM_ERROR where a file cannot be
 * mapped, with the system's reason in `message`. */
GK_API int gk_plan_open_files(const char *path, const char *weights_path, const gk_plan_options *options,
                              gk_plan **plan, gk_message *message);

/* Waits for nothing: no run may be under way. Null is fine. */
GK_API void gk_plan_close(gk_plan *plan);

/* An input or output; name and dims live as long as the plan. An input takes these dims and no others. Of an output
 * they are what the model declares, as far as it does: gk_plan_shapes knows what comes out for given inputs. */
typedef struct gk_value_info {
  uint32_t struct_size; /* sizeof(gk_value_info) as the caller knows it, set before the call */
  int32_t ndim;         /* -1: unknown */
  const int64_t *dims;  /* at least 0: a size; -1: any; -2 - k: symbol k, the same size wherever it stands */
  const char *name;
  gk_dtype dtype;
  int32_t decides_shapes; /* not 0: an input whose contents decide shapes; each new content is resolved anew */
} gk_value_info;

GK_API int32_t gk_plan_input_count(const gk_plan *plan);
GK_API int32_t gk_plan_output_count(const gk_plan *plan);
GK_API int gk_plan_input(const gk_plan *plan, int32_t index, gk_value_info *info);
GK_API int gk_plan_output(const gk_plan *plan, int32_t index, gk_value_info *info);

/* Name of a symbolic dim as gk_value_info.dims has it (-2, -3, ...), or null. */
GK_API const char *gk_plan_symbol(const gk_plan *plan, int64_t dim);

/* Level the plan runs on. */
GK_API int32_t gk_plan_isa(const gk_plan *plan);

/* Shapes of the outputs for these inputs, in the order of gk_plan_input and gk_plan_output. Each outputs[i].shape
 * points at GK_MAX_RANK numbers of the caller's; shape, ndim and dtype are filled in, everything else stays. The data
 * of inputs is read only where it decides shapes. What is found out is remembered for gk_plan_run. */
GK_API int gk_plan_shapes(gk_plan *plan, const gk_tensor *inputs, gk_tensor *outputs, gk_message *message);

typedef struct gk_step_time {
  const char *name; /* of the node the step comes from, "" for a copy in between; lives as long as the plan */
  const char *op;   /* plan operator */
  double seconds;
} gk_step_time;

typedef struct gk_run_options {
  uint32_t struct_size;           /* sizeof(gk_run_options) as the caller knows it */
  int32_t time_capacity;          /* of `times` */
  const volatile int32_t *cancel; /* null, or a flag: once it is not 0 the run ends with GK_CANCELLED */
  gk_step_time *times;            /* null, or filled with the time of each step that ran, in order */
  int32_t time_count;             /* steps that ran; may exceed time_capacity, the rest is left out */
} gk_run_options;

/* Compute. Inputs may have strides (they are then copied). outputs[i].data is the caller's memory, compact, of the
 * shape gk_plan_shapes gives, which outputs[i] repeats; it overlaps no input and no other output. Or data is null: then
 * the plan allocates, fills in data, shape, ndim and dtype, and gk_plan_release_output gives the memory back, also
 * after the plan was closed. `options` may be null. */
GK_API int gk_plan_run(gk_plan *plan, const gk_tensor *inputs, gk_tensor *outputs, gk_run_options *options,
                       gk_message *message);

/* For a tensor that gk_plan_run allocated; sets data and shape to null. */
GK_API void gk_plan_release_output(gk_tensor *output);

typedef struct gk_plan_memory {
  uint32_t struct_size;  /* sizeof(gk_plan_memory) as the caller knows it, set before the call */
  int32_t shapes;        /* sets of input shapes remembered */
  int32_t lanes;         /* runs that were under way at once */
  uint64_t arena_bytes;  /* scratch memory of all runs that were under way at once */
  uint64_t packed_bytes; /* constants as kernels want them */
  uint64_t folded_bytes; /* computed while shapes were resolved */
} gk_plan_memory;

GK_API int gk_plan_get_memory(const gk_plan *plan, gk_plan_memory *memory);

/* Threads that still wait awake for a next run go to sleep now: somebody else's turn. */
GK_API void gk_plan_park(gk_plan *plan);

/* ---- the machine's ceilings ----------------------------------------------------------------- */

/* A measured rate: operations, bytes or cycles per second, over `samples` repetitions. */
typedef struct gk_measurement {
  double median;
  double low;
  double high;
  int32_t samples;
  int32_t threads;
} gk_measurement;

typedef struct gk_measure_options {
  int32_t threads; /* 1 to 4096: run the same work on all at once; rates are their sum */
  int32_t samples; /* odd; 1 to 10001 */
  double seconds;  /* aimed-at time of one sample: above 0, at most 10 */
} gk_measure_options;

/* Arithmetic peak of a level: multiplications and additions per second, counted separately, out
 * of registers. dtype: float32, float64, bfloat16 (dot into float32) or int8 (u8·s8 or s8·s8 dot
 * into int32). GK_UNSUPPORTED where the level has no instruction for the dtype. */
GK_API int gk_measure_peak(int32_t isa, gk_dtype dtype, const gk_measure_options *options,
                           gk_measurement *result);

/* Bandwidth over a working set of `bytes` per thread (a copy's is half source, half destination; a
 * multiple of 128).
 * kernel: "stream_copy" counts bytes read plus bytes written, "stream_read" bytes read; traffic a
 * cache adds of its own (write-allocate) is not counted. */
GK_API int gk_measure_bandwidth(int32_t isa, const char *kernel, size_t bytes,
                                const gk_measure_options *options, gk_measurement *result);

/* Clock of the core under a scalar load, in cycles per second: a chain of dependent additions,
 * one cycle each. */
GK_API int gk_measure_clock(const gk_measure_options *options, gk_measurement *result);

#ifdef __cplusplus
}
#endif

#endif /* GRAPHOPT_GRAPHOPT_H_ */
